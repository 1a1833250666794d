"""`Pager`: what every async iterator of this package has in common.

They are classes and not async generators. A generator that has raised is finished and would let a truncated list pass
for a whole one; it can't be closed while another task waits in it; and what it holds open across a `yield` is closed
late or never. Here nothing is open while control is with the consumer.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from aiozilliz._aio.cancel_scope import CancelScope

_T = TypeVar("_T")

_BUSY = (
    "another task is waiting in __anext__ of this iterator; let one task read it and hand the records on, "
    "or call the method that made it once for each task"
)
_CLOSED = "the iterator was closed before it had come to its end"


class Pager(ABC, Generic[_T]):
    """One reader at a time, closing at any moment, and errors that stay.

    A subclass returns the next item from `_advance`. What it has in hand it puts into `_ready`, which is handed out
    without waiting.

    Args:
        scope: The iterator's own, below that of the client.
    """

    def __init__(self, scope: CancelScope) -> None:
        self._ready: Iterator[_T] = iter(())
        self._scope = scope
        self._reader: asyncio.Task[object] | None = None
        self._left = asyncio.Event()  # set when a reader leaves while somebody closes the iterator
        self._end: Exception | None = None

    @abstractmethod
    async def _advance(self) -> _T:
        """Return the next item; at the end raise StopAsyncIteration."""

    async def _stop(self) -> None:
        """End what runs in the background."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _T:
        if self._reader is not None:
            raise RuntimeError(_BUSY)
        for item in self._ready:
            return item
        if self._end is not None:
            raise self._end.with_traceback(None)
        self._reader = asyncio.current_task()
        try:
            return await self._advance()
        except StopAsyncIteration:
            self._end = StopAsyncIteration()  # the one raised refers to this frame, and so to the iterator
            raise
        except Exception as error:
            if self._end is None:
                self._end = error
            raise
        finally:
            self._reader = None
            self._left.set()

    async def aclose(self) -> None:
        """End it now: no request, task or connection of it is left when this returns.

        It may be called at any moment, from any task, and twice. A task that waits in `__anext__` gets a
        `RuntimeError`, as does every later call of `__anext__`; if the iterator had ended by itself, nothing changes.
        """
        if self._end is None:
            self._end = RuntimeError(_CLOSED)
        self._ready = iter(())
        self._scope.cancel(_CLOSED)
        reader = self._reader
        self._left.clear()
        await self._stop()
        if reader is not None and reader is not asyncio.current_task() and self._reader is reader:
            await self._left.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
