"""`Inventory`: the clusters of many accounts over one pool of connections, failures apart."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import AbstractAsyncContextManager
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

import aiohttp

from aiozilliz._aio.cancel_scope import CancelScope, sleep
from aiozilliz._aio.decode_turn import DecodeTurn
from aiozilliz._aio.limiter import RateLimiter
from aiozilliz._aio.timer import SharedTimer
from aiozilliz._http.fetch import PageFetcher
from aiozilliz._http.request import RequestContext
from aiozilliz._http.retry import RetryPolicy
from aiozilliz._http.transport import Transport, make_session
from aiozilliz._http.wire import PATH
from aiozilliz._inventory.accounts import Account, check_accounts
from aiozilliz._inventory.collect import SnapshotResults, collect
from aiozilliz._inventory.scheduler import InventoryIterator, InventoryProgress, Landing, Results
from aiozilliz._inventory.watcher import InventoryWatcher
from aiozilliz._iteration.runner import PlanRunner
from aiozilliz._iteration.snapshots import SnapshotReader
from aiozilliz._iteration.watcher import ClusterWatcher
from aiozilliz._pagination.planner import PagePlanner
from aiozilliz._public import public
from aiozilliz._records.cluster import Cluster, ClusterPage
from aiozilliz._records.report import InventoryReport
from aiozilliz._settings.checks import check_count, check_flag, check_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from types import TracebackType

    from aiozilliz._records.snapshot import Snapshot

_DEFAULT_RETRY: Final = RetryPolicy()
_CLOSED = "the inventory is closed"


def _default_limiter() -> RateLimiter:
    return RateLimiter()


@public
class Inventory:
    """The clusters of many accounts, read side by side over one pool of connections.

        accounts = [Account("prod", key), Account("cn", other, base_url=CHINA)]
        async with Inventory(accounts, concurrency=16) as inventory:
            async for account, cluster in inventory.iter_clusters():
                ...

    One account's failure never loses another's records.

    Args:
        accounts: With names that are unique. None at all is a normal case.
        concurrency: Requests in flight over all accounts at most, and pages that wait in memory.
        limiter: A callable that makes the rate limit of one account; where it has a parameter without a default, it
            is given the `Account`. The default makes one of 20 requests a second, the service's documented limit
            (docs.zilliz.com.cn, List Clusters V2). None is no limit.
        session: A session to borrow, as for the client; its pool's limit should not be below `concurrency`. None makes
            one on entering, and closes it on leaving.
        timeout: Seconds for one attempt, or an `aiohttp.ClientTimeout`.
        retry: How often and how long one page is tried. The time in which it waits for its turn among the accounts does
            not count.
        max_response_bytes: Bound on the body of an answer, as decompressed.

    Raises:
        ConfigurationError: Two accounts share a name.
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        accounts: Iterable[Account],
        *,
        concurrency: int = 16,
        limiter: Callable[..., AbstractAsyncContextManager[object]] | None = _default_limiter,
        session: aiohttp.ClientSession | None = None,
        timeout: float | aiohttp.ClientTimeout = 30.0,
        retry: RetryPolicy = _DEFAULT_RETRY,
        max_response_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self._accounts: tuple[Account, ...] = ()  # a refused argument's traceback shows this object
        self._scope = CancelScope()
        self._accounts = check_accounts(accounts)
        self._concurrency = check_count("concurrency", concurrency)
        if limiter is not None and not callable(limiter):
            raise TypeError(f"limiter must be a callable or None, not {type(limiter).__name__}")
        if session is not None and not isinstance(session, aiohttp.ClientSession):
            raise TypeError(f"session must be an aiohttp.ClientSession, not {type(session).__name__}")
        if not isinstance(retry, RetryPolicy):
            raise TypeError(f"retry must be a RetryPolicy, not {type(retry).__name__}")
        self._make_limiter = limiter
        self._lent = session
        self._session = session
        self._retry = retry
        self._max_bytes = check_count("max_response_bytes", max_response_bytes)
        self._make_transport = partial(
            Transport, session=session, timeout=timeout, max_response_bytes=max_response_bytes
        )
        self._make_transport("https://localhost")  # refuses a wrong timeout now
        self._transports: dict[str, Transport] = {}  # by base URL: it knows no account
        self._limiter_needs_account = limiter is not None and _needs_account(limiter)
        self._places = asyncio.Semaphore(concurrency)
        self._deadlines = SharedTimer()
        self._turns = DecodeTurn()
        self._fetchers: dict[str, PageFetcher] = {}
        self._outcome = Results(())
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __reduce__(self) -> NoReturn:
        raise TypeError("an inventory can't be pickled or copied")

    def __repr__(self) -> str:
        state = " (closed)" if self._scope.reason else ""
        return f"<Inventory of {len(self._accounts)} accounts{state}>"

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The accounts, in the order in which they were given."""
        return self._accounts

    @property
    def progress(self) -> InventoryProgress:
        """How far the iteration or collection that was begun last has come."""
        pages = sum(fetcher.pages for fetcher in self._fetchers.values())
        return InventoryProgress(
            len(self._outcome.accounts), self._outcome.done, len(self._outcome.failures), pages
        )

    async def __aenter__(self) -> Self:
        self._scope.check()
        if self._lent is None and self._session is not None:
            raise RuntimeError("the inventory is entered already")
        self._bind()
        if self._lent is None:
            self._session = make_session()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the inventory: no request, task or connection of it is left.

        A borrowed session stays open. Calls that are under way end with a `RuntimeError`. It may be called twice.
        """
        self._scope.cancel(_CLOSED)
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._deadlines.close()
        for transport in self._transports.values():
            await transport.close()
        if self._lent is None and self._session is not None:
            await self._session.close()

    def iter_clusters(
        self, *, page_size: int = 100, verify: bool = False, max_passes: int = 5
    ) -> InventoryIterator:
        """Give every cluster of every account, as they come: pairs of `Account` and `Cluster`.

        Within an account each `cluster_id` comes exactly once, in the service's order, with all that
        `ZillizClient.iter_clusters` promises.

        Args:
            page_size: Records to ask for a page.
            verify: Whether to go on until the answers prove that nothing is missing.
            max_passes: Readings of all pages of an account at most.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: An argument is below 1.
            InventoryError: While iterating, after everything that could be had: some accounts failed.
            RuntimeError: While iterating: the inventory is not open, the iterator was closed, or a second
                task is reading it.
        """
        check_flag("verify", verify)
        return self._iterate(
            Results(self._accounts), page_size, max_passes, verify=verify, require_count=True
        )

    def collect(self, *, page_size: int = 100, max_passes: int = 5) -> Coroutine[Any, Any, InventoryReport]:
        """Take a snapshot of every account, with the proof where the service's answers allow one.

        Args:
            page_size: Records to ask for a page.
            max_passes: Readings of all pages of an account at most.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: An argument is below 1.
            RuntimeError: The inventory is not open.
        """
        collection = SnapshotResults(self._accounts)
        clusters = self._iterate(collection, page_size, max_passes, verify=True, require_count=False)
        return collect(collection, clusters)

    def watch_clusters(
        self, *, interval: float = 60.0, since: InventoryReport | None = None, confirmations: int = 2
    ) -> InventoryWatcher:
        """Give what changes in the listings of all accounts, as it changes: pairs of `Account` and `ClusterEvent`.

        All accounts are read at once in the beginning, and then spread over the interval, so that load is even.

        Args:
            interval: Seconds from the start of one reading of an account to the start of its next.
            since: What is known already; an account that is not in it tells its first reading as `added`.
            confirmations: Consistent readings in a row that must miss a cluster before it is told as `removed`.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: An argument is out of range.
            InventoryError: While iterating: no account is left: each key was refused.
            RuntimeError: While iterating: the inventory is not open, the watcher was closed, or a second
                task is reading it.
        """
        check_seconds("interval", interval)
        check_count("confirmations", confirmations)
        if since is not None and not isinstance(since, InventoryReport):
            raise TypeError(f"since must be an InventoryReport or None, not {type(since).__name__}")

        def make_watcher(account: Account, known: Snapshot | None, offset: float) -> ClusterWatcher:
            return ClusterWatcher(
                partial(self._take_snapshot, account),
                self._sleep,
                name=f"account {account.name!r}",
                interval=interval,
                since=known,
                confirmations=confirmations,
                check_open=self._check_open,
                offset=offset,
            )

        return InventoryWatcher(self._accounts, make_watcher, self._check_open, since, self._tasks)

    async def _take_snapshot(self, account: Account, scope: CancelScope) -> Snapshot:
        self._check_open()
        fetcher = self._fetcher(account)

        def get_page(page: int, size: int, *scopes: CancelScope) -> Coroutine[Any, Any, ClusterPage]:
            return fetcher.fetch(page, size, self._scope, scope, *scopes)

        # A quarter of the places at most, so that an account that stops answering leaves the others theirs.
        window = max(1, min(4, self._concurrency // 4))
        walk = PagePlanner[Cluster](
            page_size=100,
            key=attrgetter("cluster_id"),
            window=window,
            verify=True,
            require_count=False,
        )
        reader = SnapshotReader(
            get_page,
            walk,
            page_size=100,
            concurrency=window,
            url=f"{account.base_url}{PATH}",
            tasks=self._tasks,
        )
        return await reader.read()

    async def _sleep(self, seconds: float, scope: CancelScope) -> None:
        self._bind()
        await sleep(seconds, self._scope, scope)

    def _iterate(
        self, outcome: Results, page_size: int, max_passes: int, *, verify: bool, require_count: bool
    ) -> InventoryIterator:
        check_count("page_size", page_size)
        check_count("max_passes", max_passes)
        self._outcome = outcome

        def open_member(account: Account, scope: CancelScope, landing: Landing) -> PlanRunner:
            fetcher = self._fetcher(account)
            walk = PagePlanner[Cluster](
                page_size=page_size,
                key=attrgetter("cluster_id"),
                window=self._concurrency,
                verify=verify,
                max_passes=max_passes,
                require_count=require_count,
            )

            def get_page(page: int, size: int, *scopes: CancelScope) -> Coroutine[Any, Any, ClusterPage]:
                return fetcher.fetch(page, size, self._scope, *scopes, on_idle=landing.on_idle)

            return PlanRunner(
                get_page,
                walk,
                page_size=page_size,
                url=f"{account.base_url}{PATH}",
                scope=scope,
                tasks=self._tasks,
                recorder=outcome.recorder(account),
            )

        return InventoryIterator(outcome, open_member, self._check_open, concurrency=self._concurrency)

    def _fetcher(self, account: Account) -> PageFetcher:
        fetcher = self._fetchers.get(account.name)
        if fetcher is None:
            transport = self._transports.get(account.base_url)
            if transport is None:
                transport = self._transports[account.base_url] = self._make_transport(account.base_url)
            assert self._session is not None  # the inventory is open
            transport.share(self._session)
            access = RequestContext(
                base_url=account.base_url,
                key=account.key_source,
                transport=transport,
                limiter=self._limiter_of(account),
                policy=self._retry,
                max_response_bytes=self._max_bytes,
                places=self._places,
                deadlines=self._deadlines,
                turns=self._turns,
            )
            fetcher = self._fetchers[account.name] = PageFetcher(access)
        return fetcher

    def _limiter_of(self, account: Account) -> AbstractAsyncContextManager[object] | None:
        make = self._make_limiter
        if make is None:
            return None
        limiter = make(account) if self._limiter_needs_account else make()
        if not isinstance(limiter, AbstractAsyncContextManager):
            raise TypeError(f"limiter must make async context managers, and made a {type(limiter).__name__}")
        return limiter

    def _bind(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError("the inventory belongs to another event loop; make one for each loop")

    def _check_open(self) -> None:
        """Raise where nothing can be asked.

        Raises:
            RuntimeError: It was closed, or its session was; or it was not entered, or in another event loop.
        """
        self._scope.check()
        if self._session is None:
            raise RuntimeError(
                "the inventory is not entered: use it inside 'async with Inventory(...) as inventory:', "
                "or give it a session="
            )
        if self._session.closed:
            raise RuntimeError("the borrowed session is closed")
        self._bind()


def _needs_account(make: Callable[..., object]) -> bool:
    """Whether `make` can't be called without an argument. A default value of its own is not ours to replace.

    Raises:
        TypeError: It can be called neither without one nor with an account.
    """
    try:
        signature = inspect.signature(make)
    except ValueError:  # a callable in C that does not tell
        return False
    for arguments in ((), (None,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return bool(arguments)
    raise TypeError("limiter must be callable without an argument, or with an Account")
