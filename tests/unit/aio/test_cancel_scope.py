from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from aiozilliz._aio.cancel_scope import Block, BlockBefore3113, CancelScope, expire, sleep
from tests.support.fake_time import run_in_fake_time


async def _request(seconds: float, scope: CancelScope, limit: float = 60.0) -> str:
    """Wait as a page's request does, under a deadline."""
    block = asyncio.timeout(limit)
    try:
        async with block:
            scope.attach(block)
            await asyncio.sleep(seconds)
            return "answer"
    except TimeoutError:
        scope.check()
        return "deadline"
    finally:
        scope.detach(block)


def _now() -> float:
    return asyncio.get_running_loop().time()


def test_a_request_that_nobody_interrupts_gives_its_answer() -> None:
    assert run_in_fake_time(_request(5, CancelScope())) == "answer"


def test_a_deadline_of_its_own_stays() -> None:
    assert run_in_fake_time(_request(5, CancelScope(), limit=2)) == "deadline"


def test_firing_ends_what_runs_at_once() -> None:
    async def main() -> None:
        scope = CancelScope()
        began = _now()
        tasks = [asyncio.create_task(_request(30, scope)) for _ in range(3)]
        await asyncio.sleep(1)
        scope.cancel("closed")
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [repr(result) for result in results] == ["RuntimeError('closed')"] * 3
        assert not any(task.cancelled() or task.cancelling() for task in tasks)
        assert _now() == began + 1

    run_in_fake_time(main())


def test_after_firing_nothing_begins() -> None:
    scope = CancelScope()
    scope.check()
    scope.cancel("closed")
    with pytest.raises(RuntimeError, match=r"^closed$"):
        scope.check()


def test_a_scope_covered_after_firing_ends_at_once() -> None:
    async def main() -> None:
        scope = CancelScope()
        scope.cancel("closed")
        began = _now()
        with pytest.raises(RuntimeError, match="closed"):
            await _request(30, scope)
        assert _now() == began

    run_in_fake_time(main())


def test_firing_after_the_end_touches_nothing() -> None:
    async def main() -> str:
        scope = CancelScope()
        answer = await _request(1, scope)
        scope.cancel("closed")
        await asyncio.sleep(1)
        return answer

    assert run_in_fake_time(main()) == "answer"


def test_firing_after_an_error_touches_nothing() -> None:
    async def main() -> None:
        scope = CancelScope()
        with pytest.raises(TypeError):
            await _request("no number", scope)  # type: ignore[arg-type]  # so that it fails inside
        scope.cancel("closed")
        await asyncio.sleep(1)

    run_in_fake_time(main())


def test_the_first_reason_stays() -> None:
    async def main() -> None:
        scope = CancelScope()
        task = asyncio.create_task(_request(30, scope))
        await asyncio.sleep(1)
        scope.cancel("first")
        scope.cancel("second")
        with pytest.raises(RuntimeError, match="first"):
            await task
        scope.cancel("third")
        assert scope.reason == "first"

    run_in_fake_time(main())


def test_firing_at_the_deadline_is_harmless() -> None:
    async def main() -> None:
        scope = CancelScope()
        task = asyncio.create_task(_request(30, scope, limit=5))
        await asyncio.sleep(0)
        # The block expires first, and its task has not been told yet.
        asyncio.get_running_loop().call_at(_now() + 5 + 1e-10, scope.cancel, "closed")
        with pytest.raises(RuntimeError, match="closed"):
            await task
        assert task.cancelling() == 0

    run_in_fake_time(main())


@pytest.mark.parametrize("generations", [1, 2, 3])
def test_the_end_of_a_scope_is_that_of_all_below_it(generations: int) -> None:
    async def main() -> None:
        scopes = [CancelScope()]
        for _ in range(generations):
            scopes.append(CancelScope(scopes[-1]))
        began = _now()
        task = asyncio.create_task(_request(30, scopes[-1]))
        await asyncio.sleep(1)
        scopes[0].cancel("closed")
        with pytest.raises(RuntimeError, match="closed"):
            await task
        assert _now() == began + 1
        assert [scope.reason for scope in scopes] == ["closed"] * (generations + 1)

    run_in_fake_time(main())


