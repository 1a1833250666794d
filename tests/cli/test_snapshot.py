from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from aiozilliz import InventoryReport, Snapshot
from aiozilliz.cli import main
from aiozilliz.testing import Fault
from tests.support.running import POSIX_ONLY, Terminal, open_terminal, process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aiozilliz.testing import FakeZillizCloud
    from tests.support.running import Capture, MakeCloud, Run

    Organisations = Callable[..., None]


@pytest.fixture
def organisations(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Organisations:
    """Return a function that writes the credentials file of the official command line: name to key."""

    def write(**keys: str) -> None:
        folder = tmp_path_factory.mktemp("zilliz")
        lines = [f"[org.{name}]\norg_name = {name}\napi_key = {key}\n" for name, key in keys.items()]
        credentials = folder / "credentials"
        credentials.write_text("\n".join(lines))
        credentials.chmod(0o600)
        monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(folder))

    return write


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clusters.json"


def test_a_file_holds_the_proven_listing_and_nothing_is_said(
    key: str, fake_zilliz_cloud: FakeZillizCloud, file: Path, run: Run
) -> None:
    fake_zilliz_cloud.add(clusterName="späte Nacht", labels={"team": "a"})

    assert run("snapshot", str(file), "--base-url", fake_zilliz_cloud.url) == (0, "", "")

    snapshot = Snapshot.from_json(file.read_bytes())
    assert [cluster.cluster_id for cluster in snapshot] == [
        record["clusterId"] for record in fake_zilliz_cloud.clusters
    ]
    assert snapshot.consistent
    assert file.read_text("utf-8") == snapshot.to_json()
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("args", [[], ["-"]])
def test_without_a_file_it_goes_to_standard_output(args: list[str], run: Run) -> None:
    status, out, err = run("snapshot", "--demo", *args)

    assert (status, err) == (0, "")
    assert len(Snapshot.from_json(out)) == 250


def test_many_organisations_are_one_report(file: Path, run: Run) -> None:
    assert run("snapshot", "--demo", "--all-orgs", str(file)) == (0, "", "")

    report = InventoryReport.from_json(file.read_bytes())
    assert len(report.snapshots) == 3
    assert all(snapshot.consistent for snapshot in report.snapshots.values())


def test_options_reach_the_service(key: str, fake_zilliz_cloud: FakeZillizCloud, run: Run) -> None:
    run("snapshot", "--page-size", "50", "--base-url", fake_zilliz_cloud.url)

    assert {request.query["pageSize"] for request in fake_zilliz_cloud.requests} == {"50"}


def test_there_is_no_verify_as_the_proof_is_always_tried(run: Run) -> None:
    assert run("snapshot", "--demo", "--verify")[0] == 2


@pytest.mark.parametrize("value", ["clusters.json", "yaml", "json"])
def test_an_output_that_is_no_format_is_answered_with_how_it_is_meant(value: str, run: Run) -> None:
    status, out, err = run("snapshot", "--demo", "-o", value)

    assert (status, out) == (2, "")
    assert "aiozilliz snapshot FILE" in err


def test_a_file_that_can_t_be_written_is_reported_before_the_service_is_asked(
    key: str, fake_zilliz_cloud: FakeZillizCloud, file: Path, run: Run
) -> None:
    status, out, err = run("snapshot", str(file / "x.json"), "--base-url", fake_zilliz_cloud.url)

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert f"there is no folder {file}" in err
    assert fake_zilliz_cloud.requests == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")  # noqa: PTH110 - no Path at import
def test_a_full_disk_is_a_failure_that_names_the_file(run: Run) -> None:
    status, out, err = run("snapshot", "--demo", "/dev/full")

    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "/dev/full can't be written: No space left on device" in err


