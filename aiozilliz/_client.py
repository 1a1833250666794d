"""`ZillizClient`: its arguments, its lifetime, and one short method for each call."""

from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, NoReturn, Self

import aiohttp

from aiozilliz._aio.cancel_scope import Lifetime
from aiozilliz._aio.limiter import RateLimiter
from aiozilliz._http.request import NO_LIMIT, RequestContext
from aiozilliz._http.retry import RetryPolicy
from aiozilliz._http.transport import Transport
from aiozilliz._http.wire import PATH
from aiozilliz._iteration.iterators import ClusterIterator, PageIterator
from aiozilliz._iteration.reader import AccountReader
from aiozilliz._iteration.watcher import ClusterWatcher
from aiozilliz._public import public
from aiozilliz._records.cluster import ClusterPage
from aiozilliz._records.snapshot import Snapshot
from aiozilliz._settings.checks import (
    GLOBAL,
    ListQuery,
    check_base_url,
    check_count,
    check_flag,
    check_limiter,
    check_seconds,
    check_type,
)
from aiozilliz._settings.credentials import ApiKey, find_key


class _DefaultLimiter:
    def __repr__(self) -> str:
        return "<20 a second>"


_DEFAULT_LIMITER: Final[Any] = _DefaultLimiter()  # a private type does not belong in a public signature
_DEFAULT_RETRY: Final = RetryPolicy()
_USAGE = "async with ZillizClient(...) as client:"


