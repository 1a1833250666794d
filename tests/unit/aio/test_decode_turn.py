from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from aiozilliz import (
    Account,
    Inventory,
    RateLimitError,
    RetryPolicy,
    TransportError,
    ZillizClient,
    ZillizError,
)
from aiozilliz._aio.limiter import DecodeTurn
from tests.support.listing_server import Listing, ListingServer, names, page_of, quick_client
from tests.support.wire_server import response

PAGES = 24


async def test_each_waits_for_a_turn_of_its_own_in_the_order_of_arrival() -> None:
    turns = DecodeTurn()
    at: list[tuple[int, int]] = []
    now = 0

    async def work(name: int) -> None:
        await turns.wait()
        at.append((name, now))

    tasks = [asyncio.create_task(work(name)) for name in range(5)]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        now += 1
    assert [name for name, _ in at] == [0, 1, 2, 3, 4]
    assert len({turn for _, turn in at}) == 5


@pytest.mark.parametrize("cancelled", range(4))
async def test_one_that_is_cancelled_holds_nobody_up(cancelled: int) -> None:
    turns = DecodeTurn()
    done: list[int] = []

    async def work(name: int) -> None:
        await turns.wait()
        done.append(name)

    tasks = [asyncio.create_task(work(name)) for name in range(4)]
    await asyncio.sleep(0)
    tasks[cancelled].cancel()
    await asyncio.wait(tasks)
    assert done == [name for name in range(4) if name != cancelled]


async def _most_pages_in_a_turn(server: ListingServer, source: ZillizClient | Inventory) -> int:
    """Read with all answers let go at once, and give how many pages came at most from one turn to the next."""
    clusters = (
        source.iter_clusters(page_size=1)
        if isinstance(source, Inventory)
        else source.iter_clusters(page_size=1, concurrency=PAGES)
    )

    async def read() -> int:
        return len([1 async for _ in clusters])

    reading = asyncio.create_task(read())
    try:
        await server.received(PAGES)
        server.release_all()
        counts = [0]
        while not reading.done():
            counts.append(source.progress.requests if isinstance(source, Inventory) else source.requests)
            await asyncio.sleep(0)
        assert await reading == PAGES
    finally:
        reading.cancel()
    return max(later - earlier for earlier, later in pairwise(counts[1:]))


async def test_pages_that_arrive_together_are_read_in_turns_of_their_own() -> None:
    async with (
        ListingServer(Listing(names(PAGES)), held=True) as server,
        ZillizClient("k", base_url=server.url, limiter=None) as client,
    ):
        server.release(1)
        # Two where one is let in as its turn has come, and another because it is the last.
        assert await _most_pages_in_a_turn(server, client) <= 2


async def test_pages_of_many_accounts_are_read_in_turns_of_their_own() -> None:
    async with ListingServer(Listing(names(1)), held=True) as server:
        accounts = [Account(f"a{n}", f"k{n}", base_url=server.url) for n in range(PAGES)]
        async with Inventory(accounts, concurrency=PAGES, limiter=None) as inventory:
            assert await _most_pages_in_a_turn(server, inventory) <= 2


async def test_a_page_that_is_alone_waits_for_no_turn() -> None:
    async with ListingServer(Listing(names(1))) as server, quick_client(server.url) as client:
        turns = client._transport.turn
        assert await turns._lock.acquire()  # whoever waits for a turn now waits for ever
        async with asyncio.timeout(10):
            assert len((await client.list_clusters()).clusters) == 1
        assert turns.in_flight == 0


@pytest.mark.parametrize("status", [200, 429])
async def test_what_asks_for_a_pause_waits_for_no_turn(status: int) -> None:
    refusal = response({"code": 429, "message": "too many"}, status=status, headers=[("Retry-After", "3600")])

    def pages(page: int, size: int) -> bytes:
        return refusal if page == 2 else page_of(names(size))

    once = RetryPolicy(attempts=1, deadline=3000.0, hold_back_max=3600.0)
    async with ListingServer(pages, held=True) as server, quick_client(server.url, retry=once) as client:
        assert await client._transport.turn._lock.acquire()  # whoever waits for a turn now waits for ever
        other = asyncio.create_task(client.list_clusters(page_size=1))
        server.release(2)
        async with asyncio.timeout(10):
            await server.received(1)
            with pytest.raises(RateLimitError):
                await client.list_clusters(current_page=2, page_size=1)
            # The pause is known at once: nothing of the next 3000 seconds would be allowed.
            with pytest.raises(TransportError, match="the pause that the service asked for"):
                await client.list_clusters(current_page=3, page_size=1)
        other.cancel()
        await asyncio.wait([other])


@pytest.mark.parametrize("status", [302, 401, 600])
async def test_what_is_no_page_waits_for_no_turn(status: int) -> None:
    refusal = response(b"", status=status)

    def pages(page: int, size: int) -> bytes:
        return refusal if page == 2 else page_of(names(size))

    async with ListingServer(pages, held=True) as server, quick_client(server.url) as client:
        assert await client._transport.turn._lock.acquire()  # whoever waits for a turn now waits for ever
        other = asyncio.create_task(client.list_clusters(page_size=1))
        server.release(2)
        async with asyncio.timeout(10):
            await server.received(1)
            with pytest.raises(ZillizError):
                await client.list_clusters(current_page=2, page_size=1)
        other.cancel()
        await asyncio.wait([other])
