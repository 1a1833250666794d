"""`PlanRunner`: sends the requests that a `PagePlanner` decides on, when its caller says so."""

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

_SEEN = "Every cluster seen was yielded. "
_READ_AGAIN = _SEEN + "Read again when fewer change, or allow more passes ({max_passes})."
_VERIFY = _SEEN + "Read with {verify}, which needs no pass in which nothing changes."
_AT_REST = (
    _SEEN + "Nothing changes, so the service's count is wrong, or it leaves clusters out: ask its support."
)
_NO_COUNT = _SEEN + "This service can only be read without {verify}."
_IN_BETWEEN = _SEEN + "Check {base_url}, and proxies and caches in between."
_NOT_FOUND = frozenset({400, 404})
_PAGE_OUT_OF_RANGE = 96009
_UNKNOWN_REGION = 96001  # under whatever status, it says nothing about the page
_SHOWN = 5  # repeated passes, in the text of an error


class FetchPage(Protocol):
    """Fetches one page by its number. The scope may cancel the request. Without `room` there is room without bound."""

    def __call__(
        self, page: int, scope: CancelScope, room: PageRoom | None = None, /
    ) -> Coroutine[Any, Any, ClusterPage]: ...


class Listener(Protocol):
    """Is called for each request and each page."""

    def on_sent(self, request: RequestPage) -> None:
        """Called before the request is sent."""

    def on_page(self, request: RequestPage, page: ClusterPage) -> None:
        """Called when its page has arrived."""


