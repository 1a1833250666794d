"""The proof by itself: the rule, its traps, and that it is found at the very answer that completes it."""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from aiozilliz._pagination.decisions import RequestPage
from aiozilliz._pagination.proof import MAX_MOMENTS, Proof
from tests.support.moving_list import Answer, Flight
from tests.support.proof_definition import proof_by_definition

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Set as AbstractSet


def told(
    *answers: tuple[int, str, int | None], full: int = 2, listed_before: str = "", old: str = ""
) -> Proof[int]:
    """Tell a proof of answers (page, ids, count), each sent after the one before had arrived."""
    proof: Proof[int] = Proof(listed_before)
    for number, (page, ids, count) in enumerate(answers):
        proof.on_sent(number)
        proof.on_page(
            number,
            ids,
            page_number=page,
            count=count,
            full=len(ids) >= full,
            old=partial(frozenset(old).intersection, ids),
        )
    return proof


def proven_listing(proof: Proof[int], ids: Iterable[str] = "abcdefgxyz") -> str:
    assert proof.proven is not None
    return "".join(filter(proof.proven.holds, ids))


def test_a_page_that_is_not_full_and_has_all_that_count_says_is_proven_by_itself() -> None:
    assert proven_listing(told((1, "a", 1))) == "a"
    assert proven_listing(told((1, "", 0))) == ""


def test_ids_before_the_last_page_and_again_after_it_prove_its_moment() -> None:
    there = ((1, "ab", 5), (2, "cd", 5), (3, "e", 5))
    back = ((2, "cd", 5), (1, "ab", 5))
    assert told(*there).proven is None
    assert told(*there, back[0]).proven is None
    proof = told(*there, *back)
    assert proven_listing(proof) == "abcde"
    assert proof.proven is not None
    assert (proof.proven.request, proof.proven.sent, proof.proven.arrived) == (2, 5, 6)


def test_an_id_that_left_before_the_moment_is_not_held() -> None:
    proof = told((1, "ax", 4), (2, "c", 3), (1, "ab", 3), (2, "c", 3))
    assert proven_listing(proof) == "abc"
    assert proof.proven is not None
    assert proof.proven.request == 2
    assert not proof.proven.holds("x")


def test_what_was_in_flight_together_with_the_moment_brackets_nothing() -> None:
    proof: Proof[str] = Proof()
    proof.on_sent("page 1")
    proof.on_sent("page 2")
    proof.on_page("page 1", "ab", page_number=1, count=3, full=True)
    proof.on_sent("page 1 again")
    proof.on_page("page 2", "c", page_number=2, count=3, full=False)
    proof.on_page("page 1 again", "ab", page_number=1, count=3, full=True)
    assert proof.proven is None
    proof.on_sent("page 2 again")
    proof.on_page("page 2 again", "c", page_number=2, count=3, full=False)
    assert proof.proven is None  # c had not arrived when page 1 was sent again
    proof.on_sent("page 1 for the third time")
    proof.on_page("page 1 for the third time", "ab", page_number=1, count=3, full=True)
    assert proof.proven is not None
    assert proof.proven.request == "page 2 again"


def test_a_count_that_is_the_number_on_a_later_page_proves_nothing() -> None:
    assert told((1, "ab", 2), (2, "cd", 2), (1, "ab", 2), (2, "cd", 2), (3, "", 0)).proven is None


@pytest.mark.parametrize("after", ["", "a", "ab"])
def test_a_full_first_page_that_is_all_waits_for_a_next_page_that_brings_nothing_else(after: str) -> None:
    assert told((1, "ab", 2)).proven is None
    assert told((1, "ab", 2), (1, "ab", 2)).proven is None
    assert proven_listing(told((1, "ab", 2), (2, after, None))) == "ab"


def test_a_full_first_page_is_out_for_good_where_the_next_page_brings_others() -> None:
    assert told((1, "ab", 2), (2, "bc", None), (2, "", None)).proven is None


def test_a_next_page_that_was_sent_before_the_full_first_one_arrived_does_not_confirm_it() -> None:
    proof: Proof[str] = Proof()
    proof.on_sent("page 1")
    proof.on_sent("page 2")
    proof.on_page("page 1", "ab", page_number=1, count=2, full=True)
    proof.on_page("page 2", "", page_number=2, count=2, full=False)
    assert proof.proven is None


def test_an_answer_that_lists_an_id_twice_is_no_moment() -> None:
    assert told((1, "aa", 1), full=3).proven is None
    assert told((1, "aab", 2), full=4).proven is None


def test_more_ids_on_a_page_than_count_is_a_contradiction_and_ends_all_proving() -> None:
    proof = told((1, "ab", 1), (1, "a", 1))
    assert proof.contradicted
    assert proof.proven is None


def test_an_id_that_came_back_is_seen_as_a_contradiction_where_count_shows_it() -> None:
    # x stood on page 1, was gone when page 2 said that there are 2, and stands there again.
    proof = told((1, "ax", 3), (2, "b", 2), (1, "ax", 3), (2, "b", 3), (1, "ax", 3), (2, "b", 3), full=2)
    assert proof.contradicted
    assert proof.proven is None


