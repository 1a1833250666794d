"""A watch over HTTP tells what changes, once; outlives outages of every kind; and tells no deletion that was none."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import pytest
from attrs import define, field

from aiozilliz import (
    AuthenticationError,
    Cluster,
    ClusterEvent,
    ClusterWatcher,
    IncompleteListingError,
    RetryPolicy,
    Snapshot,
    TransportError,
    ZillizClient,
)
from aiozilliz.testing import FakeZillizCloud
from tests.support.failures import FAILURES, MAX_BYTES, RECORDS, TRANSPORT, Failure
from tests.support.listing_server import (
    PATIENCE,
    QUICK,
    Count,
    Listing,
    ListingServer,
    names,
    page_of,
    quick_client,
)
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
    of_the_watch = [message for message in messages if message.startswith("watch of ")]
    assert len(of_the_watch) == 2, messages
    assert "poll failed" in of_the_watch[0]
    assert "recovered after" in of_the_watch[1]
    retries = [message for message in messages if "attempt 1 of 2 failed, retrying in" in message]
    assert len(retries) == 4 * (failure.attempts - 1)
    assert len(messages) == 2 + len(retries)
    assert "\n" not in "".join(messages)


def is_of_the_service(failure: Failure) -> bool:
    """Tell whether it is JSON of the service's, with a code that says what the status says."""
    return failure.values.get("code") not in {None, 0}


AUTH = [failure for failure in FAILURES if failure.error is AuthenticationError]


@pytest.mark.parametrize("confirmations", [1, 2, 3])
@pytest.mark.parametrize("failure", [one for one in AUTH if is_of_the_service(one)], ids=str)
async def test_a_refused_key_ends_it(failure: Failure, confirmations: int) -> None:
    world = World({"a": 1})
    async with asyncio.timeout(PATIENCE), WireServer(world) as server, quick_client(server.url) as client:
        watcher = client.watch_clusters(interval=SOON, confirmations=confirmations)
        assert told(await anext(watcher)) == ("added", "a", 1)
        world.failing = [failure] * 9
        for _ in range(3):
            with pytest.raises(AuthenticationError):
                await anext(watcher)
        assert len(world.failing) == 9 - confirmations
        assert watcher.last_read_at == watcher.failing_since is not None
        assert isinstance(watcher.last_error, AuthenticationError)


@pytest.mark.parametrize("failure", [one for one in AUTH if not is_of_the_service(one)], ids=str)
async def test_what_the_service_did_not_say_itself_is_an_outage(failure: Failure) -> None:
    world = World({"a": 1})
    async with WireServer(world) as server, quick_client(server.url) as client, Watching(client) as watching:
        await watching.told(1)
        world.failing = [failure] * 9
        await until(lambda: not world.failing)
        world.clusters["a"] = 2
        assert (await watching.told(2))[1:] == [("modified", "a", 2)]


@pytest.mark.parametrize("failure", [AUTH[-1]], ids=str)
async def test_a_key_of_a_callable_is_an_outage_however_often_it_is_refused(failure: Failure) -> None:
    world = World({"a": 1})
    async with (
        WireServer(world) as server,
        quick_client(server.url, lambda: "some-key") as client,
        Watching(client) as watching,
    ):
        await watching.told(1)
        world.failing = [failure] * 9
        await until(lambda: not world.failing)
        world.clusters["a"] = 2
        assert (await watching.told(2))[1:] == [("modified", "a", 2)]


@pytest.mark.parametrize("count", ["absent", "null"])
async def test_a_service_without_a_count_ends_it_at_once_and_says_why(count: Count) -> None:
    listing = Listing(names(7), count=count)
    async with ListingServer(listing) as server, server.client() as client:
        watcher = client.watch_clusters(interval=SOON)
        for _ in range(2):
            with pytest.raises(IncompleteListingError, match=r"without a count.*A watch needs the count"):
                await anext(watcher)
        assert server.pages == [1]
        assert watcher.snapshot is None


async def test_a_count_that_vanishes_later_is_an_outage() -> None:
    listing = Listing(names(2))
    async with ListingServer(listing) as server, server.client() as client, Watching(client) as watching:
        await watching.told(2)
        listing.count = "absent"
        await until(lambda: isinstance(watching.watcher.last_error, IncompleteListingError))
        listing.ids.append("new")
        listing.count = "total"
        assert (await watching.told(3))[2:] == [("added", "new", 0)]
        assert watching.watcher.last_error is None