@public
class ZillizClient:
    """An asyncio session with the cluster inventory of Zilliz Cloud.

        async with ZillizClient("API-KEY") as client:
            async for cluster in client.iter_clusters():
                print(cluster.cluster_id, cluster.status)

    It can be shared by any number of tasks in one event loop. It is not thread-safe.

    Args:
        api_key: A key, or a plain or async callable that returns one and is called before each attempt. If the service
            refuses a key and the callable then returns another, the request is tried once more with it, whatever the
            retry policy. None reads `ZILLIZ_API_KEY`, then the official command-line client's credentials file.
        base_url: `GLOBAL`, `CHINA` or any other URL, with or without a path prefix. None is `GLOBAL`, unless the key
            was read from the official command-line client's files and they name a base URL. `http://` is accepted for
            loopback hosts only.
        session: A session to borrow. It is never closed or changed. Its connector, TLS settings, proxies and tracing
            are used; its default headers, auth, cookies, timeouts and middlewares are not, and its cookie jar gets none
            of the service's cookies. Tracing hooks may read a response's body, within `max_response_bytes`. An exception
            that is none of aiohttp's, out of a hook or the connector, is a `TransportError` that says where it was
            raised; it is retried if it came while connecting. Waiting for a connection from its pool counts towards
            `timeout`, so the pool's limit should be at least the number of requests in flight. After a failed attempt
            the next one may use another kept connection of its pool, as aiohttp has no public way to ask for a new one;
            a connector with `force_close=True` keeps none. Close the client before its session: a call that is reading
            a body then ends with `RuntimeError` only after its `timeout`. None creates a session on entering and closes
            it on leaving; that one takes the proxy from the environment (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`), and
            one that can't be used is a `ConfigurationError` on entering. It never reads `.netrc`, opens a new connection
            after a failed attempt, and uses no kept connection on which something has arrived meanwhile.
        timeout: Seconds for one attempt, or an `aiohttp.ClientTimeout`.
        retry: How often, and for how long, one page is tried.
        limiter: An async context manager that is entered once per attempt and held while the attempt is in flight. If
            a `Retry-After` arrives during the wait for it, it is left without an attempt, so that the pause occupies no
            slot. Several clients can share one. The default limits this client to 20 requests a second, as the service
            counts them (docs.zilliz.com.cn, List Clusters V2). None is no limit.
        max_response_bytes: Limit of a response body, in bytes after decompression.

    Raises:
        ConfigurationError: There is no key, or the key or base URL can't be used.
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        api_key: ApiKey | None = None,
        *,
        base_url: str | None = None,
        session: aiohttp.ClientSession | None = None,
        timeout: float | aiohttp.ClientTimeout = 30.0,
        retry: RetryPolicy = _DEFAULT_RETRY,
        limiter: AbstractAsyncContextManager[object] | None = _DEFAULT_LIMITER,
        max_response_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self._base_url = ""  # `repr` of a partly initialised client needs it
        try:
            key, site = find_key(api_key, read_site=base_url is None)
        finally:
            del api_key  # the traceback of an error refers to this frame
        self._transport = Transport(session, timeout, max_response_bytes)
        self._life = Lifetime("client", _USAGE, self._transport.check, self._transport.close)
        check_type("retry", retry, RetryPolicy)
        if isinstance(limiter, _DefaultLimiter):
            limiter = RateLimiter()
        elif limiter is not None:
            check_limiter("limiter must be", limiter, "; None is no limit")
        self._base_url = check_base_url(base_url) if base_url is not None else site or GLOBAL
        pages = RequestContext(
            name=self._base_url,
            base_url=self._base_url,
            key=key,
            transport=self._transport,
            limiter=limiter or NO_LIMIT,
            policy=retry,
            check_open=self._life.check_open,
        )
        self._reader = AccountReader(pages, self._life, name=self._base_url, url=f"{self._base_url}{PATH}")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client can't be pickled or copied")

    def __repr__(self) -> str:
        life = getattr(self, "_life", None)  # tracebacks show a partly initialised client
        return f"<ZillizClient {self._base_url}{' (closed)' if life is not None and life.closed else ''}>"

    @property
    def requests(self) -> int:
        """Pages received so far, over all calls."""
        return self._reader.requests

    async def __aenter__(self) -> Self:
        self._life.enter()
        self._transport.open([self._base_url])
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client: when this returns, none of its requests, tasks or connections is left.

        `async with` calls it. A borrowed session stays open. Calls in progress raise `RuntimeError`. Closing twice is
        harmless.
        """
        await self._life.close()

    def list_clusters(
        self, *, current_page: int = 1, page_size: int = 100, region: str | None = None
    ) -> Coroutine[Any, Any, ClusterPage]:
        """Return one page. Prefer `iter_clusters`; one page is rarely the whole list.

        Args:
            current_page: Page number, 1-based.
            page_size: Records to request. The service documents a maximum of 100 (List Clusters V2).
            region: Id of the only region to list, such as `aws-us-west-2` (List Clusters V2). None lists all.

        Returns:
            The page as the service sent it, decoded. It must be awaited.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: An argument is below 1, or the region is an empty text.
            ZillizError: The page could not be fetched.
            RuntimeError: The client is not open.
        """
        check_count("current_page", current_page)
        return self._reader.list_page(ListQuery(page_size, region), current_page)

    def iter_pages(
        self, *, page_size: int = 100, region: str | None = None, start_page: int = 1
    ) -> PageIterator:
        """Iterate over the pages as the service sends them, one request after another.

        The iteration ends when `count` records were received, at an empty page, or at a page that repeats the one
        before. A cluster can be missed or appear twice if the list changes meanwhile; `iter_clusters` prevents that.

        Args:
            page_size: Records to request per page. The service documents a maximum of 100 (List Clusters V2).
            region: Id of the only region to list, such as `aws-us-west-2` (List Clusters V2). None lists all.
            start_page: Number of the first page, 1-based.

        Returns:
            An async iterator of `ClusterPage`. It sends nothing before it is read.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: An argument is below 1, or the region is an empty text.
        """
        check_count("start_page", start_page)
        return self._reader.iter_pages(ListQuery(page_size, region), start_page)

    def iter_clusters(
        self,
        *,
        page_size: int = 100,
        region: str | None = None,
        concurrency: int = 1,
        verify: bool = False,
        max_passes: int = 5,
    ) -> ClusterIterator:
        """Iterate over every cluster that the key can see, each `cluster_id` exactly once, in the service's order.

        If a pass over the pages is not clean (`count` changed, a record appeared twice, more or fewer records than
        `count`), the list is read again and new records are yielded. A clean pass can still miss a cluster: one that
        was skipped because another before it was deleted while a third was created after it. `verify` finds it.

        Args:
            page_size: Records to request per page. The service documents a maximum of 100 (List Clusters V2). If the
                service uses another size, that one counts.
            region: Id of the only region to list, such as `aws-us-west-2` (List Clusters V2). None lists all.
            concurrency: Maximum number of requests in flight and pages in memory, together. With 1, a page is requested
                only when one of its records is needed, and no task is created.
            verify: Whether to continue until the responses prove that nothing is missing: 2k-1 requests for a list of
                k pages that does not change. The proof assumes that `count` and records of one response are from the
                same moment, and that a cluster that left the list does not return while it is being read.
            max_passes: Maximum number of passes over the pages.

        Returns:
            An async iterator of `Cluster`. It sends nothing before it is read.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: An argument is below 1, or the region is an empty text.
            IncompleteListingError: While iterating, after every record seen was yielded: the responses do not show a
                complete listing.
            ZillizError: While iterating: a page could not be fetched.
            RuntimeError: While iterating: the client is not open, the iterator was closed, or another task is reading
                it.
        """
        check_count("concurrency", concurrency)
        check_count("max_passes", max_passes)
        check_flag("verify", verify)
        return self._reader.iter_clusters(
            ListQuery(page_size, region), concurrency=concurrency, verify=verify, max_passes=max_passes
        )

    def snapshot(
        self,
        *,
        page_size: int = 100,
        region: str | None = None,
        concurrency: int = 4,
        max_passes: int = 5,
    ) -> Coroutine[Any, Any, Snapshot]:
        """Return the whole listing as it was at one moment, in as few requests as can prove it.

        Args:
            page_size: Records to request per page. The service documents a maximum of 100 (List Clusters V2).
            region: Id of the only region to list, such as `aws-us-west-2` (List Clusters V2). None lists all.
            concurrency: Maximum number of requests in flight.
            max_passes: Maximum number of passes over the pages.

        Returns:
            The snapshot. It must be awaited. If there is no proof, because the list keeps changing or the service
            sends no `count`, it holds what the last pass saw, and its `consistent` is False. It does not hold the
            region: compare snapshots of the same one.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: An argument is below 1, or the region is an empty text.
            ZillizError: A page could not be fetched.
            RuntimeError: The client is not open.
        """
        check_count("concurrency", concurrency)
        check_count("max_passes", max_passes)
        return self._reader.snapshot(
            ListQuery(page_size, region), concurrency=concurrency, max_passes=max_passes
        )

    def watch_clusters(
        self,
        *,
        interval: float = 60.0,
        region: str | None = None,
        since: Snapshot | None = None,
        confirmations: int = 2,
    ) -> ClusterWatcher:
        """Read the listing at an interval and iterate over its changes.

        To continue after a restart without a gap or a repeat, store the watcher's `snapshot` and pass it as `since`. A
        cluster that is created and deleted between two readings is not seen.

        Args:
            interval: Seconds from the start of one reading to the start of the next, plus or minus 5 %.
            region: Id of the only region to list, such as `aws-us-west-2` (List Clusters V2). None lists all.
            since: The snapshot to start from. None reports every cluster of the first reading as `added`.
            confirmations: Consistent readings in a row that must lack a cluster before it is reported as `removed`: an
                empty response can be an incident, or a key that lost its permissions for a minute. Likewise readings in a
                row in which the service must refuse the key before the watch ends.

        Returns:
            An async iterator of `ClusterEvent`. It sends nothing before it is read.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: An argument is out of range, or `since` holds a cluster of another region than `region`, which
                would be reported as removed.
            AuthenticationError: While iterating: the service has refused the key, which is fixed. Other failures, those
                of a key callable and of the keys that it returns among them, are outages: they are logged, and the
                watch continues.
            IncompleteListingError: While iterating: the service gives no `count` in the first reading, so that nothing can
                ever be proven.
            RuntimeError: While iterating: the client is not open, the watcher was closed, or another task is reading
                it.
        """
        check_seconds("interval", interval)
        check_count("confirmations", confirmations)
        if since is not None and not isinstance(since, Snapshot):
            raise TypeError(f"since must be a Snapshot or None, not {type(since).__name__}")
        return self._reader.watch(
            ListQuery(region=region), interval=interval, since=since, confirmations=confirmations
        )
