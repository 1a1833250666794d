from __future__ import annotations

import errno
import itertools
import os
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, evolve, field
from hypothesis import given, settings, strategies as st

from aiozilliz import Cluster, ClusterEvent, InventoryReport, Snapshot
from aiozilliz.cli.state.files import FileError
from aiozilliz.cli.state.store import Journal
from tests.support import strategies
from tests.support.running import POSIX_ONLY, environment

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

NOW = datetime(2026, 1, 2, tzinfo=UTC)
A, B, C = (Cluster(f"in01-{letter}", letter) for letter in "abc")


def snapshot(*clusters: Cluster) -> Snapshot:
    return Snapshot(clusters, NOW, 1, consistent=True)


def report(**snapshots: Snapshot) -> InventoryReport:
    return InventoryReport(snapshots, {}, NOW)


def added(cluster: Cluster) -> ClusterEvent:
    return ClusterEvent("added", cluster)


def removed(cluster: Cluster) -> ClusterEvent:
    return ClusterEvent("removed", cluster, cluster)


def events_of(older: Snapshot | None, newer: Snapshot) -> list[ClusterEvent]:
    """Return what a watch reports of a reading, in its order."""
    changes = newer.diff(older or snapshot())
    return [
        *map(removed, changes.removed),
        *(
            ClusterEvent("modified", change.cluster, change.previous, change.changed)
            for change in changes.modified
        ),
        *map(added, changes.added),
    ]


def since(path: Path, *, many: bool = False) -> Any:
    with Journal.open(str(path), many=many) as journal:
        return journal.since


def refused(path: Path, *, many: bool = False) -> str:
    with pytest.raises(FileError) as caught:
        Journal.open(str(path), many=many)
    return str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


def journal_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.journal")


# What it keeps


def test_a_state_that_never_was_has_nothing_and_leaves_nothing(file: Path) -> None:
    assert since(file) is None
    assert list(file.parent.iterdir()) == []


def test_events_of_a_reading_that_did_not_end_are_kept(file: Path) -> None:
    with Journal.open(str(file)) as journal:
        journal.record(added(A))
        journal.record(added(B))

    assert not file.exists()
    assert since(file).clusters == (A, B)
    assert since(file).taken_at.tzinfo is UTC
    assert since(file).consistent is False


def test_events_are_kept_on_top_of_the_file(file: Path) -> None:
    file.write_text(snapshot(A, B).to_json())
    changed = evolve(A, status="STOPPED")
    with Journal.open(str(file)) as journal:
        assert journal.since == snapshot(A, B)
        for event in (removed(B), *events_of(snapshot(A), snapshot(changed)), added(C)):
            journal.record(event)

    assert since(file) == snapshot(changed, C)
    assert file.read_text() == snapshot(A, B).to_json()


def test_a_commit_writes_the_file_and_ends_the_journal(file: Path) -> None:
    with Journal.open(str(file)) as journal:
        journal.record(added(A))
        assert journal.commit(snapshot(A))
        assert file.read_text() == snapshot(A).to_json()
        assert journal_of(file).read_bytes() == b""
        journal.record(added(B))

    assert since(file) == snapshot(A, B)
    assert not [path for path in file.parent.iterdir() if path not in {file, journal_of(file)}]


def test_a_commit_amid_a_reading_does_nothing(file: Path) -> None:
    file.write_text(snapshot(A).to_json())
    with Journal.open(str(file)) as journal:
        journal.record(added(B))

        assert not journal.commit(None)
        assert not journal.commit(snapshot(A))
        assert not journal.commit(snapshot(A, B, C))
        assert not journal.commit(snapshot(A, evolve(B, status="STOPPED")))

    assert file.read_text() == snapshot(A).to_json()
    assert since(file) == snapshot(A, B)


def test_one_account_amid_a_reading_holds_back_the_commit_of_all(file: Path) -> None:
    with Journal.open(str(file), many=True) as journal:
        journal.record(added(A), "prod")
        assert journal.commit(report(prod=snapshot(A)))
        journal.record(added(B), "test")

        assert not journal.commit(report(prod=snapshot(A)))

    state = since(file, many=True)
    assert {name: listing.clusters for name, listing in state.snapshots.items()} == {
        "prod": (A,),
        "test": (B,),
    }


