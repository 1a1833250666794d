"""`InventoryWatcher`: the watches of many accounts, merged into one iterator."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from aiozilliz._aio.cancel_scope import CancelScope
from aiozilliz._errors import InventoryError
from aiozilliz._inventory.accounts import Account
from aiozilliz._iteration.iterators import Pager
from aiozilliz._public import public
from aiozilliz._records.report import InventoryReport
from aiozilliz._records.snapshot import ClusterEvent, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from aiozilliz._aio.cancel_scope import Lifetime
    from aiozilliz._iteration.watcher import ClusterWatcher

logger = logging.getLogger("aiozilliz")

_Batch = tuple[list[ClusterEvent], Snapshot | None]


@public
class InventoryWatcher(Pager[tuple[Account, ClusterEvent]]):
    """An async iterator of pairs of account and event, returned by `Inventory.watch_clusters`.

    Each account is watched as by a `ClusterWatcher`; an outage of one does not delay the others. A refused key ends the
    watch of its account and is logged. When no account is left, `InventoryError` is raised with the error of each.

    To continue later without a gap or a repeat, store `report` after an event and pass it as `since`.
    """

    def __init__(
        self,
        accounts: Sequence[Account],
        make_watcher: Callable[[Account, Snapshot | None, float], ClusterWatcher],
        life: Lifetime,
        since: InventoryReport | None,
    ) -> None:
        super().__init__(CancelScope(life.scope))
        known: Mapping[str, Snapshot] = since.snapshots if since is not None else {}
        self._accounts = accounts
        self._life = life
        self._watchers = {
            account.name: make_watcher(account, known.get(account.name), position / len(accounts))
            for position, account in enumerate(accounts)
        }
        self._since = since
        self._yielded = {account.name: known[account.name] for account in accounts if account.name in known}
        self._tasks: dict[asyncio.Task[_Batch], Account] = {}
        self._done: asyncio.Queue[asyncio.Task[_Batch]] = asyncio.Queue()
        self._idle: deque[Account] = deque(accounts)  # accounts of which no task waits for the next events
        self._failures: dict[str, Exception] = {}

    def __repr__(self) -> str:
        return f"<InventoryWatcher of {len(self._watchers)} accounts>"

    def __del__(self) -> None:
        for task in getattr(self, "_tasks", ()):
            if not task.done() and not task.get_loop().is_closed():
                task.get_loop().call_soon_threadsafe(task.cancel)

    @property
    def report(self) -> InventoryReport | None:
        """The latest snapshot of each account whose events have all been yielded; None if there is none yet.

        An account whose watch has ended keeps its last snapshot.
        """
        latest = dict(self._yielded)
        for task, account in self._tasks.items():
            # A watcher that waits has yielded all events, so its snapshot counts, even after polls without changes.
            snapshot = self._watchers[account.name].snapshot
            if not task.done() and snapshot is not None:
                latest[account.name] = snapshot
        if not latest:
            return self._since
        return InventoryReport(
            {account.name: latest[account.name] for account in self._accounts if account.name in latest},
            {},
            max(snapshot.taken_at for snapshot in latest.values()),
        )

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
                self._ready = self._hand_out(account, *task.result())
                return next(self._ready)
            self._ended(account, error)

    def _start(self, account: Account) -> None:
        task = self._life.start(
            _next_events(self._watchers[account.name]), name=f"aiozilliz watch of {account.name}"
        )
        self._tasks[task] = account
        task.add_done_callback(self._done.put_nowait)

    def _ended(self, account: Account, error: BaseException) -> None:
        snapshot = self._watchers.pop(account.name).snapshot
        if snapshot is not None:
            self._yielded[account.name] = snapshot
        if not isinstance(error, Exception):
            error = RuntimeError(f"ended by {type(error).__name__}")
        self._failures[account.name] = error
        logger.error("the watch of account %r has ended: %s", account.name, error)

    def _nobody_left(self) -> Exception:
        if not self._accounts:
            return StopAsyncIteration()
        names = (account.name for account in self._accounts)
        return InventoryError("No account is left to watch", {name: self._failures[name] for name in names})

    def _hand_out(
        self, account: Account, events: list[ClusterEvent], snapshot: Snapshot | None
    ) -> Iterator[tuple[Account, ClusterEvent]]:
        for event in events[:-1]:
            yield account, event
        if snapshot is not None:
            self._yielded[account.name] = snapshot
        yield account, events[-1]

    async def _stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _next_events(watcher: ClusterWatcher) -> _Batch:
    """Wait for the next poll with events; return all of them, and the snapshot after them."""
    events = [await anext(watcher)]
    events += watcher._take_ready()  # noqa: SLF001  # not public, as `snapshot` gets ahead of what was yielded
    return events, watcher.snapshot
