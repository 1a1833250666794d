"""The attempts at one page: the key, the pauses the service asks for, the limiter, sending, and what follows a failure."""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from attrs import define, field

from aiozilliz._aio.decode_turn import DecodeTurn
from aiozilliz._aio.limiter import RetryAfterGate
from aiozilliz._aio.timer import SharedTimer
from aiozilliz._errors import AuthenticationError, TransportError, ZillizError
from aiozilliz._http.retry import retry_after, spread, wait_before_retry
from aiozilliz._http.wire import page_url, read_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from aiozilliz._http.retry import RetryPolicy
    from aiozilliz._http.transport import Transport
    from aiozilliz._records.cluster import ClusterPage
    from aiozilliz._settings.credentials import KeySource, Secret

logger = logging.getLogger("aiozilliz")

_AN_ANSWER = "an answer"
_THE_NEXT_ATTEMPT = "the next attempt"
_THE_PAUSE = "the pause that the service asked for (Retry-After)"
_THE_LIMITER = "the limiter"
_THE_CALLABLE = "the api_key callable"
_A_PLACE = "a place among the requests in flight"


class NoTimeLeftError(Exception):
    """The deadline has passed, or the pause that the service asked for outlasts it."""


@define(eq=False, kw_only=True)
class RequestContext:
    """What the pages of one account are asked for with.

    Attributes:
        base_url: Checked base URL.
        key: Where the key comes from.
        transport: Sends one request.
        limiter: Entered once for each attempt and held while it is in flight; None is no limit.
        policy: PageRequest, waits and the deadline.
        max_response_bytes: The transport's bound, to be named in an error.
        places: Entered inside the limiter and held while an attempt is in flight: a bound over several accounts. While
            an attempt waits for a place the deadline stands still, so that nobody fails for the others' sake.
        deadlines: The timer of several accounts of one event loop.
        turns: Of the same accounts.
        hold_back: The pause that the service has asked for.
    """

    base_url: str
    key: KeySource
    transport: Transport
    limiter: AbstractAsyncContextManager[object] | None
    policy: RetryPolicy
    max_response_bytes: int
    places: asyncio.Semaphore | None = None
    deadlines: SharedTimer = field(factory=SharedTimer)
    turns: DecodeTurn = field(factory=DecodeTurn)
    hold_back: RetryAfterGate = field(factory=RetryAfterGate, init=False)

    @property
    def key_at_hand(self) -> Secret | None:
        """The key, where a request can go out with it without waiting for anything; else None."""
        if self.limiter is None and self.places is None and not self.hold_back.asked:
            return self.key.fixed
        return None


