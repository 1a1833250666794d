from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import queue
import re
import signal
import socket
import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from aiozilliz.testing import Fault
from tests.support.running import LONG, POSIX_ONLY, ended, process

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Generator, Iterable

    from aiozilliz.testing import FakeZillizCloud
    from tests.support.running import MakeCloud, Run

    Step = Callable[[], object]

FAST = ("--interval", "0.01", "--confirmations", "1")
REFUSED = Fault.code(21119, "refused", status=401)
NO_PERMISSION = Fault.code(96012, "no permission")


def play(cloud: FakeZillizCloud, *steps: Step, end: Fault = REFUSED, times: int = 1) -> None:
    """Take a step after each reading of a list of one page, and after the last end the watch.

    It takes as many refusals in a row as there are confirmations.
    """
    left = iter(steps)

    @cloud.between_pages
    def next_step() -> None:
        step = next(left, None)
        if step is None:
            cloud.fail_next(end, times)
        else:
            step()


def record(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "clusterId": f"in01-{name}",
        "clusterName": name,
        "status": "RUNNING",
        "plan": "Standard",
        **fields,
    }


def reported(out: str) -> list[tuple[str, str]]:
    events = map(json.loads, out.splitlines())
    return [(event["kind"], event["cluster"]["clusterName"]) for event in events]


def kept(state: Path) -> dict[tuple[str, str], dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(state)) as database:
        found = database.execute("SELECT account, cluster_id, record FROM clusters").fetchall()
    return {(account, cluster_id): json.loads(record) for account, cluster_id, record in found}


@pytest.fixture
def cloud(key: str, make_fake_zilliz_cloud: MakeCloud) -> FakeZillizCloud:
    return make_fake_zilliz_cloud(clusters=[record("a"), record("b")])


@pytest.fixture
def watch(run: Run, cloud: FakeZillizCloud) -> Run:
    def watch(*args: str) -> tuple[int, str, str]:
        return run("watch", *FAST, "--base-url", cloud.url, *args)

    return watch


def test_each_event_is_a_line_with_its_time(cloud: FakeZillizCloud, watch: Run) -> None:
    play(
        cloud,
        lambda: cloud.update("in01-a", status="STOPPED", cuSize=4, labels={"team": "x"}),
        lambda: cloud.remove("in01-b"),
        lambda: cloud.add(**record("c")),
    )

    status, out, err = watch()

    times, lines = zip(*(line.split("  ", 1) for line in out.splitlines()), strict=True)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", moment) for moment in times)
    assert [line.split("  ")[0] for line in lines] == [
        "+ in01-a",
        "+ in01-b",
        "~ in01-a",
        "- in01-b",
        "+ in01-c",
    ]
    assert "status: RUNNING -> STOPPED" in lines[2]
    assert "cuSize: " in lines[2]
    assert 'labels: (absent) -> {"team":"x"}' in lines[2]
    assert (status, err.count("\n")) == (3, 1)
    assert "refused" in err


def test_json_lines_and_yaml_have_the_whole_records(cloud: FakeZillizCloud, watch: Run) -> None:
    changed = cloud.clusters[0] | {"status": "STOPPED", "replica": 2}
    play(cloud, lambda: cloud.update("in01-a", status="STOPPED", replica=2))
    _, lines, _ = watch("-o", "jsonl")
    cloud.update("in01-a", status="RUNNING", replica=3)
    _, document, _ = watch("-o", "yaml")

    events = [json.loads(line) for line in lines.splitlines()]
    assert [event["kind"] for event in events] == ["added", "added", "modified"]
    assert [event["changed"] for event in events] == [[], [], ["status", "extra"]]
    assert events[2]["cluster"].items() >= changed.items()
    assert events[2]["previous"] == events[0]["cluster"]
    assert all(list(event) == ["time", "kind", "cluster", "previous", "changed"] for event in events)
    in_yaml = yaml.safe_load(document)
    assert [(event["kind"], event["cluster"]["clusterId"]) for event in in_yaml] == [
        ("added", "in01-a"),
        ("added", "in01-b"),
    ]


