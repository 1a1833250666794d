"""Turns of the event loop: work that keeps the processor busy, one piece in each, so that others come in between."""

from __future__ import annotations

import asyncio


class DecodeTurn:
    """Lets one page be decoded in each turn of the event loop. It belongs to one loop.

    Where many answers arrive together, all of them would be decoded in one turn. Nothing else would run meanwhile: not
    what takes the records, not the requests that come next, and not what else lives in the process; and the records of
    all pages would be in memory at once, which alone makes decoding slower by half.

    Attributes:
        under_way: Requests whose pages may come to be decoded. One that is alone need not wait.
    """

    __slots__ = ("_lock", "under_way")

    def __init__(self) -> None:
        self.under_way = 0
        self._lock = asyncio.Lock()

    async def wait(self) -> None:
        """Wait for a turn, in the order of arrival."""
        async with self._lock:
            await asyncio.sleep(0)
