"""`AccountReader`: everything that can be read of one account. The planner is set up here and nowhere else."""

from __future__ import annotations

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
"""Requests in flight of a watch's reading at most: as of a snapshot."""

_ID_OF: Final = attrgetter("cluster_id")


class SnapshotListener:
    """Keeps what a reading brings.

    Of a cluster that comes more than once the last record is kept, and its place in the list as it was last seen.
    """

    def __init__(self) -> None:
        self._sent_at: dict[RequestPage, datetime] = {}
        self._seen: dict[str, tuple[int, int, Cluster]] = {}

    def on_sent(self, request: RequestPage) -> None:
        """The request goes out now."""
        self._sent_at[request] = datetime.now(UTC)

    def on_page(self, request: RequestPage, page: ClusterPage) -> None:
        """Its page has arrived."""
        number = request.page_number
        self._seen.update(
            (cluster.cluster_id, (number, place, cluster)) for place, cluster in enumerate(page.clusters)
        )

    def snapshot(self, planner: PagePlanner[Cluster]) -> Snapshot:
        """Return the listing of the proven moment, or else what was seen in the last pass."""
        proven = planner.proven
        if proven is not None:
            listed = [place for cluster_id, place in self._seen.items() if proven.holds(cluster_id)]
            taken_at = self._sent_at[proven.request]
        else:
            last_pass = planner.last_pass
            listed = [place for cluster_id, place in self._seen.items() if cluster_id in last_pass]
            number = planner.pass_number
            taken_at = min(at for request, at in self._sent_at.items() if request.pass_number == number)
        listed.sort(key=lambda place: place[:2])
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
        """Return one page, until the scope ends it."""
        ...


class AccountReader:
    """Reads the listing of one account: pages, iterators, snapshots, watches.

    Args:
        source: Fetches the pages.
        life: Of the client or the inventory that reads.
        name: What the account is called in the log.
        url: What is read, for errors.
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
        """Return the runner of one reading. For `on_done` see `PlanRunner`, for the rest `PagePlanner`."""
        planner = PagePlanner[Cluster](
            page_size=query.page_size,
            key=_ID_OF,
            window=concurrency,
            verify=verify,
            max_passes=max_passes,
            require_count=require_count,
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
        """Read the whole listing, with the proof if the service's answers allow one.

        Raises:
            ZillizError: A page can't be had.
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
            except IncompleteListingError:
                pass  # there is no proof; the snapshot says so
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