@pytest.mark.parametrize("pages", range(1, 6))
async def test_a_quiet_reading_of_k_pages_costs_k_requests(pages: int) -> None:
    listing = Listing(names(4 * pages - 1), cap=4)
    async with ListingServer(listing) as server, server.client() as client, Watching(client) as watching:
        await watching.told(len(listing.ids))
        first = 2 * pages - 1
        await until(lambda: len(server.requests) >= first + 5 * pages)
        after = server.pages[first : first + 5 * pages]
        assert after == [*range(1, pages + 1)] * 5
        assert watching.watcher.last_error is None
        assert len(watching.events) == len(listing.ids)


MOVES: dict[str, Callable[[list[str]], None]] = {
    "the first goes": lambda ids: ids.__delitem__(0),
    "one of the middle goes": lambda ids: ids.__delitem__(5),
    "the last goes": lambda ids: ids.__delitem__(-1),
    "one comes first": lambda ids: ids.insert(0, "new"),
    "one comes last": lambda ids: ids.append("new"),
    "the first goes and one comes": lambda ids: ids.append(f"after {ids.pop(0)}"),
    "the last goes and one comes first": lambda ids: ids.insert(0, f"after {ids.pop()}"),
    "all go": lambda ids: ids.clear(),
}


@pytest.mark.parametrize("at", range(1, 13))
@pytest.mark.parametrize("move", MOVES)
async def test_what_moves_between_two_requests_of_a_reading_is_told_and_nothing_else(
    move: str, at: int
) -> None:
    listing = Listing(names(11), cap=4)
    before, listed_in = list(listing.ids), [set(listing.ids)]

    def change(read: int) -> None:
        if read == 5 + at:  # the first reading takes five
            MOVES[move](listing.ids)
            listed_in.append(set(listing.ids))

    listing.before = change
    async with ListingServer(listing) as server, server.client() as client:
        watcher = client.watch_clusters(interval=SOON)
        async with asyncio.timeout(PATIENCE), watcher:
            for _ in before:
                await anext(watcher)
            events: list[tuple[str, str]] = []
            expected: set[tuple[str, str]] = set()
            while not expected or len(events) < len(expected):
                event = await anext(watcher)
                events.append((str(event.kind), event.cluster.cluster_id))
                expected = {("added", i) for i in listed_in[-1] - listed_in[0]}
                expected |= {("removed", i) for i in listed_in[0] - listed_in[-1]}
            assert set(events) == expected
            assert len(events) == len(expected)
            assert watcher.snapshot is not None
            assert {cluster.cluster_id for cluster in watcher.snapshot} == listed_in[-1]


async def test_what_a_replica_lacks_is_not_removed_while_another_answer_of_the_reading_shows_it() -> None:
    ids = names(7)
    replicas, asked = 0, [0, 0]

    def pages(page: int, size: int) -> bytes:
        # Two replicas, of which every second request for page 1 reaches the one that knows the last cluster. The other
        # one proves a listing without it.
        asked[0] += 1
        asked[1] += page == 1
        if replicas == 0:
            return page_of(ids[(page - 1) * 4 : page * 4], count=7, currentPage=page, pageSize=4)
        if page == 1 and replicas == 2 and asked[1] % 2:
            return page_of([*ids[:3], ids[6]], count=8, currentPage=1, pageSize=4)
        return page_of([[], ids[:3], ids[3:6]][page % 3], count=6, currentPage=page, pageSize=4)

    async with ListingServer(pages) as server, server.client() as client, Watching(client) as watching:
        await watching.told(7)
        begun = watching.watcher.last_read_at
        asked[1], replicas = 0, 2
        await until(lambda: asked[0] > 60)
        assert watching.watcher.last_read_at is not None
        assert begun is not None
        assert watching.watcher.last_read_at > begun  # it is proven again and again
        assert watching.watcher.last_error is None
        assert watching.events == [("added", i, 0) for i in ids]
        replicas = 1
        assert (await watching.told(8))[7:] == [("removed", ids[6], 0)]


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
                    assert found is not None
                    assert (event.cluster in found) == (event.kind != "removed")
                    stored, log = found.to_json(), list(done)
                    if found.consistent and steps:
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
    asyncio.get_running_loop().slow_callback_duration = math.inf  # a slow machine is no outage
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
