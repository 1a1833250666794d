"""`InventoryIterator`: which account requests its next page, and whose records are yielded next, within one limit.

`concurrency` limits the pages in flight and in memory, over all accounts together:

- A page is held from its request until its records are yielded, except while its request is idle: it waits for its
  account's rate limit, its key, a `Retry-After`, or a retry. So an account in trouble does not hold up the others, and
  a slow consumer stops the requests.
- A free slot goes to the account that holds the fewest pages. Among those that hold none, an open account goes first,
  so that its list has little time to change; an account that is not open yet goes before those that hold any. So a
  large account starves no other, one that stops responding keeps only the slot it has, and the last one can use all.
- An account is opened when its turn comes. Until then it costs nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from aiozilliz._inventory.accounts import Account
from aiozilliz._iteration.iterators import Pager
from aiozilliz._public import public, record
from aiozilliz._records.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiozilliz._aio.cancel_scope import CancelScope
    from aiozilliz._inventory.results import Results
    from aiozilliz._iteration.runner import PlanRunner


@record
@frozen
class InventoryProgress:
    """The progress of reading many accounts.

    Attributes:
        accounts: Number of accounts.
        done: Number of accounts that have ended, including those that failed.
        failed: Number of accounts that failed.
        requests: Pages received over all accounts, by this and all earlier calls on the inventory.
    """

    accounts: int
    done: int
    failed: int
    requests: int


class StartReading(Protocol):
    """Starts reading an account. For `on_done` and `on_idle` see `PlanRunner`."""

    def __call__(
        self, account: Account, on_done: Callable[[], None], on_idle: Callable[[bool], None], /
    ) -> PlanRunner: ...


class _OpenAccount:
    """An account that is being read.

    Attributes:
        run: The runner of its requests.
        idle: Number of its requests that are idle.
        pages_held: Pages that it holds, as of the last `recount`.
    """

    __slots__ = ("account", "idle", "pages_held", "run")

    run: PlanRunner

    def __init__(self, account: Account) -> None:
        self.account = account
        self.idle = 0
        self.pages_held = 0

    def recount(self) -> int:
        """Update `pages_held`, and return by how much it changed."""
        before = self.pages_held
        run = self.run
        # An eager task may become idle before it is in `in_flight`.
        self.pages_held = max(0, len(run.in_flight) - self.idle) + run.planner.waiting
        return self.pages_held - before

    def can_start(self, share: int) -> bool:
        """Return whether this account's next request may be sent.

        It may not while one of its requests is idle, nor if its pages wait for an earlier one and it holds its `share`
        already.
        """
        if self.idle or (self.run.planner.blocked and self.pages_held >= share):
            return False
        return self.run.wanted() is not None


@public
class InventoryIterator(Pager[tuple[Account, Cluster]]):
    """An async iterator of pairs of account and cluster, returned by `Inventory.iter_clusters`. It can be read once.

    If accounts fail, all records of the others are yielded first; then `InventoryError` is raised. Use `async with` to
    end the iterator and its requests at a `break`.
    """

    def __init__(
        self,
        results: Results,
        start_reading: StartReading,
        check_open: Callable[[], None],
        scope: CancelScope,
        *,
        concurrency: int,
    ) -> None:
        super().__init__(scope)
        self._results = results
        self._start_reading = start_reading
        self._check_open = check_open
        self._concurrency = concurrency
        self._to_come = deque(results.accounts)
        self._open: dict[_OpenAccount, None] = {}  # in the order of their last requests
        self._pages_held = 0  # over all accounts
        self._finished: deque[_OpenAccount] = deque()  # accounts of which a request has ended
        self._fresh: deque[_OpenAccount] = deque()  # accounts whose records may be ready
        self._wake = asyncio.Event()  # set when a request has ended, or become idle or busy

    def __repr__(self) -> str:
        return f"<InventoryIterator: {len(self._open)} accounts open, {len(self._to_come)} to come>"

    async def _advance(self) -> tuple[Account, Cluster]:
        while True:
            # 1. Collect what has arrived: it decides what else must be requested.
            self._wake.clear()
            self._collect_finished()
            if self._end is not None:  # closed by another task
                raise self._end
            self._check_open()
            # 2. Fill the free slots.
            self._start_requests()
            # 3. Yield records. An account without any has ended, or waits for a page.
            while self._fresh:
                opened = self._fresh[0]
                records = opened.run.take()
                self._recount(opened)
                if records is not None:
                    self._ready = zip(repeat(opened.account), records)
                    return next(self._ready)
                self._fresh.popleft()
                if self._retire(opened):
                    self._start_requests()
            # 4. Wait, or end.
            if not self._open and not self._to_come:
                raise self._results.end()
            await self._wake.wait()

    def _collect_finished(self) -> None:
        while self._finished:
            opened = self._finished.popleft()
            if opened in self._open:
                opened.run.collect_finished()
                self._recount(opened)
                self._fresh.append(opened)

    def _recount(self, opened: _OpenAccount) -> None:
        self._pages_held += opened.recount()

    def _start_requests(self) -> None:
        """Start a request in each free slot, if an account has one to send."""
        while self._pages_held < self._concurrency:
            opened = self._next_account()
            if opened is None:
                return
            request = opened.run.wanted()
            assert request is not None
            opened.run.start(request)
            self._recount(opened)
            self._open[opened] = self._open.pop(opened)

    def _next_account(self) -> _OpenAccount | None:
        active = [opened for opened in self._open if not opened.idle]
        share = -(-self._concurrency // max(1, len(active)))
        startable = (opened for opened in active if opened.can_start(share))
        fewest = min(startable, key=lambda opened: opened.pages_held, default=None)
        while self._to_come and (fewest is None or fewest.pages_held > 0):
            opened = self._open_account(self._to_come.popleft())
            if opened is not None:
                return opened
        return fewest

    def _open_account(self, account: Account) -> _OpenAccount | None:
        opened = _OpenAccount(account)
        try:
            opened.run = self._start_reading(
                account, partial(self._on_done, opened), partial(self._on_idle, opened)
            )
        except Exception as error:  # noqa: BLE001  # the limiter factory is user code
            self._results.done += 1
            self._results.failed(account, error)
            return None
        self._open[opened] = None
        return opened

    def _on_done(self, opened: _OpenAccount) -> None:
        self._finished.append(opened)
        self._wake.set()

    def _on_idle(self, opened: _OpenAccount, idle: bool) -> None:
        opened.idle += 1 if idle else -1
        if opened in self._open:
            self._recount(opened)
        self._wake.set()

    def _retire(self, opened: _OpenAccount) -> bool:
        """Remove the account if it has ended, and return whether it has."""
        run = opened.run
        if opened not in self._open or run.busy or run.wanted() is not None:
            return False
        del self._open[opened]
        self._pages_held -= opened.pages_held
        self._results.done += 1
        self._results.ended(opened.account, run)
        return True

    async def _stop(self) -> None:
        for opened in list(self._open):
            await opened.run.stop()
