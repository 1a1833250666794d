"""Many operations side by side in one process, with faults, cancellations and changes: nothing lost, nothing left.

    python -m benchmarks.soak --operations 10000 --seed 1
    python -m benchmarks.soak --seconds 120 --seed 1 --loop uvloop
    python -m benchmarks.soak --accounts 1000

The services have a process of their own. Each operation is checked against the history of the lists; memory, file
descriptors, tasks and connections are counted after each quarter and at the end. The exit status is 1 if anything is
wrong, and the last lines say what.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import math
import sys
import time
import tracemalloc
import warnings
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final

from attrs import frozen

from benchmarks.compare.report import describe_machine, draw_table
from benchmarks.soak import load
from benchmarks.soak.background import change, fail, watch, watch_all
from benchmarks.soak.figures import Figures
from benchmarks.soak.operations import perform
from benchmarks.soak.service import Services
from benchmarks.soak.world import CLOUDS, SLOTS, WATCHED, Ledger, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Sequence

    from aiozilliz import Cluster
    from benchmarks.soak.world import Walked

AT_ONCE: Final = 8
"""Operations in progress at once, besides the watches."""

LOOPS: Final = ("asyncio", "eager", "uvloop")

_OPERATIONS: Final = 2_000
_QUARTERS: Final = 4
_TURNS: Final = 9
"""Of the loop, in which what has just ended, or was just found by the garbage collector, is let go of by callbacks."""

_MEMORY_BOUND: Final = 256 * 1024
_RESIDENT_BOUND: Final = 12 * 1024 * 1024
_SHARE: Final = 0.05


@frozen
class Result:
    """What a soak has found.

    Attributes:
        operations: How many there were.
        seconds: How long they took.
        before: What the process held before the first client was made.
        quarters: What it held after each quarter of the operations, with clients open and watches running.
        after: What it held when all was closed.
        ledger: How the operations ended, and what was wrong.
    """

    operations: int
    seconds: float
    before: Figures
    quarters: tuple[Figures, ...]
    after: Figures
    ledger: Ledger


def _untouched(clusters: AsyncIterator[Cluster]) -> AsyncIterator[Cluster]:
    return clusters


async def soak(
    operations: int, seed: int, *, seconds: float = math.inf, walked: Walked = _untouched
) -> Result:
    """Do the operations, and check them and what they leave behind.

    Args:
        operations: How many.
        seed: Decides what each does, and what the services do meanwhile.
        seconds: After which no more of them begin.
        walked: Wraps iterators of clusters; for tests of this program.
    """
    ledger = Ledger()
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: ledger.report(
            f"the loop reported: {context.get('exception') or context['message']}"
        )
    )
    async with Services(CLOUDS) as services:
        world = World(seed, services, ledger, walked)
        await world.begin()
        before = Figures.now()
        began = time.perf_counter()
        quarters: list[Figures] = []
        async with AsyncExitStack() as stack:
            for cloud in range(len(CLOUDS)):
                client = world.client(cloud, limited=cloud % 2 == 0)
                world.clients.append(await stack.enter_async_context(client))
            await _run(world, operations, seconds, quarters)
        took = time.perf_counter() - began
        await asyncio.sleep(0)
        after = Figures.now()
    _judge_rest(world, before, quarters, after)
    return Result(ledger.outcomes.total(), took, before, tuple(quarters), after, ledger)


async def _run(world: World, operations: int, seconds: float, quarters: list[Figures]) -> None:
    clouds = range(len(CLOUDS))
    chaos = [asyncio.create_task(act(world, cloud)) for cloud in clouds for act in (change, fail)]
    watches = [asyncio.create_task(watch(world, cloud)) for cloud in WATCHED]
    watches.append(asyncio.create_task(watch_all(world)))
    began, begun = time.perf_counter(), 0

    async def work(quarter: int) -> None:
        nonlocal begun
        share = quarter / _QUARTERS
        while begun < operations * share and time.perf_counter() - began < seconds * share:
            begun += 1
            await perform(world, begun - 1)

    for quarter in range(1, _QUARTERS + 1):
        await asyncio.gather(*(work(quarter) for _ in range(AT_ONCE)))
        gc.collect()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        quarters.append(Figures.now())
    world.calm.set()
    await _gather(world, chaos, "the services' changes")
    world.settle.set()
    await _gather(world, watches, "a watch")


async def _gather(world: World, tasks: Sequence[asyncio.Task[None]], what: str) -> None:
    for error in await asyncio.gather(*tasks, return_exceptions=True):
        if error is not None:
            world.ledger.report(f"{what}: raised {error!r}")


def _judge_rest(world: World, before: Figures, quarters: Sequence[Figures], after: Figures) -> None:
    report = world.ledger.report
    first, last = quarters[0], quarters[-1]
    for name, bound in (("allocated", _MEMORY_BOUND), ("resident", _RESIDENT_BOUND)):
        old, new = getattr(first, name), getattr(last, name)
        if new > old + bound + _SHARE * old:
            report(f"{name} memory grew from {old:,} bytes after the first quarter to {new:,} after the last")
    for name in ("descriptors", "connections", "tasks"):
        if getattr(after, name) > getattr(before, name):
            report(f"{getattr(after, name)} {name} are left, and there were {getattr(before, name)} before")
    slots = 0
    while not world.limiter.locked():
        slots += 1
        world.limiter._value -= 1  # noqa: SLF001  # to count them without waiting
    if slots != SLOTS:
        report(f"the shared limiter has {slots} slots left of {SLOTS}")


@contextmanager
def strict() -> Generator[list[str]]:
    """Turn warnings into errors, and collect exceptions that nothing could catch."""
    unraisable: list[str] = []
    hook = sys.unraisablehook
    sys.unraisablehook = lambda raised: unraisable.append(f"{raised.exc_value!r} in {raised.object!r}")
    quiet = logging.NullHandler()  # every outage and retry would be logged
    loggers = [logging.getLogger(name) for name in ("aiozilliz", "stamina")]
    for logger in loggers:
        logger.addHandler(quiet)
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield unraisable
            gc.collect()
    finally:
        tracemalloc.stop()
        for logger in loggers:
            logger.removeHandler(quiet)
        sys.unraisablehook = hook


def make_loop(kind: str) -> asyncio.AbstractEventLoop:
    """Return a new event loop of one of the `LOOPS`."""
    if kind == "uvloop":
        loop: asyncio.AbstractEventLoop = import_module("uvloop").new_event_loop()
        return loop
    loop = asyncio.new_event_loop()
    if kind == "eager":
        loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009  # mypy knows the oldest Python only
    return loop


def run(
    operations: int,
    seed: int,
    *,
    seconds: float = math.inf,
    loop: str = "asyncio",
    walked: Walked = _untouched,
) -> Result:
    """Run `soak` in a loop of its own; a warning, or an exception that nothing caught, is a violation too."""
    with strict() as unraisable, asyncio.Runner(loop_factory=partial(make_loop, loop)) as runner:
        result = runner.run(soak(operations, seed, seconds=seconds, walked=walked))
    for text in unraisable:
        result.ledger.report(f"nothing caught {text}")
    return result


def to_markdown(result: Result) -> str:
    """Return the table of figures and the table of how operations ended."""
    head = ("", "before", "first quarter", "last quarter", "all closed")
    columns = (result.before, result.quarters[0], result.quarters[-1], result.after)
    rows = [
        ("allocated", *(f"{column.allocated / 1024:,.0f} KiB" for column in columns)),
        ("resident", *(f"{column.resident / 1024:,.0f} KiB" for column in columns)),
        *(
            (name, *(f"{getattr(column, name):,}" for column in columns))
            for name in ("descriptors", "connections", "tasks")
        ),
    ]
    endings = [(name, f"{number:,}") for name, number in sorted(result.ledger.outcomes.items())]
    return "\n".join(
        [
            draw_table([head, *rows]),
            "",
            draw_table([("operation and its end", "times"), *endings]),
            "",
            f"{result.operations:,} operations in {result.seconds:.0f} s. {describe_machine()}.",
        ]
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the arguments, run, print, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description="Many operations side by side; exit status 1 if anything is wrong.",
    )
    parser.add_argument("--operations", type=_positive, metavar="N", help="how many; 2,000 by default")
    parser.add_argument("--seconds", type=_positive, metavar="S", help="after which no more of them begin")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="decides what each of them does")
    parser.add_argument(
        "--loop",
        choices=LOOPS,
        default="asyncio",
        help="event loop; eager: asyncio's, with tasks that start at once, from Python 3.12 on",
    )
    parser.add_argument(
        "--accounts",
        type=_positive,
        metavar="N",
        help="instead read N accounts at once, a tenth of them failing",
    )
    options = parser.parse_args(arguments)
    if options.accounts:
        table, violations = load.run(options.accounts)
        again = f"--accounts {options.accounts}"
    else:
        result = run(
            options.operations or (sys.maxsize if options.seconds else _OPERATIONS),
            options.seed,
            seconds=options.seconds or math.inf,
            loop=options.loop,
        )
        table, violations = to_markdown(result), result.ledger.violations
        again = f"--operations {result.operations} --seed {options.seed} --loop {options.loop}"
    print(table)
    for violation in violations:
        print(f"WRONG: {violation}")
    if violations:
        print(f"Again: python -m benchmarks.soak {again}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
