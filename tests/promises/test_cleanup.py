"""A `break`, a cancelled task or an exception in the consumer leaves nothing behind (promise 6)."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import subprocess
import sys
import weakref
from contextlib import aclosing
from textwrap import indent
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.listing_server import Listing, ListingServer, names, nothing_left, page_of, read, take
from tests.support.running import complaints
from tests.support.wire_server import response

if TYPE_CHECKING:
    from pathlib import Path

    from aiozilliz import ClusterIterator

concurrent = pytest.mark.parametrize("concurrency", [1, 2, 8])


async def consume(clusters: ClusterIterator, ending: str) -> None:
    """Take four records, and leave in the middle."""
    seen = 0
    async for _ in clusters:
        seen += 1
        if seen == 4:
            if ending == "break":
                break
            if ending == "raise":
                raise LookupError
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)


ENDINGS = {"break": None, "raise": LookupError, "cancel": asyncio.CancelledError}


async def left_by(clusters: ClusterIterator, ending: str) -> None:
    result = (await asyncio.gather(asyncio.create_task(consume(clusters, ending)), return_exceptions=True))[0]
    assert type(result) is (ENDINGS[ending] or type(None))


@concurrent
@pytest.mark.parametrize("ending", ENDINGS)
async def test_nothing_is_left_once_the_client_is_closed(ending: str, concurrency: int) -> None:
    async with ListingServer(Listing(names(60))) as server:
        async with server.client() as client:
            server.release(1, 2)
            server.hold()
            clusters = client.iter_clusters(page_size=3, concurrency=concurrency)
            await left_by(clusters, ending)
            if concurrency > 1:
                await server.received(3)
                assert server.in_flight
        await nothing_left(server)
        with pytest.raises(RuntimeError, match="the client is closed"):
            await read(clusters)


@concurrent
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("manager", ["itself", "aclosing"])
async def test_as_a_context_manager_it_leaves_nothing_at_the_break_itself(
    manager: str, ending: str, concurrency: int
) -> None:
    async with ListingServer(Listing(names(60))) as server, server.client() as client:
        server.release(1, 2)
        server.hold()

        async def leave() -> None:
            clusters = client.iter_clusters(page_size=3, concurrency=concurrency)
            async with clusters if manager == "itself" else aclosing(clusters):
                await consume(clusters, ending)

        result = (await asyncio.gather(asyncio.create_task(leave()), return_exceptions=True))[0]
        assert type(result) is (ENDINGS[ending] or type(None))
        await server.settled()
        await server.idle()
        server.release_all()
        assert (await client.list_clusters()).count == 60


async def test_one_at_a_time_holds_nothing_open_between_two_records() -> None:
    async with ListingServer(Listing(names(60))) as server, server.client() as client:
        async for _ in client.iter_clusters(page_size=3):
            assert server.in_flight == 0
            await client.list_clusters()
        assert server.connections == 1  # each was free again before its records were given


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("closing", [False, True])
async def test_an_iterator_that_is_forgotten_leaves_requests_that_end_by_themselves_or_with_the_client(
    caplog: pytest.LogCaptureFixture, *, closing: bool, fails: bool
) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    asyncio.get_running_loop().slow_callback_duration = math.inf  # a slow machine is no complaint

    def pages(page: int, size: int) -> bytes:
        if fails and page > 2:
            return response(status=400)
        return page_of(names(size, (page - 1) * size), count=60)

    async with ListingServer(pages, held=True) as server:
        async with server.client() as client:
            server.release(1, 2, *(range(3, 9) if fails else ()))
            clusters = client.iter_clusters(page_size=3, concurrency=4)
            await take(clusters, 4)
            if fails:
                await server.settled()
            else:
                await server.received(4)
            asked = len(server.requests)
            forgotten = weakref.ref(clusters)
            del clusters
            gc.collect()
            assert server.in_flight <= 4
            if not closing:
                server.release_all()
                await server.settled()
                await server.idle()
                assert len(server.requests) == asked
                await client.list_clusters()
                gc.collect()
                assert forgotten() is None
        assert len(server.requests) == asked + (not closing)
        await nothing_left(server)
        gc.collect()
        assert forgotten() is None
    assert told == []
    assert not [record for record in caplog.records if record.levelname in {"WARNING", "ERROR", "CRITICAL"}]


@concurrent
async def test_an_iterator_that_came_to_its_end_is_freed_without_the_garbage_collector(
    concurrency: int,
) -> None:
    async with ListingServer(Listing(names(9))) as server, server.client() as client:
        clusters = client.iter_clusters(page_size=3, concurrency=concurrency)
        await read(clusters)
        forgotten = weakref.ref(clusters)
        gc.disable()
        try:
            del clusters
            assert forgotten() is None
        finally:
            gc.enable()


PROGRAM = """
import asyncio, contextlib, gc, sys
from aiozilliz import RetryPolicy, ZillizClient
from aiozilliz.testing import FakeZillizCloud, Fault

