"""`Inventory`: the clusters of many accounts over one pool of connections, failures apart."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from aiozilliz._aio.cancel_scope import CancelScope, Lifetime
from aiozilliz._aio.limiter import RateLimiter
from aiozilliz._http.request import NO_LIMIT, RequestContext
from aiozilliz._http.retry import RetryPolicy
from aiozilliz._http.transport import Transport
from aiozilliz._http.wire import PATH
from aiozilliz._inventory.accounts import Account, check_accounts
from aiozilliz._inventory.results import Results, SnapshotResults
from aiozilliz._inventory.scheduler import InventoryIterator, InventoryProgress
from aiozilliz._inventory.watcher import InventoryWatcher
from aiozilliz._iteration.reader import WATCH_CONCURRENCY, AccountReader
from aiozilliz._public import public
from aiozilliz._records.report import InventoryReport
from aiozilliz._settings.checks import ListQuery, check_count, check_flag, check_seconds, check_type

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from types import TracebackType

    import aiohttp

    from aiozilliz._iteration.poller import Poller
    from aiozilliz._iteration.runner import PlanRunner
    from aiozilliz._records.snapshot import Snapshot

_DEFAULT_RETRY: Final = RetryPolicy()
_USAGE = "async with Inventory(...) as inventory:"


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
        self._transport = Transport(session, timeout, max_response_bytes)
        self._life = Lifetime("inventory", _USAGE, self._transport.check, self._transport.close)
        self._accounts = check_accounts(accounts)
        self._concurrency = check_count("concurrency", concurrency)
        if limiter is not None and not callable(limiter):
            raise TypeError(f"limiter must be a callable or None, not {type(limiter).__name__}")
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
        life = getattr(
            self, "_life", None
        )  # a refused argument's traceback shows an inventory that is half made
        state = " (closed)" if life is not None and life.closed else ""
        return f"<Inventory of {len(self._accounts)} accounts{state}>"

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The accounts, in the order in which they were given."""
        return self._accounts

    @property
    def progress(self) -> InventoryProgress:
        """How far the iteration or collection that was begun last has come."""
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
        """Close the inventory: no request, task or connection of it is left.

        A borrowed session stays open. Calls that are under way end with a `RuntimeError`. It may be called twice.
        """
        await self._life.close()

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
            Results(self._accounts), ListQuery(page_size), max_passes, verify=verify, require_count=True
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
        results = SnapshotResults(self._accounts)
        clusters = self._iterate(results, ListQuery(page_size), max_passes, verify=True, require_count=False)
        return results.collect(clusters)

    def watch_clusters(
        self, *, interval: float = 60.0, since: InventoryReport | None = None, confirmations: int = 2
    ) -> InventoryWatcher:
        """Give what changes in the listings of all accounts, as it changes: pairs of `Account` and `ClusterEvent`.

        All accounts are read at once in the beginning, and then spread over the interval, so that load is even.

        Args:
            interval: Seconds from the start of one reading of an account to the start of its next.
            since: What is known already; an account that is not in it tells its first reading as `added`.
            confirmations: Consistent readings in a row that must miss a cluster before it is reported as `removed`, and
                readings in a row in which the service must refuse a key before that account's watch ends.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: An argument is out of range.
            InventoryError: While iterating: no account is left: each key was refused, or the service gives no `count`.
            RuntimeError: While iterating: the inventory is not open, the watcher was closed, or a second
                task is reading it.
        """
        check_seconds("interval", interval)
        check_count("confirmations", confirmations)
        if since is not None and not isinstance(since, InventoryReport):
            raise TypeError(f"since must be an InventoryReport or None, not {type(since).__name__}")

        # A quarter of the slots at most, so that an account that stops answering leaves the others theirs.
        concurrency = max(1, min(WATCH_CONCURRENCY, self._concurrency // 4))

        def make_poller(account: Account, known: Snapshot | None, offset: float) -> Poller:
            return self._reader_of(account).poller(
                ListQuery(),
                CancelScope(self._life.scope),
                interval=interval,
                since=known,
                confirmations=confirmations,
                concurrency=concurrency,
                offset=offset,
            )

        return InventoryWatcher(self._accounts, make_poller, self._life, since)

    def _iterate(
        self, results: Results, query: ListQuery, max_passes: int, *, verify: bool, require_count: bool
    ) -> InventoryIterator:
        check_count("max_passes", max_passes)
        self._results = results
        scope = CancelScope(self._life.scope)

        def start(
            account: Account, on_done: Callable[[], None], on_idle: Callable[[bool], None]
        ) -> PlanRunner:
            return self._reader_of(account).run(
                query,
                scope,
                concurrency=self._concurrency,
                verify=verify,
                max_passes=max_passes,
                require_count=require_count,
                listener=results.listener(account),
                on_done=on_done,
                on_idle=on_idle,
            )

        return InventoryIterator(results, start, self._life.check_open, scope, concurrency=self._concurrency)

    def _reader_of(self, account: Account) -> AccountReader:
        reader = self._readers.get(account.name)
        if reader is None:
            pages = RequestContext(
                base_url=account.base_url,
                key=account.key_source,
                transport=self._transport,
                limiter=self._limiter_of(account),
                policy=self._retry,
                check_open=self._life.check_open,
                slots=self._slots,
            )
            reader = self._readers[account.name] = AccountReader(
                pages, self._life, name=f"account {account.name!r}", url=f"{account.base_url}{PATH}"
            )
        return reader

    def _limiter_of(self, account: Account) -> AbstractAsyncContextManager[object]:
        make = self._make_limiter
        if make is None:
            return NO_LIMIT
        limiter = make(account) if self._limiter_needs_account else make()
        if not isinstance(limiter, AbstractAsyncContextManager):
            raise TypeError(f"limiter must make async context managers, and made a {type(limiter).__name__}")
        return limiter


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
