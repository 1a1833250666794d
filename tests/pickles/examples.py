"""One value of each public class that can be pickled, made of public names only, and what makes two of them equal."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

from attrs import evolve

from aiozilliz import (
    APIError,
    AuthenticationError,
    Changes,
    Cluster,
    ClusterEvent,
    ClusterPage,
    ClusterStatus,
    ConfigurationError,
    CuType,
    DecodeError,
    EventKind,
    IncompleteListingError,
    InventoryError,
    InventoryProgress,
    InventoryReport,
    Modification,
    Plan,
    RateLimitError,
    ResponseError,
    RetryPolicy,
    ServerError,
    Snapshot,
    TransportError,
    ZillizError,
)
from aiozilliz.testing import Fault, RecordedRequest

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ASKED: dict[str, Any] = {
    "advice": "Try later.",
    "method": "GET",
    "url": "https://api.cloud.zilliz.com/v2/clusters?pageSize=100&currentPage=3",
    "page": 3,
    "retryable": True,
}
SAID: dict[str, Any] = {"status": 429, "code": 42, "request_id": "r-1", "retry_after": 2.5}

PLAIN = Cluster(cluster_id="in01-plain")
FULL = Cluster(
    cluster_id="in01-full",
    cluster_name="orders",
    description="Für alle \N{ROCKET}",
    region_id="aws-us-west-2",
    plan=Plan.ENTERPRISE,
    cu_type=CuType.PERFORMANCE_OPTIMIZED,
    cu_size=8,
    status=ClusterStatus.RUNNING,
    connect_address="https://in01-full.aws-us-west-2.vectordb.zillizcloud.com:19530",
    private_link_address="https://in01-full-privatelink.aws-us-west-2.vectordb.zillizcloud.com:19530",
    create_time=datetime(2024, 6, 30, 18, 49, 50, 123456, tzinfo=timezone(timedelta(hours=2))),
    project_id="proj-a",
)
UNKNOWN = Cluster(
    cluster_id="in01-unknown", plan="BYOC", cu_type="Quantum", status="DREAMING", create_time=NOON
)
NESTED = Cluster(
    cluster_id="in01-nested",
    extra={
        "globalClusterMeta": {
            "role": None,
            "members": [{"id": "a", "weights": [1, 2.5, True, None]}, [], {}],
        },
        "note": None,
    },
)
UNDATED = Cluster(cluster_id="in01-undated", extra={"replica": 2, "createTime": "last summer"})
CLUSTERS = (PLAIN, FULL, UNKNOWN, NESTED, UNDATED)

SNAPSHOT = Snapshot(CLUSTERS, NOON, requests=3, consistent=True)
OLDER = Snapshot((UNKNOWN, Cluster(cluster_id="in01-full", extra={"x": 1})), NOON - timedelta(hours=1), 2)
CHANGES = evolve(SNAPSHOT.diff(OLDER), consistent=True)  # 0.1.0 did not say, which is the default


def _asked(error: ZillizError) -> ZillizError:
    error.attempts = 4
    error.elapsed = 12.34
    error.add_note("a note")
    error.add_note("another")
    return error


def _lost() -> ZillizError:
    error = TransportError("Lost", **ASKED)
    error.lost_connection = True
    return _asked(error)


def _held_back() -> ZillizError:
    error = ResponseError("Not JSON", **ASKED)
    error.retry_after = 1.5
    return _asked(error)


def _failures() -> dict[str, Exception]:
    return {"prod": _lost(), "cn": ServerError("No", **SAID), "eu": OSError(5, "a disk")}


REPORT = InventoryReport({"prod": SNAPSHOT, "dev": OLDER}, _failures(), NOON)
REPORT_CHANGES = REPORT.diff(InventoryReport({"prod": OLDER, "gone": OLDER}, {}, NOON))

EXAMPLES: dict[str, Any] = {
    "Cluster, plain": PLAIN,
    "Cluster, full": FULL,
    "Cluster, unknown values": UNKNOWN,
    "Cluster, nested extra": NESTED,
    "Cluster, createTime that is no date": UNDATED,
    "ClusterPage": ClusterPage(CLUSTERS, count=250, current_page=2, page_size=5),
    "ClusterPage, empty": ClusterPage(),
    "Snapshot, consistent": SNAPSHOT,
    "Snapshot, not consistent": OLDER,
    "Changes": CHANGES,
    "Changes, none": Changes(),
    "Modification": Modification(FULL, PLAIN, ("cluster_name", "extra")),
    "ClusterEvent, added": ClusterEvent(EventKind.ADDED, FULL),
    "ClusterEvent, removed": ClusterEvent(EventKind.REMOVED, NESTED, NESTED),
    "ClusterEvent, modified": ClusterEvent(EventKind.MODIFIED, FULL, PLAIN, ("status", "extra")),
    "InventoryReport": REPORT,
    "InventoryChanges": REPORT_CHANGES,
    "InventoryProgress": InventoryProgress(accounts=4, done=3, failed=1, requests=17),
    "RetryPolicy": RetryPolicy(attempts=3, deadline=10.0, wait_initial=0.5, wait_max=2.0, wait_jitter=0.0),
    "Plan": tuple(Plan),
    "CuType": tuple(CuType),
    "ClusterStatus": tuple(ClusterStatus),
    "EventKind": tuple(EventKind),
    "extra": NESTED.extra,
    "ZillizError": _asked(ZillizError("Failed", **ASKED)),
    "ConfigurationError": _asked(ConfigurationError("No key", **ASKED)),
    "TransportError": _lost(),
    "ResponseError": _held_back(),
    "DecodeError": _asked(
        DecodeError("Bad cuSize", index=7, cluster_id="in01-a", field="cuSize", **ASKED),
    ),
    "IncompleteListingError": _asked(
        IncompleteListingError("No", expected=9, received=8, passes=5, **ASKED),
    ),
    "APIError": _asked(APIError("No", **SAID, **ASKED)),
    "AuthenticationError": _asked(AuthenticationError("No", **SAID, **ASKED)),
    "RateLimitError": _asked(RateLimitError("No", **SAID, **ASKED)),
    "ServerError": _asked(ServerError("No", **SAID, **ASKED)),
    "InventoryError": _asked(InventoryError("3 of 4 accounts failed", _failures())),
    "Fault": Fault.status(503, retry_after=7, headers={"X-Odd": "1"}),
    "RecordedRequest": RecordedRequest(
        method="GET",
        path="/v2/clusters",
        query={"pageSize": "100"},
        headers={"Accept": "application/json"},
        when=NOON,
        monotonic=1.5,
        connection=1,
        api_key=None,
        page=1,
        page_size=100,
        fault=Fault.delay(0.5),
        status=200,
    ),
}


def facts(value: Any) -> Any:
    """Return what a value is compared by: errors have no `==`, so all that they hold is laid open."""
    if isinstance(value, BaseException):
        held = {name: facts(part) for name, part in vars(value).items()}
        named: dict[str, Any] = {
            "class": type(value),
            "str": str(value),
            "repr": repr(value),
            "args": value.args,
        }
        if isinstance(value, InventoryError):
            named["exceptions"] = [facts(error) for error in value.exceptions]
        return named | held
    if isinstance(value, InventoryReport):
        return value, facts(value.failures)
    if isinstance(value, dict):
        return {name: facts(part) for name, part in cast("dict[str, Any]", value).items()}
    if isinstance(value, (tuple, list)):
        return [facts(part) for part in cast("tuple[Any, ...]", value)]
    return type(value), value, repr(value)
