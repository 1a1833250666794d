"""`SharedTimer`: one timer for the deadlines of many requests.

`asyncio.timeout` sets a timer and takes it back for each block, which costs a request on a fast connection a tenth of
its time. Requests hardly ever reach their deadlines, so here one timer stays, and looks at what is due when it fires.
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
        """End an entered block at `when`, in the loop's time, in place of any time that was set before."""
        self._due[block] = when
        if when < self._fires_at:
            self._arm(when)

    def clear(self, block: Timeout) -> None:
        """Let the block have no deadline. It must be called when the block is left, at the latest."""
        # The handle stays armed: it fires once for nothing, which is cheaper than to set it back for each request.
        self._due.pop(block, None)

    def close(self) -> None:
        """Take the timer back. A deadline that is set later arms it again."""
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
        if self._due:  # those that were set later than the one that is due
            self._arm(min(self._due.values()))
