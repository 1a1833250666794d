from __future__ import annotations

import asyncio
import heapq
import math
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING

import pytest
from attrs import field, frozen
from hypothesis import given, settings, strategies as st

from aiozilliz._aio import limiter as limiter_module
from aiozilliz._aio.limiter import RateLimiter
from tests.support.fake_time import FakeTimeLoop, run_in_fake_time

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

STEP = limiter_module._CLOCK_STEP
TINY = 1e-10  # less than the loop tells apart: what is so near runs in the same turn of the loop


@frozen
class Job:
    """An attempt: when it comes, how long it takes, and after which time it is cancelled, if it is."""

    arrives: float
    takes: float
    cancelled_after: float | None = None


@frozen
class Run:
    """What came of the jobs. Times are seconds from the start."""

    begun: dict[int, float] = field(factory=dict[int, float])
    ended: dict[int, float] = field(factory=dict[int, float])


def _loop() -> FakeTimeLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, FakeTimeLoop)
    return loop


async def _use(limiter: RateLimiter, run: Run, number: int, job: Job, zero: float) -> None:
    async with limiter:
        run.begun[number] = _loop().time() - zero
        try:
            if job.takes:
                await asyncio.sleep(job.takes)
        finally:
            run.ended[number] = _loop().time() - zero


async def _play(limiter: RateLimiter, jobs: Sequence[Job]) -> Run:
    """Let the jobs, sorted by arrival, use the limiter, and show that nothing is left of it."""
    loop, run, tasks = _loop(), Run(), set[asyncio.Task[None]]()
    zero = loop.time()
    for number, job in enumerate(jobs):
        with suppress(TimeoutError):
            async with asyncio.timeout_at(zero + job.arrives):
                await asyncio.Future()
        task = asyncio.create_task(_use(limiter, run, number, job, zero))
        tasks.add(task)
        if job.cancelled_after is not None:
            loop.call_at(zero + job.arrives + job.cancelled_after, task.cancel)
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        assert task.cancelled() or task.exception() is None
    assert "0 waiting" in repr(limiter)
    return run


async def _assert_is_whole(limiter: RateLimiter, rate: int, per: float = 1.0) -> None:
    """Show that after a rest all places are there, no more, and that nothing runs meanwhile."""
    loop = _loop()
    await asyncio.sleep(per + 100)  # also past the timers that cancel jobs
    assert loop.timers == []
    assert asyncio.all_tasks() == {asyncio.current_task()}
    begun = loop.time()
    for _ in range(rate):
        async with asyncio.timeout(0.5):
            await limiter.__aenter__()
    assert loop.time() == begun
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(per * 3):
            await limiter.__aenter__()
    for _ in range(rate):
        await limiter.__aexit__(None, None, None)
    assert loop.timers == []


def _most_in_a_window(run: Run, per: float = 1.0) -> int:
    """Give how many attempts the service may see in the worst half-open window of `per` seconds.

    It sees each at some moment between its begin and its end, both included.
    """
    spans = [(begun, run.ended[number]) for number, begun in run.begun.items()]
    return max(
        (sum(end >= start and begin < start + per for begin, end in spans) for _, start in spans), default=0
    )


def _assert_nobody_is_overtaken(run: Run) -> None:
    begun = [run.begun[number] for number in sorted(run.begun)]
    assert begun == sorted(begun)


def _model(jobs: Sequence[Job], rate: int) -> Run:
    """Give when each job begins and ends where places go first come first served and none is ever wasted."""
    places, run = [0.0] * rate, Run()
    for number, job in enumerate(jobs):
        begin = max(job.arrives, places[0])
        cancelled = job.arrives + job.cancelled_after if job.cancelled_after is not None else math.inf
        if cancelled <= begin:
            continue
        end = min(begin + job.takes, cancelled)
        run.begun[number], run.ended[number] = begin, end
        heapq.heapreplace(places, end + 1.0 + STEP)
    return run


GRID = st.integers(0, 4 * 64).map(lambda n: n / 64)
TAKES = st.one_of(st.just(0.0), st.sampled_from([1 / 64, 0.5, 1.0, 2.5]), GRID)
RATES = st.sampled_from([1, 2, 3, 20])


