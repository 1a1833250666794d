from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import aiozilliz
from aiozilliz import Cluster, InventoryReport, Snapshot, TransportError
from aiozilliz.cli import main
from aiozilliz.testing import Fault
from tests.support.running import Terminal, environment, open_terminal, process

if TYPE_CHECKING:
    from pathlib import Path

    from aiozilliz.testing import FakeZillizCloud
    from tests.support.running import MakeCloud, Run

MONDAY = datetime(2026, 1, 5, 12, tzinfo=UTC)
TUESDAY = datetime(2026, 1, 6, 12, tzinfo=UTC)
A = Cluster("in01-a", "alpha", status="RUNNING", plan="Standard", cu_size=2, region_id="aws-us-west-2")
B = Cluster("in01-b", "beta", status="RUNNING", plan="Enterprise", cu_size=4, region_id="gcp-us-west1")
C = Cluster("in01-c", "gamma", status="RUNNING", plan="Standard", cu_size=1, region_id="aws-us-west-2")
A2 = Cluster.from_dict({**A.to_dict(), "status": "STOPPED", "labels": {"team": "x"}})

OLD = Snapshot([A, B], MONDAY, 1, consistent=True)
NEW = Snapshot([A2, C], TUESDAY, 1, consistent=True)
TEXT = """\
--- old.json  2026-01-05T12:00:00Z  2 clusters
+++ new.json  2026-01-06T12:00:00Z  2 clusters
+ in01-c  gamma  RUNNING  Standard  1 CU  aws-us-west-2
- in01-b  beta  RUNNING  Enterprise  4 CU  gcp-us-west1
~ in01-a  alpha
    status: RUNNING -> STOPPED
    labels: (absent) -> {"team":"x"}
1 added, 1 removed, 1 modified
"""


def report(moment: datetime = MONDAY, /, *failed: str, **snapshots: Snapshot) -> InventoryReport:
    return InventoryReport(snapshots, {name: TransportError("gone") for name in failed}, moment)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def save(old: Any = OLD, new: Any = NEW) -> tuple[str, str]:
    for name, document in (("old.json", old), ("new.json", new)):
        with open(name, "w", encoding="utf-8") as file:  # noqa: PTH123 - the folder is the current one
            file.write(document.to_json())
    return "old.json", "new.json"


def organisations(folder: Path, monkeypatch: pytest.MonkeyPatch, **keys: str) -> None:
    lines = [f"[org.{name}]\norg_name = {name}\napi_key = {key}\n" for name, key in keys.items()]
    credentials = folder / "credentials"
    credentials.write_text("\n".join(lines))
    credentials.chmod(0o600)
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(folder))


# Two files


def test_people_get_lines_with_signs(run: Run) -> None:
    assert run("diff", *save()) == (0, TEXT, "")
    assert run("diff", *save(), "-o", "table") == (0, TEXT, "")


def test_json_has_an_object_a_change(run: Run) -> None:
    status, out, err = run("diff", *save(), "-o", "json")

    assert (status, err) == (0, "")
    assert json.loads(out) == [
        {"kind": "added", "cluster": C.to_dict(), "previous": None, "changed": []},
        {"kind": "removed", "cluster": B.to_dict(), "previous": B.to_dict(), "changed": []},
        {
            "kind": "modified",
            "cluster": A2.to_dict(),
            "previous": A.to_dict(),
            "changed": ["status", "extra"],
        },
    ]


def test_json_lines_and_yaml_hold_the_same(run: Run) -> None:
    changes = json.loads(run("diff", *save(), "-o", "json")[1])

    lines = run("diff", *save(), "-o", "jsonl")[1]
    assert [json.loads(line) for line in lines.splitlines()] == changes
    assert yaml.safe_load(run("diff", *save(), "-o", "yaml")[1]) == changes


@pytest.mark.parametrize("header", [True, False])
def test_csv_has_a_row_a_field(header: bool, run: Run) -> None:
    _, out, _ = run("diff", *save(), "-o", "csv", *([] if header else ["--no-header"]))

    rows = list(csv.reader(io.StringIO(out)))
    assert rows[: len(rows) - 4] == (
        [["kind", "clusterId", "clusterName", "field", "old", "new"]] if header else []
    )
    assert rows[-4:] == [
        ["added", "in01-c", "gamma", "", "", ""],
        ["removed", "in01-b", "beta", "", "", ""],
        ["modified", "in01-a", "alpha", "status", "RUNNING", "STOPPED"],
        ["modified", "in01-a", "alpha", "labels", "", '{"team":"x"}'],
    ]


