"""`Pager`, the base class of all async iterators of this package, and the two that read a listing.

They are classes, not async generators. A generator that has raised is exhausted, so a truncated list would look
complete if read on; it can't be closed while another task waits in it; and what it holds open across a `yield` is
closed late or never. Here nothing is open while the consumer runs.
"""

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from aiozilliz._aio.cancel_scope import CancelScope
from aiozilliz._iteration.runner import FetchPage, PlanRunner
from aiozilliz._public import returned
from aiozilliz._records.cluster import Cluster, ClusterPage

if TYPE_CHECKING:
    from collections.abc import Iterator

_T = TypeVar("_T")

_BUSY = (
    "another task is already waiting in __anext__ of this iterator; read it from one task, "
    "or create one iterator per task"
)
_CLOSED = "the iterator was closed before it was exhausted"
_EXHAUSTED = "the iterator is exhausted; call the method that returned it to read again"


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
        # A second `async for` would be an empty list without a word.
        if isinstance(self._end, StopAsyncIteration):
            raise RuntimeError(_EXHAUSTED)
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


@returned
class ClusterIterator(Pager[Cluster]):
    """An async iterator of `Cluster`, each `cluster_id` exactly once, in the service's order.

    `ZillizClient.iter_clusters` returns it. It can be read once, also in parts: after a `break`, or after the task that
    waited for a record was cancelled, it continues. After an error it raises that error again, so a truncated list
    never looks complete. Tasks that prefetch run in the context of the call that started them.

    `aclose()` ends the iterator and its requests at any time, from any task, and `async with` does so at a `break`:

        async with client.iter_clusters() as clusters:
            async for cluster in clusters:
                ...
                break
    """

    def __init__(self, run: PlanRunner, scope: CancelScope, *, concurrency: int) -> None:
        super().__init__(scope)
        self._run = run
        self._sequential = concurrency == 1

    def __repr__(self) -> str:
        return f"<ClusterIterator: {self.requests} pages received, count {self.count}>"

    @property
    def count(self) -> int | None:
        """The service's `count` in its latest response; None before the first, or if the service sends none.

        Reading it never sends a request.
        """
        return self._run.planner.count

    @property
    def requests(self) -> int:
        """Pages received so far."""
        return self._run.planner.answers

    async def _advance(self) -> Cluster:
        run = self._run
        while True:
            # 1. Collect what has arrived: it decides what else must be requested.
            if run.busy:
                run.collect_finished()
            if self._end is not None:  # closed by another task
                raise self._end
            # 2. Send what may be sent; in this task if there is only one request at a time.
            request = run.wanted()
            if request is not None:
                if not self._sequential:
                    run.start(request)
                    continue
                await run.fetch(request)
            # 3. Yield the records of the next page.
            records = run.take()
            if records is not None:
                self._ready = iter(records)
                return next(self._ready)
            # 4. Wait, or end.
            if request is None and not await run.wait():
                raise run.end()

    async def _stop(self) -> None:
        await self._run.stop()


@returned
class PageIterator(Pager[ClusterPage]):
    """An async iterator of `ClusterPage`, as the service sends them: none is skipped, merged or read again.

    `ZillizClient.iter_pages` returns it. It can be read once. After an error it raises that error again. `aclose()` and
    `async with` end it.
    """

    def __init__(self, fetch: FetchPage, scope: CancelScope, *, start_page: int) -> None:
        super().__init__(scope)
        self._fetch = fetch
        self._next = self._first = start_page
        self._received = 0
        self._before: ClusterPage | None = None

    def __repr__(self) -> str:
        return f"<PageIterator: next page {self._next}>"

    async def _advance(self) -> ClusterPage:
        before = self._before
        if before is not None and before.count is not None and self._received >= before.count:
            raise StopAsyncIteration
        page = await self._fetch(self._next, self._scope)
        if before is not None and (not page.clusters or _ids(page) == _ids(before)):
            raise StopAsyncIteration
        if before is None:
            # An estimate of the records before the first page. If it is too low, it costs one request at the end.
            self._received = (self._first - 1) * len(page.clusters)
            if not page.clusters:
                self._end = StopAsyncIteration()
        self._received += len(page.clusters)
        self._next += 1
        self._before = page
        return page


def _ids(page: ClusterPage) -> list[str]:
    return [cluster.cluster_id for cluster in page.clusters]
