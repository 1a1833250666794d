from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from aiozilliz.testing.listing import Listing, plain, wire_fields, wire_record

if TYPE_CHECKING:
    from collections.abc import Mapping


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"clusterId": f"in01-{i}", "regionId": f"aws-{i % 3}"} for i in range(count)]


def ids(records: tuple[dict[str, Any], ...]) -> list[str]:
    return [record["clusterId"] for record in records]


@given(count=st.integers(0, 40), size=st.integers(1, 12))
def test_pages_in_order_are_the_list_and_the_page_after_them_is_empty(count: int, size: int) -> None:
    listing = Listing(numbered(count))
    full, rest = divmod(count, size)
    cuts = [listing.cut(page, size) for page in range(1, full + 2 + bool(rest))]
    assert [record for cut in cuts for record in cut.records] == numbered(count)
    assert [len(cut.records) for cut in cuts] == [size] * full + [rest] * bool(rest) + [0]
    assert {cut.count for cut in cuts} == {count}


@given(
    count=st.integers(0, 30),
    page=st.integers(1, 2**31 - 1),
    size=st.integers(1, 100),
    region=st.sampled_from(["aws-0", "aws-2", "gcp"]),
)
def test_a_region_is_cut_and_counted_as_if_it_were_the_whole_list(
    count: int, page: int, size: int, region: str
) -> None:
    matching = [record for record in numbered(count) if record["regionId"] == region]
    assert Listing(numbered(count)).cut(page, size, region=region) == Listing(matching).cut(page, size)


@given(count=st.integers(0, 30), seed=st.integers())
def test_a_shuffled_cut_is_a_permutation_and_leaves_the_list_as_it_was(count: int, seed: int) -> None:
    listing = Listing(numbered(count))
    cut = listing.cut(1, 100, shuffle=Random(seed))
    assert sorted(ids(cut.records)) == sorted(ids(listing.records))
    assert cut.count == count
    assert listing.cut(1, 100).records == tuple(numbered(count))


def test_removing_moves_up_what_stands_behind_and_inserting_moves_it_down() -> None:
    listing = Listing(numbered(4))
    assert listing.remove("in01-1")["clusterId"] == "in01-1"
    assert ids(listing.cut(2, 2).records) == ["in01-3"]
    listing.add({"clusterId": "new"}, 0)
    listing.add({"clusterId": "last"})
    assert ids(listing.records) == ["new", "in01-0", "in01-2", "in01-3", "last"]
    assert len(listing) == 5


def test_an_update_keeps_position_and_other_fields_and_does_not_reach_a_page_that_was_cut() -> None:
    listing = Listing(numbered(3))
    before = listing.cut(1, 3)
    listing.update("in01-1", {"status": "STOPPED", "clusterId": "in01-1"})
    assert listing.records[1] == {"clusterId": "in01-1", "regionId": "aws-1", "status": "STOPPED"}
    assert "status" not in before.records[1]


def test_records_given_out_are_copies_to_their_depth() -> None:
    listing = Listing([{"clusterId": "a", "labels": {"team": "x"}}])
    listing.records[0]["labels"]["team"] = "y"
    assert listing.records[0]["labels"] == {"team": "x"}


def test_an_id_is_there_once() -> None:
    with pytest.raises(ValueError, match="Two records have the id 'a'"):
        Listing([{"clusterId": "a"}, {"clusterId": "a"}])
    listing = Listing([{"clusterId": "a"}])
    with pytest.raises(ValueError, match="There is already a cluster 'a'"):
        listing.add({"clusterId": "a"})


@pytest.mark.parametrize("cluster_id", [None, 7, ""])
def test_only_a_record_given_at_the_start_may_lack_an_id(cluster_id: object) -> None:
    record = {"clusterId": cluster_id}
    assert Listing([record, record, {}]).cut(1, 10).count == 3 if cluster_id != "" else True
    with pytest.raises(ValueError, match="needs a clusterId"):
        Listing().add(record)


def test_unknown_ids_are_named() -> None:
    listing = Listing(numbered(1))
    with pytest.raises(KeyError, match="no cluster 'gone'"):
        listing.update("gone", {})
    with pytest.raises(KeyError, match="no cluster 'gone'"):
        listing.remove("gone")


def test_an_id_does_not_change() -> None:
    listing = Listing(numbered(1))
    with pytest.raises(ValueError, match="can't change"):
        listing.update("in01-0", {"clusterId": "other"})


def test_fields_are_taken_by_both_names_but_not_at_once() -> None:
    given_fields = {
        "cluster_id": "a",
        "cuSize": 2,
        "status": "RUNNING",
        "not_known": 1,
        "globalClusterMeta": None,
    }
    assert wire_fields(given_fields) == {
        "clusterId": "a",
        "cuSize": 2,
        "status": "RUNNING",
        "not_known": 1,
        "globalClusterMeta": None,
    }
    newer = {"deployment_option": "Dedicated", "global_cluster_meta": None, "private_link_address": ""}
    assert wire_fields(newer) == {
        "deploymentOption": "Dedicated",
        "globalClusterMeta": None,
        "privateLinkAddress": "",
    }
    with pytest.raises(TypeError, match="Given twice, as cu_size and as cuSize"):
        wire_fields({"cu_size": 1, "cuSize": 2})


def test_records_are_mappings_or_objects_that_give_one() -> None:
    class Record:
        def to_dict(self) -> Mapping[str, Any]:
            return {"clusterId": "a", "labels": ("x",)}

    assert wire_record(Record()) == {"clusterId": "a", "labels": ["x"]}
    assert wire_record({"clusterId": "a"}) == {"clusterId": "a"}
    with pytest.raises(TypeError, match="mapping or have to_dict"):
        wire_record("a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - what the test is about


def test_what_json_can_not_carry_is_refused_before_it_is_served() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        plain({"createTime": object()})
    with pytest.raises(ValueError, match="not JSON compliant"):
        plain({"cuSize": float("nan")})