class PlanRunner:
    """The requests of one reading of a listing.

    Args:
        fetch: Fetches one page.
        planner: Decides which pages are requested and which records are yielded.
        name: The account's name in log records.
        url: The URL in errors.
        scope: Cancels the requests.
        life: Starts tasks, and ends them with the client or inventory.
        verify: Whether the planner wants a proof, for the advice in an error.
        listener: Is called for each request and page.
        on_done: Called when a started request has ended.

    Attributes:
        in_flight: Started requests, by task.
        failure: The error that ends the reading, once a page could not be fetched. Pages before it are still awaited.
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
        self._ended = asyncio.Event()  # set when a request has ended after the latest `collect_finished`
        self._started: float | None = None
        self._cached = False  # whether a cache gave a page

    @property
    def busy(self) -> bool:
        """Whether a request is in flight, including cancelled ones that have not ended yet."""
        return bool(self.in_flight or self._dropped)

    def wanted(self) -> RequestPage | None:
        """Return the next request to send, or None."""
        request = self.planner.next_request()
        # After a failure, a page before it is still requested if it was refused only once.
        if self.failure is None or request is None or self.planner.order_of(request) < self._failed_at:
            return request
        return None

    def take(self) -> Sequence[Cluster] | None:
        """Return the next records to yield, or None."""
        return self.planner.next_records()

    async def fetch(self, request: RequestPage) -> None:
        """Send a request in the caller's task, and pass its page to the planner.

        Raises:
            Exception: The page could not be fetched.
        """
        self._send(request)
        try:
            page = await self._fetch(request.page_number, self._scope)
        except Exception as error:
            if self._is_past_the_end(request, error):
                return
            failure = self._failure(request, error)
            if failure is error:
                raise
        except BaseException:
            self.planner.on_lost(request)
            raise
        else:
            self._receive(request, page)
            return
        raise failure  # outside of the `except` block, so that it does not refer to the other one

    def start(self, request: RequestPage, room: PageRoom | None = None) -> None:
        """Send a request in a new task."""
        self._send(request)
        task = self._life.start(
            self._fetch(request.page_number, self._scope, room),
            name=f"aiozilliz page {request.page_number}",
        )
        self.in_flight[task] = request
        task.add_done_callback(self._wake)

    def collect_finished(self) -> None:
        """Pass all pages that have arrived to the planner. It must be called before the next request is sent."""
        self._ended.clear()
        for task, request in list(self.in_flight.items()):
            if task not in self.in_flight or not task.done():
                continue
            # 1. A cancelled task: closing the client cancels all of them.
            error = RuntimeError("the client is closed") if task.cancelled() else task.exception()
            # 2. A page, or a refusal that means that the list ends before it.
            if error is None:
                self._receive(request, task.result())
            elif not isinstance(error, Exception) or not self._is_past_the_end(request, error):
                # 3. A page that could not be fetched.
                known = error if isinstance(error, Exception) else RuntimeError("the client is closed")
                self._fail(task, self._failure(request, known))
                continue
            del self.in_flight[task]

    async def wait(self) -> bool:
        """Wait until a request has ended after the latest `collect_finished`.

        Returns:
            False if no request is in flight.
        """
        if not self.busy:
            return False
        # `asyncio.wait` would visit every task each time one ends.
        await self._ended.wait()
        return True

    async def stop(self) -> None:
        """Cancel all requests, and wait until they have ended."""
        for task in self.in_flight:
            task.cancel()
        tasks = [*self.in_flight, *self._dropped]
        if tasks:
            await asyncio.wait(tasks)

    def end(self) -> Exception:
        """Return how the reading ended. No request may be left to send or in flight, and no records to yield.

        Returns:
            The error, or `StopAsyncIteration` if there is none.
        """
        if self.failure is not None:
            return self.failure
        decision = self.planner.next_decision()
        if isinstance(decision, Done):
            return StopAsyncIteration()
        assert isinstance(decision, GiveUp), decision
        return self._incomplete(decision, self._advice(decision))

    def _advice(self, decision: GiveUp) -> str:
        if decision.expected is None:
            return _NO_COUNT
        # In a busy list no pass is clean, but nearly every one brings the proof. No way helps if the list is at rest.
        last = [(one.count, one.received) for one in decision.repeated[-2:]]
        if decision.expected != decision.received and len(last) > 1 and last[0] == last[1]:
            return _AT_REST
        if self._verify:
            return _IN_BETWEEN if self._cached else _READ_AGAIN
        return _VERIFY

    def _incomplete(self, decision: GiveUp, advice: str) -> IncompleteListingError:
        why = "".join(f"; pass {one.pass_number}: {one}" for one in decision.repeated[-_SHOWN:])
        of = "" if decision.expected is None else f" of {decision.expected}"
        error = IncompleteListingError(
            f"The listing can't be shown to be complete ({decision.received}{of} seen): {decision.reason}{why}",
            expected=decision.expected,
            received=decision.received,
            passes=decision.passes,
            method="GET",
            url=self._url,
            advice=advice,
            retryable=decision.expected is not None,  # a service without a count will not have one later
        )
        error.attempts = self.planner.answers
        error.elapsed = asyncio.get_running_loop().time() - (self._started or 0.0)
        return error

    def _failure(self, request: RequestPage, error: Exception) -> Exception:
        """Return what ends the reading if a page can't be had."""
        if not isinstance(error, ResponseError) or error.echoed_page is None:
            return error
        # Each new connection gave the same, so it is not the connection.
        tries = "1 attempt" if error.attempts == 1 else f"{error.attempts} attempts"
        reason = (
            f"page {request.page_number} was answered as page {error.echoed_page} ({tries}), "
            "so something in between ignores the query"
        )
        plan = self.planner
        given_up = GiveUp(reason, plan.count, len(plan.last_pass), plan.pass_number, plan.repeated)
        incomplete = self._incomplete(given_up, _IN_BETWEEN)
        incomplete.echoed_page = error.echoed_page
        incomplete.attempts += error.attempts
        return incomplete

    def _send(self, request: RequestPage) -> None:
        if self._started is None:
            self._started = asyncio.get_running_loop().time()
        if self._listener is not None:
            self._listener.on_sent(request)
        self.planner.on_sent(request)

    def _receive(self, request: RequestPage, page: ClusterPage) -> None:
        if self._listener is not None:
            self._listener.on_page(request, page)
        self._cached |= page.age > 0
        self.planner.on_page(
            request, page.clusters, count=page.count, page_size=page.page_size, fresh=not page.age
        )
        if self.planner.repeated is not self._reported:
            self._report()

    def _report(self) -> None:
        """Log why a pass over the pages is repeated, if a repetition has just started."""
        repeated = self.planner.repeated
        if repeated is not self._reported:
            self._reported = repeated
            logger.info("%s: reading the list again: %s", self._name, repeated[-1])

    def _fail(self, failed: asyncio.Task[ClusterPage], error: Exception) -> None:
        """End the reading at this request: pages before it are still awaited, those after it are cancelled."""
        self.failure = error  # the planner still waits for this page, so it yields nothing after it
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
            and error.code != _UNKNOWN_REGION
            and self._take_refusal(request, error)
        )

    def _take_refusal(self, request: RequestPage, error: APIError) -> bool:
        is_end = self.planner.on_refused(request, by_service=error.code is not None)
        self._report()
        return is_end