def test_a_query_works_on_the_array_of_changes(run: Run) -> None:
    query = "[?kind == 'removed'].cluster.clusterId"

    assert json.loads(run("diff", *save(), "-o", "json", "--query", query)[1]) == ["in01-b"]
    assert run("diff", *save(), "-o", "csv", "--no-header", "--query", "[].kind")[1].split() == [
        "added",
        "removed",
        "modified",
    ]


@pytest.mark.parametrize(
    ("args", "ids"),
    [
        (["--plan", "Enterprise"], ["in01-b"]),
        (["--region", "aws-*"], ["in01-c", "in01-a"]),
        (["--status", "STOPPED"], ["in01-a"]),
        (["--status", "RUNNING"], ["in01-c", "in01-b", "in01-a"]),  # of a modified one, before or after
        (["--project", "none"], []),
    ],
)
def test_filters_look_at_the_record_before_and_after(args: list[str], ids: list[str], run: Run) -> None:
    status, out, _ = run("diff", *save(), "-o", "jsonl", "--exit-code", *args)

    assert [json.loads(line)["cluster"]["clusterId"] for line in out.splitlines()] == ids
    assert status == bool(ids)


@pytest.mark.parametrize("form", [None, "jsonl"])
def test_no_changes_leave_standard_output_empty(form: str | None, run: Run) -> None:
    args = [] if form is None else ["-o", form]

    assert run("diff", *save(OLD, OLD), "--exit-code", *args) == (0, "", "")


