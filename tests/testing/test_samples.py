from __future__ import annotations

import re
from datetime import datetime

import pytest
from hypothesis import given, strategies as st

from aiozilliz import ClusterStatus
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
    "deploymentOption",
    "globalClusterMeta",
]
PREFIXES = {
    "Free": "in03",
    "Serverless": "in05",
    "Standard": "in01",
    "Enterprise": "in01",
    "BusinessCritical": "in01",
}
LISTED_STATUSES = [  # List Clusters V2
    *("CREATING", "RUNNING", "DELETING", "DELETED", "STOPPING", "RESUMING", "MODIFYING", "ABNORMAL"),
    *("FREEZING", "FROZEN", "UNFREEZED", "RESTORE_BACKUP", "MIGRATING", "RESIZING", "UPGRADING"),
    *("WRITING_OPERATION", "SET_PRIVATE_LINK"),
]
TERRAFORM_STATUSES = ["STOPPED", "INITIALIZING", "SUSPENDING", "SUSPENDED", "CU_MODIFYING"]
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
    assert record["deploymentOption"] == ("Dedicated" if dedicated else record["plan"])
    if meta := record["globalClusterMeta"]:
        assert dedicated
        assert re.fullmatch(r"glo-[0-9a-f]{15}", meta["globalClusterId"])
        assert set(meta) == {"globalClusterId", "role"}
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


@given(seed=st.integers(), start=st.integers(0, 10**6))
def test_each_documented_status_occurs_among_a_hundred_clusters_of_any_seed(seed: int, start: int) -> None:
    statuses = [sample_cluster(index, seed)["status"] for index in range(start, start + 100)]
    assert {*LISTED_STATUSES, *TERRAFORM_STATUSES} == {*statuses, *ClusterStatus}
    assert statuses.count("RUNNING") > 30


@pytest.mark.parametrize("seed", [0, 1, 77])
def test_global_clusters_have_one_primary_and_its_secondaries(seed: int) -> None:
    roles: dict[str, list[str]] = {}
    for index in range(100):
        if meta := sample_cluster(index, seed)["globalClusterMeta"]:
            roles.setdefault(meta["globalClusterId"], []).append(meta["role"])
    assert list(roles.values()) == [["PRIMARY", "SECONDARY", "SECONDARY"]] * 4


def test_variety_is_what_an_inventory_meets() -> None:
    seen = {name: {record[name] for record in MANY} for name in FIELDS if name != "globalClusterMeta"}
    assert seen["plan"] == set(PREFIXES)
    assert {"az-eastus", "ali-cn-hangzhou", "aws-us-west-2", "gcp-us-west1", "tc-ap-beijing"} <= seen[
        "regionId"
    ]
    assert seen["status"] == {*LISTED_STATUSES, *TERRAFORM_STATUSES}
    assert seen["deploymentOption"] == {"Free", "Serverless", "Dedicated"}
    assert {"", "Performance-optimized", "Capacity-optimized", "Tiered-storage"} == seen["cuType"]
    assert len(seen["projectId"]) == 4
    assert "" in seen["privateLinkAddress"]
    assert len(seen["privateLinkAddress"]) > 10
