"""One walk being carried out: its requests in flight, and what has come of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from aiozilliz._errors import APIError, IncompleteListingError
from aiozilliz._pagination.decisions import Done, GiveUp, RequestPage

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from aiozilliz._aio.cancel_scope import CancelScope
    from aiozilliz._pagination.planner import PagePlanner
    from aiozilliz._records.cluster import Cluster, ClusterPage

_READ_AGAIN = (
    "All clusters seen were yielded before; read again when fewer change, or with more passes ({max_passes})."
)
_NO_COUNT = "All clusters seen were yielded before; this service can only be read without {verify}."
_NOT_FOUND = frozenset({400, 404})
_PAGE_OUT_OF_RANGE = 96009


class GetPage(Protocol):
    """Fetches one page: number, size, and what may end it early."""

    def __call__(
        self, page: int, page_size: int, scope: CancelScope, /
    ) -> Coroutine[Any, Any, ClusterPage]: ...


class Listener(Protocol):
    """Is told what goes out and what comes in."""

    def sent(self, request: RequestPage) -> None:
        """The request goes out now."""

    def on_page(self, request: RequestPage, page: ClusterPage) -> None:
        """Its answer has arrived."""


class _Bell:
    """Wakes who waits for the next request to end. It is what a task knows of a run: nothing that it would keep alive."""

    __slots__ = ("_waiter",)

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] | None = None

    def __call__(self, _: asyncio.Task[ClusterPage]) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class PlanRunner:
    """Does what a `PagePlanner` decides; who uses it decides when.

    Prefetching tasks know `get_page` and nothing of the run, so that one left behind can be collected.

    Args:
        get_page: Fetches one page.
        walk: The planner.
        page_size: Records to ask for.
        url: What is asked, to be named in an error.
        scope: Ends the requests early.
        tasks: Where tasks are entered while they run, for somebody who has to end all of them.
        recorder: Is told of each request and answer.

    Attributes:
        in_flight: Requests under way, by task, in the order in which the walk reads them.
        failure: Why the walk can't go on, once a page can't be had. What was asked before that page is still awaited.
    """

    def __init__(
        self,
        get_page: GetPage,
        walk: PagePlanner[Cluster],
        *,
        page_size: int,
        url: str,
        scope: CancelScope,
        tasks: set[asyncio.Task[ClusterPage]],
        recorder: Listener | None = None,
    ) -> None:
        self.walk = walk
        self.in_flight: dict[asyncio.Task[ClusterPage], RequestPage] = {}
        self.failure: Exception | None = None
        self._get_page = get_page
        self._page_size = page_size
        self._url = url
        self._scope = scope
        self._tasks = tasks
        self._recorder = recorder
        self._dropped: set[asyncio.Task[ClusterPage]] = set()
        self._bell = _Bell()
        self._started: float | None = None

    def __del__(self) -> None:
        for task in getattr(self, "in_flight", ()):
            if not task.done() and not task.get_loop().is_closed():
                task.get_loop().call_soon_threadsafe(task.cancel)

    @property
    def busy(self) -> bool:
        """Whether a request is under way, if only one that was given up and has not ended yet."""
        return bool(self.in_flight or self._dropped)

    def wanted(self) -> RequestPage | None:
        """Give the request that is to go out now, or None."""
        return self.walk.next_request() if self.failure is None else None

    def take(self) -> Sequence[Cluster] | None:
        """Give records that are to be handed on now, or None."""
        return self.walk.next_records()

    async def fetch(self, request: RequestPage) -> None:
        """Carry out a request in the caller's own task.

        Raises:
            Exception: The page can't be had.
        """
        self._send(request)
        try:
            page = await self._get_page(request.page_number, self._page_size, self._scope)
        except Exception as error:
            if not self._is_past_the_end(request, error):
                raise
        except BaseException:
            self.walk.on_lost(request)
            raise
        else:
            self._feed(request, page)

    def start(self, request: RequestPage) -> asyncio.Task[ClusterPage]:
        """Carry out a request in a task of its own, and give that."""
        self._send(request)
        task = asyncio.create_task(
            self._get_page(request.page_number, self._page_size, self._scope),
            name=f"aiozilliz page {request.page_number}",
        )
        self.in_flight[task] = request
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_retrieve)
        task.add_done_callback(self._bell)
        return task

    def collect_finished(self) -> None:
        """Tell the planner of all answers that have arrived. To be called before anything else is sent."""
        for task, request in list(self.in_flight.items()):
            if task not in self.in_flight or not task.done():
                continue
            error = None if task.cancelled() else task.exception()
            if error is None and not task.cancelled():
                self._feed(request, task.result())
            elif not isinstance(error, Exception) or not self._is_past_the_end(request, error):
                self.fail(
                    task, error if isinstance(error, Exception) else RuntimeError("the client is closed")
                )
                continue
            del self.in_flight[task]

    def fail(self, task: asyncio.Task[ClusterPage], error: Exception) -> None:
        """End the walk at this flight: what is before it is still awaited, what is behind it is cancelled."""
        self.failure = error  # for the planner the request stays out, so nothing behind it is read
        order = list(self.in_flight)
        for behind in order[order.index(task) :]:
            del self.in_flight[behind]
            if behind.cancel():
                self._dropped.add(behind)
                behind.add_done_callback(self._dropped.discard)

    async def stop(self) -> None:
        """End all requests, and wait until they have ended."""
        for task in self.in_flight:
            task.cancel()
        tasks = [*self.in_flight, *self._dropped]
        if tasks:
            await asyncio.wait(tasks)

    async def wait(self) -> bool:
        """Wait until a request has ended that had not when `land` was called. Give whether there was one."""
        if not self.busy:
            return False
        # asyncio.wait would go through all of them, at each one's end.
        await self._bell.wait()
        return True

    def end(self) -> Exception:
        """Say how the walk ended, once nothing is wanted, taken or under way: `StopAsyncIteration` where all is well."""
        if self.failure is not None:
            return self.failure
        decision = self.walk.next_decision()
        if isinstance(decision, Done):
            return StopAsyncIteration()
        assert isinstance(decision, GiveUp), decision
        error = IncompleteListingError(
            f"The listing can't be shown to be complete: {decision.reason}",
            expected=decision.expected,
            received=decision.received,
            passes=decision.passes,
            method="GET",
            url=self._url,
            advice=_READ_AGAIN if decision.expected is not None else _NO_COUNT,
            retryable=True,
        )
        error.attempts = self.walk.answers
        error.elapsed = asyncio.get_running_loop().time() - (self._started or 0.0)
        return error

    def _send(self, request: RequestPage) -> None:
        if self._started is None:
            self._started = asyncio.get_running_loop().time()
        if self._recorder is not None:
            self._recorder.sent(request)
        self.walk.on_sent(request)

    def _feed(self, request: RequestPage, page: ClusterPage) -> None:
        if self._recorder is not None:
            self._recorder.on_page(request, page)
        self.walk.on_page(request, page.clusters, count=page.count, page_size=page.page_size)

    def _is_past_the_end(self, request: RequestPage, error: Exception) -> bool:
        return (
            type(error) is APIError
            and (error.code == _PAGE_OUT_OF_RANGE or error.status in _NOT_FOUND)
            and self.walk.on_refused(request)
        )


def _retrieve(task: asyncio.Task[ClusterPage]) -> None:
    # A run left behind never asks; asyncio would complain of an exception that nobody took.
    if not task.cancelled():
        task.exception()
