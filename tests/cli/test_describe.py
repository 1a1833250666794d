from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.running import MakeCloud, Run

RECORD = {
    "clusterId": "in01-a",
    "clusterName": "a\x1b[2J",
    "status": "RUNNING",
    "plan": "Standard",
    "labels": {"team": "x"},
}


def test_a_table_has_a_line_per_field(key: str, make_fake_zilliz_cloud: MakeCloud, run: Run) -> None:
    cloud = make_fake_zilliz_cloud(clusters=[{"clusterId": "in01-b"}, RECORD])

    status, out, err = run("describe", "in01-a", "-o", "table", "--base-url", cloud.url)

    assert (status, err) == (0, "")
    lines = dict(line.split(":", 1) for line in out.splitlines())
    assert lines["clusterId"].strip() == "in01-a"
    assert lines["clusterName"].strip() == "a\\x1b[2J"
    assert json.loads(lines["labels"]) == {"team": "x"}


def test_json_is_an_array_of_it(key: str, make_fake_zilliz_cloud: MakeCloud, run: Run) -> None:
    cloud = make_fake_zilliz_cloud(clusters=[{"clusterId": "in01-b"}, RECORD])

    (found,) = json.loads(run("describe", "in01-a", "-o", "json", "--base-url", cloud.url)[1])

    assert found.items() >= RECORD.items()


@pytest.mark.parametrize("options", [(), ("--all-orgs",)])
def test_one_that_is_not_there_is_status_1(run: Run, options: tuple[str, ...]) -> None:
    status, out, err = run("describe", "in01-nothing", "--demo", *options)

    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "in01-nothing" in err


def test_it_reads_files(run: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "file.json")
    run("snapshot", "--demo", "--org", "staging,research", file)
    (first, *_) = json.loads(run("list", "--from", file, "-o", "json")[1])

    assert json.loads(run("describe", first["clusterId"], "--from", file, "-o", "json")[1]) == [first]
    assert first["account"] == "staging"
