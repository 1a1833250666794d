"""What a request waits for before it is sent or decoded: room for its page, the rate limit, a `Retry-After`, its turn."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType  # noqa: TC003  # public hints can be read
from typing import Final, Protocol

from aiozilliz._public import public

logger = logging.getLogger("aiozilliz")

_CLOCK_STEP: Final = max(0.001, time.get_clock_info("monotonic").resolution)
"""Resolution of the loop's clock in seconds: 1/1000 with uvloop, 1/64 on Windows."""

_TELLING_STEP: Final = 1.0
"""Seconds by which a pause must get longer to be told again: requests that are refused together differ by less."""


class PageRoom(Protocol):
    """Room in memory for the page of one request, from the sending until the records are handed on.

    A request that only waits gives it up, and must have it again before it is sent.
    """

    def set_idle(self, idle: bool, /) -> None:
        """Release the room as the request begins only to wait, or take it. To repeat it changes nothing."""

    def is_free(self) -> bool:
        """Return whether the request has its room, or may take it in this turn of the event loop."""
        ...

    async def wait(self) -> None:
        """Wait for the room, and take it.

        It may last as long as a consumer stands still, so nothing may be held meanwhile that others need.

        Raises:
            RuntimeError: There will never be any.
        """


@public
class RateLimiter:
    """At most `rate` attempts reach the service in any `per` seconds, as the service counts them.

    An async context manager that any number of tasks can enter at once, once per attempt. A slot becomes free `per`
    seconds, and one step of the clock, after its attempt has *ended*. The service sees a request at some time between
    the start and the end of the attempt, so two uses of a slot reach it at least `per` seconds apart, however long
    connections take: there can never be more than `rate` in a window. Under load, `rate` attempts start in every `per`
    seconds plus the time of one response. A limiter that counts when it sends guarantees less (a leaky bucket lets
    nearly twice as many through).

    A client has one of its own by default. Clients and accounts whose keys belong to one user share its limit, so they
    can share one limiter, within one event loop.

    Waiters are served first come, first served. There is no task and no polling: only one timer while a task waits.

    Args:
        rate: Number of slots, at least 1. Zilliz Cloud documents 20 requests a second per user and endpoint
            (docs.zilliz.com.cn, List Clusters V2).
        per: Seconds until a used slot is free again.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of range.
    """

    __slots__ = ("_free", "_per", "_rate", "_resting", "_timer", "_waiters")

    def __init__(self, rate: int = 20, per: float = 1.0) -> None:
        if type(rate) is not int or type(per) not in {int, float}:
            raise TypeError(f"rate must be an int and per a number of seconds, not {rate!r} and {per!r}")
        if rate < 1 or not 0 < per < math.inf:
            raise ValueError(f"rate must be at least 1 and per a finite number above 0, not {rate} and {per}")
        self._rate = rate
        self._per = per
        self._free = rate
        self._resting: deque[float] = deque()  # loop times at which slots become free, in order
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<RateLimiter {self._rate} in {self._per:g} s, {len(self._waiters)} waiting>"

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._reclaim(loop.time())
        if self._free and not self._waiters:
            self._free -= 1
            return
        waiter = loop.create_future()
        self._waiters.append(waiter)
        self._arm(loop)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self._free += 1  # granted in the same turn of the loop, but not used
            else:
                with suppress(ValueError):  # `_grant` may have removed it in the same turn
                    self._waiters.remove(waiter)
            self._grant(loop)
            raise

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        self._resting.append(loop.time() + self._per + _CLOCK_STEP)
        self._arm(loop)

    def _reclaim(self, now: float) -> None:
        while self._resting and self._resting[0] <= now:
            self._resting.popleft()
            self._free += 1

    def _grant(self, loop: asyncio.AbstractEventLoop) -> None:
        self._reclaim(loop.time())
        while self._free and self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._free -= 1
                waiter.set_result(None)
        if self._waiters:
            self._arm(loop)
        else:
            self._disarm()

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None and self._waiters and self._resting:
            self._timer = loop.call_at(self._resting[0], self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._grant(loop)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class RetryAfterGate:
    """Holds back the requests of one account, because of a `Retry-After`.

    It is a time, not a sleeping task: each request checks it before it is sent. If the service asked for more than the
    limit, its wish is not taken at its word, nor ignored: when the limit is over, one request is sent as a probe. The
    others wait for what becomes of it. A response opens the gate, unless it closes it again; if there is none, because
    the probe was lost or cancelled, another request is the next probe.

    A request becomes the probe in the very turn in which it is sent, so it never waits for anything but its response
    while others wait for it.

    Args:
        name: The account's name in log records.
        limit: Seconds for which a `Retry-After` holds requests back at most.

    Attributes:
        asked: Whether anything may be held back. While it is false requests need not read the clock.
    """

    __slots__ = (
        "_exceeded",
        "_limit",
        "_name",
        "_probe",
        "_probe_ended",
        "_probe_until",
        "_told",
        "_until",
        "asked",
    )

    def __init__(self, name: str, limit: float) -> None:
        self.asked = False
        self._name = name
        self._limit = limit
        self._until = self._told = -math.inf
        self._exceeded = False  # the service asked for more than the limit
        self._probe: object = None
        self._probe_until = -math.inf  # `_until` as the probe was sent
        self._probe_ended = asyncio.Event()

    def close(self, now: float, seconds: float) -> None:
        """Send nothing for so many seconds, or the limit. A pause that ends before the present one changes nothing.

        It is logged when requests begin to be held back, and when that gets longer by a second or more.

        Args:
            now: The loop's time.
            seconds: What the service asked for.
        """
        begins = now >= self._until
        pause = min(seconds, self._limit)
        until = now + pause
        self._exceeded = seconds > self._limit or (self._exceeded and not begins)
        self._until = max(self._until, until)
        self.asked = True
        if begins or until >= self._told + _TELLING_STEP:
            self._told = until
            logger.warning(
                "%s: no request is sent until %s UTC, as the service asks to wait %.0f s (Retry-After)%s",
                self._name,
                f"{datetime.now(UTC) + timedelta(seconds=pause):%Y-%m-%d %H:%M:%S}",
                seconds,
                "; one is sent then, as a probe" if self._exceeded else "",
                extra={"transient": True},  # a handler may leave out what passes by itself
            )

    def remaining(self, now: float) -> float:
        """Return for how many seconds from the loop time `now` nothing may be sent, at least 0."""
        return max(0.0, self._until - now)

    def is_shut(self, now: float) -> bool:
        """Return whether nothing may be sent at the loop time `now`, be it because a probe is in flight."""
        return now < self._until or self._probe is not None

    def enter(self, request: object, now: float) -> bool:
        """Return whether a request may be sent at the loop time `now`. It may become the probe: see `leave`."""
        if self.is_shut(now):
            return False
        if self._exceeded:
            self._probe = request
            self._probe_until = self._until
            self._probe_ended = asyncio.Event()
        else:
            self.asked = False
        return True

    def leave(self, request: object, *, answered: bool) -> None:
        """Open the gate if this request is the probe and was answered; if it was not, let another one be it.

        What a response asks for must be passed to `close` before. For a request that is no probe this does nothing.
        """
        if self._probe is request:
            # Its own refusal may have closed the gate again, or that of a request that was in flight before it.
            if answered and self._until == self._probe_until:
                self._exceeded = self.asked = False
            self._probe = None
            self._probe_ended.set()

    async def probe_ended(self) -> None:
        """Wait until the probe in flight, if there is one, has ended."""
        if self._probe is not None:
            await self._probe_ended.wait()


class DecodeTurn:
    """Lets only one page be decoded per turn of the event loop. It belongs to one loop.

    Without it, responses that arrive together would all be decoded in one turn. Nothing else could run meanwhile: not
    the consumer of the records, not the next requests, not the rest of the process. The records of all pages would also
    be in memory at once, which alone makes decoding slower by half.

    Attributes:
        in_flight: Number of requests whose pages may have to be decoded. A single one need not wait.
    """

    __slots__ = ("_lock", "in_flight")

    def __init__(self) -> None:
        self.in_flight = 0
        self._lock = asyncio.Lock()

    async def wait(self) -> None:
        """Wait for a turn, in the order of arrival."""
        async with self._lock:
            await asyncio.sleep(0)
