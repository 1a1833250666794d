"""The open enums of a cluster: values that are known, and plain text for the rest."""

from enum import StrEnum
from typing import Final

from aiozilliz._public import public


@public
class Plan(StrEnum):
    """Plans that are known. The set is open: a plan that is not here comes as a plain `str`.

    Sources: List Clusters V2; the official Terraform provider for `BUSINESS_CRITICAL`.
    """

    FREE = "Free"
    SERVERLESS = "Serverless"
    STANDARD = "Standard"
    ENTERPRISE = "Enterprise"
    BUSINESS_CRITICAL = "BusinessCritical"


@public
class CuType(StrEnum):
    """CU types that are known. The set is open, and the text is empty for free and serverless clusters.

    Sources: List Clusters V2 and V1; the official Terraform provider for `EXTENDED_CAPACITY`.
    """

    PERFORMANCE_OPTIMIZED = "Performance-optimized"
    CAPACITY_OPTIMIZED = "Capacity-optimized"
    TIERED_STORAGE = "Tiered-storage"
    EXTENDED_CAPACITY = "Extended-capacity"


@public
class ClusterStatus(StrEnum):
    """Statuses that are known. The set is open: a status that is not here comes as a plain `str`.

    Sources: List Clusters V2 and V1, and the official Terraform provider for those from `STOPPED` on. A suspended
    cluster reports `STOPPED`; that provider shows it as `SUSPENDED`.
    """

    CREATING = "CREATING"
    RUNNING = "RUNNING"
    DELETING = "DELETING"
    DELETED = "DELETED"
    STOPPING = "STOPPING"
    RESUMING = "RESUMING"
    MODIFYING = "MODIFYING"
    ABNORMAL = "ABNORMAL"
    FREEZING = "FREEZING"
    FROZEN = "FROZEN"
    UNFREEZED = "UNFREEZED"
    RESTORE_BACKUP = "RESTORE_BACKUP"
    MIGRATING = "MIGRATING"
    RESIZING = "RESIZING"
    UPGRADING = "UPGRADING"
    WRITING_OPERATION = "WRITING_OPERATION"
    SET_PRIVATE_LINK = "SET_PRIVATE_LINK"
    STOPPED = "STOPPED"
    INITIALIZING = "INITIALIZING"
    SUSPENDING = "SUSPENDING"
    SUSPENDED = "SUSPENDED"
    CU_MODIFYING = "CU_MODIFYING"


# Plain dicts: on an unknown value they are many times faster than calling the enum and catching its ValueError.
PLANS: Final[dict[str, Plan | str]] = {member.value: member for member in Plan}
CU_TYPES: Final[dict[str, CuType | str]] = {member.value: member for member in CuType}
STATUSES: Final[dict[str, ClusterStatus | str]] = {member.value: member for member in ClusterStatus}


def to_plan(value: str) -> Plan | str:
    return PLANS.get(value, value)


def to_cu_type(value: str) -> CuType | str:
    return CU_TYPES.get(value, value)


def to_status(value: str) -> ClusterStatus | str:
    return STATUSES.get(value, value)