def test_a_request_that_is_sent_again_counts_from_then_on() -> None:
    proof: Proof[int] = Proof()
    proof.on_sent(1)
    proof.on_sent(1)
    proof.on_page(1, "a", page_number=1, count=1, full=False)
    assert proof.proven is not None
    assert proof.proven.sent == 2


def test_what_comes_after_the_proof_changes_nothing() -> None:
    proof = told((1, "a", 1), (1, "bc", 2), (1, "d", 1), full=3)
    assert proven_listing(proof) == "a"


def test_a_quiet_list_keeps_one_moment_only() -> None:
    pages = [(number + 1, "abcdefghij"[number * 2 : number * 2 + 2], 10) for number in range(5)]
    proof = told(*pages, *pages[-2:0:-1])
    assert proof.proven is None
    assert proof.moments == 1


# Evidence from before


def test_ids_of_a_listing_before_make_page_1_the_moment() -> None:
    pages = (1, "ab", 5), (2, "cd", 5), (3, "e", 5)
    assert told(*pages[:2], listed_before="abcde").proven is None
    proof = told(*pages, listed_before="abcde")
    assert proven_listing(proof) == "abcde"
    assert proof.proven is not None
    assert proof.proven.request == 0


def test_what_left_since_the_listing_before_is_not_held() -> None:
    assert proven_listing(told((1, "ab", 3), (2, "d", 3), listed_before="abcd")) == "abd"


@pytest.mark.parametrize("count", [3, 4])
def test_what_came_behind_page_1_since_the_listing_before_is_not_taken_for_listed_then(count: int) -> None:
    assert told((1, "ab", count), (2, "dx", 4), listed_before="abcd").proven is None or count == 3


def test_evidence_from_before_does_not_make_a_full_page_1_the_whole_list() -> None:
    assert told((1, "ab", 2), listed_before="ab").proven is None
    assert proven_listing(told((1, "ab", 2), (2, "", 2), listed_before="ab")) == "ab"


def test_an_id_that_came_back_since_the_listing_before_is_seen_as_a_contradiction() -> None:
    assert told((1, "ab", 3), (2, "cd", 4), listed_before="abcd").contradicted


# What speaks against a moment


def test_an_old_id_in_a_later_response_that_the_moment_does_not_know_refutes_it() -> None:
    # The replica that answers page 2 lags behind: it knows neither c nor that there are three.
    answers = (1, "ab", 3), (2, "", 2), (1, "ab", 3)
    assert proven_listing(told(*answers)) == "ab"
    late = (1, "ab", 3), (2, "", 2), (1, "bc", 3), (1, "ab", 3)
    assert proven_listing(told(*late)) == "ab", "a cluster may have been created meanwhile"
    assert proven_listing(told(*late, old="abc")) == "abc", "but not one that was there before"


def test_a_proven_moment_is_refuted_by_what_was_in_flight() -> None:
    proof: Proof[int] = Proof()
    for number, (page, ids, count) in enumerate([(1, "ab", 3), (2, "", 2)]):
        proof.on_sent(number)
        proof.on_page(number, ids, page_number=page, count=count, full=len(ids) == 2)
    proof.on_sent(2)
    proof.on_sent(3)
    proof.on_page(2, "ab", page_number=1, count=3, full=True)
    assert proof.proven is not None
    proof.on_page(3, "c", page_number=2, count=3, full=False, old=lambda: {"c"})
    assert proof.proven is None
    assert not proof.contradicted


def test_an_old_id_that_was_in_flight_together_with_a_moment_does_not_refute_what_knows_it() -> None:
    pages = (1, "ab", 3), (2, "c", 3), (1, "ab", 3)
    assert proven_listing(told(*pages, old="abc")) == "abc"


def test_what_is_no_witness_brackets_nothing() -> None:
    proof = told((1, "ab", 3), (2, "c", 3))
    proof.on_sent(9)
    proof.on_lost(9)
    assert proof.proven is None


# Its cost


