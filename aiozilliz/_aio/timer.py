"""`SharedTimer`: one timer for the deadlines of many requests.

`asyncio.timeout` sets and cancels a timer for each block, which takes a tenth of the time of a request on a fast
connection. Requests hardly ever reach their deadlines, so one timer is kept, and checks what is due when it fires.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from aiozilliz._aio.cancel_scope import expire

if TYPE_CHECKING:
    from asyncio import Timeout


class SharedTimer:
    """Ends blocks of `asyncio.timeout(None)` at their deadlines. It belongs to one event loop."""

    __slots__ = ("_due", "_fires_at", "_handle")

    def __init__(self) -> None:
        self._due: dict[Timeout, float] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._fires_at = math.inf

    def set(self, block: Timeout, when: float) -> None:
        """End an entered block at the loop time `when`, which replaces any deadline set before."""
        self._due[block] = when
        if when < self._fires_at:
            self._arm(when)

    def clear(self, block: Timeout) -> None:
        """Remove the deadline of a block. It must be called when the block is left, at the latest."""
        # The timer stays armed: firing once in vain is cheaper than resetting it for each request.
        self._due.pop(block, None)

    def close(self) -> None:
        """Cancel the timer. A deadline that is set later arms it again."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None
        self._fires_at = math.inf

    def _arm(self, when: float) -> None:
        self.close()
        self._handle = asyncio.get_running_loop().call_at(when, self._fire)
        self._fires_at = when

    def _fire(self) -> None:
        self.close()
        now = asyncio.get_running_loop().time()
        for block in [block for block, when in self._due.items() if when <= now]:
            del self._due[block]
            expire(block)
        if self._due:  # deadlines that are not due yet
            self._arm(min(self._due.values()))
