"""The planner: its rules one by one."""

from __future__ import annotations

import gc
import itertools
import math
import random
import weakref

import pytest
from attrs import frozen

from aiozilliz._pagination.decisions import Decision, Done, GiveUp, RequestPage, Wait, YieldRecords
from aiozilliz._pagination.planner import PagePlanner
from tests.support.exhaustive import EXHAUSTIVE
from tests.support.moving_list import HABITS, EndlessService, Habit, Service, drive, every_choice
from tests.support.planning import letters, talk

HONEST = HABITS[0]
BY_VERIFY = pytest.mark.parametrize("verify", [False, True], ids=["plain", "verify"])


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
        planner.on_refused(RequestPage(1, 2), by_service=True)
    assert (planner.count, planner.answers, planner.next_decision()) == (None, 0, RequestPage(1, 1))
    planner.on_sent(RequestPage(1, 1))
    with pytest.raises(ValueError, match="not what is to be asked"):
        planner.on_sent(RequestPage(1, 1))
    planner.on_page(RequestPage(1, 1), "a", count=1, page_size=2)
    with pytest.raises(ValueError, match="not out"):
        planner.on_page(RequestPage(1, 1), "a", count=1, page_size=2)
    planner.on_lost(RequestPage(1, 1))
    assert [planner.next_decision() for _ in range(3)] == [YieldRecords("a"), Done(), Done()]
