"""Whole listings: looking up, comparing, and the JSON text."""

from __future__ import annotations

import codecs
import copy
import json
import pickle
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest
from hypothesis import assume, given, strategies as st

from aiozilliz import (
    Changes,
    Cluster,
    ClusterEvent,
    ClusterPage,
    ClusterStatus,
    EventKind,
    InventoryReport,
    Modification,
    Snapshot,
)
from aiozilliz._records.cluster import ATTRIBUTES
from tests.support import strategies as own

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def decoded(record: dict[str, Any]) -> Cluster:
    """Give a record as it comes off the wire: what JSON can't hold apart is one."""
    return Cluster.from_dict(json.loads(json.dumps(record)))


def listing(*ids: str, **fields: Any) -> Snapshot:
    return Snapshot(tuple(Cluster(i, **fields) for i in ids), NOON)


def ids(clusters: Any) -> list[str]:
    return [cluster.cluster_id for cluster in clusters]


wire_clusters = own.wire_records().map(decoded)
few_ids = st.sampled_from(["in01-a", "in01-b", "in01-c", "in01-d", "\ud83d"])


def renamed(cluster: Cluster, cluster_id: str) -> Cluster:
    return attrs.evolve(cluster, cluster_id=cluster_id)


plain_clusters = st.builds(Cluster, few_ids, cu_size=st.integers(0, 1))
clusters_of_few_ids = plain_clusters | st.builds(renamed, wire_clusters, few_ids)
moments = st.datetimes(timezones=st.just(UTC))


def unique(clusters: st.SearchStrategy[Cluster]) -> st.SearchStrategy[list[Cluster]]:
    return st.lists(clusters, max_size=4, unique_by=lambda cluster: cluster.cluster_id)


snapshots = st.builds(
    Snapshot, unique(wire_clusters), moments, st.integers(0, 10**6), consistent=st.booleans()
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Snapshot, Snapshot]:
    """Two listings with ids in common; some records are the same in both."""
    older = draw(unique(clusters_of_few_ids))
    newer = {cluster.cluster_id: cluster for cluster in draw(unique(clusters_of_few_ids))}
    for cluster in older:
        if draw(st.booleans()) and cluster.cluster_id in newer:
            newer[cluster.cluster_id] = cluster
    return Snapshot(older, NOON), Snapshot(newer.values(), NOON)


# Looking up


def test_it_holds_the_clusters_in_their_order() -> None:
    snapshot = listing("b", "a", "c")
    assert len(snapshot) == 3
    assert ids(snapshot) == ids(snapshot.clusters) == ["b", "a", "c"]
    assert ids(reversed(snapshot.clusters)) == ["c", "a", "b"]


def test_a_cluster_is_found_by_its_id() -> None:
    snapshot = listing("b", "a")
    assert snapshot["a"] is snapshot.clusters[1]
    assert snapshot.get("a") is snapshot.clusters[1]
    assert snapshot.get("x") is None
    with pytest.raises(KeyError, match="x"):
        snapshot["x"]


def test_in_takes_an_id_or_a_whole_cluster() -> None:
    snapshot = listing("a", cu_size=1)
    assert "a" in snapshot
    assert "x" not in snapshot
    assert Cluster("a", cu_size=1) in snapshot
    assert Cluster("a", cu_size=2) not in snapshot
    assert 1 not in snapshot
    assert [] not in snapshot


def test_an_id_that_comes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        listing("a", "b", "a")


def test_its_moment_is_in_utc_and_has_to_be_aware() -> None:
    elsewhere = datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert Snapshot((), elsewhere).taken_at.isoformat() == "2026-03-01T12:00:00+00:00"
    with pytest.raises(ValueError, match="time zone"):
        Snapshot((), datetime(2026, 3, 1))  # noqa: DTZ001  # what is refused


