"""The limiter that processes share through Redis: what reaches the service, and what happens without Redis."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import RetryPolicy, TransportError, ZillizClient
from tests.cookbook.recipes import load
from tests.cookbook.redis_server import RedisServer
from tests.support.wire_server import OK, Exchange, WireServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aiozilliz.testing import FakeZillizCloud
    from tests.cookbook.conftest import StartRecipe

aioredis: Any = pytest.importorskip(
    "redis.asyncio", reason="redis, which the recipe uses, is not installed", exc_type=ImportError
)

KEY = "zilliz:ann"

# As the recipe says it, with requests in a row for a time that the test sets.
WORKER = """
import asyncio, os, sys, time
from redis.asyncio import Redis
from redis_limiter import RedisLimiter
from aiozilliz import ZillizClient

async def work(client, until):
    while time.monotonic() < until:
        await client.list_clusters()

async def main():
    async with Redis.from_url(os.environ["REDIS_URL"]) as redis, ZillizClient(limiter=RedisLimiter(redis, "zilliz:ann")) as client:
        print("ready", flush=True)
        sys.stdin.readline()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(5):
                tasks.create_task(work(client, time.monotonic() + float(os.environ["SECONDS"])))

asyncio.run(main())
"""


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def limiters(tmp_path: Path) -> Any:
    return load(tmp_path, "redis_limiter.py")


def in_one_second(moments: list[float]) -> int:
    """Return the largest number of moments in any one second."""
    return max(sum(first <= moment < first + 0.998 for moment in moments) for first in moments)


def test_no_more_than_twenty_a_second_of_all_processes_reach_the_service(
    fake_zilliz_cloud: FakeZillizCloud, redis_server: RedisServer, folder: Path, start: StartRecipe
) -> None:
    (folder / "worker.py").write_text(WORKER, "utf-8")
    seconds = 3.0

    workers = [
        start(sys.executable, "worker.py", REDIS_URL=redis_server.redis_url, SECONDS=str(seconds))
        for _ in range(4)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    assert [worker.communicate("go\n", timeout=60)[1] for worker in workers] == [""] * 4
    assert [worker.returncode for worker in workers] == [0] * 4

    moments = [request.monotonic for request in fake_zilliz_cloud.requests]
    assert {request.connection for request in fake_zilliz_cloud.requests} >= {1, 2, 3, 4}
    assert len(moments) > 20
    assert in_one_second(moments) <= 20


async def test_a_slot_is_free_again_a_second_after_the_response_or_the_cancellation(
    redis_server: RedisServer, limiters: Any
) -> None:
    async def script(exchange: Exchange) -> None:
        await (exchange.send(OK) if exchange.number == 1 else exchange.silence())

    async with WireServer(script) as server, aioredis.Redis.from_url(redis_server.redis_url) as redis:
        limiter = limiters.RedisLimiter(redis, KEY)

        async def seconds_left() -> list[float]:
            now, micro = await redis.time()
            return [free - now - micro / 1e6 for _, free in await redis.zrange(KEY, 0, -1, withscores=True)]

        async with ZillizClient("k", base_url=server.url, limiter=limiter) as client:
            await client.list_clusters()
            assert all(left <= 1 for left in await seconds_left())
            await redis.delete(KEY)

            call = asyncio.create_task(client.list_clusters())
            async with asyncio.timeout(60):
                await server.received(2)
            (held,) = await seconds_left()
            assert held > 10
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            (resting,) = await seconds_left()
            assert resting <= 1


async def test_the_deadline_counts_while_others_hold_every_slot(
    fake_zilliz_cloud: FakeZillizCloud, redis_server: RedisServer, limiters: Any
) -> None:
    async with aioredis.Redis.from_url(redis_server.redis_url) as redis:
        others = limiters.RedisLimiter(redis, KEY)
        for _ in range(20):
            await others.__aenter__()
        retry = RetryPolicy(deadline=0.3)
        limiter = limiters.RedisLimiter(redis, KEY)
        async with ZillizClient("k", base_url=fake_zilliz_cloud.url, limiter=limiter, retry=retry) as client:
            with pytest.raises(TransportError, match="waiting for the limiter"):
                await client.list_clusters()
        assert fake_zilliz_cloud.requests == []

        # One that ends makes room, and a crashed process's slots come back by themselves.
        await others.__aexit__(None, None, None)
        async with ZillizClient("k", base_url=fake_zilliz_cloud.url, limiter=limiter) as client:
            await client.list_clusters()
        assert len(fake_zilliz_cloud.requests) == 1
        brief = limiters.RedisLimiter(redis, "zilliz:bo", rate=1, hold=0.05)
        await brief.__aenter__()  # and never left
        async with asyncio.timeout(60), brief:
            pass


@pytest.mark.parametrize("fault", ["it has ended", "it hangs"])
async def test_without_redis_nothing_is_sent(
    fault: str, fake_zilliz_cloud: FakeZillizCloud, redis_server: RedisServer, limiters: Any
) -> None:
    with redis_server.hanging() if fault == "it hangs" else redis_server.ended():
        async with aioredis.Redis.from_url(redis_server.redis_url) as redis:
            limiter = limiters.RedisLimiter(redis, KEY)
            retry = RetryPolicy(deadline=0.3)
            async with ZillizClient(
                "k", base_url=fake_zilliz_cloud.url, limiter=limiter, retry=retry
            ) as client:
                with pytest.raises(TransportError, match="waiting for the limiter"):
                    await client.list_clusters()
    assert fake_zilliz_cloud.requests == []


async def test_a_call_goes_on_when_redis_is_back(
    fake_zilliz_cloud: FakeZillizCloud,
    redis_server: RedisServer,
    limiters: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warned = asyncio.Event()

    def warn(*_told: object) -> None:
        warned.set()

    monkeypatch.setattr(limiters.logger, "warning", warn)
    redis_server.stop()
    async with aioredis.Redis.from_url(redis_server.redis_url) as redis:
        limiter = limiters.RedisLimiter(redis, KEY)
        async with ZillizClient("k", base_url=fake_zilliz_cloud.url, limiter=limiter) as client:
            call = asyncio.create_task(client.list_clusters())
            async with asyncio.timeout(60):
                await warned.wait()
            assert fake_zilliz_cloud.requests == []
            await asyncio.to_thread(redis_server.start)
            assert (await call).count == 250


@pytest.mark.parametrize("fault", ["it has ended", "it hangs"])
async def test_a_response_is_not_lost_without_redis(
    fault: str, redis_server: RedisServer, limiters: Any
) -> None:
    with ExitStack() as faults:

        async def script(exchange: Exchange) -> None:
            faults.enter_context(redis_server.hanging() if fault == "it hangs" else redis_server.ended())
            await exchange.send(OK)

        async with (
            WireServer(script) as server,
            aioredis.Redis.from_url(redis_server.redis_url) as redis,
            ZillizClient("k", base_url=server.url, limiter=limiters.RedisLimiter(redis, KEY)) as client,
        ):
            assert (await client.list_clusters()).count == 1
