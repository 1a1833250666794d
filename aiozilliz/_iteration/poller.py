"""`Poller`: reads the listing at an interval and turns readings into events. It outlives outages, and knows its health."""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from aiozilliz._errors import ConfigurationError, IncompleteListingError, ZillizError
from aiozilliz._iteration.changes import ChangeTracker, EventQueue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from aiozilliz._aio.cancel_scope import CancelScope
    from aiozilliz._records.snapshot import Snapshot

logger = logging.getLogger("aiozilliz")

JITTER = 0.05
"""Share of the interval by which each reading may come earlier or later, so that watchers do not march in step."""

OUTAGE_INTERVALS = 5
OUTAGE_SECONDS = 300.0
"""Bound on the wait after failed readings: so many intervals or seconds, whichever is longer."""


class TakeReading(Protocol):
    """Reads the listing once.

    Args:
        scope: Ends it early.
        listed_before: The ids of the reading just before, if that was consistent.
        seen: The ids in any response are added to it, also if the reading fails.

    Returns:
        A consistent snapshot.

    Raises:
        IncompleteListingError: The responses prove nothing.
    """

    def __call__(
        self, scope: CancelScope, listed_before: Collection[str], seen: set[str], /
    ) -> Awaitable[Snapshot]: ...


class Poller:
    """Readings of one account's listing, until something ends them that no later reading can mend.

    Args:
        take_reading: Reads the listing once.
        sleep: Waits between readings.
        scope: Ends both early.
        name: What is read, for the log.
        interval: Seconds from the start of one reading to the start of the next.
        since: What was reported before.
        confirmations: Consistent readings in a row that must agree on a removal, and refusals on the key's end.
        is_refusal: Returns whether an error says, in the service's own form, that the key is refused.
        fixed_key: Whether the key never changes. What a callable returns may be another one the next time.
        check_open: Raises a `RuntimeError` if nothing can be read any more.
        offset: Share of the interval by which the second reading, and so all others, are later.

    Attributes:
        events: What is not reported yet, and what has been.
        readings: Consistent readings so far.
        last_read_at: The moment of the last consistent reading, aware and in UTC; None before.
        last_error: Why the last reading failed; None if it did not.
        failing_since: The last consistent reading, or the first failure before any, aware and in UTC; None while
            readings succeed.
    """

    def __init__(
        self,
        take_reading: TakeReading,
        sleep: Callable[[float, CancelScope], Awaitable[None]],
        scope: CancelScope,
        *,
        name: str,
        interval: float,
        since: Snapshot | None,
        confirmations: int,
        is_refusal: Callable[[ZillizError], bool],
        fixed_key: bool,
        check_open: Callable[[], None],
        offset: float = 0.0,
    ) -> None:
        self.events = EventQueue(since)
        self.readings = 0
        self.last_read_at: datetime | None = None
        self.last_error: Exception | None = None
        self.failing_since: datetime | None = None
        self._take_reading = take_reading
        self._sleep = sleep
        self._scope = scope
        self._name = name
        self._interval = interval
        self._is_refusal = is_refusal
        self._fixed_key = fixed_key
        self._check_open = check_open
        self._offset = offset
        self._tracker = ChangeTracker(confirmations, since)
        self._listed_before: Collection[str] = ()
        self._due: float | None = None
        self._good_at: float | None = None  # on the loop's clock, what `failing_since` is on the calendar
        self._failures = 0  # readings in a row
        self._refusals = 0  # since the last consistent reading
        self._counted = False  # whether a response has ever had a count

    def __repr__(self) -> str:
        return f"{self._name} every {self._interval:g} s"

    async def wait(self) -> None:
        """Read until there are events to hand out.

        Raises:
            AuthenticationError: The key is refused for good.
            ConfigurationError: The key can't be used.
            IncompleteListingError: The service gives no `count`, so no reading can ever be proven.
            RuntimeError: The scope is cancelled, or nothing can be read any more.
        """
        while not self.events:
            await self._poll()

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        if self._due is not None and self._due > loop.time():
            await self._sleep(self._due - loop.time(), self._scope)
        self._scope.check()
        started = loop.time()
        seen: set[str] = set()
        reading = None
        try:
            reading = await self._read(seen)
        finally:
            if reading is None:  # it has failed or was cancelled, but what it showed is there
                self._tracker.observe_partial(seen)
        self._scope.check()  # it may have been closed in the very turn in which the reading came
        if reading is None:
            self._listed_before = ()
            self._due = loop.time() + self._pause()
            return
        self._note_success(reading)
        self._due = started + self._jittered(self._interval) + self._offset * self._interval
        self._offset = 0.0
        self._listed_before = [cluster.cluster_id for cluster in reading]
        self.events.put(self._tracker.read(reading, seen), self._tracker.known)

    async def _read(self, seen: set[str]) -> Snapshot | None:
        reason: object
        failure: Exception
        try:
            return await self._take_reading(self._scope, self._listed_before, seen)
        except ZillizError as error:
            if self._is_end(error):
                self._note_failure(error)
                raise
            failure = reason = error
        except RuntimeError as error:
            self._scope.check()
            self._check_open()  # raises if nothing can be asked any more; else it came out of the key callable
            failure, reason = error, "RuntimeError from the key callable or the limiter"
        except Exception as error:  # noqa: BLE001  # out of the key callable, which may have an outage of its own
            failure, reason = error, f"{type(error).__name__} from the key callable or the limiter"
        if not self._failures:
            # The error itself, so that a handler can word it.
            logger.warning(
                "watch of %s: poll failed, retrying with growing waits%s: %s", self._name, self._age(), reason
            )
        self._note_failure(failure.with_traceback(None))  # that would refer to this frame
        return None

    def _is_end(self, error: ZillizError) -> bool:
        """Return whether no later reading can mend this failure."""
        if isinstance(error, ConfigurationError):
            return self._fixed_key
        if isinstance(error, IncompleteListingError):
            # Without a count nothing is ever proven, and the watch would be silent for ever. If one has been there, it
            # may come back; and if there was no response at all, nothing is known about it.
            self._counted = self._counted or error.expected is not None
            return not self._counted and error.attempts > 0
        if self._fixed_key and self._is_refusal(error):
            # One refusal may be an incident. An outage between two says nothing about the key, so the row goes on.
            self._refusals += 1
            return self._refusals >= self._tracker.confirmations
        return False

    def _note_success(self, reading: Snapshot) -> None:
        if self._failures:
            logger.warning(
                "watch of %s: recovered after %.1f s and %d failed polls",
                self._name,
                self._since_good(),
                self._failures,
            )
        self._failures = self._refusals = 0
        self._counted = True
        self._good_at = asyncio.get_running_loop().time()
        self.readings += 1
        self.last_read_at = reading.taken_at
        self.last_error = self.failing_since = None

    def _note_failure(self, error: Exception) -> None:
        self._failures += 1
        self.last_error = error
        if self.failing_since is None:
            self.failing_since = self.last_read_at or datetime.now(UTC)
            self._good_at = self._good_at or asyncio.get_running_loop().time()

    def _since_good(self) -> float:
        """Return the seconds since the last consistent reading, or since the first failure before any."""
        return asyncio.get_running_loop().time() - (self._good_at or 0.0)

    def _age(self) -> str:
        return "" if self.last_read_at is None else f", {self._since_good():.1f} s after the last one"

    def _pause(self) -> float:
        bound = max(OUTAGE_INTERVALS * self._interval, OUTAGE_SECONDS)
        return min(self._jittered(self._interval * 2.0 ** min(self._failures - 1, 64)), bound)

    @staticmethod
    def _jittered(seconds: float) -> float:
        return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # to spread load, not to hide anything