class PageRequest:
    """The attempts at one page, and their state.

    Attributes:
        block: What ends them, to be entered by who calls.
        end: When it is to, in the loop's time: at the deadline, or sooner for an attempt that is made at once.
    """

    __slots__ = (
        "_access",
        "_deadline",
        "_end_is_timeout",
        "_last",
        "_loop",
        "_made",
        "_on_idle",
        "_page",
        "_page_size",
        "_rotated",
        "_started",
        "_untold",
        "_url",
        "_waiting_for",
        "block",
        "end",
    )

    block: asyncio.Timeout

    def __init__(
        self, access: RequestContext, page: int, page_size: int, on_idle: Callable[[bool], None] | None
    ) -> None:
        self._access = access
        self._on_idle = on_idle
        self._page = page
        self._page_size = page_size
        self._url = page_url(access.base_url, page, page_size)
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._deadline = self.end = self._started + access.policy.deadline
        self._end_is_timeout = False  # of a first attempt that is made at once
        self._made = 0
        self._rotated = False
        self._waiting_for = _AN_ANSWER
        self._last: ZillizError | None = None
        self._untold: ZillizError | None = None  # the first failure, of which stamina does not know yet

    def send_at_once(self, secret: Secret) -> Awaitable[ClusterPage]:
        """Make the first attempt, where nothing but its answer is to be waited for: one block does for all bounds."""
        timeout = self._access.transport.timeout
        if timeout is not None and timeout < self._access.policy.deadline:
            self._end_is_timeout = True
            self.end = self._started + timeout
        return self._send(secret)

    def go_on_after(self, error: ZillizError) -> bool:
        """Tell whether `make_all` is to be called after the first attempt, which failed."""
        if self._time_left() <= 0 or self._decide(error) is False:
            return False
        self._untold = error.with_traceback(None)
        self._end_is_timeout = False
        self.end = self._deadline
        return True

    async def make_all(self) -> ClusterPage:
        """Make all attempts, or those that are left."""
        if self._untold is None:
            try:
                return await self._attempt()
            except ZillizError as error:
                if not self.go_on_after(error):
                    raise
        # stamina is loaded and entered only now: for a page that comes at once, it would cost more than all of ours.
        import stamina  # noqa: PLC0415

        policy = self._access.policy
        retry = stamina.retry(
            on=self._decide,
            attempts=policy.attempts,
            timeout=None,
            wait_initial=policy.wait_initial,
            wait_max=policy.wait_max,
            wait_jitter=policy.wait_jitter,
        )
        return await retry(self._attempt_or_tell)()

    async def _attempt_or_tell(self) -> ClusterPage:
        if self._untold is not None:
            error, self._untold = self._untold, None
            raise error
        return await self._attempt()

    def _decide(self, error: Exception) -> bool | float:
        self._wait_for(_THE_NEXT_ATTEMPT)
        return wait_before_retry(
            error,
            first=self._made == 1,
            policy=self._access.policy,
            time_left=self._time_left(),
            uniform=random.uniform,
        )

    async def _attempt(self) -> ClusterPage:
        secret = self._access.key.fixed or await self._ask_key()
        try:
            return await self._request(secret)
        except AuthenticationError as error:
            if self._rotated or self._access.key.fixed is not None:
                raise
            refusal = error
        self._rotated = True
        other = await self._ask_key()
        if other == secret:
            raise refusal
        return await self._request(other)

    async def _ask_key(self) -> Secret:
        self._wait_for(_THE_CALLABLE)
        secret = await self._access.key.get()
        self._check_time()
        return secret

    async def _request(self, secret: Secret) -> ClusterPage:
        limiter = self._access.limiter
        while True:
            if self._pause() > 0:
                await self._sit_out_the_pause()
            if limiter is None and self._access.places is None:
                return await self._send(secret)
            if limiter is None:
                answer = await self._send_in_place(secret)
            else:
                self._wait_for(_THE_LIMITER)
                answered = False
                async with limiter:
                    self._check_time()
                    answer = await self._send_in_place(secret)
                    answered = True
                    self._wait_for(_THE_LIMITER)
                if not answered:
                    raise RuntimeError("the limiter has swallowed an exception")
            if answer is not None:
                return answer

    def _check_time(self) -> None:
        # The deadline's cancellation comes once; a callable or a limiter of the user's may have swallowed it.
        if self._time_left() <= 0:
            raise NoTimeLeftError

    async def _send_in_place(self, secret: Secret) -> ClusterPage | None:
        """Send, or give None where a Retry-After came while this one queued: the place goes to somebody else."""
        places = self._access.places
        if places is None:
            return await self._send(secret) if self._pause() == 0 else None
        await self._take_place(places)
        try:
            return await self._send(secret) if self._pause() == 0 else None
        finally:
            places.release()

    async def _take_place(self, places: asyncio.Semaphore) -> None:
        self._wait_for(_A_PLACE, idle=False)
        if not places.locked():
            await places.acquire()
            return
        asked = self._loop.time()
        deadlines = self._access.deadlines
        deadlines.clear(self.block)
        await places.acquire()
        self._deadline += self._loop.time() - asked
        deadlines.set(self.block, self._deadline)

    def _wait_for(self, what: str, *, idle: bool = True) -> None:
        self._waiting_for = what
        if self._on_idle is not None:
            self._on_idle(idle)

    async def _send(self, secret: Secret) -> ClusterPage:
        self._wait_for(_AN_ANSWER, idle=False)
        self._made += 1
        access = self._access
        turns = access.turns
        turns.under_way += 1
        try:
            if self._end_is_timeout:
                answer = await access.transport.send(self._url, secret)
                access.deadlines.move(self.block, self._deadline)
            else:
                answer = await access.transport.get(self._url, secret)
            # What asks for a pause is read at once, before anything else is sent; it may be a refusal under HTTP 200.
            if (
                turns.under_way > 1
                and answer.status < HTTPStatus.BAD_REQUEST
                and "Retry-After" not in answer.headers
            ):
                await turns.wait()
            page = read_answer(
                answer.status,
                answer.headers,
                answer.body,
                page=self._page,
                page_size=self._page_size,
                now=datetime.now(UTC),
                max_bytes=access.max_response_bytes,
            )
        except ZillizError as error:
            _conceal(secret, error)
            pause = retry_after(error)
            if pause is not None:
                access.hold_back.extend(self._loop.time() + pause)
            self._note_failure(error)
            raise
        finally:
            turns.under_way -= 1
        logger.debug("page %d: %d records at attempt %d", self._page, len(page.clusters), self._made)
        return page

    def _note_failure(self, error: ZillizError) -> None:
        self._last = error
        logger.debug("page %d: attempt %d failed: %s", self._page, self._made, type(error).__name__)

    def _pause(self) -> float:
        """Give the seconds for which the service wants to be left alone."""
        hold_back = self._access.hold_back
        if not hold_back.asked:
            return 0.0
        pause = hold_back.remaining(self._loop.time())
        if pause == 0:
            return pause
        import stamina  # noqa: PLC0415  # as above

        # A process that has switched stamina's waits off, for its tests, wants none of ours either.
        return pause if stamina.is_active() and not stamina.is_testing() else 0.0

    async def _sit_out_the_pause(self) -> None:
        while (pause := self._pause()) > 0:
            self._wait_for(_THE_PAUSE)
            time_left = self._time_left()
            if pause >= time_left:
                raise NoTimeLeftError
            # Those who were held back together don't come back together, and each has time for its attempt.
            await asyncio.sleep(
                pause + min(spread(self._access.policy, random.uniform), (time_left - pause) / 2)
            )

    def _time_left(self) -> float:
        return self._deadline - self._loop.time()

    def out_of_time(self) -> ZillizError:
        """Make the error for the block's end.

        Where it came before the deadline it is a timeout. Else it is the last failure, or one that names what was
        waited for.
        """
        if self._end_is_timeout and self._time_left() > 0:
            error = self._access.transport.timed_out()
            self._note_failure(error)
            return error
        if self._last is not None:
            return self._last
        return TransportError(
            f"The deadline of {self._access.policy.deadline:g} s leaves no time: it was waiting for {self._waiting_for}",
            advice="Allow more time with {deadline}, or ask less often.",
            retryable=True,
        )

    def complete(self, error: ZillizError) -> ZillizError:
        """Put into `error` what was asked, and take out what the attempts left there."""
        error.method = "GET"
        error.url = self._url
        error.page = self._page
        error.attempts = self._made
        error.elapsed = self._loop.time() - self._started
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)


def _conceal(secret: Secret, error: ZillizError) -> None:
    """Take the key out of an error, should the service have echoed it."""
    error.args = tuple(_without(secret, value) for value in error.args)
    for name, value in vars(error).items():
        setattr(error, name, _without(secret, value))


def _without(secret: Secret, value: object) -> object:
    return secret.redact(value) if isinstance(value, str) else value
