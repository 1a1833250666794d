"""`Inventory`: its arguments, its life, and what it makes of accounts. Over HTTP where that matters."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest

from aiozilliz import (
    Account,
    AuthenticationError,
    Cluster,
    ConfigurationError,
    IncompleteListingError,
    Inventory,
    InventoryError,
    InventoryReport,
    RetryPolicy,
    Snapshot,
    TransportError,
)
from aiozilliz._aio.cancel_scope import CancelScope, SharedTimer
from aiozilliz._aio.limiter import DecodeTurn, RateLimiter
from aiozilliz._http.request import NO_LIMIT, RequestContext
from aiozilliz._http.transport import Answer
from aiozilliz._settings.checks import ListQuery
from aiozilliz._settings.credentials import KeySource, Secret
from tests.support.fake_time import run_in_fake_time
from tests.support.listing_server import QUICK, Listing, ListingServer, names, nothing_left
from tests.support.wire_server import listing, response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

    from aiozilliz import ClusterPage

SOON = 0.001


def inventory_of(url: str, number: int = 3, **options: Any) -> Inventory:
    accounts = [Account(f"a{n}", f"k{n}", base_url=url) for n in range(number)]
    options = {"limiter": None, "retry": QUICK, **options}
    return Inventory(accounts, **options)


async def ids(pairs: AsyncIterator[tuple[Account, Cluster]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    async for account, cluster in pairs:
        found.setdefault(account.name, []).append(cluster.cluster_id)
    return found


# what it gives


async def test_it_gives_every_cluster_of_every_account() -> None:
    async with ListingServer(Listing(names(7))) as server, inventory_of(server.url) as inventory:
        assert await ids(inventory.iter_clusters(page_size=3)) == {f"a{n}": names(7) for n in range(3)}


async def test_of_no_accounts_there_is_nothing_and_no_error() -> None:
    async with Inventory([]) as inventory:
        assert await ids(inventory.iter_clusters()) == {}
        assert [pair async for pair in inventory.watch_clusters()] == []
        report = await inventory.collect()
    assert not report.snapshots
    assert not report.failures
    assert list(report.clusters) == []


async def test_a_collection_has_proven_snapshots_in_the_order_of_the_accounts() -> None:
    before = datetime.now(UTC)
    async with ListingServer(Listing(names(7))) as server, inventory_of(server.url) as inventory:
        report = await inventory.collect(page_size=3)
    assert list(report.snapshots) == ["a0", "a1", "a2"]
    for snapshot in report.snapshots.values():
        assert snapshot.consistent
        assert [cluster.cluster_id for cluster in snapshot] == names(7)
        assert snapshot.requests == 5
        assert before <= report.taken_at <= snapshot.taken_at <= datetime.now(UTC)
    assert len(list(report.clusters)) == 21
    assert InventoryReport.from_json(report.to_json()) == report


async def test_without_the_proof_a_snapshot_says_so_and_is_no_failure() -> None:
    pages = Listing(names(7), count="over")
    async with ListingServer(pages) as server, inventory_of(server.url, 2) as inventory:
        report = await inventory.collect(page_size=3)
        assert not report.failures
        assert [snapshot.consistent for snapshot in report.snapshots.values()] == [False, False]
        assert [cluster.cluster_id for cluster in report.snapshots["a0"]] == names(7)
        with pytest.raises(InventoryError) as caught:
            await ids(inventory.iter_clusters(page_size=3))
        assert {type(error) for error in caught.value.failures.values()} == {IncompleteListingError}


@pytest.mark.parametrize("array", [True, False])
async def test_a_service_without_a_count_proves_nothing(*, array: bool) -> None:
    pages = Listing(names(4), count="absent", array=array)
    async with ListingServer(pages) as server, inventory_of(server.url, 1) as inventory:
        assert await ids(inventory.iter_clusters(page_size=3)) == {"a0": names(4)}
        assert not (await inventory.collect(page_size=3)).snapshots["a0"].consistent
        with pytest.raises(InventoryError) as caught:
            await ids(inventory.iter_clusters(page_size=3, verify=True))
        assert type(caught.value.failures["a0"]) is IncompleteListingError


async def test_passes_and_page_size_are_what_was_asked() -> None:
    moving = Listing(names(6), before=lambda read: moving.ids.insert(0, f"new-{read}"))
    async with ListingServer(moving) as server, inventory_of(server.url, 1) as inventory:
        with pytest.raises(InventoryError) as caught:
            await ids(inventory.iter_clusters(page_size=2, verify=True, max_passes=2))
        error = caught.value.failures["a0"]
        assert isinstance(error, IncompleteListingError)
        assert error.passes == 2
        assert all("pageSize=2" in request.target for request in server.requests)


async def test_a_key_that_changes_under_way_is_asked_for_again() -> None:
    keys = iter(["old", *["new"] * 20])
    seen: list[str] = []

    async def ask() -> str:
        return next(keys)

    async with ListingServer(Listing(names(4))) as server:
        async with Inventory([Account("a", ask, base_url=server.url)], limiter=None) as inventory:
            assert await ids(inventory.iter_clusters(page_size=2)) == {"a": names(4)}
        seen += [request.get("authorization")[0] for request in server.requests]
    assert seen == ["Bearer old", "Bearer new"]


# limits


@pytest.mark.parametrize("kind", ["takes none", "takes the account", "has a default", "class"])
async def test_each_account_has_a_limit_of_its_own(kind: str) -> None:
    made: list[str] = []

    def plain() -> asyncio.Semaphore:
        made.append("plain")
        return asyncio.Semaphore(1)

    def of_account(account: Account) -> asyncio.Semaphore:
        made.append(account.name)
        return asyncio.Semaphore(1)

    def with_default(places: int = 2) -> asyncio.Semaphore:
        made.append(f"{places} places")
        return asyncio.Semaphore(places)

    factories: dict[str, tuple[Callable[..., Any], list[str]]] = {
        "takes none": (plain, ["plain"] * 2),
        "takes the account": (of_account, ["a0", "a1"]),
        "has a default": (with_default, ["2 places"] * 2),
        "class": (asyncio.Semaphore, []),
    }
    limiter, expected = factories[kind]
    async with (
        ListingServer(Listing(names(7))) as server,
        inventory_of(server.url, 2, limiter=limiter) as inventory,
    ):
        for _ in range(2):
            assert len(await ids(inventory.iter_clusters(page_size=2))) == 2
    assert made == expected


@asynccontextmanager
async def nothing_is_held() -> AsyncGenerator[None]:
    yield


@pytest.mark.parametrize(
    ("limiter", "says"),
    ids=["instance", "once", "number"],
    argvalues=[
        (
            asyncio.Semaphore(1),
            r"not a Semaphore: write `lambda: RateLimiter\(20\)`, or `lambda: limiter` for one",
        ),
        (nothing_is_held(), "must be a callable that returns a limiter for each account"),
        (7, r"not int: write `lambda: RateLimiter\(20\)`"),
    ],
)
def test_a_limiter_is_no_maker_of_limiters(limiter: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        Inventory([Account("a", "k")], limiter=limiter)


async def late() -> asyncio.Semaphore:
    return asyncio.Semaphore(1)


@pytest.mark.parametrize(
    ("limiter", "says"),
    [
        (lambda: None, "not NoneType"),
        (lambda: 7, "not int"),
        (lambda: asyncio.Semaphore, "not the class Semaphore"),
        (late, "not coroutine"),
        (nothing_is_held, "can be entered once"),
    ],
    ids=["nothing", "number", "class", "coroutine", "once"],
)
async def test_what_a_maker_of_limiters_returns_is_checked(limiter: Any, says: str) -> None:
    async with Inventory([Account("a", "k", base_url="http://127.0.0.1:1")], limiter=limiter) as inventory:
        report = await inventory.collect()
    assert type(report.failures["a"]) is TypeError
    assert "limiter must return an async context manager" in str(report.failures["a"])
    assert says in str(report.failures["a"])


async def test_what_is_no_limit_fails_its_account_alone() -> None:
    def limiter(account: Account) -> Any:
        return None if account.name == "a1" else asyncio.Semaphore(1)

    async with (
        ListingServer(Listing(names(7))) as server,
        inventory_of(server.url, limiter=limiter) as inventory,
    ):
        report = await inventory.collect()
    assert list(report.snapshots) == ["a0", "a2"]
    assert type(report.failures["a1"]) is TypeError


async def test_the_default_limit_is_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[str] = []

    class Seen(RateLimiter):
        async def __aenter__(self) -> None:
            entered.append(repr(self))
            await super().__aenter__()

    monkeypatch.setattr("aiozilliz._inventory.inventory.RateLimiter", Seen)
    async with (
        ListingServer(Listing(names(1))) as server,
        Inventory([Account("a", "k", base_url=server.url)]) as one,
    ):
        await ids(one.iter_clusters())
    assert [text.partition(",")[0] for text in entered] == ["<RateLimiter 20 in 1 s"]


class Slow:
    """A transport that answers after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.sent = 0
        self.max_response_bytes = 1000
        self.timer = SharedTimer()
        self.turn = DecodeTurn()

    async def send(self, base_url: str, url: str, secret: Secret, **_: object) -> Answer:
        del base_url, url, secret
        self.sent += 1
        await asyncio.sleep(self.seconds)
        return Answer(200, {}, orjson.dumps(listing("in01-a")))


