"""Services that list clusters, each with habits of its own, over the raw server; and how a test reads them.

Nothing here is shared with the package, or with its fake cloud.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import parse_qs, urlsplit

from attrs import define, field

from aiozilliz import Cluster, IncompleteListingError, RetryPolicy, ZillizClient
from tests.support.wire_server import WireServer, response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from tests.support.wire_server import Exchange

Pages: TypeAlias = Callable[[int, int], bytes]
"""Gives the bytes of the answer to a page number and a page size."""

Count: TypeAlias = Literal["total", "absent", "null", "first page", "odd pages", "over", "under", "own"]

QUICK = RetryPolicy(attempts=2, deadline=60.0, wait_initial=0.0, wait_max=0.0, wait_jitter=0.0)

OUT_OF_RANGE = response({"code": 96009, "message": "currentPage is out of range"})
NOT_FOUND = response({"code": 404, "message": "no such page"}, status=404)

PATIENCE = 10.0
"""Seconds after which a test gives up: less than any deadline of a client, so that none ends a wait in a test's place."""


def names(number: int, first: int = 0) -> list[str]:
    """Give ids of so many clusters."""
    return [f"in01-{n:05}" for n in range(first, first + number)]


def page_of(ids: Iterable[str], **data: Any) -> bytes:
    """Give a page as an answer: clusters of these ids, and what else `data` is to hold (None is null)."""
    return response({"code": 0, "data": {"clusters": [{"clusterId": i} for i in ids], **data}})


def array_of(ids: Iterable[str]) -> bytes:
    """Give a page in the shape without a count."""
    return response({"code": 0, "data": [{"clusterId": i} for i in ids]})


def quick_client(base_url: str, api_key: Any = "k", **options: Any) -> ZillizClient:
    """Give a client that retries at once and has no rate limit, unless `options` say otherwise."""
    options = {"limiter": None, "retry": QUICK, **options}
    return ZillizClient(api_key, base_url=base_url, **options)


@define
class Listing:
    """An ordered list of clusters, cut into pages at offsets.

    Attributes:
        ids: The list; it may be changed at any time.
        cap: Records on a page at most.
        echo: Whether the answer tells the size that was used, or the one asked for.
        count: What the answer's `count` is: the number of all clusters, or a habit that is none.
        array: Whether the answer is the bare array.
        ignores_page: Whether each page is the first one.
        past_the_end: The answer to a page without records, other than the first; None is an empty page.
        before: Called before each read with its number, from 1.
    """

    ids: list[str]
    cap: int | None = None
    echo: Literal["used", "asked"] = "used"
    count: Count = "total"
    array: bool = False
    ignores_page: bool = False
    past_the_end: bytes | None = None
    before: Callable[[int], None] = lambda _: None
    reads: int = field(default=0, init=False)

    def __call__(self, page: int, size: int) -> bytes:
        self.reads += 1
        self.before(self.reads)
        used = min(size, self.cap or size)
        start = 0 if self.ignores_page else (page - 1) * used
        ids = self.ids[start : start + used]
        if not ids and page > 1 and self.past_the_end is not None:
            return self.past_the_end
        if self.array:
            return array_of(ids)
        data: dict[str, Any] = {"currentPage": page, "pageSize": used if self.echo == "used" else size}
        if self.count == "null":
            data["count"] = None
        elif not (
            self.count == "absent"
            or (self.count == "first page" and page > 1)
            or (self.count == "odd pages" and page % 2 == 0)
        ):
            total = {"over": len(self.ids) + 1, "under": max(0, len(self.ids) - 1), "own": len(ids)}
            data["count"] = total.get(self.count, len(self.ids))
        return page_of(ids, **data)


class ListingServer(WireServer):
    """Serves pages, counts the requests in flight, and holds answers back where a test wants that.

    Args:
        pages: Gives the answers.
        held: Whether each page waits until it is released. Answers are cut when they are sent.
    """

    def __init__(self, pages: Pages, *, held: bool = False) -> None:
        super().__init__(self._answer)
        self.in_flight = 0
        self.peak = 0
        self._pages = pages
        self._held = held
        self._released: dict[int, asyncio.Event] = {}

    def client(self, **options: Any) -> ZillizClient:
        """Give a quick client of this server."""
        return quick_client(self.url, **options)

    def hold(self) -> None:
        """Hold answers back from now on, released ones aside."""
        self._held = True

    def release(self, *pages: int) -> None:
        """Let the answers of these pages go, now and later."""
        for page in pages:
            self._gate(page).set()

    def release_all(self) -> None:
        """Hold nothing back any more."""
        self._held = False
        for gate in self._released.values():
            gate.set()

    async def idle(self) -> None:
        """Wait until no request is in flight."""
        while self.in_flight:
            await self._change()

    async def connected(self) -> None:
        """Wait until a connection is open; a TLS handshake over it gets no answer."""
        while not self.open:  # noqa: ASYNC110 - the raw server tells of requests only
            await asyncio.sleep(0)

    async def settled(self) -> None:
        """Wait until every task that the client has made is done."""
        workers = {connection._worker for connection in self.open}
        tasks = asyncio.all_tasks() - workers - {asyncio.current_task()}
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=PATIENCE)
            assert not pending

    async def _change(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await super()._change()

    def _gate(self, page: int) -> asyncio.Event:
        return self._released.setdefault(page, asyncio.Event())

    async def _answer(self, exchange: Exchange) -> None:
        request = exchange.request
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            if self._held:
                await _either(self._gate(request.page).wait(), exchange.silence())
        finally:
            self.in_flight -= 1
            self.notify()
        size = int(parse_qs(urlsplit(request.target).query)["pageSize"][0])
        await exchange.send(self._pages(request.page, size))


async def _either(*waits: Any) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def read_into(ids: list[str], clusters: AsyncIterator[Cluster]) -> None:
    """Add the ids of what comes, also of what comes before an error."""
    async for cluster in clusters:
        ids.append(cluster.cluster_id)  # noqa: PERF401 - what came before an error counts


async def read(clusters: AsyncIterator[Cluster]) -> tuple[list[str], IncompleteListingError | None]:
    """Read to the end, and show that no id came twice. Give the ids, and how it ended."""
    ids: list[str] = []
    end = None
    try:
        await read_into(ids, clusters)
    except IncompleteListingError as error:
        end = error
    assert len(ids) == len(set(ids))
    return ids, end


async def take(clusters: AsyncIterator[Cluster], number: int) -> list[str]:
    """Read so many, and give their ids."""
    return [(await anext(clusters)).cluster_id for _ in range(number)]


async def nothing_left(server: ListingServer) -> None:
    """Show, once the client is closed, that it left no request, connection or task behind."""
    # A connection that was given up while it was made may still be on its way to the server.
    accepting = {task for task in asyncio.all_tasks() if "accept" in repr(task.get_coro())}
    if accepting:
        await asyncio.wait(accepting)
    await server.all_closed()
    assert server.in_flight == 0
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, left
