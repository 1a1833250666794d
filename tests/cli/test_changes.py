from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given

from aiozilliz import Cluster, EventKind, Snapshot
from aiozilliz.cli.output.changes import ABSENT, Change, wire_name
from aiozilliz.cli.output.text import json_text
from tests.support import strategies

NOW = datetime(2026, 1, 2, tzinfo=UTC)
OLD = Cluster.from_dict(
    {
        "clusterId": "in01-a",
        "clusterName": "search",
        "status": "RUNNING",
        "plan": "Standard",
        "cuSize": 2,
        "regionId": "aws-us-west-2",
        "labels": {"team": "a"},
        "replica": 1,
    }
)


def modified(**fields: Any) -> tuple[Cluster, Cluster, tuple[str, ...]]:
    new = Cluster.from_dict({**OLD.to_dict(), **fields})
    (change,) = Snapshot([new], NOW).diff(Snapshot([OLD], NOW)).modified
    return change.cluster, change.previous, change.changed


def test_every_attribute_has_its_wire_name() -> None:
    names = [wire_name(attribute.name) for attribute in attrs.fields(Cluster)]

    assert names == [*Cluster("in01-a").to_dict(), "extra"]


@pytest.mark.parametrize("account", [None, "prod"])
def test_a_row_holds_both_records_and_the_names_of_what_differs(account: str | None) -> None:
    new, old, changed = modified(cuSize=4, labels={})

    row = Change(EventKind.MODIFIED, new, old, changed, account).record()

    assert row == {
        "kind": "modified",
        **({} if account is None else {"account": account}),
        "cluster": new.to_dict(),
        "previous": old.to_dict(),
        "changed": ["cuSize", "extra"],
    }
    assert type(row["kind"]) is str


def test_a_row_of_an_added_cluster_has_no_previous_record() -> None:
    assert Change("added", OLD).record()["previous"] is None


def test_fields_that_are_not_known_differ_each_by_its_own_name() -> None:
    change = modified(status="STOPPED", labels={"team": "b"}, replica=None, zone="x")

    assert list(Change("modified", *change).fields()) == [
        ("status", "RUNNING", "STOPPED"),
        ("labels", {"team": "a"}, {"team": "b"}),
        ("replica", 1, None),
        ("zone", ABSENT, "x"),
    ]


def test_a_creation_time_that_is_no_date_is_one_field() -> None:
    new, old, changed = modified(createTime="yesterday")
    assert list(Change("modified", new, old, changed).fields()) == [("createTime", None, "yesterday")]

    dated = Cluster.from_dict({**OLD.to_dict(), "createTime": "2024-06-30T16:49:50Z"})
    (change,) = Snapshot([new], NOW).diff(Snapshot([dated], NOW)).modified
    fields = list(Change("modified", change.cluster, change.previous, change.changed).fields())
    assert fields == [("createTime", "2024-06-30T16:49:50Z", "yesterday")]


def test_without_a_previous_record_no_field_differs() -> None:
    assert list(Change("added", OLD).fields()) == []


@given(strategies.clusters(), strategies.clusters())
def test_exactly_the_fields_that_differ_are_named(old: Cluster, new: Cluster) -> None:
    new = attrs.evolve(new, cluster_id=old.cluster_id)
    changes = Snapshot([new], NOW).diff(Snapshot([old], NOW)).modified
    changed = changes[0].changed if changes else ()

    fields = {name: (before, after) for name, before, after in Change("modified", new, old, changed).fields()}

    before, after = old.to_dict(), new.to_dict()
    everything = {name: (before.get(name, ABSENT), after.get(name, ABSENT)) for name in {**before, **after}}
    known = {wire_name(attribute) for attribute in changed if attribute != "extra"}
    extra = {**old.extra, **new.extra} if "extra" in changed else {}
    other = {name for name in extra if json_text(before.get(name)) != json_text(after.get(name))}
    assert fields == {name: values for name, values in everything.items() if name in known | other}
    assert bool(fields) is bool(changes)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("added", "+ in01-a  search  RUNNING  Standard  2 CU  aws-us-west-2"),
        ("removed", "- in01-a  search  RUNNING  Standard  2 CU  aws-us-west-2"),
        ("modified", "~ in01-a  search"),
    ],
)
def test_a_line_tells_kind_and_cluster(kind: str, line: str) -> None:
    assert Change(EventKind(kind), OLD).line() == Change(kind, OLD).line() == line


def test_what_is_empty_leaves_no_gap() -> None:
    assert Change("added", Cluster("in03-a")).line() == "+ in03-a  0 CU"


def test_lines_show_old_and_new_values_whole() -> None:
    change = modified(status="", cuSize=4, labels={"team": ["b", 1]}, zone="x" * 200)

    assert Change(EventKind.MODIFIED, *change).lines() == [
        "~ in01-a  search",
        "    cuSize: 2 -> 4",
        '    status: RUNNING -> ""',
        '    labels: {"team":"a"} -> {"team":["b",1]}',
        f"    zone: (absent) -> {'x' * 200}",
    ]


def test_a_cluster_that_came_or_went_has_one_line() -> None:
    assert Change("added", OLD).lines() == [Change("added", OLD).line()]
    assert Change("removed", OLD, OLD).lines() == [Change("removed", OLD).line()]


def test_an_event_has_all_on_one_line() -> None:
    assert Change("removed", OLD, OLD).event_line() == Change("removed", OLD).line()
    assert (
        Change("modified", *modified(status="STOPPED", cuSize=4)).event_line()
        == "~ in01-a  search  cuSize: 2 -> 4  status: RUNNING -> STOPPED"
    )


@given(strategies.clusters(), strategies.clusters())
def test_text_of_the_service_reaches_no_terminal_raw(old: Cluster, new: Cluster) -> None:
    new = attrs.evolve(new, cluster_id=old.cluster_id)
    for change in Snapshot([new], NOW).diff(Snapshot([old], NOW)).modified:
        shown = Change("modified", change.cluster, change.previous, change.changed)
        lines = shown.lines()
        assert len(lines) == 1 + len(list(shown.fields()))
        assert all(line.isprintable() for line in lines)
    assert Change("added", new).line().isprintable()


def test_flat_rows_have_one_row_a_field() -> None:
    change = modified(cuSize=4, labels=None, zone="x")
    head = {"kind": "modified", "account": "prod", "clusterId": "in01-a", "clusterName": "search"}

    assert list(Change(EventKind.MODIFIED, *change, "prod").flat()) == [
        {**head, "field": "cuSize", "old": 2, "new": 4},
        {**head, "field": "labels", "old": {"team": "a"}, "new": None},
        {**head, "field": "zone", "old": None, "new": "x"},
    ]


@pytest.mark.parametrize("kind", ["added", "removed"])
def test_a_cluster_that_came_or_went_is_one_flat_row(kind: str) -> None:
    nothing = {"field": None, "old": None, "new": None}

    assert list(Change(kind, OLD).flat()) == [
        {"kind": kind, "clusterId": "in01-a", "clusterName": "search", **nothing}
    ]
