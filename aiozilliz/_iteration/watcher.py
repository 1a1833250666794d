"""`ClusterWatcher`: polls the listing at an interval, yields its changes, and continues through outages."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator

from aiozilliz._aio.cancel_scope import CancelScope
from aiozilliz._errors import AuthenticationError, ConfigurationError, ZillizError
from aiozilliz._iteration.changes import ChangeTracker
from aiozilliz._iteration.iterators import Pager
from aiozilliz._public import public
from aiozilliz._records.snapshot import ClusterEvent, Snapshot

logger = logging.getLogger("aiozilliz")

JITTER = 0.05
"""Fraction of the interval by which a poll may start earlier or later, so that watchers do not synchronise."""

OUTAGE_INTERVALS = 5
OUTAGE_SECONDS = 300.0
"""Maximum wait after failed polls: so many intervals or so many seconds, whichever is longer."""


@public
class ClusterWatcher(Pager[ClusterEvent]):
    """An async iterator of `ClusterEvent` that continues until it is closed or the key is refused.

    `ZillizClient.watch_clusters` returns it. It polls the list at an interval, and only consistent polls count. A
    cluster that is created and deleted between two polls is not seen. If polls fail, because the service is in trouble
    or the listing can't be proven, it continues with growing waits, and logs when that starts and when it ends.

    To continue later without a gap or a repeat, store `snapshot` after an event and pass it as `since`.
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
            offset  # fraction of the interval by which the second poll, and so all later ones, are shifted
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
        """The latest snapshot whose events have all been yielded; None before the first.

        It changes with the last event of a poll: if a program stops between two of them, the first ones are repeated
        next time. It includes clusters whose removal is not confirmed yet.
        """
        return self._snapshot

    def _take_ready(self) -> list[ClusterEvent]:
        """Return the events of the latest poll that were not yielded yet, without waiting."""
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
        self._scope.check()  # it may have been closed in the same turn of the loop
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
            # The error itself, for log handlers that format it; without its traceback, which refers to this frame.
            reason = error.with_traceback(None)
        except RuntimeError:
            self._scope.check()
            self._check_open()  # raises if the client is closed; else the error is from user code
            reason = "RuntimeError from the key callable or the limiter"
        except Exception as error:  # noqa: BLE001  # from the key callable, which may have an outage itself
            reason = f"{type(error).__name__} from the key callable or the limiter"
        else:
            if reading.consistent:
                self._recovered(now())
                return reading
            self._tracker.observe_partial(reading)
            reason = "the responses do not prove a consistent listing"
        if not self._failures:
            self._outage_began = now()
            logger.warning("watch of %s: poll failed, retrying with growing waits: %s", self._name, reason)
        self._failures += 1
        return None

    def _recovered(self, now: float) -> None:
        if self._failures:
            lasted = now - self._outage_began
            logger.warning(
                "watch of %s: recovered after %.1f s and %d failed polls",
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
        return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # to spread load