class Room:
    """Room for one page, which others take as often as there are `waits`, each for so many seconds."""

    def __init__(self, *waits: float) -> None:
        self.waits = list(waits)
        self.has_it = True

    def set_idle(self, idle: bool, /) -> None:
        self.has_it = not idle

    def is_free(self) -> bool:
        return self.has_it or not self.waits

    async def wait(self) -> None:
        assert not self.has_it
        await asyncio.sleep(self.waits.pop(0))
        self.has_it = True


def fetching(
    transport: Any,
    slots: asyncio.Semaphore | None,
    scope: CancelScope | None = None,
    *,
    limiter: AbstractAsyncContextManager[object] = NO_LIMIT,
    room: Room | None = None,
) -> Coroutine[Any, Any, ClusterPage]:
    context = RequestContext(
        name="x",
        base_url="https://x",
        key=KeySource(Secret("k")),
        transport=transport,
        limiter=limiter,
        policy=RetryPolicy(deadline=60.0),
        check_open=lambda: None,
        slots=slots,
    )
    return context.fetch(ListQuery(10), 1, scope or CancelScope(), room)


def test_waiting_for_a_place_takes_nothing_of_a_pages_deadline() -> None:
    async def main() -> None:
        transport, slots = Slow(40.0), asyncio.Semaphore(1)
        now = asyncio.get_running_loop().time
        began = now()
        pages = await asyncio.gather(*(fetching(transport, slots) for _ in range(5)))
        assert [len(page.clusters) for page in pages] == [1] * 5
        assert now() - began == pytest.approx(200.0)

    run_in_fake_time(main())


