"""The source of the clusters: one account or many, read in the same way."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

import aiozilliz
from aiozilliz.cli import process
from aiozilliz.cli.output import console
from aiozilliz.cli.output.progress import Progress, show_progress
from aiozilliz.cli.state import files

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    import aiohttp

    from aiozilliz import Account, Cluster, ClusterEvent


@frozen(kw_only=True)
class Paging:
    """How the pages of a listing are read: see `ZillizClient.iter_clusters`.

    Attributes:
        concurrency: Maximum number of requests in flight; None is the library's default for the call.
    """

    page_size: int = 100
    concurrency: int | None = None
    verify: bool = False
    max_passes: int = 5


@frozen(kw_only=True)
class Connection:
    """Which service is read, and with which keys.

    Attributes:
        api_key: The key from `--api-key-file`. None uses the environment or the credentials file.
        base_url: The control plane's base URL. None is that of the official CLI's `config` file, else the global one.
        timeout: Seconds for one attempt.
        demo: Whether an embedded fake service is used instead.
        all_orgs: Whether all organisations of the credentials file are read.
        orgs: Names or ids of the organisations that are read.
        stored: A listing that is read instead of the service.
    """

    api_key: str | None = field(repr=False)
    base_url: str | None
    timeout: float
    demo: bool
    all_orgs: bool = False
    orgs: tuple[str, ...] = ()
    stored: files.Document | None = None

    @property
    def many(self) -> bool:
        """Whether records are of several accounts, and so have the account's name."""
        if self.stored is not None:
            return isinstance(self.stored, aiozilliz.InventoryReport)
        return self.all_orgs or len(self.orgs) > 1

    @property
    def identity(self) -> tuple[str, str]:
        """What is read, in words that stay the same from run to run: the base URL, and which keys."""
        if self.demo:
            return "the demo", "its keys"
        if self.all_orgs:
            keys = "all organisations"
        elif self.orgs:
            keys = f"organisation {', '.join(sorted(self.orgs))}"
        elif self.api_key is not None:
            keys = "the key of --api-key-file"
        elif os.environ.get("ZILLIZ_API_KEY"):
            keys = "the key of ZILLIZ_API_KEY"
        else:
            keys = "the default organisation"
        base_url = self.base_url if self.base_url is not None else aiozilliz.cli_base_url()
        return (base_url or aiozilliz.GLOBAL).rstrip("/"), keys

    def for_all_orgs(self) -> Connection:
        """Return the same connection for all organisations."""
        return evolve(self, all_orgs=True)

    @asynccontextmanager
    async def accounts(self, *, changing: bool = False) -> AsyncGenerator[list[Account], None]:
        """Provide the accounts of the organisations that are read.

        Args:
            changing: Whether a demo's clusters change by themselves.

        Yields:
            The accounts.

        Raises:
            ConfigurationError: There are none, or one can't be used.
        """
        if self.demo:
            from aiozilliz.cli.input.demo import DEFAULT, demo_accounts  # noqa: PLC0415  # a server, used by nothing else

            wanted = None if self.all_orgs else self.orgs or (DEFAULT,)
            async with demo_accounts(wanted, changing=changing) as accounts:
                yield accounts
        else:
            yield aiozilliz.load_accounts(base_url=self.base_url, organisations=self.orgs or None)

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[aiohttp.ClientSession | None, None]:
        """Provide the session for a demo, or None, which lets each client make its own."""
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
        """Provide the source, ready for use.

        Args:
            paging: How pages are read.
            progress: Whether to show how far a reading is, if that is possible.
            changing: Whether a demo's clusters change by themselves.

        Yields:
            The source.

        Raises:
            ConfigurationError: There is no key, or it or the base URL can't be used.
        """
        paging = paging or Paging()
        async with AsyncExitStack() as stack:
            source: _OneAccount | _ManyAccounts
            if self.stored is not None:
                yield _Stored(self.stored)
                return
            if self.many:
                source = _ManyAccounts(await self._inventory(stack, paging, changing=changing), paging)
            else:
                source = _OneAccount(await self._client(stack, changing=changing), paging)
            await stack.enter_async_context(show_progress(lambda: source.progress, enabled=progress))
            yield source

    async def collect(self, paging: Paging, *, to_stdout: bool) -> files.Document:
        """Return the whole listing, and show progress meanwhile: a report exactly if `all_orgs` is set.

        Args:
            paging: How pages are read.
            to_stdout: Whether it is of no use once standard output has no reader any more.

        Raises:
            BrokenPipeError: Standard output has no reader any more.
            ZillizError: It can't be read.
        """
        read = console.while_stdout_is_read() if to_stdout else nullcontext()
        async with read, self.open(paging, progress=True) as source:
            return await source.collect()

    def client_of(
        self, account: Account, session: aiohttp.ClientSession | None = None
    ) -> aiozilliz.ZillizClient:
        """Return a client of one of the accounts, which is not yet open.

        Args:
            account: The account.
            session: What `session` provides.
        """
        # Its source says in errors where the key came from.
        return aiozilliz.ZillizClient(
            account.key_source,
            base_url=account.base_url,
            session=session,
            timeout=self.timeout,
            retry=self.retry,
        )

    @property
    def retry(self) -> aiozilliz.RetryPolicy:
        """How often and how long a page is tried."""
        usual = aiozilliz.RetryPolicy()
        # If one attempt may take long, there must be time for another.
        return evolve(usual, deadline=max(usual.deadline, 2 * self.timeout))

    async def _client(self, stack: AsyncExitStack, *, changing: bool) -> aiozilliz.ZillizClient:
        if self.orgs or self.demo:
            (account,) = await stack.enter_async_context(self.accounts(changing=changing))
            session = await stack.enter_async_context(self.session())
            return await stack.enter_async_context(self.client_of(account, session))
        base_url = self.base_url if self.base_url is not None else aiozilliz.cli_base_url()
        client = aiozilliz.ZillizClient(
            self.api_key, base_url=base_url, timeout=self.timeout, retry=self.retry
        )
        return await stack.enter_async_context(client)

    async def _inventory(
        self, stack: AsyncExitStack, paging: Paging, *, changing: bool
    ) -> aiozilliz.Inventory:
        inventory = aiozilliz.Inventory(
            await stack.enter_async_context(self.accounts(changing=changing)),
            concurrency=paging.concurrency or 16,
            session=await stack.enter_async_context(self.session()),
            timeout=self.timeout,
            retry=self.retry,
        )
        return await stack.enter_async_context(inventory)


