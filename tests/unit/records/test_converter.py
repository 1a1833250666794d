"""The converter: strict where cattrs coerces, and the cluster hooks are registered with it."""

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given

from aiozilliz import Cluster, make_converter
from aiozilliz._records.cluster import structure_clusters
from aiozilliz._records.json import WrongValue, describe, format_time, integer, parse_time, text
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