def test_waiting_for_room_takes_nothing_of_a_pages_deadline_and_holds_no_limiter() -> None:
    async def main() -> None:
        limiter, room = asyncio.Semaphore(1), Room(1000.0, 1000.0)
        now = asyncio.get_running_loop().time
        began = now()
        page = asyncio.create_task(fetching(Slow(40.0), None, limiter=limiter, room=room))
        for passed in (500.0, 1000.0):
            await asyncio.sleep(passed)
            assert not room.has_it
            assert not limiter.locked()
        await asyncio.sleep(510.0)
        assert room.has_it
        assert limiter.locked()
        assert len((await page).clusters) == 1
        assert now() - began == pytest.approx(2040.0)
        assert room.has_it  # until the records are handed on
        assert not limiter.locked()

    run_in_fake_time(main())


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_page_that_waits_for_room_can_be_ended(*, cancelled: bool) -> None:
    async def main() -> None:
        room, scope, transport = Room(1000.0), CancelScope(), Slow(40.0)
        page = asyncio.create_task(fetching(transport, None, scope, limiter=asyncio.Semaphore(1), room=room))
        await asyncio.sleep(500.0)
        if cancelled:
            page.cancel()
        else:
            scope.cancel("it is closed")
        [result] = await asyncio.gather(page, return_exceptions=True)
        assert type(result) is (asyncio.CancelledError if cancelled else RuntimeError)
        assert transport.sent == 0

    run_in_fake_time(main())


def test_the_deadline_goes_on_once_a_page_has_its_place() -> None:
    async def main() -> None:
        transport, slots = Slow(70.0), asyncio.Semaphore(1)
        now = asyncio.get_running_loop().time
        began = now()
        both = (fetching(transport, slots) for _ in range(2))
        results = await asyncio.gather(*both, return_exceptions=True)
        assert [type(result) for result in results] == [TransportError] * 2
        assert now() - began == pytest.approx(120.0)

    run_in_fake_time(main())


