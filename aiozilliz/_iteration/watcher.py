"""`ClusterWatcher`: readings of the listing at an interval, turned into events; it outlives outages."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator

from aiozilliz._aio.cancel_scope import CancelScope
from aiozilliz._errors import AuthenticationError, ConfigurationError, ZillizError
from aiozilliz._iteration.base import Pager
from aiozilliz._iteration.changes import ChangeTracker
from aiozilliz._public import public
from aiozilliz._records.snapshot import ClusterEvent, Snapshot

logger = logging.getLogger("aiozilliz")

JITTER = 0.05
"""Share of the interval by which each reading may come earlier or later, so that watchers do not march in step."""

OUTAGE_INTERVALS = 5
OUTAGE_SECONDS = 300.0
"""Bound on the wait after failed readings: so many intervals or seconds, whichever is longer."""


@public
class ClusterWatcher(Pager[ClusterEvent]):
    """An async iterator of `ClusterEvent` that goes on until it is closed, or the key is refused.

    `ZillizClient.watch_clusters` makes it. The list is read at an interval, and only consistent readings count. A
    cluster that is created and deleted between two readings is not seen. Where readings fail, the service is in trouble
    or the listing can't be proven, it goes on with growing waits and tells the log once when that begins and once when
    it ends.

    After an event, store `snapshot` and pass it as `since` to go on later without a gap or a repeat.
    """

    def __init__(
        self,
        take_snapshot: Callable[[CancelScope], Awaitable[Snapshot]],
        sleep: Callable[[float, CancelScope], Awaitable[None]],
        scope: CancelScope,
        *,
        name: str,
        interval: float,
        since: Snapshot | None,
        confirmations: int,
        check_open: Callable[[], None],
        offset: float = 0.0,
    ) -> None:
        super().__init__(scope)
        self._check_open = check_open
        self._offset = (
            offset  # share of the interval by which the second reading, and so all others, are later
        )
        self._take_snapshot = take_snapshot
        self._sleep = sleep
        self._name = name
        self._interval = interval
        self._tracker = ChangeTracker(confirmations, since)
        self._snapshot = since
        self._due: float | None = None
        self._failures = 0
        self._outage_began = 0.0

    def __repr__(self) -> str:
        return f"<ClusterWatcher of {self._name} every {self._interval:g} s>"

    @property
    def snapshot(self) -> Snapshot | None:
        """The last snapshot whose events have all been yielded; None before.

        It moves on with the last event of a reading: where a service stops between two of them, the first ones come
        again. A cluster whose removal still awaits confirmation is in it.
        """
        return self._snapshot

    def _take_ready(self) -> list[ClusterEvent]:
        """Give those events of the last reading that are still to be handed on, without waiting."""
        return list(self._ready)

    async def _advance(self) -> ClusterEvent:
        while True:
            reading = await self._next_reading()
            if reading is None:
                continue
            events = self._tracker.read(reading)
            known = self._tracker.known
            if events:
                self._ready = self._hand_out(events, known)
                return next(self._ready)
            self._snapshot = known

    def _hand_out(self, events: list[ClusterEvent], known: Snapshot | None) -> Iterator[ClusterEvent]:
        yield from events[:-1]
        self._snapshot = known
        yield events[-1]

    async def _next_reading(self) -> Snapshot | None:
        loop = asyncio.get_running_loop()
        if self._due is not None and self._due > loop.time():
            await self._sleep(self._due - loop.time(), self._scope)
        self._scope.check()
        started = loop.time()
        reading = await self._read()
        self._scope.check()  # it may have been closed in the very turn in which the reading came
        if reading is None:
            self._due = loop.time() + self._pause()
            return None
        self._due = started + self._jittered(self._interval) + self._offset * self._interval
        self._offset = 0.0
        return reading

    async def _read(self) -> Snapshot | None:
        now = asyncio.get_running_loop().time
        reason: object
        try:
            reading = await self._take_snapshot(self._scope)
        except (AuthenticationError, ConfigurationError):
            raise
        except ZillizError as error:
            # The error itself, so that a handler can word it; without its traceback, which refers to this frame.
            reason = error.with_traceback(None)
        except RuntimeError:
            self._scope.check()
            self._check_open()  # raises where nothing can be asked any more; else it came out of the key callable
            reason = "RuntimeError from the key callable or the limiter"
        except Exception as error:  # noqa: BLE001  # out of the key callable, which may have an outage of its own
            reason = f"{type(error).__name__} from the key callable or the limiter"
        else:
            if reading.consistent:
                self._recovered(now())
                return reading
            self._tracker.observe_partial(reading)
            reason = "the answers do not show the whole listing at one moment"
        if not self._failures:
            self._outage_began = now()
            logger.warning("watch of %s: no reading, going on with growing waits: %s", self._name, reason)
        self._failures += 1
        return None

    def _recovered(self, now: float) -> None:
        if self._failures:
            lasted = now - self._outage_began
            logger.warning(
                "watch of %s: readings are back after %.1f s and %d failures",
                self._name,
                lasted,
                self._failures,
            )
            self._failures = 0

    def _pause(self) -> float:
        bound = max(OUTAGE_INTERVALS * self._interval, OUTAGE_SECONDS)
        return min(self._jittered(self._interval * 2.0 ** min(self._failures - 1, 64)), bound)

    @staticmethod
    def _jittered(seconds: float) -> float:
        return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # to spread load, not to hide anything
