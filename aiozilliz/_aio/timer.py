"""One timer for many deadlines.

`asyncio.timeout` sets a timer and takes it back for each block, which costs a request on a fast connection a tenth of
its time. Requests hardly ever reach their deadlines, so here one timer stays, and looks what is due when it rings.
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

    __slots__ = ("_due", "_rings_at", "_timer")

    def __init__(self) -> None:
        self._due: dict[Timeout, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf

    def set(self, block: Timeout, when: float) -> None:
        """Let this block, which has been entered, end at `when`, in the loop's time. It replaces what was set before."""
        self._due[block] = when
        if when < self._rings_at:
            self._arm(when)

    def move(self, block: Timeout, when: float) -> None:
        """Let the block end at `when` instead, even if it was to end in this very turn of the event loop.

        What else would have ended it in this turn, an scope, is taken back with it: look at that afterwards.
        """
        if block.when() is not None and not block.expired():
            block.reschedule(None)
        self.set(block, when)

    def clear(self, block: Timeout) -> None:
        """Let the block have no deadline. To be called when it is left, at the latest."""
        self._due.pop(block, None)

    def close(self) -> None:
        """Take the timer back. A deadline that is set later sets it again."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._rings_at = math.inf

    def _arm(self, when: float) -> None:
        self.close()
        self._timer = asyncio.get_running_loop().call_at(when, self._ring)
        self._rings_at = when

    def _ring(self) -> None:
        self.close()
        now = asyncio.get_running_loop().time()
        for block in [block for block, when in self._due.items() if when <= now]:
            del self._due[block]
            expire(block)
        if self._due:
            self._arm(min(self._due.values()))
