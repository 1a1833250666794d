"""What the refusal of a page number is worth.

Past the end of a list some services send an empty page, and others refuse the page number. But a refusal can also come
from whatever stands between (a load balancer, a firewall), or be a passing fault. So a refused page is asked for again,
and only if the service itself refuses it twice in a row does it count as an empty page. It is asked for three times at
most; then the caller raises the refusal.

Page 1 exists in every listing. Its refusal is never an empty page; unless page 1 has been read before, it is not even
asked for again.

A refusal shows no list, so it is no part of a proof. An empty page that it stands for does not confirm anything there.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiozilliz._pagination.decisions import RequestPage

_TRIES: Final = 3
_BY_SERVICE: Final = 2
"""Refusals in a row, all by the service itself, that make an empty page."""


class Verdict(Enum):
    """What has to be done about a refused page."""

    ASK_AGAIN = auto()
    EMPTY = auto()
    RAISE = auto()


class Refusals:
    """The refusals in one reading of a list."""

    def __init__(self) -> None:
        # Of each page that is asked for again: its refusals, and how many of the latest are by the service itself.
        self._in_a_row: dict[RequestPage, tuple[int, int]] = {}

    def judge(self, request: RequestPage, *, by_service: bool) -> Verdict:
        """Return what has to be done about a page that was refused just now.

        Args:
            request: The request that was refused.
            by_service: Whether the refusal bears the service's signature.
        """
        refusals, signed = self._in_a_row.get(request, (0, 0))
        refusals, signed = refusals + 1, signed + 1 if by_service else 0
        self._in_a_row[request] = refusals, signed
        if request.page_number == 1:
            return Verdict.ASK_AGAIN if request.pass_number > 1 and refusals < _TRIES else Verdict.RAISE
        if signed >= _BY_SERVICE:
            return Verdict.EMPTY
        return Verdict.ASK_AGAIN if refusals < _TRIES else Verdict.RAISE

    def on_page(self, request: RequestPage) -> None:
        """Take note that the page was not refused this time."""
        self._in_a_row.pop(request, None)
