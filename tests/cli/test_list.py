from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from wcwidth import wcswidth

from aiozilliz.cli import main
from aiozilliz.testing import FakeZillizCloud, Fault
from tests.support.running import LONG, POSIX_ONLY, ended, environment, open_terminal, process

if TYPE_CHECKING:
    from tests.support.running import Capture, MakeCloud, Run


def test_the_demo_needs_no_key_and_lists_250_clusters(run: Run) -> None:
    status, out, err = run("list", "--demo")

    ids = {json.loads(line)["clusterId"] for line in out.splitlines()}
    assert (status, len(ids), err) == (0, 250, "")


def test_records_have_all_fields_that_the_service_sent(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=1)
    added = cloud.add(clusterName="späte Nacht 夜", replica=2, labels={"team": "a"})

    _, out, _ = run("list", "--base-url", cloud.url)

    last = json.loads(out.splitlines()[-1])
    assert "späte Nacht 夜" in out
    assert last["clusterName"] == "späte Nacht 夜"
    assert (last["replica"], last["labels"]) == (2, {"team": "a"})
    assert last["clusterId"] == added


@pytest.mark.parametrize("count", [0, 1, 250])
def test_json_is_one_array(
    count: int,
    key: str,
    make_fake_zilliz_cloud: MakeCloud,
    run: Run,
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=count)

    status, out, err = run("list", "-o", "json", "--base-url", cloud.url)

    assert (status, len(json.loads(out)), err) == (0, count, "")


def test_options_reach_the_service(key: str, fake_zilliz_cloud: FakeZillizCloud, run: Run) -> None:
    run("list", "--page-size", "90", "--verify", "--concurrency", "2", "--base-url", fake_zilliz_cloud.url)

    assert {request.query["pageSize"] for request in fake_zilliz_cloud.requests} == {"90"}
    assert len(fake_zilliz_cloud.requests) >= 5
    assert fake_zilliz_cloud.requests[0].headers["Authorization"] == f"Bearer {key}"


@POSIX_ONLY
def test_records_are_written_before_the_next_page_has_come(
    make_fake_zilliz_cloud: MakeCloud,
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=20)
    cloud.between_pages(lambda: cloud.fail_next(Fault.delay(10 * LONG)) if len(cloud.requests) == 1 else None)

    with process("list", "--page-size", "10", "--timeout", "1000", "--base-url", cloud.url) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(10)]
        child.send_signal(signal.SIGINT)
        status, errors = ended(child)
    cloud.clear_faults()  # the interrupt may have come before the second request

    assert all(json.loads(line)["clusterId"] for line in lines)
    assert (status, errors) == (-signal.SIGINT, "aiozilliz: interrupted\n")


def test_what_no_encoding_and_no_terminal_takes_is_escaped_in_json(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=0)
    cloud.add(description="cut \ud83d, \x1b[31m red, \x9b31m, \x7f, \u202e")

    status, out, _ = run("list", "-o", "json", "--base-url", cloud.url)

    assert status == 0
    assert out.replace("\n", "").isprintable()
    assert json.loads(out)[0]["description"] == "cut \ud83d, \x1b[31m red, \x9b31m, \x7f, \u202e"


def test_json_is_whole_where_the_output_can_only_take_ascii() -> None:
    program = "import sys; from aiozilliz.cli import main; sys.exit(main(['list', '--demo', '-o', 'json']))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(PYTHONIOENCODING="ascii"),
        capture_output=True,
        check=True,
    )

    assert len(json.loads(done.stdout)) == 250


def test_a_table_elsewhere_than_on_a_terminal_holds_everything(
    key: str, fake_zilliz_cloud: FakeZillizCloud, run: Run
) -> None:
    status, out, err = run("list", "-o", "table", "--base-url", fake_zilliz_cloud.url)

    header, *rows = out.splitlines()
    assert (status, len(rows), err) == (0, 250, "")
    columns = ("ID", "NAME", "STATUS", "PLAN", "CU", "REGION", "CU TYPE", "AGE", "PROJECT")
    assert all(name in header for name in columns)
    assert "…" not in out


def test_no_header_is_no_header(run: Run) -> None:
    _, out, _ = run("list", "--demo", "-o", "table", "--no-header")

    assert len(out.splitlines()) == 250
    assert "STATUS" not in out


def test_a_table_fits_its_terminal_and_keeps_ids_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, key: str, make_fake_zilliz_cloud: MakeCloud
) -> None:
    terminal = open_terminal(monkeypatch)
    cloud = make_fake_zilliz_cloud(clusters=50)
    wide = cloud.add(clusterName="夜" * 40)

    assert main(["list", "--base-url", cloud.url]) == 0

    header, *rows = terminal.getvalue().splitlines()
    assert header.split()[:3] == ["ID", "NAME", "STATUS"]
    assert all(wcswidth(row.rstrip()) <= 80 for row in rows)
    assert "夜…" in rows[-1]
    assert rows[-1].split()[0] == wide
    assert len(rows) == 51
    assert "--columns chooses others, -o json shows all." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "columns", "titles"),
    [
        ([], 40, ["ID", "NAME", "STATUS"]),
        (["--all-orgs"], 40, ["ACCOUNT", "ID", "NAME"]),
        (["--all-orgs"], 50, ["ACCOUNT", "ID", "NAME", "STATUS"]),
    ],
)
def test_the_status_fits_a_narrow_terminal(
    args: list[str], columns: int, titles: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = open_terminal(monkeypatch, columns=columns)

    assert main(["list", "--demo", "--status", "RUNNING", *args]) == 0

    header, *rows = terminal.getvalue().splitlines()
    assert header.split() == titles
    assert all(wcswidth(row) <= columns for row in rows)


def test_a_table_of_nothing_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, key: str, make_fake_zilliz_cloud: MakeCloud
) -> None:
    terminal = open_terminal(monkeypatch)
    assert main(["list", "--base-url", make_fake_zilliz_cloud(clusters=0).url]) == 0

    assert terminal.getvalue() == ""
    assert "No clusters" in capsys.readouterr().err


def test_cells_show_control_characters_and_take_brackets_as_they_are(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=0)
    cloud.add(clusterName="[red]\x1b[2J\n\ud83d:x:", status="[/]")

    status, out, _ = run("list", "-o", "table", "--base-url", cloud.url)

    assert status == 0
    assert r"  [red]\x1b[2J\n\ud83d:x:  [/]  " in out
    assert out.replace("\n", "").isprintable()


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colour_is_as_no_color_says(no_color: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    terminal = open_terminal(monkeypatch, "xterm-256color")

    assert main(["list", "--demo"]) == 0

    assert ("\x1b[32mRUNNING" in terminal.getvalue()) is not bool(no_color)
    assert ("\x1b[3" in terminal.getvalue()) is not bool(no_color)