kept = []
concurrency = {concurrency}

def client(cloud):
    return ZillizClient("k", base_url=cloud.url, limiter=None, retry=RetryPolicy(attempts=1))

async def main(cloud):
{body}

with FakeZillizCloud(40) as cloud:
    with contextlib.suppress(BaseException):
        asyncio.run(main(cloud))
    print(len(cloud.requests) > 0)
"""

BODIES = {
    "a break": """
async with client(cloud) as c:
    async for cluster in c.iter_clusters(page_size=3, concurrency=concurrency):
        break
""",
    "a break, kept until the interpreter ends": """
async with client(cloud) as c:
    kept.append(c.iter_clusters(page_size=3, concurrency=concurrency))
    async for cluster in kept[0]:
        break
""",
    "a break in a function, forgotten": """
async with client(cloud) as c:
    async def first():
        async for cluster in c.iter_clusters(page_size=3, concurrency=concurrency):
            return cluster
    await first()
    gc.collect()
""",
    "an exception": """
async with client(cloud) as c:
    async for cluster in c.iter_clusters(page_size=3, concurrency=concurrency):
        raise LookupError
""",
    "an scope": """
async with client(cloud) as c:
    async for cluster in c.iter_clusters(page_size=3, concurrency=concurrency):
        raise KeyboardInterrupt
""",
    "sys.exit": """
async with client(cloud) as c:
    async for cluster in c.iter_clusters(page_size=3, concurrency=concurrency):
        sys.exit(3)
""",
    "a cancelled task": """
async with client(cloud) as c:
    async def read():
        async for cluster in c.iter_clusters(page_size=3, concurrency=concurrency):
            await asyncio.Event().wait()
    task = asyncio.create_task(read())
    while not cloud.requests:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
""",
    "a loop that ends right after aclose": """
c = client(cloud)
await c.__aenter__()
clusters = c.iter_clusters(page_size=3, concurrency=concurrency)
await anext(clusters)
await clusters.aclose()
await c.aclose()
""",
    "a task still reading when the loop ends": """
async with client(cloud) as c:
    reached = asyncio.Event()
    async def read():
        async for cluster in c.iter_clusters(page_size=3, concurrency=concurrency):
            reached.set()
            await asyncio.Event().wait()
    kept.append(asyncio.create_task(read()))
    await reached.wait()
""",
    "an error nobody looked at": """
async with client(cloud) as c:
    clusters = c.iter_clusters(page_size=3, concurrency=concurrency)
    await anext(clusters)
    cloud.fail_next(Fault.status(400), times=None)
    with contextlib.suppress(Exception):
        async for cluster in clusters:
            pass
    cloud.clear_faults()
""",
}


@pytest.mark.parametrize("concurrency", [1, 4])
def test_the_interpreter_ends_without_a_word(concurrency: int, tmp_path: Path) -> None:
    # All in one process: starting one takes longer than what is shown.
    program = "".join(
        PROGRAM.format(body=indent(body, "    "), concurrency=concurrency) for body in BODIES.values()
    )
    path = tmp_path / "program.py"
    path.write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", str(path)],
        env={**os.environ, "PYTHONASYNCIODEBUG": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert complaints(done.stderr) == ""
    assert done.stdout == "True\n" * len(BODIES)
    assert done.returncode == 0
