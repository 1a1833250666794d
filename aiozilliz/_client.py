"""`ZillizClient`: its arguments, its life, and one short method for each call."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from aiozilliz._aio.cancel_scope import Lifetime
from aiozilliz._aio.limiter import RateLimiter
from aiozilliz._http.request import NO_LIMIT, RequestContext
from aiozilliz._http.retry import RetryPolicy
from aiozilliz._http.transport import Transport
from aiozilliz._http.wire import PATH
from aiozilliz._iteration.reader import AccountReader
from aiozilliz._public import public
from aiozilliz._records.snapshot import Snapshot
from aiozilliz._settings.checks import (
    GLOBAL,
    ListQuery,
    check_base_url,
    check_count,
    check_flag,
    check_seconds,
    check_type,
)
from aiozilliz._settings.credentials import ApiKey, find_key

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

    import aiohttp

    from aiozilliz._iteration.iterators import ClusterIterator, PageIterator
    from aiozilliz._iteration.watcher import ClusterWatcher
    from aiozilliz._records.cluster import ClusterPage


class _DefaultLimiter:
    def __repr__(self) -> str:
        return "<20 a second>"


_DEFAULT_LIMITER: Final = _DefaultLimiter()
_DEFAULT_RETRY: Final = RetryPolicy()
_USAGE = "async with ZillizClient(...) as client:"


@public
class ZillizClient:
    """An asyncio session with the cluster inventory of Zilliz Cloud.

        async with ZillizClient("API-KEY") as client:
            async for cluster in client.iter_clusters():
                print(cluster.cluster_id, cluster.status)

    It may be used by any number of tasks of one event loop at once. It is not thread-safe.

    Args:
        api_key: A key, or a plain or async callable that gives one and is asked before each attempt. When the service
            refuses a key and the callable then gives another, the request is tried once more with that, whatever the
            retry policy. None takes `ZILLIZ_API_KEY`, then the official command-line client's credentials file.
        base_url: `GLOBAL`, `CHINA` or any other URL, with a path prefix or without. None is `GLOBAL`, but where the
            key came from the official command-line client's files, the base URL named there comes first. `http://` is
            for loopback hosts only.
        session: A session to borrow. It is never closed nor changed; its connector, TLS, proxies and tracing are
            used, its default headers, auth, cookies, timeouts and middlewares are not. The service's Set-Cookie
            headers would go into its cookie jar: give it an `aiohttp.DummyCookieJar` where that matters. Waiting for a
            connection of its pool counts towards `timeout`, so the pool's limit should not be below the requests that
            are in flight at once. None makes a session on entering and closes it on leaving; that one takes the proxy
            from the environment and never reads `.netrc`.
        timeout: Seconds for one attempt, or an `aiohttp.ClientTimeout`.
        retry: How often and how long one page is tried.
        limiter: An async context manager that is entered once for each attempt and held while it is in flight (and
            left without an attempt where a `Retry-After` came while it was waited for, so that a pause holds nobody
            else's place). Many clients can share one. The default keeps the service's limit of 20 requests a second, as
            the service counts (docs.zilliz.com.cn, List Clusters V2), for this client. None is no limit.
        max_response_bytes: Bound on the body of an answer, as decompressed.

    Raises:
        ConfigurationError: There is no key, or the key or the base URL can't be used.
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
        limiter: AbstractAsyncContextManager[object] | _DefaultLimiter | None = _DEFAULT_LIMITER,
        max_response_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self._base_url = ""  # for a `repr` of a client that is half made
        key, site = find_key(api_key, read_site=base_url is None)
        del api_key  # a later error's traceback refers to this frame
        self._transport = Transport(session, timeout, max_response_bytes)
        self._life = Lifetime("client", _USAGE, self._transport.check, self._transport.close)
        check_type("retry", retry, RetryPolicy)
        if isinstance(limiter, _DefaultLimiter):
            limiter = RateLimiter()
        elif limiter is not None and not isinstance(limiter, AbstractAsyncContextManager):
            raise TypeError(f"limiter must be an async context manager or None, not {type(limiter).__name__}")
        self._base_url = check_base_url(base_url) if base_url is not None else site or GLOBAL
        pages = RequestContext(
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
        life = getattr(self, "_life", None)  # a refused argument's traceback shows a client that is half made
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
        """Close the client, for those who can't use `async with`: no request, task or connection of it is left.

        A borrowed session stays open. Calls that are under way end with a `RuntimeError`. It may be called twice.
        """
        await self._life.close()

    def list_clusters(
        self, *, current_page: int = 1, page_size: int = 100
    ) -> Coroutine[Any, Any, ClusterPage]:
        """Give one page. Most users want `iter_clusters`: one page is seldom the whole list.

        Args:
            current_page: Page number, 1-based.
            page_size: Records to ask for. The service documents 100 as its maximum (List Clusters V2).

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: An argument is below 1.
            ZillizError: The page can't be had.
            RuntimeError: The client is not open.
        """
        check_count("current_page", current_page)
        return self._reader.list_page(ListQuery(page_size), current_page)

    def iter_pages(self, *, page_size: int = 100, start_page: int = 1) -> PageIterator:
        """Give the pages as they come, one request after another.

        It ends when the pages reach `count`, at an empty page, or at one that repeats the page before. What changes
        meanwhile can be missed or come twice; `iter_clusters` takes care of that.

        Args:
            page_size: Records to ask for a page. The service documents 100 as its maximum (List Clusters V2).
            start_page: Number of the first page, 1-based.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: An argument is below 1.
        """
        check_count("start_page", start_page)
        return self._reader.iter_pages(ListQuery(page_size), start_page)

    def iter_clusters(
        self, *, page_size: int = 100, concurrency: int = 1, verify: bool = False, max_passes: int = 5
    ) -> ClusterIterator:
        """Give every cluster that the key can see, each `cluster_id` exactly once, in the service's order.

        Where a pass over the pages is not clean (`count` changed, a record came twice, more or fewer records than
        `count`), the list is read again and what is new is given. What a clean pass can't show is a cluster that was
        skipped because one before it was deleted while another was created behind it; `verify` finds it.

        Args:
            page_size: Records to ask for a page. The service documents 100 as its maximum (List Clusters V2). The
                size that the service really uses counts.
            concurrency: Requests in flight at most, and pages that wait in memory. With 1 a page is requested only
                when a record of it is wanted, and no task is made.
            verify: Whether to go on until the answers prove that nothing is missing: 2k-1 requests for a quiet list
                of k pages. The proof takes `count` and page of one answer as true at one moment, and a cluster that
                left the list as gone while it is being read.
            max_passes: Readings of all pages at most.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: An argument is below 1.
            IncompleteListingError: While iterating, after everything seen was given: the answers do not
                show a complete listing.
            ZillizError: While iterating: a page can't be had.
            RuntimeError: While iterating: the client is not open, the iterator was closed, or a second task
                is reading it.
        """
        check_count("concurrency", concurrency)
        check_count("max_passes", max_passes)
        check_flag("verify", verify)
        return self._reader.iter_clusters(
            ListQuery(page_size), concurrency=concurrency, verify=verify, max_passes=max_passes
        )

    def snapshot(
        self, *, page_size: int = 100, concurrency: int = 4, max_passes: int = 5
    ) -> Coroutine[Any, Any, Snapshot]:
        """Give the whole listing as it was at one moment, in as few requests as can prove it.

        Where the proof does not come, because the list keeps changing or the service gives no `count`, the snapshot
        holds what was seen in the last pass, and its `consistent` is false.

        Args:
            page_size: Records to ask for a page. The service documents 100 as its maximum (List Clusters V2).
            concurrency: Requests in flight at most.
            max_passes: Readings of all pages at most.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: An argument is below 1.
            ZillizError: A page can't be had.
            RuntimeError: The client is not open.
        """
        check_count("concurrency", concurrency)
        check_count("max_passes", max_passes)
        return self._reader.snapshot(ListQuery(page_size), concurrency=concurrency, max_passes=max_passes)

    def watch_clusters(
        self, *, interval: float = 60.0, since: Snapshot | None = None, confirmations: int = 2
    ) -> ClusterWatcher:
        """Give what changes in the listing, as it changes, until it is closed or the key is refused.

        Store the watcher's `snapshot` and pass it as `since`, and a restarted service goes on without a gap or a
        repeat. A cluster that is created and deleted between two readings is not seen.

        Args:
            interval: Seconds from the start of one reading to the start of the next, give or take a twentieth.
            since: What is known already. None tells every cluster of the first reading as `added`.
            confirmations: Consistent readings in a row that must miss a cluster before it is reported as `removed`:
                an empty answer can be an incident, or a key whose rights were cut for a minute. Likewise readings in
                a row in which the service must refuse the key before the watch ends.

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: An argument is out of range.
            AuthenticationError: While iterating: the service has refused the key, which is fixed. Other failures, also
                of a key callable and of the keys that it returns, are outages: they are logged, and the watch goes on.
            IncompleteListingError: While iterating: the service gives no `count` at the first reading, so that
                nothing can ever be proven.
            RuntimeError: While iterating: the client is not open, the watcher was closed, or a second task
                is reading it.
        """
        check_seconds("interval", interval)
        check_count("confirmations", confirmations)
        if since is not None and not isinstance(since, Snapshot):
            raise TypeError(f"since must be a Snapshot or None, not {type(since).__name__}")
        return self._reader.watch(ListQuery(), interval=interval, since=since, confirmations=confirmations)