def _jobs(
    cancelled: st.SearchStrategy[float | None], arrives: st.SearchStrategy[float] = GRID
) -> st.SearchStrategy[list[Job]]:
    return st.lists(st.builds(Job, arrives, TAKES, cancelled), max_size=60).map(
        lambda jobs: sorted(jobs, key=lambda job: job.arrives)
    )


@given(_jobs(st.none() | GRID), RATES)
def test_never_more_than_the_rate_and_nobody_overtaken(jobs: list[Job], rate: int) -> None:
    async def main() -> None:
        limiter = RateLimiter(rate)
        run = await _play(limiter, jobs)
        assert _most_in_a_window(run) <= rate
        _assert_nobody_is_overtaken(run)
        assert all(job.cancelled_after is not None or n in run.begun for n, job in enumerate(jobs))
        await _assert_is_whole(limiter, rate)

    run_in_fake_time(main())


@given(_jobs(st.none() | GRID, st.sampled_from([0.0, 1.0, 2.0])), RATES)
def test_the_same_where_everything_happens_at_the_same_moments(jobs: list[Job], rate: int) -> None:
    async def main() -> None:
        limiter = RateLimiter(rate)
        run = await _play(limiter, jobs)
        assert _most_in_a_window(run) <= rate
        _assert_nobody_is_overtaken(run)
        await _assert_is_whole(limiter, rate)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            limiter_module, "_CLOCK_STEP", 0.0
        )  # so that places get free just when others come and go
        run_in_fake_time(main())


@given(_jobs(st.none() | GRID.map(lambda t: t + 0.0003712)), RATES)
def test_no_place_is_wasted_and_none_lost_by_a_cancellation(jobs: list[Job], rate: int) -> None:
    run = run_in_fake_time(_play(RateLimiter(rate), jobs))
    model = _model(jobs, rate)
    assert run.begun == pytest.approx(model.begun, abs=1e-6)
    assert run.ended == pytest.approx(model.ended, abs=1e-6)


@settings(max_examples=30)
@given(st.integers(21, 150), st.sampled_from([0.0, 0.01, 0.2, 1.5]))
def test_while_work_waits_the_rate_begins_in_each_second_and_an_answers_time(
    number: int, takes: float
) -> None:
    run = run_in_fake_time(_play(RateLimiter(), [Job(0.0, takes)] * number))
    begun = sorted(run.begun.values())
    assert len(begun) == number
    for early, late in zip(begun, begun[20:], strict=False):
        assert 1.0 <= late - early <= 1.0 + takes + STEP + 1e-9


def test_a_hundred_quick_attempts_take_four_seconds() -> None:
    run = run_in_fake_time(_play(RateLimiter(), [Job(0.0, 0.0)] * 100))
    seconds = [int(begun) for begun in run.begun.values()]
    assert [seconds.count(second) for second in range(5)] == [20] * 5
    assert 4.0 <= max(run.begun.values()) <= 4.1


def test_slow_attempts_are_not_bunched_with_quick_ones_after_them() -> None:
    jobs = [Job(0.0, 0.9)] * 20 + [Job(0.0, 0.0)] * 20
    run = run_in_fake_time(_play(RateLimiter(), jobs))
    assert min(run.begun[number] for number in range(20, 40)) >= 1.9
    assert _most_in_a_window(run) == 20


def test_other_rates_and_times() -> None:
    run = run_in_fake_time(_play(RateLimiter(rate=2, per=10.0), [Job(0.0, 0.0)] * 5))
    assert list(run.begun.values()) == pytest.approx([0, 0, 10 + STEP, 10 + STEP, 20 + 2 * STEP])
    assert _most_in_a_window(run, per=10.0) == 2


def test_the_clocks_step_is_small() -> None:
    assert 0.001 <= STEP <= 0.05


def test_a_place_is_entered_at_once_without_a_timer() -> None:
    async def main() -> None:
        limiter = RateLimiter(1)
        async with limiter:
            assert _loop().timers == []
        assert _loop().timers == []

    run_in_fake_time(main())


def test_an_error_gives_the_place_back() -> None:
    async def main() -> None:
        limiter = RateLimiter(1)
        with pytest.raises(LookupError):
            async with limiter:
                raise LookupError
        await _assert_is_whole(limiter, 1)

    run_in_fake_time(main())


def test_it_is_an_async_context_manager_and_shows_its_state() -> None:
    assert isinstance(RateLimiter(), AbstractAsyncContextManager)
    assert repr(RateLimiter(3, 0.5)) == "<RateLimiter 3 in 0.5 s, 0 waiting>"


