"""Reports on many accounts: comparing, and the JSON text."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from aiozilliz import APIError, Changes, Cluster, ServerError, Snapshot, TransportError, ZillizError
from aiozilliz._records.report import InventoryChanges, InventoryReport
from tests.support import strategies as own

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def snapshot(*ids: str, **fields: Any) -> Snapshot:
    return Snapshot([Cluster(i, **fields) for i in ids], NOON, 1, consistent=True)


def report(failures: dict[str, Exception] | None = None, **snapshots: Snapshot) -> InventoryReport:
    return InventoryReport(snapshots, failures or {}, NOON)


REFUSED = ServerError("out of order", status=503, request_id="r-1")


def test_its_clusters_come_with_the_names_of_their_accounts() -> None:
    found = report({"eu": REFUSED}, prod=snapshot("b", "a"), cn=snapshot("a"))
    assert found.clusters == (("prod", Cluster("b")), ("prod", Cluster("a")), ("cn", Cluster("a")))


def test_it_does_not_follow_what_it_was_made_of() -> None:
    snapshots = {"prod": snapshot("a")}
    found = InventoryReport(snapshots, {}, NOON)
    snapshots.clear()
    assert list(found.snapshots) == ["prod"]


def test_its_moment_is_in_utc_and_has_to_be_aware() -> None:
    elsewhere = datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert InventoryReport({}, {}, elsewhere).taken_at.isoformat() == "2026-03-01T12:00:00+00:00"
    with pytest.raises(ValueError, match="time zone"):
        InventoryReport({}, {}, datetime(2026, 3, 1))  # noqa: DTZ001  # what is refused


def test_accounts_are_compared_one_by_one() -> None:
    older = report(a=snapshot("x", "y"), b=snapshot("x"), c=snapshot("x"))
    newer = report({"c": REFUSED}, a=snapshot("x", "z"), b=snapshot("x"), d=snapshot("x"))
    changes = newer.diff(older)
    assert list(changes) == ["a", "b"]
    assert changes["a"] == Changes(added=(Cluster("z"),), removed=(Cluster("y"),))
    assert changes["b"] == Changes()
    assert (changes.only_in_older, changes.only_in_newer) == (("c",), ("d",))
    assert changes
    assert len(changes) == 2
    assert (
        repr(changes) == "InventoryChanges(1 of 2 accounts changed, 1 only in the older, 1 only in the newer)"
    )


def test_a_failed_account_has_lost_nothing() -> None:
    older, newer = report(a=snapshot("x")), report({"a": REFUSED})
    changes = newer.diff(older)
    assert (dict(changes), changes.only_in_older) == ({}, ("a",))
    assert changes  # what it has lost is not known, and it is not compared
    assert older.diff(newer)
    assert not older.diff(older)


def test_it_names_the_accounts_whose_snapshot_proves_nothing() -> None:
    unproven = Snapshot([Cluster("x")], NOON)
    found = report({"c": REFUSED}, a=unproven, b=snapshot("x"), d=unproven)
    assert found.unproven == ("a", "d")
    assert "1 failed, 2 unproven" in repr(found)
    assert report(b=snapshot("x")).unproven == ()
    assert "0 unproven" in repr(report())


def test_where_an_account_failed_and_only_there_its_last_snapshot_is_carried_over() -> None:
    first = report(a=snapshot("x"), b=snapshot("x"), gone=snapshot("x"))
    night = report({"b": REFUSED, "new": REFUSED}, a=snapshot("y"))
    stored = night.carried_over(first)
    assert dict(stored.snapshots) == {"a": snapshot("y"), "b": snapshot("x")}
    assert (stored.failures, stored.taken_at) == (night.failures, night.taken_at)
    again = report({"b": REFUSED}, a=snapshot("y")).carried_over(InventoryReport.from_json(stored.to_json()))
    back = report(a=snapshot("y"), b=snapshot("z")).carried_over(again)
    changes = back.diff(again)
    assert changes["b"] == Changes(added=(Cluster("z"),), removed=(Cluster("x"),))
    assert not changes["a"]
    assert (changes.only_in_older, changes.only_in_newer) == ((), ())
    assert back.snapshots == {"a": snapshot("y"), "b": snapshot("z")}


def test_a_snapshot_of_this_time_is_not_replaced_by_an_older_one() -> None:
    ended = report({"a": REFUSED}, a=snapshot("y"))
    assert ended.carried_over(report(a=snapshot("x"))) == ended


def test_only_a_report_can_be_carried_over() -> None:
    other: Any = snapshot("a")
    with pytest.raises(TypeError, match="must be an InventoryReport"):
        report().carried_over(other)


def test_it_compares_with_reports_only() -> None:
    other: Any = snapshot("a")
    with pytest.raises(TypeError, match="must be an InventoryReport"):
        report().diff(other)


@pytest.mark.parametrize(
    "record",
    [
        report(),
        report({"eu": REFUSED, "us": TransportError("lost")}, prod=snapshot("a", "b")),
        report(a=snapshot("x")).diff(report(a=snapshot("y"), b=snapshot("z"))),
    ],
    ids=repr,
)
def test_they_are_values_that_can_be_copied_and_pickled(record: Any) -> None:
    for twin in (pickle.loads(pickle.dumps(record)), copy.copy(record), copy.deepcopy(record)):
        assert twin == record
        assert hash(twin) == hash(record)
        assert repr(twin) == repr(record)
    assert repr(record).isprintable()
    assert len(repr(record)) <= 500
    assert not hasattr(record, "__dict__")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record.taken_at = None
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record.only_in_older = ()


def test_they_differ_where_a_part_does() -> None:
    one = report({"eu": REFUSED}, a=snapshot("x"))
    assert one != report({"eu": TransportError("lost")}, a=snapshot("x"))
    assert one != report({"eu": REFUSED}, a=snapshot("y"))
    changes = InventoryChanges({"a": Changes()})
    assert changes != InventoryChanges({"a": Changes()}, ("b",))
    assert changes != InventoryChanges({"a": Changes((Cluster("x"),))})


# JSON


def test_a_failure_read_back_holds_the_class_and_the_text_of_the_original() -> None:
    failures: dict[str, Exception] = {
        "eu": REFUSED,
        "us": APIError("refused\n", status=400, code=12),
        "me": OSError("no route"),
        "odd": RuntimeError("\ud83d"),
    }
    again = InventoryReport.from_json(report(failures).to_json())
    assert list(again.failures) == ["eu", "us", "me", "odd"]
    for name, error in again.failures.items():
        assert type(error) is ZillizError
        assert type(failures[name]).__name__ in str(error)
        assert error.message == f"{type(failures[name]).__name__}: {failures[name]}"
    assert InventoryReport.from_json(again.to_json()) == again
    assert again.to_json() == report(failures).to_json()


def unique_names(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(own.texts, values, max_size=3)


snapshots = st.builds(
    Snapshot,
    st.lists(own.wire_records(), max_size=2, unique_by=lambda record: record["clusterId"]).map(
        lambda records: [Cluster.from_dict(json.loads(json.dumps(record))) for record in records]
    ),
    st.datetimes(timezones=st.just(UTC)),
    st.integers(0, 99),
    consistent=st.booleans(),
)
reports = st.builds(
    InventoryReport,
    unique_names(snapshots),
    unique_names(own.texts.map(ZillizError)),
    st.datetimes(timezones=st.just(UTC)),
)


@given(reports)
def test_a_report_survives_json(found: InventoryReport) -> None:
    # Two halves of an emoji side by side are one in JSON, as they are on the wire.
    found = InventoryReport.from_json(found.to_json())
    text = found.to_json()
    text.encode()
    again = InventoryReport.from_json(text)
    assert again == found
    assert list(again.snapshots) == list(found.snapshots)
    assert again.to_json() == text


def stored(**changes: Any) -> str:
    value = {**json.loads(report({"eu": REFUSED}, a=snapshot("x")).to_json()), **changes}
    return json.dumps({name: inner for name, inner in value.items() if inner is not ...})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the inventory report can't be read: it is empty"),
        ("[]", "it is a list, not an object"),
        (stored(version=2), "version is the number 2.*reads 1"),
        (stored(taken_at=None), "taken_at is null"),
        (stored(taken_at="noon"), "taken_at is the text 'noon'"),
        (stored(snapshots=...), "snapshots is null, not an object"),
        (stored(snapshots=[]), "snapshots is a list"),
        (stored(failures=...), "failures is null, not an object"),
        (stored(failures={"eu": 7}), "the failure of 'eu' is the number 7, not a text"),
        (stored(snapshots={"a": 7}), "the snapshot of 'a' can't be read: it is the number 7"),
        (stored(snapshots={"a": {}}), "the snapshot of 'a' can't be read: its format version is null"),
        (snapshot("x").to_json(), r"the snapshot of one account.* Snapshot\.from_json"),
        (
            stored(snapshots={"a": json.loads(stored())}),
            r"the snapshot of 'a' can't be read: it is an inventory report",
        ),
        (stored().encode("utf-16")[:-1], "UTF-16 text that is cut or broken"),
    ],
)
def test_what_can_not_be_read_is_told(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        InventoryReport.from_json(text)


@pytest.mark.parametrize("value", [None, 1, {}])
def test_it_is_read_from_text_or_bytes_only(value: Any) -> None:
    with pytest.raises(TypeError, match="str or bytes"):
        InventoryReport.from_json(value)


@given(st.data())
def test_a_text_with_something_changed_is_a_report_or_a_value_error(data: st.DataObject) -> None:
    text = stored()
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 20)))
    mutated = text[:start] + data.draw(st.text(max_size=8) | st.just("null")) + text[stop:]
    try:
        found = InventoryReport.from_json(mutated)
    except ValueError:
        return
    assert InventoryReport.from_json(found.to_json()) == found
