from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

import aiozilliz
from aiozilliz.cli.input import demo as demo_module
from aiozilliz.cli.input.demo import CHANGE_SECONDS, ORGANISATIONS, change, demo_accounts, demo_session
from aiozilliz.testing import FakeZillizCloud
from tests.support.running import LONG

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.running import Run


def test_the_demo_is_the_same_each_time(run: Run) -> None:
    first, second = run("list", "--demo"), run("list", "--demo")

    assert first == second
    assert first[0] == 0


def test_the_organisation_in_use_is_the_first(run: Run) -> None:
    _, one, _ = run("list", "--demo")
    _, many, _ = run("list", "--demo", "--all-orgs")

    records = [json.loads(line) for line in many.splitlines()]
    counts = {name: sum(record["account"] == name for record in records) for name in ORGANISATIONS}
    assert counts == ORGANISATIONS
    name = next(iter(ORGANISATIONS))
    of_first = [
        {key: value for key, value in record.items() if key != "account"}
        for record in records
        if record["account"] == name
    ]
    assert of_first == [json.loads(line) for line in one.splitlines()]
    assert len({record["clusterId"] for record in records}) == sum(ORGANISATIONS.values())


@pytest.mark.parametrize(
    "args", [[], ["--all-orgs"], ["--verify"], ["--page-size", "40"], ["--concurrency", "9"]]
)
def test_it_takes_the_options_of_a_service(args: list[str], run: Run) -> None:
    status, out, err = run("list", "--demo", *args)

    assert (status, err) == (0, "")
    assert len(out.splitlines()) == (sum(ORGANISATIONS.values()) if "--all-orgs" in args else 250)


@pytest.mark.parametrize("args", [["list"], ["list", "--all-orgs"], ["accounts", "--check"], ["snapshot"]])
def test_it_needs_no_key_no_file_and_no_proxy(
    args: list[str], clean_environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setenv("ZILLIZ_API_KEY", "not a key")
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(tmp_path))
    for name in ("credentials", "config"):
        (tmp_path / name).write_text("no INI file\n", "utf-8")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    status, _, err = run(*args, "--demo")

    assert (status, err) == (0, "")


async def test_its_keys_are_taken_by_their_own_organisations_alone() -> None:
    async with demo_accounts(None) as accounts, demo_session() as session:
        assert [account.name for account in accounts] == list(ORGANISATIONS)
        assert len({account.base_url for account in accounts}) == len(accounts)
        async with aiozilliz.Inventory(accounts, session=session) as inventory:
            report = await inventory.collect()
            assert {name: len(found) for name, found in report.snapshots.items()} == ORGANISATIONS
        async with aiozilliz.ZillizClient(
            "another", base_url=accounts[0].base_url, session=session
        ) as client:
            with pytest.raises(aiozilliz.AuthenticationError):
                await client.list_clusters()


def test_a_change_creates_then_starts_then_deletes() -> None:
    cloud = FakeZillizCloud(3)
    before = cloud.clusters
    states: list[list[tuple[str, str]]] = []

    for number in range(1, 7):
        change(cloud, number)
        states.append([(r["clusterName"], r["status"]) for r in cloud.clusters[len(before) :]])

    assert states == [
        [("demo-1", "CREATING")],
        [("demo-1", "RUNNING")],
        [],
        [("demo-2", "CREATING")],
        [("demo-2", "RUNNING")],
        [],
    ]
    assert cloud.clusters == before


async def test_it_keeps_changing_only_where_it_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = asyncio.Event()
    numbers: list[int] = []

    def note(cloud: FakeZillizCloud, number: int) -> None:
        assert len(cloud.clusters) == ORGANISATIONS["production"]
        numbers.append(number)
        if number == 3:
            changed.set()

    monkeypatch.setattr(demo_module, "CHANGE_SECONDS", 0.0)
    monkeypatch.setattr(demo_module, "change", note)
    async with demo_accounts(None), asyncio.timeout(LONG):
        for _ in range(10):
            await asyncio.sleep(0)
        assert not numbers
    async with demo_accounts(None, changing=True), asyncio.timeout(LONG):
        await changed.wait()

    assert numbers[:3] == [1, 2, 3]
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert CHANGE_SECONDS > 0
