from __future__ import annotations

import re
from datetime import datetime

from hypothesis import given, strategies as st

from aiozilliz.testing.samples import sample_cluster

FIELDS = [
    "clusterId",
    "clusterName",
    "description",
    "regionId",
    "plan",
    "cuType",
    "cuSize",
    "status",
    "connectAddress",
    "privateLinkAddress",
    "createTime",
    "projectId",
]
PREFIXES = {
    "Free": "in03",
    "Serverless": "in05",
    "Standard": "in01",
    "Enterprise": "in01",
    "BusinessCritical": "in01",
}
MANY = [sample_cluster(index) for index in range(500)]


@given(index=st.integers(0, 10**9), seed=st.integers(0, 2**64))
def test_a_record_looks_as_documented(index: int, seed: int) -> None:
    record = sample_cluster(index, seed)
    assert list(record) == FIELDS
    assert re.fullmatch(rf"{PREFIXES[record['plan']]}-[0-9a-f]{{15}}", record["clusterId"])
    assert re.fullmatch(r"[A-Za-z0-9-]{1,32}", record["clusterName"])
    assert re.fullmatch(r"proj-[0-9a-f]{22}", record["projectId"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["createTime"])
    assert datetime.fromisoformat(record["createTime"]).year in {2023, 2024, 2025}
    dedicated = record["plan"] not in {"Free", "Serverless"}
    assert bool(record["cuType"]) is dedicated
    assert bool(record["cuSize"]) is dedicated
    assert 0 <= record["cuSize"] <= 256
    china = record["regionId"].startswith(("ali-", "tc-"))
    domain = "zilliz.com.cn" if china else "zillizcloud.com"
    address = rf"https://{record['clusterId']}(-privatelink)?\.{record['regionId']}\.vectordb\.{domain}"
    address += r":\d+" if dedicated else ""
    for name in ("connectAddress", "privateLinkAddress"):
        assert record[name] == "" or re.fullmatch(address, record[name])
    assert (record["connectAddress"] == "") is (record["status"] == "CREATING")


@given(indexes=st.sets(st.integers(0, 2**40), max_size=50), seed=st.integers(0, 2**64))
def test_ids_never_meet(indexes: set[int], seed: int) -> None:
    assert len({sample_cluster(index, seed)["clusterId"] for index in indexes}) == len(indexes)


def test_many_ids_have_no_number_in_common_even_across_plans() -> None:
    assert len({record["clusterId"].split("-")[1] for record in MANY}) == len(MANY)


def test_the_same_seed_and_index_give_the_same_record_on_every_machine() -> None:
    assert sample_cluster(3, seed=7) == sample_cluster(3, seed=7)
    assert sample_cluster(3, seed=7) != sample_cluster(3, seed=8)
    assert {key: sample_cluster(0)[key] for key in ("clusterId", "clusterName", "projectId")} == {
        "clusterId": "in05-cd13c10897913a5",
        "clusterName": "support-eval-000",
        "projectId": "proj-2103d83e5be21f5b9bbec4",
    }


def test_variety_is_what_an_inventory_meets() -> None:
    seen = {name: {record[name] for record in MANY} for name in FIELDS}
    assert seen["plan"] == set(PREFIXES)
    assert {"az-eastus", "ali-cn-hangzhou", "aws-us-west-2", "gcp-us-west1", "tc-ap-beijing"} <= seen[
        "regionId"
    ]
    assert {"RUNNING", "STOPPED", "CREATING", "MODIFYING"} <= seen["status"]
    assert {"", "Performance-optimized", "Capacity-optimized", "Tiered-storage"} == seen["cuType"]
    assert len(seen["projectId"]) == 4
    assert "" in seen["privateLinkAddress"]
    assert len(seen["privateLinkAddress"]) > 10
