"""The converter: strict where cattrs coerces, and the cluster hooks are registered with it."""

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from aiozilliz import Cluster, InventoryReport, ServerError, Snapshot, make_converter
from aiozilliz._http.wire import read_answer
from aiozilliz._records.cluster import structure_clusters
from aiozilliz._records.json import WrongValue, describe, dump, format_time, integer, parse_time, text
from tests.support import strategies as own

MOMENT = datetime(2024, 6, 30, 16, 49, 50, tzinfo=UTC)


@attrs.frozen
class Sample:
    name: str
    number: int
    share: float
    flag: bool
    moment: datetime
    parts: tuple[str, ...]


@attrs.frozen
class Page:
    clusters: tuple[Cluster, ...]


SAMPLE = Sample("a", 1, 0.5, flag=True, moment=MOMENT, parts=("b", "c"))
RAW: dict[str, Any] = {
    "name": "a",
    "number": 1,
    "share": 0.5,
    "flag": True,
    "moment": "2024-06-30T16:49:50Z",
    "parts": ["b", "c"],
}


def test_a_class_goes_to_json_and_back() -> None:
    made = make_converter()
    assert made.unstructure(SAMPLE) == RAW
    assert made.structure(RAW, Sample) == SAMPLE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", 12),
        ("name", None),
        ("name", ["a"]),
        ("number", True),
        ("number", 1.0),
        ("number", "8"),
        ("number", None),
        ("share", "0.5"),
        ("share", True),
        ("flag", 1),
        ("flag", "true"),
        ("moment", 1719766190),
        ("moment", "yesterday"),
        ("moment", None),
        ("parts", "bc"),
        ("parts", {"b": 1}),
        ("parts", ["b", 1]),
        ("parts", None),
    ],
)
def test_nothing_is_coerced(name: str, value: object) -> None:
    with pytest.raises(WrongValue, match="must be"):
        make_converter().structure({**RAW, name: value}, Sample)


def test_a_whole_number_is_a_number() -> None:
    share = make_converter().structure({**RAW, "share": 1}, Sample).share
    assert (share, type(share)) == (1.0, float)


def test_converters_do_not_share_hooks() -> None:
    made = make_converter()
    made.register_structure_hook(str, lambda value, _: f"{value}!")
    assert made.structure("a", str) == "a!"
    assert make_converter().structure("a", str) == "a"


@given(own.clusters())
def test_clusters_go_through_the_converter_as_through_their_own_methods(cluster: Cluster) -> None:
    raw = cluster.to_dict()
    assert make_converter().unstructure(cluster) == raw
    assert make_converter().unstructure((cluster,)) == [raw]
    assert make_converter().structure(raw, Cluster) == cluster
    assert make_converter().structure([raw, raw], tuple[Cluster, ...]) == structure_clusters([raw, raw])


@given(st.lists(own.wire_records(), max_size=4))
def test_a_page_decoded_by_the_converter_and_one_off_the_wire_are_the_same(
    records: list[dict[str, Any]],
) -> None:
    body = json.dumps({"code": 0, "data": {"count": len(records), "clusters": records}}).encode()
    page = read_answer(200, {}, body, page=1, page_size=100, now=MOMENT, max_bytes=1 << 20)
    made = make_converter()
    raw = json.loads(body)["data"]["clusters"]

    for clusters in (
        made.structure(raw, tuple[Cluster, ...]),
        tuple(made.structure(record, Cluster) for record in raw),
        made.structure({"clusters": raw}, Page).clusters,
    ):
        assert clusters == page.clusters
        assert repr([attrs.astuple(one) for one in clusters]) == repr(
            [attrs.astuple(one) for one in page.clusters]
        )
    assert made.unstructure(page.clusters) == [cluster.to_dict() for cluster in page.clusters]


def test_a_wrong_record_among_others_is_named() -> None:
    with pytest.raises(ValueError, match=r"Record 1 \(b\) can't be decoded: cuSize must be") as caught:
        make_converter().structure(
            [{"clusterId": "a"}, {"clusterId": "b", "cuSize": 1.0}], tuple[Cluster, ...]
        )
    assert isinstance(caught.value, WrongValue)
    assert caught.value.field == "cuSize"


