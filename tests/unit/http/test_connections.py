"""Which connection a request goes over, and what becomes of one that gives responses to other requests."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from aiozilliz import (
    Account,
    IncompleteListingError,
    Inventory,
    ResponseError,
    RetryPolicy,
    ZillizClient,
)
from tests.support.fake_time import advance, in_standing_time
from tests.support.listing_server import Listing, names, page_of, quick_client, read, read_into
from tests.support.wire_server import OK, WireServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import FrameType

    from tests.support.wire_server import Exchange, Script

POOL = 3
AT_ONCE = RetryPolicy(attempts=5, wait_initial=0.0, wait_jitter=0.0)
TWICE = RetryPolicy(attempts=2, wait_initial=0.0, wait_jitter=0.0)

concurrent = pytest.mark.parametrize("concurrency", [1, 3])


# Calls between an iterator and aiohttp


async def test_six_calls_lie_between_an_iterator_and_aiohttp() -> None:
    stacks: list[list[str]] = []

    async def look(session: aiohttp.ClientSession, context: Any, params: Any) -> None:
        ours: list[str] = []
        frame: FrameType | None = sys._getframe()
        while frame is not None and frame.f_code.co_name != "__anext__":
            if "/aiozilliz/_" in frame.f_code.co_filename:
                ours.append(frame.f_code.co_name)
            frame = frame.f_back
        assert frame is not None
        stacks.append(ours)

    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(look)
    async with (
        WireServer() as server,
        aiohttp.ClientSession(trace_configs=[tracing]) as session,
        ZillizClient("k", base_url=server.url, session=session) as client,
    ):
        await anext(client.iter_clusters())
    assert len(stacks) == 1
    assert 0 < len(stacks[0]) <= 6, stacks


# After a failure


async def fill_the_pool(client: ZillizClient, server: WireServer) -> None:
    """Let the client keep so many connections."""
    script, together = server.script, asyncio.Event()

    async def wait_for_all(exchange: Exchange) -> None:
        if len(server.requests) == POOL:
            together.set()
        await together.wait()
        await exchange.send(OK)

    server.script = wait_for_all
    await asyncio.gather(*(client.list_clusters() for _ in range(POOL)))
    assert server.connections == len(server.open) == POOL
    server.script = script


def on_new_connections(otherwise: Callable[[Exchange], Awaitable[object]]) -> Script:
    """Script: answer what comes over a connection after the first ones, and let the others fail."""

    async def script(exchange: Exchange) -> None:
        if exchange.request.connection > POOL:
            await exchange.send(OK)
        else:
            await otherwise(exchange)

    return script


async def reset(exchange: Exchange) -> None:
    exchange.reset()


async def cut(exchange: Exchange) -> None:
    await exchange.send(OK[:-9])
    exchange.cut()


async def swallow(exchange: Exchange) -> None:
    advance(0.2)
    await exchange.silence()


FAILURES: dict[str, Callable[[Exchange], Awaitable[object]]] = {
    "swallowed": swallow,
    "reset": reset,
    "cut": cut,
    "for another page": lambda exchange: exchange.send(page_of(["x"], currentPage=7)),
}


@pytest.mark.parametrize("failure", FAILURES)
@in_standing_time
async def test_after_a_timeout_or_a_loss_no_other_kept_connection_is_tried(failure: str) -> None:
    async with (
        WireServer(on_new_connections(FAILURES[failure])) as server,
        quick_client(server.url, timeout=0.2, retry=TWICE) as client,
    ):
        await fill_the_pool(client, server)
        await client.list_clusters()
        assert [request.connection > POOL for request in server.requests[POOL:]] == [False, True]


@pytest.mark.parametrize("failure", FAILURES)
@in_standing_time
async def test_a_borrowed_pool_is_tried_connection_by_connection(failure: str) -> None:
    retry = RetryPolicy(attempts=POOL + 1, wait_initial=0.0, wait_jitter=0.0)
    async with (
        WireServer(on_new_connections(FAILURES[failure])) as server,
        aiohttp.ClientSession() as session,
        quick_client(server.url, timeout=0.2, retry=retry, session=session) as client,
    ):
        await fill_the_pool(client, server)
        if failure == "for another page":  # a whole response: aiohttp keeps the connection
            with pytest.raises(ResponseError):
                await client.list_clusters()
        else:
            await client.list_clusters()
            assert server.requests[-1].connection == POOL + 1


async def test_a_refusal_is_asked_again_over_a_kept_connection() -> None:
    refusals = [b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"]

    async def script(exchange: Exchange) -> None:
        await exchange.send(refusals.pop() if refusals else OK)

    async with WireServer(script) as server, quick_client(server.url, retry=TWICE) as client:
        await client.list_clusters()
        assert (len(server.requests), server.connections) == (2, 1)


# Responses to other requests


class Doubling:
    """Sends each response twice.

    Args:
        listings: The listings, by key.
        gap: Seconds between the two; None sends both at once.
    """

    def __init__(self, listings: dict[str, Listing], gap: float | None = None) -> None:
        self._listings = listings
        self._gap = gap

    async def __call__(self, exchange: Exchange) -> None:
        (authorization,) = exchange.request.get("Authorization")
        answer = self._listings[authorization.removeprefix("Bearer ")](exchange.request.page, 2)
        if self._gap is None:
            await exchange.send(answer + answer)
        else:
            await exchange.send(answer)
            await asyncio.sleep(self._gap)
            await exchange.send(answer)


@concurrent
async def test_a_response_that_comes_twice_moves_no_page(concurrency: int) -> None:
    async with (
        WireServer(Doubling({"k": Listing(names(9))})) as server,
        quick_client(server.url, retry=RetryPolicy(attempts=1)) as client,
    ):
        assert await read(client.iter_clusters(page_size=2, concurrency=concurrency)) == (names(9), None)
        assert server.connections == len(server.requests) == 5


@pytest.mark.parametrize("gap", [None, 0.0, 0.01])
async def test_a_connection_that_spoke_while_idle_is_not_used_again(gap: float | None) -> None:
    listings = {"a": Listing(names(1)), "b": Listing(names(1, 500))}
    async with (
        WireServer(Doubling(listings, gap)) as server,
        Inventory(
            [Account(name, name, base_url=server.url) for name in listings],
            limiter=None,
            retry=RetryPolicy(attempts=1),
        ) as inventory,
    ):
        for _ in range(5):
            report = await inventory.collect(page_size=2)
            ids = {name: [c.cluster_id for c in found] for name, found in report.snapshots.items()}
            assert ids == {name: listing.ids for name, listing in listings.items()}
            await asyncio.sleep(0.05)  # it is idle, and the copies arrive


@pytest.mark.parametrize("read_by_the_loop", [False, True])
async def test_bytes_that_came_while_it_was_idle_are_seen_before_and_after_the_loop_has_read_them(
    *, read_by_the_loop: bool
) -> None:
    sent = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(page_of(["mine"], count=1))
        await sent.wait()
        await exchange.send(page_of(["somebody else's"], count=1))

    async with WireServer(script) as server, quick_client(server.url) as client:
        await client.list_clusters()
        sent.set()
        for _ in range(9 if read_by_the_loop else 2):
            await asyncio.sleep(0)
        (cluster,) = (await client.list_clusters()).clusters
        assert cluster.cluster_id == "mine"
        assert [request.connection for request in server.requests] == [1, 2]


async def test_a_connection_that_was_closed_while_idle_costs_no_attempt() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(OK)
        exchange.cut()

    async with (
        WireServer(script) as server,
        quick_client(server.url, retry=RetryPolicy(attempts=1)) as client,
    ):
        for number in range(1, 6):
            await client.list_clusters()
            assert server.connections == len(server.requests) == number
            await asyncio.sleep(0.01)


class OneBehind:
    """Gives each request over a connection the response to the one before it, from the second request on."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._before: dict[int, bytes] = {}

    async def __call__(self, exchange: Exchange) -> None:
        connection = exchange.request.connection
        answer = self._listing(exchange.request.page, 2)
        await exchange.send(self._before.get(connection, answer))
        self._before[connection] = answer


