"""The detector finds a key that is planted in each of the places it looks at: else its silence would mean nothing."""

from __future__ import annotations

import asyncio
import logging
import warnings
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import APIError, InventoryError
from tests.support.detector import (
    KEY,
    assert_silent,
    evaluated,
    followed,
    has_key,
    leaks,
    referents,
    shown,
    told_by_files,
    told_by_logs,
    told_by_warnings,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Compiled under a name outside the tests, whose own frames are passed over.
ELSEWHERE: dict[str, Any] = {}
exec(  # noqa: S102 - the text above it
    compile(
        """
def fail(error, secret):
    headers = {"Authorization": f"Bearer {secret}"}
    raise error
""",
        "elsewhere.py",
        "exec",
    ),
    ELSEWHERE,
)


def refusal(text: str = "refused") -> APIError:
    return APIError(text, status=400)


def plant_text() -> BaseException:
    return refusal(f"refused {KEY}")


def plant_capitals() -> BaseException:
    return refusal(f"refused {KEY.upper()}")


def plant_attribute() -> BaseException:
    error = refusal()
    error.url = f"https://host/{KEY}"
    return error


def plant_note() -> BaseException:
    error = refusal()
    error.add_note(f"with {KEY}")
    return error


def plant_closure() -> BaseException:
    secret = KEY
    return RuntimeError(lambda: secret)


def plant_local() -> BaseException:
    return _raised(lambda: ELSEWHERE["fail"](refusal(), KEY))


def plant_context() -> BaseException:
    keys: dict[str, str] = {}

    def fail() -> None:
        try:
            keys.pop(KEY)
        except KeyError:
            raise RuntimeError from None

    return _raised(fail)


def plant_cause() -> BaseException:
    def fail() -> None:
        raise RuntimeError from KeyError(KEY)

    return _raised(fail)


def plant_member() -> BaseException:
    return InventoryError("1 of 2 accounts failed", {"a": refusal(f"no {KEY}")})


def _raised(fail: Callable[[], None]) -> BaseException:
    try:
        fail()
    except Exception as error:  # noqa: BLE001 - whatever was planted
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("plant", "places"),
    [
        (plant_text, {"str", "repr", "args", "pickle", "traceback with locals", "referents"}),
        (plant_capitals, {"str"}),
        (plant_attribute, {"vars", "copy", "pickle", "referents"}),
        (plant_note, {"notes", "vars", "pickle"}),
        (plant_closure, {"referents"}),
        (plant_local, {"headers in fail", "rich's local headers in fail", "traceback with locals"}),
        (plant_context, {"args"}),
        (plant_cause, {"args"}),
        (plant_member, {"args", "str"}),
    ],
)
def test_a_planted_leak_is_found(plant: Callable[[], BaseException], places: set[str]) -> None:
    error = plant()

    assert places <= leaks(error)
    with pytest.raises(AssertionError):
        assert_silent(error)


def test_an_error_without_the_key_passes() -> None:
    assert_silent(refusal())
    assert_silent(_raised(lambda: ELSEWHERE["fail"](refusal(), "other")))


def test_what_a_local_leads_to_is_found(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.py"
    source = "def send(request):\n    raise LookupError if request else request.headers.items\n"
    path.write_text(source, "utf-8")
    names: dict[str, Any] = {}
    exec(compile(source, path, "exec"), names)  # noqa: S102 - the text above it
    request = SimpleNamespace(headers=[[[KEY]]])
    frames = _raised(lambda: names["send"](request)).__traceback__

    assert {where for where, text in evaluated(frames) if has_key(text)} == {
        "request in send",
        "request.headers in send",
    }
    assert "request.SimpleNamespace.list.list.list in send" in {
        where for where, text in followed(frames) if has_key(text)
    }


def test_a_planted_attribute_of_an_object_is_found() -> None:
    class Holder:
        def __init__(self) -> None:
            self.headers = {"Authorization": [KEY]}

    assert any(map(has_key, shown(Holder())))
    assert any(map(has_key, referents(Holder())))


@pytest.mark.parametrize("place", ["message", "arguments", "extra", "exception"])
def test_a_planted_log_record_is_found(place: str, everything_logged: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("somebody")
    match place:
        case "message":
            logger.debug(f"sent {KEY}")  # noqa: G004 - what is planted
        case "arguments":
            logger.debug("sent %s", {"headers": KEY})
        case "extra":
            logger.debug("sent", extra={"headers": KEY})
        case _:
            logger.debug("failed", exc_info=RuntimeError(KEY))

    assert told_by_logs(everything_logged) == ["somebody"]


async def test_a_planted_debug_message_of_asyncio_is_found(
    everything_logged: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, asyncio.BaseEventLoop):
        pytest.skip("uvloop tells of no slow callback")
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    ran = loop.create_future()
    try:
        loop.call_soon(lambda _: ran.set_result(None), KEY)
        await ran
        await asyncio.sleep(0)
    finally:
        loop.set_debug(False)

    assert "asyncio" in told_by_logs(everything_logged)


def test_a_planted_warning_is_found() -> None:
    with pytest.warns(UserWarning, match="sent") as warned:
        warnings.warn(f"sent {KEY}", UserWarning, stacklevel=1)

    assert told_by_warnings(warned)


@pytest.mark.parametrize("place", ["name", "text"])
def test_a_planted_file_is_found(place: str, tmp_path: Path) -> None:
    path = tmp_path / "sub" / (KEY if place == "name" else "file")
    path.parent.mkdir()
    path.write_text("" if place == "name" else f"\0{KEY}", "utf-8")

    assert told_by_files(tmp_path) == [path]