@pytest.mark.parametrize("header", [True, False])
def test_csv_has_a_row_for_each_field_that_changed(header: bool, cloud: FakeZillizCloud, watch: Run) -> None:
    play(cloud, lambda: cloud.update("in01-a", status="STOPPED", description="a, \n b"))

    _, out, _ = watch("-o", "csv", *([] if header else ["--no-header"]))

    rows = list(csv.reader(io.StringIO(out, newline="")))
    if header:
        assert rows.pop(0) == ["time", "kind", "clusterId", "clusterName", "field", "old", "new"]
    assert [row[1:4] for row in rows] == [
        ["added", "in01-a", "a"],
        ["added", "in01-b", "b"],
        ["modified", "in01-a", "a"],
        ["modified", "in01-a", "a"],
    ]
    assert {(row[4], row[6]) for row in rows[2:]} == {("status", "STOPPED"), ("description", "a, \n b")}


def test_filters_take_a_cluster_that_was_or_is_one_of_them(cloud: FakeZillizCloud, watch: Run) -> None:
    play(
        cloud,
        lambda: cloud.update("in01-a", status="ABNORMAL"),
        lambda: cloud.update("in01-b", description="still running"),
        lambda: cloud.update("in01-a", status="RUNNING"),
        lambda: cloud.update("in01-a", status="STOPPED"),
        lambda: cloud.add(**record("c", status="ABNORMAL")),
        lambda: cloud.remove("in01-c"),
    )

    _, out, _ = watch("-o", "jsonl", "--status", "abn*")

    assert reported(out) == [("modified", "a"), ("modified", "a"), ("added", "c"), ("removed", "c")]


def test_control_characters_of_the_service_make_no_lines_of_their_own(
    cloud: FakeZillizCloud, watch: Run
) -> None:
    play(cloud, lambda: cloud.update("in01-a", clusterName="x\n\x1b[2J\u202e", labels={"\x1b": "\r"}))

    _, out, _ = watch()

    assert len(out.splitlines()) == 3
    assert out.replace("\n", "").isprintable()


def test_an_outage_is_reported_in_the_words_of_the_command_line_and_outlived(
    cloud: FakeZillizCloud, watch: Run
) -> None:
    play(
        cloud,
        lambda: cloud.fail_next(Fault.status(404), times=2),
        lambda: cloud.add(**record("c")),
    )

    status, out, err = watch("-o", "jsonl")

    began, back, refused = err.splitlines()
    assert status == 3
    assert reported(out) == [("added", "a"), ("added", "b"), ("added", "c")]
    assert "poll failed, retrying" in began
    assert "--base-url" in began
    assert "base_url" not in began
    assert "recovered after" in back
    assert "2 failed polls" in back
    assert "refused" in refused


def test_an_empty_answer_is_no_removal_before_it_is_confirmed(cloud: FakeZillizCloud, watch: Run) -> None:
    empty = Fault.status(200, body='{"code": 0, "data": {"count": 0, "clusters": []}}')
    play(cloud, lambda: cloud.fail_next(empty), lambda: cloud.remove("in01-b"), lambda: None, times=2)

    _, out, _ = watch("-o", "jsonl", "--confirmations", "2")

    assert reported(out) == [("added", "a"), ("added", "b"), ("removed", "b")]


@pytest.mark.parametrize("fault", [REFUSED, NO_PERMISSION])
def test_a_key_that_is_refused_from_the_beginning_is_status_3(
    fault: Fault, cloud: FakeZillizCloud, watch: Run
) -> None:
    cloud.fail_next(fault)

    status, out, err = watch()

    assert (status, out, err.count("\n")) == (3, "", 1)


@pytest.mark.parametrize(
    "args",
    [
        ["--interval", "0"],
        ["--interval", "-1"],
        ["--interval", "nan"],
        ["--interval", "inf"],
        ["--confirmations", "0"],
        ["-o", "json"],
        ["--query", "[]"],
        ["--state", ""],
        ["--state", "."],
        ["--state", "/no/such/folder/state"],
    ],
)
def test_wrong_usage_is_status_2_before_any_request(
    args: list[str], cloud: FakeZillizCloud, watch: Run
) -> None:
    status, out, err = watch(*args)

    assert (status, out, cloud.requests) == (2, "", [])
    assert err
    assert "Traceback" not in err
    assert "bug" not in err


