from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve
from hypothesis import given, settings, strategies as st

from aiozilliz import Cluster, InventoryReport, Snapshot
from aiozilliz.cli.output.changes import Change
from aiozilliz.cli.process import CommandError
from aiozilliz.cli.state.files import FileError
from aiozilliz.cli.state.store import WatchState, read_history
from tests.support import strategies
from tests.support.exhaustive import EXHAUSTIVE
from tests.support.running import POSIX_ONLY, environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tests.support.running import Run

AT = "2026-01-02T00:00:00Z"
A, B, C = (Cluster(f"in01-{letter}", letter) for letter in "abc")
SOURCE = ("https://api.example", "the default organisation")


def added(cluster: Cluster, account: str | None = None) -> Change:
    return Change("added", cluster, account=account, time=AT)


def removed(cluster: Cluster, account: str | None = None) -> Change:
    return Change("removed", cluster, cluster, account=account, time=AT)


def modified(cluster: Cluster, previous: Cluster, *changed: str) -> Change:
    return Change("modified", cluster, previous, changed, time=AT)


def opened(path: Path, *, many: bool = False, source: tuple[str, str] = SOURCE) -> WatchState:
    return WatchState.open(str(path), *source, many=many)


def since(path: Path) -> list[Cluster] | None:
    with opened(path) as state:
        known = state.since
    assert known is None or isinstance(known, Snapshot)
    return None if known is None else list(known)


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(FileError) as caught:
        opened(path, **options)
    return str(caught.value)


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as reader:
        return reader.execute(query).fetchall()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def test_it_goes_on_from_what_was_recorded(file: Path) -> None:
    stopped = evolve(B, status="STOPPED", extra={"labels": {"team": "x"}, "n": None})
    assert since(file) is None
    with opened(file) as state:
        for change in (added(A), added(B), added(C), modified(stopped, B, "status", "extra"), removed(A)):
            state.record([change])

    assert since(file) == [stopped, C]
    assert list(read_history(str(file))) == [
        added(A),
        added(B),
        added(C),
        Change("modified", stopped, B, ("status", "extra"), None, AT),
        removed(A),
    ]


def test_others_can_read_it_as_documented_while_it_is_used(file: Path) -> None:
    with opened(file, many=True) as state, closing(sqlite3.connect(file)) as reader:
        state.record([added(A, "Acme")])
        slow = reader.execute(
            "SELECT account, cluster_id, record FROM clusters"
        )  # read on while others write
        state.record([added(B, "Acme"), removed(A, "Acme")])

        assert slow.fetchall() == [("Acme", "in01-a", json.dumps(A.to_dict(), separators=(",", ":")))]
        ((account, cluster_id, record),) = rows(file, "SELECT account, cluster_id, record FROM clusters")
        events = rows(
            file, "SELECT at, account, kind, cluster_id, changed, record FROM events ORDER BY rowid"
        )

    assert (account, cluster_id, json.loads(record)) == ("Acme", "in01-b", B.to_dict())
    assert [event[:5] for event in events] == [
        (AT, "Acme", "added", "in01-a", "[]"),
        (AT, "Acme", "added", "in01-b", "[]"),
        (AT, "Acme", "removed", "in01-a", "[]"),
    ]
    assert rows(file, "PRAGMA user_version") == [(1,)]


def test_at_rest_it_is_one_file_that_is_made_as_the_umask_says(file: Path) -> None:
    with opened(file) as state:
        state.record([added(A)])

    assert [path.name for path in file.parent.iterdir()] == [file.name]
    umask = os.umask(0)
    os.umask(umask)
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask


def test_an_empty_file_is_a_new_state(file: Path) -> None:
    file.touch()

    assert since(file) is None
    with opened(file) as state:
        state.record([added(A)])
    assert since(file) == [A]


def test_many_accounts_are_a_report(file: Path) -> None:
    with opened(file, many=True) as state:
        assert state.since is None
        state.record([added(A, "Acme"), added(A, "Bee")])
        state.record([], begun=["Acme", "Empty"])
    with opened(file, many=True) as state:
        known = state.since

    assert isinstance(known, InventoryReport)
    assert {name: list(snapshot) for name, snapshot in known.snapshots.items()} == {
        "Acme": [A],
        "Bee": [A],
        "Empty": [],
    }


def test_it_remembers_whose_first_reading_is_complete(file: Path) -> None:
    with opened(file) as state:
        state.record([added(A)])
        assert state.begun == set()
        state.record([], begun=[""])
        state.record([], begun=[""])
    with opened(file) as state:
        assert state.begun == {""}


