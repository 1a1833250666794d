"""One pass over the pages of a list that may change meanwhile: where it ends, and whether it was clean.

A pass reads pages 1, 2, 3 … Only what arrives counts. Let n be the distinct ids of the pass, and c the latest
`count` that the service gave in it.

The pass ends at a page that brings no id new to it (an empty page is one), or when n = c. A short page ends nothing.
Where page 1 is full and is all that c announces, page 2 is asked all the same, because c may be the number on that
page alone; where page 2 brings nothing new, page 1 was all.

The pass is **clean** unless one of these shows that the list moved, or that the service contradicts itself:

- two answers of the pass give different counts (a missing one is unknown, not different);
- an id comes twice; not so on the page that shows the end where there is no other sign of it: the page after a first
  one that is all, or the last one where the service gives no count;
- n exceeds c; reading goes on, so that a count that is too low loses nothing;
- the last page brings nothing new though n < c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Sequence


class Page(NamedTuple):
    """What a pass wants to know of an answer.

    Attributes:
        number: The page's number, 1-based.
        ids: The ids on it, in the service's order.
        announced: The `count` that came with it, or None.
        full: Whether it holds as many records as a page can.
    """

    number: int
    ids: Sequence[str]
    announced: int | None
    full: bool


@define
class Pass:
    """One reading of all pages.

    Attributes:
        number: The number of the pass, from 1.
        seen: The ids that it has brought.
        step: 1 forwards, -1 backwards.
        first: The page that it begins with.
        at: The page read last.
        asked: Up to here all pages have been asked for.
        counts: What the answers announced, each where it differs from the one before.
        count: The latest of these, or None.
        largest: Records on the largest page.
        clean: Whether nothing has shown yet that the list moved.
        ended: Whether the page read last was the end.
        confirming: Whether page 1 seems to be all, which the next page will tell.
    """

    number: int
    seen: set[str] = field(factory=set[str])
    step: int = 1
    first: int = 1
    at: int = field(init=False)
    asked: int = field(init=False)
    counts: list[int] = field(factory=list[int], init=False)
    count: int | None = field(default=None, init=False)
    largest: int = field(default=1, init=False)
    clean: bool = field(default=True, init=False)
    ended: bool = field(default=False, init=False)
    confirming: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.at = self.asked = self.first - self.step

    @property
    def horizon(self) -> int:
        """The last page worth asking, by what is known now."""
        if self.at == self.first - self.step:
            return self.first
        if self.step < 0:
            return 1
        missing = self.count - len(self.seen) if self.count is not None else 0
        return self.at + max(1, -(-missing // self.largest))

    def read(self, page: Page) -> set[str] | None:
        """Take the next page. Give the ids that are new to this pass; None where all are, and none comes twice."""
        number, ids, announced, full = page
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
        self.largest = max(self.largest, size)

        if self.confirming and not fresh and (announced is None or announced <= received):
            self.ended = True
            return new

        if announced is not None and announced != self.count:
            self.counts.append(announced)
            self.count = announced
        count = self.count
        if len(self.counts) > 1 or (fresh < size and (fresh or count is not None)):
            self.clean = False
        if count is not None and (received > count or (not fresh and received < count)):
            self.clean = False

        self.confirming = number == 1 and full and size == received == count
        if self.step < 0:
            self.ended = number == 1
        elif not fresh or (received == count and not self.confirming):
            self.ended = True
        return new
