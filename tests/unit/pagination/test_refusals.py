"""What a refused page number is worth, and what a cached response is: no end, no witness, and asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from aiozilliz._pagination.decisions import Done, GiveUp, RequestPage, Wait, YieldRecords
from tests.support.moving_list import Habit, Service, drive
from tests.support.planning import letters, talk

if TYPE_CHECKING:
    from aiozilliz._pagination.planner import PagePlanner

SERVICE, OTHER = True, False


def in_flight(window: int, *pages: int, count: int | None = 10) -> PagePlanner[str]:
    """Return a planner of two a page that has read page 1, with these pages in flight."""
    planner = letters(2, window=window)
    planner.on_sent(RequestPage(1, 1))
    planner.on_page(RequestPage(1, 1), "ab", count=count, page_size=2)
    assert planner.next_records() == "ab"
    for page in pages:
        planner.on_sent(RequestPage(1, page))
    return planner


def test_a_refusal_of_page_1_is_never_an_empty_page() -> None:
    planner = letters(2)
    planner.on_sent(RequestPage(1, 1))
    assert not planner.on_refused(RequestPage(1, 1), by_service=True)
    assert planner.next_decision() == Wait()  # the caller still has it out
    planner.on_lost(RequestPage(1, 1))
    assert planner.next_decision() == RequestPage(1, 1)


def test_page_1_that_was_there_before_is_asked_for_again_and_then_raised() -> None:
    first = ("ab", 3), ("cd", 4)
    assert talk(letters(), *first, OTHER, SERVICE, ("ab", 4), ("cd", 4))[-1] == "done"
    assert talk(letters(), *first, SERVICE, SERVICE, SERVICE)[-3:] == ["2:1", "2:1", "raised"]


@pytest.mark.parametrize("count", [None, 2])
def test_two_refusals_past_the_end_end_the_pass_cleanly(count: int | None) -> None:
    planner = letters(2)
    assert talk(planner, ("ab", count), SERVICE, SERVICE) == ["1:1", "ab", "1:2", "1:2", "done"]
    assert planner.answers == 3


@pytest.mark.parametrize("count", [None, 4])
@pytest.mark.parametrize("refusals", [[SERVICE], [OTHER], [OTHER, OTHER], [SERVICE, OTHER], [OTHER, SERVICE]])
def test_a_refusal_is_no_end(refusals: list[bool], count: int | None) -> None:
    end = [("", None)] if count is None else []
    did = talk(letters(), ("ab", count), *refusals, ("cd", count), *end)
    assert did[2:-1] == ["1:2"] * (len(refusals) + 1) + ["cd"] + ["1:3"] * len(end)
    assert did[-1] == "done"


@pytest.mark.parametrize(
    "refusals",
    [[OTHER, OTHER, OTHER], [SERVICE, OTHER, SERVICE], [OTHER, OTHER, SERVICE], [SERVICE, OTHER, OTHER]],
)
def test_three_refusals_of_which_no_two_in_a_row_are_by_the_service_are_raised(refusals: list[bool]) -> None:
    assert talk(letters(), ("ab", None), *refusals) == ["1:1", "ab", "1:2", "1:2", "1:2", "raised"]


def test_two_refusals_in_a_row_count_as_the_third_try_too() -> None:
    assert talk(letters(), ("ab", None), OTHER, SERVICE, SERVICE)[-1] == "done"


def test_a_refusal_against_count_is_doubted_once_and_then_raised() -> None:
    did = talk(letters(), ("ab", 3), SERVICE, SERVICE, ("ab", 3), SERVICE, SERVICE)
    assert did == ["1:1", "ab", "1:2", "1:2", "2:1", "2:2", "2:2", "raised"]


def test_a_refusal_against_an_old_count_is_no_contradiction() -> None:
    end = talk(
        letters(), ("ab", 3), SERVICE, SERVICE, ("ab", None), SERVICE, SERVICE, ("ab", None), SERVICE, SERVICE
    )[-1]
    assert isinstance(end, GiveUp)
    assert "agree" in end.reason


def test_a_refusal_because_the_list_became_shorter_only_makes_another_pass() -> None:
    assert talk(letters(), ("ab", 3), SERVICE, SERVICE, ("a", 1)) == [
        "1:1",
        "ab",
        "1:2",
        "1:2",
        "2:1",
        "done",
    ]


def test_a_list_that_gets_longer_and_shorter_again_under_each_pass_is_never_a_contradiction() -> None:
    did = talk(
        letters(), ("ab", 3), SERVICE, SERVICE, ("ac", 3), SERVICE, SERVICE, ("ac", 2), SERVICE, SERVICE
    )
    assert did[-1] == "done"


def test_refusals_of_pages_in_flight_together_are_counted_apart() -> None:
    planner = in_flight(3, 2, 3, 4)
    for _ in range(2):
        for page in (3, 4):
            assert planner.on_refused(RequestPage(1, page), by_service=True)
            request = planner.next_request()
            if request is not None:
                planner.on_sent(request)
    planner.on_page(RequestPage(1, 2), "cd", count=4, page_size=2)
    assert planner.next_records() == "cd"
    assert planner.next_decision() == RequestPage(2, 1)


def test_pages_past_the_end_that_are_refused_in_turn_do_not_keep_each_other_alive() -> None:
    for first_refused in (2, 3):
        planner = in_flight(3, 2, 3, count=6)
        refused = 0
        out = [first_refused, 5 - first_refused]
        while out:
            page = out.pop(0)
            assert planner.on_refused(RequestPage(1, page), by_service=True)
            refused += 1
            while (request := planner.next_request()) is not None and request.pass_number == 1:
                planner.on_sent(request)
                out.append(request.page_number)
        assert refused <= 4
        assert planner.next_decision() == RequestPage(2, 1)


def test_a_page_that_is_not_needed_any_more_is_not_raised() -> None:
    planner = in_flight(3, 2, 3)
    for _ in range(2):
        assert planner.on_refused(RequestPage(1, 3), by_service=False)
        planner.on_sent(RequestPage(1, 3))
    planner.on_page(
        RequestPage(1, 2), "cd", count=4, page_size=2
    )  # this is the end, though count has changed
    assert planner.on_refused(RequestPage(1, 3), by_service=False)
    assert planner.next_records() == "cd"
    assert planner.next_decision() == RequestPage(2, 1)


def test_a_page_refused_before_those_in_front_of_it_have_come_is_no_contradiction_yet() -> None:
    """Page 2 brings all that count announces, so page 3 is past the end: in the second pass as in the first."""
    planner = letters(3, window=3)
    for number in (1, 2):
        planner.on_sent(RequestPage(number, 1))
        planner.on_page(RequestPage(number, 1), "a", count=3, page_size=3)
        planner.next_records()
        if number == 1:
            for page in (2, 3):
                planner.on_sent(RequestPage(number, page))
            for _ in range(2):
                assert planner.on_refused(RequestPage(number, 3), by_service=True)
                if planner.next_request() is not None:
                    planner.on_sent(RequestPage(number, 3))
        else:
            planner.on_sent(RequestPage(number, 2))
        planner.on_page(RequestPage(number, 2), "bc" if number == 2 else "bb", count=3, page_size=3)
        planner.next_records()
    assert [planner.next_records(), planner.next_decision()] == [None, Done()]


def test_a_refusal_that_is_no_end_is_asked_again_at_no_more_than_its_own_cost() -> None:
    """100 of 250, and one refusal by whatever stands between: nothing is lost."""
    names = tuple(f"c{i}" for i in range(250))
    for count in ("absent", "total", "first page"):
        for hiccups in ("signed", "unsigned"):
            service = Service(names, Habit("", count=count, hiccups=hiccups))
            run = drive(letters(100), service, 100)
            assert (run.end, run.yielded) == (Done(), list(names))
            assert len(run.arrived) == 3 + 2 + 2 * (count == "absent")


# The proof


def test_a_refusal_never_confirms_a_full_page_1_whose_count_is_its_own_length() -> None:
    end = talk(letters(verify=True, max_passes=1), ("ab", 2), SERVICE, SERVICE)[-1]
    assert isinstance(end, GiveUp)
    assert talk(letters(verify=True, max_passes=1), ("ab", 2), ("", 2))[-1] == "done"


@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("hiccups", ["signed", "unsigned"])
def test_a_count_of_the_page_alone_and_refusals_are_never_proven(
    hiccups: Literal["signed", "unsigned"], window: int
) -> None:
    for clusters in range(3, 12):
        names = tuple("abcdefghijkl"[:clusters])
        for refuses in (False, True):
            service = Service(names, Habit("", count="own", hiccups=hiccups, refuses=refuses))
            planner = letters(2, verify=True, window=window)
            run = drive(planner, service, 2, window=window)
            assert planner.proven is None
            assert run.raised or run.end != Done()


def test_a_quiet_list_is_proven_in_spite_of_refusals_by_its_own_pages() -> None:
    for hiccups in ("signed", "unsigned"):
        service = Service(tuple("abcdefg"), Habit("", hiccups=hiccups, refuses=True))
        planner = letters(2, verify=True)
        run = drive(planner, service, 2)
        assert (run.end, run.yielded) == (Done(), list("abcdefg"))
        assert len(run.arrived) <= 2 * 7


# Caches


def cached_talk(planner: PagePlanner[str], *answers: tuple[str, int, bool]) -> object:
    """Answer in turn with ids, count and whether it comes from the service; return the last decision."""
    left = list(answers)
    while left:
        decision = planner.next_decision()
        if isinstance(decision, RequestPage):
            planner.on_sent(decision)
            ids, count, fresh = left.pop(0)
            planner.on_page(decision, ids, count=count, page_size=2, fresh=fresh)
        else:
            assert isinstance(decision, YieldRecords)
    while isinstance(decision := planner.next_decision(), YieldRecords):
        pass
    return decision


def test_a_cached_response_is_read_but_proves_nothing() -> None:
    assert cached_talk(letters(), ("a", 1, False)) == Done()
    planner = letters(verify=True)
    assert cached_talk(planner, ("a", 1, False)) == RequestPage(2, 1)
    assert cached_talk(planner, ("a", 1, True)) == Done()


def test_a_cached_page_2_does_not_confirm_a_full_page_1() -> None:
    planner = letters(verify=True)
    assert cached_talk(planner, ("ab", 2, True), ("", 2, False)) != Done()
    assert planner.proven is None


def test_a_cached_page_where_the_passes_turn_is_asked_again() -> None:
    quiet = [("ab", 5, True), ("cd", 5, True), ("e", 5, False)]
    planner = letters(verify=True)
    assert cached_talk(planner, *quiet) == RequestPage(2, 3)
    assert cached_talk(planner, ("e", 5, True), ("cd", 5, True), ("ab", 5, True)) == Done()
    assert planner.answers == 6


@pytest.mark.parametrize("window", [1, 2, 4])
def test_a_quiet_list_behind_a_cache_that_says_so_is_proven(window: int) -> None:
    for clusters in range(10):
        service = Service(tuple("abcdefghij"[:clusters]), Habit("", stale="said"))
        planner = letters(2, verify=True, window=window, max_passes=8)
        run = drive(planner, service, 2, window=window)
        assert (run.end, run.yielded) == (Done(), list(service.clusters))


def test_if_all_comes_from_a_cache_the_reason_says_so() -> None:
    planner = letters(verify=True, max_passes=2)
    end = cached_talk(planner, *[("a", 1, False)] * 2)
    assert isinstance(end, GiveUp)
    assert "2 responses came from a cache" in end.reason