@pytest.mark.parametrize(
    "other",
    [("https://other.example", SOURCE[1]), (SOURCE[0], "all organisations")],
)
def test_it_is_bound_to_what_it_watches(file: Path, other: tuple[str, str]) -> None:
    with opened(file) as state:
        state.record([added(A)])

    text = refused(file, source=other)

    assert all(part in text for part in (*SOURCE, *other))
    assert since(file) == [A]


@pytest.mark.parametrize("content", [b"{}", b"no database", b"\0", b"SQLite format 3\0" + b"\xff" * 200])
def test_a_file_of_another_kind_is_refused_and_left_as_it_is(file: Path, content: bytes) -> None:
    file.write_bytes(content)

    assert str(file) in refused(file)

    assert file.read_bytes() == content
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_database_of_others_is_refused_and_left_as_it_is(file: Path, version: int) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE theirs(value)")
        database.execute(f"PRAGMA user_version = {version}")
    content = file.read_bytes()

    assert str(file) in refused(file)

    assert file.read_bytes() == content


def test_a_damaged_record_is_named(file: Path) -> None:
    with opened(file) as state:
        state.record([added(A)])
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE clusters SET record = '{'")
        database.execute("UPDATE events SET record = '[]'")
        database.commit()

    with opened(file) as state, pytest.raises(FileError, match="damaged"):
        assert state.since
    with pytest.raises(FileError, match="damaged"):
        list(read_history(str(file)))


def test_no_second_watch_uses_it(file: Path) -> None:
    with opened(file):
        assert "another watch" in refused(file)
        link = file.with_name("link")
        link.symlink_to(file)
        assert "another watch" in refused(link)
    with opened(file) as state:
        state.record([added(A)])
        assert "another watch" in refused(file)


def test_a_full_disk_is_an_error_and_changes_nothing(file: Path) -> None:
    with opened(file) as state:
        state.record([added(A)])
        # The state's own bound stands for the end of the disk.
        (pages,) = state._database.execute("PRAGMA page_count").fetchone()
        state._database.execute(f"PRAGMA max_page_count = {pages}")
        large = evolve(B, description="x" * 100_000)
        with pytest.raises(CommandError, match=r"state\.db can't be used: database or disk is full"):
            state.record([added(C), added(large)])

    assert since(file) == [A]
    assert len(list(read_history(str(file)))) == 1


