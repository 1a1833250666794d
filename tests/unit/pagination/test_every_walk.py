"""Every small list under every pair of changes and every habit, and larger ones by chance.

What is expected comes from what `iter_clusters` promises, not from the planner. `AIOZILLIZ_EXHAUSTIVE=1` runs all
cases; without it each test takes an even share of them.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st

from aiozilliz._pagination.decisions import Done, GiveUp, RequestPage, YieldRecords
from tests.support.exhaustive import EXHAUSTIVE
from tests.support.moving_list import (
    BLIND_SPOTS,
    HABITS,
    Change,
    Habit,
    Service,
    changes,
    drive,
    every_choice,
    first,
    is_old,
)
from tests.support.planning import (
    assert_proven_listing,
    check,
    deletion_hidden_by_creation,
    letters,
)
from tests.support.proof_definition import proof_by_definition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HONEST = HABITS[0]
BY_HABIT = pytest.mark.parametrize("habit", [*HABITS, *BLIND_SPOTS], ids=str)
BY_VERIFY = pytest.mark.parametrize("verify", [False, True], ids=["plain", "verify"])
MODES = {"plain": (False, False), "verify": (True, False), "again": (True, True)}
BY_MODE = pytest.mark.parametrize(("verify", "again"), MODES.values(), ids=MODES)
"""Plain, with the proof, and with the proof and the evidence of a reading before."""


def pairs(share: int, habit: Habit) -> Iterator[tuple[int, int, tuple[Change, Change]]]:
    """Every list of 0 to 4 clusters, page size, and ordered pair of changes; an even share, of each habit another."""
    cases = (
        (clusters, page_size, pair)
        for clusters in range(5)
        for page_size in (1, 2, 3)
        for one in changes(clusters)
        for pair in ((one, other) for other in changes(clusters + 1))
    )
    return itertools.islice(cases, *((0, None, 1) if EXHAUSTIVE else (number_of(habit) % share, None, share)))


def number_of(habit: Habit) -> int:
    return [*HABITS, *BLIND_SPOTS].index(habit)


def place(run: Callable[[dict[int, list[Change]]], int], pair: tuple[Change, Change]) -> None:
    """Place both changes at every pair of points between two reads; `run` gives how many reads there were."""
    one, two = pair
    for at in itertools.count():
        reached = run({at: [one, two]}) > at
        for later in itertools.count(at + 1):
            if not reached or run({at: [one], later: [two]}) <= later:
                break
        if not reached:
            break


@BY_MODE
@BY_HABIT
def test_every_pair_of_changes_at_every_point_between_requests(
    habit: Habit, verify: bool, again: bool
) -> None:
    for clusters, page_size, pair in pairs(127, habit):

        def run(script: dict[int, list[Change]], clusters: int = clusters, page_size: int = page_size) -> int:
            service = Service(tuple("abcd"[:clusters]), habit, script)
            planner = letters(page_size, verify=verify, listed_before=service.clusters if again else ())
            check(service, planner, drive(planner, service, page_size), page_size, window=1, verify=verify)
            return len(service.listings)

        place(run, pair)


@BY_MODE
@BY_HABIT
def test_every_change_under_every_order_of_two_answers_in_flight(
    habit: Habit, verify: bool, again: bool
) -> None:
    cases = [
        (clusters, page_size, change)
        for clusters in range(5)
        for page_size in (1, 2)
        for change in changes(clusters)
    ]
    for clusters, page_size, change in cases if EXHAUSTIVE else cases[number_of(habit) % 17 :: 17]:
        for at in range(8):
            reached = False
            for choose in itertools.islice(every_choice(), 2_000 if EXHAUSTIVE else 20):
                service = Service(tuple("abcd"[:clusters]), habit, {at: [change]})
                before = service.clusters if again else ()
                planner = letters(page_size, verify=verify, window=2, listed_before=before)
                run = drive(planner, service, page_size, choose, window=2)
                check(service, planner, run, page_size, window=2, verify=verify)
                reached = reached or len(service.listings) > at
            if not reached:
                break


@BY_MODE
@BY_HABIT
def test_pairs_of_changes_under_two_answers_in_flight(habit: Habit, verify: bool, again: bool) -> None:
    chance = random.Random(f"{habit} {verify} {again}")
    for clusters, page_size, pair in pairs(17, habit):
        for _ in range(20 if EXHAUSTIVE else 1):
            script: dict[int, list[Change]] = {}
            for change in pair:
                script.setdefault(chance.randrange(9), []).append(change)
            service = Service(tuple("abcd"[:clusters]), habit, script)
            before = service.clusters if again else ()
            planner = letters(page_size, verify=verify, window=2, listed_before=before)
            run = drive(planner, service, page_size, chance.randrange, window=2)
            check(service, planner, run, page_size, window=2, verify=verify)


def test_only_a_deletion_before_the_cursor_hidden_by_a_creation_behind_it_can_lose_a_cluster() -> None:
    lost: Counter[tuple[str, str]] = Counter()
    for clusters, page_size in itertools.product(range(5), (1, 2, 3)):
        for pair in itertools.product(changes(clusters + 1), repeat=2):
            for point in range(6):
                service = Service(tuple("abcd"[:clusters]), HONEST, {point: list(pair)})
                planner = letters(page_size)
                run = drive(planner, service, page_size)
                if run.end == Done() and not service.survivors <= set(run.yielded):
                    assert deletion_hidden_by_creation(service, run, page_size, window=1)
                    lost[pair[0].kind, pair[1].kind] += 1
    assert set(lost) == {("delete", "create"), ("create", "delete")}, (
        "the loss is real, and has no other cause"
    )


def test_verify_does_not_lose_it() -> None:
    script = {1: [Change("delete", 0), Change("create", 2)]}
    service = Service(tuple("abcd"), HONEST, script)
    plain = drive(letters(2), service, 2)
    assert (plain.end, plain.yielded) == (Done(), ["a", "b", "d", "new 1"])
    service = Service(tuple("abcd"), HONEST, script)
    verified = drive(letters(2, verify=True), service, 2)
    assert verified.end == Done()
    assert sorted(verified.yielded) == ["a", "b", "c", "d", "new 1"]


@BY_VERIFY
@pytest.mark.parametrize("habit", [h for h in HABITS if h.count == "own" and not h.ignores_page], ids=str)
def test_a_count_of_the_page_alone_loses_nothing_to_a_creation(habit: Habit, verify: bool) -> None:
    for clusters, page_size, at, place in itertools.product(range(6), (2, 3), range(6), range(3)):
        service = Service(tuple("abcdef"[:clusters]), habit, {at: [Change("create", place)]})
        run = drive(letters(page_size, verify=verify), service, page_size)
        if run.end == Done() and not run.raised:
            assert service.survivors <= set(run.yielded)


@BY_VERIFY
@BY_HABIT
def test_nothing_that_a_quiet_list_shows_is_missed(habit: Habit, verify: bool) -> None:
    for clusters, page_size in itertools.product(range(7), (1, 2, 3)):
        service = Service(tuple("abcdefg"[:clusters]), habit)
        run = drive(letters(page_size, verify=verify), service, page_size)
        if run.end == Done() and habit.count != "under" and not habit.ignores_page and not run.raised:
            silent = habit.cap is not None and not habit.echoes and habit.count == "own"
            ordered = sorted(run.yielded) if habit.repeats else run.yielded
            assert silent or ordered == list(service.clusters)
        if habit.counts_truly and not habit.ignores_page and not habit.doubles:
            assert not run.raised
            assert verify or run.end == Done()


# Larger, by chance


def loss_of(data: st.DataObject, often: bool) -> Callable[[], bool]:
    return lambda: often and data.draw(st.integers(0, 7), label="lost?") == 7


@BY_VERIFY
@settings(max_examples=2_000 if EXHAUSTIVE else 90)
@given(data=st.data())
def test_larger_lists_more_changes_any_window_and_lost_requests(data: st.DataObject, verify: bool) -> None:
    habit = data.draw(st.sampled_from(HABITS), label="habit")
    clusters = data.draw(st.integers(0, 14), label="clusters")
    page_size = data.draw(st.integers(1, 5), label="page size")
    window = data.draw(st.integers(1, 5), label="window")
    max_passes = data.draw(st.integers(1, 6), label="passes")
    script = data.draw(
        st.dictionaries(
            st.integers(0, 20), st.lists(st.sampled_from(changes(15)), min_size=1, max_size=3), max_size=5
        ),
        label="changes",
    )
    service = Service(tuple("abcdefghijklmn"[:clusters]), habit, script)
    before = service.clusters if data.draw(st.booleans(), label="again") else ()
    planner = letters(page_size, verify=verify, window=window, max_passes=max_passes, listed_before=before)
    run = drive(
        planner,
        service,
        page_size,
        lambda number: data.draw(st.integers(0, number - 1), label="next"),
        window=window,
        lose=loss_of(data, often=data.draw(st.booleans(), label="may lose")),
    )
    assert len(run.yielded) == len(set(run.yielded))
    assert len(run.arrived) <= 3 * max_passes * (2 * (len(service.ever) + 1) + window)
    if run.raised:
        assert habit.refuses or habit.hiccups
        return
    assert set(run.yielded) == {cluster for flight in run.arrived for cluster in flight.ids}
    if run.end == Done() and verify and habit.counts_truly:
        assert service.survivors <= set(run.yielded)
        assert_proven_listing(service, planner, run)
    if verify and planner.count is not None:
        expected = proof_by_definition(run.arrived, page_size, listed_before=before, is_old=is_old)
        if habit.is_honest:
            assert run.stages == [flight.request if flight else None for flight in expected]
        elif planner.proven is not None:
            assert expected[-1] is not None


@settings(max_examples=2_000 if EXHAUSTIVE else 60)
@given(
    st.lists(st.tuples(st.text("abcd", max_size=3), st.none() | st.integers(0, 5), st.integers(-1, 4))),
    st.integers(1, 4),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_any_answers_whatever_end_the_walk_and_give_no_id_twice(
    answers: list[tuple[str, int | None, int]], window: int, verify: bool, chance: random.Random
) -> None:
    planner = letters(2, window=window, verify=verify, max_passes=4)
    out: list[RequestPage] = []
    yielded: list[str] = []
    fed: set[str] = set()
    source = itertools.cycle(answers or [("", 1, 2)])
    while not isinstance(decision := planner.next_decision(), (Done, GiveUp)):
        if isinstance(decision, RequestPage):
            planner.on_sent(decision)
            out.append(decision)
        elif isinstance(decision, YieldRecords):
            yielded.extend(decision.records)
        else:
            ids, count, echo = next(source)
            fed.update(ids)
            planner.on_page(out.pop(chance.randrange(len(out))), ids, count=count, page_size=echo)
    assert len(yielded) == len(set(yielded))
    assert set(yielded) == fed
    assert planner.answers <= 4 * (2 * (4 + 1) + window)


def test_the_chooser_takes_every_way_once() -> None:
    ways = [(choose(2), choose(3) if choose(2) else first(9)) for choose in every_choice()]
    assert len(ways) == 2 * 1 + 2 * 3
