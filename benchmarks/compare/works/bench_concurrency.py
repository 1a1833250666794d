"""Fifty pages of a service that takes 50 ms for each: how near prefetching comes to what the round trips allow.

All begin cold, so that opening connections is part of it.
"""

from __future__ import annotations

import asyncio
from math import ceil
from typing import TYPE_CHECKING

import aiohttp

from benchmarks.compare.peers.handwritten import aiohttp_gather, bare_trips
from benchmarks.compare.peers.subject import walk_cold
from benchmarks.compare.report import Row, make_row
from benchmarks.compare.stand import Loop, Server, alternate

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = 50
LATENCY = 0.05


def run(rounds: int | None) -> Iterator[Row]:
    """Measure with few and with many requests in flight."""
    for concurrency in (8, PAGES - 1):
        yield from _prefetch(concurrency, rounds or 5)


def _prefetch(concurrency: int, rounds: int) -> Iterator[Row]:
    trips = 1 + ceil((PAGES - 1) / concurrency)
    with Server(records=PAGES * 100, latency=LATENCY) as server, Loop() as loop:
        aiozilliz = loop.work(walk_cold, server.url, 100, concurrency)
        gather = loop.work(_gather, server.url, concurrency)
        assert aiozilliz() == gather() == PAGES * 100
        server.stats()
        aiozilliz()
        seen = server.stats()
        times = alternate(
            {
                "aiozilliz": aiozilliz,
                "gather": gather,
                "copy": loop.work(_gather, server.url, concurrency),
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


async def _gather(url: str, concurrency: int) -> int:
    async with aiohttp.ClientSession() as session:
        return await aiohttp_gather(session, url, 100, asyncio.Semaphore(concurrency))
