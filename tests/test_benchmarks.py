from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def run(*arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout


def test_a_run_as_json_holds_rows_and_a_control() -> None:
    report: dict[str, Any] = json.loads(run("--rounds", "1", "--only", "decode", "--json"))

    assert {row["ratio"] > 0 for row in report["rows"]} == {True}
    assert [row["subject"] for row in report["rows"] if row["control"]] == ["control"]


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
