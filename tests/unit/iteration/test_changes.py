"""What readings tell a watch, against a naive model that looks back over all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import pytest
from attrs import frozen
from hypothesis import given, strategies as st

from aiozilliz import Cluster, ClusterEvent, EventKind, Snapshot
from aiozilliz._iteration.changes import ChangeTracker, EventQueue

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

Listed: TypeAlias = dict[str, int]
"""Id to `cu_size`: what changes of a cluster here."""


@frozen
class Reading:
    listed: Listed
    consistent: bool = True


def snapshot(listed: Listed, number: int = 0) -> Snapshot:
    clusters = [Cluster(cluster_id, cu_size=size) for cluster_id, size in listed.items()]
    return Snapshot(clusters, NOON + timedelta(minutes=number), number, consistent=True)


def told(events: list[ClusterEvent]) -> list[tuple[str, str, int]]:
    return [(str(event.kind), event.cluster.cluster_id, event.cluster.cu_size) for event in events]


listings = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 1), max_size=4)
readings = st.lists(st.builds(Reading, listings, st.sampled_from([True, True, True, False])), max_size=12)


def misses(history: list[Reading], cluster_id: str) -> int:
    """Count the consistent readings without it since it was last seen."""
    number = 0
    for reading in reversed(history):
        if cluster_id in reading.listed:
            break
        number += reading.consistent
    return number


@given(readings, st.integers(1, 4), st.none() | listings)
def test_a_removal_is_told_exactly_when_enough_readings_in_a_row_agree(
    history: list[Reading], confirmations: int, since: Listed | None
) -> None:
    tracker = ChangeTracker(confirmations, None if since is None else snapshot(since))
    known = dict(since or {})
    for number, reading in enumerate(history, 1):
        if not reading.consistent:
            before = tracker.known
            tracker.observe_partial(snapshot(reading.listed))
            assert tracker.known is before
            continue
        events = tracker.read(snapshot(reading.listed, number))
        gone = [i for i in known if misses(history[:number], i) >= confirmations]
        assert told(events) == [
            *(("removed", i, known[i]) for i in gone),
            *(("modified", i, n) for i, n in reading.listed.items() if known.get(i, n) != n),
            *(("added", i, n) for i, n in reading.listed.items() if i not in known),
        ]
        for event in events:
            cluster_id = event.cluster.cluster_id
            if event.kind == "removed":
                assert event.previous == event.cluster
            elif event.kind == "modified":
                assert event.previous == Cluster(cluster_id, cu_size=known[cluster_id])
                assert event.changed == ("cu_size",)
            else:
                assert (event.previous, event.changed) == (None, ())
        for i in gone:
            del known[i]
        still = {i: n for i, n in known.items() if i not in reading.listed}
        known = reading.listed | still
        assert tracker.known == snapshot(known, number)


def test_the_first_reading_comes_as_added_in_the_order_of_the_listing() -> None:
    tracker = ChangeTracker(2)
    assert told(tracker.read(snapshot({"b": 1, "a": 2}))) == [("added", "b", 1), ("added", "a", 2)]


def test_a_cluster_that_is_back_in_between_was_never_gone() -> None:
    tracker = ChangeTracker(3, snapshot({"a": 1, "b": 1}))
    for listed in ({"a": 1}, {"a": 1}, {"a": 1, "b": 1}, {"a": 1}, {"a": 1}):
        assert tracker.read(snapshot(listed)) == []
    assert told(tracker.read(snapshot({"a": 1}))) == [("removed", "b", 1)]


def test_a_cluster_that_came_back_changed_was_modified() -> None:
    tracker = ChangeTracker(2, snapshot({"a": 1}))
    assert tracker.read(snapshot({})) == []
    (event,) = tracker.read(snapshot({"a": 2}))
    assert event == ClusterEvent(
        EventKind.MODIFIED, Cluster("a", cu_size=2), Cluster("a", cu_size=1), ("cu_size",)
    )


def test_a_reading_that_is_not_consistent_shows_what_is_there_and_not_what_is_gone() -> None:
    tracker = ChangeTracker(2, snapshot({"a": 1, "b": 1}))
    assert tracker.read(snapshot({"a": 1})) == []
    for _ in range(3):
        tracker.observe_partial(snapshot({}))
    tracker.observe_partial(snapshot({"b": 1}))
    assert tracker.read(snapshot({"a": 1})) == []
    tracker.observe_partial(snapshot({"a": 1}))
    assert told(tracker.read(snapshot({"a": 1}))) == [("removed", "b", 1)]


def test_a_cluster_that_waits_for_its_confirmation_stays_in_what_is_known() -> None:
    tracker = ChangeTracker(2, snapshot({"a": 1, "b": 1, "c": 1}))
    reading = snapshot({"c": 1}, 5)
    tracker.read(reading)
    known = tracker.known
    assert known is not None
    assert [cluster.cluster_id for cluster in known] == ["c", "a", "b"]
    assert (known.taken_at, known.requests, known.consistent) == (reading.taken_at, 5, True)
    assert told(tracker.read(reading)) == [("removed", "a", 1), ("removed", "b", 1)]
    assert tracker.known is reading


@pytest.mark.parametrize("confirmations", [1, 2, 3])
def test_what_comes_and_goes_leaves_nothing_behind(confirmations: int) -> None:
    tracker = ChangeTracker(confirmations, snapshot({}))
    for number in range(100):
        tracker.read(snapshot({f"in01-{number}": 1}))
        assert tracker.known is not None
        assert len(tracker.known) == min(number + 1, confirmations)
        assert len(tracker._missing) == min(number, confirmations - 1)


@pytest.mark.parametrize("confirmations", [1, 2])
def test_a_reading_of_which_some_response_showed_a_cluster_does_not_count_against_it(
    confirmations: int,
) -> None:
    tracker = ChangeTracker(confirmations, snapshot({"a": 1, "b": 1}))
    for _ in range(3):
        assert tracker.read(snapshot({"a": 1}), {"b"}) == []
    for _ in range(confirmations - 1):
        assert tracker.read(snapshot({"a": 1}), {"a"}) == []
    assert told(tracker.read(snapshot({"a": 1}))) == [("removed", "b", 1)]


# What has been handed out


@given(listings, listings)
def test_what_was_reported_is_the_old_listing_with_the_events_handed_out(old: Listed, new: Listed) -> None:
    before, after = snapshot(old), snapshot(new, 7)
    queue = EventQueue(before)
    assert (queue.snapshot, len(queue)) == (before, 0)
    events = ChangeTracker(1, before).read(after)
    queue.put(events, after)
    assert queue.snapshot == (before if events else after)
    made = dict(old)
    for left, event in zip(range(len(events) - 1, -1, -1), queue, strict=True):
        assert event == events[len(events) - 1 - left]
        assert len(queue) == left
        if event.kind == "removed":
            del made[event.cluster.cluster_id]
        else:
            made[event.cluster.cluster_id] = event.cluster.cu_size
        reported = queue.snapshot
        assert reported is not None
        assert {cluster.cluster_id: cluster.cu_size for cluster in reported} == made
        assert (reported.taken_at, reported.consistent) == (after.taken_at, left == 0)
        assert queue.snapshot is reported
    assert queue.snapshot == after


def test_a_snapshot_between_two_events_keeps_the_order_of_the_listing_and_ends_with_what_goes() -> None:
    before, after = snapshot({"x": 1, "a": 1, "b": 1, "y": 1}), snapshot({"b": 2, "c": 1, "a": 1}, 7)
    queue = EventQueue(before)
    queue.put(ChangeTracker(1, before).read(after), after)
    seen: list[list[str]] = []
    for _ in queue:
        assert queue.snapshot is not None
        seen.append([f"{cluster.cluster_id}{cluster.cu_size}" for cluster in queue.snapshot])
    assert seen == [["b1", "a1", "y1"], ["b1", "a1"], ["b2", "a1"], ["b2", "c1", "a1"]]


def test_what_was_asked_for_in_the_middle_of_the_events_is_kept_up_to_the_next_reading() -> None:
    first, second, third = snapshot({"a": 1}), snapshot({"a": 1}, 2), snapshot({"a": 2}, 3)
    queue = EventQueue(None)
    assert queue.snapshot is None
    queue.put([], first)
    assert queue.snapshot is first
    queue.put([], second)
    assert queue.snapshot is second
    (event,) = ChangeTracker(1, second).read(third)
    queue.put([event], third)
    assert queue.snapshot is second, "no event has been handed out"
    assert list(queue) == [event]
    queue.put([event], first)
    assert queue.snapshot is third, "handed out, though nobody had asked in between"
