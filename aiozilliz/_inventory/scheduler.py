"""Many walks within one bound: which account's page is asked next, and whose records are handed on.

`concurrency` bounds what is under way and what waits in memory, over all accounts together:

- A page counts from its request until its records are handed on, but for the time in which its request only waits (for
  its account's rate limit, its key, a pause that the service asked for, a retry). So an account in trouble holds nobody
  back, and a slow consumer stops the requests: none goes out while it holds records.
- A free place goes to the account with the fewest pages that count; among those that have none, to one that is open,
  so that its listing has little time to change; and to one that is not open before one that has any. So a large account
  starves nobody, one that stops answering keeps the place that it has, and the last one has all places for its pages.
- An account is opened when its turn comes. Before that it costs nothing.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from heapq import heapify, heappop, heappush
from itertools import count, repeat
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from aiozilliz._errors import InventoryError
from aiozilliz._inventory.accounts import Account
from aiozilliz._iteration.base import Pager
from aiozilliz._public import public, record
from aiozilliz._records.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiozilliz._aio.cancel_scope import CancelScope
    from aiozilliz._iteration.runner import Listener, PlanRunner
    from aiozilliz._records.cluster import ClusterPage


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


class Board:
    """Where tasks leave word for the reader. It keeps neither reader nor members, so that those left behind are freed."""

    def __init__(self) -> None:
        self.landed: deque[weakref.ref[Member]] = deque()
        self.changed: set[weakref.ref[Member]] = set()  # whose requests began or ceased only to wait
        self._reader: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Let the reader look again."""
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def wait(self) -> None:
        """Wait for word, unless there is some."""
        if self.landed:
            return
        self._reader = asyncio.get_running_loop().create_future()
        try:
            await self._reader
        finally:
            self._reader = None


class Member:
    """An account whose turn has come: its walk, and which of its requests only wait."""

    __slots__ = ("__weakref__", "_board", "account", "counted", "idle", "run")

    def __init__(self, account: Account, board: Board) -> None:
        self.account = account
        self.idle: set[asyncio.Task[object]] = set()
        self.counted = 0  # its load when it was last looked at
        self._board = board
        self.run: PlanRunner

    @property
    def load(self) -> int:
        """Pages that count."""
        return max(0, len(self.run.in_flight) - len(self.idle)) + self.run.walk.waiting

    def launch(self, share: int) -> bool:
        """Send this account's next request, if there is one.

        There is none while one of its requests only waits; nor where its pages wait for one before them, and it has
        its `share` already.
        """
        held_up = self.idle or (self.run.walk.blocked and self.load >= share)
        request = None if held_up else self.run.wanted()
        if request is None:
            return False
        task = self.run.start(request)
        task.add_done_callback(Landing(self._board, weakref.ref(self)))
        return True


class Landing:
    """Tells the board that a member's request has ended."""

    __slots__ = ("_board", "_member")

    def __init__(self, board: Board, member: weakref.ref[Member]) -> None:
        self._board = board
        self._member = member

    def __call__(self, task: asyncio.Task[ClusterPage]) -> None:
        member = self._member()
        if member is not None:
            member.idle.discard(task)
            self._board.landed.append(self._member)
            self._board.wake()

    def on_idle(self, idle: bool) -> None:
        """Be told, in a request's task, that it only waits from now on, or no longer."""
        member, task = self._member(), asyncio.current_task()
        if member is None or task is None or idle == (task in member.idle):
            return
        if idle:
            member.idle.add(task)
        else:
            member.idle.discard(task)
        self._board.changed.add(self._member)
        self._board.wake()


class OpenMember(Protocol):
    """Opens an account: makes its walk, whose requests tell `landing` when they only wait."""

    def __call__(self, account: Account, scope: CancelScope, landing: Landing, /) -> PlanRunner: ...