def test_looking_up_changes_neither_equality_nor_hash_nor_pickle() -> None:
    used, fresh = listing("a", "b"), listing("a", "b")
    before = hash(used), pickle.dumps(used)
    assert "a" in used
    assert (hash(used), pickle.dumps(used)) == before
    assert used == fresh


# Comparing


def said(value: Any) -> Any:
    """Give what a value says: null is nothing, and true is not 1."""
    if isinstance(value, Cluster):
        return {name: said(getattr(value, name)) for name in ATTRIBUTES}
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value)
        return {name: said(item) for name, item in items.items() if item is not None}
    if isinstance(value, tuple):
        return [said(item) for item in cast("Iterable[Any]", value)]
    return f"the truth value {value}" if isinstance(value, bool) else value


def all_said(clusters: Iterable[Cluster]) -> dict[str, Any]:
    return {cluster.cluster_id: said(cluster) for cluster in clusters}


@given(pairs())
def test_the_difference_applied_to_the_older_gives_the_newer(pair: tuple[Snapshot, Snapshot]) -> None:
    older, newer = pair
    changes = newer.diff(older)
    applied = {cluster.cluster_id: cluster for cluster in older}
    for cluster in changes.removed:
        assert applied.pop(cluster.cluster_id) == cluster
    for modification in changes.modified:
        cluster, previous = modification.cluster, modification.previous
        assert applied[cluster.cluster_id] == previous
        assert said(previous) != said(cluster)
        assert modification.changed == tuple(
            name for name in ATTRIBUTES if said(getattr(previous, name)) != said(getattr(cluster, name))
        )
        assert modification.changed
        applied[cluster.cluster_id] = cluster
    for cluster in changes.added:
        assert applied.setdefault(cluster.cluster_id, cluster) is cluster
    assert all_said(applied.values()) == all_said(newer)
    assert bool(changes) == (all_said(newer) != all_said(older))


@given(pairs())
def test_differences_come_in_the_order_of_their_listing(pair: tuple[Snapshot, Snapshot]) -> None:
    older, newer = pair
    changes = newer.diff(older)
    assert ids(changes.added) == [i for i in ids(newer) if i not in ids(older)]
    assert ids(changes.removed) == [i for i in ids(older) if i not in ids(newer)]
    modified = [modification.cluster.cluster_id for modification in changes.modified]
    assert modified == [i for i in ids(newer) if i in ids(older) and said(older[i]) != said(newer[i])]


@given(snapshots)
def test_nothing_differs_from_itself_read_later_or_in_another_order(snapshot: Snapshot) -> None:
    later = Snapshot(reversed(snapshot.clusters), NOON, 7, consistent=True)
    assert not later.diff(snapshot)
    assert later.diff(snapshot) == Changes()
    assert later.diff(snapshot).consistent is snapshot.consistent


@pytest.mark.parametrize("newer", [True, False])
@pytest.mark.parametrize("older", [True, False])
def test_changes_are_consistent_where_both_snapshots_are_and_say_where_not(
    *, newer: bool, older: bool
) -> None:
    changes = Snapshot([Cluster("a")], NOON, consistent=newer).diff(Snapshot((), NOON, consistent=older))
    assert changes.consistent is (newer and older)
    assert ("not consistent" in repr(changes)) is not changes.consistent
    assert changes == Changes(added=(Cluster("a"),))
    assert pickle.loads(pickle.dumps(changes)).consistent is changes.consistent


