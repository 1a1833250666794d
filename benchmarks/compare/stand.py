"""The test stand: cores, server processes, one event loop, and timing in the order A B B A.

Drift over a round (clock speed, other processes) then affects all works alike, and only times within one round are
compared.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import time
from contextlib import AsyncExitStack, contextmanager
from http.client import HTTPConnection
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import orjson
from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

_T = TypeVar("_T")

_CORES: Final = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
SERVER_CORE: Final = _CORES[0] if len(_CORES) > 1 else None
CLIENT_CORE: Final = _CORES[-1] if len(_CORES) > 1 else None


def pin_client() -> None:
    """Pin this process and its later children to one core; servers run on another one."""
    if CLIENT_CORE is not None:
        os.sched_setaffinity(0, {CLIENT_CORE})


@contextmanager
def unpinned() -> Generator[None]:
    """Let child processes that are started inside this context run on every core."""
    if CLIENT_CORE is None:
        yield
        return
    pinned = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _CORES)
    try:
        yield
    finally:
        os.sched_setaffinity(0, pinned)


def installed_environment() -> dict[str, str]:
    """Return this environment, but such that Python writes bytecode files, as it does for installed packages.

    An editable installation has none before the first import, and never with `PYTHONDONTWRITEBYTECODE`: every start
    would compile its modules.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Server:
    """A server in a process of its own, as a context manager.

    Args:
        records: Clusters in the list.
        page_size: Clusters on the requested pages, whose responses are prepared.
        latency: Seconds from a request to its response.
        rate_limit: Requests answered in any one second; 0 is no limit.
    """

    def __init__(
        self, *, records: int, page_size: int = 100, latency: float = 0.0, rate_limit: int = 0
    ) -> None:
        self._command = [
            *(sys.executable, "-m", "benchmarks.compare.server"),
            *("--records", str(records)),
            *("--page-size", str(page_size)),
            *("--latency", str(latency)),
            *("--rate-limit", str(rate_limit)),
            *(() if SERVER_CORE is None else ("--cpu", str(SERVER_CORE))),
        ]
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process is not None
        with self._process as process:
            process.terminate()

    def stats(self) -> dict[str, int]:
        """Return what the server has counted since the last call."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/stats")
            stats: dict[str, int] = orjson.loads(connection.getresponse().read())
            return stats
        finally:
            connection.close()


class Loop:
    """One event loop with the sessions and clients that live in it, as a context manager."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        self._runner.__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.__exit__(exc_type, exc, traceback)

    def enter(self, make: Callable[[], AbstractAsyncContextManager[_T]]) -> _T:
        """Make a context manager inside the loop and enter it; it exits with the loop."""

        async def enter() -> _T:
            return await self._stack.enter_async_context(make())

        return self._runner.run(enter())

    def work(self, coroutine: Callable[..., Coroutine[Any, Any, _T]], *arguments: object) -> Callable[[], _T]:
        """Return a work that can be timed, which runs a coroutine function in this loop."""
        return lambda: self._runner.run(coroutine(*arguments))


@frozen
class Ratio:
    """How two works compare.

    Attributes:
        subject: Median of the subject.
        peer: Median of the peer.
        value: Median of the rounds' ratios, subject to peer.
        spread: Half the distance between the quartiles of these, 0 if there are too few.
        rounds: How many there were.
    """

    subject: float
    peer: float
    value: float
    spread: float
    rounds: int


@define
class Times:
    """Seconds of each work, by round; a round's are the mean of its two runs."""

    _rounds: dict[str, list[float]] = field(factory=dict[str, list[float]])

    def add(self, name: str, seconds: float) -> None:
        """Add one round of a work."""
        self._rounds.setdefault(name, []).append(seconds)

    def median(self, name: str) -> float:
        """Return the median of a work's rounds, in seconds."""
        return median(self._rounds[name])

    def ratio(self, subject: str, peer: str, *, less: str | None = None) -> Ratio:
        """Compare two works round by round.

        Args:
            subject: The name of one work.
            peer: The name of the work that it is compared with.
            less: A work whose time is subtracted from both.
        """
        offsets = self._rounds[less] if less is not None else [0.0] * len(self._rounds[subject])
        ours = [a - off for a, off in zip(self._rounds[subject], offsets, strict=True)]
        theirs = [a - off for a, off in zip(self._rounds[peer], offsets, strict=True)]
        return compare(ours, theirs)


def compare(subject: Sequence[float], peer: Sequence[float]) -> Ratio:
    """Compare values that were measured in pairs."""
    ratios = [a / b for a, b in zip(subject, peer, strict=True)]
    quarters = quantiles(ratios) if len(ratios) > 2 else [0.0, 0.0, 0.0]
    spread = (quarters[2] - quarters[0]) / 2
    return Ratio(median(subject), median(peer), median(ratios), spread, len(ratios))


@frozen
class Timing:
    """The measurements of `alternate`.

    Attributes:
        wall: Elapsed time, which is what users wait for.
        cpu: CPU time of this process, which a busy machine disturbs less.
    """

    wall: Times = field(factory=Times)
    cpu: Times = field(factory=Times)


def alternate(works: Mapping[str, Callable[[], object]], rounds: int, *, at_most: float) -> Timing:
    """Measure the time of works in turns, in the order A B C C B A, after each has run once.

    The garbage collector stays on, as it is for users, but has nothing to collect when a run starts.

    Args:
        works: What to time, by name.
        rounds: How often; each round runs each work twice.
        at_most: Seconds after which no further round starts, so that a slow machine finishes too.
    """
    for work in works.values():
        work()
    gc.collect()
    gc.freeze()
    timing = Timing()
    order = [*works, *reversed(list(works))]
    end = time.perf_counter() + at_most
    while rounds > 0 and time.perf_counter() < end:
        rounds -= 1
        wall, cpu = dict.fromkeys(works, 0.0), dict.fromkeys(works, 0.0)
        for name in order:
            work = works[name]
            gc.collect()
            began, began_cpu = time.perf_counter(), time.process_time()
            work()
            cpu[name] += time.process_time() - began_cpu
            wall[name] += time.perf_counter() - began
        for name in works:
            timing.wall.add(name, wall[name] / 2)
            timing.cpu.add(name, cpu[name] / 2)
    gc.unfreeze()
    return timing