def test_the_end_of_a_scope_touches_nothing_above_or_beside_it() -> None:
    async def main() -> None:
        above = CancelScope()
        one, other = CancelScope(above), CancelScope(above)
        task = asyncio.create_task(_request(30, one))
        others = [asyncio.create_task(_request(30, scope)) for scope in (above, other)]
        await asyncio.sleep(1)
        one.cancel("closed")
        with pytest.raises(RuntimeError, match="closed"):
            await task
        assert await asyncio.gather(*others) == ["answer", "answer"]
        above.check()
        other.check()

    run_in_fake_time(main())


def test_a_scope_made_below_a_cancelled_one_ends_at_once() -> None:
    async def main() -> None:
        above = CancelScope()
        above.cancel("closed")
        began = _now()
        with pytest.raises(RuntimeError, match="closed"):
            await _request(30, CancelScope(above))
        assert _now() == began

    run_in_fake_time(main())


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_scopes_at_once_the_first_reason_stays(first: int) -> None:
    async def main() -> None:
        above = CancelScope()
        below = CancelScope(above)
        task = asyncio.create_task(_request(30, below))
        await asyncio.sleep(1)
        order = [(above, "above"), (below, "below")]
        for scope, reason in (order[first], order[1 - first]):
            scope.cancel(reason)
        with pytest.raises(RuntimeError, match=f"^{order[first][1]}$"):
            await task
        assert task.cancelling() == 0

    run_in_fake_time(main())


def test_a_scope_keeps_none_below_it() -> None:
    above = CancelScope()
    below = weakref.ref(CancelScope(above))
    gc.collect()
    assert below() is None
    above.cancel("closed")


def test_a_sleep_takes_its_time_or_ends_with_its_scope() -> None:
    async def main() -> None:
        above = CancelScope()
        scope = CancelScope(above)
        began = _now()
        await sleep(5, scope)
        assert _now() == began + 5
        asyncio.get_running_loop().call_later(1, above.cancel, "closed")
        for _ in range(2):
            with pytest.raises(RuntimeError, match=r"^closed$") as caught:
                await sleep(5, scope)
            assert caught.value.__context__ is None
            assert _now() == began + 6

    run_in_fake_time(main())


def test_a_sleep_does_not_swallow_a_cancellation() -> None:
    async def main() -> None:
        task = asyncio.create_task(sleep(5, CancelScope()))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run_in_fake_time(main())


@pytest.mark.parametrize("cancel_first", [True, False])
def test_a_real_cancellation_is_not_swallowed(cancel_first: bool) -> None:
    async def main() -> None:
        scope = CancelScope()
        task = asyncio.create_task(_request(30, scope))
        await asyncio.sleep(1)
        if cancel_first:
            task.cancel()
        scope.cancel("closed")
        if not cancel_first:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run_in_fake_time(main())


def test_the_task_goes_on_after_its_request_was_interrupted() -> None:
    async def main() -> str:
        scope = CancelScope()
        asyncio.get_running_loop().call_later(1, scope.cancel, "closed")
        with pytest.raises(RuntimeError, match="closed"):
            await _request(30, scope)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        return await _request(1, CancelScope())

    assert run_in_fake_time(main()) == "answer"


def test_a_scope_keeps_no_block_and_nothing_keeps_a_scope() -> None:
    async def main() -> weakref.ref[CancelScope]:
        scope = CancelScope()
        block = asyncio.timeout(5)
        async with block:
            scope.attach(block)
            await asyncio.sleep(1)
        scope.detach(block)
        left = weakref.ref(block)
        del block
        gc.collect()
        assert left() is None
        return weakref.ref(scope)

    left = run_in_fake_time(main())
    gc.collect()
    assert left() is None


@pytest.mark.parametrize("kind", [Block, BlockBefore3113])
@pytest.mark.parametrize("again", [False, True])
def test_a_block_that_expires_is_a_timeout_unless_its_task_is_cancelled_too(
    kind: type[asyncio.Timeout], *, again: bool
) -> None:
    async def main() -> None:
        ended: list[BaseException] = []

        async def clean_up() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                try:
                    async with kind(None) as block:
                        asyncio.get_running_loop().call_later(1, expire, block)
                        await asyncio.sleep(30)
                except (TimeoutError, asyncio.CancelledError) as error:
                    ended.append(error)

        task = asyncio.create_task(clean_up())
        await asyncio.sleep(1)
        task.cancel()
        if again:
            asyncio.get_running_loop().call_later(1, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [type(error) for error in ended] == [asyncio.CancelledError if again else TimeoutError]

    run_in_fake_time(main())
