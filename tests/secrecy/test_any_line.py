"""Whatever is raised, on any line that handles a plain key, no frame of ours shows it: interrupts, a full stack or memory.

An exception is thrown on each line in turn that a reading of a key executes, as a signal may do.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import Account, ConfigurationError, Inventory, ZillizClient, load_accounts
from aiozilliz._settings import checks, credentials, permissions, redaction, tracebacks
from tests.support.detector import KEY, evaluated, followed, has_key, leaks, locals_of
from tests.support.exhaustive import EXHAUSTIVE

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path
    from types import FrameType

MODULES = {module.__file__ for module in (checks, credentials, permissions, redaction, tracebacks)}
ACCOUNTS = Account.__init__.__code__.co_filename
CLIENT = ZillizClient.__init__.__code__.co_filename
TAKES_IT = {"ZillizClient.__init__", "Account.__init__", "find_key"}
"""Functions that get a key as an argument, until the line that takes it away has been executed."""


class Tracer:
    """Raises on the line with a number, counted over all lines that are executed in some files.

    Args:
        files: The files.
        at: The number, from 1.
        kind: What is raised.
    """

    def __init__(self, files: set[str | None], at: int, kind: type[BaseException]) -> None:
        self.raised_in = ""
        self._files = files
        self._left = at
        self._kind = kind

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in self._files or self.raised_in:
            return None
        if event == "line":
            self._left -= 1
            if not self._left:
                self.raised_in = frame.f_code.co_qualname
                raise self._kind
        return self


def driven(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that waits for nothing, without an event loop and its frames."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError


def from_argument(_: Any) -> Any:
    return ZillizClient(KEY)


def from_environment(_: Any) -> Any:
    return ZillizClient()


def from_file(_: Any) -> Any:
    return ZillizClient()


def from_all_files(_: Any) -> Any:
    return load_accounts()


def of_an_account(_: Any) -> Any:
    return Account("a", KEY)


def from_a_callable(_: Any) -> Any:
    return driven(credentials.KeySource(None, lambda: KEY).get())


def from_an_async_callable(_: Any) -> Any:
    async def get() -> str:
        return KEY

    return driven(credentials.KeySource(None, get).get())


def refused(_: Any) -> Any:
    with suppress(ConfigurationError):
        ZillizClient(f"{KEY}\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Any) -> Path:
    path = tmp_path / "credentials"
    path.write_text(f"[default]\napi_key = {KEY}\n[org.1]\napi_key = {KEY}2\n", "utf-8")
    path.chmod(0o644)
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("ZILLIZ_API_KEY", KEY if read is from_environment else "")
    return tmp_path


def errors(
    read: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> Iterator[tuple[BaseException, str]]:
    """Give the error of each line, and where that is."""
    for at in range(1, 2_000):
        monkeypatch.setattr(redaction, "KNOWN_KEYS", redaction.KnownKeys())
        monkeypatch.setattr(credentials, "KNOWN_KEYS", redaction.KNOWN_KEYS)
        tracer = Tracer({*MODULES, ACCOUNTS, CLIENT}, at, kind)
        before = sys.gettrace()
        sys.settrace(tracer)
        try:
            read(monkeypatch)
        except kind as error:
            sys.settrace(before)
            yield error, tracer.raised_in
        else:
            sys.settrace(before)
            if not tracer.raised_in:
                return


READS = [
    from_argument,
    from_environment,
    from_file,
    from_all_files,
    of_an_account,
    from_a_callable,
    from_an_async_callable,
    refused,
]


CASES = [
    *product(READS, [KeyboardInterrupt]),
    *product(
        READS if EXHAUSTIVE else (from_argument, from_all_files, refused), [MemoryError, RecursionError]
    ),
]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("read", "kind"), CASES)
def test_no_line_shows_a_key(
    read: Callable[[Any], Any], kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = 0
    for error, place in errors(read, monkeypatch, kind):
        lines += 1
        frames = error.__traceback__
        shown = {
            where
            for where, text in (*locals_of(frames), *evaluated(frames), *followed(frames))
            if has_key(text)
        }
        if place in TAKES_IT:  # the line may be one before the argument is taken away, or that line itself
            shown = {where for where in shown if where.rpartition(" in ")[2] != place}
        assert not shown, place
    assert lines > 10


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("read", READS)
def test_a_full_stack_shows_no_key(read: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def descend(levels: int) -> Any:
        return read(monkeypatch) if not levels else descend(levels - 1)

    found = 0
    depth = len(list(_stack()))
    for levels in range(sys.getrecursionlimit() - depth, sys.getrecursionlimit() - depth - 120, -1):
        monkeypatch.setattr(redaction, "KNOWN_KEYS", redaction.KnownKeys())
        monkeypatch.setattr(credentials, "KNOWN_KEYS", redaction.KNOWN_KEYS)
        try:
            descend(levels)
        except RecursionError as error:
            found += 1
            frames = error.__traceback__
            assert not {where for where, text in locals_of(frames) if has_key(text)}, levels
            assert not {where for where, text in evaluated(frames) if has_key(text)}, levels
    assert found


def _stack() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


async def test_a_callable_that_recurses_shows_no_key() -> None:
    def get() -> str:
        return get() + KEY

    async with ZillizClient(get, limiter=None) as client:
        with pytest.raises(RecursionError) as raised:
            await client.list_clusters()
    assert not leaks(raised.value)
    async with Inventory([Account("a", get)], limiter=None) as inventory:
        report = await inventory.collect()
    assert not leaks(report.failures["a"])


def test_an_argument_that_is_shown_is_found() -> None:
    """The tracer raises where it says, and the detector sees the locals there."""

    def read() -> None:
        credentials.check_key(KEY, "a test")

    tracer = Tracer(MODULES, 1, KeyboardInterrupt)
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        with pytest.raises(KeyboardInterrupt) as raised:
            read()
    finally:
        sys.settrace(before)
    assert tracer.raised_in == "check_key"
    assert [where for where, text in locals_of(raised.value.__traceback__) if has_key(text)]
