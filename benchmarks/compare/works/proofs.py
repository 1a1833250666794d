"""What a proof costs: a verified walk under the default limiter, and the readings of quiet watches."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from aiozilliz import Inventory, ZillizClient
from benchmarks.compare.peers.handwritten import gather_accounts
from benchmarks.compare.peers.subject import make_accounts
from benchmarks.compare.report import Row, make_row
from benchmarks.compare.stand import Loop, Server, compare
from benchmarks.compare.works.waiting import RATE

if TYPE_CHECKING:
    from collections.abc import Iterator

VERIFIED_PAGES: Final = 100
WATCHED_PAGES: Final = 5
READINGS: Final = 20
ACCOUNTS: Final = 1_000
ACCOUNT_RECORDS: Final = 50
"""Not a full page, as that would need another one for its proof."""

INTERVAL: Final = 3.0
"""Seconds: 1,000 readings must fit in."""

CONCURRENCY: Final = 64


def measure_verify(_: int | None) -> Iterator[Row]:
    """Measure a verified walk of a quiet list under the default limiter; once, as the clock decides."""
    pages = VERIFIED_PAGES
    with Server(records=pages * 100, rate_limit=RATE) as server, Loop() as loop:
        client = loop.enter(lambda: ZillizClient("any-key", base_url=server.url))
        started = time.perf_counter()
        assert loop.work(_walk_verified, client)() == pages * 100
        taken = time.perf_counter() - started
        seen = server.stats()
    requests = 2 * pages - 1
    yield make_row(
        f"{pages} pages verified, 8 at once, the default limiter",
        "aiozilliz",
        f"{requests} requests at {RATE} a second",
        compare([taken], [requests / RATE]),
        unit="s",
        scale=1.0,
        note=f"{seen['requests']} requests, {seen['refused']} refused",
    )


async def _walk_verified(client: ZillizClient) -> int:
    return len([cluster async for cluster in client.iter_clusters(verify=True, concurrency=8)])


def measure_watch(_: int | None) -> Iterator[Row]:
    """Measure readings of quiet lists: the requests of one of several pages, and the CPU time of many of one page."""
    with Server(records=WATCHED_PAGES * 100) as server, Loop() as loop:
        client = loop.enter(lambda: ZillizClient("any-key", base_url=server.url, limiter=None))
        readings = loop.work(_watch, client, server)()
        requests = server.stats()["requests"]
    yield make_row(
        f"watch a quiet list of {WATCHED_PAGES} pages",
        "aiozilliz",
        "its pages, once each",
        compare([requests / readings], [WATCHED_PAGES]),
        unit="requests a reading",
        scale=1.0,
        note=f"{requests} requests, {readings} readings after the first",
    )
    with Server(records=ACCOUNT_RECORDS) as server, Loop() as loop:
        keys = [f"key-{i}" for i in range(ACCOUNTS)]
        gather = loop.work(gather_accounts, server.url, keys, 100, CONCURRENCY)
        gather()
        began = time.process_time()
        assert gather() == ACCOUNTS * ACCOUNT_RECORDS
        theirs = (time.process_time() - began) / ACCOUNTS
        ours, readings = loop.work(_watch_accounts, server.url)()
    yield make_row(
        f"watch {ACCOUNTS:,} quiet accounts of one page, CPU time",
        "aiozilliz, a reading",
        "aiohttp, gather + semaphore, a page",
        compare([ours], [theirs]),
        note=f"{readings:,} readings of {ACCOUNT_RECORDS} records",
    )


async def _watch(client: ZillizClient, server: Server) -> int:
    async with client.watch_clusters(interval=0.1) as watcher:
        for _ in range(WATCHED_PAGES * 100):  # the first reading reports what there is
            await anext(watcher)
        server.stats()
        first = watcher.readings
        waiting = asyncio.ensure_future(anext(watcher))
        while watcher.readings < first + READINGS:  # noqa: ASYNC110  # a reading without a change wakes nobody
            await asyncio.sleep(0.001)
        waiting.cancel()
        return watcher.readings - first


async def _watch_accounts(url: str) -> tuple[float, int]:
    """Return the CPU time of a reading in seconds, and how many were measured."""
    accounts = make_accounts(url, ACCOUNTS)
    async with (
        Inventory(accounts, concurrency=CONCURRENCY, limiter=None) as inventory,
        inventory.watch_clusters(interval=INTERVAL) as watcher,
    ):
        for _ in range(ACCOUNTS * ACCOUNT_RECORDS):
            await anext(watcher)
        waiting = asyncio.ensure_future(anext(watcher))
        await asyncio.sleep(INTERVAL)  # the second readings come at their places in the interval
        first, began = sum(watcher.readings.values()), time.process_time()
        await asyncio.sleep(2 * INTERVAL)
        taken, readings = time.process_time() - began, sum(watcher.readings.values()) - first
        waiting.cancel()
    return taken / readings, readings