@concurrent
@pytest.mark.parametrize("verify", [False, True])
async def test_pages_that_come_one_too_late_are_asked_for_over_new_connections(
    concurrency: int, *, verify: bool
) -> None:
    async with (
        WireServer(OneBehind(Listing(names(9)))) as server,
        quick_client(server.url, retry=TWICE) as client,
    ):
        clusters = client.iter_clusters(page_size=2, concurrency=concurrency, verify=verify)
        assert await read(clusters) == (names(9), None)
        requests: dict[int, list[int]] = defaultdict(list)
        for request in server.requests:
            requests[request.connection].append(request.page)
        assert requests[1][:2] == [1, 2]
        assert [2] in list(requests.values())  # page 2 again, over a connection of its own


class AlwaysPage1:
    """Ignores the query."""

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.send(page_of(names(2), count=4, currentPage=1, pageSize=2))


IGNORED = r"page 2 was answered as page 1 \(5 attempts\), so something in between ignores the query"


@concurrent
@pytest.mark.parametrize("verify", [False, True])
async def test_a_query_that_is_ignored_on_every_connection_is_named(
    concurrency: int, *, verify: bool
) -> None:
    async with WireServer(AlwaysPage1()) as server, quick_client(server.url, retry=AT_ONCE) as client:
        ids: list[str] = []
        with pytest.raises(IncompleteListingError, match=IGNORED) as raised:
            await read_into(ids, client.iter_clusters(page_size=2, concurrency=concurrency, verify=verify))
        error = raised.value
        assert ids == names(2)
        assert (error.expected, error.received, error.passes, error.echoed_page) == (4, 2, 1, 1)
        assert error.attempts == len(server.requests) == 6
        assert error.__cause__ is error.__context__ is None
        assert "Check base_url" in error.advice
        assert server.pages == [1, 2, 2, 2, 2, 2]
        assert server.connections == 5  # page 2: once over the kept one, four times over new ones