@pytest.mark.parametrize("at_once", [False, True])
def test_a_page_that_waits_for_its_place_can_be_interrupted(*, at_once: bool) -> None:
    async def main() -> None:
        places, scope = asyncio.Semaphore(1), CancelScope()
        transport = Slow(40.0)
        await places.acquire()
        task = asyncio.create_task(fetching(transport, places, scope))
        await asyncio.sleep(1.0)
        if at_once:  # it is given its place in the very turn in which it is to end
            places.release()
        scope.cancel("the inventory is closed")
        with pytest.raises(RuntimeError, match="the inventory is closed"):
            await task
        now = asyncio.get_running_loop().time
        assert now() < 1010.0
        if not at_once:
            places.release()
        async with places:  # nobody has kept it
            assert places.locked()

    run_in_fake_time(main())


# watching


async def test_a_watch_tells_what_changes_and_goes_on_from_a_report() -> None:
    pages = Listing(names(2))
    async with ListingServer(pages) as server, inventory_of(server.url, 2) as inventory:
        async with inventory.watch_clusters(interval=SOON) as watcher:
            told = [await anext(watcher) for _ in range(4)]
            assert {(account.name, event.cluster.cluster_id) for account, event in told} == {
                (f"a{n}", cluster_id) for n in range(2) for cluster_id in names(2)
            }
            report = watcher.report
        assert report is not None
        pages.ids = names(3)
        async with inventory.watch_clusters(interval=SOON, since=report) as watcher:
            told = [await anext(watcher) for _ in range(2)]
            assert {(account.name, event.cluster.cluster_id) for account, event in told} == {
                (f"a{n}", names(3)[2]) for n in range(2)
            }


async def test_a_watch_over_refused_keys_ends(caplog: pytest.LogCaptureFixture) -> None:
    refusal = response({"code": 1800, "message": "not authenticated"})
    async with ListingServer(lambda _page, _size: refusal) as server, inventory_of(server.url) as inventory:
        watcher = inventory.watch_clusters(interval=SOON)
        with pytest.raises(InventoryError) as caught:
            await anext(watcher)
        assert {type(error) for error in caught.value.failures.values()} == {AuthenticationError}
        assert watcher.failures == caught.value.failures
        assert watcher.outages == {}
        assert watcher.report is not None
        assert watcher.report.failures == watcher.failures
    levels = [record.levelno for record in caplog.records]
    assert sorted(levels) == [logging.WARNING] * 3 + [logging.ERROR] * 3  # each is believed the second time
    assert len(server.pages) == 6


async def test_a_watch_keeps_the_bound() -> None:
    async with (
        ListingServer(Listing(names(9)), held=True) as server,
        inventory_of(server.url, 20, concurrency=3) as inventory,
        inventory.watch_clusters(interval=60.0) as watcher,
    ):
        reading = asyncio.create_task(anext(watcher))
        await server.received(3)
        server.release_all()
        await reading
        for _ in range(20 * 9 - 1):
            await anext(watcher)
        assert server.peak == 3


# its life


async def test_it_is_entered_once_and_closed_any_number_of_times() -> None:
    async with ListingServer(Listing(names(3))) as server:
        inventory = inventory_of(server.url)
        async with inventory:
            with pytest.raises(RuntimeError, match="already entered"):
                await inventory.__aenter__()
            assert len(await ids(inventory.iter_clusters())) == 3
            await inventory.aclose()
            await inventory.aclose()
        for call in calls(inventory):
            with pytest.raises(RuntimeError, match="the inventory is closed"):
                await call()
        with pytest.raises(RuntimeError, match="the inventory is closed"):
            await inventory.__aenter__()
        assert "closed" in repr(inventory)
        await nothing_left(server)


def calls(inventory: Inventory) -> list[Callable[[], Any]]:
    return [
        lambda: ids(inventory.iter_clusters()),
        inventory.collect,
        lambda: anext(inventory.watch_clusters()),
    ]


async def test_one_that_is_not_entered_says_so_and_can_be_entered_then() -> None:
    async with ListingServer(Listing(names(3))) as server:
        inventory = inventory_of(server.url)
        for call in calls(inventory):
            with pytest.raises(RuntimeError, match="async with Inventory"):
                await call()
        async with inventory:
            assert len(await ids(inventory.iter_clusters())) == 3
    await inventory_of("http://127.0.0.1").aclose()


async def test_a_borrowed_session_stays_open_and_needs_no_entering() -> None:
    async with ListingServer(Listing(names(3))) as server:
        async with aiohttp.ClientSession(headers={"Authorization": "theirs"}) as session:
            inventory = inventory_of(server.url, session=session)
            assert len(await ids(inventory.iter_clusters())) == 3
            async with inventory:
                assert len((await inventory.collect()).snapshots) == 3
            assert not session.closed
            with pytest.raises(RuntimeError, match="the inventory is closed"):
                await inventory.collect()
        assert {request.get("authorization")[0] for request in server.requests} == {
            "Bearer k0",
            "Bearer k1",
            "Bearer k2",
        }


