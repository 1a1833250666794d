"""Do the responses so far prove that nothing is missing?

A response says which ids are on one page and how many clusters there are (`count`). Call the moment at which the
service looked, somewhere between our sending and our receiving, the moment of that response.

**The rule.** Take a response `m`. An id that had arrived before the request for `m` was sent, and is in a response
whose request was sent after `m` had arrived, was listed before the moment of `m` and after it. So it was listed at that
moment: call it bracketed. The ids on the page of `m` were listed too. If both together are exactly `count` many, they
are the whole listing of that moment. (This is the double collect of Afek et al., "Atomic Snapshots of Shared Memory",
1993, page by page.)

So on a quiet list pages 1 to k and then k-1 to 1 prove the moment of page k: when it was sent all other ids had arrived,
and the k-1 responses that come after it bracket them. It can't be done with fewer than these 2k-1: before the last page
was read not all ids are known, and after it each other page has to be seen again.

Ids of a listing that was proven before the first request count as if they had arrived then. So when a quiet list of k
pages is read again, k responses prove the moment of page 1: all other ids were listed before it, and are seen after it.

**What is assumed.** (1) `count` and page of one response are of one moment between its sending and its arrival, and
`count` is the number of all clusters listed, not of a part. (2) An id that leaves the listing does not come back while
it is being read; with evidence from before, since then. Nothing that a client can ask shows these to be true, but it
may see that they are not:

- if *more* ids are bound to a moment than its `count`, one of them is broken. From then on nothing is proven;
- if a response that was requested after the moment shows an id that is not bound to it, though the cluster is older
  than the first request, then the moment's response was not of its time. That moment is given up, also if it was
  proven: responses that were in flight then may still show it.

A response from a cache is no witness, and must not be passed in. A cache that does not say so, or a replica that lags
behind and agrees with itself, can't be told from the service.

**Traps.** A service may give as `count` what is on the page alone. So

- a page after the first that reaches `count` by itself proves nothing: something must stand before it;
- a first page that reaches `count` by itself is the whole listing only if it is not full. If it is full, the next
  page, requested after it had arrived, must be empty or bring nothing else; if it brings other ids, that moment is out
  for good;
- a response that lists one id twice is no picture of any moment.

A `count` that is wrong in a way that fits the pages read (too low by just the records of the last page, or counting
only the pages up to this one) can't be distinguished from a true one. Neither can one that is the number on the page
from a service that cuts pages shorter than asked without saying so.

**Cost.** Of an id two numbers are kept, in a tuple shared by all ids that were read together. A moment is dropped at
once if even all ids known at its sending, with its own, are less than `count`: on the way forwards only the last page
is a moment. It is not kept either if an earlier one with the same `count` covers it (`_is_covered`): on a quiet list
there is one moment, and each change adds few. There are never more than 32, for a list that changes all the time
(`_make_room`). So a response costs no more than 32 times its ids. Giving a moment up, or not keeping it, can delay a
proof, but never makes a false one.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping, Sequence, Set as AbstractSet

Q = TypeVar("Q", bound="Hashable")

MAX_MOMENTS: Final = 32
"""Moments that wait for their proof, at most."""

_Sighting: TypeAlias = "tuple[int, int]"
"""When an id first arrived, and when the last request was sent that brought it."""


@frozen
class Proven(Generic[Q]):
    """A moment whose whole listing is known.

    Attributes:
        request: The request whose response shows that moment.
        sent: When it was sent, as the number of sendings and arrivals up to then.
        arrived: When its response arrived, likewise.
    """

    request: Q
    sent: int
    arrived: int
    _page: frozenset[str] = field(alias="page", repr=False)
    _sightings: Mapping[str, _Sighting] = field(alias="sightings", repr=False)

    def holds(self, cluster_id: str) -> bool:
        """Return whether that id was listed at the moment. It does not change while the moment is proven.

        Args:
            cluster_id: An id, known or not.
        """
        if cluster_id in self._page:
            return True
        sighting = self._sightings.get(cluster_id)
        return sighting is not None and sighting[0] < self.sent and self.arrived < sighting[1]


@define(eq=False)
class _Moment(Generic[Q]):
    """The moment of a response, while its proof is incomplete."""

    request: Q
    pass_number: int
    sent: int
    arrived: int
    count: int
    ids: frozenset[str]
    reach: int  # ids that had arrived when it was sent or are on its page: no others can be bound to it
    found: int  # ids on its page or bracketed, so far
    confirmed: bool  # False: a full first page, which waits for the next one

    @property
    def is_proven(self) -> bool:
        return self.confirmed and self.found == self.count


class Proof(Generic[Q]):
    """Finds the earliest moment whose whole listing is proven by the order of sendings and arrivals.

    It needs no clock: sendings and arrivals are numbered in the order of the calls. `Q` is what names a request.

    Args:
        listed_before: Ids of a listing that was proven before the first request is sent.

    Attributes:
        proven: The moment, from the response on that completes its proof, unless a later one contradicts it.
        contradicted: Whether the responses contradict what the proof assumes. Then `proven` stays None.
    """

    def __init__(self, listed_before: Collection[str] = ()) -> None:
        self.proven: Proven[Q] | None = None
        self.contradicted = False
        self._now = 0
        self._in_flight: dict[Q, tuple[int, int]] = {}  # when sent, and how many ids had arrived by then
        self._sightings: dict[str, _Sighting] = dict.fromkeys(listed_before, (0, 0))
        self._moments: list[_Moment[Q]] = []

    @property
    def moments(self) -> int:
        """Moments that are kept: each of them costs something at every response."""
        return len(self._moments)

    def on_sent(self, request: Q) -> None:
        """Take note that the request goes out now.

        Args:
            request: Its name. One that was sent before and got no response may go out again.
        """
        self._now += 1
        self._in_flight[request] = self._now, len(self._sightings)

    def on_lost(self, request: Q) -> None:
        """Take note that there is no response, or none that can be a witness."""
        self._now += 1
        self._in_flight.pop(request, None)

    def on_page(
        self,
        request: Q,
        ids: Collection[str],
        *,
        page_number: int,
        count: int | None,
        full: bool,
        pass_number: int = 1,
        old: Callable[[], AbstractSet[str]] = frozenset,
    ) -> None:
        """Take the response that arrives now.

        Args:
            request: The request that it responds to; it must have been sent.
            ids: The ids on the page, as they came.
            page_number: Which page it is, from 1.
            count: How many clusters there are, or None if the response does not say.
            full: Whether the page has as many records as a page can have.
            pass_number: Which pass over the pages it belongs to, from 1. It never goes back.
            old: Returns the ids on the page that are known to be older than the first request.
        """
        sent, known = self._in_flight.pop(request)
        self._now += 1
        if self.contradicted:
            return
        page = frozenset(ids)
        before = list(map(self._sightings.get, page))  # in the order of `page`
        groups = Counter(before)

        # 0. An old id that an earlier moment does not know speaks against that moment, even against the proven one.
        self._refute(page, before, groups, sent, old)
        # 1. The page closes brackets of moments that had arrived before it was requested. One that was in flight
        #    together with it gets nothing: which of the two the service read first is unknown.
        for moment in self._moments:
            if moment.arrived < sent:
                moment.found += _newly_bracketed(moment, page, before, groups)
        # 2. It tells whether a full first page was all.
        if page_number == 2:  # noqa: PLR2004 - the page after the first
            self._confirm(page, sent)

        # 3. It renews its ids: the first arrival stays, the last sending is the latest of all. This comes after 1,
        #    which compares with the sightings before, and before 4, for which the ids of this page are known ones.
        #    One new tuple a group, not one an id.
        renewed: dict[_Sighting | None, _Sighting] = {None: (self._now, sent)}
        renewed |= {then: (then[0], max(then[1], sent)) for then in groups if then is not None}
        self._sightings.update(zip(page, map(renewed.__getitem__, before), strict=True))

        # 4. It may be a moment itself, unless it has no count, or lists an id twice. Its reach is what had arrived when
        #    it was sent, and of its own page what had not: `late`.
        if count is not None and len(page) == len(ids):
            late = sum(number for then, number in groups.items() if then is None or then[0] > sent)
            self._admit(
                _Moment(
                    request,
                    pass_number,
                    sent=sent,
                    arrived=self._now,
                    count=count,
                    ids=page,
                    reach=known + late,
                    found=len(page),
                    confirmed=not full or len(page) < count,
                ),
                is_first=page_number == 1,
            )
        self._judge()

    def _confirm(self, page: frozenset[str], sent: int) -> None:
        """Confirm full first pages that page 2 adds nothing to, and drop those that it adds to."""
        for moment in list(self._moments):
            if not moment.confirmed and moment.arrived < sent:
                # Only the first page 2 sent after it decides: it is confirmed or gone, so no later one finds it here.
                if page <= moment.ids:
                    moment.confirmed = True
                else:
                    self._moments.remove(moment)

    def _admit(self, moment: _Moment[Q], *, is_first: bool) -> None:
        """Keep the moment if it may be the first one proven, or shows a contradiction."""
        if moment.found < moment.count:
            # 1. It needs brackets. It is hopeless if `count` is beyond its reach, and of no use if covered.
            wanted = moment.reach >= moment.count and not self._is_covered(moment)
        else:
            # 2. Its page is all of `count`. On the first page that is the listing (at once, or if page 2 confirms it);
            #    on a later one it is taken for a count of the page alone, as something must stand before it.
            # 3. Its page is more than `count`: a contradiction wherever it stands.
            wanted = is_first or moment.found > moment.count
        if wanted:
            self._moments.append(moment)
            # Once one is proven nothing is sent any more: what is still in flight adds few.
            if len(self._moments) > MAX_MOMENTS and self.proven is None:
                self._make_room()

    def _make_room(self) -> None:
        """Drop moments, now that there is one too many."""
        newest = self._moments[-1].pass_number
        # 1. Those from before the last pass: it has shown every page again, and did not complete them.
        self._moments = [m for m in self._moments if m.pass_number >= newest - 1]
        if len(self._moments) <= MAX_MOMENTS:
            return
        # 2. Else one from amidst this pass. Its first moments lack the least, and its last one, at the page where the
        #    next pass turns, is the first that the next one can complete. If there is no other one: the oldest.
        del self._moments[-2 if self._moments[-2].pass_number == newest else 0]

    def _refute(
        self,
        page: frozenset[str],
        before: Sequence[_Sighting | None],
        groups: Collection[_Sighting | None],
        sent: int,
        old: Callable[[], AbstractSet[str]],
    ) -> None:
        """Drop moments that had arrived before a page was requested that shows an old id which is not bound to them.

        The id was there before the moment and after it, but the moment's response does not know it: that response was
        not of its time, or its `count` is no count of all. (Or the id came with a page that was in flight together with
        the moment's; then it can never be bound to it, and the moment can't be proven either.)
        """
        # 1. What had first arrived before a moment's page was sent is bound to it by this very page. On a quiet list
        #    that is all, so it is not even asked which ids are old.
        latest = max((self._now if then is None else then[0] for then in groups), default=0)
        if not any(moment.sent < latest and moment.arrived < sent for moment in self._moments):
            return
        # 2. Else the old ones among the others decide, each by its first arrival.
        old_ids = old()
        first = [
            (cluster_id, self._now if then is None else then[0])
            for cluster_id, then in zip(page, before, strict=True)
            if cluster_id in old_ids
        ]
        self._moments = [
            moment
            for moment in self._moments
            if moment.arrived >= sent
            or all(arrival < moment.sent or cluster_id in moment.ids for cluster_id, arrival in first)
        ]

    def _is_covered(self, moment: _Moment[Q]) -> bool:
        """Return whether an earlier moment will be proven before this one, if this one ever is and that is not refuted.

        It will if (1) it is not waiting for page 2, (2) it has the same `count`, (3) it had arrived before this one
        was sent, and (4) only ids are known that were known when it was sent, or are on its page. Then each id on this
        page, and each that ever gets bracketed for this moment, is bound to the earlier one too, by then at the latest:
        by (4) it had arrived before the earlier one was sent, or is on its page; by (3) what is sent after this one had
        arrived is sent after the earlier one had.
        """
        return any(
            earlier.confirmed
            and earlier.count == moment.count
            and earlier.arrived < moment.sent
            and earlier.reach == len(self._sightings)
            for earlier in self._moments
        )

    def _judge(self) -> None:
        """Look for a contradiction, which ends all proving, then for the earliest moment that is proven."""
        # 1. More ids than `count` are bound to a moment. This comes first: what another moment seems to prove rests on
        #    the assumption that was just seen to be broken.
        if any(moment.found > moment.count for moment in self._moments):
            self.contradicted = True
            self.proven = None
            self._moments.clear()
            self._sightings.clear()
            return
        # 2. Exactly `count`. Only a response can complete it, or refute it, so nothing is missed by looking after each.
        moment = next((moment for moment in self._moments if moment.is_proven), None)
        if moment is None:
            self.proven = None
        elif self.proven is None or self.proven.sent != moment.sent:
            self.proven = Proven(
                moment.request,
                sent=moment.sent,
                arrived=moment.arrived,
                page=moment.ids,
                sightings=self._sightings,
            )


def _newly_bracketed(
    moment: _Moment[Any],
    page: frozenset[str],
    before: Sequence[_Sighting | None],
    groups: Mapping[_Sighting | None, int],
) -> int:
    """Return how many ids of a page, sent after the moment had arrived, are bracketed now and were not `before`.

    Args:
        moment: The moment.
        page: The ids of the page.
        before: Their sightings before this page, in the order of `page`.
        groups: How many ids of the page have each of these sightings.
    """
    # The left side of the bracket is there, and the right side was not before this page.
    open_ones = {
        then for then in groups if then is not None and then[0] < moment.sent and then[1] < moment.arrived
    }
    # 1. Last requested before the moment's page: none of these ids can be on that.
    apart = {then for then in open_ones if then[1] < moment.sent}
    total = sum(groups[then] for then in apart)
    if len(apart) < len(open_ones):
        # 2. Brought by the moment's own page, whose ids are in `found` already, or by one that was in flight together
        #    with it, whose ids are not.
        near = open_ones - apart
        total += sum(then in near and i not in moment.ids for i, then in zip(page, before, strict=True))
    return total