SAME: list[tuple[Any, Any]] = [
    ({}, {"a": None}),
    ({"a": {"b": 1}}, {"a": {"b": 1, "c": None}}),
    ({"a": [{"b": None}, 2]}, {"a": [{}, 2.0]}),
    ({"a": 1}, {"a": 1.0}),
]
OTHER: list[tuple[Any, Any]] = [
    ({"a": 1}, {"a": True}),
    ({"a": 0}, {"a": False}),
    ({"a": False}, {}),
    ({"a": ""}, {"a": None}),
    ({"a": [1, {"b": 0}]}, {"a": [1, {"b": False}]}),
    ({"a": [None]}, {"a": []}),
    ({"a": {}}, {"a": None}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_null_and_absent_in_extra_are_no_difference(one: Any, other: Any) -> None:
    first, second = Snapshot([Cluster("a", extra=one)], NOON), Snapshot([Cluster("a", extra=other)], NOON)
    assert not first.diff(second)
    assert not second.diff(first)
    changed = Snapshot([Cluster("a", extra=other, cu_size=1)], NOON).diff(first)
    assert [modification.changed for modification in changed.modified] == [("cu_size",)]


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_true_and_1_in_extra_are_a_difference(one: Any, other: Any) -> None:
    first, second = Snapshot([Cluster("a", extra=one)], NOON), Snapshot([Cluster("a", extra=other)], NOON)
    for changes in (first.diff(second), second.diff(first)):
        assert [modification.changed for modification in changes.modified] == [("extra",)]


def test_what_changed_is_named_by_attribute_in_the_order_of_the_record() -> None:
    older = Snapshot([Cluster("a", status="RUNNING", cu_size=1, extra={"replica": 1})], NOON)
    newer = Snapshot([Cluster("a", status="STOPPED", cu_size=2, extra={"replica": 2})], NOON)
    (modification,) = newer.diff(older).modified
    assert modification.changed == ("cu_size", "status", "extra")
    assert (modification.previous.status, modification.cluster.status) == (
        ClusterStatus.RUNNING,
        ClusterStatus.STOPPED,
    )


@pytest.mark.parametrize("other", [None, (), {}, ClusterPage()])
def test_it_compares_with_snapshots_only(other: Any) -> None:
    with pytest.raises(TypeError, match="must be a Snapshot"):
        listing("a").diff(other)


class CountedId(str):
    """An id that counts how often it is looked up or compared."""

    __slots__ = ()
    looks = 0

    def __hash__(self) -> int:
        CountedId.looks += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        CountedId.looks += 1
        return super().__eq__(other)


def looks_of_a_comparison(number: int) -> int:
    older = Snapshot([Cluster(CountedId(f"in01-{n:06}")) for n in range(number)], NOON)
    newer = Snapshot([Cluster(CountedId(f"in01-{n:06}")) for n in range(number // 2, 2 * number)], NOON)
    CountedId.looks = 0
    assert len(newer.diff(older).added) == number
    return CountedId.looks


def test_a_comparison_takes_looks_in_proportion_to_the_clusters() -> None:
    small, large = looks_of_a_comparison(200), looks_of_a_comparison(2000)
    assert 9 < large / small < 11


# JSON


@given(snapshots)
def test_a_snapshot_survives_json_without_loss(snapshot: Snapshot) -> None:
    text = snapshot.to_json()
    again = Snapshot.from_json(text)
    assert again == snapshot
    assert ids(again) == ids(snapshot)
    assert [repr(cluster.to_dict()["createTime"]) for cluster in again] == [
        repr(cluster.to_dict()["createTime"]) for cluster in snapshot
    ]
    assert again.to_json() == text  # so are the types inside `extra`, and their order
    assert Snapshot.from_json(text.encode()) == snapshot


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else {"é": "\ud83d"}


@pytest.mark.parametrize(
    "value",
    [
        nested(97),
        2**64 - 1,
        -(2**63),
        2.0**64,
        1.7976931348623157e308,
        5e-324,
        -0.0,
        0.1,
        1e16,
        True,
        "\ud83d",
        "\x00\x1b\x7f\u2028",
        "😀",
        {},
        [],
        None,
    ],
)
@pytest.mark.parametrize("beside", ["", "\udc00"])
def test_odd_values_survive_json(value: Any, beside: str) -> None:
    snapshot = listing("a", extra={"value": value}, description=beside)
    again = Snapshot.from_json(snapshot.to_json())
    assert again == snapshot
    assert repr(again["a"].to_dict()) == repr(snapshot["a"].to_dict())
    assert again.to_json() == snapshot.to_json()


def test_the_text_is_made_for_reading_and_comparing_by_line() -> None:
    record = {"clusterId": "a", "zone": 1, "labels": {"b": "é", "a": [{"y": 1, "x": 2}]}, "cuSize": 3}
    text = Snapshot([decoded(record)], NOON, 2, consistent=True).to_json()
    assert text == (
        """{
  "version": 1,
  "taken_at": "2026-03-01T12:00:00Z",
  "requests": 2,
  "consistent": true,
  "clusters": [
    {
      "clusterId": "a",
      "clusterName": "",
      "description": "",
      "regionId": "",
      "plan": "",
      "cuType": "",
      "cuSize": 3,
      "status": "",
      "connectAddress": "",
      "privateLinkAddress": "",
      "createTime": null,
      "projectId": "",
      "labels": {
        "a": [
          {
            "x": 2,
            "y": 1
          }
        ],
        "b": "é"
      },
      "zone": 1
    }
  ]
}
"""
    )


@given(st.lists(own.wire_records(), max_size=3, unique_by=lambda record: record["clusterId"]), st.randoms())
def test_the_same_listing_gives_the_same_text_in_whatever_order_its_fields_come(
    records: list[dict[str, Any]], chance: Any
) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            items = list(cast("dict[str, Any]", value).items())
            chance.shuffle(items)
            return {name: shuffled(inner) for name, inner in items}
        if isinstance(value, list):
            return [shuffled(inner) for inner in cast("Sequence[Any]", value)]
        return value

    one = Snapshot([decoded(record) for record in records], NOON)
    other = Snapshot([decoded(shuffled(record)) for record in records], NOON)
    assert one.to_json() == other.to_json()


def test_half_an_emoji_in_one_record_changes_no_other_line() -> None:
    whole = listing("a", "b", description="é😀")
    cut = Snapshot([whole["a"], Cluster("b", description="é\ud83d")], NOON)
    lines = zip(whole.to_json().splitlines(), cut.to_json().splitlines(), strict=True)
    assert [pair for pair in lines if pair[0] != pair[1]] == [
        ('      "description": "é😀",', '      "description": "é\\ud83d",')
    ]
    cut.to_json().encode()


def stored(**changes: Any) -> str:
    value = {
        **json.loads(listing("a").to_json()),
        **changes,
    }
    return json.dumps({name: inner for name, inner in value.items() if inner is not ...})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("{", "not JSON"),
        (b"\xff\xfe", "empty"),
        (b"\xff\xfe{", "UTF-16 text that is cut or broken"),
        (listing("a").to_json().encode("utf-16")[:-1], "UTF-16 text that is cut or broken"),
        (listing("a").to_json().encode("utf-32")[:-1], "UTF-32 text that is cut or broken"),
        (listing("a").to_json().encode("utf-16")[:-8], "not JSON"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8\x00\xd8", "UTF-16 text that is cut or broken"),
        (bytes(64), "not JSON"),
        (InventoryReport({}, {}, NOON).to_json(), r"an inventory report.*InventoryReport\.from_json"),
        (InventoryReport({"a": listing("a")}, {}, NOON).to_json(), r"InventoryReport\.from_json"),
        ("\ud800", "not JSON"),
        ("<html>", "HTML"),
        ("NaN", "not JSON"),
        ("[]", "a list, not an object"),
        ("7", "the number 7, not an object"),
        ("null", "null, not an object"),
        (stored(version=...), "version is null.*reads 1"),
        (stored(version=2), "version is the number 2.*reads 1"),
        (stored(version="1"), "version is the text '1'"),
        (stored(version=True), "version is true"),
        (stored(version=1.0), "version is the number 1.0"),
        (stored(taken_at=...), "taken_at is null"),
        (stored(taken_at="noon"), "taken_at is the text 'noon', not an ISO 8601 time"),
        (stored(taken_at=7), "taken_at is the number 7"),
        (stored(requests=-1), "requests is the number -1"),
        (stored(requests=1.5), "requests is the number 1.5"),
        (stored(requests=True), "requests is true"),
        (stored(requests=10**30), "requests is a huge number"),
        (stored(consistent=1), "consistent is the number 1"),
        (stored(clusters=...), "clusters is null"),
        (stored(clusters={}), "clusters is an object"),
        (stored(clusters=[{}]), "Record 0 can't be decoded: clusterId"),
        (stored(clusters=[{"clusterId": "a"}, 7]), "Record 1 can't be decoded: it must be an object"),
        (stored(clusters=[{"clusterId": "b", "cuSize": "1"}]), r"Record 0 \(b\).*cuSize must be an integer"),
        (stored(clusters=[{"clusterId": "b", "x": nested(99)}]), "nested more than 100"),
        (stored(clusters=[{"clusterId": "a"}, {"clusterId": "a"}]), "a cluster_id comes twice"),
    ],
)
def test_what_can_not_be_read_is_told(text: str | bytes, says: str) -> None:
    with pytest.raises(ValueError, match=f"^the snapshot can't be read: .*{says}") as raised:
        Snapshot.from_json(text)
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)


@pytest.mark.parametrize("value", [None, 1, {}, memoryview(b"{}")])
def test_it_is_read_from_text_or_bytes_only(value: Any) -> None:
    with pytest.raises(TypeError, match="str or bytes"):
        Snapshot.from_json(value)


def test_fields_of_a_later_version_of_the_same_format_are_passed_over() -> None:
    assert Snapshot.from_json(stored(account="x")) == listing("a")


def test_it_is_read_in_every_encoding_that_a_shell_writes() -> None:
    text = listing("é").to_json()
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        assert Snapshot.from_json(text.encode(encoding)) == listing("é")
        assert Snapshot.from_json(f"\ufeff{text}".encode(encoding)) == listing("é")
    assert Snapshot.from_json("\ufeff" + text) == Snapshot.from_json(text.encode("utf-8-sig")) == listing("é")


def reads_or_refuses(text: str | bytes) -> None:
    try:
        snapshot = Snapshot.from_json(text)
    except ValueError as error:
        said = str(error)
    else:
        assert Snapshot.from_json(snapshot.to_json()) == snapshot
        return
    assert said.startswith("the snapshot can't be read: ")
    assert len(said) < 500


@given(st.text(st.characters(exclude_categories=())) | st.binary())
def test_any_text_is_a_snapshot_or_a_value_error(text: str | bytes) -> None:
    reads_or_refuses(text)


@given(snapshots, st.data())
def test_a_text_with_something_changed_is_a_snapshot_or_a_value_error(
    snapshot: Snapshot, data: st.DataObject
) -> None:
    text = snapshot.to_json()
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 20)))
    put = data.draw(st.text(max_size=8) | st.sampled_from(["null", "[]", "{}", "-1", "1e999", '"\\ud800"']))
    reads_or_refuses(text[:start] + put + text[stop:])
    raw = text.encode()
    reads_or_refuses(raw[:start] + data.draw(st.binary(max_size=8)) + raw[stop:])