def test_no_changes_are_reported_to_a_person(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = save(OLD, OLD)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    assert run("diff", old, new)[:2] == (0, "")
    assert terminal.getvalue() == "No changes.\n"


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_changes_are_an_exit_status_where_that_is_asked_for(form: str, run: Run) -> None:
    assert run("diff", *save(), "-o", form)[0] == 0
    assert run("diff", *save(), "-o", form, "--exit-code")[0] == 1


@pytest.mark.parametrize("dash", [0, 1])
def test_one_file_can_be_standard_input(dash: int, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    files = list(save())
    with open(files[dash], "rb") as file:  # noqa: PTH123 - the folder is the current one
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read())))
    expected = TEXT.replace(files[dash], "-")
    files[dash] = "-"

    assert run("diff", *files)[:2] == (0, expected)


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colour_is_as_no_color_says(no_color: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = save()
    monkeypatch.setenv("NO_COLOR", no_color)
    terminal = open_terminal(monkeypatch, "xterm-256color")

    assert main(["diff", old, new]) == 0

    text = terminal.getvalue()
    for line in ("\x1b[32m+ in01-c", "\x1b[31m- in01-b", "\x1b[33m~ in01-a"):
        assert (line in text) is not bool(no_color)
    assert (text == TEXT) is bool(no_color)


def test_text_of_the_service_and_of_files_reaches_no_terminal_raw(monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "\x1b[2J\x9b\u202e\n"
    old = Cluster.from_dict({"clusterId": f"in{evil}", "clusterName": evil, "x": {evil: evil}, evil: 1})
    new = Cluster.from_dict({**old.to_dict(), "clusterName": f"{evil}!", "x": [evil], evil: evil})
    added = Cluster("in01-b", evil, status=evil, plan=evil, region_id=evil)
    save(report(**{evil: Snapshot([old], MONDAY)}), report(**{evil: Snapshot([new, added], TUESDAY)}))
    terminal = open_terminal(monkeypatch)

    assert main(["diff", "old.json", "new.json"]) == 0

    assert terminal.getvalue().replace("\n", "").isprintable()
    assert r"\x1b[2J\x9b\u202e\n!" in terminal.getvalue()


# Reports of many accounts


def test_changes_stand_below_their_account(run: Run) -> None:
    same = Snapshot([C], MONDAY, 1, consistent=True)
    old = report(prod=OLD, same=same, test=Snapshot([A], MONDAY, 1, consistent=True))
    new = report(TUESDAY, prod=NEW, same=same, test=Snapshot([], TUESDAY, 1, consistent=True))

    status, out, err = run("diff", *save(old, new))

    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert lines[0] == "--- old.json  2026-01-05T12:00:00Z  4 clusters"
    assert [line for line in lines if line.startswith("@@")] == ["@@ prod @@", "@@ test @@"]
    assert lines[lines.index("@@ test @@") + 1].startswith("- in01-a  alpha")
    assert lines[-1] == "1 added, 2 removed, 1 modified"


def test_rows_name_their_account(run: Run) -> None:
    files = save(report(prod=OLD), report(TUESDAY, prod=NEW))

    changes = json.loads(run("diff", *files, "-o", "json")[1])
    rows = list(csv.DictReader(io.StringIO(run("diff", *files, "-o", "csv")[1])))

    assert [list(change)[:2] for change in changes] == [["kind", "account"]] * 3
    assert {change["account"] for change in changes} == {row["account"] for row in rows} == {"prod"}


def test_an_account_that_failed_is_named_and_its_clusters_are_not_removed(run: Run) -> None:
    files = save(report(prod=OLD, test=OLD), report(TUESDAY, "test", prod=OLD))

    status, out, _ = run("diff", *files, "--exit-code")

    assert status == 4
    assert "@@ test @@ failed in new.json, so nothing is compared" in out
    assert "0 added, 0 removed, 0 modified" in out

    status, out, err = run("diff", *files, "-o", "json", "--exit-code")

    row = {"kind": "notCompared", "account": "test", "reason": "failed in new.json, so nothing is compared"}
    assert (status, json.loads(out)) == (4, [row])
    assert err == "aiozilliz: not compared as they are now: 1 of the accounts\n"
    assert run("diff", *files, "-o", "csv")[1].splitlines()[
        1
    ] == f"notCompared,test,,,reason,,{row['reason']!r}".replace("'", '"')


def test_a_failed_account_whose_snapshot_was_carried_over_is_compared_and_named(run: Run) -> None:
    older = report(prod=OLD, test=OLD)
    files = save(older, report(TUESDAY, "test", prod=OLD).carried_over(older))

    status, out, _ = run("diff", *files)

    assert status == 4
    assert "@@ test @@ failed in new.json, so its last snapshot is compared" in out


def test_an_account_that_is_in_one_only_is_named_and_not_compared(run: Run) -> None:
    files = save(report(prod=OLD, gone=OLD), report(TUESDAY, prod=OLD, came=NEW))

    status, out, _ = run("diff", *files, "--exit-code")

    assert status == 4
    assert "@@ gone @@ only in old.json" in out
    assert "@@ came @@ only in new.json" in out
    assert "0 added, 0 removed, 0 modified" in out


# Listings without the proof


@pytest.mark.parametrize(("unproven", "kind"), [("old.json", "added"), ("new.json", "removed")])
def test_a_listing_that_was_not_proven_is_warned_about(unproven: str, kind: str, run: Run) -> None:
    old = Snapshot(OLD.clusters, MONDAY, 1, consistent=unproven != "old.json")
    new = Snapshot(NEW.clusters, TUESDAY, 1, consistent=unproven != "new.json")
    said = "was not proven complete, so clusters may be shown as"

    assert run("diff", *save(old, new))[2] == f"aiozilliz: {unproven}: the listing {said} {kind} by mistake\n"
    assert (
        f"{unproven}: the listing of prod {said} {kind}"
        in run("diff", *save(report(prod=old), report(TUESDAY, prod=new)))[2]
    )


# Trouble


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["old.json"],
        ["--live"],
        ["old.json", "new.json", "--live"],
        ["old.json", "new.json", "--demo"],
        ["old.json", "new.json", "--all-orgs"],
        ["old.json", "--live", "--demo", "--all-orgs"],
        ["-", "-"],
        ["old.json", "missing.json"],
        ["old.json", "."],
        ["old.json", "list.json"],
        ["old.json", "report.json"],
        ["report.json", "old.json"],
        ["report.json", "--live", "--api-key-file", "key"],
        ["old.json", "new.json", "-o", "xml"],
        ["old.json", "new.json", "--query", "sum([].kind)"],
    ],
)
def test_trouble_is_status_2(args: list[str], tmp_path: Path, run: Run) -> None:
    save()
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "report.json").write_text(report().to_json())
    (tmp_path / "key").write_text("k")

    status, out, err = run("diff", *args)

    assert (status, out) == (2, "")
    assert err
    assert "bug" not in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")  # noqa: PTH110 - no Path at import
def test_an_output_that_can_t_be_written_is_no_change() -> None:
    with open("/dev/full", "w") as full, process("diff", *save(), "--exit-code", stdout=full) as child:  # noqa: PTH123 - as above
        _, err = child.communicate()

    assert (child.returncode, err) == (2, "aiozilliz: the system refused: No space left on device\n")


@pytest.mark.parametrize(
    ("error", "status"), [(OSError(28, "No space left on device"), 2), (BrokenPipeError(), 1)]
)
def test_a_closed_pipe_changes_nothing_about_the_answer(
    error: OSError, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Terminal):
        def write(self, text: str, /) -> int:
            raise error

    old, new = save()
    monkeypatch.setattr(sys, "stdout", Broken())

    assert main(["diff", old, new, "--exit-code"]) == status


