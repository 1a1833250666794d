"""Made-up clusters and responses, in the form that List Clusters V2 documents."""

from __future__ import annotations

from typing import Any, Final

import orjson

_REGIONS: Final = ("aws-us-west-2", "aws-eu-central-1", "gcp-us-west1", "az-eastus", "ali-cn-hangzhou")
_PLANS: Final = ("Standard", "Enterprise", "Standard", "BusinessCritical", "Enterprise")
_CU_TYPES: Final = ("Performance-optimized", "Capacity-optimized", "Tiered-storage")
_STATUSES: Final = ("RUNNING", "RUNNING", "RUNNING", "RUNNING", "STOPPED", "MODIFYING", "RESUMING")


def make_id(index: int) -> str:
    """Return the id of cluster `index`; ids of different indexes differ."""
    return f"in01-{index * 0x9E3779B97F4A7C15 % (1 << 60):015x}"


def make_record(index: int) -> dict[str, Any]:
    """Return the 12 documented fields of a dedicated cluster, all filled in."""
    cluster_id = make_id(index)
    region = _REGIONS[index % 5]
    host = f"{region}.vectordb.zillizcloud.com:19530"
    return {
        "clusterId": cluster_id,
        "clusterName": f"search-prod-{index:06d}",
        "description": "Nightly evaluation" if index % 3 else "",
        "regionId": region,
        "plan": _PLANS[index % 5],
        "cuType": _CU_TYPES[index % 3],
        "cuSize": 1 + index % 16,
        "status": _STATUSES[index % 7],
        "connectAddress": f"https://{cluster_id}.{host}",
        "privateLinkAddress": f"https://{cluster_id}-privatelink.{host}" if index % 4 == 0 else "",
        "createTime": f"2024-{1 + index % 12:02d}-{1 + index % 28:02d}T{index % 24:02d}:49:50Z",
        "projectId": f"proj-{index % 4:022x}",
    }


def make_odd_record(index: int) -> dict[str, Any]:
    """Return a record with the two newer fields of List Clusters V2: a text, and mostly null, as few clusters are global."""
    record = make_record(index)
    record["deploymentOption"] = "Dedicated"
    record["globalClusterMeta"] = (
        None if index % 5 else {"globalClusterId": f"glo-{index:022x}", "role": "PRIMARY"}
    )
    return record


def make_body(records: list[dict[str, Any]], *, count: int, page: int = 1, page_size: int = 100) -> bytes:
    """Return the JSON body of a response with these records."""
    data = {"count": count, "currentPage": page, "pageSize": page_size, "clusters": records}
    return orjson.dumps({"code": 0, "data": data})