class _Service:
    """What a client of one account and an inventory of many have in common as a source."""

    def __init__(self, reader: Any, paging: Paging) -> None:
        self._reader = reader
        self._paging = paging
        self._watcher: Any = None
        self._clusters: aiozilliz.ClusterIterator | None = None
        self._seen: int = 0

    async def watch(
        self, *, interval: float, since: files.Document | None, confirmations: int
    ) -> AsyncGenerator[tuple[str | None, ClusterEvent], None]:
        """Yield events, each with the name of its account if there are several.

        Args:
            interval: Seconds between two readings.
            since: What is known already, of the same type as the result of `collect`; None is nothing.
            confirmations: Consecutive readings that must miss a cluster before it counts as removed.
        """
        self._watcher = self._reader.watch_clusters(
            interval=interval, since=since, confirmations=confirmations
        )
        async with self._watcher as events:
            async for event in events:
                yield (None, event) if hasattr(event, "kind") else (event[0].name, event[1])


class _OneAccount(_Service):
    """One account as a source: what a watch has reported so far is `known`, and its errors are `outages`."""

    @property
    def known(self) -> aiozilliz.Snapshot | None:
        return self._watcher.snapshot if self._watcher is not None else None

    @property
    def progress(self) -> Progress:
        count = self._clusters.count if self._clusters is not None else None
        return Progress(pages=self._reader.requests, clusters=self._seen, count=count)

    @property
    def readings(self) -> dict[str, int]:
        """Account name, empty for the only one, to the consistent readings that a watch has made."""
        return {"": self._watcher.readings} if self._watcher is not None else {}

    @property
    def outages(self) -> list[str]:
        """The accounts that a watch can't read now."""
        return ["the service"] if self._watcher is not None and self._watcher.last_error is not None else []

    async def iterate(self) -> AsyncGenerator[tuple[None, Cluster], None]:
        paging = self._paging
        self._clusters = clusters = self._reader.iter_clusters(
            page_size=paging.page_size,
            concurrency=paging.concurrency or 1,
            verify=paging.verify,
            max_passes=paging.max_passes,
        )
        async with clusters:
            async for cluster in clusters:
                self._seen += 1
                yield None, cluster

    async def collect(self) -> aiozilliz.Snapshot:
        size, concurrency, passes = self._paging.page_size, self._paging.concurrency, self._paging.max_passes
        found: aiozilliz.Snapshot = await self._reader.snapshot(
            page_size=size, concurrency=concurrency or 4, max_passes=passes
        )
        return found


class _ManyAccounts(_Service):
    """Many accounts as a source, grouped in their order."""

    @property
    def known(self) -> aiozilliz.InventoryReport | None:
        return self._watcher.report if self._watcher is not None else None

    @property
    def progress(self) -> Progress:
        now = self._reader.progress
        # The inventory itself counts its accounts only once it is read.
        accounts = (now.done, len(self._reader.accounts))
        return Progress(accounts=accounts, pages=now.requests, clusters=self._seen, failed=now.failed)

    @property
    def readings(self) -> dict[str, int]:
        """As of one account."""
        return self._watcher.readings if self._watcher is not None else {}

    @property
    def outages(self) -> list[str]:
        """As of one account."""
        return list(self._watcher.outages) if self._watcher is not None else []

    async def iterate(self) -> AsyncGenerator[tuple[str, Cluster], None]:
        paging = self._paging
        clusters = self._reader.iter_clusters(
            page_size=paging.page_size, verify=paging.verify, max_passes=paging.max_passes
        )
        # Grouped, in the order of the accounts: the first one's as they come, the others' after it.
        first, *others = [account.name for account in self._reader.accounts]
        kept: dict[str, list[Cluster]] = {name: [] for name in others}
        failures: Mapping[str, Exception] = {}
        try:
            async with clusters:
                async for account, cluster in clusters:
                    self._seen += 1
                    if account.name == first:
                        yield first, cluster
                    else:
                        kept[account.name].append(cluster)
        except aiozilliz.InventoryError as error:
            failures = error.failures
        for name, records in kept.items():
            for cluster in records:
                yield name, cluster
        if failures:
            raise process.accounts_error(failures, len(self._reader.accounts))

    async def collect(self) -> aiozilliz.InventoryReport:
        size, passes = self._paging.page_size, self._paging.max_passes
        report: aiozilliz.InventoryReport = await self._reader.collect(page_size=size, max_passes=passes)
        return report


class _Stored:
    """A listing from a file. What it lacks is an error when the rest has been read, as with the service."""

    def __init__(self, document: files.Document) -> None:
        self._document = document

    async def iterate(self) -> AsyncGenerator[tuple[str | None, Cluster], None]:
        for account, snapshot in files.parts(self._document):
            for cluster in snapshot:
                yield account, cluster
        files.check_complete(self._document)

    async def collect(self) -> files.Document:
        return self._document


Service = _OneAccount | _ManyAccounts
Source = Service | _Stored
"""Where clusters come from. Only the service can be watched."""