def test_an_account_without_clusters_can_be_committed(file: Path) -> None:
    with Journal.open(str(file), many=True) as journal:
        assert journal.commit(report(empty=snapshot()))

    assert since(file, many=True) == report(empty=snapshot())


def test_accounts_are_kept_apart_before_the_first_commit(file: Path) -> None:
    with Journal.open(str(file), many=True) as journal:
        journal.record(added(A), "prod")
        journal.record(added(A), "test")
        journal.record(removed(A), "test")

    state = since(file, many=True)
    assert {name: listing.clusters for name, listing in state.snapshots.items()} == {"prod": (A,), "test": ()}


@given(strategies.clusters())
def test_any_record_is_kept_without_loss(cluster: Cluster) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state.json"
        with Journal.open(str(file)) as journal:
            journal.record(added(cluster))

        assert since(file).clusters == (cluster,)


def test_only_its_owner_can_read_a_journal(file: Path) -> None:
    with Journal.open(str(file)) as journal:
        journal.record(added(A))

    assert stat.S_IMODE(journal_of(file).stat().st_mode) == 0o600


def test_a_state_behind_a_symbolic_link_is_one_and_the_same(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(file)
    with Journal.open(str(link)) as journal:
        assert "another watch" in refused(file)
        journal.record(added(A))

    assert since(file).clusters == (A,)
    assert link.is_symlink()


# What it does not take for its own


def test_a_journal_of_another_content_of_the_file_says_nothing(file: Path) -> None:
    file.write_text(snapshot(A).to_json())
    with Journal.open(str(file)) as journal:
        journal.record(added(B))
    for content in (snapshot(A, C), snapshot()):
        left = journal_of(file).read_bytes()
        file.write_text(content.to_json())

        assert since(file) == content

        journal_of(file).write_bytes(left)


def test_a_state_that_was_deleted_begins_anew(file: Path) -> None:
    file.write_text(snapshot(A).to_json())
    with Journal.open(str(file)) as journal:
        journal.record(added(B))
    file.unlink()

    assert since(file) is None


@pytest.mark.parametrize("kept", [0, 1, 20, -1])
def test_a_line_that_was_not_written_whole_is_left_out(kept: int, file: Path) -> None:
    with Journal.open(str(file)) as journal:
        journal.record(added(A))
        whole = journal_of(file).read_bytes()
        journal.record(added(B))
    line = journal_of(file).read_bytes().removeprefix(whole)
    journal_of(file).write_bytes(whole + line[:kept])

    with Journal.open(str(file)) as journal:
        assert journal.since is not None
        journal.record(added(C))

    assert since(file).clusters == (A, C)


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b'{"kind": "lost", "account": null, "cluster": {"clusterId": "a"}}',
        b'{"kind": "added", "account": null}',
        b'{"kind": "added", "account": null, "cluster": {"clusterId": ""}}',
        b'{"kind": "added", "account": 1, "cluster": {"clusterId": "a"}}',
    ],
)
def test_a_damaged_line_is_refused_with_its_number(line: bytes, file: Path) -> None:
    with Journal.open(str(file)) as journal:
        journal.record(added(A))
    with journal_of(file).open("ab") as journal_file:
        journal_file.write(line + b"\n")

    assert f"{journal_of(file)}: line 3 is damaged" in refused(file)


def test_a_journal_of_another_version_is_refused(file: Path) -> None:
    journal_of(file).write_text('{"version": 2}\n')

    assert "not a journal of this version" in refused(file)


@pytest.mark.parametrize("many", [False, True])
def test_a_state_of_the_other_kind_is_refused(many: bool, file: Path) -> None:
    file.write_text(snapshot().to_json() if many else report().to_json())
    assert "it is the state of" in refused(file, many=many)
    file.unlink()

    with Journal.open(str(file), many=not many) as journal:
        journal.record(added(A), None if many else "prod")
    assert "it is the state of" in refused(file, many=many)


def test_what_is_no_state_is_refused(file: Path) -> None:
    file.write_text("[]")
    assert "expected a snapshot" in refused(file)
    assert "regular file" in refused(Path(os.devnull))
    assert "it is a folder" in refused(file.parent)


def test_a_journal_that_can_t_be_opened_is_reported(file: Path) -> None:
    journal_of(file).mkdir()

    assert refused(file).startswith(f"{journal_of(file)}: it can't be opened: ")


