"""The recipes for FastAPI and aiohttp.web: the tests that they show, and how they fail, end and share a client."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from fastapi.testclient import TestClient as FastAPIClient

from aiozilliz.testing import Fault
from tests.cookbook.recipes import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fastapi import FastAPI

    from aiozilliz.testing import FakeZillizCloud
    from tests.cookbook.conftest import StartRecipe


def test_the_tests_that_are_shown_pass(folder: Path, start: StartRecipe) -> None:
    (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")

    # With the plugins that a reader has who installed the extra `testing` and nothing else.
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:xdist")
    out, err = start(sys.executable, "-m", "pytest", *options, "test_app.py", "test_web_app.py").communicate(
        timeout=60
    )

    assert err == ""
    assert "3 passed" in out, out


@pytest.fixture
def with_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZILLIZ_API_KEY", "any-key")


@pytest.mark.usefixtures("with_key")
def test_an_inventory_is_proven_and_a_listing_is_not_read_twice(
    fake_zilliz_cloud: FakeZillizCloud, tmp_path: Path
) -> None:
    app: FastAPI = load(tmp_path, "app.py").create_app(fake_zilliz_cloud.url)
    listed = list(fake_zilliz_cloud.clusters)

    with FastAPIClient(app) as client:
        assert client.get("/clusters").json() == listed
        assert len(fake_zilliz_cloud.requests) == 3
        assert client.get("/inventory").json() == listed
        assert len(fake_zilliz_cloud.requests) == 3 + 5
    assert len({request.connection for request in fake_zilliz_cloud.requests}) == 1


@pytest.mark.usefixtures("with_key")
def test_an_inventory_that_cant_be_proven_now_is_503(
    make_fake_zilliz_cloud: Callable[..., FakeZillizCloud], tmp_path: Path
) -> None:
    cloud = make_fake_zilliz_cloud(150)
    app: FastAPI = load(tmp_path, "app.py").create_app(cloud.url)

    @cloud.between_pages
    def change() -> None:
        cloud.remove(cloud.clusters[0]["clusterId"])
        cloud.add()

    with FastAPIClient(app) as client:
        response = client.get("/inventory")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "30"


@pytest.mark.usefixtures("with_key")
def test_an_inventory_that_can_never_be_proven_is_502(
    make_fake_zilliz_cloud: Callable[..., FakeZillizCloud], tmp_path: Path
) -> None:
    cloud = make_fake_zilliz_cloud(150, shape="array")  # no count
    app: FastAPI = load(tmp_path, "app.py").create_app(cloud.url)

    with FastAPIClient(app) as client:
        assert len(client.get("/clusters").json()) == 150
        assert client.get("/inventory").status_code == 502


@pytest.mark.usefixtures("with_key")
def test_a_listing_that_takes_too_long_is_503(
    fake_zilliz_cloud: FakeZillizCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load(tmp_path, "app.py")
    seconds: list[float] = []

    def at_once(delay: float) -> asyncio.Timeout:
        seconds.append(delay)
        return real(0.01)

    real = asyncio.timeout
    fake_zilliz_cloud.fail_next(Fault.delay(3600), times=None)
    monkeypatch.setattr(module, "asyncio", SimpleNamespace(timeout=at_once))
    with FastAPIClient(module.create_app(fake_zilliz_cloud.url)) as client:
        assert client.get("/clusters").status_code == 503
    fake_zilliz_cloud.clear_faults()
    assert seconds == [20]


@pytest.mark.usefixtures("with_key")
async def test_the_web_application_closes_what_it_opened(
    fake_zilliz_cloud: FakeZillizCloud, tmp_path: Path
) -> None:
    module = load(tmp_path, "web_app.py")
    app = module.create_app(fake_zilliz_cloud.url)

    async with TestClient(TestServer(app)) as client:

        async def ask() -> Any:
            async with client.get("/clusters") as response:
                return response.status, await response.json()

        answers = await asyncio.gather(*(ask() for _ in range(3)))
        assert answers == [(200, list(fake_zilliz_cloud.clusters))] * 3
    with pytest.raises(RuntimeError, match="closed"):
        await app[module.ZILLIZ].list_clusters()
