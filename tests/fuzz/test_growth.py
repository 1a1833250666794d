from __future__ import annotations

import gc
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.decoders import BY_NAME
from tests.fuzz.shapes import SLOW
from tests.support.exhaustive import EXHAUSTIVE

if TYPE_CHECKING:
    from collections.abc import Callable

LONG_ENOUGH = 0.003
LARGEST = 64_000
LINEAR, QUADRATIC = 4, 16
BOUND = 10
TRIES = 4


def fastest(work: Callable[[], object], runs: int) -> float:
    """Give the CPU seconds of the fastest run: what else the machine does only ever makes one slower."""
    gc.collect()
    gc.disable()
    try:
        times: list[float] = []
        for _ in range(runs):
            began = time.thread_time()
            work()
            times.append(time.thread_time() - began)
        return min(times)
    finally:
        gc.enable()


def growth(decode: Callable[[bytes], object], shape: Callable[[int], bytes]) -> float:
    """Give how many times as long four times the input takes, at a size that takes long enough to tell."""
    size = 1_000
    while True:
        small = shape(size)
        seconds = fastest(partial(decode, small), 2)
        if seconds >= LONG_ENOUGH or size >= LARGEST:
            break
        size *= 2
    large = shape(4 * size)
    seconds = min(seconds, fastest(partial(decode, small), 4))
    return fastest(partial(decode, large), 3) / max(seconds, LONG_ENOUGH / 10)


@pytest.mark.skipif(not EXHAUSTIVE, reason="times of minutes in all: AIOZILLIZ_EXHAUSTIVE=1 takes them")
@pytest.mark.parametrize(("name", "shape"), SLOW)
def test_no_decoder_takes_quadratic_time(name: str, shape: str) -> None:
    ratios: list[float] = []
    while len(ratios) < TRIES and (not ratios or ratios[-1] > BOUND):
        ratios.append(growth(BY_NAME[name], SLOW[name, shape]))

    assert min(ratios) <= BOUND, f"four times the input takes {ratios} times as long"


@pytest.mark.skipif(not EXHAUSTIVE, reason="as above")
def test_the_bound_tells_quadratic_time_from_linear() -> None:
    def quadratic(data: bytes) -> int:
        return sum(1 for i in range(len(data) // 20) for _ in range(i))

    def linear(data: bytes) -> int:
        return sum(1 for _ in range(len(data) * 4))

    assert LINEAR < BOUND < QUADRATIC
    assert growth(quadratic, bytes) > BOUND
    assert growth(linear, bytes) < BOUND
