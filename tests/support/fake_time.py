"""Event loops whose clocks do not depend on how fast the machine is.

That of `FakeTimeLoop` jumps to the next timer as soon as nothing else is left to do. Hours pass in no time, in the same
order on every machine. For code that waits for timers, futures and other tasks; work in the loop's executor is waited
for while the clock stands still. Sockets have no place in it: while an answer is under way the loop is idle, and the
clock would jump.

That of `StandingTimeLoop` moves only when a test moves it: sockets take the time they need, and then a timeout ends.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import math
import selectors
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, TypeVarTuple, Unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from concurrent.futures import Executor
    from contextvars import Context

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_ROUNDING = 1e-6


class _Selector(selectors.BaseSelector):
    """Hands a wait without events to the loop's clock instead of waiting."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.idle: Callable[[float | None], bool] = lambda _: True

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = self._real.select(0)
        if events or timeout == 0:
            return events
        return self._real.select(None) if self.idle(timeout) else []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own, which begins at 1000 seconds."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._timers: list[asyncio.TimerHandle] = []
        self._in_threads: set[asyncio.Future[Any]] = set()
        self._threads_used = False
        selector = _Selector()
        super().__init__(selector)
        selector.idle = self._idle

    def time(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass while a callback runs, as a slow computation does."""
        self._now += seconds

    @property
    def timers(self) -> list[float]:
        """When those timers ring that are still to come."""
        return sorted(
            timer.when() for timer in self._timers if not timer.cancelled() and timer.when() > self._now
        )

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = super().call_at(when, callback, *args, context=context)
        heapq.heappush(self._timers, timer)
        return timer

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Ts]], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        future = super().run_in_executor(executor, func, *args)
        self._threads_used = True
        self._in_threads.add(future)
        future.add_done_callback(self._in_threads.discard)
        return future

    def _idle(self, timeout: float | None) -> bool:
        """Let the clock jump; True where a thread has to be waited for instead."""
        if self._in_threads:
            return True
        if timeout is None:
            if self._threads_used:  # the loop is waiting for its executor to shut down
                return True
            raise RuntimeError("deadlock: every task waits, and no timer is set that could wake one")
        target = self._now + timeout
        while self._timers and (self._timers[0].cancelled() or self._timers[0].when() <= self._now):
            heapq.heappop(self._timers)
        # The very time that was asked for, where there is one: sums of differences are not exact.
        if self._timers and abs(self._timers[0].when() - target) < _ROUNDING:
            target = self._timers[0].when()
        self._now = max(target, math.nextafter(self._now, math.inf))
        return False


def run_in_fake_time(main: Coroutine[Any, Any, _T]) -> _T:
    """Run `main` as `asyncio.run` does, in a `FakeTimeLoop`.

    It fails, too, where `main` leaves a task behind, or where a callback or a forgotten task raised an error.
    """
    complaints: list[dict[str, Any]] = []

    async def run() -> _T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        result = await main
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks were left behind: {left}"
        return result

    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        result = runner.run(run())
    assert not complaints, f"errors that nobody took: {complaints}"
    return result


class StandingTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands at 1000 seconds until `advance`; what waits for it without that never ends."""

    def __init__(self) -> None:
        self._now = 1000.0
        super().__init__()

    def time(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds


def in_standing_time(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, None]:
    """Run an async test in a `StandingTimeLoop`."""

    @functools.wraps(test)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        with asyncio.Runner(loop_factory=StandingTimeLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


def advance(seconds: float) -> None:
    """Let time pass in the running `StandingTimeLoop`."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, StandingTimeLoop)
    loop.advance(seconds)
