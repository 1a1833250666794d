"""What a response is worth: no cluster lost to a missing count, a lagging replica or a known page; quiet readings."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import pytest

from aiozilliz._pagination.decisions import Cause, Done, GiveUp, RequestPage, YieldRecords
from tests.support.exhaustive import EXHAUSTIVE
from tests.support.moving_list import (
    BLIND_SPOTS,
    HABITS,
    Change,
    EndlessService,
    Habit,
    Service,
    changes,
    drive,
    every_choice,
)
from tests.support.planning import (
    assert_nothing_old_was_shown_later,
    assert_proven_listing,
    check,
    letters,
    talk,
)

if TYPE_CHECKING:
    from aiozilliz._pagination.planner import PagePlanner

HONEST = HABITS[0]
PARTLY_COUNTED = [
    habit
    for habit in HABITS
    if habit.counts_truly
    and habit.count != "absent"
    and not (habit.ignores_page or habit.doubles or habit.stale)
]


def names(number: int) -> tuple[str, ...]:
    return tuple(f"c{i:03}" for i in range(number))


# A missing count is unknown


def test_a_count_missing_on_a_later_page_is_unknown_and_not_a_change() -> None:
    assert talk(letters(), ("ab", 5), ("cd", None), ("e", 5))[-1] == "done"


def test_a_cluster_created_behind_the_cursor_loses_none_if_only_page_1_has_a_count() -> None:
    assert talk(letters(), ("ab", 4), ("cx", None), ("d", None))[:6] == ["1:1", "ab", "1:2", "cx", "1:3", "d"]


def test_a_full_page_without_a_count_is_no_end_and_costs_one_response_more() -> None:
    assert talk(letters(), ("ab", 4), ("cd", None), ("", None))[-2:] == ["1:3", "done"]
    assert talk(letters(), ("ab", 3), ("c", None))[-2:] == ["c", "done"]
    assert talk(letters(), ("ab", 4), ("cd", 4))[-2:] == ["cd", "done"]


def test_a_page_as_long_as_others_is_full_whatever_was_asked_for() -> None:
    assert talk(letters(3), ("ab", 4), ("cx", None), page_size=3)[-1] == "1:3"
    # What is known of the first pass holds in the second.
    assert talk(letters(3), ("ab", 3), ("b", 2), ("ab", None), page_size=3)[-1] == "2:2"


def test_a_pass_without_counts_is_held_against_the_latest_one_known() -> None:
    first = ("ab", 4), ("cd", 5), ("e", 5)
    did = talk(letters(), *first, ("ab", None), ("c", None), ("", None))
    assert did[-1] == "3:1"
    assert talk(letters(), *first, ("ab", None), ("cd", None), ("e", None))[-1] == "done"


def test_a_page_without_a_count_that_was_requested_together_with_others_makes_another_pass() -> None:
    planner = letters(window=3)
    run = drive(planner, Service(tuple("abcdefg"), Habit("", count="first page")), 2, window=3)
    assert (run.end, run.yielded) == (Done(), list("abcdefg"))
    assert [str(r) for r in planner.repeated] == [
        "not every page up to page 2 has a count, so a change may have gone unseen"
    ]
    second = [f for f in run.flights if f.request.pass_number == 2]
    assert all(a.arrived is not None and a.arrived < b.sent for a, b in itertools.pairwise(second)), (
        "one by one"
    )


@pytest.mark.parametrize("window", [1, 2, 3])
@pytest.mark.parametrize("habit", PARTLY_COUNTED, ids=str)
def test_a_single_change_loses_no_cluster_in_any_order(habit: Habit, window: int) -> None:
    cases = itertools.product(range(7), (1, 2, 3), range(8))
    for clusters, page_size, at in itertools.islice(cases, 0, None, 1 if EXHAUSTIVE else 11):
        for change in changes(clusters):
            ways = 200 if EXHAUSTIVE else 6
            for choose in itertools.islice(every_choice(), ways if window > 1 else 1):
                service = Service(tuple("abcdefg"[:clusters]), habit, {at: [change]})
                run = drive(letters(page_size, window=window), service, page_size, choose, window=window)
                assert run.end == Done() or habit.count == "first reads", (
                    "there the latest count may be an old one"
                )
                assert service.survivors <= set(run.yielded)


def test_a_cached_page_without_a_count_makes_another_pass() -> None:
    planner = letters()
    for page, ids, count, fresh in ((1, "ab", 3, True), (2, "c", None, False)):
        planner.on_sent(RequestPage(1, page))
        planner.on_page(RequestPage(1, page), ids, count=count, page_size=2, fresh=fresh)
        planner.next_records()
    assert planner.next_decision() == RequestPage(2, 1)


def test_a_first_count_that_comes_late_makes_another_pass_that_it_is_held_against() -> None:
    # d goes after page 1 was read, and takes e to a page that was.
    assert talk(letters(3), ("abc", None), ("efg", 6), page_size=3)[-1] == "2:1"
    pages = ("ab", None), ("cd", 5), ("e", None)
    assert talk(letters(), *pages, *pages)[-3:] == ["2:2", "2:3", "done"]
    assert talk(letters(), *pages, ("ab", None), ("de", 4))[-1] == "3:1"


# Known pages


def test_a_page_of_known_ids_is_no_end_while_more_must_follow() -> None:
    did = talk(letters(), ("ab", 5), ("ab", 5), ("cd", 5), ("e", 5), ("ab", 5), ("cd", 5), ("e", 5))
    assert did == ["1:1", "ab", "1:2", "1:3", "cd", "1:4", "e", "2:1", "2:2", "2:3", "done"]


def test_a_record_that_comes_twice_on_one_page_is_yielded_once() -> None:
    assert talk(letters(), ("aa", 4), ("b", 4))[:2] == ["1:1", "a"]
    assert talk(letters(), ("ab", 4), ("cc", 4))[:4] == ["1:1", "ab", "1:2", "c"]


def test_two_pages_of_known_ids_in_a_row_are_an_end() -> None:
    assert talk(letters(), ("ab", 5), ("ab", 5), ("ab", 5))[-1] == "2:1"
    assert talk(letters(), ("ab", 9), ("ab", 9), ("cd", 9), ("cd", 9))[-1] == "1:5"
    assert talk(letters(), ("ab", 5), ("ab", 5), ("", 5))[-1] == "2:1"


def test_known_pages_cost_no_more_than_two_for_each_new_one() -> None:
    answers = [page for i in range(1, 10) for page in ((f"{i}", 99), (f"{i}", 99))]
    assert talk(letters(), *answers, ("1", 99))[-1] == "2:1"


# Quiet readings


@pytest.mark.parametrize("window", [1, 2, 3, 4])
@pytest.mark.parametrize("pages", range(1, 9))
def test_a_quiet_reading_of_k_pages_after_a_proven_one_takes_k_responses(pages: int, window: int) -> None:
    for page_size, short in ((1, 0), (2, 0), (2, 1), (3, 1)):
        clusters = names(pages * page_size - short)
        planner = letters(page_size, verify=True, window=window, listed_before=clusters)
        service = Service(clusters, HONEST)
        run = drive(planner, service, page_size, window=window)
        assert (run.end, run.yielded) == (Done(), list(clusters))
        assert len(run.arrived) == (2 if pages == 1 and not short else pages)
        assert_proven_listing(service, planner, run)


@pytest.mark.parametrize("window", [1, 2, 3])
def test_a_quiet_reading_with_a_change_at_any_point_is_proven_truly(window: int) -> None:
    cases = itertools.product(range(1, 9), (1, 2, 3), range(16))
    for clusters, page_size, at in itertools.islice(cases, 0, None, 1 if EXHAUSTIVE else 5):
        for change in changes(clusters):
            service = Service(tuple("abcdefghi"[:clusters]), HONEST, {at: [change]})
            planner = letters(page_size, verify=True, window=window, listed_before=service.clusters)
            run = drive(planner, service, page_size, window=window)
            check(service, planner, run, page_size, window=window, verify=True)
            assert run.end == Done()
            pages = math.ceil((clusters + 1) / page_size)
            assert len(run.arrived) <= 4 * pages + 2
            if len(service.listings) <= at:
                break


def test_a_reading_after_many_changes_is_as_good_as_one_without_evidence() -> None:
    service = Service(tuple("abcdefg"), HONEST)
    planner = letters(verify=True, listed_before="stuvwx")
    run = drive(planner, service, 2)
    assert (run.end, len(run.arrived)) == (Done(), 7)


# Replicas


def comes(planner: PagePlanner[str], request: RequestPage, ids: str, count: int) -> None:
    planner.on_page(request, ids, count=count, page_size=2)


def test_what_is_in_flight_refutes_a_proof_and_the_reading_goes_on() -> None:
    planner = letters(verify=True, window=4)
    for page, ids, count in ((1, "ab", 8), (2, "cd", 8), (3, "ef", 8)):
        planner.on_sent(RequestPage(1, page))
        comes(planner, RequestPage(1, page), ids, count)
        planner.next_records()
    # A replica that lags behind, and knows a to d only.
    planner.on_sent(RequestPage(1, 4))
    comes(planner, RequestPage(1, 4), "", 4)
    for page in (3, 2, 1):
        planner.on_sent(RequestPage(2, page))
    comes(planner, RequestPage(2, 1), "ab", 6)
    comes(planner, RequestPage(2, 2), "cd", 6)
    assert planner.proven is not None
    assert planner.next_request() is None
    comes(planner, RequestPage(2, 3), "gh", 6)
    assert planner.proven is None
    assert planner.next_decision() == RequestPage(3, 1)
    assert planner.next_records() == "gh"
    run = drive(planner, Service(tuple("abcdgh"), HONEST), 2, window=4)
    assert run.end == Done()
    assert planner.proven is not None
    assert "".join(filter(planner.proven.holds, "abcdefgh")) == "abcdgh"


@pytest.mark.parametrize("habit", BLIND_SPOTS, ids=str)
def test_a_stale_response_that_does_not_say_so_proves_nothing_that_a_later_one_refutes(habit: Habit) -> None:
    proven = false = 0
    for clusters, page_size, at in itertools.product(range(2, 8), (1, 2, 3), range(8)):
        for change in changes(clusters):
            service = Service(tuple("abcdefgh"[:clusters]), habit, {at: [change]})
            planner = letters(page_size, verify=True, window=2)
            run = drive(planner, service, page_size, window=2)
            if planner.proven is None:
                continue
            assert_nothing_old_was_shown_later(planner, run)
            proven += 1
            held = set(filter(planner.proven.holds, service.ever))
            false += held not in [set(version) for version in service.versions]
    assert 0 < false < proven, "the rest is beyond the proof: an old count that fits the pages read"


# Bounds


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("window", [1, 3])
def test_a_service_that_invents_records_for_ever_is_bounded_in_records(window: int, verify: bool) -> None:
    planner = letters(2, window=window, verify=verify, max_records=20)
    run = drive(planner, EndlessService((), HONEST), 2, window=window)
    assert isinstance(run.end, GiveUp)
    assert 20 < len(run.yielded) <= 22 + 2 * (window - 1)
    assert "ids" in run.end.reason


@pytest.mark.parametrize("verify", [False, True])
def test_a_list_of_as_many_records_as_the_bound_is_read_to_its_end(verify: bool) -> None:
    planner = letters(2, verify=verify, max_records=7)
    run = drive(planner, Service(tuple("abcdefg"), HONEST), 2)
    assert run.end == Done()


def test_moments_that_are_given_up_do_not_cost_the_proof_of_the_first_ones() -> None:
    """On the way back every second response shows a list that is one shorter, at the end that was read again."""
    pages = 100
    script = {pages + i: [Change("delete", pages - 1 - i // 2)] for i in range(0, pages - 1, 2)}
    service = Service(names(pages), HONEST, script)
    planner = letters(1, verify=True)
    run = drive(planner, service, 1)
    assert (run.end, len(run.arrived)) == (Done(), 2 * pages - 1)
    assert planner.proven is not None
    assert planner.proven.request == RequestPage(1, pages)
    assert_proven_listing(service, planner, run)


def test_the_reasons_of_this_part_are_among_those_that_show_that_the_list_moved() -> None:
    planner = letters(window=3)
    drive(planner, Service(tuple("abcdefg"), Habit("", count="first page")), 2, window=3)
    assert [r.cause for r in planner.repeated] == [Cause.COUNT_MISSING]
    assert isinstance(planner.next_decision(), (Done, YieldRecords))
