"""A watch over HTTP tells what changes, once; outlives outages of every kind; and tells no deletion that was none."""

from __future__ import annotations

import asyncio
import gc
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import pytest
from attrs import define, field

from aiozilliz import (
    AuthenticationError,
    Cluster,
    ClusterEvent,
    ClusterWatcher,
    RetryPolicy,
    Snapshot,
    TransportError,
    ZillizClient,
)
from aiozilliz.testing import FakeZillizCloud
from tests.support.failures import FAILURES, MAX_BYTES, RECORDS, TRANSPORT, Failure
from tests.support.listing_server import PATIENCE, QUICK, quick_client
from tests.support.wire_server import Exchange, WireServer, response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SOON = 0.001
"""An interval, in seconds, that no test has to wait for."""

PAGE = 100

Told = tuple[str, str, int]


def told(event: ClusterEvent) -> Told:
    return str(event.kind), event.cluster.cluster_id, event.cluster.cu_size


@define
class World:
    """The clusters of a service: id to `cuSize`, listed in pages.

    Attributes:
        clusters: What is there; it may be changed at any time.
        visible: How many of them the key may see; None is all.
        failing: What comes instead of an answer, for so many requests.
        before: Called before each answer with its number, from 1.
        hangs_up: Whether each connection is closed after its answer.
    """

    clusters: dict[str, int] = field(factory=dict[str, int])
    visible: int | None = None
    failing: list[Failure] = field(factory=list[Failure])
    extra_count: int = 0
    before: Callable[[int], None] = lambda _: None
    hangs_up: bool = False
    answers: int = 0
    readings: int = 0

    async def __call__(self, exchange: Exchange) -> None:
        if self.failing:
            await self.failing.pop().fail(exchange)
            return
        self.answers += 1
        self.before(self.answers)
        page = exchange.request.page
        self.readings += page == 1
        seen = list(self.clusters.items())[: self.visible]
        records = [{"clusterId": i, "cuSize": n} for i, n in seen[(page - 1) * PAGE : page * PAGE]]
        await exchange.send(
            response({"code": 0, "data": {"count": len(seen) + self.extra_count, "clusters": records}})
        )
        if self.hangs_up:
            exchange.cut()

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(
            [Cluster(i, cu_size=n) for i, n in self.clusters.items()], datetime.now(UTC), consistent=True
        )


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0)


async def readings(world: World, number: int) -> None:
    """Wait until so many more readings have begun."""
    wanted = world.readings + number
    await until(lambda: world.readings >= wanted)


async def collect(watcher: AsyncIterator[ClusterEvent], events: list[Told]) -> None:
    async for event in watcher:
        events.append(told(event))  # noqa: PERF401  # what came before an error counts


class Watching:
    """A watch that a task reads, and what it has told so far."""

    def __init__(self, client: ZillizClient, **options: Any) -> None:
        self.events: list[Told] = []
        options.setdefault("interval", SOON)
        self.watcher = client.watch_clusters(**options)
        self.task = asyncio.create_task(collect(self.watcher, self.events))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.watcher.aclose()
        await asyncio.wait([self.task])
        if not isinstance(self.task.exception(), RuntimeError):
            self.task.result()

    async def told(self, number: int) -> list[Told]:
        """Wait until so many events have come, and give them."""
        await until(lambda: len(self.events) >= number or self.task.done())
        return list(self.events)


async def test_it_tells_what_changes() -> None:
    world = World({"a": 1, "b": 1})
    async with WireServer(world) as server, quick_client(server.url) as client, Watching(client) as watching:
        added = [("added", "a", 1), ("added", "b", 1)]
        assert await watching.told(2) == added
        world.clusters["a"] = 2
        assert await watching.told(3) == [*added, ("modified", "a", 2)]
        world.clusters["c"] = 1
        assert (await watching.told(4))[3:] == [("added", "c", 1)]
        del world.clusters["b"]
        assert (await watching.told(5))[4:] == [("removed", "b", 1)]
        world.clusters |= {"b": 5}
        assert (await watching.told(6))[5:] == [("added", "b", 5)]
        await readings(world, 3)
        assert len(watching.events) == 6


SOME = [
    *TRANSPORT,
    *RECORDS[:2],
    *(
        failure
        for failure in FAILURES
        if failure.error is not AuthenticationError and failure not in TRANSPORT and failure not in RECORDS
    ),
]


