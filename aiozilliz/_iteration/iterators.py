"""`ClusterIterator` and `PageIterator`: what the client's callers read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiozilliz._iteration.base import Pager
from aiozilliz._iteration.runner import GetPage, Listener, PlanRunner
from aiozilliz._public import public
from aiozilliz._records.cluster import Cluster, ClusterPage

if TYPE_CHECKING:
    import asyncio

    from aiozilliz._pagination.planner import PagePlanner


@public
class ClusterIterator(Pager[Cluster]):
    """An async iterator of `Cluster`, each `cluster_id` exactly once, in the service's order.

    `ZillizClient.iter_clusters` makes it. It is used once: `iter_clusters` again reads again. Going on after a `break`
    works. After an error it raises that error again, so a truncated list never looks finished. Cancelling a task that
    waits for a record does not end the iterator: it can be read on. Tasks that prefetch have the context of the call
    that started them.

    To end it at a `break`, together with its requests:

        async with client.iter_clusters() as clusters:
            async for cluster in clusters:
                ...
                break
    """

    def __init__(
        self,
        get_page: GetPage,
        walk: PagePlanner[Cluster],
        *,
        page_size: int,
        concurrency: int,
        url: str,
        tasks: set[asyncio.Task[ClusterPage]],
        recorder: Listener | None = None,
    ) -> None:
        super().__init__()
        self._walk = walk
        self._sequential = concurrency == 1
        self._run = PlanRunner(
            get_page,
            walk,
            page_size=page_size,
            url=url,
            scope=self._scope,
            tasks=tasks,
            recorder=recorder,
        )

    def __repr__(self) -> str:
        return f"<ClusterIterator: {self.requests} pages received, count {self.count}>"

    @property
    def count(self) -> int | None:
        """The service's total as of its latest answer; None before the first, and where the service gives none.

        It never sends a request.
        """
        return self._walk.count

    @property
    def requests(self) -> int:
        """Pages received so far."""
        return self._walk.answers

    async def _advance(self) -> Cluster:
        run = self._run
        while True:
            if run.in_flight:
                run.collect_finished()
            if self._end is not None:  # closed by another task
                raise self._end
            request = run.wanted()
            if request is not None:
                if self._sequential:
                    await run.fetch(request)
                else:
                    run.start(request)
                continue
            records = run.take()
            if records is not None:
                self._ready = iter(records)
                return next(self._ready)
            if not await run.wait():
                raise run.end()

    async def _stop(self) -> None:
        await self._run.stop()


@public
class PageIterator(Pager[ClusterPage]):
    """An async iterator of `ClusterPage`, as the service gives them: nothing is left out, joined or read again.

    `ZillizClient.iter_pages` makes it. It is used once, and after an error raises that error again.
    """

    def __init__(self, get_page: GetPage, *, page_size: int, start_page: int) -> None:
        super().__init__()
        self._get_page = get_page
        self._page_size = page_size
        self._next = self._first = start_page
        self._received = 0
        self._before: ClusterPage | None = None

    def __repr__(self) -> str:
        return f"<PageIterator: next page {self._next}>"

    async def _advance(self) -> ClusterPage:
        before = self._before
        if before is not None and before.count is not None and self._received >= before.count:
            raise StopAsyncIteration
        page = await self._get_page(self._next, self._page_size, self._scope)
        if before is not None and (not page.clusters or _ids(page) == _ids(before)):
            raise StopAsyncIteration
        if before is None:
            # What lies before the first page can't be known better; too low a figure costs one request at the end.
            self._received = (self._first - 1) * len(page.clusters)
            if not page.clusters:
                self._end = StopAsyncIteration()
        self._received += len(page.clusters)
        self._next += 1
        self._before = page
        return page


def _ids(page: ClusterPage) -> list[str]:
    return [cluster.cluster_id for cluster in page.clusters]
