"""What `PagePlanner` says to its caller: the decisions, and why a pass has to be repeated."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeAlias, TypeVar

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

R = TypeVar("R")


class Cause(StrEnum):
    """What kind of reason a `Repetition` has. All but `UNPROVEN` show that the list moved, or that the service errs."""

    COUNT_OF_PAGE = "count is only that of the page"
    COUNT_CHANGED = "count changed"
    CAME_TWICE = "a record came twice"
    TOO_MANY = "more records than count"
    REFUSED = "a page was refused"
    TOO_FEW = "fewer records than count"
    COUNT_MISSING = "pages without a count"
    CONTRADICTED = "the proof met a contradiction"
    UNPROVEN = "not proven yet"


@frozen(kw_only=True)
class Repetition:
    """Why a pass has to be repeated: the first sign in it, or that it was clean but proves nothing.

    "First" is in the order in which the pass reads its pages, not in the order of arrival. If one page shows several
    signs, the one is kept that stands first in `Cause`. The numbers are those after that page. `str()` says it all, as
    the end of a sentence.

    Attributes:
        pass_number: The pass that has to be repeated, from 1.
        page_number: The page that showed it, from 1; for `CONTRADICTED` and `UNPROVEN` the last page read.
        cause: What kind of reason it is.
        count: The latest count in the pass, or before it if it had none; None if no response had one.
        received: Distinct ids in the pass.
        records: Records on the page.
        repeated: How many of these had come before in the pass.
        count_before: The count before it changed, for `COUNT_CHANGED`; else None.
    """

    pass_number: int
    page_number: int
    cause: Cause
    count: int | None
    received: int
    records: int = 0
    repeated: int = 0
    count_before: int | None = None

    def __str__(self) -> str:
        page, count = f"page {self.page_number}", self.count
        match self.cause:
            case Cause.COUNT_OF_PAGE:
                return f"count on {page} is {count}, which is only the number of records on that page"
            case Cause.COUNT_CHANGED:
                return f"count changed from {self.count_before} to {count} on {page}"
            case Cause.CAME_TWICE:
                return f"{self.repeated} of {self.records} records on {page} had come before"
            case Cause.TOO_MANY:
                return f"{self.received} records had come by {page}, more than count, which is {count}"
            case Cause.REFUSED:
                return f"{page} was refused after {self.received} of {count} records"
            case Cause.TOO_FEW:
                return f"the pass ended at {page} with {self.received} of {count} records"
            case Cause.COUNT_MISSING:
                return f"not every page up to {page} has a count, so a change may have gone unseen"
            case Cause.CONTRADICTED:
                return "counts and pages contradict each other, so nothing can be proven"
            case Cause.UNPROVEN:
                return "the proof is not complete yet"


class RequestPage(NamedTuple):
    """Ask for this page. The decision is repeated until `PagePlanner.on_sent` is called."""

    pass_number: int
    page_number: int


class YieldRecords(NamedTuple, Generic[R]):
    """Hand these records on; there is at least one, and none was handed on before."""

    records: Sequence[R]


@frozen
class Wait:
    """Nothing can be done before a response to something in flight arrives."""


@frozen
class Done:
    """The listing is complete, as far as a clean pass shows it, or proven."""


@frozen
class GiveUp:
    """The responses do not show that the listing is complete.

    Attributes:
        reason: Why, as the end of a sentence.
        expected: The service's latest count, or None if it gave none.
        received: Distinct ids in the last pass.
        passes: Passes made.
        repeated: Why each of these had to be repeated, in their order. The last pass is among them, although it was
            not, unless it showed no sign before it was cut short.
    """

    reason: str
    expected: int | None
    received: int
    passes: int
    repeated: tuple[Repetition, ...]


Decision: TypeAlias = "RequestPage | YieldRecords[R] | Wait | Done | GiveUp"