@pytest.mark.parametrize("failure", SOME, ids=str)
async def test_an_outage_in_the_middle_tells_nothing_that_did_not_happen(
    failure: Failure, caplog: pytest.LogCaptureFixture
) -> None:
    world = World({"a": 1, "b": 1})
    async with (
        WireServer(world) as server,
        quick_client(server.url, max_response_bytes=MAX_BYTES) as client,
        Watching(client) as watching,
    ):
        await watching.told(2)
        world.failing = [failure] * 4 * failure.attempts
        await until(lambda: not world.failing)
        await readings(world, 3)
        assert len(watching.events) == 2
        world.clusters = {"a": 1, "c": 1}
        assert (await watching.told(4))[2:] == [("added", "c", 1), ("removed", "b", 1)]
    messages = [
        record.getMessage()
        for record in caplog.records
        if record.name == "aiozilliz" and record.levelno >= logging.WARNING
    ]
    assert len(messages) == 2, messages
    assert "poll failed" in messages[0]
    assert "recovered after" in messages[1]
    assert "\n" not in "".join(messages)


@pytest.mark.parametrize("failure", [f for f in FAILURES if f.error is AuthenticationError], ids=str)
async def test_a_refused_key_ends_it(failure: Failure) -> None:
    world = World({"a": 1})
    async with asyncio.timeout(PATIENCE), WireServer(world) as server, quick_client(server.url) as client:
        watcher = client.watch_clusters(interval=SOON)
        assert told(await anext(watcher)) == ("added", "a", 1)
        world.failing = [failure] * 9
        for _ in range(3):
            with pytest.raises(AuthenticationError):
                await anext(watcher)
        assert len(world.failing) == 8


def rights_cut(world: World) -> None:
    world.visible = 1


def empty(world: World) -> None:
    world.visible = 0


@pytest.mark.parametrize("trouble", [rights_cut, empty])
async def test_a_cluster_that_is_out_of_sight_for_one_reading_was_never_gone(
    trouble: Callable[[World], None],
) -> None:
    world = World({"a": 1, "b": 1, "c": 1})

    def before(answer: int) -> None:
        world.visible = None
        if answer % 2:
            trouble(world)

    async with WireServer(world) as server, quick_client(server.url) as client:
        since = world.snapshot
        world.before = before
        async with Watching(client, since=since) as watching:
            await readings(world, 10)
            assert watching.events == []
            world.clusters["c"] = 2
            assert await watching.told(1) == [("modified", "c", 2)]


async def test_a_wrong_count_tells_nothing_and_no_deletion() -> None:
    world = World({"a": 1, "b": 1})
    async with (
        WireServer(world) as server,
        quick_client(server.url) as client,
        Watching(client, since=world.snapshot) as watching,
    ):
        world.extra_count, world.visible = 1, 1
        await readings(world, 12)
        assert watching.events == []
        world.extra_count, world.visible = 0, None
        world.clusters["d"] = 1
        assert await watching.told(1) == [("added", "d", 1)]


POINTS: dict[str, Callable[[dict[str, int]], None]] = {
    "the first goes": lambda clusters: clusters.__delitem__("in01-0000"),
    "one comes": lambda clusters: clusters.__setitem__("new", 1),
    "the first goes and one comes": lambda clusters: clusters.update(new=clusters.pop("in01-0000")),
    "one changes": lambda clusters: clusters.__setitem__("in01-0150", 7),
}


@pytest.mark.parametrize("change", POINTS)
@pytest.mark.parametrize("at", range(1, 12))
async def test_a_change_between_any_two_requests_is_told_once(change: str, at: int) -> None:
    world = World({f"in01-{n:04}": 1 for n in range(250)})
    since = world.snapshot
    before = dict(world.clusters)

    def apply(answer: int) -> None:
        if answer == at:
            POINTS[change](world.clusters)

    world.before = apply
    async with (
        WireServer(world) as server,
        quick_client(server.url) as client,
        Watching(client, since=since) as watching,
    ):
        expected: set[Told] = set()
        after = dict(before)
        POINTS[change](after)
        expected |= {("removed", i, 1) for i in before.keys() - after.keys()}
        expected |= {("added", i, 1) for i in after.keys() - before.keys()}
        expected |= {("modified", i, n) for i, n in after.items() if before.get(i, n) != n}
        events = await watching.told(len(expected))
        await readings(world, 2)
        assert set(events) == expected
        assert watching.events == events
        assert len(events) == len(expected)


@pytest.mark.parametrize("kill_at", range(1, 9))
async def test_a_killed_service_goes_on_from_what_it_stored(kill_at: int) -> None:
    world = World({"a": 1, "b": 1})
    steps: list[Callable[[], None]] = [
        lambda: world.clusters.update(a=2, c=1),
        lambda: world.clusters.__delitem__("b"),
        lambda: world.clusters.update(d=1, a=3),
        lambda: world.clusters.__delitem__("c"),
    ]
    stored: str | None = None
    log: list[Told] = []
    handed = 0
    async with asyncio.timeout(PATIENCE), WireServer(world) as server:
        while len(log) < 8:
            async with quick_client(server.url) as client:
                since = None if stored is None else Snapshot.from_json(stored)
                watcher = client.watch_clusters(interval=SOON, since=since)
                done = list(log)
                while len(log) < 8:
                    event = await anext(watcher)
                    handed += 1
                    if handed == kill_at:
                        break
                    done.append(told(event))
                    found = watcher.snapshot
                    if found is not None and (event.cluster in found) == (event.kind != "removed"):
                        stored, log = found.to_json(), list(done)
                        if steps:
                            steps.pop(0)()
    assert log == [
        ("added", "a", 1),
        ("added", "b", 1),
        ("modified", "a", 2),
        ("added", "c", 1),
        ("removed", "b", 1),
        ("modified", "a", 3),
        ("added", "d", 1),
        ("removed", "c", 1),
    ]


