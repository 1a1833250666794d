"""The operations of a soak: readings of every kind with every kind of end, each checked against the history of the lists.

Each operation draws from a random number generator of its own, seeded with the seed and its number. What it does is
the same in every run of a seed; how operations interleave is not.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any, Final

from aiozilliz import Cluster, InventoryError, InventoryReport, Snapshot, ZillizClient, ZillizError
from benchmarks.soak.oracle import close_all
from benchmarks.soak.world import CLOUDS, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from benchmarks.soak.oracle import Span

_PAGE_SIZES: Final = (3, 7, 20, 100)


async def perform(world: World, number: int) -> None:
    """Do one operation, and record how it ended."""
    rng = Random(f"{world.seed}/{number}")
    operation = rng.choices(_OPERATIONS, _WEIGHTS)[0]
    name = operation.__name__.strip("_")
    try:
        outcome = await operation(world, rng)
    except Exception as error:  # noqa: BLE001  # any error here is a finding
        outcome = f"raised {type(error).__name__}"
        world.ledger.report(f"operation {number}, {name}: raised {error!r}")
    world.ledger.outcomes[f"{name}: {outcome}"] += 1


async def _walk(world: World, rng: Random, client: ZillizClient | None = None, cloud: int = 0) -> str:
    if client is None:
        cloud = rng.randrange(len(world.clients))
        client = world.clients[cloud]
    history = world.histories[cloud]
    verify, concurrency, page_size = rng.random() < 0.4, rng.randint(1, 8), rng.choice(_PAGE_SIZES)
    dawdling = rng.random() < 0.2
    what = f"cloud {cloud}, iter_clusters({page_size=}, {concurrency=}, {verify=})"
    ids: list[str] = []
    failure: ZillizError | None = None
    ticket = history.open()
    try:
        walked = client.iter_clusters(
            page_size=page_size, concurrency=concurrency, verify=verify, max_passes=10
        )
        async for cluster in world.walked(walked):
            ids.append(cluster.cluster_id)
            if dawdling:
                await asyncio.sleep(0.001)
    except ZillizError as error:
        failure = error
    finally:
        span = await history.close(ticket)
    if failure is not None:
        if len(set(ids)) != len(ids):
            world.ledger.report(f"{what}: an id came twice before {failure!r}")
        return world.judge_error(failure, history, span, what)
    world.report_all(
        what, list(history.judge_verified(ids, span) if verify else history.judge_ids(ids, span))
    )
    return "proven" if verify else "whole"


async def _snapshot(world: World, rng: Random) -> str:
    cloud = rng.randrange(len(world.clients))
    history = world.histories[cloud]
    ticket = history.open()
    snapshot = None
    failure: ZillizError | None = None
    try:
        snapshot = await world.clients[cloud].snapshot(
            page_size=rng.choice(_PAGE_SIZES), concurrency=rng.randint(1, 8)
        )
    except ZillizError as error:
        failure = error
    finally:
        span = await history.close(ticket)
    if snapshot is None:
        assert failure is not None
        return world.judge_error(failure, history, span, f"cloud {cloud}, snapshot")
    return _judge_snapshot(world, cloud, snapshot, span)


def _judge_snapshot(world: World, cloud: int, snapshot: Snapshot, span: Span) -> str:
    history = world.histories[cloud]
    what = f"cloud {cloud}, {snapshot!r}"
    if snapshot.consistent:
        world.report_all(what, list(history.judge_proven(snapshot.clusters, span)))
        return "consistent"
    if history.counted and history.was_quiet(span) and not history.was_troubled(span):
        world.ledger.report(f"{what}: no proof of a list that did not change")
    return "not consistent"


async def _pages(world: World, rng: Random) -> str:
    cloud = rng.randrange(len(world.clients))
    history = world.histories[cloud]
    ids: list[str] = []
    failure: ZillizError | None = None
    ticket = history.open()
    try:
        async for page in world.clients[cloud].iter_pages(page_size=rng.choice(_PAGE_SIZES)):
            ids.extend(cluster.cluster_id for cluster in page.clusters)
    except ZillizError as error:
        failure = error
    finally:
        span = await history.close(ticket)
    if failure is not None:
        return world.judge_error(failure, history, span, f"cloud {cloud}, iter_pages")
    if history.was_quiet(span) and history.counted:
        world.report_all(f"cloud {cloud}, iter_pages", list(history.judge_ids(ids, span)))
    return "whole"


async def _inventory(world: World, rng: Random) -> str:
    refused = rng.random() < 0.5
    verify = rng.random() < 0.3
    tickets = [history.open() for history in world.histories]
    ids: dict[str, list[str]] = {str(cloud): [] for cloud in range(len(CLOUDS))}
    failures: dict[str, Exception] = {}
    try:
        async with world.inventory(rng, refused=refused) as inventory:
            clusters = inventory.iter_clusters(
                page_size=rng.choice(_PAGE_SIZES), verify=verify, max_passes=10
            )
            async for account, cluster in clusters:
                ids[account.name].append(cluster.cluster_id)
    except InventoryError as error:
        failures = error.failures
    finally:
        spans = await close_all(world.histories, tickets)
    _judge_refused(world, refused, failures)
    for cloud, (history, span) in enumerate(zip(world.histories, spans, strict=True)):
        found, what = ids[str(cloud)], f"cloud {cloud}, inventory.iter_clusters({verify=})"
        failure = failures.get(str(cloud))
        if failure is not None:
            world.judge_error(failure, history, span, what)
        else:
            world.report_all(
                what, list(history.judge_verified(found, span) if verify else history.judge_ids(found, span))
            )
    return f"{len(failures)} failed"


async def _collect(world: World, rng: Random) -> str:
    refused = rng.random() < 0.5
    tickets = [history.open() for history in world.histories]
    report = None
    try:
        async with world.inventory(rng, refused=refused) as inventory:
            report = await inventory.collect(page_size=rng.choice(_PAGE_SIZES))
    finally:
        spans = await close_all(world.histories, tickets)
    _judge_refused(world, refused, report.failures)
    if InventoryReport.from_json(report.to_json()) != report:
        world.ledger.report("a report has changed on its way through JSON")
    for cloud, (history, span) in enumerate(zip(world.histories, spans, strict=True)):
        failure = report.failures.get(str(cloud))
        if failure is not None:
            world.judge_error(failure, history, span, f"cloud {cloud}, collect")
        else:
            _judge_snapshot(world, cloud, report.snapshots[str(cloud)], span)
    return f"{len(report.failures)} failed"


def _judge_refused(world: World, refused: bool, failures: Mapping[str, Exception]) -> None:
    if refused and "refused" not in failures:
        world.ledger.report("a refused key was no failure of its account")


async def _cancelled(world: World, rng: Random) -> str:
    work = rng.choice((_walk, _snapshot, _inventory, _collect, _pages))
    task = asyncio.create_task(work(world, rng))
    await asyncio.sleep(rng.choice((0.0, 0.001, rng.uniform(0, 0.05))))
    task.cancel()
    await asyncio.wait([task])
    if task.cancelled():
        return "cancelled"
    task.result()
    return "was done before"


async def _left_early(world: World, rng: Random) -> str:
    cloud = rng.randrange(len(world.clients))
    how = rng.choice(("break", "async with", "aclose", "aclose twice"))
    take = rng.randint(1, 20)
    clusters = world.clients[cloud].iter_clusters(
        page_size=rng.choice((1, 3, 7)), concurrency=rng.randint(1, 8)
    )
    try:
        if how == "async with":
            async with clusters:
                await _take(clusters, take)
        else:
            await _take(clusters, take)
        if how.startswith("aclose"):
            await clusters.aclose()
        if how == "aclose twice":
            await clusters.aclose()
    except ZillizError as error:
        return type(error).__name__
    return how


async def _take(clusters: AsyncIterator[Cluster], number: int) -> None:
    async for _ in clusters:
        number -= 1
        if not number:
            break


async def _closed_by_another(world: World, rng: Random) -> str:
    cloud = rng.randrange(len(world.clients))
    clusters = world.clients[cloud].iter_clusters(page_size=1, concurrency=rng.randint(1, 8))
    reader = asyncio.create_task(_take(clusters, 1_000))
    await asyncio.sleep(rng.uniform(0, 0.02))
    await clusters.aclose()
    return await _end_of(reader, "closed")


async def _client_closed(world: World, rng: Random) -> str:
    cloud = rng.randrange(len(CLOUDS))
    client = world.client(cloud, limited=rng.random() < 0.5)
    async with client:
        works = [asyncio.create_task(_walk(world, rng, client, cloud)) for _ in range(3)]
        await asyncio.sleep(rng.uniform(0, 0.03))
        await client.aclose()
        ends = [await _end_of(work, "closed") for work in works]
    return ends[0]


async def _end_of(task: asyncio.Task[Any], expected: str) -> str:
    """Return how a task ended whose iterator or client was closed under it."""
    await asyncio.wait([task])
    error = task.exception()
    if error is None:
        return "was done before"
    if isinstance(error, RuntimeError) and expected in str(error):
        return "RuntimeError"
    if isinstance(error, ZillizError):
        return type(error).__name__
    raise error


_OPERATIONS: Final[tuple[Callable[[World, Random], Awaitable[str]], ...]] = (
    *(_walk, _snapshot, _pages, _inventory, _collect),
    *(_cancelled, _left_early, _closed_by_another, _client_closed),
)
_WEIGHTS: Final = (6, 4, 1, 2, 2, 4, 3, 2, 2)
