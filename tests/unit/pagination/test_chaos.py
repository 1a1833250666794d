"""Everything at once, by chance: lists that move, refusals, caches, missing counts, known pages, any order of responses.

Nothing may be lost but in the documented blind spot of a plain walk, and nothing may be proven that was not so. With
`AIOZILLIZ_EXHAUSTIVE=1` there are more walks.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from attrs import evolve

from aiozilliz._pagination.decisions import Done
from tests.support.exhaustive import EXHAUSTIVE
from tests.support.moving_list import Change, Habit, Incident, Service, changes, drive
from tests.support.planning import (
    assert_lost_only_in_the_blind_spot,
    assert_nothing_old_was_shown_later,
    assert_proven_listing,
    letters,
)

WALKS = 20_000 if EXHAUSTIVE else 600
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


@pytest.mark.parametrize("mode", MODES)
def test_no_cluster_is_lost_and_nothing_is_proven_falsely(mode: str) -> None:
    came = Counter(walk(seed, mode) for seed in range(WALKS // len(MODES)))
    good = came["complete"] + came["proven"]
    assert good > 0.5 * came.total(), came
    assert came["raised"] < 0.1 * came.total(), came
