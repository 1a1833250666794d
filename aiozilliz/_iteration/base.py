"""`Pager`: the base class of all async iterators of this package.

They are classes, not async generators. A generator that has raised is exhausted, so a truncated list would look
complete if read on; it can't be closed while another task waits in it; and what it holds open across a `yield` is
closed late or never. Here nothing is open while the consumer runs.
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
    "another task is already waiting in __anext__ of this iterator; read it from one task, "
    "or create one iterator per task"
)
_CLOSED = "the iterator was closed before it was exhausted"


class Pager(ABC, Generic[_T]):
    """An async iterator with one reader at a time, `aclose` at any time, and errors that are raised again.

    A subclass returns the next item from `_advance`, and puts further items that need no waiting into `_ready`.

    Args:
        scope: The iterator's own scope, a child of the client's.
    """

    def __init__(self, scope: CancelScope) -> None:
        self._ready: Iterator[_T] = iter(())
        self._scope = scope
        self._reader: asyncio.Task[object] | None = None
        self._left = asyncio.Event()  # set when the reader leaves; `aclose` waits for it
        self._end: Exception | None = None

    @abstractmethod
    async def _advance(self) -> _T:
        """Return the next item, or raise StopAsyncIteration."""

    async def _stop(self) -> None:
        """End the requests in the background."""

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
            self._end = StopAsyncIteration()  # the one raised refers to this frame and so to the iterator
            raise
        except Exception as error:
            if self._end is None:
                self._end = error
            raise
        finally:
            self._reader = None
            self._left.set()

    async def aclose(self) -> None:
        """Close the iterator: when this returns, none of its requests, tasks or connections is left.

        It may be called at any time, from any task, and more than once. A task that waits in `__anext__` gets a
        `RuntimeError`, as does every later call of `__anext__`. An iterator that has already ended stays as it is.
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