# The lock


@POSIX_ONLY
def test_a_second_watch_on_a_state_is_refused(file: Path) -> None:
    with Journal.open(str(file)):
        assert refused(file) == f"{file}: another watch is using this state"

    assert since(file) is None


@POSIX_ONLY
def test_a_refused_state_is_not_kept_locked(file: Path) -> None:
    file.write_text("nonsense")
    refused(file)
    file.write_text(snapshot(A).to_json())

    assert since(file) == snapshot(A)


@POSIX_ONLY
@pytest.mark.parametrize("made_anew", [False, True])
def test_a_journal_that_its_last_user_removes_meanwhile_is_not_used(
    made_anew: bool, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    lock = fcntl.flock
    calls = itertools.count()

    def lock_late(descriptor: int, operation: int) -> None:
        if next(calls) == 0:
            journal_of(file).rename(file.parent / "removed")
            if made_anew:
                journal_of(file).touch()
        lock(descriptor, operation)

    monkeypatch.setattr("fcntl.flock", lock_late)

    with Journal.open(str(file)) as journal:
        journal.record(added(A))
        assert "another watch" in refused(file)
    assert next(calls) == 3
    assert since(file).clusters == (A,)


@POSIX_ONLY
@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks available"), KeyboardInterrupt()])
def test_a_lock_that_can_t_be_had_leaves_nothing_open(
    error: BaseException, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    close = os.close

    def fail(*args: object) -> None:
        raise error

    def closing(descriptor: int) -> None:
        closed.append(descriptor)
        close(descriptor)

    monkeypatch.setattr("fcntl.flock", fail)
    monkeypatch.setattr(os, "close", closing)

    with pytest.raises(type(error)):
        Journal.open(str(file))
    assert len(closed) == 1


def test_it_can_be_closed_twice(file: Path) -> None:
    journal = Journal.open(str(file))
    journal.close()
    journal.close()


# A disk that is full


@pytest.mark.parametrize("written", [0, 1, 30])
def test_a_line_that_does_not_fit_leaves_the_state_as_it_was(
    written: int, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    with Journal.open(str(file)) as journal:
        journal.record(added(A))
        with monkeypatch.context() as patch:

            def write_part(descriptor: int, data: bytes) -> int:
                if not written:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return write(descriptor, data[:written])

            patch.setattr(os, "write", write_part)
            with pytest.raises(
                OSError, match=r"state\.json\.journal can't be written: No space left"
            ) as caught:
                journal.record(added(B))
        assert caught.value.errno == errno.ENOSPC
        journal.record(added(C))

    assert since(file).clusters == (A, C)


# Killed at any moment


class Killed(BaseException):
    pass


@define
class Kill:
    """Ends the process at one of its system calls: from then on none does anything.

    Attributes:
        step: The number of the call, from 0.
        share: How much of the call is done before: nothing, half of a write, all.
    """

    step: int
    share: float = 0.0
    steps: int = field(default=0, init=False)
    dead: bool = field(default=False, init=False)

    @contextmanager
    def armed(self) -> Generator[None, None, None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("open", "write", "replace", "ftruncate", "fsync", "unlink"):
                patch.setattr(os, name, self._deadly(name, getattr(os, name)))
            yield

    def _deadly(self, name: str, call: Any) -> Any:
        def deadly(*args: Any, **options: Any) -> Any:
            if self.dead:
                raise Killed
            self.steps += 1
            if self.steps - 1 != self.step:
                return None if name == "fsync" else call(*args, **options)
            self.dead = True
            if name == "write":
                descriptor, data = args
                call(descriptor, data[: int(len(data) * self.share)])
            elif self.share == 1.0 and name not in {"fsync", "open"}:
                call(*args, **options)
            raise Killed

        return deadly


@define
class Watch:
    """A watch of scripted readings, restarted where it was killed, and all that it ever reported."""

    file: Path
    readings: Sequence[Snapshot]
    reported: list[tuple[int, str, str]] = field(factory=list[tuple[int, str, str]])
    repeatable: set[tuple[int, str, str]] = field(factory=set[tuple[int, str, str]])
    place: int = 0

    def run(self, kill: Kill) -> None:
        """Run until the readings end or it is killed."""
        journal: Journal | None = None
        try:
            with kill.armed():
                journal = Journal.open(str(self.file))
                self._tell(journal, kill)
                journal.close()
        except Killed:
            pass
        if journal is not None and journal._descriptor >= 0:
            os.close(journal._descriptor)  # what the system does with a lock of the dead

    def _tell(self, journal: Journal, kill: Kill) -> None:
        known = journal.since
        assert known is None or isinstance(known, Snapshot)
        while self.place < len(self.readings):
            reading = self.readings[self.place]
            for event in events_of(known, reading):
                event_id = (self.place, str(event.kind), event.cluster.cluster_id)
                self.reported.append(event_id)
                try:
                    journal.record(event)
                except Killed:
                    if kill.share < 1.0:  # it was written, and its line was not: the one moment of a repeat
                        self.repeatable.add(event_id)
                    raise
            journal.commit(reading)
            known = reading
            self.place += 1


def all_events_of(readings: Sequence[Snapshot]) -> list[tuple[int, str, str]]:
    pairs = zip([None, *readings], readings, strict=False)
    return [
        (place, str(event.kind), event.cluster.cluster_id)
        for place, (older, newer) in enumerate(pairs)
        for event in events_of(older, newer)
    ]


def check_reported(watch: Watch) -> None:
    expected = all_events_of(watch.readings)
    assert list(dict.fromkeys(watch.reported)) == expected  # no gap
    repeated = {event for event in expected if watch.reported.count(event) > 1}
    assert repeated <= watch.repeatable


READINGS = (
    snapshot(A, B),
    snapshot(A, evolve(B, status="STOPPED"), C),
    snapshot(),
    snapshot(A, B),  # they come back, just as they were
    snapshot(B),
)
FOR_EVER = 10_000


def steps_of(tmp_path: Path) -> int:
    unharmed = Kill(FOR_EVER)
    watch = Watch(tmp_path / "unharmed.json", READINGS)
    watch.run(unharmed)
    assert watch.reported == all_events_of(READINGS)
    return unharmed.steps


def test_killed_at_any_step_it_goes_on_without_a_gap_or_a_repeat(tmp_path: Path) -> None:
    steps = steps_of(tmp_path)
    assert steps > 30
    repeats = 0
    for step, share in itertools.product(range(steps), (0.0, 0.5, 1.0)):
        watch = Watch(tmp_path / f"{step}-{share}.json", READINGS)
        watch.run(Kill(step, share))
        watch.run(Kill(FOR_EVER))

        check_reported(watch)
        repeats += len(watch.reported) - len(all_events_of(READINGS))
        assert since(watch.file) == READINGS[-1]
    # Once an event, for a kill before its line and one within it, as the documentation of the module says.
    assert repeats == 2 * len(all_events_of(READINGS))


clusters = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["RUNNING", "STOPPED"])).map(
    lambda found: snapshot(*(Cluster(f"in01-{letter}", status=status) for letter, status in found.items()))
)


@settings(max_examples=50)
@given(
    st.lists(clusters, min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 15), st.sampled_from([0.0, 0.5, 1.0])), max_size=6),
)
def test_killed_again_and_again_it_goes_on(readings: list[Snapshot], kills: list[tuple[int, float]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch(Path(folder) / "state.json", readings)
        for step, share in kills:
            watch.run(Kill(step, share))
        watch.run(Kill(FOR_EVER))

        check_reported(watch)


_ENDLESS = """
import itertools, sys
from aiozilliz import Cluster, ClusterEvent
from aiozilliz.cli.state.store import Journal

with Journal.open(sys.argv[1]) as journal:
    for number in itertools.count():
        cluster = Cluster(f"in01-{number}")
        sys.stdout.write(cluster.cluster_id + "\\n")
        sys.stdout.flush()
        journal.record(ClusterEvent("added", cluster))
"""


@POSIX_ONLY
def test_a_process_that_is_killed_has_kept_all_it_reported_but_for_the_last(file: Path) -> None:
    command = [sys.executable, "-c", _ENDLESS, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), encoding="utf-8") as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(50)]
        child.kill()
        lines += child.stdout.readlines()

    kept = [cluster.cluster_id for cluster in since(file)]
    assert kept in ([line.strip() for line in lines], [line.strip() for line in lines[:-1]])