@pytest.mark.parametrize("args", [[], ["FILE"]])
def test_where_the_reading_fails_nothing_is_written(
    args: list[str], key: str, make_fake_zilliz_cloud: MakeCloud, file: Path, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(api_key="another")
    file.write_text("old")

    status, out, err = run("snapshot", *(str(file) for _ in args), "--base-url", cloud.url)

    assert (status, out, err.count("\n")) == (3, "", 1)
    assert file.read_text() == "old"


# What could not be proven


def test_a_listing_without_the_proof_is_written_with_a_warning(
    key: str, make_fake_zilliz_cloud: MakeCloud, file: Path, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=3, shape="array")

    status, out, err = run("snapshot", str(file), "--base-url", cloud.url)

    assert (status, out, err.count("\n")) == (5, "", 1)
    assert "could not be proven complete" in err
    assert not Snapshot.from_json(file.read_bytes()).consistent
    assert len(Snapshot.from_json(file.read_bytes())) == 3


def test_a_listing_without_the_proof_does_not_replace_a_proven_one(
    key: str, make_fake_zilliz_cloud: MakeCloud, file: Path, run: Run
) -> None:
    run("snapshot", "--demo", str(file))
    old = file.read_bytes()
    cloud = make_fake_zilliz_cloud(clusters=3, shape="array")

    status, out, err = run("snapshot", str(file), "--base-url", cloud.url)

    assert (status, out, err.count("\n")) == (5, "", 2)
    assert f"{file} is complete and was not overwritten; --allow-partial overwrites it" in err
    assert file.read_bytes() == old

    status, _, err = run("snapshot", str(file), "--allow-partial", "--base-url", cloud.url)

    assert status == 5
    assert "could not be proven complete" in err
    assert len(Snapshot.from_json(file.read_bytes())) == 3


@pytest.mark.parametrize("old", ["", "no snapshot", "not whole"])
def test_a_file_that_is_not_whole_itself_is_replaced_by_anything(
    old: str, key: str, make_fake_zilliz_cloud: MakeCloud, file: Path, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=3, shape="array")
    file.write_text(old)
    if old == "not whole":
        run("snapshot", str(file), "--base-url", cloud.url)
    cloud.add(clusterId="in01-new")

    assert run("snapshot", str(file), "--base-url", cloud.url)[0] == 5
    assert "in01-new" in Snapshot.from_json(file.read_bytes())


# Organisations that failed


def test_an_organisation_that_failed_costs_the_others_nothing(
    organisations: Organisations, make_fake_zilliz_cloud: MakeCloud, file: Path, run: Run
) -> None:
    organisations(prod="good", test="bad")
    cloud = make_fake_zilliz_cloud(clusters=3, api_key="good")

    status, out, err = run("snapshot", "--all-orgs", str(file), "--base-url", cloud.url)

    assert (status, out) == (4, "")
    assert "account test: " in err
    assert "1 of 2 accounts failed" in err
    report = InventoryReport.from_json(file.read_bytes())
    assert (list(report.snapshots), list(report.failures)) == (["prod"], ["test"])
    assert len(report.snapshots["prod"]) == 3


def test_a_report_with_failures_does_not_replace_a_whole_one(
    organisations: Organisations, make_fake_zilliz_cloud: MakeCloud, file: Path, run: Run
) -> None:
    organisations(prod="good", test="bad")
    whole = make_fake_zilliz_cloud(clusters=3)
    assert run("snapshot", "--all-orgs", str(file), "--base-url", whole.url)[0] == 0
    old = file.read_bytes()
    cloud = make_fake_zilliz_cloud(clusters=3, api_key="good")

    status, out, err = run("snapshot", "--all-orgs", str(file), "--base-url", cloud.url)

    assert (status, out) == (4, "")
    assert "account test: " in err
    assert "--allow-partial" in err
    assert file.read_bytes() == old

    assert run("snapshot", "--all-orgs", "--allow-partial", str(file), "--base-url", cloud.url)[0] == 4
    assert list(InventoryReport.from_json(file.read_bytes()).failures) == ["test"]


def test_a_report_with_failures_is_replaced_by_another(
    organisations: Organisations, make_fake_zilliz_cloud: MakeCloud, file: Path, run: Run
) -> None:
    organisations(prod="good", test="bad")
    cloud = make_fake_zilliz_cloud(clusters=3, api_key="good")
    run("snapshot", "--all-orgs", str(file), "--base-url", cloud.url)
    cloud.add(clusterId="in01-new")

    status, _, err = run("snapshot", "--all-orgs", str(file), "--base-url", cloud.url)

    assert status == 4
    assert "--allow-partial" not in err
    assert "in01-new" in InventoryReport.from_json(file.read_bytes()).snapshots["prod"]


def test_organisations_whose_listing_is_not_proven_are_named(
    organisations: Organisations, make_fake_zilliz_cloud: MakeCloud, file: Path, run: Run
) -> None:
    organisations(prod="one", test="two")
    cloud = make_fake_zilliz_cloud(clusters=3, shape="array")

    status, _, err = run("snapshot", "--all-orgs", str(file), "--base-url", cloud.url)

    assert status == 5
    assert "the listing of prod, test could not be proven complete" in err


@pytest.mark.parametrize(("keys", "status"), [(("bad", "worse"), 3), (("good", "good-too"), 1)])
def test_where_all_organisations_fail_nothing_is_written(
    keys: tuple[str, str],
    status: int,
    organisations: Organisations,
    make_fake_zilliz_cloud: MakeCloud,
    file: Path,
    run: Run,
) -> None:
    organisations(prod=keys[0], test=keys[1])
    cloud = make_fake_zilliz_cloud(clusters=3, api_key="good" if status == 3 else None)
    if status == 1:
        cloud.fail_next(Fault.code(96008, "pageSize"), times=2)

    assert run("snapshot", "--all-orgs", str(file), "--base-url", cloud.url)[:2] == (status, "")
    assert not file.exists()


# Standard output


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_standard_output_is_utf_8_whatever_the_locale(
    encoding: str, make_fake_zilliz_cloud: MakeCloud
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=0)
    cloud.add(clusterName="späte Nacht 夜")

    with process("snapshot", "--base-url", cloud.url, PYTHONIOENCODING=encoding) as child:
        out, _ = child.communicate()

    assert [cluster.cluster_name for cluster in Snapshot.from_json(out)] == ["späte Nacht 夜"]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_text_of_the_service_reaches_no_terminal_raw(
    encoding: str, key: str, make_fake_zilliz_cloud: MakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=0)
    cloud.add(clusterName="\x1b[2J\x9b\u202e夜")
    terminal = open_terminal(monkeypatch)
    monkeypatch.setattr(Terminal, "encoding", encoding)

    assert main(["snapshot", "--base-url", cloud.url]) == 0

    text = terminal.getvalue()
    assert text.replace("\n", "").isprintable()
    assert ("夜" in text) == (encoding == "utf-8")
    assert [cluster.cluster_name for cluster in Snapshot.from_json(text)] == ["\x1b[2J\x9b\u202e夜"]


@POSIX_ONLY
def test_a_closed_standard_output_is_reported_before_the_service_is_asked(
    key: str, fake_zilliz_cloud: FakeZillizCloud, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("sys.stdout", None)

    assert main(["snapshot", "--base-url", fake_zilliz_cloud.url]) == 1
    assert fake_zilliz_cloud.requests == []


def test_the_text_is_json_that_other_tools_read(run: Run) -> None:
    _, out, _ = run("snapshot", "--demo")

    assert len(json.loads(out)["clusters"]) == 250
