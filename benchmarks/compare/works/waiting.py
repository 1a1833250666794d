"""Pages of a service that takes 50 ms for each, or limits their rate: how near the client comes to the bound.

All start cold, so that opening connections counts too, except under the rate limit, where the clock decides.
"""

from __future__ import annotations

import asyncio
import time
from math import ceil
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiolimiter import AsyncLimiter

from aiozilliz import ZillizClient
from benchmarks.compare.peers.handwritten import aiohttp_gather, bare_trips, gather_accounts
from benchmarks.compare.peers.subject import make_accounts, walk_accounts, walk_clusters, walk_cold
from benchmarks.compare.report import Row, make_row
from benchmarks.compare.stand import Loop, Server, alternate, compare

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

LATENCY: Final = 0.05
"""Seconds for each page."""

PAGES: Final = 50
ACCOUNTS: Final = 300
ACCOUNT_PAGES: Final = 3
CONCURRENCY: Final = 64

LIMITED_PAGES: Final = 60
RATE: Final = 20
LEAST: Final = LIMITED_PAGES / RATE - 1
"""Seconds: the first 20 at once, 20 more a second later, and so on."""


def measure_concurrency(rounds: int | None) -> Iterator[Row]:
    """Measure one list of fifty pages, with few and with many requests in flight."""
    for concurrency in (8, PAGES - 1):
        yield from _prefetch(concurrency, rounds or 5)


def _prefetch(concurrency: int, rounds: int) -> Iterator[Row]:
    trips = 1 + ceil((PAGES - 1) / concurrency)
    with Server(records=PAGES * 100, latency=LATENCY) as server, Loop() as loop:
        aiozilliz = loop.work(walk_cold, server.url, 100, concurrency)
        gather = loop.work(_gather_cold, server.url, concurrency)
        assert aiozilliz() == gather() == PAGES * 100
        server.stats()
        aiozilliz()
        seen = server.stats()
        times = alternate(
            {
                "aiozilliz": aiozilliz,
                "gather": gather,
                "copy": loop.work(_gather_cold, server.url, concurrency),
                "trips": loop.work(bare_trips, server.port, trips),
            },
            rounds,
            at_most=10.0,
        ).wall
    name = f"{PAGES} pages at {LATENCY * 1000:.0f} ms, {concurrency} at once"
    note = f"{seen['requests']} requests, {seen['most_in_flight']} at once at most"
    yield make_row(
        name, "aiozilliz", f"{trips} bare round trips", times.ratio("aiozilliz", "trips"), note=note
    )
    yield make_row(name, "aiozilliz", "aiohttp, gather + semaphore", times.ratio("aiozilliz", "gather"))
    yield make_row(name, "control", "the same again", times.ratio("copy", "gather"), control=True)


async def _gather_cold(url: str, concurrency: int) -> int:
    async with aiohttp.ClientSession() as session:
        return await aiohttp_gather(session, url, 100, asyncio.Semaphore(concurrency))


def measure_inventory(rounds: int | None) -> Iterator[Row]:
    """Measure many accounts with full and with small pages: the former keep the processor busy, the latter mostly wait."""
    yield from _accounts(100, rounds or 1)
    yield from _accounts(10, rounds or 1)


def _accounts(page_size: int, rounds: int) -> Iterator[Row]:
    trips = ceil(ACCOUNTS * ACCOUNT_PAGES / CONCURRENCY)
    records = ACCOUNT_PAGES * page_size
    with Server(records=records, page_size=page_size, latency=LATENCY) as server, Loop() as loop:
        accounts = make_accounts(server.url, ACCOUNTS)
        keys = [f"key-{i}" for i in range(ACCOUNTS)]
        aiozilliz = loop.work(walk_accounts, accounts, page_size, CONCURRENCY)
        gather = loop.work(gather_accounts, server.url, keys, page_size, CONCURRENCY)
        noted: list[str] = []
        for work in (aiozilliz, gather):
            server.stats()
            assert work() == ACCOUNTS * records
            seen = server.stats()
            assert seen["most_in_flight"] <= CONCURRENCY
            noted.append(f"{seen['requests']} requests, {seen['most_in_flight']} at once at most")
        times = alternate(
            {
                "aiozilliz": aiozilliz,
                "gather": gather,
                "copy": loop.work(gather_accounts, server.url, keys, page_size, CONCURRENCY),
                "trips": loop.work(bare_trips, server.port, trips),
            },
            rounds,
            at_most=15.0,
        ).wall
    name = f"{ACCOUNTS} accounts x {ACCOUNT_PAGES} pages of {page_size} at {LATENCY * 1000:.0f} ms, {CONCURRENCY} at once"
    least = f"{trips} bare round trips"
    peer = "aiohttp, gather + semaphore"
    yield make_row(name, "aiozilliz", least, times.ratio("aiozilliz", "trips"), note=noted[0])
    yield make_row(name, "aiozilliz", peer, times.ratio("aiozilliz", "gather"), note=noted[0])
    yield make_row(name, peer, least, times.ratio("gather", "trips"), note=noted[1])
    yield make_row(name, "control", "the same again", times.ratio("copy", "gather"), control=True)


def measure_limiter(_: int | None) -> Iterator[Row]:
    """Measure sixty pages at 20 in any one second, which the server enforces; once, as the clock decides."""
    # A new server for each, because it remembers the last second.
    with Server(records=LIMITED_PAGES * 100, rate_limit=RATE) as server, Loop() as loop:
        client = loop.enter(lambda: ZillizClient("any-key", base_url=server.url))
        ours, note = _time(loop, server, walk_clusters, client, 100, RATE)
    with Server(records=LIMITED_PAGES * 100, rate_limit=RATE) as server, Loop() as loop:
        session = loop.enter(aiohttp.ClientSession)
        theirs, their_note = _time(loop, server, _gather_limited, session, server.url)
    name = f"{LIMITED_PAGES} pages, {RATE} in any one second"
    peer = "aiohttp + `AsyncLimiter(1, 1/20)`"
    least = f"{LIMITED_PAGES} at that rate at best"
    yield make_row(name, "aiozilliz", least, compare([ours], [LEAST]), unit="s", scale=1.0, note=note)
    yield make_row(name, "aiozilliz", peer, compare([ours], [theirs]), unit="s", scale=1.0, note=note)
    yield make_row(name, peer, least, compare([theirs], [LEAST]), unit="s", scale=1.0, note=their_note)


def _time(
    loop: Loop, server: Server, coroutine: Callable[..., Coroutine[Any, Any, int]], *arguments: object
) -> tuple[float, str]:
    started = time.perf_counter()
    assert loop.work(coroutine, *arguments)() == LIMITED_PAGES * 100
    taken = time.perf_counter() - started
    seen = server.stats()
    return taken, f"{seen['requests']} requests, {seen['refused']} refused"


async def _gather_limited(session: aiohttp.ClientSession, url: str) -> int:
    return await aiohttp_gather(session, url, 100, AsyncLimiter(1, 1 / RATE))
