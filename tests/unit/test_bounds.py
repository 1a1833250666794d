"""However much a service says, an error is of bounded size: its text, its `repr`, and each text that it holds."""

from __future__ import annotations

import logging
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, strategies as st

import aiozilliz
from aiozilliz import (
    Account,
    APIError,
    DecodeError,
    Inventory,
    InventoryError,
    InventoryReport,
    ResponseError,
    ServerError,
    ZillizError,
)
from aiozilliz._errors import printable
from tests.support.listing_server import QUICK, quick_client
from tests.support.wire_server import WireServer, answering, response

if TYPE_CHECKING:
    from collections.abc import Iterator

BOUND = 5_000
REPR = 2 * BOUND + 100  # quotes and backslashes are doubled

PUBLIC: list[Any] = [getattr(aiozilliz, name) for name in aiozilliz.__all__]
CLASSES: list[type[ZillizError]] = [
    kind for kind in PUBLIC if isinstance(kind, type) and issubclass(kind, ZillizError)
]


def repeated(text: str, times: int) -> str:
    return text * times


hostile = st.builds(
    repeated,
    st.text(st.characters(codec=None), min_size=1, max_size=6),
    st.sampled_from([1, 7, 100, 499, 500, 501, 4_999, 5_000, 5_001, 100_000]),
)


def made(kind: type[ZillizError], text: str) -> ZillizError:
    """Give an error that holds a text wherever one can be."""
    asked: dict[str, Any] = {"method": text, "url": text, "advice": text}
    error: ZillizError
    if issubclass(kind, InventoryError):
        error = kind(text, {f"{text}{n}": made(APIError, text) for n in range(30)})
    elif issubclass(kind, APIError):
        error = kind(text, status=500, request_id=text, **asked)
    elif issubclass(kind, DecodeError):
        error = kind(text, index=0, cluster_id=text, field=text, **asked)
    else:
        error = kind(text, **asked)
    return error


def texts(error: ZillizError) -> Iterator[tuple[str, str]]:
    yield "str", str(error)
    yield "advice", error.advice
    yield "message", error.message
    values = [*vars(error).items(), *(("args", value) for value in error.args)]
    yield from ((name, value) for name, value in values if isinstance(value, str))


def assert_bounded(error: ZillizError) -> None:
    for name, text in texts(error):
        assert len(text) <= BOUND, name
        assert len(printable(text, 10 * BOUND)) <= BOUND, name
    assert str(error).isprintable()
    assert len(repr(error)) <= REPR


@pytest.mark.parametrize("kind", CLASSES)
@example("\x00" * 5_000).via("each becomes four")
@example("\U000e0001" * 600).via("each becomes ten")
@example("{api_key}" * 1_000).via("each becomes longer")
@given(hostile)
def test_every_error_is_bounded(kind: type[ZillizError], text: str) -> None:
    error = made(kind, text)
    assert_bounded(error)
    again = pickle.loads(pickle.dumps(error))
    assert_bounded(again)
    assert str(again) == str(error)
    assert_bounded(type(error)(*error.args))


def test_a_group_of_thousands_says_how_many_more() -> None:
    failures: dict[str, Exception] = {f"account {n:05}": APIError("no", status=500) for n in range(10_000)}
    error = InventoryError("10000 of 10000 accounts failed", failures)
    assert len(str(error)) < 1_000
    assert "account 00019 and 9980 more." in str(error)
    assert len(error.failures) == 10_000
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert len(again.failures) == 10_000
    few = InventoryError("x", dict(list(failures.items())[:20]))
    assert "more" not in str(few)
    assert "account 00019." in str(few)


async def test_the_url_of_a_long_region_is_cut() -> None:
    async with WireServer(answering(response({"code": 96001}))) as server, quick_client(server.url) as client:
        with pytest.raises(APIError) as raised:
            await client.list_clusters(region="\x1b" * 2_000)
    assert_bounded(raised.value)
    assert raised.value.url is not None
    assert raised.value.url.startswith(server.url)


LONG = "in01-" + "\x1b" * 1_000_000


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (response({"code": 0, "data": [{"clusterId": LONG, "cuSize": "x"}]}), DecodeError),
        (response({"code": 0, "data": [{"clusterId": "a", "cuSize": LONG}]}), DecodeError),
        (response({"code": 7, "message": LONG, "requestId": LONG}), APIError),
        (response({"code": LONG}), ResponseError),
        (response({"code": 0, "data": {"clusters": [], "count": LONG}}), ResponseError),
        (response(b"", status=302, headers=[("Location", "/" + "x" * 8_000)]), ResponseError),
        (response(b"", status=500, headers=[("requestid", "x" * 8_000)]), ServerError),
    ],
    ids=["an id", "a field", "a message", "a code", "a count", "a target", "a request id"],
)
async def test_what_a_service_says_is_cut(
    answer: bytes, kind: type, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with WireServer(answering(answer)) as server, quick_client(server.url) as client:
        with pytest.raises(ZillizError) as raised:
            await client.list_clusters()
        assert type(raised.value) is kind
        assert_bounded(raised.value)
        assert len(str(raised.value)) < 2_000
        accounts = [Account("a", "k", base_url=server.url)]
        async with Inventory(accounts, limiter=None, retry=QUICK) as inventory:
            report = await inventory.collect()
    text = report.to_json()
    for failures in (report.failures, InventoryReport.from_json(text).failures):
        for error in failures.values():
            assert isinstance(error, ZillizError)
            assert_bounded(error)
            assert str(raised.value.args[0])[:100] in str(error)
    assert max(len(record.getMessage()) for record in caplog.records) < 3_000
