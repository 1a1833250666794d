"""Many accounts over HTTP: one bound for all, failures apart, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import socket
import subprocess
import sys
import weakref
from contextlib import asynccontextmanager
from textwrap import indent
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from aiozilliz import (
    Account,
    APIError,
    AuthenticationError,
    DecodeError,
    Inventory,
    InventoryError,
    ResponseError,
    RetryPolicy,
    ServerError,
    TransportError,
    ZillizError,
)
from tests.support.listing_server import PATIENCE, QUICK, Listing, page_of
from tests.support.running import complaints
from tests.support.wire_server import Exchange, WireServer, response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
    from pathlib import Path

    from aiozilliz import Cluster

Read = list[tuple[str, str]]

PATIENT = RetryPolicy(attempts=3, deadline=300.0, wait_initial=0.0, wait_max=0.0, wait_jitter=0.0)


@define
class Accounts:
    """A service with a listing for each key. It knows who asked what, and how many at once.

    Attributes:
        listings: Key to its clusters; a key that is not there is refused.
        instead: Key to what comes instead of a listing.
        held: Whether answers wait for `release`.
    """

    listings: dict[str, list[str]]
    instead: dict[str, Callable[[Exchange], Awaitable[None]]] = field(
        factory=dict[str, "Callable[[Exchange], Awaitable[None]]"]
    )
    held: bool = False
    asked: list[tuple[str, int]] = field(factory=list[tuple[str, int]], init=False)
    in_flight: int = field(default=0, init=False)
    peak: int = field(default=0, init=False)
    _gate: asyncio.Event = field(factory=asyncio.Event, init=False)

    async def __call__(self, exchange: Exchange) -> None:
        key = exchange.request.get("authorization")[0].removeprefix("Bearer ")
        self.asked.append((key, exchange.request.page))
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            if key in self.instead:
                await self.instead[key](exchange)
                return
            if self.held:
                await self._gate.wait()
        finally:
            self.in_flight -= 1
        if key not in self.listings:
            await exchange.send(response({"code": 21119, "message": "refused"}, status=401))
            return
        size = int(exchange.request.target.partition("pageSize=")[2].partition("&")[0])
        await exchange.send(Listing(self.listings[key])(exchange.request.page, size))

    def release(self) -> None:
        """Answer all that have asked."""
        gate, self._gate = self._gate, asyncio.Event()
        gate.set()

    def release_all(self) -> None:
        """Hold nothing back any more."""
        self.held = False
        self.release()

    async def quiet(self) -> None:
        """Wait until nothing more is asked before something is answered. Both sides run in this loop."""
        unchanged, before = 0, -1
        while unchanged < 40:
            await asyncio.sleep(0)
            unchanged = unchanged + 1 if len(self.asked) == before else 0
            before = len(self.asked)

    @property
    def everything(self) -> set[tuple[str, str]]:
        return {(key, cluster_id) for key, ids in self.listings.items() for cluster_id in ids}


def listings(number: int, clusters: int, prefix: str = "a") -> dict[str, list[str]]:
    names = [f"{prefix}{n:04}" for n in range(number)]
    return {name: [f"{name}-{n}" for n in range(clusters)] for name in names}


def inventory_of(
    names: Iterable[str], url: str, *, keys: Callable[[str], Any] = str, **options: Any
) -> Inventory:
    """Give an inventory of accounts whose keys are their names."""
    options = {"limiter": None, "retry": QUICK, **options}
    return Inventory([Account(name, keys(name), base_url=url) for name in names], **options)


@asynccontextmanager
async def serving(world: Accounts, **options: Any) -> AsyncGenerator[tuple[WireServer, Inventory]]:
    """Serve accounts, and give an inventory of them; show in the end that nothing is left."""
    async with asyncio.timeout(4 * PATIENCE), WireServer(world) as server:
        names = options.pop("names", world.listings)
        async with inventory_of(names, server.url, **options) as inventory:
            yield server, inventory
        world.release_all()  # who asked has hung up
        await server.all_closed()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left


async def read(pairs: AsyncIterator[tuple[Account, Cluster]], found: Read) -> InventoryError | None:
    try:
        async for account, cluster in pairs:
            found.append((account.name, cluster.cluster_id))
    except InventoryError as error:
        return error
    return None


# one bound for all


@pytest.mark.parametrize("proven", [False, True])
async def test_rounds_are_what_the_bound_needs(*, proven: bool) -> None:
    world = Accounts(listings(300, 5), held=True)
    async with serving(world, concurrency=64) as (_, inventory):
        found: Read = []
        reading: asyncio.Task[Any]
        if proven:
            reading = asyncio.create_task(inventory.collect(page_size=2))
        else:
            reading = asyncio.create_task(read(inventory.iter_clusters(page_size=2), found))
        rounds = 0
        await world.quiet()
        while not reading.done():
            rounds += 1
            world.release()
            await world.quiet()
        if proven:
            report = reading.result()
            assert all(snapshot.consistent for snapshot in report.snapshots.values())
            found = [(name, cluster.cluster_id) for name, cluster in report.clusters]
        assert sorted(found) == sorted(world.everything)
    assert world.peak == 64
    assert len(world.asked) == (1500 if proven else 900)
    assert rounds <= 1.3 * math.ceil(len(world.asked) / 64)


async def test_one_at_a_time_works() -> None:
    world = Accounts({**listings(5, 5), "empty": []})
    async with serving(world, concurrency=1) as (server, inventory):
        found: Read = []
        assert await read(inventory.iter_clusters(page_size=2, verify=True), found) is None
        assert found == [(name, i) for name, ids in world.listings.items() for i in ids]
        assert server.connections == 1
    assert world.peak == 1


async def test_small_accounts_do_not_wait_for_a_large_one() -> None:
    world = Accounts({"large": [f"large-{n}" for n in range(199)], **listings(50, 1)})
    async with serving(world, concurrency=8) as (_, inventory):
        found: Read = []
        await read(inventory.iter_clusters(page_size=2), found)
    small = max(place for place, (name, _) in enumerate(found) if name != "large")
    assert small < len(found) / 2
    assert set(found) == world.everything


async def test_a_slow_consumer_has_few_pages_ahead() -> None:
    world = Accounts(listings(1000, 3))
    async with (
        serving(world, concurrency=8) as (_, inventory),
        inventory.iter_clusters(page_size=2) as pairs,
    ):
        given: set[tuple[str, bool]] = set()
        for _ in range(20):
            account, cluster = await anext(pairs)
            given.add((account.name, cluster.cluster_id.endswith("-2")))
            await world.quiet()
            assert len(world.asked) - len(given) <= 8
        assert len({key for key, _ in world.asked}) <= 28


async def test_two_iterations_at_once_share_the_bound_and_the_rate_limits() -> None:
    made: list[str] = []

    def limiter(account: Account) -> asyncio.Semaphore:
        made.append(account.name)
        return asyncio.Semaphore(2)

    world = Accounts(listings(20, 5), held=True)
    async with serving(world, concurrency=4, limiter=limiter) as (_, inventory):
        found: list[Read] = [[], []]
        readers = [asyncio.create_task(read(inventory.iter_clusters(page_size=2), one)) for one in found]
        report = asyncio.create_task(inventory.collect(page_size=2))
        while not all(task.done() for task in (*readers, report)):
            await world.quiet()
            world.release()
        assert [task.result() for task in readers] == [None, None]
        assert set(found[0]) == set(found[1]) == world.everything
        assert len(report.result().snapshots) == 20
    assert world.peak == 4
    assert sorted(made) == sorted(world.listings)


# failures apart


async def refused(exchange: Exchange) -> None:
    await exchange.send(response({"code": 80001, "message": "no such token"}))


async def reset(exchange: Exchange) -> None:
    exchange.reset()


async def garbage(exchange: Exchange) -> None:
    await exchange.send(response(b"<html>Bad gateway</html>"))


async def unavailable(exchange: Exchange) -> None:
    await exchange.send(response(status=503))


async def elsewhere(exchange: Exchange) -> None:
    await exchange.send(response(status=302, headers=[("Location", "https://elsewhere.example/")]))


async def bad_record(exchange: Exchange) -> None:
    if exchange.request.page == 1:
        await exchange.send(page_of(["good-1", "good-2"], count=3))
    else:
        clusters = [{"clusterId": "bad", "cuSize": "much"}]
        await exchange.send(response({"code": 0, "data": {"count": 3, "clusters": clusters}}))


# what a consumer that stands still keeps waiting


class Keys:
    """Keys that are waited for, until they are there; each is its account's name."""

    def __init__(self) -> None:
        self.there = asyncio.Event()

    def of(self, name: str) -> Callable[[], Awaitable[str]]:
        async def key() -> str:
            await self.there.wait()
            return name

        return key


