"""Which records of a page are new to the reading, and have to be yielded: each id once, in the order of the pages."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiozilliz._pagination.one_pass import Page, Pass

R = TypeVar("R")


class NewRecords(Generic[R]):
    """Records that were read and are not yet yielded.

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
