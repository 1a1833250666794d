"""The life of an iterator: one reader, closing at any moment, errors that stay."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import APIError, ResponseError, RetryPolicy, ServerError, ZillizClient
from aiozilliz.testing import FakeZillizCloud
from tests.promises.waiting import CLUSTERS, PAGE_SIZE, concurrent, every_place, step, waiting
from tests.support.listing_server import (
    Listing,
    ListingServer,
    array_of,
    names,
    nothing_left,
    page_of,
    quick_client,
    read,
    take,
)
from tests.support.wire_server import response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiozilliz import ClusterIterator, ClusterPage, PageIterator

FAILED = response({"code": 500, "message": "out of order"}, status=500)


def listing_server(**options: Any) -> ListingServer:
    return ListingServer(Listing(names(10)), **options)


async def ends_for_ever(clusters: ClusterIterator | PageIterator) -> None:
    for _ in range(3):
        with pytest.raises(StopAsyncIteration):
            await anext(clusters)


async def is_closed_for_ever(clusters: ClusterIterator | PageIterator) -> None:
    for _ in range(3):
        with pytest.raises(RuntimeError, match="closed"):
            await anext(clusters)


# One reader at a time


@concurrent
async def test_going_on_after_a_break_goes_on(concurrency: int) -> None:
    async with listing_server() as server, server.client() as client:
        clusters = client.iter_clusters(page_size=3, concurrency=concurrency)
        seen: list[str] = []
        while len(seen) < 10:
            async for cluster in clusters:
                seen.append(cluster.cluster_id)
                break
        assert seen == names(10)
        await ends_for_ever(clusters)
        with pytest.raises(RuntimeError, match="exhausted"):
            [cluster async for cluster in clusters]


@every_place
@concurrent
async def test_a_second_reader_is_refused_and_the_first_is_not_disturbed(
    place: str, concurrency: int
) -> None:
    async with waiting(place) as waits:
        clusters = waits.client.iter_clusters(page_size=PAGE_SIZE, concurrency=concurrency)
        reading = asyncio.create_task(read(clusters))
        await waits.reached()
        for _ in range(3):
            with pytest.raises(RuntimeError, match="one task"):
                await anext(clusters)
        assert not reading.done()
        if waits.go_on is None:
            reading.cancel()
            await asyncio.wait([reading])
        else:
            waits.go_on()
            assert await reading == (CLUSTERS, None)


async def test_a_second_reader_of_pages_is_refused() -> None:
    async with waiting("answer") as waits:
        pages = waits.client.iter_pages(page_size=PAGE_SIZE)
        first = asyncio.ensure_future(anext(pages))
        await waits.reached()
        with pytest.raises(RuntimeError, match="one task"):
            await anext(pages)
        waits.server.release_all()
        assert (await first).current_page == 1


@concurrent
async def test_readers_that_take_turns_share_the_records(concurrency: int) -> None:
    async with listing_server() as server, server.client() as client:
        clusters = client.iter_clusters(page_size=3, concurrency=concurrency)
        turn = asyncio.Lock()
        seen: list[str] = []

        async def reader() -> None:
            while True:
                async with turn:
                    cluster = await anext(clusters, None)
                    if cluster is None:
                        return
                    seen.append(cluster.cluster_id)
                await asyncio.sleep(0)

        await asyncio.gather(*(reader() for _ in range(3)))
        assert seen == names(10)


# Closing


@every_place
@concurrent
async def test_closing_while_another_task_waits_ends_it_with_an_error(place: str, concurrency: int) -> None:
    async with waiting(place) as waits:
        clusters = waits.client.iter_clusters(page_size=PAGE_SIZE, concurrency=concurrency)
        reading = asyncio.create_task(read(clusters))
        await waits.reached()
        await clusters.aclose()
        assert reading.done()
        with pytest.raises(RuntimeError, match="closed before"):
            await reading
        await is_closed_for_ever(clusters)
        await waits.server.idle() if place != "TLS handshake" else None
        if waits.go_on is not None:  # the client is as good as before
            waits.go_on()
            assert await read(waits.client.iter_clusters(page_size=PAGE_SIZE)) == (CLUSTERS, None)


@every_place
async def test_closing_a_page_iterator_while_another_task_waits_ends_it_with_an_error(place: str) -> None:
    async with waiting(place) as waits:
        pages = waits.client.iter_pages(page_size=PAGE_SIZE)
        reading = asyncio.ensure_future(anext(pages))
        await waits.reached()
        await pages.aclose()
        assert reading.done()
        with pytest.raises(RuntimeError, match="closed before"):
            await reading
        await is_closed_for_ever(pages)


@every_place
@concurrent
async def test_closing_the_client_ends_whoever_waits_with_an_error(place: str, concurrency: int) -> None:
    async with waiting(place) as waits:
        clusters = waits.client.iter_clusters(page_size=PAGE_SIZE, concurrency=concurrency)
        reading = asyncio.create_task(read(clusters))
        asking = asyncio.create_task(waits.client.list_clusters())
        await waits.reached()
        await waits.client.aclose()
        for task in (reading, asking):
            with pytest.raises(RuntimeError, match="the client is closed"):
                await task
        await clusters.aclose()
        with pytest.raises(RuntimeError, match="the client is closed"):
            await anext(clusters)


@concurrent
async def test_it_can_be_closed_any_number_of_times_at_once(concurrency: int) -> None:
    async with waiting("answer") as waits:
        clusters = waits.client.iter_clusters(page_size=PAGE_SIZE, concurrency=concurrency)
        reading = asyncio.create_task(read(clusters))
        await waits.reached()
        await asyncio.gather(*(clusters.aclose() for _ in range(5)), waits.client.aclose())
        await clusters.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await reading
        await is_closed_for_ever(clusters)


@concurrent
async def test_closing_between_two_records_drops_those_in_hand(concurrency: int) -> None:
    async with listing_server() as server, server.client() as client:
        clusters = client.iter_clusters(page_size=3, concurrency=concurrency)
        await take(clusters, 1)
        await clusters.aclose()
        await clusters.aclose()
        await is_closed_for_ever(clusters)
        await server.idle()


@concurrent
async def test_closing_before_the_first_record_asks_for_nothing(concurrency: int) -> None:
    async with listing_server() as server, server.client() as client:
        clusters = client.iter_clusters(concurrency=concurrency)
        await clusters.aclose()
        await is_closed_for_ever(clusters)
        assert server.requests == []


@concurrent
async def test_closing_after_the_end_changes_nothing(concurrency: int) -> None:
    async with listing_server() as server, server.client() as client:
        clusters = client.iter_clusters(page_size=3, concurrency=concurrency)
        await read(clusters)
        await clusters.aclose()
        await ends_for_ever(clusters)


@concurrent
async def test_closing_after_an_error_changes_nothing(concurrency: int) -> None:
    async with ListingServer(lambda page, size: FAILED) as server, server.client() as client:
        clusters = client.iter_clusters(concurrency=concurrency)
        for _ in range(2):
            with pytest.raises(ServerError):
                await anext(clusters)
            await clusters.aclose()


@concurrent
async def test_closing_inside_its_own_loop_ends_the_loop_with_an_error(concurrency: int) -> None:
    async with listing_server() as server, server.client() as client:
        clusters = client.iter_clusters(page_size=3, concurrency=concurrency)
        seen: list[str] = []

        async def close_in_the_loop() -> None:
            async for cluster in clusters:
                seen.append(cluster.cluster_id)
                await clusters.aclose()

        with pytest.raises(RuntimeError, match="closed"):
            await close_in_the_loop()
        assert seen == names(1)


@concurrent
async def test_closing_from_the_key_callable_ends_it_with_an_error(concurrency: int) -> None:
    held: list[ClusterIterator] = []

    async def key() -> str:
        await held[0].aclose()
        return "k"

    async with listing_server() as server:
        async with quick_client(server.url, key) as client, asyncio.timeout(10):
            held.append(client.iter_clusters(concurrency=concurrency))
            with pytest.raises(RuntimeError, match="closed"):
                await anext(held[0])
        await nothing_left(server)


@concurrent
async def test_a_cancelled_aclose_leaves_it_closed(concurrency: int) -> None:
    async with waiting("answer") as waits:
        clusters = waits.client.iter_clusters(page_size=PAGE_SIZE, concurrency=concurrency)
        reading = asyncio.create_task(read(clusters))
        await waits.reached()
        closing = asyncio.create_task(clusters.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing, reading])
        with pytest.raises(RuntimeError, match="closed"):
            await reading
        await is_closed_for_ever(clusters)
        await clusters.aclose()


@pytest.mark.parametrize("manager", ["itself", "aclosing"])
@concurrent
async def test_leaving_its_block_closes_it(manager: str, concurrency: int) -> None:
    async with listing_server() as server, server.client() as client:
        clusters = client.iter_clusters(page_size=3, concurrency=concurrency)
        async with clusters if manager == "itself" else aclosing(clusters) as entered:
            assert entered is clusters
            await take(clusters, 2)
        await is_closed_for_ever(clusters)


# In company


async def test_one_client_carries_many_iterations_at_once() -> None:
    async with ListingServer(Listing(names(30))) as server:
        async with server.client() as client, asyncio.TaskGroup() as group:
            readers = [
                group.create_task(read(client.iter_clusters(page_size=7, concurrency=n, verify=verify)))
                for n in (1, 2, 3, 8)
                for verify in (False, True)
                for _ in range(4)
            ]
        assert all(reader.result() == (names(30), None) for reader in readers)
        await nothing_left(server)


async def test_one_iteration_s_failure_does_not_touch_another() -> None:
    failures = iter([False, True])

    def pages(page: int, size: int) -> bytes:
        return FAILED if next(failures, False) else Listing(names(10))(page, size)

    async with ListingServer(pages) as server, server.client(retry=RetryPolicy(attempts=1)) as client:
        failing, other = client.iter_clusters(page_size=3), client.iter_clusters(page_size=3, concurrency=3)
        await take(failing, 3)
        with pytest.raises(ServerError):
            await anext(failing)
        assert await read(other) == (names(10), None)


@concurrent
async def test_a_timeout_in_the_consumer_s_own_code_is_the_consumer_s(concurrency: int) -> None:
    async with listing_server() as server, server.client() as client:
        clusters = client.iter_clusters(page_size=3, concurrency=concurrency)
        seen: list[str] = []

        async def dwell() -> None:
            async with asyncio.timeout(None) as scope:
                async for cluster in clusters:
                    seen.append(cluster.cluster_id)
                    scope.reschedule(0.0)
                    await asyncio.Event().wait()

        with pytest.raises(TimeoutError):
            await dwell()
        assert seen + (await read(clusters))[0] == names(10)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
@pytest.mark.parametrize("verify", [False, True])
@concurrent
async def test_eager_tasks_change_nothing(concurrency: int, *, verify: bool) -> None:
    loop = asyncio.get_running_loop()
    async with listing_server() as server:
        loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009  # mypy knows the oldest Python only
        async with server.client() as client:
            clusters = client.iter_clusters(page_size=3, concurrency=concurrency, verify=verify)
            assert await read(clusters) == (names(10), None)
            async with client.iter_clusters(page_size=3, concurrency=concurrency) as clusters:
                await take(clusters, 4)
        loop.set_task_factory(None)
        await nothing_left(server)


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_requests_run_in_the_context_of_the_call_that_made_them(concurrency: int) -> None:
    variable: ContextVar[str] = ContextVar("variable")
    seen: list[str] = []

    def key() -> str:
        seen.append(variable.get())
        variable.set("by the callable")
        return "k"

    async with listing_server() as server, quick_client(server.url, key) as client:
        variable.set("first")
        clusters = client.iter_clusters(page_size=3, concurrency=concurrency)
        variable.set("second")
        await take(clusters, 1)
        assert seen[0] == "second"
        if concurrency > 1:
            assert variable.get() == "second"


async def test_an_iterator_of_a_client_that_is_not_entered_says_so() -> None:
    async with listing_server() as server:
        client = server.client()
        for iterator in (client.iter_clusters(), client.iter_clusters(concurrency=3), client.iter_pages()):
            with pytest.raises(RuntimeError, match="async with"):
                await anext(iterator)
        assert server.requests == []


def test_a_client_belongs_to_one_loop() -> None:
    client = ZillizClient("k", base_url="http://127.0.0.1:9")
    asyncio.run(_enter(client))

    async def use() -> None:
        with pytest.raises(RuntimeError, match="loop"):
            await anext(client.iter_clusters())

    asyncio.run(use())


async def _enter(client: ZillizClient) -> None:
    async with client:
        pass


async def test_its_repr_tells_where_it_is() -> None:
    async with listing_server() as server, server.client() as client:
        clusters, pages = client.iter_clusters(page_size=3), client.iter_pages(page_size=3)
        assert repr(clusters) == "<ClusterIterator: 0 pages received, count None>"
        await take(clusters, 4)
        await anext(pages)
        assert repr(clusters) == "<ClusterIterator: 2 pages received, count 10>"
        assert repr(pages) == "<PageIterator: next page 2>"


# Pages


async def ids_of(pages: PageIterator) -> list[list[str]]:
    return [[cluster.cluster_id for cluster in page.clusters] async for page in pages]


def flat(pages: list[list[str]]) -> list[str]:
    return [cluster_id for page in pages for cluster_id in page]


async def test_pages_end_where_they_reach_the_count() -> None:
    for number, pages in ((0, 1), (1, 1), (4, 2), (6, 2), (7, 3)):
        async with ListingServer(Listing(names(number))) as server, server.client() as client:
            iterator = client.iter_pages(page_size=3)
            assert flat(await ids_of(iterator)) == names(number)
            assert len(server.requests) == pages
            await ends_for_ever(iterator)
            assert len(server.requests) == pages


async def test_pages_come_as_they_are_however_the_server_cuts_them() -> None:
    async with ListingServer(Listing(names(7), cap=2, echo="asked")) as server, server.client() as client:
        pages: list[ClusterPage] = [page async for page in client.iter_pages(page_size=100)]
    assert [len(page.clusters) for page in pages] == [2, 2, 2, 1]
    assert [(page.count, page.current_page, page.page_size) for page in pages] == [
        (7, number, 100) for number in range(1, 5)
    ]


async def test_pages_end_at_an_empty_one() -> None:
    for listing in (
        Listing(names(6), count="over"),
        Listing(names(6), count="absent"),
        Listing(names(6), array=True),
    ):
        async with ListingServer(listing) as server, server.client() as client:
            assert await ids_of(client.iter_pages(page_size=3)) == [names(3), names(3, 3)]
            assert server.pages == [1, 2, 3]


async def test_pages_end_at_one_that_repeats_the_one_before() -> None:
    cuts = {1: names(3), 2: names(3, 3)}
    async with (
        ListingServer(lambda page, _: array_of(cuts[min(page, 2)])) as server,
        server.client() as client,
    ):
        assert await ids_of(client.iter_pages(page_size=3)) == [names(3), names(3, 3)]
        assert server.pages == [1, 2, 3]


@pytest.mark.parametrize("start", [1, 2, 3, 4, 9])
async def test_pages_begin_where_they_are_told(start: int) -> None:
    async with ListingServer(Listing(names(8))) as server, server.client() as client:
        ids = flat(await ids_of(client.iter_pages(page_size=3, start_page=start)))
    assert ids == names(8)[3 * (start - 1) :]
    # From page 3 on, which is not full, it can't be known that the count is reached.
    assert server.pages == {1: [1, 2, 3], 2: [2, 3], 3: [3, 4]}.get(start, [start])


async def test_a_page_under_another_number_is_an_error_of_pages() -> None:
    def pages(page: int, size: int) -> bytes:
        return page_of(names(7)[(page - 1) * size : page * size], count=7, currentPage=1)

    async with ListingServer(pages) as server, server.client() as client:
        iterator = client.iter_pages(page_size=3)
        assert (await anext(iterator)).current_page == 1
        for _ in range(2):
            with pytest.raises(ResponseError, match=r"for page 1, not for page 2.*ignores the query"):
                await anext(iterator)
        assert server.pages == [1, 2, 2]


async def test_an_error_of_pages_comes_again_and_again() -> None:
    refused = response({"code": 96008, "message": "pageSize"})
    async with (
        ListingServer(lambda page, size: Listing(names(10))(page, size) if page < 3 else refused) as server,
        server.client() as client,
    ):
        pages = client.iter_pages(page_size=3)
        assert [(await anext(pages)).current_page for _ in range(2)] == [1, 2]
        for _ in range(3):
            with pytest.raises(APIError) as raised:
                await anext(pages)
            assert raised.value.page == 3
        assert server.pages == [1, 2, 3]


async def test_records_in_hand_are_read_to_their_end_after_the_client_was_closed() -> None:
    async with listing_server() as server:
        async with server.client() as client:
            clusters = client.iter_clusters(page_size=3)
            assert await step(clusters) == names(1)[0]
        assert await take(clusters, 2) == names(2, 1)
        with pytest.raises(RuntimeError, match="the client is closed"):
            await anext(clusters)


async def test_a_second_loop_over_an_exhausted_iterator_is_an_error_and_no_empty_list() -> None:
    async with FakeZillizCloud(clusters=3) as cloud, ZillizClient("k", base_url=cloud.url) as client:
        for made in (client.iter_clusters(), client.iter_pages(page_size=2)):
            first: AsyncIterator[object] = made
            assert [item async for item in first]
            with pytest.raises(RuntimeError, match="exhausted"):
                [item async for item in first]
            with pytest.raises(StopAsyncIteration):
                await anext(first)
