"""The webhook: each change at least once, over failures of the receiver and ends of the process at any moment."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
import stamina
from aiohttp import web
from aiohttp.test_utils import TestServer

from aiozilliz import Snapshot
from tests.cookbook.recipes import load
from tests.support.listing_server import quick_client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from aiozilliz.testing import FakeZillizCloud
    from tests.cookbook.conftest import StartRecipe


class Receiver:
    """Takes events, and answers with `status`; the one of the cluster `unanswered` waits for the end."""

    def __init__(self) -> None:
        self.status = 204
        self.unanswered = ""
        self.over = asyncio.Event()
        self.received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        event = orjson.loads(await request.read())
        self.received.put_nowait(event)
        if event["cluster"]["clusterId"] == self.unanswered:
            await self.over.wait()
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})

    async def welcome(self, _request: web.Request) -> web.Response:
        return web.Response()

    async def next(self) -> tuple[str, str]:
        async with asyncio.timeout(60):
            event = await self.received.get()
        return event["kind"], event["cluster"]["clusterId"]


@asynccontextmanager
async def receiving() -> AsyncGenerator[Receiver, None]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    app.router.add_get("/elsewhere", receiver.welcome)
    async with TestServer(app) as server:
        receiver.url = str(server.make_url("/hook"))
        yield receiver
        receiver.over.set()


class Watch:
    """The recipe's watch, and the sizes of the snapshots that it stores."""

    def __init__(self, module: Any, state: Path) -> None:
        self._module = module
        self._store = module.store
        self._state = state
        self._stored: asyncio.Queue[int] = asyncio.Queue()
        module.store = self._note

    def _note(self, file: Path, snapshot: Snapshot) -> None:
        self._store(file, snapshot)
        self._stored.put_nowait(len(Snapshot.from_json(file.read_bytes())))

    @asynccontextmanager
    async def running(self, url: str, hook: str) -> AsyncGenerator[asyncio.Task[None], None]:
        async with quick_client(url) as client:
            task = asyncio.create_task(self._module.watch(client, hook, self._state, interval=0.05))
            try:
                yield task
            finally:
                task.cancel()
                await asyncio.wait([task])

    async def stored(self, size: int) -> None:
        async with asyncio.timeout(60):
            while await self._stored.get() != size:
                pass


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(load(tmp_path, "webhook.py"), tmp_path / "known.json")


async def test_changes_are_delivered_and_the_first_listing_is_not(
    fake_zilliz_cloud: FakeZillizCloud, watch: Watch
) -> None:
    cloud = fake_zilliz_cloud
    first = cloud.clusters[0]["clusterId"]
    async with receiving() as receiver:
        async with watch.running(cloud.url, receiver.url):
            await watch.stored(250)
            new = cloud.add()
            assert await receiver.next() == ("added", new)
            await watch.stored(251)
            cloud.update(first, cuSize=99)
            assert await receiver.next() == ("modified", first)
            cloud.remove(first)
            assert await receiver.next() == ("removed", first)
            await watch.stored(250)
        assert receiver.received.empty()


async def test_what_changed_while_it_was_down_is_delivered(
    fake_zilliz_cloud: FakeZillizCloud, watch: Watch
) -> None:
    cloud = fake_zilliz_cloud
    async with receiving() as receiver:
        async with watch.running(cloud.url, receiver.url):
            await watch.stored(250)
        new = {cloud.add() for _ in range(3)}
        async with watch.running(cloud.url, receiver.url):
            assert {(await receiver.next())[1] for _ in new} == new
            await watch.stored(253)
        assert receiver.received.empty()


@pytest.mark.parametrize("status", [500, 404, 302])
async def test_a_receiver_that_does_not_take_it_ends_the_watch_and_nothing_is_lost(
    status: int, fake_zilliz_cloud: FakeZillizCloud, watch: Watch
) -> None:
    cloud = fake_zilliz_cloud
    async with receiving() as receiver:
        async with watch.running(cloud.url, receiver.url) as task:
            await watch.stored(250)
            receiver.status = status
            with stamina.set_testing(True, attempts=3):
                new = cloud.add()
                async with asyncio.timeout(60):
                    await asyncio.wait([task])
            with pytest.raises(aiohttp.ClientError, match=str(status)):
                await task
        assert [await receiver.next() for _ in range(3)] == [("added", new)] * 3
        receiver.status = 200
        async with watch.running(cloud.url, receiver.url):
            assert await receiver.next() == ("added", new)
            await watch.stored(251)


async def test_an_event_is_delivered_again_if_the_process_was_killed_before_the_answer(
    fake_zilliz_cloud: FakeZillizCloud, watch: Watch, start: StartRecipe
) -> None:
    cloud = fake_zilliz_cloud
    async with receiving() as receiver:
        async with watch.running(cloud.url, receiver.url):
            await watch.stored(250)
        one, two = cloud.add(), cloud.add()

        async def run_until(*expected: str) -> None:
            """Run the recipe as a process, and kill it while the last event that is expected waits for its answer."""
            receiver.unanswered = expected[-1]
            process = start(sys.executable, "webhook.py", WEBHOOK_URL=receiver.url)
            for cluster_id in expected:
                assert await receiver.next() == ("added", cluster_id)
            process.kill()
            await asyncio.to_thread(process.wait)

        await run_until(one)
        await run_until(one, two)
        await run_until(two)
