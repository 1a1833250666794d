from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.guard import Instructions, Versions
    from benchmarks.stand import Server

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout


def test_a_run_as_json_holds_rows_and_a_control() -> None:
    report: dict[str, Any] = json.loads(run("--rounds", "1", "--only", "decode", "--json"))

    assert {row["ratio"] > 0 for row in report["rows"]} == {True}
    assert [row["subject"] for row in report["rows"] if row["control"]] == ["control"]
    assert report["skipped"] == []


def test_the_table_has_a_line_for_each_row_and_judges_the_control() -> None:
    from benchmarks.report import make_row, to_markdown
    from benchmarks.stand import compare

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
    from benchmarks.report import judge_controls, make_row
    from benchmarks.stand import compare

    rows = [make_row("walk", "control", "a peer", compare([1.03], [1.0]), control=True)]

    assert "run it again" in judge_controls(rows)


def test_what_was_skipped_is_told_with_its_reason() -> None:
    from benchmarks.report import to_json, to_markdown

    assert "Skipped cli: no network." in to_markdown([], 1.0, ["cli: no network"])
    assert json.loads(to_json([], 1.0, ["cli: no network"]))["skipped"] == ["cli: no network"]


@pytest.fixture
def server() -> Iterator[Server]:
    from benchmarks.stand import Server

    with Server(records=250, latency=0.001) as running:
        yield running


def test_every_rival_reads_every_record_with_as_many_requests(server: Server) -> None:
    import aiohttp
    import httpx

    from aiozilliz import ZillizClient
    from benchmarks import pagers, peers
    from benchmarks.stand import Loop
    from benchmarks.subject import walk_clusters

    with Loop() as loop:
        session = loop.enter(aiohttp.ClientSession)
        client = loop.enter(lambda: ZillizClient("any-key", base_url=server.url))
        plain = loop.enter(lambda: httpx.AsyncClient(base_url=server.url))
        azure = loop.enter(lambda: pagers.make_azure(server.url))
        openai = loop.enter(lambda: pagers.make_openai(server.url))
        bare = loop.enter(lambda: peers.BareConnection(server.port))
        for work in (
            loop.work(walk_clusters, client),
            loop.work(peers.aiohttp_orjson, session, server.url, 100),
            loop.work(peers.aiohttp_json, session, server.url, 100),
            loop.work(peers.bare_socket, bare, 100),
            loop.work(pagers.httpx_pydantic, plain, 100),
            loop.work(pagers.azure_pager, azure, 100),
            loop.work(pagers.openai_pager, openai, 100),
        ):
            assert work() == 250
            assert server.stats()["requests"] == 3


def test_accounts_are_read_by_both_sides_within_the_bound_that_the_server_counts(server: Server) -> None:
    from benchmarks.peers import gather_accounts
    from benchmarks.stand import Loop
    from benchmarks.subject import make_accounts, walk_accounts

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
    from benchmarks.bench_memory import run as run_memory

    ours, dicts, control = run_memory(None, 2_000)

    assert ours.value > dicts.value > 0
    assert ours.peer_value == dicts.peer_value == pytest.approx(control.value, rel=0.02)


def test_growth_tells_what_each_further_one_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import growth

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
    from benchmarks.growth import run as run_growth

    for row in run_growth((100,), (2,)):
        assert row.seconds > 0
        assert row.bytes_at_most > 10_000


def test_a_client_that_can_not_be_installed_is_skipped_with_pips_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import zilliz_cli
    from benchmarks.report import Skipped

    def fail(*command: str) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="WARNING: retrying\nERROR: no such package\n")

    monkeypatch.setattr(zilliz_cli, "_run", fail)

    with pytest.raises(Skipped, match=r"can't be installed: ERROR: no such package$"):
        zilliz_cli.find_zilliz(tmp_path / "environment")


def test_a_client_is_installed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import zilliz_cli

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


def noted(page: float = 1_000_000, record: float = 30_000) -> Instructions:
    from benchmarks.guard import Instructions

    return Instructions(page, record)


@pytest.fixture
def versions() -> Versions:
    from benchmarks.guard import Versions

    return Versions("CPython 3.11.7 (GCC, x86_64)", {"aiohttp": "3.14.5"})


@pytest.mark.parametrize(
    ("found", "last_line", "slower"),
    [
        ((1_029_000, 29_200), "Within 3%.", False),
        ((1_000_000, 31_000), "SLOWER by more than 3%", True),
        ((1_031_000, 30_000), "SLOWER by more than 3%", True),
        ((900_000, 31_000), "SLOWER by more than 3%", True),
        ((900_000, 30_000), "Faster by more than 3%", False),
    ],
)
def test_the_guard_says_which_way_a_count_has_gone_and_how_to_renew_it(
    tmp_path: Path, versions: Versions, found: tuple[int, int], last_line: str, slower: bool
) -> None:
    from benchmarks import guard

    file = tmp_path / "instructions.json"
    guard.note(noted(), versions, file)

    lines, told_slower = guard.judge(noted(*found), versions, file)

    assert lines[-1].startswith(last_line)
    assert told_slower is slower
    assert ("--renew" in lines[-1]) is not last_line.startswith("Within")


def test_the_guard_only_tells_a_count_of_other_versions(tmp_path: Path, versions: Versions) -> None:
    from benchmarks import guard

    file = tmp_path / "instructions.json"
    guard.note(noted(), versions, file)
    others = guard.Versions(versions.python, {"aiohttp": "3.15.0"})

    lines, slower = guard.judge(noted(2_000_000), others, file)

    assert "+100.0%" in lines[0]
    assert lines[-1].endswith("aiohttp 3.15.0, noted with 3.14.5.")
    assert not slower


def test_the_guard_is_skipped_with_a_reason_where_valgrind_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import guard

    def find_nothing(_: str) -> None:
        return None

    monkeypatch.setattr(shutil, "which", find_nothing)

    assert guard.main([]) == 0
    assert "Skipped: valgrind is not installed" in capsys.readouterr().out


def test_callgrinds_total_is_found_and_missed() -> None:
    from benchmarks.guard import read_total

    assert read_total("events: Ir\nfn=(1)\n0 5\n\ntotals: 12345\n") == 12345
    with pytest.raises(ValueError, match="no total"):
        read_total("events: Ir\n")


def test_the_noted_count_names_the_versions_that_the_guard_compares() -> None:
    from benchmarks import guard

    content = json.loads(guard.NOTED.read_text(encoding="utf-8"))

    assert content["packages"].keys() == guard.Versions.of_this_process().packages.keys()
    assert guard.Instructions(**content["instructions"]).page > 0
