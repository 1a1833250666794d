"""Many accounts of three pages each, at a service that takes 50 ms a page: how near their walks come to the bound.

All begin cold, so that opening connections is part of it.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from benchmarks.compare.peers.handwritten import bare_trips, gather_accounts
from benchmarks.compare.peers.subject import make_accounts, walk_accounts
from benchmarks.compare.report import Row, make_row
from benchmarks.compare.stand import Loop, Server, alternate

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNTS = 300
PAGES = 3
LATENCY = 0.05
CONCURRENCY = 64


def run(rounds: int | None, accounts: int = ACCOUNTS) -> Iterator[Row]:
    """Measure with full and with small pages: the former keep the processor busy, the latter leave it to the waiting."""
    yield from _accounts(accounts, 100, rounds or 1)
    yield from _accounts(accounts, 10, rounds or 1)


def _accounts(number: int, page_size: int, rounds: int) -> Iterator[Row]:
    trips = ceil(number * PAGES / CONCURRENCY)
    records = PAGES * page_size
    with Server(records=records, page_size=page_size, latency=LATENCY) as server, Loop() as loop:
        accounts = make_accounts(server.url, number)
        keys = [f"key-{i}" for i in range(number)]
        aiozilliz = loop.work(walk_accounts, accounts, page_size, CONCURRENCY)
        gather = loop.work(gather_accounts, server.url, keys, page_size, CONCURRENCY)
        noted: list[str] = []
        for work in (aiozilliz, gather):
            server.stats()
            assert work() == number * records
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
    name = (
        f"{number} accounts x {PAGES} pages of {page_size} at {LATENCY * 1000:.0f} ms, {CONCURRENCY} at once"
    )
    least = f"{trips} bare round trips"
    peer = "aiohttp, gather + semaphore"
    yield make_row(name, "aiozilliz", least, times.ratio("aiozilliz", "trips"), note=noted[0])
    yield make_row(name, "aiozilliz", peer, times.ratio("aiozilliz", "gather"), note=noted[0])
    yield make_row(name, peer, least, times.ratio("gather", "trips"), note=noted[1])
    yield make_row(name, "control", "the same again", times.ratio("copy", "gather"), control=True)