@given(st.data())
def test_a_text_with_some_value_replaced_is_a_snapshot_or_a_value_error(data: st.DataObject) -> None:
    value = json.loads(data.draw(snapshots).to_json())
    place: Any = value
    while True:
        is_object = isinstance(place, dict)
        keys: list[Any] = list(cast("dict[str, Any]", place)) if is_object else [*range(len(place))]
        assume(keys)
        key = data.draw(st.sampled_from(keys))
        inner: Any = place[key]
        if not inner or type(inner) not in {dict, list} or data.draw(st.booleans()):
            break
        place = inner
    place[key] = data.draw(own.json_values)
    reads_or_refuses(json.dumps(value))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        '{"a":' * 1_000_000,
        "1" * 1_000_000,
        "0." + "1" * 1_000_000,
        "-" * 1_000_000,
        '"' + "\\ud800" * 300_000 + '"',
        "\ud800" * 1_000_000,
        " " * 1_000_000,
        stored(clusters=[{"clusterId": "a"}] * 20_000),
        stored(taken_at="2" * 1_000_000),
        stored(version="\ud800" * 200_000),
        stored(clusters=["\x1b" * 1_000_000]),
    ],
    ids=range(12),
)
def test_a_long_text_is_refused_in_linear_time(text: str) -> None:
    # Anything quadratic would take hours here.
    reads_or_refuses(text)