both_kinds_of_tasks = pytest.mark.parametrize(
    "eager",
    [
        False,
        pytest.param(
            True,
            marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12"),
        ),
    ],
)


def use_eager_tasks() -> None:
    factory = getattr(asyncio, "eager_task_factory")  # noqa: B009  # mypy knows the oldest Python only
    asyncio.get_running_loop().set_task_factory(factory)


@both_kinds_of_tasks
@pytest.mark.parametrize("trouble", ["keys", "limiters", "first attempts"])
async def test_a_consumer_that_stands_has_few_pages_waiting_whatever_their_requests_waited_for(
    trouble: str, *, eager: bool
) -> None:
    world, keys, tried = Accounts(listings(300, 3)), Keys(), set[str]()

    async def fail_once(exchange: Exchange) -> None:
        key = exchange.request.get("authorization")[0].removeprefix("Bearer ")
        if key in tried:
            del world.instead[key]
            await exchange.send(Listing(world.listings[key])(exchange.request.page, 2))
        else:
            tried.add(key)
            await exchange.send(response(status=503))

    class Shut:
        async def __aenter__(self) -> None:
            await keys.there.wait()

        async def __aexit__(self, *_: object) -> None: ...

    options: dict[str, Any] = {"concurrency": 4}
    if trouble == "keys":
        options["keys"] = keys.of
    elif trouble == "limiters":
        options["limiter"] = Shut
    else:
        world.instead = dict.fromkeys(world.listings, fail_once)
    async with serving(world, **options) as (_, inventory):
        if eager:
            use_eager_tasks()
        found: Read = []
        pairs = inventory.iter_clusters(page_size=2)
        reading = asyncio.create_task(anext(pairs))
        await world.quiet()
        keys.there.set()
        for _ in range(10):
            account, cluster = await reading
            found.append((account.name, cluster.cluster_id))
            await world.quiet()
            handed_on = {(name, cluster_id.endswith("-2")) for name, cluster_id in found}
            assert inventory.progress.requests - len(handed_on) <= 4
            reading = asyncio.create_task(anext(pairs))
        account, cluster = await reading
        found.append((account.name, cluster.cluster_id))
        assert await read(pairs, found) is None
        assert sorted(found) == sorted(world.everything)
        asyncio.get_running_loop().set_task_factory(None)
    assert world.peak <= 4


