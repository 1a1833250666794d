"""A client in a thread, for synchronous code: many callers, slow calls, errors, forks, and its end."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import AuthenticationError, ClusterPage, Snapshot, ZillizClient
from aiozilliz.testing import FakeZillizCloud, Fault
from tests.cookbook.recipes import load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cookbook.conftest import StartRecipe


async def snapshot(client: ZillizClient) -> Snapshot:
    return await client.snapshot()


async def one_page(client: ZillizClient) -> ClusterPage:
    return await client.list_clusters()


@pytest.fixture
def module(tmp_path: Path) -> Any:
    return load(tmp_path, "background.py")


def test_any_thread_can_use_the_one_client(fake_zilliz_cloud: FakeZillizCloud, module: Any) -> None:
    before = threading.active_count()
    with module.BackgroundClient(api_key="k", base_url=fake_zilliz_cloud.url, limiter=None) as background:
        with ThreadPoolExecutor(4) as threads:
            snapshots: list[Snapshot] = list(threads.map(background.run, [snapshot] * 8))
        assert [len(found) for found in snapshots] == [250] * 8
        fake_zilliz_cloud.fail_next(Fault.code(21119, "no such key", status=401))
        with pytest.raises(AuthenticationError):
            background.run(one_page)
        assert background.run(one_page).count == 250
    assert threading.active_count() == before


def test_a_slow_call_is_cancelled(fake_zilliz_cloud: FakeZillizCloud, module: Any) -> None:
    fake_zilliz_cloud.fail_next(Fault.delay(3600))
    with module.BackgroundClient(api_key="k", base_url=fake_zilliz_cloud.url) as background:
        with pytest.raises(TimeoutError):
            background.run(one_page, timeout=0.1)
        assert background.run(one_page).count == 250


def test_its_end_ends_a_call_of_another_thread(fake_zilliz_cloud: FakeZillizCloud, module: Any) -> None:
    arrived = threading.Event()
    fake_zilliz_cloud.between_pages(arrived.set)
    ended: list[BaseException] = []

    async def list_twice(client: ZillizClient) -> None:
        await client.list_clusters()
        fake_zilliz_cloud.fail_next(Fault.delay(3600))
        await client.list_clusters()

    def call() -> None:
        try:
            background.run(list_twice)
        except (RuntimeError, CancelledError) as error:
            ended.append(error)

    with module.BackgroundClient(api_key="k", base_url=fake_zilliz_cloud.url) as background:
        caller = threading.Thread(target=call)
        caller.start()
        assert arrived.wait(60)
    caller.join(60)
    fake_zilliz_cloud.clear_faults()
    assert len(ended) == 1


FORKED = """
import os
from background import BackgroundClient

if not os.fork():
    with BackgroundClient() as background:
        print(len(background.run(lambda client: client.snapshot())), flush=True)
    os._exit(0)
assert os.wait()[1] == 0
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork here")
@pytest.mark.usefixtures("folder", "fake_zilliz_cloud")
def test_it_runs_in_a_process_that_was_forked(start: StartRecipe) -> None:
    process = start(sys.executable, "-c", FORKED)
    assert process.communicate(timeout=60) == ("250\n", "")
    assert process.returncode == 0


CELL = """
try:
    asyncio.run(asyncio.sleep(0))
except RuntimeError as error:
    refused = str(error)
async with ZillizClient("k", base_url=url) as client:
    found = [cluster async for cluster in client.iter_clusters()]
"""


async def test_a_cell_of_a_notebook_awaits(fake_zilliz_cloud: FakeZillizCloud) -> None:
    import ast
    import asyncio
    import warnings

    names: dict[str, Any] = {"asyncio": asyncio, "ZillizClient": ZillizClient, "url": fake_zilliz_cloud.url}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the coroutine that was refused was never awaited
        await eval(compile(CELL, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)  # noqa: S307
    assert "running event loop" in names["refused"]
    assert len(names["found"]) == 250
