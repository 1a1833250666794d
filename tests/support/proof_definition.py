"""The definition of the proof, applied to all responses at once: what `Proof` must come to step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from tests.support.moving_list import Flight


def is_witness(flight: Flight) -> bool:
    """Whether the proof may rest on it: refusals and cached responses are none."""
    return flight.answer is not None and flight.answer.records is not None and flight.answer.fresh


def proven_by_definition(
    arrived: Sequence[Flight],
    asked: int,
    *,
    listed_before: Collection[str] = (),
    is_old: Callable[[str], bool] = lambda _: False,
) -> tuple[Flight | None, bool]:
    """Return the earliest response whose moment these responses prove, and whether they contradict each other."""
    log = [flight for flight in arrived if is_witness(flight)]
    first_arrival: dict[str, int] = dict.fromkeys(listed_before, 0)
    last_sent: dict[str, int] = {}
    for flight in log:
        for cluster in flight.ids:
            assert flight.arrived is not None
            first_arrival.setdefault(cluster, flight.arrived)
            last_sent[cluster] = max(flight.sent, last_sent.get(cluster, 0))
    proven: Flight | None = None
    for moment in log:
        assert moment.answer is not None
        assert moment.arrived is not None
        own = set(moment.ids)
        count = moment.answer.count
        if count is None or len(own) < len(moment.ids):
            continue
        confirmed = True
        if len(own) == count:
            if moment.request.page_number > 1:
                continue
            if len(own) >= min(asked, moment.answer.page_size):
                after = [f for f in log if f.request.page_number == 2 and f.sent > moment.arrived]
                if after and not set(after[0].ids) <= own:
                    continue
                confirmed = bool(after)
        listed = own | {
            cluster
            for cluster, when in first_arrival.items()
            if when < moment.sent and last_sent.get(cluster, 0) > moment.arrived
        }
        later = {cluster for f in log if f.sent > moment.arrived for cluster in f.ids}
        if any(is_old(cluster) for cluster in later - listed):
            continue
        if len(listed) > count:
            return None, True
        if len(listed) == count and confirmed and proven is None:
            proven = moment
    return proven, False


def proof_by_definition(
    arrived: Sequence[Flight],
    asked: int,
    *,
    listed_before: Collection[str] = (),
    is_old: Callable[[str], bool] = lambda _: False,
) -> list[Flight | None]:
    """Return what is proven after each arrival. Once responses contradict each other nothing is any more."""
    stages: list[Flight | None] = []
    contradicted = False
    for number in range(1, len(arrived) + 1):
        proven, now = proven_by_definition(
            arrived[:number], asked, listed_before=listed_before, is_old=is_old
        )
        contradicted = contradicted or now
        stages.append(None if contradicted else proven)
    return stages