@pytest.mark.parametrize("whose", ["each account's", "all accounts'"])
async def test_another_reading_goes_on_while_a_consumer_stands(whose: str) -> None:
    keys = Keys()
    shared = asyncio.Semaphore(1)
    world = Accounts(listings(50, 5))

    def limiter() -> asyncio.Semaphore:
        return shared if whose == "all accounts'" else asyncio.Semaphore(1)

    async with serving(world, concurrency=4, keys=keys.of, limiter=limiter) as (_, inventory):
        pairs = inventory.iter_clusters(page_size=2)
        reading = asyncio.create_task(anext(pairs))
        await world.quiet()
        keys.there.set()
        account, cluster = await reading
        await world.quiet()
        report = await inventory.collect(page_size=2)
        assert not report.failures
        assert len(report.clusters) == 250
        found = [(account.name, cluster.cluster_id)]
        assert await read(pairs, found) is None
        assert sorted(found) == sorted(world.everything)


@both_kinds_of_tasks
async def test_accounts_whose_keys_do_not_come_hold_nobody_back(*, eager: bool) -> None:
    world, keys = Accounts(listings(60, 3)), Keys()

    def key_of(name: str) -> Any:
        return keys.of(name) if name < "a0030" else name

    async with serving(world, concurrency=4, keys=key_of) as (_, inventory):
        if eager:
            use_eager_tasks()
        found: Read = []
        pairs = inventory.iter_clusters(page_size=2)
        while len(found) < 30 * 3:  # `serving` ends it if this has to wait
            account, cluster = await anext(pairs)
            found.append((account.name, cluster.cluster_id))
        assert min(found) >= ("a0030",)
        keys.there.set()
        assert await read(pairs, found) is None
        assert sorted(found) == sorted(world.everything)
        asyncio.get_running_loop().set_task_factory(None)


