"""`AccountReader`: all ways to read one account. The planner is created here and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiozilliz._aio.cancel_scope import CancelScope, sleep
from aiozilliz._errors import IncompleteListingError, printable
from aiozilliz._iteration.iterators import ClusterIterator, PageIterator
from aiozilliz._iteration.poller import Poller
from aiozilliz._iteration.runner import PlanRunner
from aiozilliz._iteration.watcher import ClusterWatcher
from aiozilliz._pagination.planner import PagePlanner
from aiozilliz._records.cluster import Cluster
from aiozilliz._records.snapshot import Snapshot
from aiozilliz._settings.checks import is_elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

    from aiozilliz._aio.cancel_scope import Lifetime
    from aiozilliz._aio.limiter import PageRoom
    from aiozilliz._errors import ZillizError
    from aiozilliz._iteration.runner import Listener
    from aiozilliz._pagination.decisions import RequestPage
    from aiozilliz._records.cluster import ClusterPage
    from aiozilliz._settings.checks import ListQuery

WATCH_CONCURRENCY: Final = 4
"""Maximum number of requests in flight for a poll of a watch, as for a snapshot."""

_ID_OF: Final = attrgetter("cluster_id")

_OLD: Final = timedelta(minutes=5)
"""How long before a reading a cluster must have been created to be known as older: clocks differ."""

_UNPROVEN: Final = "A reading of a watch counts only if its responses prove what the whole listing was."
_NO_COUNT: Final = "A watch needs the count in the service's responses, as it reports only what they prove; list the clusters instead."


class SnapshotListener:
    """Keeps the records of a reading, for a snapshot.

    If a cluster appears more than once, its last record and its last position in the list are kept.
    """

    def __init__(self) -> None:
        self._sent_at: dict[RequestPage, datetime] = {}
        self._seen: dict[str, tuple[int, int, Cluster]] = {}

    @property
    def ids(self) -> Collection[str]:
        """The ids in any response, whatever moment it shows."""
        return self._seen.keys()

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
        listed_before: Collection[str] = (),
        listener: Listener | None = None,
        on_done: Callable[[], None] | None = None,
    ) -> PlanRunner:
        """Return the runner of one reading. For the arguments see `PlanRunner` and `PagePlanner`."""
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
        )

    async def snapshot(self, query: ListQuery, *, concurrency: int, max_passes: int = 5) -> Snapshot:
        """Read the whole listing.

        Returns:
            The snapshot, proven consistent if the service's responses allow it.

        Raises:
            ZillizError: A page could not be fetched.
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
        try:
            await _read_to_end(run, scope, concurrency)
        except IncompleteListingError as error:
            if error.echoed_page is not None:  # a page that could not be fetched
                raise
            # There is no proof, so the snapshot's `consistent` is False.
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
        """Return what a watch is made of. For the arguments see `Poller`.

        Raises:
            ValueError: `since` holds a cluster of another region than the query's. It would seem to be removed.
        """
        for cluster in since or ():
            if is_elsewhere(cluster.region_id, query.region):
                raise ValueError(
                    f"since holds {printable(cluster.cluster_id, 100)} of {self._name} in region "
                    f"{printable(cluster.region_id, 100)}, and the watch is of region {printable(query.region or '', 100)}: "
                    "pass what a watch of the same region has stored"
                )
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
