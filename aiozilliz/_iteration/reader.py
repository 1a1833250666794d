"""`AccountReader`: everything that can be read of one account. The planner is set up here and nowhere else."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiozilliz._aio.cancel_scope import CancelScope, sleep
from aiozilliz._errors import IncompleteListingError
from aiozilliz._iteration.iterators import ClusterIterator, PageIterator
from aiozilliz._iteration.poller import Poller
from aiozilliz._iteration.runner import PlanRunner
from aiozilliz._iteration.watcher import ClusterWatcher
from aiozilliz._pagination.planner import PagePlanner
from aiozilliz._records.cluster import Cluster
from aiozilliz._records.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

    from aiozilliz._aio.cancel_scope import Lifetime
    from aiozilliz._errors import ZillizError
    from aiozilliz._iteration.runner import Listener
    from aiozilliz._pagination.decisions import RequestPage
    from aiozilliz._records.cluster import ClusterPage
    from aiozilliz._settings.checks import ListQuery

WATCH_CONCURRENCY: Final = 4
"""Requests in flight of a watch's reading at most: as of a snapshot."""

_ID_OF: Final = attrgetter("cluster_id")

_OLD: Final = timedelta(minutes=5)
"""How long before a reading a cluster must have been created to be known as older: clocks differ."""

_UNPROVEN: Final = "A reading of a watch counts only if its responses prove what the whole listing was."
_NO_COUNT: Final = "A watch needs the count in the service's responses, as it reports only what they prove; list the clusters instead."


class SnapshotListener:
    """Keeps what a reading brings.

    Of a cluster that comes more than once the last record is kept, and its place in the list as it was last seen.
    """

    def __init__(self) -> None:
        self._sent_at: dict[RequestPage, datetime] = {}
        self._seen: dict[str, tuple[int, int, Cluster]] = {}

    @property
    def ids(self) -> Collection[str]:
        """The ids in any response, whatever moment it shows."""
        return self._seen.keys()

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

    @property
    def fixed_key(self) -> bool:
        """Whether the key never changes; else it comes from a callable."""
        ...

    def is_refusal(self, error: ZillizError) -> bool:
        """Return whether the service itself says, with a code that means it, that the key is refused."""
        ...

    def fetch(
        self,
        query: ListQuery,
        page: int,
        scope: CancelScope,
        on_idle: Callable[[bool], None] | None = None,
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
        listed_before: Collection[str] = (),
        listener: Listener | None = None,
        on_done: Callable[[], None] | None = None,
        on_idle: Callable[[bool], None] | None = None,
    ) -> PlanRunner:
        """Return the runner of one reading. For `on_done` and `on_idle` see `PlanRunner`, for the rest `PagePlanner`."""
        planner = PagePlanner[Cluster](
            page_size=query.page_size,
            key=_ID_OF,
            window=concurrency,
            verify=verify,
            max_passes=max_passes,
            require_count=require_count,
            listed_before=listed_before,
            is_old=_older_than(datetime.now(UTC) - _OLD) if verify else _never,
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
            on_idle=on_idle,
        )

    async def snapshot(self, query: ListQuery, *, concurrency: int, max_passes: int = 5) -> Snapshot:
        """Read the whole listing, with the proof if the service's answers allow one.

        Raises:
            ZillizError: A page can't be had.
            RuntimeError: The client was closed.
        """
        listener = SnapshotListener()
        scope = self._new_scope()
        run = self.run(
            query,
            scope,
            concurrency=concurrency,
            verify=True,
            max_passes=max_passes,
            require_count=False,
            listener=listener,
        )
        with suppress(IncompleteListingError):  # there is no proof; the snapshot says so
            await _read_to_end(run, scope, concurrency)
        return listener.snapshot(run.planner)

    def watch(
        self, query: ListQuery, *, interval: float, since: Snapshot | None, confirmations: int
    ) -> ClusterWatcher:
        """Return a watcher."""
        scope = self._new_scope()
        poller = self.poller(
            query,
            scope,
            interval=interval,
            since=since,
            confirmations=confirmations,
            concurrency=WATCH_CONCURRENCY,
        )
        return ClusterWatcher(poller, scope)

    def poller(
        self,
        query: ListQuery,
        scope: CancelScope,
        *,
        interval: float,
        since: Snapshot | None,
        confirmations: int,
        concurrency: int,
        offset: float = 0.0,
    ) -> Poller:
        """Return what a watch is made of. For the arguments see `Poller`."""
        return Poller(
            partial(self._take_reading, query, concurrency),
            sleep,
            scope,
            name=self._name,
            interval=interval,
            since=since,
            confirmations=confirmations,
            is_refusal=self._source.is_refusal,
            fixed_key=self._source.fixed_key,
            check_open=self._life.check_open,
            offset=offset,
        )

    async def _take_reading(
        self,
        query: ListQuery,
        concurrency: int,
        scope: CancelScope,
        listed_before: Collection[str],
        seen: set[str],
    ) -> Snapshot:
        """Read the whole listing for a watch. See `TakeReading`."""
        listener = SnapshotListener()
        own = CancelScope(scope)
        run = self.run(
            query,
            own,
            concurrency=concurrency,
            verify=True,
            max_passes=5,
            listed_before=listed_before,
            listener=listener,
        )
        try:
            await _read_to_end(run, own, concurrency)
        except IncompleteListingError as error:
            error.advice = _NO_COUNT if error.expected is None else _UNPROVEN
            raise
        finally:
            seen.update(listener.ids)
        return listener.snapshot(run.planner)

    def _new_scope(self) -> CancelScope:
        return CancelScope(self._life.scope)


async def _read_to_end(run: PlanRunner, scope: CancelScope, concurrency: int) -> None:
    async with ClusterIterator(run, scope, concurrency=concurrency) as clusters:
        async for _ in clusters:
            pass


def _older_than(moment: datetime) -> Callable[[Cluster], bool]:
    def is_old(cluster: Cluster) -> bool:
        created = cluster.create_time
        return created is not None and created <= moment

    return is_old


def _never(_: Cluster) -> bool:
    return False