# The service as it is now


def test_live_compares_with_the_service(key: str, fake_zilliz_cloud: FakeZillizCloud, run: Run) -> None:
    url = ["--base-url", fake_zilliz_cloud.url]
    run("snapshot", "old.json", *url)
    assert run("diff", "old.json", "--live", "--exit-code", *url) == (0, "", "")
    first, *_, last = (record["clusterId"] for record in fake_zilliz_cloud.clusters)
    fake_zilliz_cloud.update(first, cuSize=99)
    fake_zilliz_cloud.remove(last)
    new = fake_zilliz_cloud.add()

    status, out, err = run("diff", "old.json", "--live", "--exit-code", *url)

    lines = out.splitlines()
    assert (status, err) == (1, "")
    assert lines[1].startswith("+++ now  ")
    assert lines[2].startswith(f"+ {new}  ")
    assert lines[3].startswith(f"- {last}  ")
    assert lines[4].startswith(f"~ {first}  ")
    assert lines[-1] == "1 added, 1 removed, 1 modified"


def test_a_report_is_compared_with_all_organisations(run: Run) -> None:
    run("snapshot", "--demo", "--all-orgs", "old.json")

    assert run("diff", "old.json", "--live", "--demo", "--exit-code") == (0, "", "")


def test_an_organisation_that_fails_now_is_reported_and_the_others_are_compared(
    make_fake_zilliz_cloud: MakeCloud, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    organisations(tmp_path, monkeypatch, prod="good", test="bad")
    save(report(prod=OLD, test=OLD))
    cloud = make_fake_zilliz_cloud(clusters=[A, C], api_key="good")

    status, out, err = run("diff", "old.json", "--live", "--exit-code", "--base-url", cloud.url)

    assert status == 4
    assert [line[:8] for line in out.splitlines() if line[0] in "+-~"][2:] == ["+ in01-c", "- in01-b"]
    assert "@@ test @@ failed in now, so nothing is compared" in out
    assert "account test: " in err


@pytest.mark.parametrize("many", [False, True])
def test_a_refused_key_is_status_3(
    many: bool,
    key: str,
    make_fake_zilliz_cloud: MakeCloud,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    organisations(tmp_path, monkeypatch, prod="bad", test="worse")
    save(report(prod=OLD, test=OLD) if many else OLD)
    cloud = make_fake_zilliz_cloud(api_key="good")

    assert run("diff", "old.json", "--live", "--base-url", cloud.url)[:2] == (3, "")


@pytest.mark.parametrize("many", [False, True])
def test_a_service_that_fails_is_trouble_and_no_change(
    many: bool,
    key: str,
    make_fake_zilliz_cloud: MakeCloud,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    organisations(tmp_path, monkeypatch, prod="one", test="two")
    save(report(prod=OLD, test=OLD) if many else OLD)
    cloud = make_fake_zilliz_cloud()
    cloud.fail_next(Fault.code(96008, "pageSize"), times=2 if many else 1)

    status, out, err = run("diff", "old.json", "--live", "--exit-code", "--base-url", cloud.url)

    assert (status, out) == (2, "")
    assert "96008" in err


def test_no_failure_at_all_looks_like_changes(key: str, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def broken(*args: Any, **options: Any) -> Any:
        raise KeyError("surprise")

    save()
    monkeypatch.setattr(aiozilliz, "ZillizClient", broken)

    status, out, err = run("diff", "old.json", "--live", "--exit-code")

    assert (status, out) == (2, "")
    assert "this is a bug in aiozilliz: KeyError: 'surprise'" in err


# The demo


@pytest.mark.parametrize("many", [False, True])
def test_the_demo_needs_neither_key_nor_file(many: bool, run: Run) -> None:
    status, out, err = run("diff", "--demo", "--exit-code", *(["--all-orgs"] if many else []))

    assert (status, err) == (1, "")
    assert out.endswith("\n1 added, 1 removed, 2 modified\n")
    assert ("@@ production @@" in out) is many


def test_the_demo_can_be_compared_with_itself(run: Run) -> None:
    run("snapshot", "--demo", "old.json")

    assert run("diff", "old.json", "--live", "--demo", "--exit-code") == (0, "", "")


def test_two_files_are_compared_without_the_http_library() -> None:
    old, new = save()
    program = (
        "import sys; from aiozilliz.cli import main; main(sys.argv[1:]);"
        "sys.exit(bool({'aiohttp', 'wcwidth'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "diff", old, new], env=environment(), check=False, capture_output=True
    )
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, TEXT, b"")
