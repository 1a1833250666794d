"""The deadline of a collection: who is done is reported, and who is not is a failure that says what it waited for.

The servers are real, and the clock jumps when a test says so: nobody's speed decides who is done.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from attrs import define, field

from aiozilliz import Account, Inventory, InventoryReport, RetryPolicy, TransportError
from tests.support.listing_server import PATIENCE, names, page_of
from tests.support.wire_server import WireServer, response

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.support.wire_server import Exchange

DEADLINE = 3600.0
LONG = 10 * DEADLINE
PATIENT = RetryPolicy(attempts=3, deadline=LONG, wait_initial=LONG / 4, wait_max=LONG / 4, wait_jitter=0.0)
QUICK_NAMES = [f"quick-{n}" for n in range(9)]
SLOW, BUSY_KEY = "k3y-of-the-slow", "k3y-of-the-busy"
SIZE = 2

_T = TypeVar("_T")


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock a test can put forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def jump(seconds: float = DEADLINE) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    loop.ahead += seconds


def run(main: Coroutine[Any, Any, _T]) -> _T:
    async def guarded() -> _T:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        result = await main
        assert not complaints
        return result

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(guarded())


async def until(condition: Callable[[], object]) -> None:
    patience = asyncio.get_running_loop().time() + PATIENCE
    while not condition():
        assert asyncio.get_running_loop().time() < patience
        await asyncio.sleep(0)


def always(key: str, number: int) -> bool:
    return True


def never(key: str, number: int) -> bool:
    return False


def to_slow(key: str, number: int) -> bool:
    return key == SLOW


@define
class Service:
    """Lists two pages for each key, in two answers and one more for the proof.

    Attributes:
        hangs: Returns whether a request, by its key and its number of that key, gets no answer.
        instead: What a key gets instead of a page.
    """

    hangs: Callable[[str, int], bool] = to_slow
    instead: dict[str, bytes] = field(factory=dict[str, bytes])
    asked: dict[str, int] = field(factory=dict[str, int])

    async def __call__(self, exchange: Exchange) -> None:
        key = exchange.request.get("authorization")[0].removeprefix("Bearer ")
        self.asked[key] = self.asked.get(key, 0) + 1
        if self.hangs(key, self.asked[key]):
            await exchange.silence()
        page = exchange.request.page
        ids = names(2 * SIZE)[(page - 1) * SIZE : page * SIZE]
        await exchange.send(self.instead.get(key) or page_of(ids, count=2 * SIZE))


def accounts(server: WireServer, *others: Account) -> list[Account]:
    return [*(Account(name, name, base_url=server.url) for name in QUICK_NAMES), *others]


def in_flight() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("aiozilliz")]


def show_nine(report: InventoryReport) -> None:
    assert list(report.snapshots) == QUICK_NAMES
    for snapshot in report.snapshots.values():
        assert [cluster.cluster_id for cluster in snapshot] == names(2 * SIZE)
        assert snapshot.consistent


class Never(AbstractAsyncContextManager[object]):
    """A limiter that lets nobody through."""

    async def __aenter__(self) -> None:
        await asyncio.Event().wait()

    async def __aexit__(self, *_: object) -> None:
        raise AssertionError


async def no_key() -> str:
    await asyncio.Event().wait()
    raise AssertionError


async def stubborn_key() -> str:
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    return SLOW


BUSY = response({"code": 503, "message": "no capacity"}, status=503)
LATER = response({"code": 429, "message": "later"}, status=429, headers=[("Retry-After", str(LONG / 2))])

PLACES: dict[str, tuple[Any, bytes | None, bool, str, int]] = {
    "answer": (SLOW, None, False, "a response", 1),
    "key": (no_key, None, False, "the api_key callable", 0),
    "a key that does not let itself be cancelled": (stubborn_key, None, False, "the api_key callable", 0),
    "limiter": (SLOW, None, True, "the limiter", 0),
    "retry": (BUSY_KEY, BUSY, False, "the next attempt; the latest failure: ServerError: no capacity", 1),
    "a refusal without a reason": (
        BUSY_KEY,
        response({"code": 503}, status=503),
        False,
        "the next attempt; the latest failure: ServerError: the service gave no reason",
        1,
    ),
    "Retry-After": (BUSY_KEY, LATER, False, "the next attempt; the latest failure: RateLimitError: later", 1),
}
"""The key, the answer, whether the limiter holds it up; what the error says, and the attempts."""


@pytest.mark.parametrize(("key", "answer", "limited", "said", "attempts"), PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("concurrency", [1, 4, 16])
def test_one_slow_account_does_not_cost_the_report_of_nine_that_were_done(
    caplog: pytest.LogCaptureFixture,
    concurrency: int,
    key: Any,
    answer: bytes | None,
    said: str,
    attempts: int,
    *,
    limited: bool,
) -> None:
    if concurrency == 1 and attempts and answer is None:
        pytest.skip("the account that waits for its answer takes the only slot")

    def limiter_of(account: Account) -> AbstractAsyncContextManager[object]:
        return Never() if limited and account.name == "slow one" else asyncio.Semaphore(9)

    async def main() -> None:
        service = Service(instead={} if answer is None else {BUSY_KEY: answer})
        async with WireServer(service) as server:
            slow = Account("slow one", key, base_url=server.url)
            inventory = Inventory(
                accounts(server, slow),
                concurrency=concurrency,
                limiter=limiter_of,
                timeout=LONG,
                retry=PATIENT,
            )
            async with inventory:
                collecting = asyncio.ensure_future(inventory.collect(page_size=SIZE, deadline=DEADLINE))
                await until(lambda: inventory.progress.done == 9)
                await until(in_flight)
                await asyncio.sleep(0)  # the task of the request has been made, and now has begun
                if attempts:
                    await server.received(9 * 3 + 1)
                if answer is not None:
                    await until(lambda: "attempt 1, account 'slow one'" in caplog.text)
                assert not collecting.done()
                jump()
                report = await collecting
                assert in_flight() == []
                assert inventory.progress.done == 10
            await server.all_closed()
        show_nine(report)
        error = report.failures["slow one"]
        assert type(error) is TransportError
        assert error.message == f"The collection's deadline of 3600 s exceeded while waiting for {said}"
        assert (error.method, error.page, error.attempts, error.retryable) == ("GET", 1, attempts, True)
        assert error.url == f"{server.url}/v2/clusters?pageSize=2&currentPage=1"
        assert error.elapsed is not None
        assert error.elapsed >= DEADLINE
        assert "more time" in error.advice
        assert InventoryReport.from_json(report.to_json()) == report

    with caplog.at_level(logging.DEBUG, "aiozilliz"):
        run(main())


@pytest.mark.parametrize("concurrency", [1, 2, 16])
def test_a_report_comes_also_if_nobody_is_done(concurrency: int) -> None:
    async def main() -> None:
        async with WireServer(Service(always)) as server:
            async with Inventory(
                accounts(server), concurrency=concurrency, timeout=LONG, retry=PATIENT
            ) as inventory:
                collecting = asyncio.ensure_future(inventory.collect(page_size=SIZE, deadline=DEADLINE))
                await server.received(min(9, concurrency))
                jump()
                report = await collecting
                assert in_flight() == []
            assert len(server.requests) == min(9, concurrency)
        assert report.snapshots == {}
        assert list(report.failures) == QUICK_NAMES
        said = [str(error).partition(" waiting for ")[2] for error in report.failures.values()]
        assert [text.startswith("a response") for text in said] == [n < concurrency for n in range(9)]
        assert all(text.startswith("its turn") for text in said[concurrency:])
        assert all(type(error) is TransportError for error in report.failures.values())

    run(main())


@pytest.mark.parametrize("number", [2, 3])
def test_an_account_that_is_not_proven_is_not_done(number: int) -> None:
    """With two pages, the third request is the proof: everything has been seen, but not shown to be all."""

    async def main() -> None:
        async with WireServer(Service(never)) as server:
            slow = Account("slow", SLOW, base_url=server.url)
            async with Inventory(accounts(server, slow), timeout=LONG, retry=PATIENT) as inventory:
                before = await inventory.collect(page_size=SIZE)
                server.script = service = Service(lambda key, n: key == SLOW and n == number)
                collecting = asyncio.ensure_future(inventory.collect(page_size=SIZE, deadline=DEADLINE))
                await until(lambda: inventory.progress.done == 9 and service.asked.get(SLOW) == number)
                jump()
                report = await collecting
        show_nine(report)
        assert list(report.failures) == ["slow"]
        assert report.diff(before).only_in_older == ("slow",)
        assert report.carried_over(before).snapshots["slow"] == before.snapshots["slow"]

    run(main())


def test_who_is_done_in_time_is_not_touched_and_the_next_collection_has_its_own_time() -> None:
    async def main() -> None:
        async with (
            WireServer(Service()) as server,
            Inventory(accounts(server), timeout=LONG, retry=PATIENT) as inventory,
        ):
            for _ in range(3):
                report = await inventory.collect(page_size=SIZE, deadline=DEADLINE)
                show_nine(report)
                assert report.failures == {}
                jump()
                await asyncio.sleep(0)

    run(main())


def test_only_the_collection_ends_at_its_deadline() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def key() -> str:
            await gate.wait()
            return "k"

        async with WireServer(Service(never)) as server:
            held = [Account("held", key, base_url=server.url)]
            async with Inventory(held, timeout=LONG, retry=PATIENT) as inventory:
                listing = asyncio.ensure_future(anext(inventory.iter_clusters(page_size=SIZE)))
                patient = asyncio.ensure_future(inventory.collect(page_size=SIZE, deadline=2 * DEADLINE))
                hasty = asyncio.ensure_future(inventory.collect(page_size=SIZE, deadline=DEADLINE))
                await until(lambda: len(in_flight()) == 3)
                jump()
                assert list((await hasty).failures) == ["held"]
                gate.set()
                assert list((await patient).snapshots) == ["held"]
                account, cluster = await listing
                assert (account.name, cluster.cluster_id) == ("held", names(1)[0])

    run(main())


@pytest.mark.parametrize("closing", [True, False])
def test_closing_or_cancelling_before_the_deadline_leaves_nothing(
    caplog: pytest.LogCaptureFixture, *, closing: bool
) -> None:
    async def main() -> None:
        async with WireServer(Service(always)) as server:
            async with Inventory(accounts(server), timeout=LONG, retry=PATIENT) as inventory:
                collecting = asyncio.ensure_future(inventory.collect(page_size=SIZE, deadline=DEADLINE))
                await server.received(9)
                if closing:
                    await inventory.aclose()
                else:
                    collecting.cancel()
                (result,) = await asyncio.gather(collecting, return_exceptions=True)
                assert type(result) is (RuntimeError if closing else asyncio.CancelledError)
                assert in_flight() == []
                jump()
                await asyncio.sleep(0)
            await server.all_closed()

    with caplog.at_level(logging.WARNING):
        run(main())
    assert not caplog.records


def test_the_deadline_counts_from_when_the_collection_is_awaited() -> None:
    async def main() -> None:
        async with (
            WireServer(Service()) as server,
            Inventory(accounts(server), timeout=LONG, retry=PATIENT) as inventory,
        ):
            collection = inventory.collect(page_size=SIZE, deadline=DEADLINE)
            jump(2 * DEADLINE)
            show_nine(await collection)

    run(main())


@pytest.mark.parametrize(
    ("deadline", "error"),
    [
        *((0, ValueError), (-1, ValueError), (0.0, ValueError), (float("inf"), ValueError)),
        *((float("nan"), ValueError), (10**400, ValueError)),
        *((True, TypeError), ("1", TypeError), (b"1", TypeError), ([1], TypeError)),
    ],
)
def test_what_is_no_deadline_is_refused_at_the_call(deadline: Any, error: type[Exception]) -> None:
    inventory = Inventory([Account("a", "k")])
    with pytest.raises(error, match=r"^deadline must"):
        _ = inventory.collect(deadline=deadline)
