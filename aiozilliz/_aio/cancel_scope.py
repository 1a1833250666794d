"""Ending page requests early, from any task."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class CancelScope:
    """Ends the page requests of one user at once, without cancelling the tasks that wait for them.

    Each request runs inside an `asyncio.timeout`; firing lets all of them expire now.

    Attributes:
        blocks: What `cancel` ends: `attach` enters a block here, and `detach` takes it out.
        reason: Why it was fired, or None.
    """

    __slots__ = ("__weakref__", "blocks", "reason")

    def __init__(self) -> None:
        self.blocks: set[asyncio.Timeout] = set()
        self.reason: str | None = None

    def cancel(self, reason: str) -> None:
        """End what runs; requests that begin later end at once. The first reason stays."""
        if self.reason is None:
            self.reason = reason
        for block in self.blocks:
            expire(block)

    def check(self) -> None:
        """Raise where it was fired.

        Raises:
            RuntimeError: It was; the text is the reason.
        """
        if self.reason is not None:
            raise RuntimeError(self.reason)


def attach(block: asyncio.Timeout, scopes: Iterable[CancelScope]) -> None:
    """Let each scope end this block, which has been entered. Where one was fired before, it ends now."""
    # No context manager: this is done for each page, where one would cost as much as decoding three records.
    for scope in scopes:
        scope.blocks.add(block)
        if scope.reason is not None:
            expire(block)


def detach(block: asyncio.Timeout, scopes: Iterable[CancelScope]) -> None:
    """Let no scope end this block any more."""
    for scope in scopes:
        scope.blocks.discard(block)


async def sleep(seconds: float, *scopes: CancelScope) -> None:
    """Sleep so many seconds, or until one of the scopes is fired.

    Raises:
        RuntimeError: One was; the text is the reason.
    """
    block = asyncio.Timeout(None)
    try:
        async with block:
            attach(block, scopes)
            await asyncio.sleep(seconds)
    except TimeoutError:
        pass
    finally:
        detach(block, scopes)
    for scope in scopes:
        scope.check()


def expire(block: asyncio.Timeout) -> None:
    """End a block of `asyncio.timeout` now."""
    if not block.expired():  # one that has can't be moved
        block.reschedule(0.0)
