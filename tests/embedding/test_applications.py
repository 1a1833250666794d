from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import uvicorn
from aiohttp import web

from aiozilliz.testing import Fault
from tests.cookbook.recipes import load

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from aiozilliz.testing import FakeZillizCloud

pytestmark = pytest.mark.usefixtures("logged_in")


@asynccontextmanager
async def fastapi_served(folder: Path) -> AsyncGenerator[str, None]:
    app = load(folder, "app.py").create_app()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, ws="none", log_config=None))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@asynccontextmanager
async def aiohttp_served(folder: Path) -> AsyncGenerator[str, None]:
    runner = web.AppRunner(load(folder, "web_app.py").create_app())
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


SERVED = [fastapi_served, aiohttp_served]


@pytest.mark.parametrize("served", SERVED)
async def test_an_application_serves_the_clusters_from_one_client(
    served: Any, fake_zilliz_cloud: FakeZillizCloud, tmp_path: Path
) -> None:
    async with served(tmp_path) as url, aiohttp.ClientSession() as session:

        async def ask() -> Any:
            async with session.get(f"{url}/clusters") as response:
                assert response.status == 200
                return await response.json()

        first = await ask()
        others = await asyncio.gather(*(ask() for _ in range(3)))

    assert first == list(fake_zilliz_cloud.clusters)
    assert others == [first] * 3
    connections = {request.connection for request in fake_zilliz_cloud.requests}
    assert len(fake_zilliz_cloud.requests) == 4 * 3
    assert len(connections) <= 3  # the pool of the one client


@pytest.mark.parametrize("served", SERVED)
async def test_an_application_outlives_a_failure(
    served: Any, fake_zilliz_cloud: FakeZillizCloud, tmp_path: Path
) -> None:
    async with served(tmp_path) as url, aiohttp.ClientSession() as session:
        fake_zilliz_cloud.fail_next(Fault.code(21119, "no", status=401))
        async with session.get(f"{url}/clusters") as response:
            assert response.status in {500, 502}
        async with session.get(f"{url}/clusters") as response:
            assert len(await response.json()) == 250


async def test_fastapi_tells_what_failed(fake_zilliz_cloud: FakeZillizCloud, tmp_path: Path) -> None:
    async with fastapi_served(tmp_path) as url, aiohttp.ClientSession() as session:
        fake_zilliz_cloud.fail_next(Fault.code(21119, "no such key", status=401))
        async with session.get(f"{url}/clusters") as response:
            assert response.status == 502
            assert "no such key" in (await response.json())["detail"]
