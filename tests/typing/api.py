"""Every public name as its users would write it. Only type checkers read this file; it is never run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, assert_type

import aiohttp
from cattrs import Converter

import aiozilliz
from aiozilliz import (
    CHINA,
    GLOBAL,
    Account,
    APIError,
    AuthenticationError,
    Changes,
    Cluster,
    ClusterEvent,
    ClusterIterator,
    ClusterPage,
    ClusterStatus,
    ClusterWatcher,
    ConfigurationError,
    CuType,
    DecodeError,
    EventKind,
    IncompleteListingError,
    Inventory,
    InventoryChanges,
    InventoryError,
    InventoryIterator,
    InventoryProgress,
    InventoryReport,
    InventoryWatcher,
    Modification,
    PageIterator,
    Plan,
    RateLimitError,
    ResponseError,
    RetryPolicy,
    ServerError,
    Snapshot,
    TransportError,
    ZillizClient,
    ZillizError,
    __version__,
    cli_base_url,
    load_accounts,
    make_converter,
)
from aiozilliz.testing import FakeZillizCloud, Fault, RecordedRequest

assert_type(__version__, str)


def misspelt() -> Any:
    return aiozilliz.no_such_name  # type: ignore[attr-defined]  # an error, as it should be


def keys() -> list[ZillizClient]:
    async def rotated() -> str:
        return "key"

    return [
        ZillizClient(),
        ZillizClient("key", base_url=GLOBAL),
        ZillizClient(lambda: "key", base_url=CHINA),
        ZillizClient(rotated, limiter=None, timeout=aiohttp.ClientTimeout(sock_read=5)),
        ZillizClient(
            "key", limiter=asyncio.Semaphore(4), retry=RetryPolicy(attempts=1), max_response_bytes=1024
        ),
    ]


async def one_account(session: aiohttp.ClientSession) -> None:
    async with ZillizClient("key", session=session, timeout=10) as client:
        assert_type(client, ZillizClient)
        clusters = client.iter_clusters(
            page_size=50, region="aws-us-west-2", concurrency=4, verify=True, max_passes=3
        )
        assert_type(clusters, ClusterIterator)
        async with clusters as entered:
            assert_type(entered, ClusterIterator)
            async for cluster in clusters:
                assert_type(cluster, Cluster)
        assert_type(clusters.count, int | None)
        assert_type(clusters.requests, int)
        await clusters.aclose()
        assert_type([cluster async for cluster in client.iter_clusters()], list[Cluster])

        pages = client.iter_pages(page_size=10, region=None, start_page=2)
        assert_type(pages, PageIterator)
        async for page in pages:
            assert_type(page, ClusterPage)
        page = await client.list_clusters(current_page=2, page_size=5, region="aws-us-west-2")
        assert_type(page.clusters, tuple[Cluster, ...])
        assert_type(page.count, int | None)
        assert_type((page.current_page, page.page_size), tuple[int, int])

        task = asyncio.create_task(client.snapshot(page_size=10, region="r", concurrency=2, max_passes=1))
        assert_type(await task, Snapshot)
        assert_type(client.requests, int)
    await client.aclose()


async def watching(client: ZillizClient, known: Snapshot) -> None:
    watcher = client.watch_clusters(interval=5, region="r", since=known, confirmations=3)
    assert_type(watcher, ClusterWatcher)
    async for event in watcher:
        assert_type(event, ClusterEvent)
        assert_type(event.kind, EventKind)
        assert_type(event.cluster, Cluster)
        assert_type(event.previous, Cluster | None)
        assert_type(event.changed, tuple[str, ...])
        assert_type(watcher.snapshot, Snapshot | None)


def records(cluster: Cluster) -> None:
    assert_type(cluster.cluster_id, str)
    assert_type(cluster.cu_size, int)
    assert_type(cluster.plan, Plan | str)
    assert_type(cluster.cu_type, CuType | str)
    assert_type(cluster.status, ClusterStatus | str)
    assert_type(cluster.create_time, datetime | None)
    assert_type(cluster.extra, Mapping[str, Any])
    assert_type(cluster.to_dict(), dict[str, Any])
    assert_type(Cluster.from_dict({"clusterId": "in01-a"}), Cluster)
    assert_type(make_converter(), Converter)
    Cluster("in01-a", plan=Plan.FREE, status="NEW", cu_size=1, extra={"labels": {}})


def snapshots(newer: Snapshot, older: Snapshot) -> None:
    changes = newer.diff(older)
    assert_type(changes, Changes)
    assert_type((changes.added, changes.removed), tuple[tuple[Cluster, ...], tuple[Cluster, ...]])
    for modification in changes.modified:
        assert_type(modification, Modification)
        assert_type((modification.cluster, modification.previous), tuple[Cluster, Cluster])
        assert_type(modification.changed, tuple[str, ...])
    assert_type(newer.to_json(), str)
    assert_type(Snapshot.from_json(b"{}"), Snapshot)
    assert_type(newer["in01-a"], Cluster)
    assert_type(newer.get("in01-a"), Cluster | None)
    assert_type([len(newer), newer.requests], list[int])
    assert_type("in01-a" in newer, bool)
    assert_type(list(newer), list[Cluster])
    assert_type(newer.taken_at, datetime)
    assert_type(newer.consistent, bool)


async def many_accounts(older: InventoryReport) -> None:
    accounts = [
        *load_accounts(base_url=CHINA),
        Account("a", "key"),
        Account("b", lambda: "key", base_url=GLOBAL),
    ]
    assert_type(accounts, list[Account])
    assert_type((accounts[0].name, accounts[0].base_url, accounts[0].masked_key), tuple[str, str, str])
    assert_type(cli_base_url(), str | None)
    async with Inventory(accounts, concurrency=4, limiter=lambda: asyncio.Semaphore(2)) as inventory:
        assert_type(inventory.accounts, tuple[Account, ...])
        clusters = inventory.iter_clusters(page_size=10, region="r", verify=True, max_passes=2)
        assert_type(clusters, InventoryIterator)
        async for account, cluster in clusters:
            assert_type((account, cluster), tuple[Account, Cluster])
        progress = inventory.progress
        assert_type(progress, InventoryProgress)
        assert_type([progress.accounts, progress.done, progress.failed, progress.requests], list[int])

        report = await inventory.collect(page_size=10, region="r", max_passes=2, deadline=30)
        assert_type(report, InventoryReport)
        assert_type(report.snapshots, Mapping[str, Snapshot])
        assert_type(report.failures, Mapping[str, Exception])
        assert_type(report.clusters, tuple[tuple[str, Cluster], ...])
        assert_type(InventoryReport.from_json(report.to_json()), InventoryReport)
        changes = report.diff(older)
        assert_type(changes, InventoryChanges)
        assert_type(changes["a"], Changes)
        assert_type((changes.only_in_older, changes.only_in_newer), tuple[tuple[str, ...], tuple[str, ...]])

        watcher = inventory.watch_clusters(interval=5, region="r", since=report, confirmations=1)
        assert_type(watcher, InventoryWatcher)
        async for account, event in watcher:
            assert_type((account, event), tuple[Account, ClusterEvent])
            assert_type(watcher.report, InventoryReport | None)


def errors(error: Exception) -> None:
    match error:
        case IncompleteListingError():
            assert_type(error.expected, int | None)
            assert_type((error.received, error.passes), tuple[int, int])
        case DecodeError():
            assert_type(error.index, int)
            assert_type((error.cluster_id, error.field), tuple[str | None, str | None])
        case RateLimitError() | ServerError() | AuthenticationError() | APIError():
            assert_type(error.status, int)
            assert_type(error.code, int | None)
            assert_type(error.request_id, str | None)
            assert_type(error.retry_after, float | None)
        case InventoryError():
            assert_type(error.failures, dict[str, Exception])
            grouped: ExceptionGroup[Exception] = error
            assert_type(grouped.exceptions, tuple[Exception | ExceptionGroup[Exception], ...])
        case ConfigurationError():
            value_error: ValueError = error
            assert_type(value_error.args, tuple[Any, ...])
        case TransportError() | ResponseError() | ZillizError():
            assert_type(error.message, str)
            assert_type((error.method, error.url, error.page), tuple[str | None, str | None, int | None])
            assert_type((error.attempts, error.elapsed), tuple[int, float | None])
            assert_type((error.advice, error.retryable), tuple[str, bool])
        case _:
            pass


async def fakes() -> None:
    async with FakeZillizCloud(
        clusters=3, api_key="k", shape="array", rate_limit=5, latency=0.1, seed=1
    ) as cloud:
        assert_type(cloud.url, str)
        assert_type(cloud.add(cu_size=4), str)
        cloud.update("in01-a", status="STOPPED")
        cloud.remove("in01-a")
        faults: Sequence[Fault] = (
            *(Fault.status(503, retry_after=1), Fault.code(80001, "no", status=200), Fault.html(status=502)),
            *(Fault.reset(), Fault.cut(), Fault.malformed(), Fault.delay(0.1), Fault.repeat_page()),
        )
        cloud.fail_next(faults[0], times=2)
        cloud.fail_next(faults[0], page=3)
        cloud.fail_some(faults[0], 0.2)
        cloud.replay("recorded.jsonl")
        cloud.replay([{"page": 1, "status": 200, "body": {"code": 0, "data": []}}])
        cloud.clear_faults()
        cloud.api_key, cloud.rate_limit, cloud.latency, cloud.max_page_size = None, 7, 0.5, 50
        latency: float = cloud.latency
        assert latency

        @cloud.between_pages
        def change(request: RecordedRequest) -> None:
            assert_type((request.method, request.path), tuple[str, str])
            assert_type(request.when, datetime)

        @cloud.between_pages
        async def change_later() -> None:
            await asyncio.sleep(0)

    with FakeZillizCloud([Cluster("in01-a")]) as threaded:
        assert_type(threaded.requests, list[RecordedRequest])
