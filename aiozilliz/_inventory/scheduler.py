"""`InventoryIterator`: many listings within one bound: which account's page is requested next, whose records come next.

`concurrency` bounds what is in flight and what waits in memory, over all accounts together:

- A page is held from its request until its records are handed on, but for the time in which its request only waits (for
  its account's rate limit, its key, a pause that the service asked for, a retry). So an account in trouble holds nobody
  back, and a slow consumer stops the requests: none goes out while it holds records.
- A free slot goes to the account that holds the fewest pages; among those that hold none, to one that is open, so that
  its listing has little time to change; and to one that is not open before one that holds any. So a large account
  starves nobody, one that stops answering keeps the slot that it has, and the last one has all slots for its pages.
- An account is opened when its turn comes. Before that it costs nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from aiozilliz._inventory.accounts import Account
from aiozilliz._iteration.base import Pager
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


class StartReading(Protocol):
    """Begins the reading of an account. For `on_done` and `on_idle` see `PlanRunner`."""

    def __call__(
        self, account: Account, on_done: Callable[[], None], on_idle: Callable[[bool], None], /
    ) -> PlanRunner: ...


class _OpenAccount:
    """An account whose turn has come.

    Attributes:
        run: Its reading.
        idle: How many of its requests only wait.
        pages_held: Pages that count, as of the last `recount`.
    """

    __slots__ = ("account", "idle", "pages_held", "run")

    run: PlanRunner

    def __init__(self, account: Account) -> None:
        self.account = account
        self.idle = 0
        self.pages_held = 0

    def recount(self) -> int:
        """Count the pages held anew, and return by how much they changed."""
        before = self.pages_held
        run = self.run
        # An eager task may begin to wait before it is known to be in flight.
        self.pages_held = max(0, len(run.in_flight) - self.idle) + run.planner.waiting
        return self.pages_held - before

    def can_start(self, share: int) -> bool:
        """Return whether this account's next request may go out.

        It may not while one of its requests only waits; nor if its pages wait for one before them, and it has its
        `share` already.
        """
        if self.idle or (self.run.planner.blocked and self.pages_held >= share):
            return False
        return self.run.wanted() is not None


@public
class InventoryIterator(Pager[tuple[Account, Cluster]]):
    """An async iterator of pairs of account and cluster. `Inventory.iter_clusters` makes it, and it is used once.

    An account that fails costs nobody else anything: everything that can be had comes first, then the `InventoryError`.
    To end it at a `break`, together with its requests, use it with `async with`.
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
        self._finished: deque[_OpenAccount] = deque()  # of which a request has ended
        self._fresh: deque[_OpenAccount] = deque()  # whose records may be ready
        self._wake = asyncio.Event()  # set when a request has ended, or begun or ceased only to wait

    def __repr__(self) -> str:
        return f"<InventoryIterator: {len(self._open)} accounts open, {len(self._to_come)} to come>"

    async def _advance(self) -> tuple[Account, Cluster]:
        while True:
            # 1. What has arrived comes first: it decides what else is worth asking.
            self._wake.clear()
            self._collect_finished()
            if self._end is not None:  # closed by another task
                raise self._end
            self._check_open()
            # 2. Then the free slots.
            self._start_requests()
            # 3. Then records. An account that has none is at its end, or waits for a page.
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
            # 4. Nothing but to wait, or it is the end.
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
        """Give the free slots away."""
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
        except Exception as error:  # noqa: BLE001  # what makes the account's rate limit is not ours
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
        """Let an account go if it has come to its end, and return whether it has."""
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
