"""What a soak does: readings of every kind with every kind of end, watches, and services that change and fail meanwhile.

Each operation draws from a random number generator of its own, made of the seed and its number. What it does is the
same in every run of a seed; how operations interleave is not.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import define, field

from aiozilliz import (
    Account,
    AuthenticationError,
    Cluster,
    IncompleteListingError,
    Inventory,
    InventoryError,
    InventoryReport,
    RetryPolicy,
    Snapshot,
    ZillizClient,
    ZillizError,
)
from benchmarks.soak.oracle import History, Replay, close_all
from benchmarks.soak.service import FAULTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from aiozilliz import ClusterEvent
    from benchmarks.soak.oracle import Span
    from benchmarks.soak.service import Services

CLOUDS: Final[tuple[dict[str, Any], ...]] = (
    {"clusters": 40, "api_key": "good-key", "seed": 1},
    {"clusters": 30, "api_key": "good-key", "seed": 2, "max_page_size": 8, "echo_page_size": "asked"},
    {"clusters": 3, "api_key": "good-key", "seed": 3},
    {"clusters": 25, "api_key": "good-key", "seed": 4, "shape": "array"},
)
WATCHED: Final = range(3)
"""The clouds that give a `count`: without one no reading is consistent, and a watch has nothing to tell."""

KEY: Final = "good-key"
PLACES: Final = 8
"""Requests in flight at once that go through the limiter which half of the clients share."""

_RETRY: Final = RetryPolicy(attempts=3, deadline=20, wait_initial=0.002, wait_max=0.02, wait_jitter=0.005)
_PAGE_SIZES: Final = (3, 7, 20, 100)
_INTERVAL: Final = 0.05
_SETTLES_WITHIN: Final = 60.0
_KEPT_VIOLATIONS: Final = 20


class Walked(Protocol):
    """Stands between an iterator of clusters and who reads it: a place for a test to plant a bug in."""

    def __call__(self, clusters: AsyncIterator[Cluster], /) -> AsyncIterator[Cluster]: ...


@define
class Ledger:
    """What has come of it.

    Attributes:
        outcomes: How often each kind of operation ended in which way.
        violations: What must not be, the first 20; `violated` is how many there were.
    """

    outcomes: Counter[str] = field(factory=Counter[str])
    violations: list[str] = field(factory=list[str])
    violated: int = 0

    def accuse(self, what: str) -> None:
        """Note a violation."""
        self.violated += 1
        if len(self.violations) < _KEPT_VIOLATIONS:
            self.violations.append(what)


@define
class World:
    """All that operations share: the services, their histories, and clients that live as long as the soak.

    Attributes:
        calm: Set when the services are to change and fail no more.
        settle: Set when they do so no more, so that a watch can come to the final list.
    """

    seed: int
    services: Services
    ledger: Ledger
    walked: Walked
    histories: list[History] = field(factory=list[History])
    clients: list[ZillizClient] = field(factory=list[ZillizClient])
    limiter: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(PLACES))
    calm: asyncio.Event = field(factory=asyncio.Event)
    settle: asyncio.Event = field(factory=asyncio.Event)

    async def begin(self) -> None:
        """Read the lists as they are in the beginning."""
        for place, setting in enumerate(CLOUDS):
            history = History(counted=setting.get("shape") != "array")
            history.begin(await self.services.do(place, "list"))
            self.histories.append(history)

    def client(self, cloud: int, *, limited: bool = False) -> ZillizClient:
        """Make a client of a cloud."""
        limiter = self.limiter if limited else None
        return ZillizClient(KEY, base_url=self.services.urls[cloud], retry=_RETRY, limiter=limiter)

    def inventory(self, rng: Random, *, refused: bool) -> Inventory:
        """Make an inventory of all clouds, and where wanted of an account whose key is refused."""
        accounts = [Account(str(cloud), KEY, base_url=url) for cloud, url in enumerate(self.services.urls)]
        if refused:
            accounts.append(Account("refused", "bad-key", base_url=self.services.urls[0]))
        return Inventory(accounts, concurrency=rng.randint(1, 8), retry=_RETRY, limiter=None)

    async def perform(self, number: int) -> None:
        """Do one operation, and judge what it gave."""
        rng = Random(f"{self.seed}/{number}")
        operation = rng.choices(_OPERATIONS, _WEIGHTS)[0]
        name = operation.__name__.strip("_")
        try:
            outcome = await operation(self, rng)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what this program looks for
            outcome = f"raised {type(error).__name__}"
            self.ledger.accuse(f"operation {number}, {name}: raised {error!r}")
        self.ledger.outcomes[f"{name}: {outcome}"] += 1

    def judge_error(self, error: Exception, history: History, span: Span, what: str) -> str:
        """Say how an operation ended, and complain of an error for which there was no reason."""
        incomplete = isinstance(error, IncompleteListingError)
        excused = history.was_troubled(span) or (
            incomplete and not (history.counted and history.was_quiet(span))
        )
        if not excused:
            self.ledger.accuse(f"{what}: an error without a reason: {error!r}")
        return type(error).__name__

    def accuse_all(self, what: str, wrong: list[str]) -> None:
        """Note what an oracle has found."""
        for text in wrong:
            self.ledger.accuse(f"{what}: {text}")


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
            world.ledger.accuse(f"{what}: an id came twice before {failure!r}")
        return world.judge_error(failure, history, span, what)
    world.accuse_all(
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
        world.accuse_all(what, list(history.judge_proven(snapshot.clusters, span)))
        return "consistent"
    if history.counted and history.was_quiet(span) and not history.was_troubled(span):
        world.ledger.accuse(f"{what}: no proof of a list that did not change")
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
        world.accuse_all(f"cloud {cloud}, iter_pages", list(history.judge_ids(ids, span)))
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
            world.accuse_all(
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
        world.ledger.accuse("a report has changed on its way through JSON")
    for cloud, (history, span) in enumerate(zip(world.histories, spans, strict=True)):
        failure = report.failures.get(str(cloud))
        if failure is not None:
            world.judge_error(failure, history, span, f"cloud {cloud}, collect")
        else:
            _judge_snapshot(world, cloud, report.snapshots[str(cloud)], span)
    return f"{len(report.failures)} failed"


def _judge_refused(world: World, refused: bool, failures: Mapping[str, Exception]) -> None:
    if refused and "refused" not in failures:
        world.ledger.accuse("a refused key was no failure of its account")


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
    """Wait for a task whose iterator or client was closed under it."""
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


async def change(world: World, cloud: int) -> None:
    """Change a cloud's list until all is to be calm: clusters come, go and are modified."""
    rng = Random(f"{world.seed}/changes/{cloud}")
    history = world.histories[cloud]
    size = len(history.now)
    while not world.calm.is_set():
        ids = list(history.now)
        kinds = ["update"] * bool(ids) + ["add"] * (len(ids) < size + 5) + ["remove"] * (len(ids) > size - 5)
        match rng.choice(kinds) if ids else "add":
            case "add":
                command = world.services.do(cloud, "add", index=rng.randint(0, len(ids)))
            case "remove":
                command = world.services.do(cloud, "remove", id=rng.choice(ids))
            case _:
                command = world.services.do(cloud, "update", id=rng.choice(ids), cu_size=rng.randint(1, 256))
        await history.change(command)
        await asyncio.sleep(0.5 if rng.random() < 0.1 else rng.uniform(0.005, 0.1))


