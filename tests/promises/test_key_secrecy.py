"""No error, log, warning or repr holds the key: not in any of its texts, nor in a local of any frame it refers to."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from aiozilliz import ConfigurationError, RetryPolicy, ZillizClient, ZillizError
from tests.support.detector import (
    KEY,
    assert_silent,
    has_key,
    locals_of,
    log_everything,
    shown,
    told_by_logs,
    told_by_warnings,
    tracebacks,
    traces,
)
from tests.support.exhaustive import EXHAUSTIVE
from tests.support.failures import FAILURES, MAX_BYTES, Failure, answer, reset
from tests.support.listing_server import QUICK, Listing, names, quick_client, read
from tests.support.wire_server import Exchange, WireServer, response

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All loggers at their most talkative."""
    log_everything(caplog)
    return caplog


WAYS: list[Callable[[ZillizClient], Any]] = [
    lambda client: client.list_clusters(),
    lambda client: read(client.iter_clusters()),
    lambda client: read(client.iter_clusters(concurrency=3, verify=True)),
    lambda client: anext(client.iter_pages()),
]


async def fail_in_ways(
    client: ZillizClient, ways: list[Callable[[ZillizClient], Any]]
) -> list[BaseException]:
    results: list[Any] = [(await asyncio.gather(way(client), return_exceptions=True))[0] for way in ways]
    errors = [result for result in results if isinstance(result, BaseException)]
    assert len(errors) == len(results)
    return errors


