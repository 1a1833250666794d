"""Whom a command asks, and with which keys: one account or many, read in the same way."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from attrs import evolve, field, frozen

import aiozilliz
from aiozilliz.cli.output.progress import show_progress
from aiozilliz.cli.process import accounts_error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    import aiohttp

    from aiozilliz import Account, Cluster, ClusterEvent
    from aiozilliz.cli.output.progress import Progress
    from aiozilliz.cli.state.files import Document

_TICK = 0.1
"""Seconds from one look at how far a reading is to the next."""


@frozen(kw_only=True)
class Paging:
    """How the pages of a listing are read: see `ZillizClient.iter_clusters`.

    Attributes:
        concurrency: Requests in flight at most; None takes what the library does for the call.
    """

    page_size: int = 100
    concurrency: int | None = None
    verify: bool = False
    max_passes: int = 5


class Watch(Protocol):
    """The events of a watch, each with the name of its account where there are several."""

    @property
    def known(self) -> Document | None:
        """What was told so far, as of the last complete reading."""

    def __aiter__(self) -> AsyncIterator[tuple[str | None, ClusterEvent]]: ...


class Source(Protocol):
    """Where clusters come from.

    Attributes:
        many: Whether there are several accounts, and so names of accounts.
    """

    many: bool

    def iterate(self) -> AsyncIterator[tuple[str | None, Cluster]]:
        """Give each cluster, with the name of its account where there are several.

        Raises:
            ZillizError: A listing failed; of several accounts in the end an `InventoryError`, or a `PartialError`.
        """
        ...

    async def collect(self) -> Document:
        """Give everything, with the proof where there is one."""
        ...

    def watch(self, *, interval: float, since: Document | None, confirmations: int) -> Watch:
        """Begin a watch; `since` is of the kind that `collect` gives."""
        ...


@frozen(kw_only=True)
class Connection:
    """Which service is asked, and with which keys.

    Attributes:
        api_key: The key that `--api-key-file` gave; None leaves it to the environment and the credentials file.
        base_url: The control plane's base URL; None is that of the official CLI's `config` file, else the global one.
        timeout: Seconds for one attempt.
        demo: Whether an embedded fake service is asked instead.
        all_orgs: Whether all organisations of the credentials file are asked.
    """

    api_key: str | None = field(repr=False)
    base_url: str | None
    timeout: float
    demo: bool
    all_orgs: bool = False

    def for_all_orgs(self) -> Connection:
        """Give the same for all organisations."""
        return evolve(self, all_orgs=True)

    @asynccontextmanager
    async def accounts(self, *, changing: bool = False) -> AsyncGenerator[list[Account], None]:
        """Give the accounts of all organisations.

        Args:
            changing: Whether a demo's clusters change by themselves.

        Raises:
            ConfigurationError: There are none, or one can't be used.
        """
        if self.demo:
            from aiozilliz.cli.input.demo import demo_accounts  # noqa: PLC0415  # a server, which nothing else needs

            async with demo_accounts(many=True, changing=changing) as accounts:
                yield accounts
        else:
            yield aiozilliz.load_accounts(base_url=self.base_url)

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[aiohttp.ClientSession | None, None]:
        """Give the session that asks a demo, or None, which lets each client make its own."""
        if self.demo:
            from aiozilliz.cli.input.demo import demo_session  # noqa: PLC0415  # as above

            async with demo_session() as session:
                yield session
        else:
            yield None

    @asynccontextmanager
    async def open(
        self, paging: Paging | None = None, *, progress: bool = False, changing: bool = False
    ) -> AsyncGenerator[Source, None]:
        """Give what is asked, ready for use.

        Args:
            paging: How pages are read.
            progress: Whether to show how far a reading is, where that is possible.
            changing: Whether a demo's clusters change by themselves.

        Raises:
            ConfigurationError: There is no key, or it or the base URL can't be used.
        """
        paging = paging or Paging()
        async with AsyncExitStack() as stack:
            source: _OneAccount | _ManyAccounts
            if self.all_orgs:
                source = _ManyAccounts(await self._inventory(stack, paging, changing=changing), paging)
            else:
                source = _OneAccount(await self._client(stack, changing=changing), paging)
            shown = stack.enter_context(show_progress(progress))
            if progress:
                ticker = asyncio.create_task(_follow(source, shown))
                stack.callback(ticker.cancel)
            yield source

    async def collect(self, paging: Paging) -> Document:
        """Give everything that there is, and show how far the reading is: a report exactly where `all_orgs` is set.

        Raises:
            ZillizError: It can't be had.
        """
        async with self.open(paging, progress=True) as source:
            return await source.collect()

    @property
    def retry(self) -> aiozilliz.RetryPolicy:
        """How often and how long a page is tried."""
        usual = aiozilliz.RetryPolicy()
        # An attempt that may take long has to have time for another.
        return evolve(usual, deadline=max(usual.deadline, 2 * self.timeout))

    async def _client(self, stack: AsyncExitStack, *, changing: bool) -> aiozilliz.ZillizClient:
        if not self.demo:
            base_url = self.base_url if self.base_url is not None else aiozilliz.cli_base_url()
            client = aiozilliz.ZillizClient(
                self.api_key, base_url=base_url, timeout=self.timeout, retry=self.retry
            )
            return await stack.enter_async_context(client)
        from aiozilliz.cli.input.demo import demo_accounts, demo_key  # noqa: PLC0415  # as above

        (account,) = await stack.enter_async_context(demo_accounts(many=False, changing=changing))
        session = await stack.enter_async_context(self.session())
        client = aiozilliz.ZillizClient(
            demo_key(account.name),
            base_url=account.base_url,
            session=session,
            timeout=self.timeout,
            retry=self.retry,
        )
        return await stack.enter_async_context(client)

    async def _inventory(
        self, stack: AsyncExitStack, paging: Paging, *, changing: bool
    ) -> aiozilliz.Inventory:
        accounts = await stack.enter_async_context(self.accounts(changing=changing))
        session = await stack.enter_async_context(self.session())
        inventory = aiozilliz.Inventory(
            accounts,
            concurrency=paging.concurrency or 16,
            session=session,
            timeout=self.timeout,
            retry=self.retry,
        )
        return await stack.enter_async_context(inventory)


class _OneAccount:
    many = False

    def __init__(self, client: aiozilliz.ZillizClient, paging: Paging) -> None:
        self._client = client
        self._paging = paging
        self._clusters: aiozilliz.ClusterIterator | None = None
        self._seen = 0

    async def iterate(self) -> AsyncGenerator[tuple[None, Cluster], None]:
        paging = self._paging
        self._clusters = self._client.iter_clusters(
            page_size=paging.page_size,
            concurrency=paging.concurrency or 1,
            verify=paging.verify,
            max_passes=paging.max_passes,
        )
        async with self._clusters as clusters:
            async for cluster in clusters:
                self._seen += 1
                yield None, cluster

    async def collect(self) -> aiozilliz.Snapshot:
        paging = self._paging
        return await self._client.snapshot(
            page_size=paging.page_size, concurrency=paging.concurrency or 4, max_passes=paging.max_passes
        )

    def watch(self, *, interval: float, since: Document | None, confirmations: int) -> _OneWatch:
        if since is not None and not isinstance(since, aiozilliz.Snapshot):
            raise TypeError("one account's watch goes on from a Snapshot")
        return _OneWatch(
            self._client.watch_clusters(interval=interval, since=since, confirmations=confirmations)
        )

    def tell(self, progress: Progress) -> None:
        count = self._clusters.count if self._clusters is not None else None
        progress.update(
            accounts=None, pages=self._client.requests, clusters=self._seen, count=count, failed=0
        )


class _ManyAccounts:
    many = True

    def __init__(self, inventory: aiozilliz.Inventory, paging: Paging) -> None:
        self._inventory = inventory
        self._paging = paging
        self._seen = 0

    async def iterate(self) -> AsyncGenerator[tuple[str, Cluster], None]:
        paging = self._paging
        clusters = self._inventory.iter_clusters(
            page_size=paging.page_size, verify=paging.verify, max_passes=paging.max_passes
        )
        failures: Mapping[str, Exception] = {}
        try:
            async with clusters:
                async for account, cluster in clusters:
                    self._seen += 1
                    yield account.name, cluster
        except aiozilliz.InventoryError as error:
            failures = error.failures
        if failures:
            raise accounts_error(failures, len(self._inventory.accounts))

    async def collect(self) -> aiozilliz.InventoryReport:
        paging = self._paging
        return await self._inventory.collect(page_size=paging.page_size, max_passes=paging.max_passes)

    def watch(self, *, interval: float, since: Document | None, confirmations: int) -> _ManyWatch:
        if since is not None and not isinstance(since, aiozilliz.InventoryReport):
            raise TypeError("the watch of many accounts goes on from an InventoryReport")
        return _ManyWatch(
            self._inventory.watch_clusters(interval=interval, since=since, confirmations=confirmations)
        )

    def tell(self, progress: Progress) -> None:
        now = self._inventory.progress
        progress.update(
            accounts=(now.done, now.accounts),
            pages=now.requests,
            clusters=self._seen,
            count=None,
            failed=now.failed,
        )


class _OneWatch:
    def __init__(self, watcher: aiozilliz.ClusterWatcher) -> None:
        self._watcher = watcher

    @property
    def known(self) -> aiozilliz.Snapshot | None:
        return self._watcher.snapshot

    async def __aiter__(self) -> AsyncGenerator[tuple[None, ClusterEvent], None]:
        async with self._watcher as events:
            async for event in events:
                yield None, event


class _ManyWatch:
    def __init__(self, watcher: aiozilliz.InventoryWatcher) -> None:
        self._watcher = watcher

    @property
    def known(self) -> aiozilliz.InventoryReport | None:
        return self._watcher.report

    async def __aiter__(self) -> AsyncGenerator[tuple[str, ClusterEvent], None]:
        async with self._watcher as events:
            async for account, event in events:
                yield account.name, event


async def _follow(source: _OneAccount | _ManyAccounts, progress: Progress) -> None:
    while True:
        source.tell(progress)
        await asyncio.sleep(_TICK)