async def test_a_borrowed_session_that_is_closed_is_told() -> None:
    session = aiohttp.ClientSession()
    inventory = inventory_of("http://127.0.0.1", session=session)
    await session.close()
    for call in calls(inventory):
        with pytest.raises(RuntimeError, match="session is closed"):
            await call()


def test_another_event_loop_is_told() -> None:
    inventory = inventory_of("http://127.0.0.1")

    async def use() -> None:
        with pytest.raises(RuntimeError, match="async with Inventory"):
            await calls(inventory)[0]()

    async def other() -> None:
        for call in calls(inventory):
            with pytest.raises(RuntimeError, match="another event loop"):
                await call()
        with pytest.raises(RuntimeError, match="another event loop"):
            await inventory.__aenter__()

    asyncio.run(use())
    asyncio.run(other())


async def test_closing_ends_calls_that_are_under_way() -> None:
    async with ListingServer(Listing(names(9)), held=True) as server:
        async with inventory_of(server.url, concurrency=2) as inventory:
            tasks = [asyncio.create_task(call()) for call in calls(inventory)]
            await server.received(2)
            await inventory.aclose()
            await asyncio.wait(tasks)
            for task in tasks:
                with pytest.raises(RuntimeError, match="the inventory is closed"):
                    task.result()
        await nothing_left(server)


# arguments

GOOD = [Account("a", "k")]


@pytest.mark.parametrize(
    ("accounts", "options", "error"),
    [
        (None, {}, TypeError),
        (["a"], {}, TypeError),
        ([Account("a", "k"), Account("a", "l")], {}, ConfigurationError),
        (GOOD, {"concurrency": 0}, ValueError),
        (GOOD, {"concurrency": True}, TypeError),
        (GOOD, {"concurrency": "8"}, TypeError),
        (GOOD, {"limiter": asyncio.Semaphore(1)}, TypeError),
        (GOOD, {"session": "s"}, TypeError),
        (GOOD, {"timeout": 0}, ValueError),
        (GOOD, {"timeout": "30"}, TypeError),
        (GOOD, {"retry": 3}, TypeError),
        (GOOD, {"max_response_bytes": 0}, ValueError),
        (GOOD, {"max_response_bytes": None}, TypeError),
    ],
)
def test_arguments_are_checked_when_it_is_made(
    accounts: Any, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        Inventory(accounts, **options)


@pytest.mark.parametrize(
    ("method", "options", "error"),
    [
        ("iter_clusters", {"page_size": 0}, ValueError),
        ("iter_clusters", {"page_size": True}, TypeError),
        ("iter_clusters", {"max_passes": 0}, ValueError),
        ("iter_clusters", {"max_passes": 1.0}, TypeError),
        ("iter_clusters", {"verify": 1}, TypeError),
        ("watch_clusters", {"interval": 0}, ValueError),
        ("watch_clusters", {"interval": True}, TypeError),
        ("watch_clusters", {"interval": float("inf")}, ValueError),
        ("watch_clusters", {"confirmations": 0}, ValueError),
        ("watch_clusters", {"confirmations": "2"}, TypeError),
        ("watch_clusters", {"since": Snapshot([], datetime.now(UTC))}, TypeError),
        ("watch_clusters", {"since": timedelta(1)}, TypeError),
    ],
)
def test_arguments_are_checked_at_the_call(
    method: str, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=next(iter(options))):
        getattr(Inventory(GOOD), method)(**options)


@pytest.mark.parametrize(
    ("options", "error"), [({"page_size": 0}, ValueError), ({"max_passes": "5"}, TypeError)]
)
async def test_arguments_of_a_collection_are_checked_before_anything_is_asked(
    options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=next(iter(options))):
        await Inventory(GOOD).collect(**options)


def test_it_shows_how_many_accounts_it_has_and_no_key() -> None:
    inventory = Inventory([Account("prod", "s3cr3tk3y")])
    assert repr(inventory) == "<Inventory of 1 accounts>"
    assert inventory.accounts == (Account("prod", "s3cr3tk3y"),)
    assert "s3cr3tk3y" not in repr(vars(inventory))


def test_a_collection_of_wrong_arguments_is_refused_at_the_call() -> None:
    with pytest.raises(ValueError, match="max_passes"):
        _ = Inventory([]).collect(max_passes=0)
