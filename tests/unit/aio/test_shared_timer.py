from __future__ import annotations

import asyncio
from typing import cast

import pytest
from hypothesis import given, strategies as st

from aiozilliz._aio.cancel_scope import SharedTimer
from tests.support.fake_time import FakeTimeLoop, run_in_fake_time


async def _block(deadlines: SharedTimer, within: float | None, seconds: float) -> float | None:
    """Sleep in a block with a deadline, and give after how many seconds it was ended, or None."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    block = asyncio.timeout(None)
    try:
        async with block:
            if within is not None:
                deadlines.set(block, began + within)
            await asyncio.sleep(seconds)
        return None
    except TimeoutError:
        return loop.time() - began
    finally:
        deadlines.clear(block)


def _timers() -> int:
    return len(cast("FakeTimeLoop", asyncio.get_running_loop()).timers)


def test_a_block_ends_at_its_deadline_and_not_before() -> None:
    async def main() -> list[float | None]:
        deadlines = SharedTimer()
        return [
            await _block(deadlines, 5, 4.9),
            await _block(deadlines, 5, 6),
            await _block(deadlines, None, 60),
        ]

    assert run_in_fake_time(main()) == [None, pytest.approx(5), None]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(1, 6)), max_size=8))
def test_each_of_many_ends_at_its_own_deadline(blocks: list[tuple[int, int, int]]) -> None:
    # Odd lengths end between the deadlines, so that no two things happen in one moment.
    async def later(deadlines: SharedTimer, start: int, seconds: int, within: int) -> float | None:
        await asyncio.sleep(start)
        return await _block(deadlines, within, seconds + 0.5)

    async def main() -> list[float | None]:
        deadlines = SharedTimer()
        return await asyncio.gather(*(later(deadlines, *block) for block in blocks))

    expected = [None if seconds + 0.5 < within else pytest.approx(within) for _, seconds, within in blocks]
    assert run_in_fake_time(main()) == expected


def test_blocks_one_after_another_share_one_timer() -> None:
    async def main() -> None:
        deadlines = SharedTimer()
        for _ in range(100):
            assert await _block(deadlines, 30, 0.1) is None
            assert _timers() == 1
        deadlines.close()
        assert _timers() == 0

    run_in_fake_time(main())


def test_a_deadline_that_has_passed_ends_the_block_at_once() -> None:
    async def main() -> float | None:
        return await _block(SharedTimer(), -1, 5)

    assert run_in_fake_time(main()) == pytest.approx(0)


def test_a_deadline_can_be_moved_and_taken_away() -> None:
    async def moving() -> None:
        deadlines = SharedTimer()
        now = asyncio.get_running_loop().time
        block = asyncio.timeout(None)
        async with block:
            deadlines.set(block, now() + 1)
            deadlines.set(block, now() + 10)
            await asyncio.sleep(5)
            deadlines.clear(block)
            await asyncio.sleep(10)
            deadlines.set(block, now() + 3)
            await asyncio.sleep(60)

    async def main() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(TimeoutError):
            await moving()
        return loop.time() - began

    assert run_in_fake_time(main()) == pytest.approx(18)


def test_after_closing_a_new_deadline_counts() -> None:
    async def main() -> float | None:
        deadlines = SharedTimer()
        deadlines.close()
        deadlines.close()
        return await _block(deadlines, 2, 5)

    assert run_in_fake_time(main()) == pytest.approx(2)
