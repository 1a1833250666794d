"""One page over the wire, whatever it takes: `PageRequest` says in order what happens to it.

1. The deadline and the caller's scope may end it from the beginning on.
2. An attempt gets the key, sits out a pause that the service asked for, waits for room for its page, enters the limiter
   and takes a slot.
3. One request is sent and its response read. A refusal of a key that has been rotated meanwhile is followed by one more.
4. After a failure, the retry policy says whether and when there is another attempt; stamina counts and waits.
5. What is raised in the end says what was requested, how often and for how long.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import nullcontext
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from aiozilliz._aio.cancel_scope import Block, CancelScope, NoTimeLeftError
from aiozilliz._aio.limiter import RetryAfterGate
from aiozilliz._errors import APIError, AuthenticationError, ResponseError, TransportError, ZillizError
from aiozilliz._http.aiohttp_errors import (
    cancelled_elsewhere,
    collection_out_of_time,
    failure_of,
    out_of_time,
)
from aiozilliz._http.retry import Retries, retry_after, spread, waits_are_off
from aiozilliz._http.transport import log_request
from aiozilliz._http.wire import is_refusal_by_service, page_url, read_answer
from aiozilliz._settings.redaction import KNOWN_KEYS, redact_error
from aiozilliz._settings.tracebacks import Replacement, bare

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

    from aiozilliz._aio.limiter import PageRoom
    from aiozilliz._http.retry import RetryPolicy
    from aiozilliz._http.transport import Answer, Transport
    from aiozilliz._records.cluster import ClusterPage
    from aiozilliz._settings.checks import ListQuery
    from aiozilliz._settings.credentials import KeySource, Secret

logger = logging.getLogger("aiozilliz")

NO_LIMIT: Final = nullcontext()
"""A limiter that limits nothing."""

_MAX_URL: Final = 2_000
_RESPONSE = "a response"
_NEXT_ATTEMPT = "the next attempt"
_PAUSE = "the pause that the service asked for (Retry-After)"
_PROBE = "the response to a probe, after a pause that the service asked for (Retry-After)"
_LIMITER = "the limiter"
_CALLABLE = "the api_key callable"
_SLOT = "a free slot"
_ROOM = "room for the page"


@define(eq=False, kw_only=True)
class RequestContext:
    """Everything that requests for the pages of one account share.

    Attributes:
        name: The account's name in log records.
        base_url: Checked base URL.
        key: The source of the key.
        transport: Sends one request.
        limiter: Entered once for each attempt and held while it is in flight.
        policy: Attempts, waits and the deadline.
        check_open: Raises a `RuntimeError` if nothing can be sent.
        slots: Entered inside the limiter and held while an attempt is in flight: a bound over several accounts. While
            an attempt waits for a slot the deadline stands still, so that no account fails because of others.
        gate: The pause that the service has asked for.
        pages: Pages received so far.
    """

    name: str
    base_url: str
    key: KeySource
    transport: Transport
    limiter: AbstractAsyncContextManager[object]
    policy: RetryPolicy
    check_open: Callable[[], None]
    slots: asyncio.Semaphore | None = None
    gate: RetryAfterGate = field(init=False)
    pages: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.gate = RetryAfterGate(self.name, self.policy.hold_back_max)

    @property
    def fixed_key(self) -> bool:
        """Whether the key never changes, as that of a callable may."""
        return self.key.fixed is not None

    def is_refusal(self, error: ZillizError) -> bool:
        """Return whether the service itself says, with a code that means it, that the key is refused."""
        return is_refusal_by_service(error)

    def fetch(
        self, query: ListQuery, page: int, scope: CancelScope, room: PageRoom | None = None
    ) -> Coroutine[Any, Any, ClusterPage]:
        """Return one page.

        Args:
            query: What to ask.
            page: Page number, 1-based.
            scope: Ends the request early.
            room: Room for the page, which is given up if it starts to wait for anything but a slot or a response. While
                it waits for its room the deadline stands still. None is room without bound.

        Raises:
            ZillizError: The page could not be fetched; the error says what was requested, how often and for how long.
            RuntimeError: The scope is cancelled, or nothing can be sent.
        """
        return PageRequest(self, query, page, scope, room).fetch()


class PageRequest:
    """One page, from the first attempt to the last. For the arguments see `RequestContext.fetch`."""

    def __init__(
        self, context: RequestContext, query: ListQuery, page: int, scope: CancelScope, room: PageRoom | None
    ) -> None:
        self._context = context
        self._query, self._page = query, page
        self._scope, self._room = scope, room
        self._url = page_url(context.base_url, query, page)
        self._afresh = self._rotated = False
        self._waiting_for = _RESPONSE
        self._made = self._logged = 0
        self._last: ZillizError | None = None

    async def fetch(self) -> ClusterPage:
        """Return the page. For what it raises see `RequestContext.fetch`."""
        context, scope = self._context, self._scope
        context.check_open()
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._deadline = self._started + context.policy.deadline
        block = self._block = Block(None)
        timer = context.transport.timer
        page: ClusterPage | None = None
        try:
            scope.check()
            async with block:
                # 1. From here on the deadline and the caller may end it.
                timer.set(block, self._deadline)
                scope.attach(block)
                # 2., 3. Nearly every page arrives with the first attempt.
                try:
                    page = await self._attempt()
                except ZillizError as error:
                    self._last = error
                # 4.
                if page is None:
                    page = await self._retry()
            # A scope that was cancelled in the very turn in which the response came has ended nothing.
            scope.check()
            context.pages += 1
            return page
        except ZillizError as error:
            self._last = error
        except (NoTimeLeftError, TimeoutError) as error:
            if isinstance(error, TimeoutError) and not block.expired():
                raise  # it came out of the key callable or the limiter
        finally:
            scope.detach(block)
            timer.clear(block)
            self._wait_for(self._waiting_for, idle=False)
        # 5. The client was closed under the request, the scope was cancelled, its deadline has passed, or it has failed.
        context.check_open()
        if scope.deadline is None:
            scope.check()
        raise self._complete()

    async def _retry(self) -> ClusterPage:
        """Make the attempts that follow a failed first one, or raise that failure."""
        assert self._last is not None
        what = f"{self._context.name}, page {self._page}"
        retries = Retries(self._context.policy, what, self._begin_wait)
        return await retries.run(self._attempt, self._last.with_traceback(None))

    def _begin_wait(self) -> float:
        self._wait_for(_NEXT_ATTEMPT)
        return self._time_left()

    async def _attempt(self) -> ClusterPage:
        key = self._context.key
        try:
            secret = key.fixed or await self._ask_for_key()
            try:
                return await self._send(secret)
            except AuthenticationError as error:
                # A callable's key may have been rotated meanwhile. Once in a call, another request is no retry.
                if key.fixed is not None or self._rotated:
                    raise
                refusal = error
            self._rotated = True
            other = await self._ask_for_key()
            if other == secret:
                raise refusal
            return await self._send(other)
        except asyncio.CancelledError:
            # Our deadline and scope cancel this task, too. If nobody has, something else was cancelled: a shared refresh
            # of the key, say. Passed on, it would end the caller's task without a word.
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
        self._last = cancelled_elsewhere(self._waiting_for)
        raise self._last

    async def _ask_for_key(self) -> Secret:
        self._wait_for(_CALLABLE)
        secret = await self._context.key.get()
        self._check_time()
        return secret

    async def _send(self, secret: Secret) -> ClusterPage:
        context = self._context
        transport, slots, turn, room = context.transport, context.slots, context.transport.turn, self._room
        while True:
            # 2a. A pause that the service asked for holds back every request of the account.
            if context.gate.asked:
                await self._sit_out_pause()
            # 2b. Room for the page. It is waited for outside of the limiter, which others may need for the very page that
            #     makes room.
            if room is not None and not room.is_free():
                await self._wait_untimed(room.wait(), _ROOM)
            # 2c. The limiter, which may be the user's and do anything.
            self._wait_for(_LIMITER)
            page: ClusterPage | None = None
            swallowed = True
            async with context.limiter:
                self._check_time()
                if room is not None and not room.is_free():
                    swallowed = False
                    continue  # the room was given to others meanwhile
                # 2d. A slot among the requests of all accounts.
                if slots is not None:
                    await self._take_slot(slots)
                self._wait_for(_RESPONSE, idle=False)
                turn.in_flight += 1
                try:
                    # If a `Retry-After` arrived while this one queued, it gives up its slots without an attempt.
                    if not context.gate.asked or self._passes_gate():
                        # 3. Nothing of aiohttp's may pass, nor a frame that shows what arrived: either may hold the key.
                        self._made += 1
                        answer: Answer | None = None
                        failure: Replacement | None = None
                        try:
                            answer = await transport.send(
                                context.base_url,
                                self._url,
                                secret,
                                afresh=self._afresh,
                                on_cut_off=self._cut_off,
                            )
                            # What asks for a pause is read before anything else is sent; it may be a refusal under 200.
                            if (
                                turn.in_flight > 1
                                and answer.status < HTTPStatus.MULTIPLE_CHOICES
                                and "Retry-After" not in answer.headers
                            ):
                                await turn.wait()
                            page = self._read(answer)
                        except BaseException as error:  # noqa: BLE001  # cancellations, too
                            self._log(answer, error)
                            failure = Replacement(failure_of(error) if answer is None else error)
                        answer = None  # a traceback shows the locals of this frame
                        if failure is not None:
                            raise self._error_of(failure)
                except ZillizError as error:
                    self._note(error)
                    raise
                finally:
                    if context.gate.asked:
                        context.gate.leave(self, answered=page is not None)
                    turn.in_flight -= 1
                    if slots is not None:
                        slots.release()
                self._wait_for(_LIMITER, idle=page is None)
                swallowed = False
            if swallowed:
                raise RuntimeError("the limiter has swallowed an exception")
            if page is not None:
                return page

    def _error_of(self, failure: Replacement) -> BaseException:
        if failure.is_error:
            self._context.check_open()  # a session that was closed has refused to send, or to go on
        return failure.take()

    def _read(self, answer: Answer) -> ClusterPage:
        self._log(answer)
        return read_answer(
            answer.status,
            answer.headers,
            answer.body,
            page=self._page,
            page_size=self._query.page_size,
            now=datetime.now(UTC),
            max_bytes=self._context.transport.max_response_bytes,
            region=self._query.region,
        )

    def _log(self, answer: Answer | None, error: BaseException | None = None) -> None:
        if logger.isEnabledFor(logging.DEBUG) and self._logged != self._made:
            self._logged, seconds = self._made, self._loop.time() - self._sent
            log_request(self._context.name, self._url, answer or error, seconds, self._made)

    def _note(self, error: ZillizError) -> None:
        """Note a failed attempt: hide keys that were echoed, and hold back what the service asks to."""
        if isinstance(error, AuthenticationError):
            error.key_source = self._context.key.origin
        redact_error(error)
        pause = retry_after(error)
        if pause is not None and not waits_are_off():
            self._context.gate.close(self._loop.time(), pause)
        self._context.gate.leave(self, answered=isinstance(error, (APIError, ResponseError)))
        # A timeout, a loss or a response for another page: the other connections of the pool may be no better.
        self._afresh = isinstance(error, TransportError) or getattr(error, "echoed_page", None) is not None
        self._last = error

    def _cut_off(self, refusal: Answer) -> None:
        """Note a refusal whose body the deadline has cut off, or the caller: it counts all the same."""
        try:
            self._read(refusal)
        except ZillizError as error:
            self._note(bare(error))

    async def _take_slot(self, slots: asyncio.Semaphore) -> None:
        if not slots.locked():
            await slots.acquire()
            return
        await self._wait_untimed(slots.acquire(), _SLOT, idle=False)

    async def _wait_untimed(self, waiting: Awaitable[object], what: str, *, idle: bool = True) -> None:
        """Wait while the deadline stands still: nobody fails for the others' sake."""
        self._wait_for(what, idle=idle)
        timer = self._context.transport.timer
        asked = self._loop.time()
        timer.clear(self._block)
        await waiting
        self._sent = self._loop.time()
        self._deadline += self._sent - asked
        timer.set(self._block, self._deadline)

    async def _sit_out_pause(self) -> None:
        gate = self._context.gate
        while not waits_are_off() and gate.is_shut(self._loop.time()):
            pause = gate.remaining(self._loop.time())
            if pause == 0:
                self._wait_for(_PROBE)
                await gate.probe_ended()
                continue
            self._wait_for(_PAUSE)
            time_left = self._time_left()
            if pause >= time_left:
                raise NoTimeLeftError
            # Requests that were held back together don't start together, and each keeps time for its attempt.
            late = min(spread(self._context.policy, random.uniform), (time_left - pause) / 2)  # noqa: S311
            await asyncio.sleep(pause + late)

    def _passes_gate(self) -> bool:
        return waits_are_off() or self._context.gate.enter(self, self._loop.time())

    def _wait_for(self, what: str, *, idle: bool = True) -> None:
        self._waiting_for = what
        if self._room is not None:
            self._room.set_idle(idle)

    def _check_time(self) -> None:
        # A cancellation comes once; a callable or a limiter of the user's may have swallowed it.
        self._sent = self._loop.time()
        if self._deadline <= self._sent or self._scope.reason is not None:
            raise NoTimeLeftError

    def _time_left(self) -> float:
        return self._deadline - self._loop.time()

    def _complete(self) -> ZillizError:
        """Return the last failure, or that the time is over, with what was asked in it."""
        # Nothing here keeps it: it will refer to this request by its traceback.
        error, deadline = self._last, self._scope.deadline
        if deadline is not None:
            error = collection_out_of_time(deadline, self._waiting_for, error)
        error = error or out_of_time(self._context.policy.deadline, self._waiting_for)
        self._last, error.method = None, "GET"
        error.url = KNOWN_KEYS.redact(self._url, ours=True)[:_MAX_URL]  # a region may be anything
        error.page, error.attempts = self._page, self._made
        error.elapsed = self._loop.time() - self._started
        return bare(error)
