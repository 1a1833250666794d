"""One pass over the pages of a list that may change meanwhile: where it ends, whether it was clean, what is new in it.

A pass reads pages 1, 2, 3 … Only what arrives counts. Let n be the distinct ids of the pass, and c the latest
`count` that the service gave in it; if it gave none, the latest that any pass brought.

The pass ends

- at an empty page;
- at a page that brings no id new to it, unless c says that more must follow: then at the second such page in a row;
- when n = c, if the page just read says so itself, or is shorter than pages can be. Otherwise c may be out of date: a
  cluster that was created meanwhile has pushed another one to the next page.

A short page ends nothing by itself. If page 1 is full and is all that c announces, page 2 is requested all the same,
because c may be the number on that page alone; if page 2 brings nothing new, page 1 was all.

The pass is **clean** unless one of these shows that the list moved, or that the service contradicts itself:

- two responses of the pass give different counts (a missing one is unknown, not different);
- an id comes twice; not so on the page that shows the end if there is no other sign of it: the page after a first
  one that is all, or the last one if the service gives no count;
- n exceeds c; reading goes on, so that a count that is too low loses nothing;
- the pass ends though n < c;
- a page without a count was requested together with others or came from a cache, although other pages have a count. If
  pages are read one after another, each change that no count shows lets an id come twice, or too few or too many. But
  such a page may be of an older list than one before it, and nothing but its count shows it;
- the first pages have no count, and a later one has: a cluster deleted in between takes one along unseen. If an earlier
  pass brought a count, that one is held against it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from attrs import define, field

from aiozilliz._pagination.decisions import Cause, Repetition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiozilliz._pagination.proof import Proof

R = TypeVar("R")


class Page(NamedTuple):
    """What a pass needs of a response.

    Attributes:
        number: The page's number, from 1.
        ids: The ids on it, in the service's order.
        announced: The `count` that came with it, or None.
        full: Whether it holds as many records as were requested, or as the service says that a page can hold.
        refused: Whether the service refused the page number, and the page is taken for an empty one.
        fresh: Whether the response came from the service, and not from a cache.
        together: Whether it was requested before all pages in front of it had been read, or after a later one.
    """

    number: int
    ids: Sequence[str]
    announced: int | None
    full: bool
    refused: bool = False
    fresh: bool = True
    together: bool = False


@define
class Pass:
    """One reading of all pages.

    Attributes:
        number: The number of the pass, from 1.
        seen: The ids that it has brought.
        step: 1 forwards, -1 backwards.
        first: The page that it begins with.
        at: The page read last.
        asked: All pages up to this one have been requested.
        counts: What the responses announced, each if it differs from the one before.
        count: The latest of these; before the first, the latest that an earlier pass brought, or None.
        largest: Records on the largest page, of this and of earlier passes.
        repetition: Why the pass has to be repeated, from the first sign on that the list moved; None while it is clean.
        ended: Whether the page read last was the end.
        confirming: Whether page 1 seems to be all, which the next page will tell.
    """

    number: int
    seen: set[str] = field(factory=set[str])
    step: int = 1
    first: int = 1
    count: int | None = None
    largest: int = 1
    at: int = field(init=False)
    asked: int = field(init=False)
    counts: list[int] = field(factory=list[int], init=False)
    repetition: Repetition | None = field(default=None, init=False)
    ended: bool = field(default=False, init=False)
    confirming: bool = field(default=False, init=False)
    _known_page: bool = field(default=False, init=False)  # whether the page read last brought known ids only

    def __attrs_post_init__(self) -> None:
        self.at = self.asked = self.first - self.step

    @property
    def horizon(self) -> int:
        """The last page worth asking for, by what is known now."""
        if self.at == self.first - self.step:
            return self.first
        if self.step < 0:
            return 1
        missing = self.count - len(self.seen) if self.count is not None else 0
        return self.at + max(1, -(-missing // self.largest))

    def next_pass(self, count: int | None, *, back: bool = False) -> Pass:
        """Return the pass that follows: forwards from page 1, or back from the page read last.

        Args:
            count: The latest count that any response brought.
            back: Whether it goes backwards.
        """
        if back:
            return Pass(self.number + 1, step=-1, first=self.at, count=count, largest=self.largest)
        return Pass(self.number + 1, count=count, largest=self.largest)

    def is_refused_like(self, before: Pass | None, page_number: int) -> bool:
        """Return whether the pass before ended at a refusal of this page, with the ids and the count that this one has.

        The count must be of this pass: an old one is no contradiction.

        Args:
            before: The pass before, if there was one.
            page_number: The page that is refused.
        """
        return (
            before is not None
            and bool(self.counts)
            and before.repetition is not None
            and before.repetition.cause is Cause.REFUSED
            and before.repetition.page_number == page_number
            and (before.count, before.seen) == (self.count, self.seen)
        )

    def read(self, page: Page) -> set[str] | None:
        """Take the next page.

        Returns:
            The ids that are new to this pass. None if all are, and none comes twice: no set is built for that.
        """
        number, ids, announced, full, *_ = page
        seen = self.seen
        before = len(seen)
        size = len(ids)
        new = None
        if seen.isdisjoint(ids):
            seen.update(ids)
            if len(seen) - before < size:
                new = set(ids)
        else:
            new = set(ids) - seen
            seen |= new
        received = len(seen)
        fresh = received - before
        self.at = number
        # A service may cut pages shorter than asked without saying so: what another page had, this one could have.
        is_short = not full and size < self.largest
        self.largest = max(self.largest, size)

        # End 1: page 1 seemed to be all, and page 2 brings nothing that speaks against it. Its count is not compared
        # with that of page 1: a service that counts the page alone says 0 on an empty one. Known records are no
        # repetition here, as a service that ignores the page number sends page 1 again.
        if self.confirming and not fresh and (announced is None or announced <= received):
            self.ended = True
            return new

        # Without a count that it can be held against, nothing shows what happened between this page and others.
        unknown = announced is None and not page.refused and (page.together or not page.fresh)
        unknown = unknown and self.count is not None
        if announced is not None and not self.counts and before:
            # The first count of the pass comes late: what an earlier pass announced is held against it, if anything.
            unknown = self.count is None
            self.counts += [] if self.count is None else [self.count]
        if announced is not None:
            if not self.counts or announced != self.counts[-1]:
                self.counts.append(announced)
            self.count = announced
        count = self.count
        # A page of known ids is no end while more must follow, unless it is the second one in a row.
        more = count is not None and received < count
        idle = not fresh and (not size or not more or self._known_page)
        self._known_page = size > 0 and not fresh
        if self.repetition is None:
            self._look_for_signs(page, fresh, unknown=unknown, ends=idle if self.step > 0 else number == 1)

        # A full first page that is all can't be told from a count of the page alone: the next page decides (end 1).
        self.confirming = number == 1 and full and size == received == count
        if self.step < 0:
            # End 2: backwards, page 1 is the end, whatever has come by then; the pass before has seen the last page.
            self.ended = number == 1
        elif idle:
            # End 3: forwards, nothing new.
            self.ended = True
        elif received == count and not self.confirming and (announced is not None or is_short):
            # End 4: forwards, as many ids as announced, by this very page or by one that nothing can follow. More ids
            # than that end nothing, so that a count that is too low loses none.
            self.ended = True
        return new

    def _look_for_signs(self, page: Page, fresh: int, *, unknown: bool, ends: bool) -> None:
        """Set `repetition` if the page just read shows that the list moved, or that the service contradicts itself.

        Args:
            page: The page.
            fresh: How many of its ids are new to the pass.
            unknown: Whether a change between this page and others would not show, for want of a count.
            ends: Whether the page ends the pass even if not as many ids have come as announced.
        """
        count, received, size = self.count, len(self.seen), len(page.ids)
        cause = None
        if len(self.counts) > 1:
            # 1. Two counts. A missing one is unknown, and was never added to `counts`.
            cause = Cause.COUNT_CHANGED
        elif fresh < size and (fresh or count is not None):
            # 2. An id came twice, on this page or on an earlier one. A page of known ids only is the regular end if
            #    there is no count that could show one.
            cause = Cause.CAME_TWICE
        elif count is not None and received > count:
            # 3. More than announced: the count is too low, or clusters went while as many others came.
            cause = Cause.TOO_MANY
        elif count is not None and received < count and ends:
            # 4. The end although more should have come: clusters moved to pages read before, or the count is wrong.
            cause = Cause.REFUSED if page.refused else Cause.TOO_FEW
        elif unknown:
            # 5. The list may have moved unseen.
            cause = Cause.COUNT_MISSING
        if cause is None:
            return
        if self.confirming and fresh and page.announced == size:
            # 6. Says more than 1 to 3: page 1 was full and all of its count, and the page after it is all of its own.
            #    A total that included page 1 could not be as small.
            cause = Cause.COUNT_OF_PAGE
        self.repetition = Repetition(
            pass_number=self.number,
            page_number=page.number,
            cause=cause,
            count=count,
            received=received,
            records=size,
            repeated=size - fresh,
            count_before=self.counts[-2] if cause is Cause.COUNT_CHANGED else None,
        )

    def why_repeated(self, proof: Proof[Any] | None) -> tuple[Repetition, ...]:
        """Return why the pass has to be repeated; nothing if it has not ended and was clean so far.

        Args:
            proof: Of the reading, if one is wanted.
        """
        if self.repetition is not None:
            return (self.repetition,)
        if proof is None or not self.ended:
            return ()
        # The pass was clean, but `verify` wants more than that. It is no contradiction, unless the proof met one, in this
        # pass or before.
        unproven = Repetition(
            pass_number=self.number,
            page_number=self.at,
            cause=Cause.CONTRADICTED if proof.contradicted else Cause.UNPROVEN,
            count=self.count,
            received=len(self.seen),
        )
        return (unproven,)

    def why_hopeless(
        self, before: Pass | None, proof: Proof[Any] | None, *, max_passes: int, cached: int
    ) -> str | None:
        """Return why the list is not read again after this pass, which was not clean, or did not bring the proof.

        Args:
            before: The one before it.
            proof: Of the reading, if one is wanted.
            max_passes: Passes after which to give up.
            cached: Responses that a cache gave.

        Returns:
            The end of a sentence; None if another pass may help.
        """
        # 1. The list rests, but is not as long as count says. Only forward passes are asked: a backward one takes the end
        #    of the list over from the pass before, so the two would agree by themselves.
        wrong = self.step > 0 and self.count is not None and self.count != len(self.seen)
        if wrong and before is not None and self.counts == before.counts and self.seen == before.seen:
            return "two passes in a row agree with each other, but not with the count"
        # 2. The list moved, or the proof is not complete.
        if self.number < max_passes:
            return None
        # 3. The passes are used up.
        if proof is None:
            return f"in each of {self.number} passes the list changed, or contradicted itself"
        if proof.contradicted:
            return "counts and pages contradict each other, so nothing can be proven"
        why = f", as {cached} responses came from a cache" if cached else ""
        return f"{self.number} passes did not bring the proof{why}"


class NewRecords(Generic[R]):
    """Records that were read and are not yet yielded: each id once, in the order of the pages.

    Attributes:
        known: The ids of all passes. The first pass adds to this very set, so that a reading of one pass keeps no two.
    """

    def __init__(self) -> None:
        self.known: set[str] = set()
        self._ready: deque[Sequence[R]] = deque()

    def __len__(self) -> int:
        """Return of how many pages there are records."""
        return len(self._ready)

    def pop(self) -> Sequence[R] | None:
        """Return the records that come next, or None. There is at least one, and they are not returned again."""
        return self._ready.popleft() if self._ready else None

    def read(self, this: Pass, page: Page, records: Sequence[R]) -> None:
        """Let the pass read its next page, and keep what is new.

        Args:
            this: The pass under way.
            page: Its next page.
            records: The records on it, in the order of its ids.
        """
        new = this.read(page)
        # 1. From the second pass on, what is new to the pass may have been yielded in an earlier one.
        if this.seen is not self.known:
            new = (set(page.ids) if new is None else new) - self.known
            self.known |= new
        # 2. All of the page is new: no list is made for that.
        if new is None or len(new) == len(records):
            if records:
                self._ready.append(records)
        # 3. Some are. Of two records with one id the first is yielded.
        elif new:
            first: dict[str, R] = {}
            for cluster_id, record in zip(page.ids, records, strict=True):
                if cluster_id in new:
                    first.setdefault(cluster_id, record)
            self._ready.append(list(first.values()))

    def end_pass(self, this: Pass) -> None:
        """Take note that the pass has ended: what the next one knows is no longer what is known in all."""
        if this.seen is self.known:
            self.known = set(this.seen)
