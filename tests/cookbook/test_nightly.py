"""The nightly job: what it tells and stores, also of accounts that fail, are unproven, or are back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from aiozilliz import InventoryReport
from aiozilliz.testing import FakeZillizCloud, Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cookbook.conftest import StartRecipe


@pytest.fixture
def run(folder: Path, start: StartRecipe) -> Callable[[FakeZillizCloud], tuple[int, list[str], list[str]]]:
    """Run the job against a cloud, and give its exit status and the lines that it prints."""

    def run_once(cloud: FakeZillizCloud) -> tuple[int, list[str], list[str]]:
        job = start(sys.executable, "nightly.py", "keys", "state.json", ZILLIZ_URL=cloud.url)
        out, err = job.communicate(timeout=60)
        return job.returncode, out.splitlines(), err.splitlines()

    (folder / "keys").mkdir()
    (folder / "keys" / "prod").write_text("right\n")
    return run_once


def state_of(folder: Path) -> InventoryReport:
    return InventoryReport.from_json((folder / "state.json").read_bytes())


def test_it_tells_all_that_changed_and_stores_what_it_told(
    run: Callable[..., tuple[int, list[str], list[str]]], folder: Path
) -> None:
    with FakeZillizCloud(120, api_key="right") as cloud:
        assert run(cloud) == (0, [], [])
        first, second = (record["clusterId"] for record in cloud.clusters[:2])
        new = cloud.add()
        cloud.remove(first)
        cloud.update(second, status="STOPPED", cuSize=99)
        told = [f"added prod {new}", f"removed prod {first}", f"modified prod {second} cu_size status"]
        assert run(cloud) == (0, told, [])
        assert run(cloud) == (0, [], [])
    assert state_of(folder).snapshots["prod"].consistent
    assert not (folder / "state.new").exists()


def test_an_account_that_fails_keeps_its_clusters_and_is_told_of_when_it_is_back(
    run: Callable[..., tuple[int, list[str], list[str]]], folder: Path
) -> None:
    with FakeZillizCloud(3, api_key="right") as cloud:
        assert run(cloud) == (0, [], [])
        (folder / "keys" / "prod").write_text("rotated\n")
        (folder / "keys" / "empty").write_text("")
        first = cloud.clusters[0]["clusterId"]
        cloud.remove(first)
        status, out, err = run(cloud)
        assert (status, out) == (4, [])
        assert [line.split()[:2] for line in err if line.startswith("failed")] == [
            ["failed", "empty"],
            ["failed", "prod"],
        ]
        assert len(state_of(folder).snapshots["prod"]) == 3

        (folder / "keys" / "prod").write_text("right\n")
        (folder / "keys" / "empty").write_text("right\n")
        assert run(cloud) == (0, [f"removed prod {first}", "first seen empty 2 clusters"], [])

        (folder / "keys" / "empty").unlink()
        assert run(cloud) == (0, ["no longer read empty"], [])
        assert run(cloud) == (0, [], [])


def test_a_listing_that_is_not_proven_removes_nothing_for_sure(
    run: Callable[..., tuple[int, list[str], list[str]]],
) -> None:
    with FakeZillizCloud(3) as cloud:
        assert run(cloud)[0] == 0
    with FakeZillizCloud(cloud.clusters[1:], shape="array") as without_count:
        gone = cloud.clusters[0]["clusterId"]
        assert run(without_count) == (
            4,
            [f"perhaps removed prod {gone}"],
            ["unproven prod may lack clusters"],
        )


def test_what_could_not_be_stored_is_told_again(
    run: Callable[..., tuple[int, list[str], list[str]]], folder: Path
) -> None:
    with FakeZillizCloud(3) as cloud:
        assert run(cloud)[0] == 0
        stored = (folder / "state.json").read_bytes()
        new = cloud.add()
        (folder / "state.new").mkdir()
        status, out, err = run(cloud)
        assert (status, out) == (1, [f"added prod {new}"])
        assert "IsADirectoryError" in err[-1]
        assert (folder / "state.json").read_bytes() == stored
        (folder / "state.new").rmdir()
        assert run(cloud) == (0, [f"added prod {new}"], [])


def test_an_outage_is_survived(run: Callable[..., tuple[int, list[str], list[str]]]) -> None:
    with FakeZillizCloud(3) as cloud:
        cloud.fail_next(Fault.reset())
        status, out, err = run(cloud)
        assert (status, out) == (0, [])
        assert all("retry" in line for line in err)