@pytest.mark.parametrize("value", [None, {}, "a", ({"clusterId": "a"},)])
def test_records_come_in_a_list(value: Any) -> None:
    with pytest.raises(ValueError, match="must be a list"):
        make_converter().structure(value, tuple[Cluster, ...])


def test_snapshots_and_reports_go_through_it_as_through_their_own_methods() -> None:
    snapshot = Snapshot([Cluster("a", extra={"b": 1, "a": 2})], MOMENT, 3, consistent=True)
    report = InventoryReport({"prod": snapshot}, {"dev": ServerError("no", status=500)}, MOMENT)
    made = make_converter()

    assert list(made.unstructure(snapshot)["clusters"][0])[-2:] == ["a", "b"]
    assert dump(made.unstructure(snapshot)) + "\n" == snapshot.to_json()
    assert dump(made.unstructure(report)) + "\n" == report.to_json()
    assert made.structure(json.loads(snapshot.to_json()), Snapshot) == snapshot
    assert made.structure(json.loads(report.to_json()), InventoryReport) == report
    with pytest.raises(ValueError, match="requests is the number -1, not an integer, 0 or more"):
        made.structure({**made.unstructure(snapshot), "requests": -1}, Snapshot)


@attrs.frozen
class OwnSnapshot(Snapshot):
    """Somebody's own kind, with a field that no text has."""

    note: str = "none"


def test_a_class_made_from_a_snapshot_is_read_and_written_as_one() -> None:
    own_kind = OwnSnapshot([Cluster("a")], MOMENT, note="kept here only")
    plain = Snapshot([Cluster("a")], MOMENT)
    assert own_kind.to_json() == plain.to_json()
    again = OwnSnapshot.from_json(own_kind.to_json())
    assert (type(again), again.clusters, again.note) == (OwnSnapshot, plain.clusters, "none")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([], "must be an object, not a list"),
        ({"a": 1, "b": True}, "the value of 'b' is true, not an integer"),
    ],
)
def test_a_mapping_is_read_strictly(value: Any, says: str) -> None:
    kind: Any = Mapping[str, int]
    assert make_converter().structure({"a": 1}, kind) == {"a": 1}
    with pytest.raises(ValueError, match=says):
        make_converter().structure(value, kind)


def test_cattrs_is_loaded_when_a_text_is_written_not_before() -> None:
    program = """
import sys, aiozilliz
from datetime import UTC, datetime
aiozilliz.ZillizClient, aiozilliz.Inventory, aiozilliz.InventoryReport
snapshot = aiozilliz.Snapshot((), datetime.now(UTC))
assert "cattrs" not in sys.modules
snapshot.to_json()
assert "cattrs" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_converter_refuses_a_wrong_cluster_with_its_field() -> None:
    with pytest.raises(WrongValue) as caught:
        make_converter().structure({"clusterId": "a", "cuSize": True}, Cluster)
    assert caught.value.field == "cuSize"
    assert str(caught.value) == "cuSize must be an integer, not true"


def test_null_is_the_empty_text_and_zero() -> None:
    assert text(None) == ""
    assert integer(None) == 0
    assert (text("a"), integer(3)) == ("a", 3)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (12, "the number 12"),
        (1.5, "the number 1.5"),
        pytest.param(10**10_000, "a huge number", id="huge"),
        ("a\x1b", "the text 'a\\x1b'"),
        ("\ud83d", "the text '\\ud83d'"),
        ("a" * 40, "a long text"),
        ([1], "a list"),
        ({"a": 1}, "an object"),
        ({1}, "set"),
    ],
)
def test_a_wrong_value_is_described_in_the_words_of_json(value: object, shown: str) -> None:
    assert describe(value) == shown


@given(own.texts | own.times)
def test_a_time_is_read_without_fail_and_written_so_that_it_is_read_again(value: str) -> None:
    moment = parse_time(value)
    if moment is not None:
        assert moment.tzinfo is UTC
        assert parse_time(format_time(moment)) == moment