async def _enter(limiter: RateLimiter, began: list[str], name: str) -> None:
    async with limiter:
        began.append(name)


async def _two_wait() -> tuple[RateLimiter, list[str], dict[str, asyncio.Task[None]], float]:
    """Give a limiter of one place, resting, for which b and c wait, and the time at which it is free."""
    limiter, began = RateLimiter(1), list[str]()
    async with limiter:
        pass
    tasks = {name: asyncio.create_task(_enter(limiter, began, name)) for name in "bc"}
    await asyncio.sleep(0)
    assert "2 waiting" in repr(limiter)
    (rings,) = _loop().timers
    return limiter, began, tasks, rings


def test_a_waiter_that_is_cancelled_leaves_the_queue() -> None:
    async def main() -> None:
        limiter, began, tasks, rings = await _two_wait()
        tasks["b"].cancel()
        await asyncio.wait([tasks["b"]])
        assert tasks["b"].cancelled()
        assert _loop().timers == [rings]
        await tasks["c"]
        assert began == ["c"]
        assert _loop().time() == rings
        await _assert_is_whole(limiter, 1)

    run_in_fake_time(main())


def test_the_last_waiter_that_is_cancelled_takes_the_timer_along() -> None:
    async def main() -> None:
        limiter, began, tasks, _ = await _two_wait()
        for task in tasks.values():
            task.cancel()
        await asyncio.wait(tasks.values())
        assert _loop().timers == []
        assert began == []
        await _assert_is_whole(limiter, 1)

    run_in_fake_time(main())


def test_a_place_granted_in_the_turn_of_the_cancellation_is_passed_on() -> None:
    async def main() -> None:
        limiter, began, tasks, rings = await _two_wait()
        _loop().call_at(rings + TINY, tasks["b"].cancel)
        await asyncio.wait(tasks.values())
        assert tasks["b"].cancelled()
        assert began == ["c"]
        assert _loop().time() == pytest.approx(rings, abs=1e-6)
        await _assert_is_whole(limiter, 1)

    run_in_fake_time(main())


def test_a_waiter_cancelled_just_before_a_place_is_free_is_passed_over() -> None:
    async def main() -> None:
        limiter, began, tasks, rings = await _two_wait()

        def cancel() -> None:
            tasks["b"].cancel()
            _loop().advance(2 * TINY)

        _loop().call_at(rings - TINY, cancel)
        await asyncio.wait(tasks.values())
        assert tasks["b"].cancelled()
        assert began == ["c"]
        assert _loop().time() == pytest.approx(rings, abs=1e-6)
        await _assert_is_whole(limiter, 1)

    run_in_fake_time(main())


def test_the_only_waiter_cancelled_in_the_turn_of_its_place_leaves_it_free() -> None:
    async def main() -> None:
        limiter, began, tasks, rings = await _two_wait()
        tasks.pop("c").cancel()
        _loop().call_at(rings + TINY, tasks["b"].cancel)
        await asyncio.wait(tasks.values())
        assert tasks["b"].cancelled()
        async with asyncio.timeout(0.1):
            await _enter(limiter, began, "d")
        assert began == ["d"]

    run_in_fake_time(main())


def test_a_newcomer_does_not_overtake_those_who_wait() -> None:
    async def main() -> None:
        limiter, began, tasks, rings = await _two_wait()
        _loop().advance(rings - _loop().time() + 5.0)  # the place is free, but the timer has not rung
        tasks["d"] = asyncio.create_task(_enter(limiter, began, "d"))
        await asyncio.wait(tasks.values())
        assert began == ["b", "c", "d"]
        await _assert_is_whole(limiter, 1)

    run_in_fake_time(main())


def _waiting(limiter: RateLimiter) -> Coroutine[object, object, None]:
    waiting = limiter.__aenter__()
    waiting.send(None)
    assert "1 waiting" in repr(limiter)
    return waiting


def test_a_waiter_that_is_dropped_leaves_the_queue() -> None:
    async def main() -> None:
        limiter = RateLimiter(1)
        async with limiter:
            pass
        _waiting(limiter).close()
        assert "0 waiting" in repr(limiter)
        assert _loop().timers == []
        await _assert_is_whole(limiter, 1)

    run_in_fake_time(main())