@pytest.mark.parametrize("failure", FAILURES, ids=str)
async def test_no_failure_tells_the_key(
    failure: Failure, everything_logged: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    async with (
        WireServer(failure.fail) as server,
        quick_client(server.url, KEY, max_response_bytes=MAX_BYTES) as client,
    ):
        # The page is the same whoever asks for it: a single call, and one of the iterators in turn.
        ways = WAYS if EXHAUSTIVE else [WAYS[0], WAYS[1 + FAILURES.index(failure) % 3]]
        for error in await fail_in_ways(client, ways):
            assert isinstance(error, ZillizError)
            assert_silent(error)
        assert all(request.get("authorization") == [f"Bearer {KEY}"] for request in server.requests)
    assert not told_by_logs(everything_logged)
    assert not told_by_warnings(recwarn)


@pytest.mark.parametrize("given", ["plain", "async", "rotated"])
async def test_a_callable_s_key_is_not_told_either(given: str) -> None:
    keys = iter([f"{KEY}{n}" for n in range(1000)])

    async def ask() -> str:
        return KEY

    api_key: Any = {"plain": lambda: KEY, "async": ask, "rotated": lambda: next(keys)}[given]
    refuse = answer(lambda told: {"code": 21119, "message": told}, status=401)
    for fail in (refuse, reset, answer(lambda told: told.encode())):
        async with WireServer(fail) as server, quick_client(server.url, api_key) as client:
            for error in await fail_in_ways(client, WAYS):
                assert isinstance(error, ZillizError)
                assert_silent(error)


@pytest.mark.parametrize(
    "bad", [f"{KEY}\n", f" {KEY}", f"{KEY}\x00", f"{KEY}é", [KEY], {KEY: KEY}, KEY.encode()]
)
async def test_a_callable_s_bad_key_is_not_told(
    bad: Any, everything_logged: pytest.LogCaptureFixture
) -> None:
    async with WireServer() as server, quick_client(server.url, lambda: bad) as client:
        for error in await fail_in_ways(client, WAYS):
            assert isinstance(error, ConfigurationError)
            assert_silent(error)
        assert server.requests == []
    assert not told_by_logs(everything_logged)


@pytest.mark.parametrize(
    "arguments",
    [
        {"api_key": f"{KEY}\n"},
        {"api_key": f"Bearer {KEY}"},
        {"api_key": f"{KEY}\x7f"},
        {"api_key": f"{KEY}ü"},
        {"api_key": KEY.encode()},
        {"api_key": [KEY]},
        {"api_key": KEY, "base_url": f"https://{KEY}@api.example"},
        {"api_key": KEY, "base_url": f"https://user:{KEY}@api.example"},
        {"api_key": KEY, "base_url": f"https://api.example/?key={KEY}"},
        {"api_key": KEY, "base_url": f"https://api.example/#{KEY}"},
        {"api_key": KEY, "base_url": f"http://api.example/{KEY}"},
        {"api_key": KEY, "base_url": KEY},
        {"api_key": KEY, "base_url": 7},
        {"api_key": KEY, "timeout": KEY},
        {"api_key": KEY, "session": KEY},
        {"api_key": KEY, "retry": KEY},
        {"api_key": KEY, "limiter": KEY},
        {"api_key": KEY, "max_response_bytes": KEY},
    ],
    ids=repr,
)
def test_a_refused_argument_is_not_repeated(arguments: dict[str, Any]) -> None:
    with pytest.raises((ConfigurationError, TypeError)) as raised:
        ZillizClient(**arguments)
    assert_silent(raised.value, frames=False)  # whoever passes the key has it in the frames of that call


MISUSES: dict[str, Callable[[Any], Any]] = {
    "no pages": lambda client: client.iter_clusters(page_size=0),
    "no flag": lambda client: client.iter_clusters(verify=1),
    "a text": lambda client: client.iter_pages(start_page="1"),
    "pickled": pickle.dumps,
    "copied": copy.deepcopy,
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_misuse_of_a_client_does_not_tell_the_key(misuse: str) -> None:
    client = ZillizClient(KEY)
    with pytest.raises((TypeError, ValueError)) as raised:
        MISUSES[misuse](client)
    assert_silent(raised.value)


async def test_misuse_of_its_life_does_not_tell_the_key() -> None:
    client = ZillizClient(KEY, base_url="http://127.0.0.1:9", retry=QUICK)
    errors = await fail_in_ways(client, WAYS)
    async with client:
        with pytest.raises(RuntimeError) as raised:
            await client.__aenter__()
        errors.append(raised.value)
    errors += await fail_in_ways(client, WAYS)
    for error in errors:
        assert isinstance(error, RuntimeError)
        assert_silent(error)


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_what_is_ended_early_does_not_tell_the_key(concurrency: int) -> None:
    async with (
        WireServer(lambda exchange: exchange.silence()) as server,
        quick_client(server.url, KEY) as client,
    ):
        for end in ("aclose", "client"):
            clusters = client.iter_clusters(concurrency=concurrency)
            before = len(server.requests)
            reading = asyncio.create_task(read(clusters))
            await server.received(before + 1)
            with pytest.raises(RuntimeError) as refused:
                await anext(clusters)
            assert_silent(refused.value)
            await (clusters if end == "aclose" else client).aclose()
            with pytest.raises(RuntimeError) as ended:
                await reading
            assert_silent(ended.value)


async def test_a_timeout_around_a_call_shows_no_local_with_the_key() -> None:
    async with (
        WireServer(lambda exchange: exchange.silence()) as server,
        quick_client(server.url, KEY) as client,
    ):
        for call in (client.list_clusters, client.iter_clusters().__anext__, client.iter_pages().__anext__):
            before = len(server.requests)
            scope = asyncio.timeout(None)

            async def run(call: Any = call, scope: asyncio.Timeout = scope) -> None:
                async with scope:
                    await call()

            running = asyncio.create_task(run())
            await server.received(before + 1)
            scope.reschedule(0.0)
            with pytest.raises(TimeoutError) as raised:
                await running
            cause = raised.value.__context__  # Python 3.11.2 sets no `__cause__`
            assert isinstance(cause, asyncio.CancelledError)
            # Its frames are the HTTP library's as well, whose objects hold the headers; no `repr` shows them.
            seen = [*locals_of(cause.__traceback__, depth=0), *tracebacks(cause)]
            assert not [where for where, text in seen if has_key(text)]


async def test_the_deadline_s_error_does_not_tell_the_key() -> None:
    for options in ({"retry": RetryPolicy(deadline=0.02)}, {"timeout": 0.01}):
        async with (
            WireServer(lambda exchange: exchange.silence()) as server,
            quick_client(server.url, KEY, **options) as client,
        ):
            with pytest.raises(ZillizError) as raised:
                await client.list_clusters()
            assert_silent(raised.value)


async def test_an_incomplete_listing_s_error_does_not_tell_the_key() -> None:
    listing = Listing(names(9), count="over")

    async def script(exchange: Exchange) -> None:
        await exchange.send(listing(exchange.request.page, 3))

    async with WireServer(script) as server, quick_client(server.url, KEY) as client:
        for concurrency in (1, 3):
            _, end = await read(client.iter_clusters(page_size=3, concurrency=concurrency))
            assert end is not None
            assert_silent(end)


async def test_nothing_shows_the_key_while_all_goes_well(everything_logged: pytest.LogCaptureFixture) -> None:
    listing = Listing(names(9))

    async def script(exchange: Exchange) -> None:
        await exchange.send(listing(exchange.request.page, 3))

    async with (
        WireServer(script) as server,
        aiohttp.ClientSession() as session,
        quick_client(server.url, KEY) as client,
        quick_client(server.url, KEY, session=session) as borrower,
    ):
        for each in (client, borrower):
            clusters, pages = each.iter_clusters(page_size=3, concurrency=3), each.iter_pages(page_size=3)
            await anext(clusters)
            await anext(pages)
            for value in (each, clusters, pages, asyncio.all_tasks()):
                assert not [text for text in shown(value, 3) if has_key(text)]
            await read(clusters)
        assert not [text for text in shown(session, 3) if has_key(text)]
        assert KEY not in repr(dict(session.headers))
    assert not told_by_logs(everything_logged)


async def test_asyncio_s_debug_output_does_not_tell_the_key(
    everything_logged: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    listing = Listing(names(9))

    async def script(exchange: Exchange) -> None:
        if exchange.number == 2:
            await reset(exchange)
        else:
            await exchange.send(listing(exchange.request.page, 3))

    async with WireServer(script) as server:
        loop.set_debug(True)
        loop.slow_callback_duration = 0.0  # tells of every callback
        try:
            async with quick_client(server.url, KEY) as client:
                await read(client.iter_clusters(page_size=3, concurrency=3))
        finally:
            loop.set_debug(False)
    told = [record.getMessage() for record in everything_logged.records if record.name == "asyncio"]
    assert told
    assert not [text for text in told if has_key(text) and "tests" not in text]


@pytest.mark.parametrize("where", ["message", "request id", "cluster id", "redirect"])
async def test_a_key_that_a_quoted_text_is_cut_in_is_hidden_as_well(where: str) -> None:
    for length in range(20, 520, 10):
        fill = "x" * length
        body: Any = b""
        if where == "message":
            body = {"code": 400, "message": fill + KEY}
        elif where == "cluster id":
            body = {"code": 0, "data": [{"clusterId": fill + KEY, "cuSize": "wrong"}]}
        headers = {
            "request id": ("requestid", fill + KEY),
            "redirect": ("Location", f"https://a.example/{fill}{KEY}"),
        }
        status = {"cluster id": 200, "redirect": 301}.get(where, 400)
        reply = response(body, status=status, headers=[headers[where]] if where in headers else [])

        async def script(exchange: Exchange, reply: bytes = reply) -> None:
            await exchange.send(reply)

        async with WireServer(script) as server, quick_client(server.url, KEY) as client:
            with pytest.raises(ZillizError) as raised:
                await client.list_clusters()
        for _, text in traces(raised.value):
            assert KEY[:10] not in text
