"""Made-up clusters that look like real ones. The same seed makes up the same clusters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

_T = TypeVar("_T")

# A value that is listed twice is chosen twice as often.
_PLANS = ("Free", "Serverless", "Standard", "Standard", "Enterprise", "Enterprise", "BusinessCritical")
_PREFIXES = {"Free": "in03", "Serverless": "in05"}
_REGIONS = (
    "aws-us-west-2",
    "aws-us-west-2",
    "aws-eu-central-1",
    "gcp-us-west1",
    "az-eastus",
    "ali-cn-hangzhou",
    "tc-ap-beijing",
)
_CHINESE_CLOUDS = ("ali", "tc")
_CU_TYPES = ("Performance-optimized", "Performance-optimized", "Capacity-optimized", "Tiered-storage")
_CU_SIZES = (1, 1, 1, 2, 2, 4, 6, 8, 12, 16, 32)
_PORTS = (19530, 19530, 19539, 443)
_STATUSES = (*("RUNNING",) * 12, "STOPPED", "STOPPED", "CREATING", "MODIFYING", "RESUMING", "UPGRADING")
_TEAMS = ("search", "ads", "support", "vision", "ranking", "docs")
_USES = ("prod", "staging", "dev", "eval")
_DESCRIPTIONS = ("", "", "", "Nightly evaluation", "Owned by the search team", "Do not delete")
_PROJECTS = 4
_FIRST_DAY = datetime(2023, 9, 1, tzinfo=UTC)
_SECONDS = 2 * 365 * 24 * 3600

_ID_SPACE = 1 << 60
_ID_STEP = 0x9E3779B97F4A7C15  # odd, so its multiples are distinct within the id space


class _Draws:
    """A source of choices that is the same on every platform and Python version, unlike `random`'s methods."""

    def __init__(self, *seed: object) -> None:
        text = "/".join(map(str, seed))
        self._number = int.from_bytes(blake2b(text.encode()).digest(), "big")

    def below(self, limit: int) -> int:
        self._number, drawn = divmod(self._number, limit)
        return drawn

    def choose(self, options: Sequence[_T]) -> _T:
        return options[self.below(len(options))]


def sample_cluster(index: int, seed: int = 0) -> dict[str, Any]:
    """Make up one wire record with the 12 documented fields.

    Values, id prefixes and address formats are from the service's documentation and recorded responses.

    Args:
        index: Which record, from 0. Records of different indexes have different ids.
        seed: Another seed makes up other records.

    Returns:
        The record, which depends on nothing but the arguments.
    """
    draws = _Draws("cluster", seed, index)
    plan = draws.choose(_PLANS)
    region = draws.choose(_REGIONS)
    status = draws.choose(_STATUSES)
    dedicated = plan not in _PREFIXES
    number = (index * _ID_STEP + _Draws("ids", seed).below(_ID_SPACE)) % _ID_SPACE
    cluster_id = f"{_PREFIXES.get(plan, 'in01')}-{number:015x}"
    domain = "zilliz.com.cn" if region.split("-")[0] in _CHINESE_CLOUDS else "zillizcloud.com"
    port = f":{draws.choose(_PORTS)}" if dedicated else ""
    ready = status != "CREATING"
    private = ready and plan in {"Enterprise", "BusinessCritical"} and draws.below(3) == 0
    created = _FIRST_DAY + timedelta(seconds=draws.below(_SECONDS))
    project = _Draws("project", seed, draws.below(_PROJECTS)).below(1 << 88)
    return {
        "clusterId": cluster_id,
        "clusterName": f"{draws.choose(_TEAMS)}-{draws.choose(_USES)}-{index:03d}",
        "description": draws.choose(_DESCRIPTIONS),
        "regionId": region,
        "plan": plan,
        "cuType": draws.choose(_CU_TYPES) if dedicated else "",
        "cuSize": draws.choose(_CU_SIZES) if dedicated else 0,
        "status": status,
        "connectAddress": f"https://{cluster_id}.{region}.vectordb.{domain}{port}" if ready else "",
        "privateLinkAddress": f"https://{cluster_id}-privatelink.{region}.vectordb.{domain}{port}"
        if private
        else "",
        "createTime": f"{created:%Y-%m-%dT%H:%M:%SZ}",
        "projectId": f"proj-{project:022x}",
    }
