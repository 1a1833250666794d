"""Walks over lists that move, with refusals, caches, missing counts, known pages and any order of responses, by chance.

    python -m tests.fuzz.chaos --seed 7 --seconds 60
    python -m tests.fuzz.chaos --seed 7 --walks 30000

Nothing may be lost but in the documented blind spot of a plain walk, and nothing may be proven that was not so. Each
walk draws from a random number generator of its own, so that the printed number of one repeats it alone. The planner
needs no event loop, so none runs.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import random
import sys
import time
import traceback
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from aiozilliz._pagination.decisions import Done
from tests.support.moving_list import Change, Habit, Incident, Service, changes, drive
from tests.support.planning import (
    assert_lost_only_in_the_blind_spot,
    assert_nothing_old_was_shown_later,
    assert_proven_listing,
    letters,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

MODES = "plain", "verify", "again"
INCIDENTS: list[Incident] = ["refused", "refused by another", "cached", "repeated", "no count"]


def any_habit(chance: random.Random) -> Habit:
    """Return a service of many habits, each of which may be met in the field; all counts are true if there is one."""
    return Habit(
        "mixed",
        count=chance.choice(["total", "total", "total", "first page", "odd pages", "first reads", "absent"]),
        cap=chance.choice([None, None, 1, 2, 3]),
        echoes=chance.random() < 0.5,
        refuses=chance.random() < 0.3,
        hiccups=chance.choice(["", "", "", "signed", "unsigned"]),
        stale=chance.choice(["", "", "", "said"]),
        repeats=chance.random() < 0.1,
    )


def walk(seed: int, mode: str) -> str:
    """Take one walk, hold it against the promises, and return what came of it."""
    chance = random.Random(seed)
    habit = any_habit(chance)
    if chance.random() < 0.3:
        habit = evolve(Habit("honest"), refuses=habit.refuses)
    clusters = chance.randrange(15)
    page_size = chance.randint(1, 5)
    window = chance.randint(1, 5)
    script: dict[int, list[Change]] = {}
    for _ in range(chance.choice([0, 1, 1, 2, 2, 3, 5, 8])):
        script.setdefault(chance.randrange(25), []).append(chance.choice(changes(15)))
    incidents: dict[int, Incident] = {}
    for _ in range(chance.choice([0, 0, 1, 2, 5])):
        incidents[chance.randrange(30)] = chance.choice(INCIDENTS)
    service = Service(tuple("abcdefghijklmn"[:clusters]), habit, script, incidents=incidents)
    planner = letters(
        page_size,
        window=window,
        verify=mode != "plain",
        max_passes=chance.choice([1, 2, 5, 5, 8]),
        listed_before=service.clusters if mode == "again" else (),
    )
    run = drive(planner, service, page_size, chance.randrange, window=window)
    assert len(run.yielded) == len(set(run.yielded))
    if run.raised:
        return "raised"
    assert set(run.yielded) == {cluster for flight in run.arrived for cluster in flight.ids}
    assert len(run.arrived) <= 8 * 3 * (2 * (len(service.ever) + 1) + window)
    if run.end != Done():
        return "gave up"
    if planner.proven is not None:
        assert_proven_listing(service, planner, run)
        assert_nothing_old_was_shown_later(planner, run)
        assert service.survivors <= set(run.yielded)
        return "proven"
    assert mode == "plain"
    assert_lost_only_in_the_blind_spot(service, run)
    return "complete" if service.survivors <= set(run.yielded) else "blind spot"


def main(arguments: Sequence[str] | None = None) -> int:
    """Walk until the bound, print how the walks ended, and return 1 if any broke a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.chaos", description=main.__doc__)
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="number of the first walk")
    bound = parser.add_mutually_exclusive_group()
    bound.add_argument("--walks", type=int, metavar="N", help="how many; else for --seconds")
    bound.add_argument("--seconds", type=float, default=60.0, metavar="S", help="60 by default")
    options = parser.parse_args(arguments)
    came = Counter[str]()
    seeds = (
        itertools.count(options.seed)
        if options.walks is None
        else range(options.seed, options.seed + options.walks)
    )
    began = time.perf_counter()
    for seed in seeds:
        if options.walks is None and time.perf_counter() - began >= options.seconds:
            break
        for mode in MODES:
            try:
                came[walk(seed, mode)] += 1
            except (Exception, pytest.fail.Exception):  # noqa: BLE001  # any error here is a finding
                came["WRONG"] += 1
                traceback.print_exc()
                print(f"WRONG: walk({seed}, {mode!r})", file=sys.stderr)  # noqa: T201
    ends = ", ".join(f"{number:,} {end}" for end, number in came.most_common())
    took = time.perf_counter() - began
    which = f"{came.total():,} walks from seed {options.seed} on Python {platform.python_version()}"
    print(f"{which} in {took:.0f} s: {ends}")  # noqa: T201
    return 1 if came["WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main())
