"""A walk that keeps what it reads, for a snapshot: `SnapshotListener` keeps it, `SnapshotReader` does all of it."""

import asyncio
from datetime import UTC, datetime

from aiozilliz._errors import IncompleteListingError
from aiozilliz._iteration.iterators import ClusterIterator
from aiozilliz._iteration.runner import GetPage
from aiozilliz._pagination.decisions import RequestPage
from aiozilliz._pagination.planner import PagePlanner
from aiozilliz._records.cluster import Cluster, ClusterPage
from aiozilliz._records.snapshot import Snapshot


class SnapshotListener:
    """Keeps what a walk reads.

    Of a cluster that comes more than once the last record is kept, and its place in the list as it was last seen.
    """

    def __init__(self) -> None:
        self._sent_at: dict[RequestPage, datetime] = {}
        self._seen: dict[str, tuple[int, int, Cluster]] = {}

    def sent(self, request: RequestPage) -> None:
        """The request goes out now."""
        self._sent_at[request] = datetime.now(UTC)

    def on_page(self, request: RequestPage, page: ClusterPage) -> None:
        """Its answer has arrived."""
        number = request.page_number
        self._seen.update(
            (cluster.cluster_id, (number, place, cluster)) for place, cluster in enumerate(page.clusters)
        )

    def snapshot(self, walk: PagePlanner[Cluster]) -> Snapshot:
        """Give the listing of the proven moment, or else what was seen in the last pass."""
        proven = walk.proven
        if proven is not None:
            listed = [place for cluster_id, place in self._seen.items() if proven.holds(cluster_id)]
            taken_at = self._sent_at[proven.request]
        else:
            last_pass = walk.last_pass
            listed = [place for cluster_id, place in self._seen.items() if cluster_id in last_pass]
            number = walk.pass_number
            taken_at = min(at for request, at in self._sent_at.items() if request.pass_number == number)
        listed.sort(key=lambda place: place[:2])
        return Snapshot(
            tuple(cluster for _, _, cluster in listed),
            taken_at,
            walk.answers,
            consistent=proven is not None,
        )


class SnapshotReader:
    """Reads the whole listing, with the proof where the service's answers allow one."""

    def __init__(
        self,
        get_page: GetPage,
        walk: PagePlanner[Cluster],
        *,
        page_size: int,
        concurrency: int,
        url: str,
        tasks: set[asyncio.Task[ClusterPage]],
    ) -> None:
        self._walk = walk
        self._recorder = SnapshotListener()
        self._clusters = ClusterIterator(
            get_page,
            walk,
            page_size=page_size,
            concurrency=concurrency,
            url=url,
            tasks=tasks,
            recorder=self._recorder,
        )

    async def read(self) -> Snapshot:
        """Give the snapshot.

        Raises:
            ZillizError: A page can't be had.
            RuntimeError: The client was closed.
        """
        async with self._clusters:
            try:
                async for _ in self._clusters:
                    pass
            except IncompleteListingError:
                pass  # there is no proof; the snapshot says so
        return self._recorder.snapshot(self._walk)
