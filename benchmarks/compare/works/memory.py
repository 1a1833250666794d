"""Peaks of memory: what Python allocates is counted, in a new process for each work.

    python -m benchmarks.compare.works.memory clusters http://127.0.0.1:8000 10000

tracemalloc reports the same figure on every machine. It slows the work down, but time does not matter here, so that
many can run at once and on every core.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING, Final

import aiohttp

from aiozilliz import ZillizClient
from benchmarks.compare.peers.handwritten import aiohttp_orjson
from benchmarks.compare.peers.subject import make_accounts, walk_accounts, walk_clusters
from benchmarks.compare.records import make_id
from benchmarks.compare.report import Row, make_row
from benchmarks.compare.stand import Server, compare, unpinned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

RECORDS: Final = 1_000_000
RECORDS_OF_ACCOUNT: Final = 300
_MEGABYTE: Final = 1 / (1024 * 1024)


def measure_memory(_: int | None, records: int = RECORDS) -> Iterator[Row]:
    """Measure a stream of a million clusters, once, against a set of their ids: the result does not vary.

    The ids must be remembered, so that no record is yielded twice; nothing else should grow.
    """
    works = ("clusters", "ids", "ids", "dicts")
    with Server(records=records) as server:
        ours, ids, again, dicts = measure_peaks([(name, server.url, records) for name in works])
    name = f"stream {records:,} records"
    note = f"{ours / records:.0f} bytes a record"
    for subject, taken, label, control in (
        ("aiozilliz", ours, "a set of the ids", False),
        ("aiohttp + orjson, keeps none", dicts, "a set of the ids", False),
        ("control", again, "the same again", True),
    ):
        yield make_row(
            name,
            subject,
            label,
            compare([taken], [ids]),
            unit="MiB",
            scale=_MEGABYTE,
            note=note if subject == "aiozilliz" else "",
            control=control,
        )


def measure_peaks(works: Sequence[tuple[str, str, int]]) -> list[int]:
    """Return the peak of allocated bytes, above the start, of each of these works, which run at once.

    Args:
        works: For each its name, the URL of the server, and the expected number of records or accounts.
    """
    with unpinned():
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.compare.works.memory", name, url, str(number)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for name, url, number in works
        ]
    outputs = [process.communicate()[0] for process in processes]
    for process in processes:
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, process.args)
    return [int(text) for text in outputs]


def stream_clusters(url: str, number: int) -> int:
    """Walk with the client, after one page as a warm-up."""

    async def walk() -> int:
        async with ZillizClient("any-key", base_url=url, limiter=None) as client:
            await client.list_clusters()
            before = _begin()
            assert await walk_clusters(client) == number
            return _highest() - before

    return asyncio.run(walk())


def stream_dicts(url: str, number: int) -> int:
    """Walk with a plain loop that remembers nothing."""

    async def walk() -> int:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{url}/v2/clusters?pageSize=100&currentPage=1") as response:
                await response.read()
            before = _begin()
            assert await aiohttp_orjson(session, url, 100) == number
            return _highest() - before

    return asyncio.run(walk())


def gather_ids(_: str, number: int) -> int:
    """Put all ids into a set, and nothing else."""
    before = _begin()
    ids: set[str] = set()
    for index in range(number):
        ids.add(make_id(index))
    assert len(ids) == number
    return _highest() - before


def stream_accounts(url: str, number: int) -> int:
    """Walk accounts, 64 requests at once; objects made for the accounts count too."""

    async def walk() -> int:
        await walk_accounts(make_accounts(url, 1), 100, 1)
        before = _begin()
        assert await walk_accounts(make_accounts(url, number), 100, 64) == number * RECORDS_OF_ACCOUNT
        return _highest() - before

    return asyncio.run(walk())


def _begin() -> int:
    tracemalloc.start()
    return tracemalloc.get_traced_memory()[0]


def _highest() -> int:
    return tracemalloc.get_traced_memory()[1]


_WORKS: Final[dict[str, Callable[[str, int], int]]] = {
    "clusters": stream_clusters,
    "dicts": stream_dicts,
    "ids": gather_ids,
    "accounts": stream_accounts,
}

if __name__ == "__main__":
    print(_WORKS[sys.argv[1]](sys.argv[2], int(sys.argv[3])))
