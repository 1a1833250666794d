"""`Scheduler`: many listings within one bound: which account's page is requested next, whose records come next.

`concurrency` bounds the pages in flight and in memory, over all accounts together:

- A page is held from the sending of its request until its records are handed on. While the request only waits (for its
  account's rate limit, its key, a pause that the service asked for, a retry) it holds none, so an account in trouble
  holds nobody back. It must have room again before it is sent; if there is none, it queues. So a slow consumer stops
  the requests.
- Free room goes to the account that holds the fewest pages; among those that hold none, to one that is open, so that
  its listing has little time to change; and to one that is not open before one that holds any. So a large account
  starves nobody, one that stops answering keeps the room that it has, and the last one has all of it for its pages.
- An account is opened when its turn comes. Before that it costs nothing.

**Nothing deadlocks, and twice `concurrency` is the bound.** Let n be `concurrency`.

1. Held pages are being sent, awaited by a consumer, or blocked: arrived before a page of their account that comes first.
   The first end by themselves. A consumer that stands is what the bound is for. Only blocked ones could keep all room
   for ever, if the page that they wait for found none.
2. So if no records are ready and there is no room, that page of each account may be sent all the same: it is urgent.
3. Any other request is sent only while fewer than n pages are held, urgent ones among them. So at most n held pages are
   not urgent.
4. An account has one page that its blocked ones wait for. When requests are made urgent, no records are ready, so what
   was urgent before has been handed on, or is the very page that its account still waits for. An urgent page is never
   blocked, as it is the next to be read. So there are at most as many urgent pages as accounts with a blocked page that
   is not urgent: by 3, at most n.
5. So at most 2n pages are held, and the consumer has the records of one more in hand. It takes n accounts whose pages
   come out of order to get there; usually there are n.

What waits for room holds nothing else: neither a slot, which is the bound on requests in flight, nor a limiter. Slots
are free again when an attempt ends, so those who read the same inventory meanwhile never wait for a consumer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from aiozilliz._http.aiohttp_errors import collection_out_of_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiozilliz._inventory.accounts import Account
    from aiozilliz._inventory.results import Results
    from aiozilliz._iteration.runner import PlanRunner
    from aiozilliz._pagination.decisions import RequestPage
    from aiozilliz._records.cluster import Cluster

_FORGOTTEN = "the iterator was forgotten before this page was requested"


class StartReading(Protocol):
    """Begins the reading of an account. For `on_done` see `PlanRunner`."""

    def __call__(self, account: Account, on_done: Callable[[], None], /) -> PlanRunner: ...


class _OpenAccount:
    """An account whose turn has come.

    Attributes:
        run: Its reading.
        idle: Those of its requests that only wait.
        queued: Those of them that wait for room, in the order in which they began to.
        pages_held: As of the last `recount`.
    """

    __slots__ = ("account", "idle", "pages_held", "queued", "run")

    run: PlanRunner

    def __init__(self, account: Account) -> None:
        self.account = account
        self.idle: dict[RequestPage, _Room] = {}
        self.queued: dict[RequestPage, _Room] = {}
        self.pages_held = 0

    def recount(self) -> int:
        """Count the pages held anew, and return by how much they changed."""
        before, idle, in_flight = self.pages_held, self.idle, self.run.in_flight
        sent = sum(request not in idle for request in in_flight.values()) if idle else len(in_flight)
        self.pages_held = sent + self.run.planner.waiting
        return self.pages_held - before

    def next_request(self, share: int) -> RequestPage | None:
        """Return which of its requests may be sent next, a queued one or a new one, or None."""
        run, needed = self.run, self.run.planner.needed
        # 1. What its pages wait for. If they have their `share` already, nothing else.
        if needed is not None:
            if needed in self.queued or needed == run.wanted():
                return needed
            if self.pages_held >= share:
                return None
        # 2. What queues has been asked for first. While a request waits for anything else, nothing new.
        if self.queued:
            return next(iter(self.queued))
        return None if self.idle else run.wanted()


class _Room:
    """Room for the page of one request, which gives it up while it only waits. See `PageRoom`.

    Attributes:
        urgent: Whether there is always room for it.
    """

    __slots__ = ("_granted", "_opened", "_request", "_scheduler", "urgent")

    def __init__(self, scheduler: Scheduler, opened: _OpenAccount, request: RequestPage) -> None:
        self.urgent = False
        self._scheduler = scheduler
        self._opened = opened
        self._request = request
        self._granted: asyncio.Future[None] | None = None

    def set_idle(self, idle: bool, /) -> None:
        opened, request = self._opened, self._request
        if idle is (request in opened.idle):
            return
        if idle:
            opened.idle[request] = self
        else:
            del opened.idle[request]
        self._scheduler.on_idle(opened)

    def is_free(self) -> bool:
        return self.urgent or self._request not in self._opened.idle or self._scheduler.has_room

    async def wait(self) -> None:
        self._granted = asyncio.get_running_loop().create_future()
        self._scheduler.on_queued(self._granted)
        queued = self._opened.queued
        queued[self._request] = self
        try:
            await self._granted
        finally:
            queued.pop(self._request, None)

    def grant(self) -> None:
        """Grant the room to a queued request."""
        del self._opened.queued[self._request]
        self.set_idle(False)
        self._end_wait(None)

    def refuse(self, error: Exception) -> None:
        """End the wait of a queued request with an error."""
        self._end_wait(error)

    def _end_wait(self, error: Exception | None) -> None:
        granted = self._granted
        if granted is None or granted.done():  # cancelled in the same turn of the loop
            return
        if error is None:
            granted.set_result(None)
        else:
            granted.set_exception(error)


class Scheduler:
    """Starts the requests of many accounts, and returns their records as they come.

    It does not know its iterator, and requests know only it: an iterator that is forgotten is collected at once.

    Args:
        results: The accounts, and where their ends are noted.
        start_reading: Begins the reading of an account.
        concurrency: The bound.

    Attributes:
        pages_held: Over all accounts.
    """

    def __init__(self, results: Results, start_reading: StartReading, *, concurrency: int) -> None:
        self._results = results
        self._start_reading = start_reading
        self._concurrency = concurrency
        self._to_come = deque(results.accounts)
        self._open: dict[_OpenAccount, None] = {}  # in the order of their last requests
        self.pages_held = 0
        self._finished: deque[_OpenAccount] = deque()  # of which a request has ended
        self._fresh: deque[_OpenAccount] = deque()  # whose records may be ready
        self._wake = asyncio.Event()  # set if a request has ended, or has begun or ceased only to wait
        self._loop: asyncio.AbstractEventLoop | None = None  # in which a request has queued
        self._abandoned = False

    @property
    def accounts_open(self) -> int:
        """Accounts that are being read."""
        return len(self._open)

    @property
    def accounts_to_come(self) -> int:
        """Accounts whose turn has not come."""
        return len(self._to_come)

    @property
    def done(self) -> bool:
        """Whether every account has come to its end."""
        return not self._open and not self._to_come

    @property
    def has_room(self) -> bool:
        """Whether one more page may be held."""
        return self.pages_held < self._concurrency

    def collect_finished(self) -> None:
        """Take what has arrived. It must be called before anything else, as it decides what else is worth asking."""
        self._wake.clear()
        while self._finished:
            opened = self._finished.popleft()
            if opened in self._open:
                opened.run.collect_finished()
                self._recount(opened)
                self._fresh.append(opened)

    def start_requests(self) -> None:
        """Distribute the free room."""
        while self.has_room:
            active = [opened for opened in self._open if opened.queued or not opened.idle]
            share = -(-self._concurrency // max(1, len(active)))
            first: tuple[_OpenAccount, RequestPage] | None = None
            for opened in active:
                if first is None or opened.pages_held < first[0].pages_held:
                    request = opened.next_request(share)
                    if request is not None:
                        first = opened, request
            if first is None or first[0].pages_held > 0:
                first = self._open_next() or first
            if first is None:
                return
            self._send(*first)

    def take(self) -> tuple[Account, Sequence[Cluster]] | None:
        """Return an account and records of it that must be handed on now, or None."""
        while self._fresh:
            opened = self._fresh[0]
            records = opened.run.take()
            self._recount(opened)
            if records is not None:
                return opened.account, records
            # It is at its end, or waits for a page.
            self._fresh.popleft()
            if self._retire(opened):
                self.start_requests()
        return None

    def expire(self, deadline: float) -> None:
        """Open no further account: those whose turn has not come fail by the deadline, in seconds."""
        while self._to_come:
            self._results.done += 1
            self._results.failed(self._to_come.popleft(), collection_out_of_time(deadline, "its turn"))
        self._wake.set()

    async def wait(self) -> None:
        """Wait until there is something to do, if no records are ready."""
        if not self.has_room:
            self._send_urgent()
        await self._wake.wait()

    async def stop(self) -> None:
        """End all requests, and wait until they have ended."""
        for opened in list(self._open):
            await opened.run.stop()

    def abandon(self) -> None:
        """End the requests that queue, as nobody reads any more. The others end by themselves.

        It may be called in any thread, as the garbage collector does.
        """
        self._abandoned = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed, and with it all of its tasks have ended
                self._loop.call_soon_threadsafe(self._refuse_queued)

    def on_idle(self, opened: _OpenAccount) -> None:
        """Take note that a request has begun or ceased only to wait."""
        self._recount(opened)
        self._wake.set()

    def on_queued(self, granted: asyncio.Future[None]) -> None:
        """Take note that a request queues for room."""
        if self._abandoned:
            raise RuntimeError(_FORGOTTEN)
        self._loop = granted.get_loop()
        self._wake.set()

    def _recount(self, opened: _OpenAccount) -> None:
        self.pages_held += opened.recount()

    def _send(self, opened: _OpenAccount, request: RequestPage, *, urgent: bool = False) -> None:
        """Send a request, be it a new one or one that queues."""
        queued = opened.queued.get(request)
        room = queued or _Room(self, opened, request)
        room.urgent = urgent
        if queued is None:
            opened.run.start(request, room)
        else:
            queued.grant()
        self._recount(opened)
        self._open[opened] = self._open.pop(opened)

    def _send_urgent(self) -> None:
        """Send what blocked pages wait for although there is no room; see "Nothing deadlocks" above."""
        for opened in list(self._open):
            needed = opened.run.planner.needed
            if needed is None:
                continue
            if needed in opened.queued or needed == opened.run.wanted():
                self._send(opened, needed, urgent=True)
            elif needed in opened.idle:
                opened.idle[needed].urgent = True

    def _open_next(self) -> tuple[_OpenAccount, RequestPage] | None:
        """Open the next account, and return its first request. Those that can't be opened are passed over."""
        while self._to_come:
            opened = _OpenAccount(self._to_come.popleft())
            try:
                opened.run = self._start_reading(opened.account, partial(self._on_done, opened))
            except Exception as error:  # noqa: BLE001  # what makes the account's rate limit is not ours
                self._results.done += 1
                self._results.failed(opened.account, error)
                continue
            request = opened.run.wanted()
            assert request is not None
            self._open[opened] = None
            return opened, request
        return None

    def _on_done(self, opened: _OpenAccount) -> None:
        self._finished.append(opened)
        self._wake.set()

    def _retire(self, opened: _OpenAccount) -> bool:
        """Let an account go if it has come to its end, and return whether it has."""
        run = opened.run
        if opened not in self._open or run.busy or run.wanted() is not None:
            return False
        del self._open[opened]
        self.pages_held -= opened.pages_held
        self._results.done += 1
        self._results.ended(opened.account, run)
        return True

    def _refuse_queued(self) -> None:
        for opened in self._open:
            for room in opened.queued.values():
                room.refuse(RuntimeError(_FORGOTTEN))
