"""`PlanRunner`: carries out what a `PagePlanner` decides. Whoever uses it decides when."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

from aiozilliz._errors import APIError, IncompleteListingError, ResponseError
from aiozilliz._pagination.decisions import Done, GiveUp, RequestPage

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from aiozilliz._aio.cancel_scope import CancelScope, Lifetime
    from aiozilliz._aio.limiter import PageRoom
    from aiozilliz._pagination.planner import PagePlanner
    from aiozilliz._records.cluster import Cluster, ClusterPage

logger = logging.getLogger("aiozilliz")

_SEEN = "All clusters seen were yielded before; "
_READ_AGAIN = _SEEN + "read again when fewer change, or with more passes ({max_passes})."
_VERIFY = _SEEN + "read with {verify}, which needs no pass in which nothing changes."
_NO_COUNT = _SEEN + "this service can only be read without {verify}."
_IGNORED = _SEEN + "check {base_url}, and proxies and caches in between."
_NOT_FOUND = frozenset({400, 404})
_PAGE_OUT_OF_RANGE = 96009
_SHOWN = 5  # of the passes that had to be repeated, in an error's text


class FetchPage(Protocol):
    """Fetches one page by its number, until the scope ends it. Without `room` there is room without bound."""

    def __call__(
        self, page: int, scope: CancelScope, room: PageRoom | None = None, /
    ) -> Coroutine[Any, Any, ClusterPage]: ...


class Listener(Protocol):
    """Hears what goes out and what comes in."""

    def on_sent(self, request: RequestPage) -> None:
        """The request goes out now."""

    def on_page(self, request: RequestPage, page: ClusterPage) -> None:
        """Its page has arrived."""


class PlanRunner:
    """The requests of one reading of a listing, and what has come of them.

    Args:
        fetch: Fetches one page.
        planner: Decides.
        name: What is read, for the log.
        url: What is read, for errors.
        scope: Ends the requests early.
        life: Starts tasks, and ends them with their owner.
        verify: Whether the planner wants a proof, for the advice in an error.
        listener: Hears of each request and page.
        on_done: Called whenever a request that was started has ended.

    Attributes:
        in_flight: Requests that were started, by task.
        failure: Why the reading can't go on, once a page can't be had. What was asked before that page is still
            awaited.
    """

    def __init__(
        self,
        fetch: FetchPage,
        planner: PagePlanner[Cluster],
        *,
        name: str,
        url: str,
        scope: CancelScope,
        life: Lifetime,
        verify: bool = False,
        listener: Listener | None = None,
        on_done: Callable[[], None] | None = None,
    ) -> None:
        self.planner = planner
        self.in_flight: dict[asyncio.Task[ClusterPage], RequestPage] = {}
        self.failure: Exception | None = None
        self._fetch = fetch
        self._name = name
        self._url = url
        self._reported = planner.repeated
        self._scope = scope
        self._life = life
        self._verify = verify
        self._listener = listener
        self._on_done = on_done
        self._failed_at = 0  # the place of the failed page in its pass, once there is one
        self._dropped: set[asyncio.Task[ClusterPage]] = set()
        self._ended = asyncio.Event()  # set when one has ended that `collect_finished` does not know of
        self._started: float | None = None

    @property
    def busy(self) -> bool:
        """Whether a request is in flight, if only one that was given up and has not ended yet."""
        return bool(self.in_flight or self._dropped)

    def wanted(self) -> RequestPage | None:
        """Return the request that must go out now, or None."""
        request = self.planner.next_request()
        # After a failure, a page before it is still asked for if it was refused only once.
        if self.failure is None or request is None or self.planner.order_of(request) < self._failed_at:
            return request
        return None

    def take(self) -> Sequence[Cluster] | None:
        """Return records that must be handed on now, or None."""
        return self.planner.next_records()

    async def fetch(self, request: RequestPage) -> None:
        """Carry out a request in the caller's own task.

        Raises:
            Exception: The page can't be had.
        """
        self._send(request)
        try:
            page = await self._fetch(request.page_number, self._scope)
        except Exception as error:
            if not self._is_past_the_end(request, error):
                failure = self._failure(request, error)
                if failure is error:
                    raise
                raise failure from None
        except BaseException:
            self.planner.on_lost(request)
            raise
        else:
            self._receive(request, page)

    def start(self, request: RequestPage, room: PageRoom | None = None) -> None:
        """Carry out a request in a task of its own."""
        self._send(request)
        task = self._life.start(
            self._fetch(request.page_number, self._scope, room),
            name=f"aiozilliz page {request.page_number}",
        )
        self.in_flight[task] = request
        task.add_done_callback(self._wake)

    def collect_finished(self) -> None:
        """Hand the planner all pages that have arrived. It must be called before anything else is sent."""
        self._ended.clear()
        for task, request in list(self.in_flight.items()):
            if task not in self.in_flight or not task.done():
                continue
            # 1. A cancelled task: the client is closed, which ends all of them.
            error = RuntimeError("the client is closed") if task.cancelled() else task.exception()
            # 2. A page, or a refusal that says that the list ends before it.
            if error is None:
                self._receive(request, task.result())
            elif not isinstance(error, Exception) or not self._is_past_the_end(request, error):
                # 3. A page that can't be had.
                known = error if isinstance(error, Exception) else RuntimeError("the client is closed")
                self._fail(task, self._failure(request, known))
                continue
            del self.in_flight[task]

    async def wait(self) -> bool:
        """Wait until a request has ended that had not when `collect_finished` was called.

        Returns:
            False if no request is in flight.
        """
        if not self.busy:
            return False
        # `asyncio.wait` would go through all tasks at each one's end.
        await self._ended.wait()
        return True

    async def stop(self) -> None:
        """End all requests, and wait until they have ended."""
        for task in self.in_flight:
            task.cancel()
        tasks = [*self.in_flight, *self._dropped]
        if tasks:
            await asyncio.wait(tasks)

    def end(self) -> Exception:
        """Return how the reading ended, once nothing is wanted, ready or in flight.

        Returns:
            `StopAsyncIteration` if all is well.
        """
        if self.failure is not None:
            return self.failure
        decision = self.planner.next_decision()
        if isinstance(decision, Done):
            return StopAsyncIteration()
        assert isinstance(decision, GiveUp), decision
        advice = _READ_AGAIN if self._verify else _VERIFY
        return self._incomplete(decision, advice if decision.expected is not None else _NO_COUNT)

    def _incomplete(self, decision: GiveUp, advice: str) -> IncompleteListingError:
        why = "".join(f"; pass {one.pass_number}: {one}" for one in decision.repeated[-_SHOWN:])
        error = IncompleteListingError(
            f"The listing can't be shown to be complete: {decision.reason}{why}",
            expected=decision.expected,
            received=decision.received,
            passes=decision.passes,
            method="GET",
            url=self._url,
            advice=advice,
            retryable=True,
        )
        error.attempts = self.planner.answers
        error.elapsed = asyncio.get_running_loop().time() - (self._started or 0.0)
        return error

    def _failure(self, request: RequestPage, error: Exception) -> Exception:
        """Return what ends the reading if a page can't be had."""
        if not isinstance(error, ResponseError) or error.echoed_page is None:
            return error
        # Each new connection gave the same: it is not the connection.
        reason = (
            f"page {request.page_number} was answered as page {error.echoed_page} {error.attempts} times, "
            "so something in between ignores the query"
        )
        return self._incomplete(self.planner.give_up(reason), _IGNORED)

    def _send(self, request: RequestPage) -> None:
        if self._started is None:
            self._started = asyncio.get_running_loop().time()
        if self._listener is not None:
            self._listener.on_sent(request)
        self.planner.on_sent(request)

    def _receive(self, request: RequestPage, page: ClusterPage) -> None:
        if self._listener is not None:
            self._listener.on_page(request, page)
        self.planner.on_page(
            request, page.clusters, count=page.count, page_size=page.page_size, fresh=not page.age
        )
        self._report()

    def _report(self) -> None:
        """Log why a pass over the pages has to be repeated, if one has just been begun again."""
        repeated = self.planner.repeated
        if repeated is not self._reported:
            self._reported = repeated
            logger.info("%s: reading the list again: %s", self._name, repeated[-1])

    def _fail(self, failed: asyncio.Task[ClusterPage], error: Exception) -> None:
        """End the reading at this request: what is before it is still awaited, what is behind it is cancelled."""
        self.failure = error  # for the planner the request stays out, so nothing behind it is read
        order_of = self.planner.order_of
        self._failed_at = order_of(self.in_flight[failed])
        for task, request in list(self.in_flight.items()):
            if order_of(request) >= self._failed_at:
                del self.in_flight[task]
                if task.cancel():
                    self._dropped.add(task)

    def _wake(self, task: asyncio.Task[ClusterPage]) -> None:
        self._dropped.discard(task)
        self._ended.set()
        if self._on_done is not None:
            self._on_done()

    def _is_past_the_end(self, request: RequestPage, error: Exception) -> bool:
        return (
            type(error) is APIError
            and (error.code == _PAGE_OUT_OF_RANGE or error.status in _NOT_FOUND)
            and self._take_refusal(request, error)
        )

    def _take_refusal(self, request: RequestPage, error: APIError) -> bool:
        is_end = self.planner.on_refused(request, by_service=error.code is not None)
        self._report()
        return is_end