@pytest.mark.parametrize("content", ["{}", "no database", '{"version": 1, "clusters": []}', "\x00"])
def test_a_file_that_is_no_state_is_refused_and_left_as_it_is(
    content: str, cloud: FakeZillizCloud, watch: Run, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.write_text(content, "utf-8")

    status, out, err = watch("--state", str(state))

    assert (status, out, cloud.requests, err.count("\n")) == (2, "", [], 1)
    assert str(state) in err
    assert state.read_text("utf-8") == content


def test_a_state_is_bound_to_the_service_and_to_its_keys(
    cloud: FakeZillizCloud, watch: Run, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = str(tmp_path / "state")
    play(cloud)
    assert watch("--state", state)[0] == 3
    key_file = tmp_path / "key"
    key_file.write_text("k")
    key_file.chmod(0o600)

    other_service = run("watch", "--base-url", "http://127.0.0.1:1", "--state", state)
    other_key = watch("--state", state, "--api-key-file", str(key_file))
    demo = run("watch", "--demo", "--state", state)

    for status, out, err in (other_service, other_key, demo):
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert cloud.url in err
        assert "ZILLIZ_API_KEY" in err


def test_changes_only_leaves_the_first_reading_out(
    cloud: FakeZillizCloud, watch: Run, tmp_path: Path
) -> None:
    state = str(tmp_path / "state")
    play(cloud, lambda: cloud.add(**record("c")), lambda: cloud.remove("in01-a"))
    _, first, _ = watch("--changes-only", "-o", "jsonl", "--state", state)
    cloud.add(**record("d"))
    _, second, _ = watch("--changes-only", "-o", "jsonl", "--state", state)

    assert reported(first) == [("added", "c"), ("removed", "a")]
    assert reported(second) == [("added", "d")]


def test_changes_only_tells_of_the_first_cluster_of_an_empty_list(cloud: FakeZillizCloud, watch: Run) -> None:
    cloud.remove("in01-a")
    cloud.remove("in01-b")
    play(cloud, lambda: cloud.add(**record("c")))

    _, out, _ = watch("--changes-only", "-o", "jsonl")

    assert reported(out) == [("added", "c")]


def test_what_a_filter_hides_is_kept_as_reported(cloud: FakeZillizCloud, watch: Run, tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    play(cloud)
    _, hidden, _ = watch("--state", state, "--status", "nothing")
    _, again, _ = watch("--state", state)

    assert (hidden, again) == ("", "")


def test_an_event_that_could_not_be_written_comes_again(
    cloud: FakeZillizCloud, watch: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = str(tmp_path / "state")
    answered = threading.Event()
    cloud.between_pages(answered.set)
    with monkeypatch.context() as patch, Path(os.devnull).open(encoding="utf-8") as read_only:
        patch.setattr("sys.stdout", read_only)
        assert watch("--state", state)[0] == 1
    assert answered.wait(LONG)
    play(cloud)
    _, out, _ = watch("--state", state, "-o", "jsonl")

    assert reported(out) == [("added", "a"), ("added", "b")]


class Watching:
    """A watch in a process of its own, whose lines are read by a thread, so that a test that hangs fails."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.child = child
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self._lines.put(line)

    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self._lines.get(timeout=LONG))
        return event

    def events(self, number: int) -> list[tuple[str, str]]:
        return [
            (event["kind"], event["cluster"]["clusterName"])
            for event in (self.event() for _ in range(number))
        ]

    def end(self, number: signal.Signals) -> tuple[int, str]:
        self.child.send_signal(number)
        return ended(self.child)

    def rest(self) -> list[str]:
        self._reader.join(LONG)
        return [self._lines.get_nowait() for _ in range(self._lines.qsize())]


@contextmanager
def watching(*args: str) -> Generator[Watching, None, None]:
    with process("watch", "-o", "jsonl", *FAST, *args) as child:
        yield Watching(child)


class Readings:
    """Waits for readings of a fake to be over."""

    def __init__(self, cloud: FakeZillizCloud) -> None:
        self._answered = threading.Semaphore(0)
        cloud.between_pages(self._answered.release)

    def wait(self, number: int) -> None:
        while self._answered.acquire(blocking=False):
            pass
        for _ in range(number):
            assert self._answered.acquire(timeout=LONG)


@POSIX_ONLY
def test_a_line_reaches_a_pipe_before_anything_else_happens_and_a_killed_watch_goes_on(
    cloud: FakeZillizCloud, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    readings = Readings(cloud)
    args = ("--state", str(state), "--base-url", cloud.url)
    with watching(*args) as first:
        assert first.events(2) == [("added", "a"), ("added", "b")]
        cloud.update("in01-a", status="STOPPED")
        assert first.events(1) == [("modified", "a")]
        readings.wait(2)  # the first one may have been under way; at the second, all is kept
        first.child.kill()
        first.child.wait(LONG)
    cloud.remove("in01-b")
    cloud.add(**record("c"))
    with watching(*args) as second:
        assert sorted(second.events(2)) == [("added", "c"), ("removed", "b")]
        readings.wait(2)
        started = time.monotonic()
        status, errors = second.end(signal.SIGINT)
        assert time.monotonic() - started < LONG / 10
        assert (status, errors, second.rest()) == (-signal.SIGINT, "aiozilliz: interrupted\n", [])
        assert not first.rest()

    assert {name for _, name in kept(state)} == {"in01-a", "in01-c"}


@POSIX_ONLY
def test_an_interrupt_amid_a_write_that_nobody_reads_loses_no_event(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run, tmp_path: Path
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=[record(f"n{n}", description="x" * 200) for n in range(90)])
    ids = {record["clusterId"] for record in cloud.clusters}
    state = str(tmp_path / "state")
    args = ("-o", "jsonl", "--state", state, *FAST, "--base-url", cloud.url)
    with process("watch", *args, pipesize=4096) as child:
        assert child.stdout is not None
        descriptor = child.stdout.fileno()
        received = os.read(descriptor, 1)  # it is writing, and what is left does not fit into the pipe
        child.send_signal(signal.SIGINT)
        assert ended(child) == (-signal.SIGINT, "aiozilliz: interrupted\n")
        while data := os.read(descriptor, 65536):
            received += data
    play(cloud)
    _, out, _ = run("watch", *args)

    before = [json.loads(line)["cluster"]["clusterId"] for line in received.decode().split("\n")[:-1]]
    after = [json.loads(line)["cluster"]["clusterId"] for line in out.splitlines()]
    assert len(before) < len(ids)
    assert {*before, *after} == ids
    assert len(before) + len(after) <= len(ids) + 1


@POSIX_ONLY
def test_two_watches_do_not_share_a_state(cloud: FakeZillizCloud, watch: Run, tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    with watching("--state", state, "--base-url", cloud.url) as first:
        first.events(2)
        status, out, err = watch("--state", state)
        assert first.child.poll() is None

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "another watch" in err


@POSIX_ONLY
def test_a_closed_pipe_ends_it_at_the_next_event(cloud: FakeZillizCloud) -> None:
    with process("watch", *FAST, "--base-url", cloud.url) as child:
        assert child.stdout is not None
        assert child.stdout.readline()
        assert child.stdout.readline()
        child.stdout.close()
        cloud.add(**record("c"))
        assert ended(child) == (0, "")


@POSIX_ONLY
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_reader_that_has_gone_ends_it_though_nothing_changes(kind: str, cloud: FakeZillizCloud) -> None:
    with contextlib.ExitStack() as stack:
        ends = os.pipe() if kind == "pipe" else tuple(end.detach() for end in socket.socketpair())
        reader, writer = (
            stack.enter_context(os.fdopen(end, mode)) for end, mode in zip(ends, "rw", strict=True)
        )
        child = stack.enter_context(
            process("watch", "--interval", "3600", "--base-url", cloud.url, stdout=writer)
        )
        writer.close()
        assert reader.readline()
        assert reader.readline()
        reader.close()
        assert child.wait(LONG) == 0
        assert ended(child) == (0, "")


@POSIX_ONLY
def test_the_demo_changes_by_itself() -> None:
    with process("watch", "--demo", "-o", "jsonl", "--interval", "0.2") as child:
        watching = Watching(child)
        assert {watching.event()["kind"] for _ in range(250)} == {"added"}
        event = watching.event()
        assert watching.end(signal.SIGINT)[0] == -signal.SIGINT

    assert (event["kind"], event["cluster"]["clusterName"]) == ("added", "demo-1")


# All organisations


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(tmp_path))
    file = tmp_path / "credentials"
    names = (("org-1", "Acme", "key-of-acme-1"), ("org-2", "Bee", "key-of-bee-22"))
    file.write_text("".join(f"[org.{org}]\norg_name = {name}\napi_key = {key}\n" for org, name, key in names))
    file.chmod(0o600)
    return tmp_path


def by_account(events: Iterable[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return sorted((event["account"], event["kind"], event["cluster"]["clusterName"]) for event in events)


def test_a_refused_organisation_ends_only_its_own_watch(
    folder: Path, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=[record("a")], api_key="key-of-acme-1")
    play(cloud, lambda: cloud.add(**record("b")), lambda: None)

    status, out, err = run("watch", "--all-orgs", "-o", "jsonl", *FAST, "--base-url", cloud.url)

    assert by_account(map(json.loads, out.splitlines())) == [("Acme", "added", "a"), ("Acme", "added", "b")]
    assert list(json.loads(out.splitlines()[0]))[:3] == ["time", "kind", "account"]
    ends = [line for line in err.splitlines() if "the watch of account" in line]
    assert [re.search(r"account '(\w+)'", line)[1] for line in ends] == ["Bee", "Acme"]  # type: ignore[index]  # it is there
    assert not re.search("api_key|base_url", err.replace("--api-key-file", ""))
    assert "key-of" not in err
    assert status == 3


def test_text_and_csv_name_the_account(folder: Path, make_fake_zilliz_cloud: MakeCloud, run: Run) -> None:
    cloud = make_fake_zilliz_cloud(clusters=[record("a")], api_key="key-of-acme-1")
    play(cloud)
    args = ("watch", "--all-orgs", *FAST, "--base-url", cloud.url)

    _, text, _ = run(*args)
    _, table, _ = run(*args, "-o", "csv")

    assert text.split("  ")[1:4] == ["Acme", "+ in01-a", "a"]
    header, row = csv.reader(io.StringIO(table))
    assert header == ["time", "account", "kind", "clusterId", "clusterName", "field", "old", "new"]
    assert row[1:4] == ["Acme", "added", "in01-a"]


@POSIX_ONLY
def test_a_killed_watch_of_all_organisations_goes_on(folder: Path, make_fake_zilliz_cloud: MakeCloud) -> None:
    cloud = make_fake_zilliz_cloud(clusters=[record("a")])
    readings = Readings(cloud)
    state = folder / "state"
    args = ("--all-orgs", "--state", str(state), "--base-url", cloud.url)
    with watching(*args) as first:
        found = [first.event() for _ in range(2)]
        assert by_account(found) == [("Acme", "added", "a"), ("Bee", "added", "a")]
        readings.wait(4)  # as many as may have been under way, and more
        first.child.kill()
        first.child.wait(LONG)
    cloud.update("in01-a", cuSize=32)
    with watching(*args) as second:
        found = [second.event() for _ in range(2)]
        assert by_account(found) == [("Acme", "modified", "a"), ("Bee", "modified", "a")]
        readings.wait(4)
        assert second.end(signal.SIGINT) == (-signal.SIGINT, "aiozilliz: interrupted\n")
        assert not second.rest()

    assert {account: known["cuSize"] for (account, _), known in kept(state).items()} == {
        "Acme": 32,
        "Bee": 32,
    }
