from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from aiozilliz._aio.cancel_scope import Interrupt, cover, uncover
from tests.support.fake_time import run_in_fake_time


async def _request(seconds: float, *interrupts: Interrupt, limit: float = 60.0) -> str:
    """Wait as a page's request does, under a deadline."""
    scope = asyncio.timeout(limit)
    try:
        async with scope:
            cover(scope, interrupts)
            await asyncio.sleep(seconds)
            return "answer"
    except TimeoutError:
        for interrupt in interrupts:
            interrupt.check()
        return "deadline"
    finally:
        uncover(scope, interrupts)


def _now() -> float:
    return asyncio.get_running_loop().time()


def test_a_request_that_nobody_interrupts_gives_its_answer() -> None:
    assert run_in_fake_time(_request(5, Interrupt())) == "answer"


def test_a_deadline_of_its_own_stays() -> None:
    assert run_in_fake_time(_request(5, Interrupt(), limit=2)) == "deadline"


def test_firing_ends_what_runs_at_once() -> None:
    async def main() -> None:
        interrupt = Interrupt()
        began = _now()
        tasks = [asyncio.create_task(_request(30, interrupt)) for _ in range(3)]
        await asyncio.sleep(1)
        interrupt.fire("closed")
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [repr(result) for result in results] == ["RuntimeError('closed')"] * 3
        assert not any(task.cancelled() or task.cancelling() for task in tasks)
        assert _now() == began + 1

    run_in_fake_time(main())


def test_after_firing_nothing_begins() -> None:
    interrupt = Interrupt()
    interrupt.check()
    interrupt.fire("closed")
    with pytest.raises(RuntimeError, match=r"^closed$"):
        interrupt.check()


def test_a_scope_covered_after_firing_ends_at_once() -> None:
    async def main() -> None:
        interrupt = Interrupt()
        interrupt.fire("closed")
        began = _now()
        with pytest.raises(RuntimeError, match="closed"):
            await _request(30, interrupt)
        assert _now() == began

    run_in_fake_time(main())


def test_firing_after_the_end_touches_nothing() -> None:
    async def main() -> str:
        interrupt = Interrupt()
        answer = await _request(1, interrupt)
        interrupt.fire("closed")
        await asyncio.sleep(1)
        return answer

    assert run_in_fake_time(main()) == "answer"


def test_firing_after_an_error_touches_nothing() -> None:
    async def main() -> None:
        interrupt = Interrupt()
        with pytest.raises(TypeError):
            await _request("no number", interrupt)  # type: ignore[arg-type]  # so that it fails inside
        interrupt.fire("closed")
        await asyncio.sleep(1)

    run_in_fake_time(main())


def test_the_first_reason_stays() -> None:
    async def main() -> None:
        interrupt = Interrupt()
        task = asyncio.create_task(_request(30, interrupt))
        await asyncio.sleep(1)
        interrupt.fire("first")
        interrupt.fire("second")
        with pytest.raises(RuntimeError, match="first"):
            await task
        interrupt.fire("third")
        assert interrupt.reason == "first"

    run_in_fake_time(main())


def test_firing_at_the_deadline_is_harmless() -> None:
    async def main() -> None:
        interrupt = Interrupt()
        task = asyncio.create_task(_request(30, interrupt, limit=5))
        await asyncio.sleep(0)
        # The scope expires first, and its task has not been told yet.
        asyncio.get_running_loop().call_at(_now() + 5 + 1e-10, interrupt.fire, "closed")
        with pytest.raises(RuntimeError, match="closed"):
            await task
        assert task.cancelling() == 0

    run_in_fake_time(main())


@pytest.mark.parametrize("fired", [0, 1])
def test_any_of_several_interrupts_ends_a_request(fired: int) -> None:
    async def main() -> None:
        interrupts = (Interrupt(), Interrupt())
        task = asyncio.create_task(_request(30, *interrupts))
        other = asyncio.create_task(_request(30, interrupts[1 - fired]))
        await asyncio.sleep(1)
        interrupts[fired].fire("closed")
        with pytest.raises(RuntimeError, match="closed"):
            await task
        assert await other == "answer"

    run_in_fake_time(main())


def test_both_of_two_interrupts_at_once() -> None:
    async def main() -> None:
        one, two = Interrupt(), Interrupt()
        task = asyncio.create_task(_request(30, one, two))
        await asyncio.sleep(1)
        two.fire("second")
        one.fire("first")
        with pytest.raises(RuntimeError, match="first"):
            await task

    run_in_fake_time(main())


@pytest.mark.parametrize("cancel_first", [True, False])
def test_a_real_cancellation_is_not_swallowed(cancel_first: bool) -> None:
    async def main() -> None:
        interrupt = Interrupt()
        task = asyncio.create_task(_request(30, interrupt))
        await asyncio.sleep(1)
        if cancel_first:
            task.cancel()
        interrupt.fire("closed")
        if not cancel_first:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run_in_fake_time(main())


def test_the_task_goes_on_after_its_request_was_interrupted() -> None:
    async def main() -> str:
        interrupt = Interrupt()
        asyncio.get_running_loop().call_later(1, interrupt.fire, "closed")
        with pytest.raises(RuntimeError, match="closed"):
            await _request(30, interrupt)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        return await _request(1, Interrupt())

    assert run_in_fake_time(main()) == "answer"


def test_an_interrupt_keeps_no_scope_and_nothing_keeps_an_interrupt() -> None:
    async def main() -> weakref.ref[Interrupt]:
        interrupt = Interrupt()
        scope = asyncio.timeout(5)
        async with scope:
            cover(scope, [interrupt])
            await asyncio.sleep(1)
        uncover(scope, [interrupt])
        left = weakref.ref(scope)
        del scope
        gc.collect()
        assert left() is None
        return weakref.ref(interrupt)

    left = run_in_fake_time(main())
    gc.collect()
    assert left() is None
