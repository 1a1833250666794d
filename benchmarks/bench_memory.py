"""Streaming very many clusters: memory at its highest, against a set of their ids alone.

An id that has been given must be remembered, so that none is given twice; nothing else should grow. What Python
allocates is counted (tracemalloc), in a process for each: this gives the same figure on every machine.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING, Final

import aiohttp

from aiozilliz import ZillizClient
from benchmarks.peers import aiohttp_orjson
from benchmarks.records import make_id
from benchmarks.report import Row, make_row
from benchmarks.stand import Server, compare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECORDS: Final = 200_000
_MEGABYTE: Final = 1 / (1024 * 1024)


def run(_: int | None) -> Iterator[Row]:
    """Measure once: nothing in it is a matter of chance."""
    with Server(records=RECORDS) as server:
        taken = {name: _measure_apart(name, server.url) for name in ("aiozilliz", "ids", "copy", "dicts")}
    name = f"stream {RECORDS:,} records"
    for subject, peer, label, control in (
        ("aiozilliz", "ids", "a set of the ids", False),
        ("dicts", "ids", "a set of the ids", False),
        ("copy", "ids", "the same again", True),
    ):
        who = {"dicts": "aiohttp + orjson, keeps none", "copy": "control"}.get(subject, subject)
        ratio = compare([taken[subject]], [taken[peer]])
        yield make_row(name, who, label, ratio, unit="MiB", scale=_MEGABYTE, control=control)


def _measure_apart(name: str, url: str) -> int:
    command = [sys.executable, "-m", "benchmarks.bench_memory", name, url]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def stream_clusters(url: str) -> int:
    """Walk with the client; give the bytes allocated at most beyond those before."""

    async def walk() -> int:
        async with ZillizClient("any-key", base_url=url, limiter=None) as client:
            await client.list_clusters()
            before = _begin()
            received = 0
            async for _ in client.iter_clusters():
                received += 1
            assert received == RECORDS
            return _highest() - before

    return asyncio.run(walk())


def stream_dicts(url: str) -> int:
    """Walk with a plain loop that remembers nothing."""

    async def walk() -> int:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{url}/v2/clusters?pageSize=100&currentPage=1") as response:
                await response.read()
            before = _begin()
            assert await aiohttp_orjson(session, url, 100) == RECORDS
            return _highest() - before

    return asyncio.run(walk())


def gather_ids(_: str) -> int:
    """Put all ids into a set, and nothing else."""
    before = _begin()
    ids: set[str] = set()
    for index in range(RECORDS):
        ids.add(make_id(index))
    assert len(ids) == RECORDS
    return _highest() - before


def _begin() -> int:
    tracemalloc.start()
    return tracemalloc.get_traced_memory()[0]


def _highest() -> int:
    return tracemalloc.get_traced_memory()[1]


_WORKS: Final[dict[str, Callable[[str], int]]] = {
    "aiozilliz": stream_clusters,
    "dicts": stream_dicts,
    "ids": gather_ids,
    "copy": gather_ids,
}

if __name__ == "__main__":
    print(_WORKS[sys.argv[1]](sys.argv[2]))
