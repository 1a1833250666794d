"""Planners over letters, scripted talks with them, and what every walk over a moving list has to keep."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from aiozilliz._pagination.decisions import Done, GiveUp, RequestPage, Wait, YieldRecords
from aiozilliz._pagination.planner import PagePlanner
from tests.support.moving_list import is_old
from tests.support.proof_definition import is_witness

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.support.moving_list import Flight, Run, Service


def letters(
    page_size: int = 2,
    *,
    window: int = 1,
    verify: bool = False,
    max_passes: int = 5,
    require_count: bool = True,
    max_answers: int = 100_000,
    max_records: int = 2_000_000,
    listed_before: Collection[str] = (),
) -> PagePlanner[str]:
    return PagePlanner(
        page_size=page_size,
        key=str,
        window=window,
        verify=verify,
        max_passes=max_passes,
        require_count=require_count,
        max_answers=max_answers,
        max_records=max_records,
        listed_before=listed_before,
        is_old=is_old,
    )


def talk(
    planner: PagePlanner[str], *answers: tuple[str, int | None] | bool, page_size: int = 2
) -> list[str | GiveUp]:
    """Answer the planner's requests in turn; True and False are refusals by the service and by something else.

    Return what it did: pages asked, records yielded, how it ended.
    """
    did: list[str | GiveUp] = []
    left = list(answers)
    while True:
        match planner.next_decision():
            case RequestPage() as request:
                did.append(f"{request.pass_number}:{request.page_number}")
                if not left:
                    return did
                planner.on_sent(request)
                answer = left.pop(0)
                if isinstance(answer, tuple):
                    planner.on_page(request, answer[0], count=answer[1], page_size=page_size)
                elif not planner.on_refused(request, by_service=answer):
                    return [*did, "raised"]
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


# What holds for any walk


def check(
    service: Service, planner: PagePlanner[str], run: Run, page_size: int, *, window: int, verify: bool
) -> None:
    """Hold a finished planner, of up to 5 passes and with nothing lost, against the promises."""
    habit = service.habit
    arrived = [cluster for flight in run.arrived for cluster in flight.ids]
    places = {flight.request: place for place, flight in reversed(list(enumerate(run.flights)))}
    answered = sorted((f for f in run.flights if f.arrived), key=lambda flight: places[flight.request])
    asked_order = [cluster for flight in answered for cluster in flight.ids]
    assert run.yielded == list(dict.fromkeys(asked_order)) or run.raised, (
        "each once, in the order of the pages"
    )
    assert len(run.yielded) == len(set(run.yielded))
    assert set(run.yielded) <= set(arrived)
    if habit.refuses or habit.hiccups or habit.repeats or service.incidents:
        assert len(run.arrived) <= 5 * 3 * (2 * (len(service.ever) + 1) + window), "it ends within the bound"
    else:
        assert len(run.arrived) <= 5 * (len(service.ever) + window), "it ends within the bound"

    if run.raised:
        assert habit.refuses
        assert not habit.counts_truly or habit.stale, "a refusal is raised only where the count was a lie"
        return
    assert planner.answers == len(run.arrived)
    if isinstance(run.end, GiveUp):
        assert run.end.received == len(planner.last_pass)
        assert run.end.passes == planner.pass_number <= 5
        assert run.end.expected == planner.count
        assert planner.proven is None
        if habit.is_honest and not service.incidents:
            assert verify, "two changes can't spoil five plain passes"
            full_and_refused = habit.refuses and len(service.clusters) == min(
                page_size, habit.cap or page_size
            )
            assert full_and_refused or moved_in_pass_3_or_later(service, run), "a list at rest is proven"
        return
    if not verify:
        assert planner.proven is None
        if (
            habit.is_honest
            and not habit.hiccups
            and not habit.refuses
            and not service.survivors <= set(run.yielded)
        ):
            assert service.incidents or deletion_hidden_by_creation(service, run, page_size, window), service
        assert_lost_only_in_the_blind_spot(service, run)
    elif habit.counts_truly:
        if habit.is_of_now:
            assert service.survivors <= set(run.yielded)
            assert_proven_listing(service, planner, run)
        assert_nothing_old_was_shown_later(planner, run)
    else:
        assert planner.proven is not None


def moment_of(planner: PagePlanner[str], run: Run) -> Flight:
    """Return the response whose moment is proven."""
    assert planner.proven is not None
    (moment,) = [
        flight for flight in run.arrived if flight.request == planner.proven.request and is_witness(flight)
    ]
    return moment


def assert_proven_listing(service: Service, planner: PagePlanner[str], run: Run) -> None:
    """What is called proven was the whole listing when the service read it for that answer."""
    assert planner.proven is not None
    listing = moment_of(planner, run).listing
    assert set(filter(planner.proven.holds, [*service.ever, "never"])) == set(listing)


def assert_nothing_old_was_shown_later(planner: PagePlanner[str], run: Run) -> None:
    """No response that was sent after the proven moment shows a cluster from before that the moment does not have."""
    moment = moment_of(planner, run)
    assert planner.proven is not None
    assert moment.arrived is not None
    later = {i for f in run.arrived if f.sent > moment.arrived and is_witness(f) for i in f.ids}
    assert all(planner.proven.holds(cluster) for cluster in later if is_old(cluster))


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


def assert_lost_only_in_the_blind_spot(service: Service, run: Run) -> None:
    """What a plain walk lost was hidden: between two responses with a count one cluster went and another one came."""
    habit = service.habit
    lies = not habit.counts_truly or habit.ignores_page or habit.doubles
    if lies or habit.count == "absent" or service.survivors <= set(run.yielded):
        return
    reads = sorted(run.arrived, key=lambda flight: flight.read or 0)
    if all(flight.answer is None or flight.answer.count is None for flight in reads):
        return
    number = run.arrived[-1].request.pass_number
    # Responses without a count belong to the interval between those with one that stand around them.
    interval: list[int] = []
    for flight in reads:
        assert flight.answer is not None
        assert flight.read is not None
        counted = flight.answer.count is not None
        if counted and flight.request.pass_number < number:
            interval = []
        interval.append(service.shown[flight.read])
        if flight.request.pass_number == number:
            if goes_and_comes(service, interval):
                return
            if counted:
                interval = interval[-1:]
    pytest.fail(f"lost in the open: {service}, {[(f.request, f.answer) for f in run.arrived]}")


def goes_and_comes(service: Service, versions: list[int]) -> bool:
    """Whether one cluster goes and another one comes between these versions of the list."""
    states = [set(state) for state in service.versions[min(versions) : max(versions) + 1]]
    steps = list(itertools.pairwise(states))
    return any(a - b for a, b in steps) and any(b - a for a, b in steps)