# Records

RECORDS = [
    Modification(Cluster("a", cu_size=2), Cluster("a", cu_size=1), ("cu_size",)),
    Changes((Cluster("a"),), (Cluster("b"),), (Modification(Cluster("c"), Cluster("c"), ()),)),
    ClusterEvent(EventKind.MODIFIED, Cluster("a"), Cluster("a"), ("status", "extra")),
    ClusterEvent(EventKind.ADDED, Cluster("a", extra={"a": [{}]})),
    listing("a", "b"),
]


def awkward(text: str) -> list[object]:
    """Give a record of each class, with this text wherever one goes."""
    cluster = Cluster(text, text, text, text, text, text, 10**400, text, text, text, NOON, text, {text: text})
    modification = Modification(cluster, cluster, ATTRIBUTES)
    return [
        modification,
        Changes((cluster,) * 50, (cluster,) * 50, (modification,) * 50),
        *(ClusterEvent(kind, cluster, cluster, ATTRIBUTES) for kind in EventKind),
        Snapshot((cluster,), NOON, 10**400),
    ]


@pytest.mark.parametrize("text", ["\n\x1b\ud800" * 5, "x" * 10_000, "\U0001f600" * 300, "'\"\\" * 99, "é"])
def test_a_repr_is_one_line_of_at_most_500_characters(text: str) -> None:
    for record in awkward(text):
        assert repr(record).isprintable()
        assert len(repr(record)) <= 500
        assert repr(record).startswith(f"{type(record).__name__}(")