@pytest.mark.parametrize("ending", ["aclose", "cancelled", "forgotten", "read to the end"])
async def test_an_iteration_gives_all_slots_back(ending: str) -> None:
    keys = Keys()
    world = Accounts(listings(40, 9), instead={"a0001": refused, "a0002": unavailable})
    async with serving(world, concurrency=4, keys=keys.of) as (_, inventory):
        pairs = inventory.iter_clusters(page_size=2)
        reading = asyncio.create_task(read(pairs, []))
        await world.quiet()
        keys.there.set()
        if ending == "read to the end":
            await reading
        else:
            world.held = True
            await world.quiet()
            reading.cancel()
            await asyncio.wait([reading])
            if ending == "aclose":
                await pairs.aclose()
            world.release_all()
        del pairs, reading
        gc.collect()
        await world.quiet()
        world.instead, world.held, world.peak = {}, True, 0
        collecting = asyncio.create_task(inventory.collect(page_size=2))
        await world.quiet()
        assert world.in_flight == 4
        world.release_all()
        assert len((await collecting).snapshots) == 40


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def test_of_a_thousand_accounts_every_tenth_fails_and_the_others_lose_nothing() -> None:
    world = Accounts(
        {name: ids[: 3 if n % 5 == 1 else 1] for n, (name, ids) in enumerate(listings(1000, 3).items())}
    )
    others_done = asyncio.Event()

    async def stuck(exchange: Exchange) -> None:
        await others_done.wait()
        exchange.reset()

    ways: list[tuple[Callable[[Exchange], Awaitable[None]] | None, type[ZillizError], int]] = [
        (refused, AuthenticationError, 1),
        (reset, TransportError, 2),
        (garbage, ResponseError, 2),
        (unavailable, ServerError, 2),
        (elsewhere, ResponseError, 1),
        (bad_record, DecodeError, 1),
        (stuck, TransportError, 2),
        (None, TransportError, 2),  # nobody is there
    ]
    names = list(world.listings)
    failing = {name: ways[n // 10 % 8] for n, name in enumerate(names) if n % 10 == 3}
    dead = f"http://127.0.0.1:{closed_port()}"
    for name, (way, _, _) in failing.items():
        del world.listings[name]
        if way is not None:
            world.instead[name] = way
    async with asyncio.timeout(4 * PATIENCE), WireServer(world) as server:
        accounts = [
            Account(name, name, base_url=dead if name in failing and failing[name][0] is None else server.url)
            for name in names
        ]
        async with Inventory(accounts, concurrency=64, limiter=None, retry=QUICK) as inventory:
            found: Read = []
            pairs = inventory.iter_clusters(page_size=2)
            left = world.everything
            while left:
                account, cluster = await anext(pairs)
                found.append((account.name, cluster.cluster_id))
                left.discard(found[-1])
            others_done.set()
            error = await read(pairs, found)
            assert error is not None
            report = await inventory.collect(page_size=2)
    half_read = [name for name, (way, _, _) in failing.items() if way is bad_record]
    also = {(name, f"good-{n}") for name in half_read for n in (1, 2)}
    assert sorted(found) == sorted(world.everything | also)
    failures = error.failures
    assert list(failures) == list(failing) == list(report.failures)
    for name, (way, kind, attempts) in failing.items():
        failure = failures[name]
        assert isinstance(failure, ZillizError)
        assert type(failure) is kind, (way, failure)
        assert failure.method == "GET"
        assert (failure.url or "").startswith(f"{dead if way is None else server.url}/v2/clusters?")
        assert failure.page == (2 if way is bad_record else 1)
        assert failure.attempts == attempts
        assert failure.elapsed is not None
    assert list(report.snapshots) == list(world.listings)
    assert {(name, cluster.cluster_id) for name, cluster in report.clusters} == world.everything


async def test_an_account_that_never_answers_costs_its_own_place_and_in_the_end_itself() -> None:
    world = Accounts(listings(30, 5), instead={"stuck": Exchange.silence})
    names = ["stuck", *world.listings]
    async with serving(world, names=names, concurrency=2, retry=PATIENT, timeout=300.0) as (_, inventory):
        found: Read = []
        pairs = inventory.iter_clusters(page_size=2)
        while len(found) < 30 * 5:
            account, cluster = await anext(pairs)
            found.append((account.name, cluster.cluster_id))
        assert set(found) == world.everything
        assert [key for key, _ in world.asked].count("stuck") == 1
        assert world.in_flight == 1
    once = RetryPolicy(attempts=1)
    async with serving(world, names=["stuck"], concurrency=2, timeout=0.05, retry=once) as (_, inventory):
        error = await read(inventory.iter_clusters(), [])
        assert error is not None
        assert list(error.failures) == ["stuck"]
        assert "within 0.05 s" in str(error.failures["stuck"])


@pytest.mark.parametrize("status", [429, 503])
async def test_an_account_that_is_asked_to_pause_gives_its_place_to_others(status: int) -> None:
    async def pause(exchange: Exchange) -> None:
        await exchange.send(response(status=status, headers=[("Retry-After", "100")]))

    world = Accounts(listings(20, 3), instead={"paused": pause})
    names = ["paused", *world.listings]
    async with serving(world, names=names, concurrency=1, retry=PATIENT) as (_, inventory):
        found: Read = []
        async with inventory.iter_clusters(page_size=2) as pairs:
            while len(found) < 20 * 3:
                account, cluster = await anext(pairs)
                found.append((account.name, cluster.cluster_id))
        assert set(found) == world.everything
        assert [key for key, _ in world.asked].count("paused") == 1


async def test_an_account_at_its_rate_limit_gives_its_place_to_others() -> None:
    opened = asyncio.Event()

    class Shut:
        async def __aenter__(self) -> None:
            await opened.wait()

        async def __aexit__(self, *_: object) -> None: ...

    def limiter(account: Account) -> Any:
        return Shut() if account.name == "a0000" else asyncio.Semaphore(1)

    world = Accounts(listings(20, 3))
    async with serving(world, concurrency=1, limiter=limiter) as (_, inventory):
        found: Read = []
        pairs = inventory.iter_clusters(page_size=2)
        while len(found) < 19 * 3:
            account, cluster = await anext(pairs)
            found.append((account.name, cluster.cluster_id))
        assert not [name for name, _ in found if name == "a0000"]
        opened.set()
        assert await read(pairs, found) is None
        assert set(found) == world.everything


async def test_a_key_goes_to_its_own_host_only() -> None:
    here, there = Accounts(listings(5, 3, "here")), Accounts(listings(5, 3, "there"))
    async with WireServer(here) as first, WireServer(there) as second:
        accounts = [
            *(Account(key, key, base_url=first.url) for key in here.listings),
            *(Account(key, key, base_url=f"{second.url}/prefix") for key in there.listings),
        ]
        async with Inventory(accounts, limiter=None) as inventory:
            report = await inventory.collect(page_size=2)
            assert not report.failures
    assert {key for key, _ in here.asked} == set(here.listings)
    assert {key for key, _ in there.asked} == set(there.listings)
    assert all(request.target.startswith("/prefix/v2/clusters?") for request in second.requests)


async def test_a_failed_account_has_no_removed_clusters() -> None:
    world = Accounts(listings(3, 3))
    async with serving(world) as (_, inventory):
        older = await inventory.collect()
        world.listings["a0000"] = world.listings["a0000"][1:]
        world.instead["a0001"] = garbage
        newer = await inventory.collect()
        changes = newer.diff(older)
        assert [cluster.cluster_id for cluster in changes["a0000"].removed] == ["a0000-0"]
        assert changes.only_in_older == ("a0001",)
        assert "a0001" not in changes
        assert not changes["a0002"]


async def test_no_error_shows_a_key() -> None:
    keys = {name: f"{name}-k3y0123456789abcdef" for name in ("refused", "echo", "reset", "callable")}

    async def echo(exchange: Exchange) -> None:
        await exchange.send(response({"code": 5, "message": exchange.request.get("authorization")[0]}))

    def ask() -> str:
        raise LookupError("no vault")

    world = Accounts({}, instead={keys["echo"]: echo, keys["reset"]: reset})
    async with WireServer(world) as server:
        accounts = [
            Account(name, ask if name == "callable" else key, base_url=server.url)
            for name, key in keys.items()
        ]
        async with Inventory(accounts, limiter=None, retry=QUICK) as inventory:
            error = await read(inventory.iter_clusters(), [])
            report = await inventory.collect()
    assert error is not None
    assert {name: type(failure) for name, failure in error.failures.items()} == {
        "refused": AuthenticationError,
        "echo": APIError,
        "reset": TransportError,
        "callable": LookupError,
    }
    told = f"{error!r} {error} {report.to_json()} {report.failures} {accounts} {inventory}"
    for failure in error.failures.values():
        traceback = failure.__traceback__
        while traceback is not None:
            told += (
                repr(list(traceback.tb_frame.f_locals.values())[:40])
                if traceback.tb_frame.f_code.co_name != "ask"
                else ""
            )
            traceback = traceback.tb_next
    assert not [name for name, key in keys.items() if key in told.replace(repr(keys), "")]


# nothing is left


@pytest.mark.parametrize("ending", ["break", "raise", "cancel", "aclose", "close the inventory"])
async def test_nothing_is_left_of_an_iteration_that_ends_early(ending: str) -> None:
    world = Accounts(listings(40, 9))

    async def leave(inventory: Inventory) -> None:
        async with inventory.iter_clusters(page_size=2) as pairs:
            seen = 0
            async for _ in pairs:
                seen += 1
                if seen == 3:
                    break
            world.held = True
            waiting = asyncio.create_task(read(pairs, []))
            await world.quiet()
            assert world.in_flight
            if ending == "aclose":
                await pairs.aclose()
            elif ending == "close the inventory":
                await inventory.aclose()
            elif ending == "raise":
                waiting.cancel()
                raise LookupError
            elif ending == "cancel":
                waiting.cancel()
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)
            else:
                waiting.cancel()
                return
            with pytest.raises(RuntimeError, match="closed"):
                await waiting

    async with serving(world, concurrency=4) as (_, inventory):
        task = asyncio.create_task(leave(inventory))
        [result] = await asyncio.gather(task, return_exceptions=True)
        expected = {"raise": LookupError, "cancel": asyncio.CancelledError}.get(ending, type(None))
        assert type(result) is expected
        if ending != "close the inventory":
            world.release_all()
            report = await inventory.collect()
            assert len(report.snapshots) == 40


async def test_a_cancelled_collection_leaves_nothing() -> None:
    world = Accounts(listings(40, 9), held=True)
    async with serving(world, concurrency=4) as (_, inventory):
        task = asyncio.create_task(inventory.collect(page_size=2))
        await world.quiet()
        assert world.in_flight == 4
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        world.release_all()
        assert len((await inventory.collect()).snapshots) == 40


@pytest.mark.parametrize("closing", [False, True])
async def test_an_iterator_that_is_forgotten_leaves_requests_that_end_by_themselves_or_with_the_inventory(
    *, closing: bool
) -> None:
    world = Accounts(listings(40, 9))
    async with serving(world, concurrency=4) as (_, inventory):
        pairs = inventory.iter_clusters(page_size=2)
        await anext(pairs)
        world.held = True
        task = asyncio.create_task(read(pairs, []))
        await world.quiet()
        task.cancel()
        await asyncio.wait([task])
        assert world.in_flight == 4
        asked = len(world.asked)
        forgotten = weakref.ref(pairs)
        del pairs, task
        gc.collect()
        await world.quiet()
        requests = [task for task in asyncio.all_tasks() if task.get_name().startswith("aiozilliz page")]
        assert len(requests) == 4
        if closing:
            await inventory.aclose()
            assert all(task.done() for task in requests)
        else:
            world.release_all()
            await asyncio.wait(requests)
            await world.quiet()
            assert not any(task.cancelled() for task in requests)
        assert len(world.asked) == asked
        del requests
        gc.collect()
        assert forgotten() is None


PROGRAM = """
import asyncio, contextlib, gc, logging, sys
from aiozilliz import Account, Inventory, RetryPolicy
from aiozilliz.testing import FakeZillizCloud, Fault

kept = []
logging.getLogger("aiozilliz").setLevel(logging.CRITICAL)

def inventory(cloud):
    accounts = [Account(f"a{{n}}", f"k{{n}}", base_url=cloud.url) for n in range(20)]
    return Inventory(accounts, concurrency=4, limiter=None, retry=RetryPolicy(attempts=1))

async def main(cloud):
{body}

with FakeZillizCloud(9) as cloud:
    with contextlib.suppress(BaseException):
        asyncio.run(main(cloud))
    print(len(cloud.requests) > 0)
"""

BODIES = {
    "a break": """
async with inventory(cloud) as i:
    async for pair in i.iter_clusters(page_size=2):
        break
""",
    "a break, kept until the interpreter ends": """
async with inventory(cloud) as i:
    kept.append(i.iter_clusters(page_size=2))
    async for pair in kept[0]:
        break
""",
    "a break in a function, forgotten": """
async with inventory(cloud) as i:
    async def first():
        async for pair in i.iter_clusters(page_size=2):
            return pair
    await first()
    gc.collect()
""",
    "an exception": """
async with inventory(cloud) as i:
    async for pair in i.iter_clusters(page_size=2):
        raise LookupError
""",
    "sys.exit": """
async with inventory(cloud) as i:
    async for pair in i.iter_clusters(page_size=2):
        sys.exit(3)
""",
    "a cancelled collection": """
async with inventory(cloud) as i:
    task = asyncio.create_task(i.collect(page_size=2))
    while not cloud.requests:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
""",
    "accounts that fail, looked at by nobody": """
async with inventory(cloud) as i:
    cloud.fail_next(Fault.status(400), times=None)
    pairs = i.iter_clusters(page_size=2)
    with contextlib.suppress(Exception):
        await anext(pairs)
    watcher = i.watch_clusters(interval=0.01)
    task = asyncio.create_task(anext(watcher))
    for _ in range(50):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    cloud.clear_faults()
""",
    "a watch left behind": """
async with inventory(cloud) as i:
    async for pair in i.watch_clusters(interval=0.01):
        break
""",
    "a watch kept until the interpreter ends": """
async with inventory(cloud) as i:
    kept.append(i.watch_clusters(interval=0.01))
    async for pair in kept[-1]:
        break
""",
    "a loop that ends right after aclose": """
i = inventory(cloud)
await i.__aenter__()
pairs = i.iter_clusters(page_size=2)
await anext(pairs)
await pairs.aclose()
await i.aclose()
""",
}


def test_the_interpreter_ends_without_a_word(tmp_path: Path) -> None:
    # All in one process: starting one takes longer than what is shown.
    program = "".join(PROGRAM.format(body=indent(body, "    ")) for body in BODIES.values())
    path = tmp_path / "program.py"
    path.write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", str(path)],
        env={**os.environ, "PYTHONASYNCIODEBUG": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert complaints(done.stderr) == ""
    assert done.stdout == "True\n" * len(BODIES)
    assert done.returncode == 0