@pytest.mark.parametrize("changes", ["deletions", "creations", "both"])
def test_a_list_that_changes_all_the_time_keeps_few_moments(changes: str) -> None:
    """10,000 responses, with a change before each of them: there and back again over some 80 pages."""
    listing = [f"c{i}" for i in range(160 if changes != "deletions" else 12_000)]
    proof: Proof[int] = Proof()
    page, step, pass_number = 0, 1, 1
    most = 0
    for number in range(10_000):
        if changes != "deletions":
            listing.insert(number % (len(listing) + 1), f"new {number}")
        if changes != "creations":
            del listing[number * 7 % len(listing)]
        last = -(-len(listing) // (2 if changes != "creations" else 100))
        if page + step < 1 or (page + step > last and step > 0):
            step, pass_number = -step, pass_number + 1
        page = max(1, page + step)
        size = 2 if changes != "creations" else 100
        ids = listing[(page - 1) * size : page * size]
        proof.on_sent(number)
        proof.on_page(
            number,
            ids,
            page_number=page,
            count=len(listing),
            full=len(ids) == size,
            pass_number=pass_number,
            old=partial(set[str], ids),
        )
        most = max(most, proof.moments)
        if proof.proven is not None:
            break
    assert most <= MAX_MOMENTS
    assert not proof.contradicted


@st.composite
def conversations(draw: st.DrawFn, letters: str = "abcd") -> list[Flight]:
    """Any answers to any requests, two or three in flight, in the order of arrival; most counts nearly true."""
    flying: list[Flight] = []
    arrived: list[Flight] = []
    for now in range(1, draw(st.integers(1, 24)) + 1):
        if not flying or (len(flying) < 3 and draw(st.booleans())):
            flying.append(Flight(RequestPage(now, draw(st.integers(1, 3))), now))
        else:
            flight = flying.pop(draw(st.integers(0, len(flying) - 1)))
            ids = draw(st.lists(st.sampled_from(letters), max_size=3, unique=draw(st.booleans())))
            count = draw(st.one_of(st.none(), st.integers(0, len(letters)), st.just(len(letters) - 1)))
            flight.arrived = now
            flight.answer = Answer(tuple(ids), count, 2, fresh=draw(st.integers(0, 5)) > 0)
            arrived.append(flight)
    return arrived


@given(conversations(), st.integers(1, 3), st.sets(st.sampled_from("abcd")))
def test_any_conversation_is_judged_as_by_the_definition_at_every_answer(
    arrived: list[Flight], asked: int, listed_before: set[str]
) -> None:
    assert_as_by_definition(arrived, asked)
    assert_as_by_definition(arrived, asked, listed_before=listed_before)


@given(conversations(), st.integers(1, 3), st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("abcd")))
def test_no_conversation_proves_what_the_definition_does_not_if_some_ids_are_old(
    arrived: list[Flight], asked: int, listed_before: set[str], old: set[str]
) -> None:
    assert_as_by_definition(arrived, asked, listed_before=listed_before, old=old)


@given(st.data(), st.sampled_from([2, 3]))
def test_a_list_that_mostly_rests_is_judged_as_by_the_definition(data: st.DataObject, size: int) -> None:
    listing = list("abcde")
    flying: list[Flight] = []
    arrived: list[Flight] = []
    for now in range(1, 30):
        if data.draw(st.integers(0, 9)) == 9:
            listing.insert(data.draw(st.integers(0, len(listing))), f"n{now}")
        if len(listing) > 1 and data.draw(st.integers(0, 9)) == 9:
            listing.pop(data.draw(st.integers(0, len(listing) - 1)))
        if not flying or (len(flying) < 3 and data.draw(st.booleans())):
            flying.append(Flight(RequestPage(now, data.draw(st.integers(1, 3))), now))
        else:
            flight = flying.pop(data.draw(st.integers(0, len(flying) - 1)))
            if flight.answer is None:
                offset = (flight.request.page_number - 1) * size
                flight.listing = tuple(listing)
                flight.answer = Answer(flight.listing[offset : offset + size], len(listing), size)
            flight.arrived = now
            arrived.append(flight)
    for listed_before in ("", "abcde"):
        for old in (set[str](), set("abcde")):
            proven = assert_as_by_definition(arrived, size, listed_before=listed_before, old=old)
            if proven is not None:
                flight, listed = proven
                assert listed == set(flight.listing)


def assert_as_by_definition(
    arrived: list[Flight],
    asked: int,
    *,
    listed_before: Collection[str] = (),
    old: AbstractSet[str] = frozenset(),
) -> tuple[Flight, set[str]] | None:
    """Compare what is proven after each response; return what is proven in the end.

    With `old` ids a moment may be given up that would cover others, so a proof may come later than by the definition,
    or not at all; but never another one.
    """
    stages = proof_by_definition(arrived, asked, listed_before=listed_before, is_old=lambda i: i in old)
    proof: Proof[Flight] = Proof(listed_before)
    unsent = sorted(arrived, key=attrgetter("sent"))
    for flight, expected in zip(arrived, stages, strict=True):
        assert flight.arrived is not None
        while unsent and unsent[0].sent < flight.arrived:
            proof.on_sent(unsent.pop(0))
        assert flight.answer is not None
        if not flight.answer.fresh:
            proof.on_lost(flight)
        else:
            proof.on_page(
                flight,
                flight.ids,
                page_number=flight.request.page_number,
                count=flight.answer.count,
                full=len(flight.ids) >= min(asked, flight.answer.page_size),
                old=partial(frozenset(old).intersection, flight.ids),
            )
        request = proof.proven.request if proof.proven is not None else None
        if not old:
            assert request is expected
        elif request is not None:
            assert expected is not None
    if proof.proven is None:
        return None
    return proof.proven.request, {i for flight in arrived for i in flight.ids if proof.proven.holds(i)}
