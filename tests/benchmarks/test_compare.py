from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.compare.stand import Server

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout


def test_a_run_as_json_holds_rows_and_a_control() -> None:
    report: dict[str, Any] = json.loads(run("--rounds", "1", "--only", "decode", "--json"))

    assert {row["ratio"] > 0 for row in report["rows"]} == {True}
    assert [row["subject"] for row in report["rows"] if row["control"]] == ["control"]
    assert report["skipped"] == []


def test_each_work_is_measured_by_a_function_that_is_named_after_it() -> None:
    from importlib import import_module

    from benchmarks.__main__ import WORKS

    for name, module in WORKS.items():
        assert callable(getattr(import_module(f"benchmarks.compare.works.{module}"), f"measure_{name}"))


def test_the_table_has_a_line_for_each_row_and_judges_the_control() -> None:
    from benchmarks.compare.report import make_row, to_markdown
    from benchmarks.compare.stand import compare

    rows = [
        make_row("walk", "aiozilliz", "a peer", compare([0.2, 0.3, 0.4], [0.1, 0.1, 0.1])),
        make_row("walk", "control", "a peer", compare([0.1], [0.1]), control=True),
    ]

    table = to_markdown(rows, 1.0).splitlines()

    assert "300 ms" in table[2]
    assert "**3.00**" in table[2]
    assert "*1.000*" in table[3]
    assert "can be used" in table[-1]


def test_a_control_that_is_off_by_more_than_two_percent_spoils_the_run() -> None:
    from benchmarks.compare.report import judge_controls, make_row
    from benchmarks.compare.stand import compare

    rows = [make_row("walk", "control", "a peer", compare([1.03], [1.0]), control=True)]

    assert "run it again" in judge_controls(rows)


def test_what_was_skipped_is_reported_with_its_reason() -> None:
    from benchmarks.compare.report import to_json, to_markdown

    assert "Skipped cli: no network." in to_markdown([], 1.0, ["cli: no network"])
    assert json.loads(to_json([], 1.0, ["cli: no network"]))["skipped"] == ["cli: no network"]


@pytest.fixture
def server() -> Iterator[Server]:
    from benchmarks.compare.stand import Server

    with Server(records=250, latency=0.001) as running:
        yield running


def test_every_peer_reads_every_record_with_as_many_requests(server: Server) -> None:
    import aiohttp
    import httpx

    from aiozilliz import ZillizClient
    from benchmarks.compare.peers import handwritten, pagers
    from benchmarks.compare.peers.subject import walk_clusters
    from benchmarks.compare.stand import Loop

    with Loop() as loop:
        session = loop.enter(aiohttp.ClientSession)
        client = loop.enter(lambda: ZillizClient("any-key", base_url=server.url))
        plain = loop.enter(lambda: httpx.AsyncClient(base_url=server.url))
        azure = loop.enter(lambda: pagers.make_azure(server.url))
        openai = loop.enter(lambda: pagers.make_openai(server.url))
        bare = loop.enter(lambda: handwritten.BareConnection(server.port))
        for work in (
            loop.work(walk_clusters, client),
            loop.work(handwritten.aiohttp_orjson, session, server.url, 100),
            loop.work(handwritten.aiohttp_json, session, server.url, 100),
            loop.work(handwritten.bare_socket, bare, 100),
            loop.work(pagers.httpx_pydantic, plain, 100),
            loop.work(pagers.azure_pager, azure, 100),
            loop.work(pagers.openai_pager, openai, 100),
        ):
            assert work() == 250
            assert server.stats()["requests"] == 3


def test_accounts_are_read_by_both_sides_within_the_bound_that_the_server_counts(server: Server) -> None:
    from benchmarks.compare.peers.handwritten import gather_accounts
    from benchmarks.compare.peers.subject import make_accounts, walk_accounts
    from benchmarks.compare.stand import Loop

    with Loop() as loop:
        for work in (
            loop.work(walk_accounts, make_accounts(server.url, 8), 100, 5),
            loop.work(gather_accounts, server.url, [f"key-{i}" for i in range(8)], 100, 5),
        ):
            assert work() == 8 * 250
            seen = server.stats()
            assert seen["requests"] == 24
            assert 1 <= seen["most_in_flight"] <= 5


def test_memory_is_held_against_a_set_of_the_ids() -> None:
    from benchmarks.compare.works.memory import measure_memory

    ours, dicts, control = measure_memory(None, 2_000)

    assert ours.value > dicts.value > 0
    assert ours.peer_value == dicts.peer_value == pytest.approx(control.value, rel=0.02)


def test_growth_shows_what_each_further_one_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.compare.works import growth

    def read(number: int) -> tuple[float, int]:
        return 1.0 + 0.002 * number, 5_000 + 100 * number

    monkeypatch.setattr(growth, "_read_records", read)
    monkeypatch.setattr(growth, "_read_accounts", read)

    rows = list(growth.run((10, 110), (1,)))
    table = growth.to_markdown(rows, 1.0).splitlines()

    assert [row.further_seconds for row in rows] == pytest.approx([0.102, 0.002, 1.002])
    assert [row.further_bytes for row in rows] == [600, 100, 5_100]
    cells = [cell.strip() for cell in table[3].strip("|").split("|")]
    assert cells[:4] == ["110 records", "1,220.0 ms", "11,090.9 us", "2,000.0 us"]
    assert cells[4:] == ["16 KiB", "145 bytes", "100 bytes"]
    assert [row["number"] for row in json.loads(growth.to_json(rows, 1.0))["rows"]] == [10, 110, 1]


def test_growth_is_measured() -> None:
    from benchmarks.compare.works.growth import run as run_growth

    for row in run_growth((100,), (2,)):
        assert row.seconds > 0
        assert row.bytes_at_most > 10_000


def test_a_client_that_can_not_be_installed_is_skipped_with_pips_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.compare.peers import zilliz_cli
    from benchmarks.compare.report import Skipped

    def fail(*command: str) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="WARNING: retrying\nERROR: no such package\n")

    monkeypatch.setattr(zilliz_cli, "_run", fail)

    with pytest.raises(Skipped, match=r"can't be installed: ERROR: no such package$"):
        zilliz_cli.find_zilliz(tmp_path / "environment")


def test_a_client_is_installed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.compare.peers import zilliz_cli

    folder = tmp_path / "environment"
    commands: list[tuple[str, ...]] = []

    def note(*command: str) -> None:
        commands.append(command)
        folder.mkdir(exist_ok=True)

    monkeypatch.setattr(zilliz_cli, "_run", note)

    first = zilliz_cli.find_zilliz(folder)
    number = len(commands)

    assert zilliz_cli.find_zilliz(folder) == first
    assert len(commands) == number == 3
    assert f"zilliz-cli=={zilliz_cli.VERSION}" in commands[1]
