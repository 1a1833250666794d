"""The planner: its rules one by one, then every small list under every pair of changes and every habit.

What is expected comes from what `iter_clusters` promises, not from the planner. `AIOZILLIZ_EXHAUSTIVE=1` runs all
cases; without it each test takes an even share of them.
"""

from __future__ import annotations

import gc
import itertools
import math
import os
import random
import weakref
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from attrs import frozen
from hypothesis import given, settings, strategies as st

from aiozilliz._pagination.decisions import Decision, Done, GiveUp, RequestPage, Wait, YieldRecords
from aiozilliz._pagination.planner import PagePlanner
from tests.support.moving_list import (
    HABITS,
    Change,
    EndlessService,
    Habit,
    Run,
    Service,
    changes,
    drive,
    every_choice,
    first,
    proof_by_definition,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXHAUSTIVE = os.environ.get("AIOZILLIZ_EXHAUSTIVE", "") not in {"", "0"}
HONEST = HABITS[0]
BY_HABIT = pytest.mark.parametrize("habit", HABITS, ids=str)
BY_VERIFY = pytest.mark.parametrize("verify", [False, True], ids=["plain", "verify"])


def talk(
    planner: PagePlanner[str], *answers: tuple[str, int | None], page_size: int = 2
) -> list[str | GiveUp]:
    """Answer the planner's requests in turn. Return what it did: pages asked, records yielded, how it ended."""
    did: list[str | GiveUp] = []
    left = list(answers)
    while True:
        match planner.next_decision():
            case RequestPage() as request:
                did.append(f"{request.pass_number}:{request.page_number}")
                if not left:
                    return did
                planner.on_sent(request)
                ids, count = left.pop(0)
                planner.on_page(request, ids, count=count, page_size=page_size)
            case YieldRecords(records):
                did.append("".join(records))
            case Done():
                assert not left
                return [*did, "done"]
            case GiveUp() as end:
                assert not left
                return [*did, end]
            case Wait():  # pragma: no cover
                pytest.fail("nothing is out")


def letters(
    page_size: int = 2,
    *,
    window: int = 1,
    verify: bool = False,
    max_passes: int = 5,
    require_count: bool = True,
    max_answers: int = 100_000,
) -> PagePlanner[str]:
    return PagePlanner(
        page_size=page_size,
        key=str,
        window=window,
        verify=verify,
        max_passes=max_passes,
        require_count=require_count,
        max_answers=max_answers,
    )


# How many requests


@pytest.mark.parametrize("window", [1, 2, 3, 7])
@pytest.mark.parametrize("page_size", [1, 2, 3, 5])
@BY_VERIFY
def test_a_quiet_list_of_k_pages_takes_k_requests_and_2k_minus_1_with_verify(
    page_size: int, window: int, verify: bool
) -> None:
    for clusters in range(12):
        service = Service(tuple("abcdefghijkl"[:clusters]), HONEST)
        planner = letters(page_size, window=window, verify=verify)
        run = drive(planner, service, page_size, window=window)
        pages = max(1, math.ceil(clusters / page_size))
        one_full_page = clusters == page_size
        expected = 2 if one_full_page else 2 * pages - 1 if verify else pages
        assert (run.end, run.yielded, planner.answers) == (Done(), list(service.clusters), expected)
        assert planner.count == clusters
        assert planner.pass_number == (1 if expected <= pages or one_full_page else 2)


@pytest.mark.parametrize("window", [2, 3, 5])
@BY_VERIFY
def test_a_quiet_list_takes_no_more_requests_in_any_order_of_answers(window: int, verify: bool) -> None:
    for choose in itertools.islice(every_choice(), None if EXHAUSTIVE else 500):
        service = Service(tuple("abcdefghi"), HONEST)
        planner = letters(2, window=window, verify=verify)
        run = drive(planner, service, 2, choose, window=window)
        assert (run.end, run.yielded, planner.answers) == (Done(), list("abcdefghi"), 9 if verify else 5)


# When a pass ends, and when it is clean


def test_a_short_page_ends_nothing() -> None:
    assert talk(letters(), ("a", 3), ("bc", 3)) == ["1:1", "a", "1:2", "bc", "done"]
    assert talk(letters(), ("a", None), ("b", None), ("", None)) == [
        "1:1", "a", "1:2", "b", "1:3", "done",
    ]  # fmt: skip


def test_a_full_first_page_is_not_believed_to_be_all() -> None:
    assert talk(letters(), ("ab", 2), ("", 2)) == ["1:1", "ab", "1:2", "done"]
    assert talk(letters(), ("ab", 2), ("", 0)) == ["1:1", "ab", "1:2", "done"]
    assert talk(letters(), ("ab", 2), ("ab", 2)) == ["1:1", "ab", "1:2", "done"]
    assert talk(letters(), ("ab", 2), ("b", None)) == ["1:1", "ab", "1:2", "done"]
    assert talk(letters(), ("ab", 2), ("cd", 2)) == ["1:1", "ab", "1:2", "cd", "1:3"]


def test_a_next_page_that_brings_nothing_but_a_higher_count_is_doubted() -> None:
    assert talk(letters(), ("ab", 2), ("", 3)) == ["1:1", "ab", "1:2", "2:1"]


@pytest.mark.parametrize(("echo", "asks_on"), [(2, True), (3, False), (9, False), (0, False), (-1, False)])
def test_a_first_page_is_full_by_what_is_asked_or_by_what_is_echoed(echo: int, asks_on: bool) -> None:
    assert talk(letters(3), ("ab", 2), *[("", 2)] * asks_on, page_size=echo)[-2:] == (
        ["1:2", "done"] if asks_on else ["ab", "done"]
    )


def test_a_count_missing_on_a_later_page_is_unknown_and_not_a_change() -> None:
    assert talk(letters(), ("ab", 5), ("cd", None), ("e", 5))[-1] == "done"
    assert talk(letters(), ("ab", None), ("cd", 5), ("e", None))[-1] == "done"


def test_a_count_that_changes_makes_a_second_pass() -> None:
    assert talk(letters(), ("ab", 3), ("cd", 4), ("ab", 4), ("cd", 4)) == [
        "1:1", "ab", "1:2", "cd", "2:1", "2:2", "done",
    ]  # fmt: skip


def test_an_id_that_comes_twice_makes_a_second_pass_and_is_yielded_once() -> None:
    assert talk(letters(), ("ab", 4), ("bc", 4), ("d", 4), ("ab", 4), ("cd", 4)) == [
        "1:1", "ab", "1:2", "c", "1:3", "d", "2:1", "2:2", "done",
    ]  # fmt: skip
    assert talk(letters(), ("aa", None), ("b", None), ("", None))[-1] == "2:1"


def test_what_a_second_pass_finds_new_is_yielded() -> None:
    assert talk(letters(), ("ab", 3), ("", 3), ("ac", 3), ("b", 3)) == [
        "1:1", "ab", "1:2", "2:1", "c", "2:2", "done",
    ]  # fmt: skip


def test_a_count_too_low_loses_nothing_while_a_page_still_brings_more() -> None:
    pages = (("ab", 3), ("cd", 3), ("e", 3), ("", 3))
    assert [did for did in talk(letters(), *pages, *pages) if did in {"ab", "cd", "e"}] == ["ab", "cd", "e"]


def test_where_there_is_no_count_a_page_of_known_records_is_a_clean_end() -> None:
    assert talk(letters(), ("ab", None), ("ab", None)) == ["1:1", "ab", "1:2", "done"]
    assert talk(letters(), ("", None)) == ["1:1", "done"]


# Giving up


def test_two_passes_that_agree_with_each_other_but_not_with_count_are_enough() -> None:
    end = talk(letters(), ("ab", 4), ("c", 4), ("", 4), ("ba", 4), ("c", 4), ("", 4))[-1]
    assert isinstance(end, GiveUp)
    assert (end.expected, end.received, end.passes) == (4, 3, 2)


def test_verify_asks_whether_passes_agree_only_when_the_end_was_seen_anew() -> None:
    # b goes before page 2 is asked, and c comes before page 1 is asked again.
    assert talk(letters(1, verify=True), ("a", 2), ("", None), ("a", 2), ("c", 2), ("a", 2), page_size=1) == [
        "1:1", "a", "1:2", "2:1", "3:2", "c", "4:1", "done",
    ]  # fmt: skip
    end = talk(letters(verify=True), ("ab", 4), ("c", 4), ("", 4), ("c", 4), ("ab", 4), ("c", 4), ("", 4))[-1]
    assert isinstance(end, GiveUp)
    assert (end.expected, end.received, end.passes) == (4, 3, 3)


def test_passes_of_which_one_brought_more_do_not_agree() -> None:
    assert talk(letters(), ("ab", 4), ("", 4), ("ab", 4), ("x", 4), ("", 4))[-1] == "3:1"


def test_passes_whose_counts_moved_do_not_agree() -> None:
    assert talk(letters(), ("ab", 3), ("", 3), ("ab", 2), ("", 3), ("ab", 2), ("", 2))[-1] == "done"


@pytest.mark.parametrize("max_passes", [1, 2, 3])
def test_without_a_clean_pass_it_gives_up_after_max_passes(max_passes: int) -> None:
    end = talk(letters(max_passes=max_passes), *[("aab", 2)] * max_passes)[-1]
    assert isinstance(end, GiveUp)
    assert (end.expected, end.received, end.passes) == (2, 2, max_passes)


def test_verify_gives_up_at_once_where_there_is_no_count_but_yields_what_came() -> None:
    did = talk(letters(verify=True), ("ab", None))
    assert did[:-1] == ["1:1", "ab"]
    assert isinstance(did[-1], GiveUp)
    assert (did[-1].expected, did[-1].received, did[-1].passes) == (None, 2, 1)


def test_verify_that_does_not_insist_on_a_count_goes_on_without() -> None:
    planner = letters(verify=True, require_count=False)
    assert talk(planner, ("ab", None), ("c", None), ("", None))[-1] == "done"
    assert planner.proven is None
    assert planner.last_pass == {"a", "b", "c"}
    planner = letters(verify=True, require_count=False)
    assert talk(planner, ("ab", 3), ("c", None), ("ab", 3), ("c", 3))[-1] == "done"
    assert planner.proven is not None


@pytest.mark.parametrize("max_passes", [1, 2])
def test_verify_gives_up_where_the_passes_bring_no_proof(max_passes: int) -> None:
    answers = [("ab", 4), ("cx", 4), ("ay", 5)][: max_passes + 1]
    end = talk(letters(verify=True, max_passes=max_passes), *answers)[-1]
    assert isinstance(end, GiveUp)
    assert end.passes == max_passes
    assert "proof" in end.reason


def test_verify_says_so_where_the_answers_contradict_each_other() -> None:
    end = talk(letters(verify=True, max_passes=1), ("abc", 2), ("", 2))[-1]
    assert isinstance(end, GiveUp)
    assert "contradict" in end.reason


@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("count", ["total", "absent"])
@BY_VERIFY
def test_a_service_that_invents_records_for_ever_meets_the_bound(
    count: str, window: int, verify: bool
) -> None:
    service = EndlessService((), Habit("", count="total" if count == "total" else "absent"))
    planner = letters(2, window=window, verify=verify, require_count=False, max_answers=50)
    run = drive(planner, service, 2, random.Random(1).randrange, window=window)
    assert isinstance(run.end, GiveUp)
    assert planner.answers == 50
    assert len(run.yielded) == len(set(run.yielded)) == run.end.received == 100


# The turns with verify


def test_verify_goes_back_from_the_last_page_and_on_from_the_first() -> None:
    # a goes before page 1 is read again
    answers = (("ab", 5), ("cd", 5), ("e", 5), ("cd", 5), ("bc", 4), ("de", 4))
    planner = letters(verify=True)
    assert talk(planner, *answers) == [
        "1:1", "ab", "1:2", "cd", "1:3", "e", "2:2", "2:1", "3:2", "done",
    ]  # fmt: skip
    assert planner.proven is not None
    assert planner.proven.request == RequestPage(2, 1)
    assert "".join(filter(planner.proven.holds, "abcdef")) == "bcde"


def test_a_first_page_that_would_be_a_pass_by_itself_is_asked_again() -> None:
    assert talk(letters(verify=True), ("", 1), ("a", 1)) == ["1:1", "2:1", "a", "done"]


def sends(planner: PagePlanner[str], number: int) -> list[int]:
    """Send up to `number` requests, with a consumer that takes all it can get; give the pages."""
    pages: list[int] = []
    while len(pages) < number:
        match planner.next_decision():
            case RequestPage() as request:
                planner.on_sent(request)
                pages.append(request.page_number)
            case YieldRecords():
                pass
            case _:
                break
    return pages


def comes(planner: PagePlanner[str], in_pass: int, page: int, ids: str, count: int) -> None:
    planner.on_page(RequestPage(in_pass, page), ids, count=count, page_size=2)


def test_with_a_window_the_last_page_goes_alone_and_then_all_before_it_together() -> None:
    planner = letters(2, verify=True, window=9)
    assert sends(planner, 9) == [1]
    comes(planner, 1, 1, "ab", 9)
    assert sends(planner, 9) == [2, 3, 4]
    comes(planner, 1, 4, "gh", 9)
    comes(planner, 1, 2, "cd", 9)
    assert sends(planner, 9) == []
    comes(planner, 1, 3, "ef", 9)
    assert sends(planner, 9) == [5]
    comes(planner, 1, 5, "i", 9)
    assert sends(planner, 9) == [4, 3, 2, 1]
    for page, ids in ((1, "ab"), (4, "gh"), (3, "ef")):
        comes(planner, 2, page, ids, 9)
        assert planner.proven is None
    comes(planner, 2, 2, "cd", 9)
    assert planner.next_decision() == Done()
    assert planner.proven is not None
    assert planner.proven.request == RequestPage(1, 5)
    assert [i for i in "abcdefghix" if planner.proven.holds(i)] == list("abcdefghi")


def test_with_a_window_a_first_page_is_shared_only_where_it_was_in_flight_alone() -> None:
    planner = letters(2, verify=True, window=2)
    for page, ids in enumerate(("ab", "cd", "e"), start=1):
        assert sends(planner, 1) == [page]
        comes(planner, 1, page, ids, 5)
    assert sends(planner, 2) == [2, 1]
    comes(planner, 2, 2, "dx", 5)
    comes(planner, 2, 1, "ab", 5)
    assert sends(planner, 9) == [1]


def test_a_turning_page_that_was_not_in_flight_alone_is_asked_again() -> None:
    planner = letters(2, verify=True, window=2)
    assert sends(planner, 2) == [1]
    comes(planner, 1, 1, "ab", 7)
    assert sends(planner, 2) == [2, 3]
    comes(planner, 1, 3, "", 4)
    comes(planner, 1, 2, "cd", 4)
    assert sends(planner, 9) == [3]


# Windows, order, what is held


def test_with_a_window_of_1_a_page_is_asked_for_only_when_its_turn_has_come() -> None:
    planner = letters(2)
    assert sends(planner, 5) == [1]
    assert planner.next_decision() == Wait()
    planner.on_page(RequestPage(1, 1), "ab", count=4, page_size=2)
    assert planner.next_decision() == YieldRecords("ab")
    assert sends(planner, 5) == [2]


def test_a_slow_consumer_holds_the_window() -> None:
    planner = letters(2, window=3)
    sends(planner, 1)
    planner.on_page(RequestPage(1, 1), "ab", count=20, page_size=2)
    for page in (2, 3):  # page 1 is in hand, so there is room for two
        assert planner.next_decision() == RequestPage(1, page)
        planner.on_sent(RequestPage(1, page))
    planner.on_page(RequestPage(1, 3), "ef", count=20, page_size=2)
    assert planner.next_decision() == YieldRecords("ab")
    assert planner.next_decision() == RequestPage(1, 4)
    planner.on_sent(RequestPage(1, 4))
    assert planner.next_decision() == Wait()
    planner.on_page(RequestPage(1, 2), "cd", count=20, page_size=2)
    assert planner.next_decision() == YieldRecords("cd")
    assert planner.next_decision() == RequestPage(1, 5)
    planner.on_sent(RequestPage(1, 5))
    assert planner.next_decision() == YieldRecords("ef")


def test_no_page_is_asked_ahead_that_nothing_suggests() -> None:
    planner = letters(2, window=5)
    assert sends(planner, 9) == [1]
    planner.on_page(RequestPage(1, 1), "ab", count=None, page_size=2)
    assert sends(planner, 9) == [2]
    planner.on_page(RequestPage(1, 2), "cd", count=7, page_size=2)
    assert sends(planner, 9) == [3, 4]


def test_what_is_in_flight_when_a_pass_ends_is_waited_for_and_taken() -> None:
    planner = letters(2, window=3)
    sends(planner, 1)
    comes(planner, 1, 1, "ab", 8)
    assert sends(planner, 9) == [2, 3, 4]
    comes(planner, 1, 2, "cd", 4)
    assert sends(planner, 9) == []
    planner.on_page(RequestPage(1, 3), "e", count=5, page_size=2)
    assert planner.next_decision() == YieldRecords("e")
    assert planner.next_decision() == Wait()
    planner.on_lost(RequestPage(1, 4))
    assert planner.next_decision() == RequestPage(2, 1)


def test_a_page_behind_a_lost_one_is_taken_when_the_pass_has_ended() -> None:
    planner = letters(2, window=4)
    sends(planner, 1)
    comes(planner, 1, 1, "ab", 9)
    sends(planner, 9)
    planner.on_page(RequestPage(1, 4), "g", count=9, page_size=2)
    comes(planner, 1, 2, "", 9)
    planner.on_lost(RequestPage(1, 3))
    planner.on_lost(RequestPage(1, 5))
    assert planner.next_decision() == RequestPage(2, 1)
    assert talk(planner, ("ab", 2), ("", 2)) == ["2:1", "2:2", "g", "done"]


def test_a_lost_page_is_asked_again_before_any_other() -> None:
    planner = letters(2, window=3)
    sends(planner, 1)
    comes(planner, 1, 1, "ab", 20)
    assert sends(planner, 9) == [2, 3, 4]
    planner.on_lost(RequestPage(1, 2))
    planner.on_lost(RequestPage(1, 2))
    assert sends(planner, 9) == [2]
    assert planner.answers == 1


def test_records_are_not_kept_once_they_are_yielded() -> None:
    @frozen(eq=False)
    class Record:
        cluster_id: str

    planner: PagePlanner[Record] = PagePlanner(page_size=2, key=lambda record: record.cluster_id, verify=True)
    seen: list[weakref.ref[Record]] = []

    def step() -> None:
        decision: Decision[Record] = planner.next_decision()
        assert isinstance(decision, RequestPage)
        planner.on_sent(decision)
        records = [Record(f"{decision.page_number} {i}") for i in range(2)]
        seen.extend(map(weakref.ref, records))
        planner.on_page(decision, records, count=100, page_size=2)
        assert isinstance(planner.next_decision(), YieldRecords)

    for _ in range(3):
        step()
        gc.collect()
        assert [ref() for ref in seen] == [None] * len(seen)


def test_of_two_records_with_one_id_the_first_is_yielded() -> None:
    planner: PagePlanner[tuple[str, int]] = PagePlanner(page_size=3, key=lambda record: record[0])
    planner.on_sent(RequestPage(1, 1))
    planner.on_page(RequestPage(1, 1), [("a", 1), ("a", 2), ("b", 3)], count=2, page_size=3)
    assert planner.next_decision() == YieldRecords([("a", 1), ("b", 3)])


# Misuse


def test_what_was_not_decided_is_refused_and_changes_nothing() -> None:
    planner = letters(2)
    with pytest.raises(ValueError, match="not what is to be asked"):
        planner.on_sent(RequestPage(1, 2))
    with pytest.raises(ValueError, match="not out"):
        planner.on_page(RequestPage(1, 1), "ab", count=2, page_size=2)
    with pytest.raises(ValueError, match="not out"):
        planner.on_refused(RequestPage(1, 2))
    assert (planner.count, planner.answers, planner.next_decision()) == (None, 0, RequestPage(1, 1))
    planner.on_sent(RequestPage(1, 1))
    with pytest.raises(ValueError, match="not what is to be asked"):
        planner.on_sent(RequestPage(1, 1))
    planner.on_page(RequestPage(1, 1), "a", count=1, page_size=2)
    with pytest.raises(ValueError, match="not out"):
        planner.on_page(RequestPage(1, 1), "a", count=1, page_size=2)
    planner.on_lost(RequestPage(1, 1))
    assert [planner.next_decision() for _ in range(3)] == [YieldRecords("a"), Done(), Done()]


# Refused page numbers


def test_a_refusal_of_page_1_is_never_an_empty_page() -> None:
    planner = letters(2)
    sends(planner, 1)
    assert not planner.on_refused(RequestPage(1, 1))
    assert planner.next_decision() == Wait()  # the caller still has it out
    planner.on_lost(RequestPage(1, 1))
    assert planner.next_decision() == RequestPage(1, 1)


@pytest.mark.parametrize("count", [None, 2])
def test_a_refusal_past_the_end_ends_the_pass_cleanly(count: int | None) -> None:
    planner = letters(2)
    assert talk(planner, ("ab", count)) == ["1:1", "ab", "1:2"]
    sends(planner, 1)
    assert planner.on_refused(RequestPage(1, 2))
    assert planner.next_decision() == Done()
    assert planner.answers == 2


def test_a_refusal_against_count_is_doubted_once_and_then_raised() -> None:
    planner = letters(2)
    talk(planner, ("ab", 3))
    sends(planner, 1)
    assert planner.on_refused(RequestPage(1, 2))
    assert talk(planner, ("ab", 3)) == ["2:1", "2:2"]
    sends(planner, 1)
    assert not planner.on_refused(RequestPage(2, 2))


def test_a_refusal_because_the_list_became_shorter_only_makes_another_pass() -> None:
    planner = letters(2)
    talk(planner, ("ab", 3))
    sends(planner, 1)
    assert planner.on_refused(RequestPage(1, 2))
    assert talk(planner, ("a", 1)) == ["2:1", "done"]


# Everything at once: what holds for any walk


def check(
    service: Service, planner: PagePlanner[str], run: Run, page_size: int, *, window: int, verify: bool
) -> None:
    """Hold a finished planner, of up to 5 passes and with nothing lost, against the promises."""
    habit = service.habit
    arrived = [cluster for flight in run.arrived for cluster in flight.ids]
    asked_order = [cluster for flight in run.flights if flight.arrived for cluster in flight.ids]
    assert run.yielded == list(dict.fromkeys(asked_order)) or run.raised, (
        "each once, in the order of the pages"
    )
    assert len(run.yielded) == len(set(run.yielded))
    assert set(run.yielded) <= set(arrived)
    assert len(run.arrived) <= 5 * (len(service.ever) + window), "it ends within the bound"

    if run.raised:
        assert habit.refuses
        assert not habit.counts_truly, "a refusal is raised only where the count was a lie"
        return
    assert planner.answers == len(run.arrived)
    if isinstance(run.end, GiveUp):
        assert run.end.received == len(planner.last_pass)
        assert run.end.passes == planner.pass_number <= 5
        assert run.end.expected == planner.count
        assert planner.proven is None
        if habit.is_honest:
            assert verify, "two changes can't spoil five plain passes"
            assert moved_in_pass_3_or_later(service, run), "a list at rest is proven"
        return
    if not verify:
        assert planner.proven is None
        if habit.is_honest and not service.survivors <= set(run.yielded):
            assert deletion_hidden_by_creation(service, run, page_size, window), service
    elif habit.counts_truly:
        assert service.survivors <= set(run.yielded)
        assert_proven_listing(service, planner, run)
    else:
        assert planner.proven is not None


def assert_proven_listing(service: Service, planner: PagePlanner[str], run: Run) -> None:
    """What is called proven was the whole listing when the service read it for that answer."""
    assert planner.proven is not None
    (moment,) = [flight for flight in run.arrived if flight.request == planner.proven.request]
    assert set(filter(planner.proven.holds, [*service.ever, "never"])) == set(moment.listing)


def moved_in_pass_3_or_later(service: Service, run: Run) -> bool:
    reads = [flight.read for flight in run.flights if flight.request.pass_number >= 3]
    begin = min((read for read in reads if read is not None), default=None)
    return begin is not None and len(set(service.listings[begin - 1 :])) > 1


def deletion_hidden_by_creation(service: Service, run: Run, page_size: int, window: int) -> bool:
    """Whether in the last pass, between two reads, one went before the cursor and one came behind it."""
    last = [f for f in run.arrived if f.request.pass_number == run.arrived[-1].request.pass_number]
    last.sort(key=lambda flight: flight.read or 0)
    size = min(page_size, service.habit.cap or page_size)
    for earlier, later in itertools.pairwise(last):
        cursor = earlier.request.page_number * size if window == 1 else 0
        gone = set(earlier.listing[: cursor or None]) - set(later.listing)
        come = set(later.listing[cursor:]) - set(earlier.listing)
        if len(gone) == len(come) > 0 and len(earlier.listing) == len(later.listing):
            return True
    return False


def pairs(share: int) -> Iterator[tuple[int, int, tuple[Change, Change]]]:
    """Every list of 0 to 4 clusters, page size, and ordered pair of changes; an even share of them."""
    cases = (
        (clusters, page_size, pair)
        for clusters in range(5)
        for page_size in (1, 2, 3)
        for one in changes(clusters)
        for pair in ((one, other) for other in changes(clusters + 1))
    )
    return itertools.islice(cases, 0, None, 1 if EXHAUSTIVE else share)


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


@BY_VERIFY
@BY_HABIT
def test_every_pair_of_changes_at_every_point_between_requests(habit: Habit, verify: bool) -> None:
    for clusters, page_size, pair in pairs(share=17):

        def run(script: dict[int, list[Change]], clusters: int = clusters, page_size: int = page_size) -> int:
            service = Service(tuple("abcd"[:clusters]), habit, script)
            planner = letters(page_size, verify=verify)
            check(service, planner, drive(planner, service, page_size), page_size, window=1, verify=verify)
            return len(service.listings)

        place(run, pair)


@BY_VERIFY
@BY_HABIT
def test_every_change_under_every_order_of_two_answers_in_flight(habit: Habit, verify: bool) -> None:
    cases = [
        (clusters, page_size, change)
        for clusters in range(5)
        for page_size in (1, 2)
        for change in changes(clusters)
    ]
    for clusters, page_size, change in cases[:: 1 if EXHAUSTIVE else 5]:
        for at in range(8):
            reached = False
            for choose in itertools.islice(every_choice(), 2_000 if EXHAUSTIVE else 25):
                service = Service(tuple("abcd"[:clusters]), habit, {at: [change]})
                planner = letters(page_size, verify=verify, window=2)
                run = drive(planner, service, page_size, choose, window=2)
                check(service, planner, run, page_size, window=2, verify=verify)
                reached = reached or len(service.listings) > at
            if not reached:
                break


@BY_VERIFY
@BY_HABIT
def test_pairs_of_changes_under_two_answers_in_flight(habit: Habit, verify: bool) -> None:
    chance = random.Random(f"{habit} {verify}")
    for clusters, page_size, pair in pairs(share=3):
        for _ in range(20 if EXHAUSTIVE else 1):
            script: dict[int, list[Change]] = {}
            for change in pair:
                script.setdefault(chance.randrange(9), []).append(change)
            service = Service(tuple("abcd"[:clusters]), habit, script)
            planner = letters(page_size, verify=verify, window=2)
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
            assert silent or run.yielded == list(service.clusters)
        if habit.counts_truly and not habit.ignores_page and not habit.doubles:
            assert not run.raised
            assert verify or run.end == Done()


# Larger, by chance


def loss_of(data: st.DataObject, often: bool) -> Callable[[], bool]:
    return lambda: often and data.draw(st.integers(0, 7), label="lost?") == 7


@BY_VERIFY
@settings(max_examples=2_000 if EXHAUSTIVE else 120)
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
    planner = letters(page_size, verify=verify, window=window, max_passes=max_passes)
    run = drive(
        planner,
        service,
        page_size,
        lambda number: data.draw(st.integers(0, number - 1), label="next"),
        window=window,
        lose=loss_of(data, often=data.draw(st.booleans(), label="may lose")),
    )
    assert len(run.yielded) == len(set(run.yielded))
    assert len(run.arrived) <= max_passes * (len(service.ever) + window)
    if run.raised:
        assert habit.refuses
        return
    assert set(run.yielded) == {cluster for flight in run.arrived for cluster in flight.ids}
    if run.end == Done() and verify and habit.counts_truly:
        assert service.survivors <= set(run.yielded)
        assert_proven_listing(service, planner, run)
    if verify and planner.count is not None:
        expected = proof_by_definition(run.arrived, page_size)
        assert run.proven_at == (expected[0] if expected is not None else None)
        if expected is not None and planner.proven is not None:
            assert planner.proven.request == expected[1].request


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
    assert planner.answers <= 4 * (4 + window)


def test_the_chooser_takes_every_way_once() -> None:
    ways = [(choose(2), choose(3) if choose(2) else first(9)) for choose in every_choice()]
    assert len(ways) == 2 * 1 + 2 * 3
