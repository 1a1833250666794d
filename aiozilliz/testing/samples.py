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
_SAMPLE_REGIONS = """
    aws-us-west-2 aws-us-west-2 aws-eu-central-1 gcp-us-west1 az-eastus ali-cn-hangzhou tc-ap-beijing
""".split()  # noqa: SIM905  # shorter
_CHINESE_CLOUDS = ("ali", "tc")
_CU_TYPES = ("Performance-optimized", "Performance-optimized", "Capacity-optimized", "Tiered-storage")
_CU_SIZES = (1, 1, 1, 2, 2, 4, 6, 8, 12, 16, 32)
_PORTS = (19530, 19530, 19539, 443)
_STATUSES = (*("RUNNING",) * 12, "STOPPED", "STOPPED", "CREATING", "MODIFYING", "RESUMING", "UPGRADING")
# Every status in the documentation of the list, then of the official Terraform provider. Each fourth cluster has the
# next one, so that all of them occur among 88 clusters.
_EVERY_STATUS = """
    CREATING RUNNING DELETING DELETED STOPPING RESUMING MODIFYING ABNORMAL FREEZING FROZEN UNFREEZED RESTORE_BACKUP
    MIGRATING RESIZING UPGRADING WRITING_OPERATION SET_PRIVATE_LINK STOPPED INITIALIZING SUSPENDING SUSPENDED
    CU_MODIFYING
""".split()  # noqa: SIM905  # shorter
# Of 25 clusters, three are the members of a global cluster.
_ROLES = {3: "PRIMARY", 11: "SECONDARY", 19: "SECONDARY"}
_TEAMS = ("search", "ads", "support", "vision", "ranking", "docs")
_USES = ("prod", "staging", "dev", "eval")
_DESCRIPTIONS = ("", "", "", "Nightly evaluation", "Owned by the search team", "Do not delete")
_PROJECTS = 4
_FIRST_DAY = datetime(2023, 9, 1, tzinfo=UTC)
_SECONDS = 2 * 365 * 24 * 3600

REGIONS = frozenset(_SAMPLE_REGIONS) | frozenset(
    """
    aws-us-east-1 aws-us-east-2 aws-ca-central-1 aws-eu-west-1 aws-eu-west-2 aws-ap-northeast-1 aws-ap-northeast-2
    aws-ap-southeast-1 aws-ap-southeast-2 gcp-us-central1 gcp-us-east4 gcp-europe-west3 gcp-asia-northeast1
    gcp-asia-southeast1 az-eastus2 az-centralus az-germanywestcentral az-northeurope az-centralindia
    """.split()  # noqa: SIM905  # shorter
)
"""The ids of the documented regions, with and without made-up clusters."""

_ID_SPACE = 1 << 60
_ID_STEP = 0x9E3779B97F4A7C15  # odd, so its multiples are distinct within the id space


class Draws:
    """A source of choices that is the same on every platform and Python version, unlike `random`'s methods."""

    def __init__(self, *seed: object) -> None:
        text = "/".join(map(str, seed))
        self._number = int.from_bytes(blake2b(text.encode()).digest(), "big")

    def below(self, limit: int) -> int:
        """Return a number from 0 to `limit - 1`."""
        self._number, drawn = divmod(self._number, limit)
        return drawn

    def choose(self, options: Sequence[_T]) -> _T:
        """Return one of the options."""
        return options[self.below(len(options))]


def sample_cluster(index: int, seed: int = 0) -> dict[str, Any]:
    """Make up one wire record with all 14 documented fields.

    Values, id prefixes and address formats are from the service's documentation and recorded responses.

    Args:
        index: Which record, from 0. Records of different indexes have different ids.
        seed: Another seed makes up other records.

    Returns:
        The record, which depends on nothing but the arguments.
    """
    draws = Draws("cluster", seed, index)
    role = _ROLES.get(index % 25)
    plan = "Enterprise" if role else draws.choose(_PLANS)
    region = draws.choose(_SAMPLE_REGIONS)
    status = draws.choose(_STATUSES)
    if index % 4 == 1:
        status = _EVERY_STATUS[(index // 4 + seed) % len(_EVERY_STATUS)]
    dedicated = plan not in _PREFIXES
    number = (index * _ID_STEP + Draws("ids", seed).below(_ID_SPACE)) % _ID_SPACE
    cluster_id = f"{_PREFIXES.get(plan, 'in01')}-{number:015x}"
    domain = "zilliz.com.cn" if region.split("-")[0] in _CHINESE_CLOUDS else "zillizcloud.com"
    port = f":{draws.choose(_PORTS)}" if dedicated else ""
    host = f"{region}.vectordb.{domain}{port}"
    ready = status != "CREATING"
    private = ready and plan in {"Enterprise", "BusinessCritical"} and draws.below(3) == 0
    created = _FIRST_DAY + timedelta(seconds=draws.below(_SECONDS))
    member_of = f"glo-{Draws('global', seed, index // 25).below(_ID_SPACE):015x}"
    project = Draws("project", seed, draws.below(_PROJECTS)).below(1 << 88)
    return {
        "clusterId": cluster_id,
        "clusterName": f"{draws.choose(_TEAMS)}-{draws.choose(_USES)}-{index:03d}",
        "description": draws.choose(_DESCRIPTIONS),
        "regionId": region,
        "plan": plan,
        "cuType": draws.choose(_CU_TYPES) if dedicated else "",
        "cuSize": draws.choose(_CU_SIZES) if dedicated else 0,
        "status": status,
        "connectAddress": f"https://{cluster_id}.{host}" if ready else "",
        "privateLinkAddress": f"https://{cluster_id}-privatelink.{host}" if private else "",
        "createTime": f"{created:%Y-%m-%dT%H:%M:%SZ}",
        "projectId": f"proj-{project:022x}",
        "deploymentOption": "Dedicated" if dedicated else plan,
        "globalClusterMeta": {"globalClusterId": member_of, "role": role} if role else None,
    }
