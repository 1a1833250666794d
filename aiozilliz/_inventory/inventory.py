"""`Inventory`: the clusters of many accounts over one connection pool, with failures kept apart."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, NoReturn, Self

import aiohttp

from aiozilliz._aio.cancel_scope import CancelScope, Lifetime
from aiozilliz._aio.limiter import RateLimiter
from aiozilliz._http.request import NO_LIMIT, RequestContext
from aiozilliz._http.retry import RetryPolicy
from aiozilliz._http.transport import Transport
from aiozilliz._http.wire import PATH
from aiozilliz._inventory.accounts import Account, check_accounts
from aiozilliz._inventory.iterator import InventoryIterator, InventoryProgress, collect
from aiozilliz._inventory.results import Results, SnapshotResults
from aiozilliz._inventory.scheduler import Scheduler
from aiozilliz._inventory.watcher import InventoryWatcher
from aiozilliz._iteration.poller import Poller
from aiozilliz._iteration.reader import WATCH_CONCURRENCY, AccountReader
from aiozilliz._iteration.runner import PlanRunner
from aiozilliz._public import public
from aiozilliz._records.report import InventoryReport
from aiozilliz._records.snapshot import Snapshot
from aiozilliz._settings.checks import (
    ONE_SHOT,
    ListQuery,
    check_count,
    check_flag,
    check_limiter,
    check_seconds,
    check_type,
)

_DEFAULT_RETRY: Final = RetryPolicy()
_USAGE = "async with Inventory(...) as inventory:"


def _default_limiter() -> RateLimiter:
    return RateLimiter()


@public
class Inventory:
    """The clusters of many accounts, read concurrently over one connection pool.

        accounts = [Account("prod", key), Account("cn", other, base_url=CHINA)]
        async with Inventory(accounts, concurrency=16) as inventory:
            async for account, cluster in inventory.iter_clusters():
                ...

    The failure of one account never loses records of another.

    Args:
        accounts: Accounts with unique names. There may be none.
        concurrency: Maximum number of requests in flight over all accounts. Each iteration holds about as many pages in
            memory, and never more than twice as many, whatever its requests waited for (a key, a limiter, a retry).
        limiter: A callable that returns the rate limiter of one account. If it has a parameter without a default, it is
            called with the `Account`. The default limits each account to 20 requests a second, as the service documents
            (docs.zilliz.com.cn, List Clusters V2). None is no limit.
        session: A session to borrow, as for the client; its pool's limit should be at least `concurrency`. None creates
            one on entering and closes it on leaving.
        timeout: Seconds for one attempt, or an `aiohttp.ClientTimeout`.
        retry: How often, and for how long, one page is tried. The time for which its account waits for a slot does not
            count.
        max_response_bytes: Limit of a response body, in bytes after decompression.

    Raises:
        ConfigurationError: Two accounts have the same name.
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
        self._accounts: tuple[Account, ...] = ()  # tracebacks show a partly initialised inventory
        self._transport = Transport(session, timeout, max_response_bytes)
        self._life = Lifetime("inventory", _USAGE, self._transport.check, self._transport.close)
        self._accounts = check_accounts(accounts)
        self._concurrency = check_count("concurrency", concurrency)
        if limiter is not None:
            _check_factory(limiter)
        check_type("retry", retry, RetryPolicy)
        self._make_limiter = limiter
        self._limiter_needs_account = limiter is not None and _needs_account(limiter)
        self._retry = retry
        self._slots = asyncio.Semaphore(concurrency)
        self._readers: dict[str, AccountReader] = {}
        self._results = Results(())

    def __reduce__(self) -> NoReturn:
        raise TypeError("an inventory can't be pickled or copied")

    def __repr__(self) -> str:
        life = getattr(self, "_life", None)  # tracebacks show a partly initialised inventory
        state = " (closed)" if life is not None and life.closed else ""
        return f"<Inventory of {len(self._accounts)} accounts{state}>"

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The accounts, in the order in which they were passed."""
        return self._accounts

    @property
    def progress(self) -> InventoryProgress:
        """The progress of the latest iteration or collection."""
        pages = sum(reader.requests for reader in self._readers.values())
        results = self._results
        return InventoryProgress(len(results.accounts), results.done, len(results.failures), pages)

    async def __aenter__(self) -> Self:
        self._life.enter()
        self._transport.open({account.base_url for account in self._accounts})
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the inventory: when this returns, none of its requests, tasks or connections is left.

        `async with` calls it. A borrowed session stays open. Calls in progress raise `RuntimeError`. Closing twice is
        harmless.
        """
        await self._life.close()

    def iter_clusters(
        self,
        *,
        page_size: int = 100,
        region: str | None = None,
        verify: bool = False,
        max_passes: int = 5,
    ) -> InventoryIterator:
        """Iterate over every cluster of every account, in the order of arrival.

        Within an account each `cluster_id` appears exactly once, in the service's order, with all guarantees of
        `ZillizClient.iter_clusters`.

        Args:
            page_size: Records to request per page.
            region: Id of the only region to list, such as `aws-us-west-2` (List Clusters V2). None lists all.
            verify: Whether to continue until the responses prove that nothing is missing.
            max_passes: Maximum number of passes over the pages of an account.

        Returns:
            An async iterator of pairs of `Account` and `Cluster`. It sends nothing before it is read.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: An argument is below 1, or the region is an empty text.
            InventoryError: While iterating, after every record that could be read: some accounts failed.
            RuntimeError: While iterating: the inventory is not open, the iterator was closed, or another task is
                reading it.
        """
        check_flag("verify", verify)
        return self._iterate(
            Results(self._accounts),
            ListQuery(page_size, region),
            max_passes,
            verify=verify,
            require_count=True,
        )

    def collect(
        self,
        *,
        page_size: int = 100,
        region: str | None = None,
        max_passes: int = 5,
        deadline: float | None = None,
    ) -> Coroutine[Any, Any, InventoryReport]:
        """Take a snapshot of every account, proven consistent if the service's responses allow it.

        Args:
            page_size: Records to request per page.
            region: Id of the only region to list, such as `aws-us-west-2` (List Clusters V2). None lists all.
            max_passes: Maximum number of passes over the pages of an account.
            deadline: Seconds after which the requests of accounts that are not done are cancelled. Each of these is a
                failure, a `TransportError` that says what it was waiting for; the others are reported, even if there
                are none. An account is done when its reading has ended: one that has seen its whole listing and still
                waits for the proof is not, so that no listing is stored in part. None is no limit.

        Returns:
            The snapshots, and the errors of accounts that failed. It must be awaited.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: An argument is out of range, or the region is an empty text.
            RuntimeError: The inventory is not open.
        """
        if deadline is not None:
            check_seconds("deadline", deadline)
        results = SnapshotResults(self._accounts)
        query = ListQuery(page_size, region)
        clusters = self._iterate(results, query, max_passes, verify=True, require_count=False)
        return collect(clusters, results, deadline)

    def watch_clusters(
        self,
        *,
        interval: float = 60.0,
        region: str | None = None,
        since: InventoryReport | None = None,
        confirmations: int = 2,
    ) -> InventoryWatcher:
        """Read the listings of all accounts at an interval and iterate over their changes.

        The first readings of all accounts start at once; later ones are spread over the interval, to even the load.

        Args:
            interval: Seconds from the start of one reading of an account to the start of its next, plus or minus 5 %.
            region: Id of the only region to list, such as `aws-us-west-2` (List Clusters V2). None lists all.
            since: The report to start from. The clusters of an account that it lacks are reported as `added`.
            confirmations: Consistent readings in a row that must lack a cluster before it is reported as `removed`, and
                readings in a row in which the service must refuse a key before that account's watch ends.

        Returns:
            An async iterator of pairs of `Account` and `ClusterEvent`. It sends nothing before it is read.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: An argument is out of range, or `since` holds a cluster of another region than `region`, which
                would be reported as removed.
            InventoryError: While iterating: no account is left, because each key was refused or the service gives no
                `count`.
            RuntimeError: While iterating: the inventory is not open, the watcher was closed, or another task is
                reading it.
        """
        check_seconds("interval", interval)
        check_count("confirmations", confirmations)
        if since is not None and not isinstance(since, InventoryReport):
            raise TypeError(f"since must be an InventoryReport or None, not {type(since).__name__}")
        query = ListQuery(region=region)

        # At most a quarter of the slots, so that an account that stops responding leaves some to the others.
        concurrency = max(1, min(WATCH_CONCURRENCY, self._concurrency // 4))

        def make_poller(account: Account, known: Snapshot | None, offset: float) -> Poller:
            return self._reader_of(account).poller(
                query,
                CancelScope(self._life.scope),
                interval=interval,
                since=known,
                confirmations=confirmations,
                concurrency=concurrency,
                offset=offset,
            )

        return InventoryWatcher(self._accounts, make_poller, self._life, since)

    def _iterate(
        self,
        results: Results,
        query: ListQuery,
        max_passes: int,
        *,
        verify: bool,
        require_count: bool,
    ) -> InventoryIterator:
        check_count("max_passes", max_passes)
        self._results = results
        scope = CancelScope(self._life.scope)

        def start(account: Account, on_done: Callable[[], None]) -> PlanRunner:
            return self._reader_of(account).run(
                query,
                scope,
                concurrency=self._concurrency,
                verify=verify,
                max_passes=max_passes,
                require_count=require_count,
                listener=results.listener(account),
                on_done=on_done,
            )

        scheduler = Scheduler(results, start, concurrency=self._concurrency)
        return InventoryIterator(scheduler, results, self._life.check_open, scope)

    def _reader_of(self, account: Account) -> AccountReader:
        reader = self._readers.get(account.name)
        if reader is None:
            name = f"account {account.name!r}"
            pages = RequestContext(
                name=name,
                base_url=account.base_url,
                key=account.key_source,
                transport=self._transport,
                limiter=self._limiter_of(account),
                policy=self._retry,
                check_open=self._life.check_open,
                slots=self._slots,
            )
            reader = self._readers[account.name] = AccountReader(
                pages, self._life, name=name, url=f"{account.base_url}{PATH}"
            )
        return reader

    def _limiter_of(self, account: Account) -> AbstractAsyncContextManager[object]:
        make = self._make_limiter
        if make is None:
            return NO_LIMIT
        limiter = make(account) if self._limiter_needs_account else make()
        if inspect.iscoroutine(limiter):
            limiter.close()  # without a warning that nobody has awaited it
        return check_limiter("limiter must return", limiter, "")


def _check_factory(limiter: object) -> None:
    kind = type(limiter)
    # What `@asynccontextmanager` makes can be called, as a decorator. Other limiters that can be called may be factories.
    if issubclass(kind, ONE_SHOT) or (hasattr(kind, "__aenter__") and not callable(limiter)):
        raise TypeError(
            f"limiter must be a callable that returns a limiter for each account, not a {kind.__name__}: "
            "write `lambda: RateLimiter(20)`, or `lambda: limiter` for one that all accounts share"
        )
    if not callable(limiter):
        raise TypeError(
            f"limiter must be a callable or None, not {kind.__name__}: write `lambda: RateLimiter(20)`, say"
        )


def _needs_account(make: Callable[..., object]) -> bool:
    """Check whether a limiter factory must be called with the account. Its own default value is never replaced.

    Returns:
        False if it can be called without an argument.

    Raises:
        TypeError: It can be called neither without an argument nor with one.
    """
    try:
        signature = inspect.signature(make)
    except ValueError:  # a callable in C without a signature
        return False
    for arguments in ((), (None,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return bool(arguments)
    raise TypeError("limiter must be callable without an argument, or with an Account")
