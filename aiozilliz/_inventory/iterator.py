"""`InventoryIterator`: what the callers of an inventory read; `collect` reads it to its end; and `InventoryProgress`."""

import asyncio
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import repeat

from attrs import frozen

from aiozilliz._aio.cancel_scope import CancelScope
from aiozilliz._errors import InventoryError
from aiozilliz._inventory.accounts import Account
from aiozilliz._inventory.results import Results, SnapshotResults
from aiozilliz._inventory.scheduler import Scheduler
from aiozilliz._iteration.iterators import Pager
from aiozilliz._public import record, returned
from aiozilliz._records.cluster import Cluster
from aiozilliz._records.report import InventoryReport


@record
@frozen
class InventoryProgress:
    """How far a reading of many accounts has come.

    Attributes:
        accounts: How many there are.
        done: Those that have come to their end, failed ones among them.
        failed: Those that failed.
        requests: Pages received over all accounts, by this and all earlier calls of the inventory.
    """

    accounts: int
    done: int
    failed: int
    requests: int


@returned
class InventoryIterator(Pager[tuple[Account, Cluster]]):
    """An async iterator of pairs of account and cluster. `Inventory.iter_clusters` makes it, and it is used once.

    An account that fails costs nobody else anything: everything that can be had comes first, then the `InventoryError`.
    `aclose()` ends it, with its requests, at any time, and `async with` does so at a `break`.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        results: Results,
        check_open: Callable[[], None],
        scope: CancelScope,
    ) -> None:
        super().__init__(scope)
        self._scheduler = scheduler
        self._results = results
        self._check_open = check_open
        weakref.finalize(self, scheduler.abandon).atexit = False

    def __repr__(self) -> str:
        scheduler = self._scheduler
        return f"<InventoryIterator: {scheduler.accounts_open} accounts open, {scheduler.accounts_to_come} to come>"

    async def _advance(self) -> tuple[Account, Cluster]:
        scheduler = self._scheduler
        while True:
            # 1. What has arrived comes first: it decides what else is worth asking.
            scheduler.collect_finished()
            if self._end is not None:  # closed by another task
                raise self._end
            self._check_open()
            # 2. Then what may go out.
            scheduler.start_requests()
            # 3. Then records.
            taken = scheduler.take()
            if taken is not None:
                account, records = taken
                self._ready = zip(repeat(account), records)
                return next(self._ready)
            # 4. Nothing but to wait, or it is the end.
            if scheduler.done:
                raise self._results.end()
            await scheduler.wait()

    def _expire(self, deadline: float) -> None:
        """Let all accounts that are not done fail by the deadline, in seconds; what they have read is dropped."""
        self._scope.cancel("the deadline has passed", deadline)
        self._scheduler.expire(deadline)

    async def _stop(self) -> None:
        await self._scheduler.stop()


async def collect(
    clusters: InventoryIterator, results: SnapshotResults, deadline: float | None
) -> InventoryReport:
    """Read all accounts to the end, or until the deadline, in seconds, and return the report."""
    taken_at = datetime.now(UTC)
    timer = None
    if deadline is not None:
        expire = clusters._expire  # noqa: SLF001  # not for users, who have the class
        timer = asyncio.get_running_loop().call_later(deadline, expire, deadline)
    try:
        async with clusters:
            async for _ in clusters:
                pass
    except InventoryError:
        pass  # the report holds the failures
    finally:
        if timer is not None:
            timer.cancel()
    return results.report(taken_at)