async def fail(world: World, cloud: int) -> None:
    """Let a cloud's answers go wrong now and then, until all is to be calm."""
    rng = Random(f"{world.seed}/faults/{cloud}")
    history = world.histories[cloud]
    while not world.calm.is_set():
        await asyncio.sleep(rng.uniform(0.0, 0.5))
        fault = rng.choice(list(FAULTS))
        # An old page is like a new one, and without a count a page that is not found is the end of the list.
        misleading = fault == "repeat_page" or (fault == "404" and not history.counted)
        spell = history.trouble(misleading=misleading)
        await world.services.do(cloud, "fail", fault=fault, times=rng.choice((1, 1, 2, 4)))
        await asyncio.sleep(rng.uniform(0.0, 0.1))
        await world.services.do(cloud, "clear")
        spell.over()


async def watch(world: World, cloud: int) -> None:
    """Watch a cloud, from an empty list on and with many restarts, until what the events tell is the final list."""
    rng = Random(f"{world.seed}/watch/{cloud}")
    known: Snapshot | None = None
    for last in _sessions(world):
        replay = Replay({cluster.cluster_id: cluster for cluster in known or ()})
        client = world.clients[cloud]
        watcher = client.watch_clusters(interval=_INTERVAL, since=known, confirmations=rng.choice((1, 2, 3)))
        try:
            async with asyncio.timeout(_SETTLES_WITHIN if last else rng.uniform(0.1, 1.5)), watcher:
                while not (last and replay.clusters == world.histories[cloud].now):
                    _replay(world, f"cloud {cloud}, watch", replay, await anext(watcher))
        except TimeoutError:
            if last:
                world.ledger.accuse(f"cloud {cloud}: the watch has not come to the final list")
        except AuthenticationError:
            pass
        known = watcher.snapshot if watcher.snapshot is not None else known


async def watch_all(world: World) -> None:
    """Watch all clouds in one inventory, likewise, with fewer restarts."""
    rng = Random(f"{world.seed}/watch all")
    known: InventoryReport | None = None
    for last in _sessions(world):
        snapshots: Mapping[str, Snapshot] = known.snapshots if known else {}
        replays = [
            Replay({cluster.cluster_id: cluster for cluster in snapshots.get(str(cloud), ())})
            for cloud in WATCHED
        ]
        async with world.inventory(rng, refused=False) as inventory:
            watcher = inventory.watch_clusters(interval=_INTERVAL, since=known)
            try:
                async with asyncio.timeout(_SETTLES_WITHIN if last else rng.uniform(1, 4)):
                    while not (last and _told(world) == [replay.clusters for replay in replays]):
                        account, event = await anext(watcher)
                        _replay(world, f"account {account.name}, watch", replays[int(account.name)], event)
            except TimeoutError:
                if last:
                    world.ledger.accuse("the watch of all accounts has not come to the final lists")
            except InventoryError:
                pass
            known = watcher.report or known


def _told(world: World) -> list[dict[str, Cluster]]:
    return [world.histories[cloud].now for cloud in WATCHED]


def _replay(world: World, what: str, replay: Replay, event: ClusterEvent) -> None:
    wrong = replay.take(event)
    if wrong is not None:
        world.ledger.accuse(f"{what}: {wrong}")


def _sessions(world: World) -> Iterator[bool]:
    """Give False for each session of a watch while the lists still change, and True for the last one."""
    while not world.settle.is_set():
        yield False
    yield True
