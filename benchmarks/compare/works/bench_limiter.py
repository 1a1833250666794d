"""Sixty pages under a limit of 20 requests in any one second, which the server enforces: how long, and how often refused."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import aiohttp
from aiolimiter import AsyncLimiter

from aiozilliz import ZillizClient
from benchmarks.compare.peers.handwritten import aiohttp_gather
from benchmarks.compare.peers.subject import walk_clusters
from benchmarks.compare.report import Row, make_row
from benchmarks.compare.stand import Loop, Server, compare

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

PAGES = 60
RATE = 20
LEAST = PAGES / RATE - 1
"""Seconds: the first 20 at once, 20 more a second later, and so on."""


def run(_: int | None) -> Iterator[Row]:
    """Measure once: the clock decides, not the machine."""
    # A fresh server for each: it remembers the last second.
    with Server(records=PAGES * 100, rate_limit=RATE) as server, Loop() as loop:
        client = loop.enter(lambda: ZillizClient("any-key", base_url=server.url))
        ours, note = _time(loop, server, walk_clusters, client, 100, RATE)
    with Server(records=PAGES * 100, rate_limit=RATE) as server, Loop() as loop:
        session = loop.enter(aiohttp.ClientSession)
        theirs, their_note = _time(loop, server, _gather, session, server.url)
    name = f"{PAGES} pages, {RATE} in any one second"
    peer = "aiohttp + `AsyncLimiter(1, 1/20)`"
    least = f"{PAGES} at that rate at best"
    yield make_row(name, "aiozilliz", least, compare([ours], [LEAST]), unit="s", scale=1.0, note=note)
    yield make_row(name, "aiozilliz", peer, compare([ours], [theirs]), unit="s", scale=1.0, note=note)
    yield make_row(name, peer, least, compare([theirs], [LEAST]), unit="s", scale=1.0, note=their_note)


def _time(
    loop: Loop, server: Server, coroutine: Callable[..., Coroutine[Any, Any, int]], *arguments: object
) -> tuple[float, str]:
    started = time.perf_counter()
    assert loop.work(coroutine, *arguments)() == PAGES * 100
    taken = time.perf_counter() - started
    seen = server.stats()
    return taken, f"{seen['requests']} requests, {seen['refused']} refused"


async def _gather(session: aiohttp.ClientSession, url: str) -> int:
    return await aiohttp_gather(session, url, 100, AsyncLimiter(1, 1 / RATE))
