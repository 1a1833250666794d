"""Ending page requests early, from any task."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


class Interrupt:
    """Ends the page requests of one user at once, without cancelling the tasks that wait for them.

    Each request runs inside an `asyncio.timeout`; firing lets all of them expire now.
    """

    __slots__ = ("__weakref__", "_scopes", "reason")

    def __init__(self) -> None:
        self._scopes: set[asyncio.Timeout] = set()
        self.reason: str | None = None

    def fire(self, reason: str) -> None:
        """End what runs; requests that begin later end at once. The first reason stays."""
        if self.reason is None:
            self.reason = reason
        for scope in self._scopes:
            _expire(scope)

    def check(self) -> None:
        """Raise where it was fired.

        Raises:
            RuntimeError: It was; the text is the reason.
        """
        if self.reason is not None:
            raise RuntimeError(self.reason)

    @contextmanager
    def covers(self, scope: asyncio.Timeout) -> Generator[None]:
        """Let `fire` end this scope, too, which has been entered. Where it was fired before, it ends now."""
        self._scopes.add(scope)
        if self.reason is not None:
            _expire(scope)
        try:
            yield
        finally:
            self._scopes.discard(scope)


async def sleep(seconds: float, *interrupts: Interrupt) -> None:
    """Sleep so many seconds, or until one of the interrupts is fired.

    Raises:
        RuntimeError: One was; the text is the reason.
    """
    scope = asyncio.timeout(None)
    try:
        async with scope:
            with ExitStack() as covered:
                for interrupt in interrupts:
                    covered.enter_context(interrupt.covers(scope))
                await asyncio.sleep(seconds)
    except TimeoutError:
        pass
    for interrupt in interrupts:
        interrupt.check()


def _expire(scope: asyncio.Timeout) -> None:
    if not scope.expired():  # one that has can't be moved
        scope.reschedule(0.0)
