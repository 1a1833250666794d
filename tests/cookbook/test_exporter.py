"""The Prometheus exporter: its series over changes, outages and a refused key, and the process."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from aiozilliz import AuthenticationError
from aiozilliz.testing import Fault
from tests.cookbook.recipes import load
from tests.support.listing_server import quick_client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aiozilliz.testing import FakeZillizCloud
    from tests.cookbook.conftest import StartRecipe

pytest.importorskip("prometheus_client", reason="prometheus-client, which the recipe uses, is not installed")

PATIENCE = 60.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


async def scrape(port: int, until: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """Scrape until the series are as expected, and return them."""
    series: dict[str, float] = {}
    async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}/metrics") as response:
                    assert response.content_type == "text/plain"
                    lines = (await response.text()).splitlines()
            except aiohttp.ClientConnectorError:  # it does not listen yet
                await asyncio.sleep(0.01)
                continue
            samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
            series = {name: float(value) for name, _, value in samples}
            if until(series):
                return series


def clusters(series: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in series.items() if name.startswith("zilliz_clusters{")}


def expected(cloud: FakeZillizCloud) -> dict[str, float]:
    listed = Counter((record["regionId"], record["status"]) for record in cloud.clusters)
    return {
        f'zilliz_clusters{{region="{region}",status="{status}"}}': number
        for (region, status), number in listed.items()
    }


async def test_its_series_follow_the_list_and_its_health(
    fake_zilliz_cloud: FakeZillizCloud, tmp_path: Path
) -> None:
    cloud, port = fake_zilliz_cloud, free_port()
    exporter = load(tmp_path, "exporter.py")
    async with quick_client(cloud.url) as client:
        exporting = asyncio.create_task(exporter.export(client, port, interval=0.05))
        first = await scrape(port, lambda series: bool(clusters(series)))
        assert clusters(first) == expected(cloud)
        assert first["zilliz_up"] == 1
        assert "zilliz_failing_since_timestamp_seconds" not in first

        # A status and a region that no cluster has any more leave no series.
        for record in cloud.clusters:
            cloud.update(record["clusterId"], status="RUNNING", regionId="one-region")
        moved = {'zilliz_clusters{region="one-region",status="RUNNING"}': 250}
        await scrape(port, lambda series: clusters(series) == moved)

        cloud.fail_next(Fault.status(503), times=None)
        failing = await scrape(port, lambda series: series["zilliz_up"] == 0)
        assert clusters(failing) == moved
        assert (
            failing["zilliz_failing_since_timestamp_seconds"] == failing["zilliz_last_read_timestamp_seconds"]
        )
        cloud.clear_faults()
        well = await scrape(port, lambda series: series["zilliz_up"] == 1)
        assert "zilliz_failing_since_timestamp_seconds" not in well
        assert well["zilliz_last_read_timestamp_seconds"] > failing["zilliz_last_read_timestamp_seconds"]

        exporting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exporting
    with pytest.raises(ConnectionRefusedError):  # nothing listens any more
        await asyncio.open_connection("127.0.0.1", port)


async def test_before_the_first_good_reading_it_is_down_and_counts_nothing(
    fake_zilliz_cloud: FakeZillizCloud, tmp_path: Path
) -> None:
    fake_zilliz_cloud.fail_next(Fault.status(503), times=None)
    port = free_port()
    exporter = load(tmp_path, "exporter.py")
    async with quick_client(fake_zilliz_cloud.url) as client:
        exporting = asyncio.create_task(exporter.export(client, port, interval=0.05))
        down = await scrape(port, lambda series: "zilliz_failing_since_timestamp_seconds" in series)
        exporting.cancel()
        await asyncio.wait([exporting])
    fake_zilliz_cloud.clear_faults()
    assert down.keys() == {"zilliz_up", "zilliz_failing_since_timestamp_seconds"}
    assert down["zilliz_up"] == 0


async def test_a_refused_key_ends_it_with_an_error(
    fake_zilliz_cloud: FakeZillizCloud, tmp_path: Path
) -> None:
    fake_zilliz_cloud.fail_next(Fault.code(21119, "no such key", status=401), times=2)
    exporter: Any = load(tmp_path, "exporter.py")
    async with quick_client(fake_zilliz_cloud.url) as client:
        with pytest.raises(AuthenticationError):
            await exporter.export(client, free_port(), interval=0.05)


async def test_the_process_serves_and_ends_at_sigterm(
    fake_zilliz_cloud: FakeZillizCloud, folder: Path, start: StartRecipe
) -> None:
    port = free_port()
    process = start(sys.executable, "exporter.py", PORT=str(port))

    series = await scrape(port, lambda series: bool(clusters(series)))
    assert clusters(series) == expected(fake_zilliz_cloud)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=PATIENCE) == ("", "")
    assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize("program", ["exporter.py", "webhook.py", "watch.py"])
def test_a_program_can_be_tried_with_another_fake(
    make_fake_zilliz_cloud: Callable[..., FakeZillizCloud], folder: Path, start: StartRecipe, program: str
) -> None:
    cloud = make_fake_zilliz_cloud(3)
    asked = threading.Event()
    cloud.between_pages(asked.set)

    start(
        sys.executable,
        program,
        ZILLIZ_URL=cloud.url,
        ZILLIZ_API_KEY="any-key",
        PORT=str(free_port()),
        WEBHOOK_URL="http://127.0.0.1:1/",
    )

    assert asked.wait(PATIENCE)
