"""Ending page requests early, from any task."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Interrupt:
    """Ends the page requests of one user at once, without cancelling the tasks that wait for them.

    Each request runs inside an `asyncio.timeout`; firing lets all of them expire now.

    Attributes:
        scopes: What `fire` ends: `cover` enters a scope here, and `uncover` takes it out.
        reason: Why it was fired, or None.
    """

    __slots__ = ("__weakref__", "reason", "scopes")

    def __init__(self) -> None:
        self.scopes: set[asyncio.Timeout] = set()
        self.reason: str | None = None

    def fire(self, reason: str) -> None:
        """End what runs; requests that begin later end at once. The first reason stays."""
        if self.reason is None:
            self.reason = reason
        for scope in self.scopes:
            expire(scope)

    def check(self) -> None:
        """Raise where it was fired.

        Raises:
            RuntimeError: It was; the text is the reason.
        """
        if self.reason is not None:
            raise RuntimeError(self.reason)


def cover(scope: asyncio.Timeout, interrupts: Iterable[Interrupt]) -> None:
    """Let each interrupt end this scope, which has been entered. Where one was fired before, it ends now."""
    # No context manager: this is done for each page, where one would cost as much as decoding three records.
    for interrupt in interrupts:
        interrupt.scopes.add(scope)
        if interrupt.reason is not None:
            expire(scope)


def uncover(scope: asyncio.Timeout, interrupts: Iterable[Interrupt]) -> None:
    """Let no interrupt end this scope any more."""
    for interrupt in interrupts:
        interrupt.scopes.discard(scope)


async def sleep(seconds: float, *interrupts: Interrupt) -> None:
    """Sleep so many seconds, or until one of the interrupts is fired.

    Raises:
        RuntimeError: One was; the text is the reason.
    """
    scope = asyncio.Timeout(None)
    try:
        async with scope:
            cover(scope, interrupts)
            await asyncio.sleep(seconds)
    except TimeoutError:
        pass
    finally:
        uncover(scope, interrupts)
    for interrupt in interrupts:
        interrupt.check()


def expire(scope: asyncio.Timeout) -> None:
    """End a block of `asyncio.timeout` now."""
    if not scope.expired():  # one that has can't be moved
        scope.reschedule(0.0)
