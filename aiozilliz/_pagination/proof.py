"""Do the answers so far prove that nothing is missing?

An answer tells which ids are on one page and how many clusters there are (`count`). Call the moment at which the
service looked, somewhere between our sending and our receiving, the moment of that answer.

**The rule.** Take an answer `m`. An id that had arrived before `m` was sent, and is in an answer that was sent after
`m` had arrived, was listed before the moment of `m` and after it. So it was listed at that moment: call it bracketed.
The ids on the page of `m` were listed too. If both together are exactly `count` many, they are the whole listing of
that moment. (This is the double collect of Afek et al., "Atomic Snapshots of Shared Memory", 1993, page by page.)

**What is assumed.** (1) `count` and page of one answer are of one moment, and `count` is the number of all clusters
listed, not of a part. (2) An id that leaves the listing does not come back while it is being read. Nothing that a
client can ask shows these to be true, but it may see that they are not: if *more* ids are bound to a moment than its
`count`, one of them is broken. From then on nothing is proven.

**Traps.** A service may give as `count` what is on the page alone. So

- a page after the first that reaches `count` by itself proves nothing: something must stand before it;
- a first page that reaches `count` by itself is the whole listing only where it is not full. Where it is full, the
  next page, asked after it had arrived, has to be empty or to bring nothing else; if it brings other ids, that moment
  is out for good;
- an answer that lists one id twice is no picture of any moment.

A `count` that is wrong in a way that fits the pages read (too low by just the records of the last page, or counting
only the pages up to this one) can't be told from a true one. Neither can one that is the number on the page from a
service that cuts pages shorter than asked without saying so.

**Cost.** Of an id two numbers are kept, in a tuple shared by all ids that were read together. A moment is given up
at once where even all ids known at its sending, with its own, are less than `count`: on the way forwards only the
last page is a moment. It is not kept either where an earlier one with the same `count` covers it (`_is_covered`): on
a quiet list there is one moment, and each change adds few.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Mapping, Sequence

Q = TypeVar("Q", bound="Hashable")

_Sighting: TypeAlias = "tuple[int, int]"
"""When an id first arrived, and when the last request was sent that brought it."""


@frozen
class Proven(Generic[Q]):
    """A moment whose whole listing is known.

    Attributes:
        request: The request whose answer shows that moment.
        sent: When it was sent, in the count of sendings and arrivals of the walk.
        arrived: When its answer arrived, likewise.
    """

    request: Q
    sent: int
    arrived: int
    _ids: frozenset[str] = field(alias="ids", repr=False)
    _sightings: Mapping[str, _Sighting] = field(alias="sightings", repr=False)

    def holds(self, cluster_id: str) -> bool:
        """Whether that id was listed at the moment. It never changes."""
        if cluster_id in self._ids:
            return True
        sighting = self._sightings.get(cluster_id)
        return sighting is not None and sighting[0] < self.sent and self.arrived < sighting[1]


@define(eq=False)
class _Moment(Generic[Q]):
    request: Q
    sent: int
    arrived: int
    count: int
    ids: frozenset[str]
    reach: int  # ids that had arrived when it was sent or are on its page: no others can be bound to it
    found: int  # ids on its page or bracketed, so far
    confirmed: bool  # False: a full first page, which waits for the next one


class Proof(Generic[Q]):
    """Watches sendings and arrivals, and knows the first moment that they prove.

    It needs no clock: sendings and arrivals are numbered in the order in which they are told. `Q` is what names a
    request.

    Attributes:
        proven: The moment, from the answer on that completes its proof. Nothing changes after that.
        contradicted: Whether the answers contradict what the proof assumes. Then `proven` stays None.
    """

    def __init__(self) -> None:
        self.proven: Proven[Q] | None = None
        self.contradicted = False
        self._now = 0
        self._out: dict[Q, tuple[int, int]] = {}  # when it was sent, and how many ids had arrived by then
        self._sightings: dict[str, _Sighting] = {}
        self._moments: list[_Moment[Q]] = []

    def sent(self, request: Q) -> None:
        """The request goes out now. One that was sent before and got no answer may go out again."""
        self._now += 1
        self._out[request] = self._now, len(self._sightings)

    def arrived(
        self, request: Q, ids: Collection[str], *, page_number: int, count: int | None, full: bool
    ) -> None:
        """The answer arrives now.

        Args:
            request: What it answers.
            ids: The ids on the page, as they came.
            page_number: Which page it is, from 1.
            count: How many clusters there are, or None where the answer does not say.
            full: Whether the page has as many records as a page can have.
        """
        sent, known = self._out.pop(request)
        self._now += 1
        if self.proven is not None or self.contradicted:
            return
        page = frozenset(ids)
        before = list(map(self._sightings.get, page))  # in the order of `page`
        groups = Counter(before)

        for moment in self._moments:
            if moment.arrived < sent:
                moment.found += _newly_bracketed(moment, page, before, groups)
        if page_number == 2:  # noqa: PLR2004 - the page after the first
            self._confirm(page, sent)

        renewed: dict[_Sighting | None, _Sighting] = {None: (self._now, sent)}
        renewed |= {old: (old[0], max(old[1], sent)) for old in groups if old is not None}
        self._sightings.update(zip(page, map(renewed.__getitem__, before), strict=True))

        if count is not None and len(page) == len(ids):
            late = sum(number for old, number in groups.items() if old is None or old[0] > sent)
            self._admit(
                _Moment(
                    request,
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
        for moment in list(self._moments):
            if not moment.confirmed and moment.arrived < sent:
                if page <= moment.ids:
                    moment.confirmed = True
                else:
                    self._moments.remove(moment)

    def _admit(self, moment: _Moment[Q], *, is_first: bool) -> None:
        if moment.found < moment.count:
            wanted = moment.reach >= moment.count and not self._is_covered(moment)
        else:
            wanted = is_first or moment.found > moment.count
        if wanted:
            self._moments.append(moment)

    def _is_covered(self, moment: _Moment[Q]) -> bool:
        """Whether an earlier moment will be proven before this one, if this one ever is.

        It is so where that one had arrived before this one was sent, has the same `count`, and only ids are known that
        were known when it was sent, or are on its page. For then each id on this page, and each that ever gets
        bracketed for this moment, is bound to the earlier one too, by then at the latest.
        """
        return any(
            earlier.confirmed
            and earlier.count == moment.count
            and earlier.arrived < moment.sent
            and earlier.reach == len(self._sightings)
            for earlier in self._moments
        )

    def _judge(self) -> None:
        if any(moment.found > moment.count for moment in self._moments):
            self.contradicted = True
            self._moments.clear()
            self._sightings.clear()
            return
        for moment in self._moments:
            if moment.confirmed and moment.found == moment.count:
                self.proven = Proven(
                    moment.request,
                    sent=moment.sent,
                    arrived=moment.arrived,
                    ids=moment.ids,
                    sightings=self._sightings,
                )
                self._moments.clear()
                return


def _newly_bracketed(
    moment: _Moment[Any],
    page: frozenset[str],
    before: Sequence[_Sighting | None],
    groups: Mapping[_Sighting | None, int],
) -> int:
    """Count the ids of a page, sent after the moment had arrived, that are bracketed now and were not `before`."""
    total = 0
    for sighting, ids in groups.items():
        if sighting is None:
            continue
        first_arrival, last_sent = sighting
        if first_arrival < moment.sent and last_sent < moment.arrived:
            if last_sent < moment.sent:
                total += ids
            else:  # brought by the moment's own page, or by one that was in flight together with it
                total += sum(
                    old == sighting and i not in moment.ids for i, old in zip(page, before, strict=True)
                )
    return total