@given(record=strategies.wire_records())
def test_any_record_comes_back(record: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    cluster = Cluster.from_dict(record)
    file = tmp_path_factory.mktemp("state") / "state"
    with opened(file) as state:
        state.record([added(cluster)])
        state.record([modified(cluster, cluster, "status")])

    assert since(file) == [cluster]
    assert [change.cluster for change in read_history(str(file))] == [cluster, cluster]


def replayed(changes: Iterable[Change]) -> dict[str, Cluster]:
    clusters: dict[str, Cluster] = {}
    for change in changes:
        if change.kind == "removed":
            del clusters[change.cluster.cluster_id]
        else:
            clusters[change.cluster.cluster_id] = change.cluster
    return clusters


def script(names: Sequence[str]) -> list[Change]:
    """Return changes: each name is added, modified, or removed in turn, as the state of that cluster allows."""
    known: dict[str, Cluster] = {}
    changes: list[Change] = []
    for name in names:
        old = known.get(name)
        if old is None:
            known[name] = Cluster(f"in01-{name}", status="RUNNING")
            changes.append(added(known[name]))
        elif old.status == "RUNNING":
            known[name] = evolve(old, status="STOPPED")
            changes.append(modified(known[name], old, "status"))
        else:
            changes.append(removed(known.pop(name)))
    return changes


def check_killed_at_each_write(folder: Path, batches: Sequence[Sequence[Change]]) -> None:
    """Check what is left of a state at each byte to which its log may have been written when the process was killed."""
    file = folder / "state"
    with opened(file) as state:
        for batch in batches:
            state.record(batch)
        database, log = file.read_bytes(), file.with_name("state-wal").read_bytes()
    expected = [change for batch in batches for change in batch]
    ends = {sum(map(len, batches[:n])) for n in range(len(batches) + 1)}
    left = folder / "left"
    seen: list[int] = []
    header, frame = 32, 24 + 4096
    frames = [header + n * frame for n in range((len(log) - header) // frame + 1)]
    assert frames[-1] == len(log)
    for size in sorted(
        {0, header - 1, *frames, *(end - 1 for end in frames), *(end - frame // 2 for end in frames[1:])}
    ):
        left.write_bytes(database)
        left.with_name("left-wal").write_bytes(log[:size])
        with opened(left) as state:
            known = state.since
        told = list(read_history(str(left)))
        assert told == expected[: len(told)]
        assert {c.cluster_id: c for c in (known.clusters if isinstance(known, Snapshot) else ())} == replayed(
            told
        )
        assert len(told) in ends
        seen.append(len(told))
    assert seen == sorted(seen)
    assert set(seen) == ends


def test_killed_at_any_write_it_holds_each_transaction_or_nothing_of_it(tmp_path: Path) -> None:
    changes = script("abacabbcca")

    check_killed_at_each_write(tmp_path, [changes[:3], *([change] for change in changes[3:])])


@settings(max_examples=100 if EXHAUSTIVE else 8)
@given(batches=st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3), min_size=1, max_size=5))
def test_whatever_the_transactions_are(
    batches: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    changes = iter(script([name for batch in batches for name in batch]))

    check_killed_at_each_write(
        tmp_path_factory.mktemp("state"), [[next(changes) for _ in batch] for batch in batches]
    )


def test_a_state_that_was_not_closed_can_be_copied_and_gone_on_from(file: Path, tmp_path: Path) -> None:
    with opened(file) as state:
        state.record([added(A)])
        for path in tmp_path.glob("state.db*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, tmp_path / f"copy{path.name.removeprefix('state')}")

    assert since(tmp_path / "copy.db") == [A]


_ENDLESS = """
import itertools, sys
from aiozilliz import Cluster
from aiozilliz.cli.output.changes import Change
from aiozilliz.cli.state.store import WatchState

with WatchState.open(sys.argv[1], *sys.argv[2:4], many=False) as state:
    for number in itertools.count():
        cluster = Cluster(f"in01-{number}")
        sys.stdout.write(cluster.cluster_id + "\\n")
        sys.stdout.flush()
        state.record([Change("added", cluster, time="2026-01-02T00:00:00Z")])
"""


@POSIX_ONLY
def test_a_process_that_is_killed_has_recorded_all_it_reported_but_for_the_last(file: Path) -> None:
    command = [sys.executable, "-c", _ENDLESS, str(file), *SOURCE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), encoding="utf-8") as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(50)]
        child.kill()
        lines += child.stdout.readlines()

    kept = [cluster.cluster_id for cluster in since(file) or ()]
    assert kept in ([line.strip() for line in lines], [line.strip() for line in lines[:-1]])
    assert [change.cluster.cluster_id for change in read_history(str(file))] == kept


@pytest.fixture
def history(run: Run, file: Path) -> Run:
    def history(*args: str) -> tuple[int, str, str]:
        return run("history", "--state", str(file), *args)

    return history


def at(change: Change, time: str) -> Change:
    return evolve(change, time=time)


def test_history_shows_the_events_of_a_time_and_of_clusters(history: Run, file: Path) -> None:
    stopped = evolve(A, status="STOPPED")
    with opened(file) as state:
        state.record([at(added(A), "2026-01-01T00:00:00Z"), at(added(B), "2026-01-02T00:00:00Z")])
        state.record([at(modified(stopped, A, "status"), "2026-01-03T00:00:00Z")])

        status, out, err = history("-o", "table")  # also while it is used

    assert (status, err) == (0, "")
    assert [line.split("  ")[:2] for line in out.splitlines()] == [
        ["2026-01-01T00:00:00Z", "+ in01-a"],
        ["2026-01-02T00:00:00Z", "+ in01-b"],
        ["2026-01-03T00:00:00Z", "~ in01-a"],
    ]
    events = json.loads(history("-o", "json", "--since", "2026-01-02T01:00:00+01:00", "in01-a")[1])
    assert events == [
        {
            "time": "2026-01-03T00:00:00Z",
            "kind": "modified",
            "cluster": stopped.to_dict(),
            "previous": A.to_dict(),
            "changed": ["status"],
        }
    ]
    assert len(history("-o", "jsonl", "--status", "stopped")[1].splitlines()) == 1
    assert history("-o", "json", "--since", "1h") == (0, "[]\n", "")


@pytest.mark.parametrize("since", ["yesterday", "", "7", "2026-13-01", "99999999d", "999999w", "-1d"])
def test_history_says_what_a_time_is(history: Run, file: Path, since: str) -> None:
    with opened(file):
        pass

    status, out, err = history("--since", since)

    assert (status, out) == (2, "")
    assert "24h" in err
    assert "bug" not in err


def test_history_of_nothing_is_refused(history: Run, file: Path) -> None:
    assert history()[0] == 2
    file.write_text("{}")
    status, out, err = history()
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert str(file) in err
    file.write_bytes(b"")
    assert history()[0] == 2
    assert file.read_bytes() == b""
