"""Why a pass is repeated: each cause by a scripted list, and that each repeated pass has exactly one."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeAlias

import pytest
from attrs import evolve
from hypothesis import given, strategies as st

from aiozilliz._pagination.decisions import Cause, Done, GiveUp, Repetition, RequestPage, YieldRecords
from aiozilliz._pagination.one_pass import Pass
from aiozilliz._pagination.planner import PagePlanner
from tests.support.moving_list import HABITS, Change, Habit, Service, changes, drive

if TYPE_CHECKING:
    from collections.abc import Sequence

Answer: TypeAlias = "tuple[str, int | None] | None"  # ids and count; None is a refusal by the service


def planned(*, verify: bool = False, max_passes: int = 5, max_answers: int = 1_000) -> PagePlanner[str]:
    return PagePlanner(page_size=2, key=str, verify=verify, max_passes=max_passes, max_answers=max_answers)


def play(planner: PagePlanner[str], *answers: Answer) -> None:
    """Answer the planner's requests in turn, and stop at the first one that there is no answer to."""
    left = list(answers)
    while left:
        decision = planner.next_decision()
        if isinstance(decision, RequestPage):
            planner.on_sent(decision)
            answer = left.pop(0)
            if answer is None:
                assert planner.on_refused(decision, by_service=True)
            else:
                planner.on_page(decision, answer[0], count=answer[1], page_size=2)
        else:
            assert isinstance(decision, YieldRecords)
    while isinstance(planner.next_decision(), YieldRecords):
        pass


def reason(*answers: Answer, verify: bool = False) -> Repetition:
    """Return why the first pass is repeated, which must be known when the second begins, and not before."""
    planner = planned(verify=verify)
    play(planner, *answers[:-1])
    before = planner.repeated
    assert before == ()
    play(planner, answers[-1])
    decision = planner.next_decision()
    assert isinstance(decision, RequestPage)
    assert decision.pass_number == 2
    (repetition,) = planner.repeated
    assert repetition.pass_number == 1
    return repetition


# Each cause


def test_a_count_that_changed() -> None:
    repetition = reason(("ab", 3), ("cd", 4))
    assert repetition == Repetition(
        pass_number=1,
        page_number=2,
        cause=Cause.COUNT_CHANGED,
        count=4,
        received=4,
        records=2,
        count_before=3,
    )
    assert str(repetition) == "count changed from 3 to 4 on page 2"


@pytest.mark.parametrize(("second", "repeated"), [("bc", 1), ("cc", 1), ("ab", 2)])
def test_a_record_that_came_twice(second: str, repeated: int) -> None:
    # A page of known ids is no end while more must follow, unless another one comes after it.
    rest: Sequence[Answer] = [("ab", 4)] if second == "ab" else [("d", 4)]
    repetition = reason(("ab", 4), (second, 4), *rest)
    assert (repetition.cause, repetition.page_number) == (Cause.CAME_TWICE, 2)
    assert (repetition.records, repetition.repeated, repetition.count_before) == (2, repeated, None)
    assert str(repetition) == f"{repeated} of 2 records on page 2 had come before"


def test_a_record_that_came_twice_where_there_is_no_count() -> None:
    repetition = reason(("ab", None), ("bc", None), ("", None))
    assert (repetition.cause, repetition.page_number, repetition.count) == (Cause.CAME_TWICE, 2, None)


def test_more_records_than_count() -> None:
    repetition = reason(("ab", 3), ("cd", 3), ("", 3))
    assert (repetition.cause, repetition.page_number) == (Cause.TOO_MANY, 2)
    assert str(repetition) == "4 records had come by page 2, more than count, which is 3"


def test_fewer_records_than_count() -> None:
    repetition = reason(("ab", 4), ("c", 4), ("", 4))
    assert (repetition.cause, repetition.page_number) == (Cause.TOO_FEW, 3)
    assert str(repetition) == "the pass ended at page 3 with 3 of 4 records"


def test_a_page_that_was_refused_before_all_had_come() -> None:
    repetition = reason(("ab", 4), ("c", 4), None, None)
    assert (repetition.cause, repetition.page_number) == (Cause.REFUSED, 3)
    assert str(repetition) == "page 3 was refused after 3 of 4 records"


@pytest.mark.parametrize("second", [("cd", 2), ("c", 1), ("bc", 2)])
def test_a_count_that_is_only_the_number_on_the_page(second: tuple[str, int]) -> None:
    repetition = reason(("ab", 2), second, ("", 0))
    assert (repetition.cause, repetition.page_number) == (Cause.COUNT_OF_PAGE, 2)
    assert str(repetition) == (
        f"count on page 2 is {second[1]}, which is only the number of records on that page"
    )


@pytest.mark.parametrize(
    ("second", "cause"), [(("cd", 4), Cause.COUNT_CHANGED), (("cd", None), Cause.TOO_MANY)]
)
def test_a_full_first_page_that_was_not_all_is_no_proof_of_such_a_count(
    second: tuple[str, int | None], cause: Cause
) -> None:
    rest: Sequence[Answer] = () if second[1] is not None else [("", None)]
    assert reason(("ab", 2), second, *rest).cause is cause