async def test_many_readings_leave_no_task_connection_or_memory_behind() -> None:
    world = World({"a": 1})

    def before(answer: int) -> None:
        world.clusters["a"] = answer

    world.before = before
    async with WireServer(world) as server:
        tasks = asyncio.all_tasks()
        async with quick_client(server.url) as client:
            watcher = client.watch_clusters(interval=SOON)
            sizes: list[int] = []
            for number in range(600):
                await anext(watcher)
                server.requests.clear()
                if number % 100 == 50:
                    workers = {connection._worker for connection in server.open}
                    assert asyncio.all_tasks() - workers == tasks
                    assert len(server.open) <= 1
                    gc.collect()
                    sizes.append(len(gc.get_objects()))
            assert server.connections == 1
        await server.all_closed()
    assert max(sizes[1:]) - min(sizes[1:]) < 500


async def test_a_connection_that_the_service_closed_while_it_slept_is_not_tried() -> None:
    world = World({"a": 1}, hangs_up=True)

    def before(answer: int) -> None:
        world.clusters["a"] = answer

    world.before = before
    once = RetryPolicy(attempts=1)
    async with WireServer(world) as server, quick_client(server.url, retry=once) as client:
        watcher = client.watch_clusters(interval=0.02)
        for number in range(1, 9):
            assert (await anext(watcher)).cluster.cu_size == number  # no reading failed in between
            await server.all_closed()
            for _ in range(5):  # turns of the loop, in which the client sees it too
                await asyncio.sleep(0)
        assert server.connections == len(server.requests) == 8


async def waits_in(
    watcher: ClusterWatcher, server: WireServer, world: World, *, asleep: bool
) -> asyncio.Future[ClusterEvent]:
    """Give a task that waits in the watcher: for an answer, or for the next reading."""
    if asleep:
        await anext(watcher)
    else:
        world.failing = [Failure("silence", Exchange.silence, TransportError, "")]
    task = asyncio.ensure_future(anext(watcher))
    if not asleep:
        await server.received(1)
    for _ in range(20):
        await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("asleep", [False, True])
@pytest.mark.parametrize("closes", ["watcher", "client"])
async def test_closing_it_or_the_client_ends_a_waiting_reader_at_once(closes: str, *, asleep: bool) -> None:
    world = World({"a": 1})
    async with asyncio.timeout(PATIENCE), WireServer(world) as server, quick_client(server.url) as client:
        watcher = client.watch_clusters(interval=10 * PATIENCE)
        task = await waits_in(watcher, server, world, asleep=asleep)
        await (watcher if closes == "watcher" else client).aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await task
        with pytest.raises(RuntimeError, match="closed"):
            await anext(watcher)
        await watcher.aclose()
        if closes == "watcher":
            assert len(await client.snapshot()) == 1
        else:
            await server.all_closed()


@pytest.mark.parametrize("asleep", [False, True])
async def test_a_cancelled_reader_leaves_a_watch_that_can_be_read_on(*, asleep: bool) -> None:
    world = World({"a": 1})
    async with asyncio.timeout(PATIENCE), WireServer(world) as server, quick_client(server.url) as client:
        watcher = client.watch_clusters(interval=0.05)
        task = await waits_in(watcher, server, world, asleep=asleep)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        world.clusters["a"] = 2
        assert told(await anext(watcher)) == ("modified" if asleep else "added", "a", 2)


async def test_a_watch_of_a_client_that_is_not_open_is_refused() -> None:
    client = quick_client("http://127.0.0.1:9", retry=QUICK)
    with pytest.raises(RuntimeError):
        await anext(client.watch_clusters())
    await client.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await anext(client.watch_clusters())


async def test_an_outage_of_the_key_callable_is_outlived_and_shows_nothing_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outages = [OSError("the vault said: canary-token")]

    def key() -> str:
        if outages:
            raise outages.pop()
        return "some-api-key"

    async with (
        FakeZillizCloud(clusters=1) as cloud,
        ZillizClient(key, base_url=cloud.url) as client,
        client.watch_clusters(interval=0.001) as events,
    ):
        assert (await anext(events)).kind == "added"

    assert [record.name for record in caplog.records if record.levelname == "WARNING"] == ["aiozilliz"] * 2
    assert "canary" not in caplog.text
