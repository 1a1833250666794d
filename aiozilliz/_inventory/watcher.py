"""`InventoryWatcher`: the watches of many accounts as one."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import repeat

from aiozilliz._aio.cancel_scope import CancelScope, Lifetime
from aiozilliz._errors import InventoryError
from aiozilliz._inventory.accounts import Account
from aiozilliz._iteration.iterators import Pager
from aiozilliz._iteration.poller import Poller
from aiozilliz._public import returned
from aiozilliz._records.report import InventoryReport
from aiozilliz._records.snapshot import ClusterEvent, Snapshot

logger = logging.getLogger("aiozilliz")


@returned
class InventoryWatcher(Pager[tuple[Account, ClusterEvent]]):
    """An async iterator of pairs of account and event. `Inventory.watch_clusters` makes it.

    Each account is watched as by a `ClusterWatcher`: one account's outage holds nobody back. A refused key ends that
    account's watch and is logged; when no account is left, an `InventoryError` names what ended each. `failures` and
    `outages` say how the accounts are.

    After an event, store `report` and pass it as `since` to go on later without a gap or a repeat. `aclose()` and
    `async with` end the watch.
    """

    def __init__(
        self,
        accounts: Sequence[Account],
        make_poller: Callable[[Account, Snapshot | None, float], Poller],
        life: Lifetime,
        since: InventoryReport | None,
    ) -> None:
        super().__init__(CancelScope(life.scope))
        known: Mapping[str, Snapshot] = since.snapshots if since is not None else {}
        self._accounts = accounts
        self._life = life
        self._pollers = {
            account.name: make_poller(account, known.get(account.name), place / len(accounts))
            for place, account in enumerate(accounts)
        }
        self._since = since
        self._tasks: dict[asyncio.Task[None], Account] = {}
        self._done: asyncio.Queue[asyncio.Task[None]] = asyncio.Queue()
        self._idle: deque[Account] = deque(accounts)  # whose next events nobody waits for
        self._failures: dict[str, Exception] = {}
        self._failed_at = datetime.min.replace(tzinfo=UTC)  # when the last of them ended

    def __repr__(self) -> str:
        return f"<InventoryWatcher of {len(self._pollers) - len(self._failures)} accounts>"

    def __del__(self) -> None:
        for task in getattr(self, "_tasks", ()):
            if not task.done() and not task.get_loop().is_closed():
                task.get_loop().call_soon_threadsafe(task.cancel)

    @property
    def failures(self) -> dict[str, Exception]:
        """Account name to the error of those whose watch has ended, in the order of the accounts."""
        return {name: self._failures[name] for name in self._pollers if name in self._failures}

    @property
    def outages(self) -> dict[str, Exception]:
        """Account name to the last error of those that fail now and are still watched, in the order of the accounts."""
        return {
            name: poller.last_error
            for name, poller in self._pollers.items()
            if poller.last_error is not None and name not in self._failures
        }

    @property
    def readings(self) -> dict[str, int]:
        """Account name to its consistent readings so far, in the order of the accounts."""
        return {name: poller.readings for name, poller in self._pollers.items()}

    @property
    def report(self) -> InventoryReport | None:
        """What has been reported so far of each account; `since` before the first event or reading.

        It moves on with each event, and with each reading that brings none. An account whose watch has ended stays in
        it with what was reported of it last; its error is in `failures`. Closing the watcher changes nothing.
        """
        snapshots = {
            name: snapshot
            for name, poller in self._pollers.items()
            if (snapshot := poller.events.snapshot) is not None
        }
        if not snapshots and not self._failures:
            return self._since
        moments = [snapshot.taken_at for snapshot in snapshots.values()] or [self._failed_at]
        if self._since is not None:
            moments.append(self._since.taken_at)
        return InventoryReport(snapshots, self.failures, max(moments))

    async def _advance(self) -> tuple[Account, ClusterEvent]:
        while True:
            self._life.check_open()
            while self._idle:
                self._start(self._idle.popleft())
            if not self._tasks:
                raise self._nobody_left()
            task = await self._done.get()
            account = self._tasks.pop(task)
            if self._end is not None:  # closed by another task
                raise self._end
            self._life.check_open()
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            if error is None:
                self._idle.append(account)
                self._ready = zip(repeat(account), self._pollers[account.name].events, strict=False)
                return next(self._ready)
            self._ended(account, error)

    def _start(self, account: Account) -> None:
        task = self._life.start(self._pollers[account.name].wait(), name=f"aiozilliz watch of {account.name}")
        self._tasks[task] = account
        task.add_done_callback(self._done.put_nowait)

    def _ended(self, account: Account, error: BaseException) -> None:
        if not isinstance(error, Exception):
            error = RuntimeError(f"it was ended by {type(error).__name__}")
        self._failures[account.name] = error
        self._failed_at = datetime.now(UTC)
        logger.error("the watch of account %r has ended: %s", account.name, error)

    def _nobody_left(self) -> Exception:
        if not self._accounts:
            return StopAsyncIteration()
        return InventoryError("No account is left to watch", self.failures)

    async def _stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