def test_a_clean_pass_is_no_contradiction_where_a_proof_is_wanted() -> None:
    repetition = reason(("ab", 3), ("c", 3), verify=True)
    assert repetition == Repetition(pass_number=1, page_number=2, cause=Cause.UNPROVEN, count=3, received=3)
    assert str(repetition) == "the proof is not complete yet"


def test_backwards_the_end_is_page_1_and_an_empty_page_before_it_no_sign() -> None:
    planner = planned(verify=True)
    play(planner, ("ab", 4), ("c", 4), ("", 4), ("c", 4), ("a", 4))
    first, second = planner.repeated
    assert (first.cause, first.page_number, first.received) == (Cause.TOO_FEW, 3, 3)
    assert (second.cause, second.page_number, second.received) == (Cause.TOO_FEW, 1, 2)


def test_verify_tells_a_pass_that_was_not_clean_from_one_that_was() -> None:
    planner = planned(verify=True)
    play(planner, ("ab", 3), ("cd", 4), ("xb", 4), ("cd", 4))
    assert planner.next_decision() == Done()
    assert [repetition.cause for repetition in planner.repeated] == [Cause.COUNT_CHANGED, Cause.UNPROVEN]


def test_a_clean_pass_after_the_proof_met_a_contradiction() -> None:
    planner = planned(verify=True)
    # x leaves and comes back, so that four are bound to the moment at which there were three.
    play(planner, ("ax", 3), ("b", 3), ("ac", 3), ("bx", 3), ("", 4), ("bx", 4), ("ac", 4))
    assert [repetition.cause for repetition in planner.repeated] == [
        Cause.UNPROVEN, Cause.UNPROVEN, Cause.TOO_MANY, Cause.CONTRADICTED,
    ]  # fmt: skip
    assert str(planner.repeated[-1]) == "counts and pages contradict each other, so nothing can be proven"


def test_each_cause_reads_as_one_sentence_of_its_own() -> None:
    one = reason(("ab", 3), ("cd", 4))
    sentences = {str(evolve(one, cause=cause)) for cause in Cause}
    assert len(sentences) == len(Cause)
    assert "None" not in " ".join(sentences)


# Which one, if there are several


def test_the_first_sign_is_kept() -> None:
    repetition = reason(("ab", 4), ("bc", 4), ("de", 9), ("", 9))
    assert (repetition.cause, repetition.page_number, repetition.received) == (Cause.CAME_TWICE, 2, 3)


def test_on_one_page_the_sign_is_kept_that_stands_first_in_cause() -> None:
    assert reason(("ab", 4), ("ab", 5), ("", 5)).cause is Cause.COUNT_CHANGED
    assert reason(("ab", 2), ("bc", 2), ("", 2)).cause is Cause.COUNT_OF_PAGE
    assert reason(("aabc", 2), ("", 2)).cause is Cause.CAME_TWICE
    assert list(Cause) == [
        Cause.COUNT_OF_PAGE, Cause.COUNT_CHANGED, Cause.CAME_TWICE, Cause.TOO_MANY, Cause.REFUSED, Cause.TOO_FEW,
        Cause.COUNT_MISSING, Cause.CONTRADICTED, Cause.UNPROVEN,
    ]  # fmt: skip


def test_first_is_in_the_order_of_pages_whatever_the_order_of_arrival() -> None:
    planner: PagePlanner[str] = PagePlanner(page_size=2, key=str, window=3)
    planner.on_sent(RequestPage(1, 1))
    planner.on_page(RequestPage(1, 1), "ab", count=6, page_size=2)
    planner.next_decision()
    for page in (2, 3):
        planner.on_sent(RequestPage(1, page))
    planner.on_page(RequestPage(1, 3), "ef", count=7, page_size=2)
    planner.on_page(RequestPage(1, 2), "bc", count=6, page_size=2)
    play(planner, ("", 7))
    assert [(r.cause, r.page_number) for r in planner.repeated] == [(Cause.CAME_TWICE, 2)]


# When it is known, and what giving up carries


def test_the_tuple_is_the_same_object_until_a_pass_is_begun_again() -> None:
    planner = planned()
    play(planner, ("ab", 3))
    before = planner.repeated
    play(planner, ("cd", 4))
    after = planner.repeated
    assert (before, len(after)) == ((), 1)
    play(planner, ("ab", 4))
    assert planner.repeated is after
    play(planner, ("bc", 4), ("d", 4))
    assert planner.repeated[:1] == after
    assert [repetition.pass_number for repetition in planner.repeated] == [1, 2]


