"""`ClusterWatcher`: what the client's callers read of a watch."""

from datetime import datetime

from aiozilliz._aio.cancel_scope import CancelScope
from aiozilliz._iteration.iterators import Pager
from aiozilliz._iteration.poller import Poller
from aiozilliz._public import returned
from aiozilliz._records.snapshot import ClusterEvent, Snapshot


@returned
class ClusterWatcher(Pager[ClusterEvent]):
    """An async iterator of `ClusterEvent` that goes on until it is closed, or ends with an error.

    `ZillizClient.watch_clusters` makes it. The list is read at an interval, and only consistent readings count. A
    cluster that is created and deleted between two readings is not seen. If readings fail, as the service is in trouble
    or the listing can't be proven, it goes on with growing waits and logs when that begins and when it ends;
    `last_read_at`, `last_error` and `failing_since` say how it is.

    A key counts as refused if the service says so itself, with a code that means it, in as many readings in a row as
    confirm a removal, and if the key comes from no callable. All else is an outage: a firewall's HTML 403, an empty
    401, a rotation that lags behind.

    After an event, store `snapshot` and pass it as `since` to go on later without a gap or a repeat. `aclose()` and
    `async with` end the watch.
    """

    def __init__(self, poller: Poller, scope: CancelScope) -> None:
        super().__init__(scope)
        self._poller = poller

    def __repr__(self) -> str:
        return f"<ClusterWatcher of {self._poller}>"

    @property
    def snapshot(self) -> Snapshot | None:
        """What has been reported so far: the listing as the events up to the last one make it.

        It moves on with each event, and with each reading that brings none; before the first it is `since`. It is made
        when it is asked for. A cluster whose removal still awaits confirmation is in it. `consistent` is false while
        events of a reading are left. A watch that gets it as `since` goes on without a gap or a repeat.
        """
        return self._poller.events.snapshot

    @property
    def readings(self) -> int:
        """Consistent readings so far, also those without events. The events of the first have 1 here."""
        return self._poller.readings

    @property
    def last_read_at(self) -> datetime | None:
        """The moment of the last consistent reading, also of one without events, aware and in UTC; None before."""
        return self._poller.last_read_at

    @property
    def last_error(self) -> Exception | None:
        """Why the last reading failed; None while readings succeed, and before the first."""
        return self._poller.last_error

    @property
    def failing_since(self) -> datetime | None:
        """The last consistent reading, or the first failure before any, aware and in UTC; None while readings succeed."""
        return self._poller.failing_since

    async def _advance(self) -> ClusterEvent:
        await self._poller.wait()
        self._ready = iter(self._poller.events)
        return next(self._ready)