def test_a_repr_says_what_matters() -> None:
    assert repr(RECORDS[0]) == "Modification(cluster_id='a', changed='cu_size')"
    assert repr(RECORDS[1]) == "Changes(1 added, 1 removed, 1 modified)"
    assert repr(RECORDS[2]) == "ClusterEvent(modified, cluster_id='a', name='', changed='status, extra')"
    assert repr(RECORDS[4]) == (
        "Snapshot(2 clusters, taken_at=2026-03-01T12:00:00Z, requests=0, consistent=False)"
    )


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_records_are_values_that_can_be_copied_and_pickled(record: Any, protocol: int) -> None:
    for twin in (
        pickle.loads(pickle.dumps(record, protocol)),
        copy.copy(record),
        copy.deepcopy(record),
        attrs.evolve(record),
    ):
        assert twin == record
        assert hash(twin) == hash(record)
        assert repr(twin) == repr(record)
        assert type(twin) is type(record)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_are_frozen_and_slotted(record: Any) -> None:
    for name in record.__class__.__slots__:
        if name == "__weakref__":
            continue
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(record, name, None)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            delattr(record, name)
    with pytest.raises(AttributeError):
        record.other = 1
    assert not hasattr(record, "__dict__")


@given(snapshots, snapshots)
def test_snapshots_are_equal_where_all_of_them_is(one: Snapshot, other: Snapshot) -> None:
    same = (one.clusters, one.taken_at, one.requests, one.consistent) == (
        other.clusters,
        other.taken_at,
        other.requests,
        other.consistent,
    )
    assert (one == other) == same
    assert one == Snapshot(one.clusters, one.taken_at, one.requests, one.consistent)
    assert pickle.loads(pickle.dumps(one)) == one


def test_kinds_are_their_text() -> None:
    assert [str(kind) for kind in EventKind] == ["added", "removed", "modified"]
    assert ClusterEvent(EventKind.ADDED, Cluster("a")).kind == "added"