def test_giving_up_carries_the_reasons_of_all_passes_with_the_last_one() -> None:
    planner = planned(max_passes=2)
    play(planner, ("ab", 3), ("cd", 4), ("ab", 4), ("bc", 4), ("", 4))
    end = planner.next_decision()
    assert isinstance(end, GiveUp)
    assert [(r.pass_number, r.cause) for r in end.repeated] == [
        (1, Cause.COUNT_CHANGED),
        (2, Cause.CAME_TWICE),
    ]
    assert planner.repeated == end.repeated[:1]


def test_passes_that_agree_with_each_other_but_not_with_count_have_the_same_reason() -> None:
    planner = planned()
    play(planner, *[("ab", 4), ("c", 4), ("", 4)] * 2)
    end = planner.next_decision()
    assert isinstance(end, GiveUp)
    assert end.reason == "two passes in a row agree with each other, but not with the count"
    assert list(map(str, end.repeated)) == ["the pass ended at page 3 with 3 of 4 records"] * 2


def test_passes_that_are_used_up_name_what_the_proof_lacked() -> None:
    unproven = planned(verify=True, max_passes=1)
    play(unproven, ("ab", 3), ("c", 3))
    contradicted = planned(verify=True, max_passes=4)
    play(contradicted, ("ax", 3), ("b", 3), ("ac", 3), ("bx", 3), ("", 4), ("bx", 4), ("ac", 4))
    ends = unproven.next_decision(), contradicted.next_decision()
    assert [end.reason for end in ends if isinstance(end, GiveUp)] == [
        "1 passes did not bring the proof",
        "counts and pages contradict each other, so nothing can be proven",
    ]


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize(("second", "signs"), [(("cd", 9), []), (("bc", 9), [Cause.CAME_TWICE])])
def test_a_pass_that_is_cut_short_has_a_reason_only_if_it_showed_one(
    second: tuple[str, int], signs: list[Cause], verify: bool
) -> None:
    planner = planned(verify=verify, max_answers=2)
    play(planner, ("ab", 9), second)
    end = planner.next_decision()
    assert isinstance(end, GiveUp)
    assert [repetition.cause for repetition in end.repeated] == signs


@pytest.mark.parametrize("ids", ["", "ab"])
def test_without_a_count_verify_gives_up_without_calling_it_a_repetition(ids: str) -> None:
    planner = planned(verify=True)
    play(planner, (ids, None))
    end = planner.next_decision()
    assert isinstance(end, GiveUp)
    assert end.repeated == ()


def test_a_first_count_that_comes_late_is_a_missing_one_and_no_change() -> None:
    repetition = reason(("ab", None), ("c", 3))
    assert (repetition.cause, repetition.count_before) == (Cause.COUNT_MISSING, None)


@pytest.mark.parametrize(("back", "step", "first"), [(False, 1, 1), (True, -1, 3)])
def test_a_pass_hands_on_what_the_next_one_has_to_know(*, back: bool, step: int, first: int) -> None:
    this = Pass(2, largest=7)
    this.at = 3
    after = this.next_pass(5, back=back)
    assert (after.number, after.count, after.largest, after.step, after.first) == (3, 5, 7, step, first)
    assert this.next_pass(5).step == 1


# Whatever happens


@given(
    habit=st.sampled_from(HABITS),
    clusters=st.integers(0, 9),
    page_size=st.integers(1, 4),
    window=st.integers(1, 4),
    max_passes=st.integers(1, 5),
    verify=st.booleans(),
    script=st.dictionaries(
        st.integers(0, 15), st.lists(st.sampled_from(changes(10)), min_size=1, max_size=3), max_size=4
    ),
    seed=st.integers(0, 99),
)
def test_each_repeated_pass_has_one_reason_and_a_single_clean_pass_none(
    habit: Habit,
    clusters: int,
    page_size: int,
    window: int,
    max_passes: int,
    verify: bool,
    script: dict[int, list[Change]],
    seed: int,
) -> None:
    service = Service(tuple("abcdefghi"[:clusters]), habit, script)
    planner: PagePlanner[str] = PagePlanner(
        page_size=page_size, key=str, window=window, verify=verify, max_passes=max_passes
    )
    run = drive(planner, service, page_size, random.Random(seed).randrange, window=window)
    repeated = planner.repeated
    assert [repetition.pass_number for repetition in repeated] == list(range(1, planner.pass_number))
    if planner.pass_number == 1 and run.end == Done():
        assert repeated == ()
    if isinstance(run.end, GiveUp) and planner.count is not None:
        assert run.end.repeated[:-1] == repeated
        assert len(run.end.repeated) == run.end.passes
    if not verify:
        assert Cause.UNPROVEN not in {repetition.cause for repetition in repeated}
    if habit.is_honest and not script:
        assert {repetition.cause for repetition in repeated} <= {Cause.UNPROVEN}
    for repetition in repeated:
        pages = [f for f in run.arrived if f.request.pass_number <= repetition.pass_number]
        assert repetition.page_number in {flight.request.page_number for flight in pages}
        assert repetition.count is None or repetition.count in {f.answer.count for f in pages if f.answer}
        assert repetition.received <= len({cluster for flight in pages for cluster in flight.ids})