class Results:
    """How the accounts of one iteration ended.

    Args:
        accounts: All of them, in their order.
    """

    def __init__(self, accounts: Sequence[Account]) -> None:
        self.accounts = accounts
        self.done = 0  # accounts that have come to their end, those that failed among them
        self._failures: dict[str, Exception] = {}

    @property
    def failures(self) -> dict[str, Exception]:
        """Name to error of the accounts that failed, in the order of the accounts."""
        names = (account.name for account in self.accounts)
        return {name: self._failures[name] for name in names if name in self._failures}

    def recorder(self, account: Account) -> Listener | None:
        """Give what is to be told of an account's requests and answers."""
        del account
        return None

    def failed(self, account: Account, error: Exception) -> None:
        """An account can't be read, or not to its end."""
        self._failures[account.name] = error

    def ended(self, account: Account, run: PlanRunner) -> None:
        """The walk of an account is at its end."""
        end = run.end()
        if not isinstance(end, StopAsyncIteration):
            self.failed(account, end)

    def end(self) -> Exception:
        """Say how it ended: `StopAsyncIteration` where all is well."""
        failures = self.failures
        if not failures:
            return StopAsyncIteration()
        return InventoryError(f"{len(failures)} of {len(self.accounts)} accounts failed", failures)


@public
class InventoryIterator(Pager[tuple[Account, Cluster]]):
    """An async iterator of pairs of account and cluster. `Inventory.iter_clusters` makes it, and it is used once.

    An account that fails costs nobody else anything: everything that can be had comes first, then the `InventoryError`.
    To end it at a `break`, together with its requests, use it with `async with`.
    """

    def __init__(
        self,
        outcome: Results,
        open_member: OpenMember,
        check_open: Callable[[], None],
        *,
        concurrency: int,
    ) -> None:
        super().__init__()
        self._outcome = outcome
        self._open_member = open_member
        self._check_open = check_open
        self._concurrency = concurrency
        self._queue = deque(outcome.accounts)  # not yet open
        self._board = Board()
        self._members: dict[Member, None] = {}  # in the order of their last requests
        self._fresh: deque[Member] = deque()  # whose records may be ready
        self._load = 0  # of all members; looked at anew only where something has happened

    def __repr__(self) -> str:
        return f"<InventoryIterator: {len(self._members)} accounts open, {len(self._queue)} to come>"

    async def _advance(self) -> tuple[Account, Cluster]:
        while True:
            self._land()
            if self._end is not None:  # closed by another task
                raise self._end
            self._check_open()
            self._launch()
            while self._fresh:
                member = self._fresh[0]
                records = member.run.take()
                self._recount(member)
                if records is not None:
                    self._ready = zip(repeat(member.account), records)
                    return next(self._ready)
                self._fresh.popleft()
                if self._retire(member):
                    self._launch()
            if not self._members and not self._queue:
                raise self._outcome.end()
            await self._board.wait()

    def _land(self) -> None:
        while self._board.landed:
            member = self._board.landed.popleft()()
            if member is not None and member in self._members:
                member.run.collect_finished()
                self._recount(member)
                self._fresh.append(member)
        while self._board.changed:
            member = self._board.changed.pop()()
            if member is not None and member in self._members:
                self._recount(member)

    def _recount(self, member: Member) -> None:
        load = member.load
        self._load += load - member.counted
        member.counted = load

    def _launch(self) -> None:
        """Give away the free places."""
        free = self._concurrency - self._load
        if free <= 0:
            return
        order = count()
        turns = [(member.counted, next(order), member) for member in self._members if not member.idle]
        heapify(turns)
        active = len(turns)
        while free > 0:
            if self._queue and (not turns or turns[0][0] > 0):
                opened = self._open_next()
                if opened is None:
                    continue
                load, member = 0, opened
                active += 1
            elif turns:
                load, _, member = heappop(turns)
            else:
                break
            if member.launch(-(-self._concurrency // active)):
                free -= 1
                self._recount(member)
                heappush(turns, (load + 1, next(order), member))
                self._members[member] = self._members.pop(member)

    def _open_next(self) -> Member | None:
        account = self._queue.popleft()
        member = Member(account, self._board)
        try:
            member.run = self._open_member(account, self._scope, Landing(self._board, weakref.ref(member)))
        except Exception as error:  # noqa: BLE001  # what makes the account's rate limit is not ours
            self._outcome.done += 1
            self._outcome.failed(account, error)
            return None
        self._members[member] = None
        return member

    def _retire(self, member: Member) -> bool:
        """Let an account go that has come to its end. Give whether it has."""
        run = member.run
        if member not in self._members or run.busy or run.wanted() is not None:
            return False
        del self._members[member]
        self._load -= member.counted
        self._outcome.done += 1
        self._outcome.ended(member.account, run)
        return True

    async def _stop(self) -> None:
        for member in list(self._members):
            await member.run.stop()
