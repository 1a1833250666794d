"""A watch on a clock that jumps: its pace, outages, its life, and what a restart takes up."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import weakref
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from attrs import define, field

from aiozilliz import (
    APIError,
    AuthenticationError,
    Cluster,
    ClusterEvent,
    ClusterWatcher,
    ConfigurationError,
    DecodeError,
    IncompleteListingError,
    RateLimitError,
    ResponseError,
    ServerError,
    Snapshot,
    TransportError,
    ZillizClient,
    ZillizError,
)
from aiozilliz._aio.cancel_scope import CancelScope, sleep
from aiozilliz._http.wire import is_refusal_by_service
from aiozilliz._iteration.poller import Poller
from tests.support.exhaustive import EXHAUSTIVE
from tests.support.fake_time import run_in_fake_time

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterator

    from aiozilliz._iteration.poller import TakeReading

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = 3600.0

Listed: TypeAlias = dict[str, int]
"""Id to `cu_size`: what changes of a cluster here."""

Told: TypeAlias = tuple[str, str, int]


def snapshot(listed: Listed, number: int = 0, *, consistent: bool = True) -> Snapshot:
    clusters = [Cluster(cluster_id, cu_size=size) for cluster_id, size in listed.items()]
    return Snapshot(clusters, NOON + timedelta(minutes=number), number, consistent=consistent)


def listed(found: Snapshot | None) -> Listed | None:
    return None if found is None else {cluster.cluster_id: cluster.cu_size for cluster in found}


def told(event: ClusterEvent) -> Told:
    return str(event.kind), event.cluster.cluster_id, event.cluster.cu_size


def watcher_of(take: TakeReading, sleep: Any, scope: CancelScope, **options: Any) -> ClusterWatcher:
    options = {"interval": 60.0, "since": None, "confirmations": 2, "check_open": lambda: None, **options}
    options = {"name": "the service", "fixed_key": True, "is_refusal": is_refusal_by_service, **options}
    return ClusterWatcher(Poller(take, sleep, scope, **options), scope)


def inconsistent(listed: Listed) -> Snapshot:
    return snapshot(listed, consistent=False)


@define
class Service:
    """Gives readings, and notes when they were asked for and what was slept.

    Attributes:
        reading: Gives the listing, a snapshot, or the error of the reading with this number, from 0.
        takes: Seconds that a reading takes.
        shown: Ids that an answer of each reading shows, of another moment than that of the reading.
        fixed_key: Whether the key comes from no callable.
    """

    reading: Callable[[int], Listed | Snapshot | Exception]
    takes: float = 1.0
    starts: list[float] = field(factory=list[float], init=False)
    ends: list[float] = field(factory=list[float], init=False)
    done: int = field(default=0, init=False)
    reached: asyncio.Event = field(factory=asyncio.Event, init=False)
    asleep: asyncio.Event = field(factory=asyncio.Event, init=False)
    closed: CancelScope | None = field(default=None, init=False)
    at: Callable[[str], None] = field(default=lambda _: None, init=False)
    listed_before: list[set[str]] = field(factory=list[set[str]], init=False)
    shown: set[str] = field(factory=set[str], init=False)
    fixed_key: bool = True

    async def take(self, scope: CancelScope, listed_before: Collection[str], seen: set[str]) -> Snapshot:
        self.listed_before.append(set(listed_before))
        loop = asyncio.get_running_loop()
        self.at("reading")
        assert len(self.starts) == len(self.ends), "two readings at once"
        self.starts.append(loop.time())
        self.reached.set()
        try:
            await sleep(self.takes, scope)
        finally:
            self.ends.append(loop.time())
        number, self.done = self.done, self.done + 1
        result = self.reading(number)
        if isinstance(result, Exception):
            raise result
        reading = result if isinstance(result, Snapshot) else snapshot(result, number)
        seen.update(cluster.cluster_id for cluster in reading)
        seen.update(self.shown)
        if not reading.consistent:
            error = IncompleteListingError("The answers do not show the whole listing", expected=9)
            error.attempts = 1
            raise error
        return reading

    async def sleep(self, seconds: float, scope: CancelScope) -> None:
        assert seconds > 0
        self.at("sleeping")
        self.asleep.set()
        await sleep(seconds, scope)

    def watch(
        self, *, interval: float = 60.0, since: Snapshot | None = None, confirmations: int = 2
    ) -> ClusterWatcher:
        return watcher_of(
            self.take,
            self.sleep,
            CancelScope(self.closed),
            interval=interval,
            since=since,
            confirmations=confirmations,
            check_open=self.check_open,
            fixed_key=self.fixed_key,
        )

    def check_open(self) -> None:
        if self.closed is not None:
            self.closed.check()


def script(*readings: Listed | Snapshot | Exception) -> Callable[[int], Listed | Snapshot | Exception]:
    """Give these readings; the last one stays."""
    return lambda number: readings[min(number, len(readings) - 1)]


def growing(number: int) -> Listed:
    """Give a listing that each reading finds changed."""
    return {"a": number}


def in_fake_time(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        run_in_fake_time(test())

    run.__name__ = test.__name__
    return run


async def collect(watcher: ClusterWatcher, events: list[Told]) -> None:
    async for event in watcher:
        events.append(told(event))  # noqa: PERF401 - what came before an error counts


async def events_until(watcher: ClusterWatcher, service: Service, readings: int) -> list[Told]:
    """Give what is told by so many readings, and go on only until the next one begins."""
    events: list[Told] = []
    task = asyncio.create_task(collect(watcher, events))
    while len(service.starts) <= readings:
        service.reached.clear()
        await service.reached.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled(), task.exception()
    return events


def tell(*readings: Listed | Snapshot | Exception, **options: Any) -> list[Told]:
    """Give what a watch tells of these readings."""

    async def main() -> list[Told]:
        service = Service(script(*readings))
        return await events_until(service.watch(**options), service, len(readings))

    return run_in_fake_time(main())


# The pace


@in_fake_time
async def test_readings_start_an_interval_apart_give_or_take_a_twentieth() -> None:
    service = Service(growing, takes=7.0)
    watcher = service.watch(interval=60.0)
    for _ in range(200):
        await anext(watcher)
    gaps = [later - earlier for earlier, later in zip(service.starts, service.starts[1:], strict=False)]
    assert all(57.0 <= gap <= 63.0 for gap in gaps)
    assert max(gaps) - min(gaps) > 1.0  # by chance, so that watchers don't march in step
    assert 58.0 < sum(gaps) / len(gaps) < 62.0


@in_fake_time
async def test_the_first_reading_is_taken_at_once() -> None:
    service = Service(growing)
    now = asyncio.get_running_loop().time()
    await anext(service.watch(since=snapshot({})))
    assert service.starts == [now]


@in_fake_time
async def test_a_reading_that_takes_longer_than_the_interval_does_not_pile_up() -> None:
    service = Service(growing, takes=250.0)
    watcher = service.watch(interval=60.0)
    for _ in range(5):
        await anext(watcher)
    assert service.starts[1:] == service.ends[:-1]  # one after the other
    service.takes = 1.0
    for _ in range(3):
        await anext(watcher)
    # What was missed is not made up for.
    assert [
        later - earlier >= 57.0
        for earlier, later in zip(service.starts[5:], service.starts[6:], strict=False)
    ]
    assert service.starts[-1] - service.starts[-2] >= 57.0


@in_fake_time
async def test_a_slow_consumer_gets_one_reading_when_it_comes_back() -> None:
    service = Service(growing)
    watcher = service.watch(interval=60.0)
    await anext(watcher)
    await asyncio.sleep(HOUR)
    assert len(service.starts) == 1  # nothing is read while nobody asks
    assert told(await anext(watcher)) == ("modified", "a", 1)
    await anext(watcher)
    assert service.starts[2] - service.starts[1] >= 57.0


# Outages

OUTAGES: list[Snapshot | ZillizError] = [
    TransportError("the connection was lost"),
    ResponseError("not JSON"),
    DecodeError("Record 0 can't be decoded", index=0),
    APIError("odd", status=400),
    ServerError("out of order", status=503, retry_after=7.0),
    RateLimitError("too often", status=429),
    inconsistent({}),
    inconsistent({"a": 1}),
]


@pytest.mark.parametrize("failure", OUTAGES, ids=repr)
@pytest.mark.parametrize("number", [1, 2, 12])
def test_an_outage_tells_nothing_and_is_outlived(failure: ZillizError | Snapshot, number: int) -> None:
    first: Listed = {"a": 1, "b": 1}
    added = [("added", "a", 1), ("added", "b", 1)]
    assert tell(first, *[failure] * number, first) == added
    assert tell(first, *[failure] * number, {"a": 2, "b": 1}) == [*added, ("modified", "a", 2)]
    assert tell(first, *[failure] * number, {"a": 1}) == added
    assert tell(first, *[failure] * number, {"a": 1}, {"a": 1}) == [*added, ("removed", "b", 1)]


@pytest.mark.parametrize("failure", OUTAGES, ids=repr)
def test_an_outage_at_the_start_is_outlived(failure: ZillizError | Snapshot) -> None:
    assert tell(failure, failure, {"a": 1}) == [("added", "a", 1)]
    assert tell(failure, failure, {"b": 1}, since=snapshot({"b": 1})) == []


@pytest.mark.parametrize(
    ("interval", "waits"),
    [
        (60.0, [60, 120, 240, 300, 300, 300]),
        (1.0, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]),
        (HOUR, [HOUR, 2 * HOUR, 4 * HOUR, 5 * HOUR, 5 * HOUR]),
        (1e-3, [2.0**n / 1000 for n in range(10)]),
        (1e300, [1e300, 2e300, 4e300, 5e300, 5e300]),
    ],
)
def test_waits_grow_up_to_five_intervals_or_five_minutes(interval: float, waits: list[float]) -> None:
    slept: list[float] = []

    async def main() -> None:
        service = Service(script(ServerError("out of order", status=503)))

        async def doze(seconds: float, _: CancelScope) -> None:
            slept.append(seconds)
            if len(slept) == len(waits):
                raise RuntimeError("enough")
            await asyncio.sleep(0)

        watcher = watcher_of(service.take, doze, CancelScope(), interval=interval)
        with pytest.raises(RuntimeError, match="enough"):
            await anext(watcher)

    run_in_fake_time(main())
    bound = max(5 * interval, 300.0)
    for seconds, wait in zip(slept, waits, strict=True):
        assert wait * 0.95 * (1 - 1e-9) <= seconds <= min(wait * 1.05, bound) * (1 + 1e-9)


def test_waits_start_anew_with_each_outage() -> None:
    failure = ServerError("out of order", status=503)
    first: Listed = {"a": 1}

    async def main() -> list[float]:
        service = Service(script(first, *[failure] * 5, first, failure, failure, first), takes=0.0)
        await events_until(service.watch(interval=60.0), service, 10)
        return [later - earlier for earlier, later in zip(service.ends, service.starts[1:], strict=False)]

    expected = [60, 60, 120, 240, 300, 300, 60, 60, 120, 60]
    for gap, wait in zip(run_in_fake_time(main()), expected, strict=True):
        assert 0.95 * wait - 1 <= gap <= 1.05 * wait + 1


def test_the_log_gets_one_line_when_an_outage_begins_and_one_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "aiozilliz")
    failures: list[Listed | Snapshot | Exception] = [
        ServerError("out\nof order", status=503),
        inconsistent({}),
        TransportError("lost"),
    ] * 7
    began: list[float] = []

    async def main() -> float:
        service = Service(script({"a": 1}, *failures, {"a": 1}, {"a": 1}))
        await events_until(service.watch(), service, len(failures) + 3)
        began.append(service.ends[0])  # the last good reading, not the first bad one
        return service.ends[len(failures) + 1]

    ended = run_in_fake_time(main())
    first, last = caplog.records
    assert (first.name, first.levelname, last.levelname) == ("aiozilliz", "WARNING", "WARNING")
    assert "watch of the service" in first.getMessage()
    assert "HTTP 503" in first.getMessage()
    assert re.search(r"growing waits, \d+\.\d s after the last one: ", first.getMessage())
    assert "\n" not in first.getMessage()
    assert f"after {ended - began[0]:.1f} s and 21 failed polls" in last.getMessage()


def test_a_listing_that_can_not_be_proven_is_told_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert tell(inconsistent({"a": 1}), inconsistent({"a": 1})) == []
    (record,) = caplog.records
    assert "The answers do not show the whole listing" in record.getMessage()


def test_a_runtime_error_ends_it_where_nothing_can_be_asked_any_more_and_is_outlived_elsewhere() -> None:
    async def main(*, close: bool) -> list[str]:
        service = Service(script({"a": 1}, RuntimeError("the vault is down"), {"a": 1, "b": 1}))
        service.closed = CancelScope()
        watcher = service.watch()
        events = [(await anext(watcher)).cluster.cluster_id]
        if close:
            service.closed.cancel("the client is closed")
        events.append((await asyncio.wait_for(anext(watcher), 24 * HOUR)).cluster.cluster_id)
        return events

    assert run_in_fake_time(main(close=False)) == ["a", "b"]
    with pytest.raises(RuntimeError, match="the client is closed"):
        run_in_fake_time(main(close=True))


REFUSED = AuthenticationError("refused", status=401, code=21119)
HTML_403 = AuthenticationError("No message, but an HTML page", status=403)
EMPTY_401 = AuthenticationError("", status=401)
NO_COUNT = IncompleteListingError("without a count nothing can be proven")
NO_COUNT.attempts = 1
BROKEN = ServerError("out of order", status=500)
ONE: Listed = {"a": 1}


@pytest.mark.parametrize(
    ("readings", "error"),
    [
        ([ConfigurationError("The key can't be used")], ConfigurationError),
        ([REFUSED, REFUSED], AuthenticationError),
        ([REFUSED, BROKEN, HTML_403, inconsistent({}), REFUSED], AuthenticationError),
        ([NO_COUNT], IncompleteListingError),
        ([BROKEN, NO_COUNT], IncompleteListingError),
        ([ONE, ConfigurationError("The key can't be used")], ConfigurationError),
        ([ONE, REFUSED, REFUSED], AuthenticationError),
        ([ONE, BROKEN, REFUSED, EMPTY_401, BROKEN, REFUSED], AuthenticationError),
        ([ONE, REFUSED, ONE, REFUSED, REFUSED], AuthenticationError),
    ],
    ids=repr,
)
def test_what_no_later_reading_can_mend_ends_it_and_the_error_comes_again_and_again(
    readings: list[Any], error: type[Exception]
) -> None:
    async def main() -> None:
        service = Service(script(*readings, {}))
        watcher = service.watch()
        with pytest.raises(error) as raised:
            await asyncio.wait_for(collect(watcher, []), 24 * HOUR)
        assert raised.value is readings[-1]
        assert watcher.last_error is readings[-1]
        for _ in range(3):
            with pytest.raises(error) as again:
                await anext(watcher)
            assert again.value is raised.value
        await watcher.aclose()
        with pytest.raises(error):
            await anext(watcher)
        assert len(service.starts) == len(readings)
        assert listed(watcher.snapshot) == (ONE if readings[0] is ONE else None)

    run_in_fake_time(main())


@pytest.mark.parametrize("confirmations", [1, 2, 3, 5])
def test_a_key_has_to_be_refused_in_as_many_readings_as_confirm_a_removal(confirmations: int) -> None:
    refusals = [REFUSED] * (confirmations - 1)
    events: list[Told] = []

    async def main() -> int:
        service = Service(script(*refusals, ONE, *refusals, {"a": 2}, *refusals, REFUSED, {"a": 3}))
        with pytest.raises(AuthenticationError):
            await collect(service.watch(confirmations=confirmations), events)
        return len(service.starts)

    assert run_in_fake_time(main()) == 3 * confirmations
    assert events == [("added", "a", 1), ("modified", "a", 2)]


@pytest.mark.parametrize(
    "outage",
    [HTML_403, EMPTY_401, AuthenticationError("odd", status=401, code=12345), BROKEN],
    ids=repr,
)
def test_what_the_service_did_not_say_itself_is_an_outage(outage: Exception) -> None:
    assert tell(ONE, *[outage] * 9, {"a": 2}) == [("added", "a", 1), ("modified", "a", 2)]


@pytest.mark.parametrize("failure", [REFUSED, ConfigurationError("The api_key callable gave None")], ids=repr)
def test_a_key_of_a_callable_may_be_another_one_the_next_time(failure: Exception) -> None:
    async def main() -> list[Told]:
        service = Service(script(*[failure] * 9, ONE), fixed_key=False)
        return await events_until(service.watch(), service, 10)

    assert run_in_fake_time(main()) == [("added", "a", 1)]


@pytest.mark.parametrize("before", [[ONE], [inconsistent({})]])
def test_a_count_that_vanishes_later_is_an_outage(before: list[Any]) -> None:
    assert tell(*before, *[NO_COUNT] * 9, {"a": 1, "b": 1})[-1] == ("added", "b", 1)


def test_where_there_was_no_answer_nothing_is_known_of_the_count() -> None:
    silence = IncompleteListingError("something in between ignores the query")
    assert tell(silence, silence, ONE) == [("added", "a", 1)]


# Its health


@in_fake_time
async def test_it_says_how_it_is() -> None:
    service = Service(script(BROKEN, REFUSED, ONE, {"a": 1}, inconsistent({}), OSError("a vault"), {"a": 2}))
    watcher = service.watch()
    before = datetime.now(UTC)
    facts: list[tuple[datetime | None, Exception | None, datetime | None]] = []
    service.at = lambda where: (
        facts.append((watcher.last_read_at, watcher.last_error, watcher.failing_since))
        if where == "sleeping"
        else None
    )
    assert (watcher.last_read_at, watcher.last_error, watcher.failing_since) == (None, None, None)
    while told(await anext(watcher)) != ("modified", "a", 2):
        pass
    began = facts[0][2]
    assert began is not None
    assert before <= began <= datetime.now(UTC)
    first, quiet = NOON + timedelta(minutes=2), NOON + timedelta(minutes=3)
    assert facts[:4] == [
        (None, BROKEN, began),
        (None, REFUSED, began),
        (first, None, None),
        (quiet, None, None),
    ]
    assert [(read, type(error), since) for read, error, since in facts[4:]] == [
        (quiet, IncompleteListingError, quiet),
        (quiet, OSError, quiet),
    ]
    last = (watcher.last_read_at, watcher.last_error, watcher.failing_since)
    assert last == (NOON + timedelta(minutes=6), None, None)


# The evidence of the reading before


def test_a_reading_gets_the_ids_of_the_one_just_before_if_that_was_consistent() -> None:
    async def main() -> list[set[str]]:
        service = Service(
            script(ONE, {"b": 1}, {"b": 1, "c": 1}, BROKEN, {"b": 1}, inconsistent({"b": 1}), ONE)
        )
        await events_until(service.watch(since=snapshot({"x": 1})), service, 7)
        return service.listed_before

    # What awaits its confirmation was not listed, so it is no evidence.
    assert run_in_fake_time(main()) == [set(), {"a"}, {"b"}, {"b", "c"}, set(), {"b"}, set(), {"a"}]


# Deletions that never happened

LOST: list[list[Listed | Snapshot | Exception]] = [
    [{}],
    [{"a": 1}],
    [inconsistent({}), {}, inconsistent({})],
    [ServerError("out of order", status=500), {}, TransportError("lost")],
    [{}, inconsistent({"a": 1, "b": 1}), {}],
    [inconsistent({})] * 9,
]


@pytest.mark.parametrize("lost", LOST, ids=range(len(LOST)))
def test_a_deletion_that_never_happened_is_not_told(lost: list[Listed | Snapshot | Exception]) -> None:
    whole: Listed = {"a": 1, "b": 1}
    since = snapshot(whole)
    assert tell(*lost, whole, since=since) == []
    assert tell(*lost, whole, *lost, whole, *lost, whole, since=since) == []
    assert tell(*lost, {"a": 1, "b": 7}, since=since) == [("modified", "b", 7)]


@pytest.mark.parametrize("confirmations", [1, 2, 3, 5])
def test_a_removal_is_told_when_so_many_readings_agree(confirmations: int) -> None:
    since = snapshot({"a": 1, "b": 1})
    readings: list[Listed | Snapshot | Exception] = [{"a": 1}] * confirmations
    assert tell(*readings, since=since, confirmations=confirmations) == [("removed", "b", 1)]
    assert tell(*readings[1:], {"a": 1, "b": 1}, since=since, confirmations=confirmations) == []


@pytest.mark.parametrize("confirmations", [1, 2])
def test_a_cluster_that_any_answer_of_a_confirming_reading_shows_is_not_removed(confirmations: int) -> None:
    async def main() -> tuple[list[Told], list[Told]]:
        service = Service(script({"a": 1}))
        service.shown = {"b"}
        watcher = service.watch(since=snapshot({"a": 1, "b": 1}), confirmations=confirmations)
        first = await events_until(watcher, service, 5)
        service.shown = set()
        return first, await events_until(watcher, service, 6 + confirmations)

    assert run_in_fake_time(main()) == ([], [("removed", "b", 1)])


@in_fake_time
async def test_readings_that_confirm_a_removal_are_an_interval_apart() -> None:
    service = Service(script({"a": 1}, {}))
    watcher = service.watch(confirmations=3, interval=100.0)
    while (await anext(watcher)).kind != "removed":
        pass
    gaps = [later - earlier for earlier, later in zip(service.starts[1:], service.starts[2:], strict=False)]
    assert len(gaps) == 2
    assert all(gap >= 95.0 for gap in gaps)


# The snapshot to go on from


@in_fake_time
async def test_the_snapshot_is_what_has_been_told_so_far() -> None:
    service = Service(script({"a": 1, "b": 1, "c": 1}, {"d": 1, "b": 2, "c": 2}))
    watcher = service.watch(confirmations=1)
    assert watcher.snapshot is None
    for event, expected, consistent in [
        (("added", "a", 1), {"a": 1}, False),
        (("added", "b", 1), {"a": 1, "b": 1}, False),
        (("added", "c", 1), {"a": 1, "b": 1, "c": 1}, True),
        (("removed", "a", 1), {"b": 1, "c": 1}, False),
        (("modified", "b", 2), {"b": 2, "c": 1}, False),
        (("modified", "c", 2), {"b": 2, "c": 2}, False),
        (("added", "d", 1), {"d": 1, "b": 2, "c": 2}, True),
    ]:
        assert told(await anext(watcher)) == event
        assert listed(watcher.snapshot) == expected
        assert watcher.snapshot is watcher.snapshot  # it is made once
        assert watcher.snapshot is not None
        assert watcher.snapshot.consistent is consistent


@in_fake_time
async def test_an_empty_first_listing_is_a_snapshot_too() -> None:
    service = Service(script({}, {"a": 1}))
    watcher = service.watch()
    first = asyncio.ensure_future(anext(watcher))
    await service.asleep.wait()
    assert listed(watcher.snapshot) == {}
    assert told(await first) == ("added", "a", 1)


@in_fake_time
async def test_since_is_the_snapshot_until_something_newer_is_read() -> None:
    since = snapshot({"a": 1})
    service = Service(script({"a": 1}, {"a": 1}, {"a": 2}))
    watcher = service.watch(since=since)
    assert watcher.snapshot is since
    assert await events_until(watcher, service, 2) == []
    assert watcher.snapshot == snapshot({"a": 1}, 1)  # unchanged, but of a later moment
    assert told(await anext(watcher)) == ("modified", "a", 2)


@in_fake_time
async def test_a_cluster_whose_removal_awaits_confirmation_is_in_the_snapshot() -> None:
    service = Service(script({"a": 1, "b": 1}, {"a": 2}))
    watcher = service.watch(confirmations=3)
    for _ in range(3):
        await anext(watcher)
    assert listed(watcher.snapshot) == {"a": 2, "b": 1}
    assert told(await anext(watcher)) == ("removed", "b", 1)
    assert listed(watcher.snapshot) == {"a": 2}


STORY: list[Listed | Snapshot | Exception] = [
    {"a": 1, "b": 1, "c": 1},
    {"a": 2, "b": 2, "c": 1},
    ServerError("out of order", status=500),
    {"d": 1, "a": 2, "b": 3, "c": 1, "e": 1},
    {},
    {"d": 1, "a": 2, "b": 3, "c": 1, "e": 1},
    {"d": 2, "b": 3, "e": 1, "f": 1},
    inconsistent({"d": 1}),
    {"d": 2, "b": 3, "e": 1, "f": 1},
    {"d": 2, "b": 3, "e": 1, "f": 1},
    {"b": 4, "f": 2, "d": 2, "e": 2, "g": 1},
    {"f": 2, "g": 2},
    {"f": 2, "g": 2},
    {"f": 2, "g": 2},
]
"""What a watch reads, one listing a minute; the last one stays."""

CHANGES = 20


class KilledError(Exception):
    """The process is gone."""


def apply(event: ClusterEvent, state: Listed) -> None:
    """Keep what a consumer keeps, and show that the event fits."""
    kind, cluster_id, size = told(event)
    assert (kind == "added") == (cluster_id not in state)
    if event.previous is not None:
        assert event.previous.cu_size == state[cluster_id]
    if kind == "removed":
        del state[cluster_id]
    else:
        assert state.get(cluster_id) != size
        state[cluster_id] = size


@define
class Consumer:
    """Takes each event into its state, and stores the snapshot, and with it what it has done, once it has the event.

    Its process is killed at the event with number `kill_at`, before or after that was dealt with. The next one begins
    with the listing that the first had read last.
    """

    kill_at: int
    before: bool
    stored: str | None = None
    log: list[Told] = field(factory=list[Told])
    handed: int = 0
    page: int = 0

    def read(self, _: int) -> Listed | Snapshot | Exception:
        self.page += 1
        return STORY[min(self.page, len(STORY)) - 1]

    async def run(self) -> None:
        since = None if self.stored is None else Snapshot.from_json(self.stored)
        state = listed(since) or {}
        log = list(self.log)
        watcher = Service(self.read).watch(since=since)
        async for event in watcher:
            self.handed += 1
            if self.before and self.handed == self.kill_at:
                raise KilledError
            apply(event, state)
            log.append(told(event))
            assert watcher.snapshot is not None
            assert listed(watcher.snapshot) == state
            self.stored, self.log = watcher.snapshot.to_json(), list(log)
            if not self.before and self.handed == self.kill_at:
                raise KilledError


def run_story(kill_at: int, *, before: bool) -> list[Told]:
    consumer = Consumer(kill_at, before)

    async def main() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(10 * HOUR):  # the story takes a quarter of one
                with suppress(KilledError):
                    await consumer.run()
                consumer.page -= 1
                await consumer.run()

    run_in_fake_time(main())
    assert consumer.handed >= kill_at
    return consumer.log


def test_a_story_without_a_kill_tells_each_change_once() -> None:
    log = run_story(0, before=False)
    assert log == [
        *(("added", i, 1) for i in "abc"),
        *(("modified", i, 2) for i in "ab"),
        ("modified", "b", 3),
        ("added", "d", 1),
        ("added", "e", 1),
        ("modified", "d", 2),
        ("added", "f", 1),
        *(("removed", i, n) for i, n in (("a", 2), ("c", 1))),
        ("modified", "b", 4),
        ("modified", "f", 2),
        ("modified", "e", 2),
        ("added", "g", 1),
        ("modified", "g", 2),
        *(("removed", i, n) for i, n in (("b", 4), ("d", 2), ("e", 2))),
    ]
    assert len(log) == len(set(log)) == CHANGES


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("kill_at", range(1, CHANGES + 1))
def test_a_kill_at_any_event_loses_none_and_repeats_none(kill_at: int, *, before: bool) -> None:
    log = run_story(kill_at, before=before)
    assert sorted(log) == sorted(run_story(0, before=False))


# Its life


@in_fake_time
async def test_a_second_reader_is_refused_and_the_first_is_not_disturbed() -> None:
    service = Service(growing)
    watcher = service.watch()
    for event in (service.reached, service.asleep):
        first = asyncio.ensure_future(anext(watcher))
        event.clear()
        await event.wait()
        for _ in range(3):
            with pytest.raises(RuntimeError, match="one task"):
                await anext(watcher)
        assert (await first).cluster.cluster_id == "a"


def places(service: Service) -> Iterator[asyncio.Event]:
    yield service.reached
    yield service.asleep


@pytest.mark.parametrize("place", [0, 1], ids=["reading", "sleeping"])
@pytest.mark.parametrize("whose", ["watcher", "client"])
def test_closing_it_or_the_client_ends_a_reader_at_once(place: int, whose: str) -> None:
    async def main() -> None:
        service = Service(growing, takes=HOUR)
        service.closed = CancelScope()
        watcher = service.watch(interval=2 * HOUR)
        if place:
            await anext(watcher)
        reader = asyncio.ensure_future(anext(watcher))
        await list(places(service))[place].wait()
        loop = asyncio.get_running_loop()
        now = loop.time()
        if whose == "watcher":
            await asyncio.gather(watcher.aclose(), watcher.aclose())
            assert reader.done()
        else:
            service.closed.cancel("the client is closed")
        with pytest.raises(RuntimeError, match="closed"):
            await reader
        assert loop.time() - now < 1.0
        for _ in range(3):
            with pytest.raises(RuntimeError, match="closed"):
                await anext(watcher)
        await watcher.aclose()

    run_in_fake_time(main())


@in_fake_time
async def test_closed_between_two_events_it_hands_out_no_more_and_keeps_its_snapshot() -> None:
    service = Service(script({"a": 1, "b": 1}))
    watcher = service.watch(since=snapshot({}))
    async with watcher:
        assert told(await anext(watcher)) == ("added", "a", 1)
    with pytest.raises(RuntimeError, match="closed"):
        await anext(watcher)
    assert listed(watcher.snapshot) == {"a": 1}


@in_fake_time
async def test_closed_in_the_turn_in_which_the_reading_came_it_tells_nothing_of_it() -> None:
    answered = asyncio.Event()
    closings: list[asyncio.Task[None]] = []

    async def take(*_: object) -> Snapshot:
        await answered.wait()
        return snapshot({"a": 1, "b": 1})

    async def close() -> None:
        answered.set()
        await watcher.aclose()

    watcher = watcher_of(take, sleep, CancelScope())
    reader = asyncio.ensure_future(anext(watcher))
    await asyncio.sleep(0)
    closings.append(asyncio.create_task(close()))
    with pytest.raises(RuntimeError, match="closed"):
        await reader
    await closings[0]
    with pytest.raises(RuntimeError, match="closed"):
        await anext(watcher)
    assert watcher.snapshot is None


@pytest.mark.parametrize("place", ["reading", "sleeping"])
def test_cancelled_it_can_be_read_on_and_nothing_is_lost_or_repeated(place: str) -> None:
    async def main() -> tuple[list[Told], int]:
        service = Service(script(*STORY))
        watcher = service.watch()
        events: list[Told] = []
        cancelled = visits = 0

        def cancel(where: str) -> None:
            nonlocal visits
            visits += where == place
            if where == place and visits % 3:  # two of three times
                reader.cancel()

        service.at = cancel
        while len(events) < CHANGES:
            reader = asyncio.ensure_future(anext(watcher))
            await asyncio.wait([reader])
            if reader.cancelled():
                cancelled += 1
            else:
                events.append(told(reader.result()))
        return events, cancelled

    events, cancelled = run_in_fake_time(main())
    assert events == run_story(0, before=False)
    assert cancelled > 10


@in_fake_time
async def test_cancelled_in_the_turn_in_which_the_reading_came_it_reads_again() -> None:
    answered = asyncio.Event()
    readings: list[int] = []

    async def take(*_: object) -> Snapshot:
        readings.append(1)
        await answered.wait()
        return snapshot({"a": 1})

    watcher = watcher_of(take, sleep, CancelScope())
    reader = asyncio.ensure_future(anext(watcher))
    await asyncio.sleep(0)
    answered.set()
    reader.cancel()
    await asyncio.wait([reader])
    assert reader.cancelled()
    assert told(await anext(watcher)) == ("added", "a", 1)
    assert len(readings) == 2


@pytest.mark.parametrize("events", [1, 3, 4])
def test_dropped_after_a_break_it_is_gone(events: int) -> None:
    async def main() -> None:
        service = Service(script({"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 1, "c": 1}))
        watcher = service.watch()
        left = events
        async for _ in watcher:
            left -= 1
            if not left:
                break
        forgotten = weakref.ref(watcher)
        del watcher
        gc.collect()
        assert forgotten() is None
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_in_fake_time(main())


READINGS = 10_000 if EXHAUSTIVE else 2_000


def test_thousands_of_readings_leave_no_trace() -> None:
    sizes: list[int] = []

    def reading(number: int) -> Listed | Snapshot | Exception:
        if number % 10 == 7:
            return ServerError("out of order", status=500)
        if number % 10 == 3:
            return {}
        return {f"in01-{number // 20 + n}": number for n in range(3)}

    async def main() -> None:
        service = Service(reading)
        watcher = service.watch(since=snapshot({}))
        while service.done < READINGS:
            await anext(watcher)
            service.starts.clear()
            service.ends.clear()
            service.listed_before.clear()
            if service.done // (READINGS // 10) > len(sizes):
                assert asyncio.all_tasks() == {asyncio.current_task()}
                gc.collect()
                sizes.append(len(gc.get_objects()))

    logging.getLogger("aiozilliz").disabled = True
    try:
        run_in_fake_time(main())
    finally:
        logging.getLogger("aiozilliz").disabled = False
    assert max(sizes[1:]) - min(sizes[1:]) < 500


# The call


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"interval": 0}, ValueError),
        ({"interval": -1.0}, ValueError),
        ({"interval": float("nan")}, ValueError),
        ({"interval": float("inf")}, ValueError),
        ({"interval": True}, TypeError),
        ({"interval": "60"}, TypeError),
        ({"interval": None}, TypeError),
        ({"interval": timedelta(minutes=1)}, TypeError),
        ({"confirmations": 0}, ValueError),
        ({"confirmations": -1}, ValueError),
        ({"confirmations": True}, TypeError),
        ({"confirmations": 2.0}, TypeError),
        ({"since": ()}, TypeError),
        ({"since": "{}"}, TypeError),
        ({"since": NOON}, TypeError),
    ],
    ids=repr,
)
def test_arguments_are_checked_at_the_call(options: dict[str, Any], error: type[Exception]) -> None:
    client = ZillizClient("k")
    with pytest.raises(error, match=next(iter(options))):
        client.watch_clusters(**options)


def test_it_says_what_it_watches() -> None:
    assert repr(Service(growing).watch(interval=90)) == "<ClusterWatcher of the service every 90 s>"
    assert repr(ZillizClient("k").watch_clusters()).startswith("<ClusterWatcher of https://")