async def test_a_page_under_another_number_is_an_error_of_every_call() -> None:
    async with WireServer(AlwaysPage1()) as server, quick_client(server.url, retry=TWICE) as client:
        with pytest.raises(ResponseError, match=r"for page 1, not for page 2.*2 attempts") as raised:
            await client.list_clusters(current_page=2)
        assert type(raised.value) is ResponseError
        # A snapshot without a page is none, though one without a proof is.
        with pytest.raises(ResponseError, match="ignores the query"):
            await client.snapshot(page_size=2)
        async with Inventory(
            [Account("a", "k", base_url=server.url)], limiter=None, retry=TWICE
        ) as inventory:
            report = await inventory.collect(page_size=2)
        assert not report.snapshots
        assert "ignores the query" in str(report.failures["a"])


@pytest.mark.parametrize("echo", [..., None, 0, -1, "1", "7", True, False, 1.0, [], {}], ids=repr)
@concurrent
async def test_an_echo_that_is_no_page_number_is_ignored(echo: Any, concurrency: int) -> None:
    fields = {} if echo is ... else {"currentPage": echo}

    async def script(exchange: Exchange) -> None:
        page = exchange.request.page
        await exchange.send(page_of(names(5)[2 * page - 2 : 2 * page], count=5, **fields))

    async with WireServer(script) as server, quick_client(server.url) as client:
        assert await read(client.iter_clusters(page_size=2, concurrency=concurrency)) == (names(5), None)
        assert server.pages == [1, 2, 3]
