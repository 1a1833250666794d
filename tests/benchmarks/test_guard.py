from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.guard import Instructions, Versions


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

    lines, found_slower = guard.judge(noted(*found), versions, file)

    assert lines[-1].startswith(last_line)
    assert found_slower is slower
    assert ("--renew" in lines[-1]) is not last_line.startswith("Within")


def test_the_guard_only_shows_a_count_of_other_versions(tmp_path: Path, versions: Versions) -> None:
    from benchmarks import guard

    file = tmp_path / "instructions.json"
    guard.note(noted(), versions, file)
    others = guard.Versions(versions.python, {"aiohttp": "3.15.0"})

    lines, slower = guard.judge(noted(2_000_000), others, file)

    assert "+100.0%" in lines[0]
    assert lines[-1].endswith("aiohttp 3.15.0, noted with 3.14.5.")
    assert not slower


def test_the_guard_is_skipped_with_a_reason_if_valgrind_is_missing(
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
