"""`AccountReader`: all ways to read one account. The planner is created here and nowhere else."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiozilliz._aio.cancel_scope import CancelScope, sleep
from aiozilliz._errors import IncompleteListingError
from aiozilliz._iteration.iterators import ClusterIterator, PageIterator
from aiozilliz._iteration.runner import PlanRunner
from aiozilliz._iteration.watcher import ClusterWatcher
from aiozilliz._pagination.planner import PagePlanner
from aiozilliz._records.cluster import Cluster
from aiozilliz._records.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aiozilliz._aio.cancel_scope import Lifetime
    from aiozilliz._aio.limiter import PageRoom
    from aiozilliz._iteration.runner import Listener
    from aiozilliz._pagination.decisions import RequestPage
    from aiozilliz._records.cluster import ClusterPage
    from aiozilliz._settings.checks import ListQuery

WATCH_CONCURRENCY: Final = 4
"""Maximum number of requests in flight for a poll of a watch, as for a snapshot."""

OLD: Final = 300.0
"""Seconds; a cluster that was created so long before a reading is known to be older: the service's clock may differ."""

_ID_OF: Final = attrgetter("cluster_id")


class SnapshotListener:
    """Keeps the records of a reading, for a snapshot.

    If a cluster appears more than once, its last record and its last position in the list are kept.
    """

    def __init__(self) -> None:
        self._sent_at: dict[RequestPage, datetime] = {}
        self._seen: dict[str, tuple[int, int, Cluster]] = {}

    def on_sent(self, request: RequestPage) -> None:
        """Record when the request is sent."""
        self._sent_at[request] = datetime.now(UTC)

    def on_page(self, request: RequestPage, page: ClusterPage) -> None:
        """Keep the records of its page."""
        number = request.page_number
        self._seen.update(
            (cluster.cluster_id, (number, index, cluster)) for index, cluster in enumerate(page.clusters)
        )

    def snapshot(self, planner: PagePlanner[Cluster]) -> Snapshot:
        """Return the listing at the proven moment, or else the clusters of the last pass."""
        proven = planner.proven
        if proven is not None:
            listed = [seen for cluster_id, seen in self._seen.items() if proven.holds(cluster_id)]
            taken_at = self._sent_at[proven.request]
        else:
            last_pass = planner.last_pass
            listed = [seen for cluster_id, seen in self._seen.items() if cluster_id in last_pass]
            number = planner.pass_number
            taken_at = min(at for request, at in self._sent_at.items() if request.pass_number == number)
        listed.sort(key=lambda seen: seen[:2])
        return Snapshot(
            tuple(cluster for _, _, cluster in listed),
            taken_at,
            planner.answers,
            consistent=proven is not None,
        )


class PageSource(Protocol):
    """Fetches pages of one account over the wire.

    Attributes:
        pages: Pages received so far.
    """

    pages: int

    def fetch(
        self,
        query: ListQuery,
        page: int,
        scope: CancelScope,
        room: PageRoom | None = None,
    ) -> Coroutine[Any, Any, ClusterPage]:
        """Return one page. The scope may cancel the request."""
        ...


class AccountReader:
    """Reads the listing of one account: pages, iterators, snapshots, watches.

    Args:
        source: Fetches the pages.
        life: The lifetime of the client or inventory.
        name: The account's name in log records.
        url: The URL in errors.
    """

    def __init__(self, source: PageSource, life: Lifetime, *, name: str, url: str) -> None:
        self._source = source
        self._life = life
        self._name = name
        self._url = url

    @property
    def requests(self) -> int:
        """Pages received so far, over all calls."""
        return self._source.pages

    def list_page(self, query: ListQuery, page: int) -> Coroutine[Any, Any, ClusterPage]:
        """Return one page."""
        return self._source.fetch(query, page, self._life.scope)

    def iter_pages(self, query: ListQuery, start_page: int) -> PageIterator:
        """Return an iterator of pages."""
        return PageIterator(partial(self._source.fetch, query), self._new_scope(), start_page=start_page)

    def iter_clusters(
        self, query: ListQuery, *, concurrency: int, verify: bool, max_passes: int
    ) -> ClusterIterator:
        """Return an iterator of clusters."""
        scope = self._new_scope()
        run = self.run(query, scope, concurrency=concurrency, verify=verify, max_passes=max_passes)
        return ClusterIterator(run, scope, concurrency=concurrency)

    def run(
        self,
        query: ListQuery,
        scope: CancelScope,
        *,
        concurrency: int,
        verify: bool,
        max_passes: int,
        require_count: bool = True,
        listener: Listener | None = None,
        on_done: Callable[[], None] | None = None,
    ) -> PlanRunner:
        """Return the runner of one reading. For the arguments see `PlanRunner` and `PagePlanner`."""
        old = time.time() - OLD
        planner = PagePlanner[Cluster](
            page_size=query.page_size,
            key=_ID_OF,
            window=concurrency,
            verify=verify,
            max_passes=max_passes,
            require_count=require_count,
            is_old=lambda cluster: cluster.create_time is not None and cluster.create_time.timestamp() <= old,
        )
        return PlanRunner(
            partial(self._source.fetch, query),
            planner,
            name=self._name,
            url=self._url,
            scope=scope,
            life=self._life,
            verify=verify,
            listener=listener,
            on_done=on_done,
        )

    async def snapshot(
        self,
        query: ListQuery,
        *,
        concurrency: int,
        max_passes: int = 5,
        scope: CancelScope | None = None,
    ) -> Snapshot:
        """Read the whole listing.

        Returns:
            The snapshot, proven consistent if the service's responses allow it.

        Raises:
            ZillizError: A page could not be fetched.
            RuntimeError: The client or the scope was closed.
        """
        listener = SnapshotListener()
        own = CancelScope(scope or self._life.scope)
        run = self.run(
            query,
            own,
            concurrency=concurrency,
            verify=True,
            max_passes=max_passes,
            require_count=False,
            listener=listener,
        )
        async with ClusterIterator(run, own, concurrency=concurrency) as clusters:
            try:
                async for _ in clusters:
                    pass
            except IncompleteListingError as error:
                if error.echoed_page is not None:  # a page that could not be fetched
                    raise
                # There is no proof, so the snapshot's `consistent` is False.
        return listener.snapshot(run.planner)

    def watch(
        self,
        query: ListQuery,
        *,
        interval: float,
        since: Snapshot | None,
        confirmations: int,
        concurrency: int = WATCH_CONCURRENCY,
        offset: float = 0.0,
    ) -> ClusterWatcher:
        """Return a watcher. For `offset` see `ClusterWatcher`."""

        def take_snapshot(scope: CancelScope) -> Coroutine[Any, Any, Snapshot]:
            return self.snapshot(query, concurrency=concurrency, scope=scope)

        return ClusterWatcher(
            take_snapshot,
            sleep,
            self._new_scope(),
            name=self._name,
            interval=interval,
            since=since,
            confirmations=confirmations,
            check_open=self._life.check_open,
            offset=offset,
        )

    def _new_scope(self) -> CancelScope:
        return CancelScope(self._life.scope)
