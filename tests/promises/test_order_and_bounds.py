"""The service's order, at most n requests in flight, about n pages in memory, and nothing that nobody asked for (promise 1)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiozilliz import ServerError
from tests.support.listing_server import (
    OUT_OF_RANGE,
    Listing,
    ListingServer,
    names,
    nothing_left,
    page_of,
    read,
    read_into,
    take,
)
from tests.support.wire_server import response

FAILED = response({"code": 500, "message": "out of order"}, status=500)


async def test_one_at_a_time_asks_only_for_what_is_wanted() -> None:
    async with ListingServer(Listing(names(8))) as server, server.client() as client:
        clusters = client.iter_clusters(page_size=3)
        assert (clusters.count, clusters.requests) == (None, 0)
        for number in range(8):
            assert server.pages == list(range(1, -(-number // 3) + 1))
            assert (await anext(clusters)).cluster_id == names(8)[number]
            assert clusters.requests == len(server.requests)
            assert clusters.count == 8
        assert server.pages == [1, 2, 3]
        for _ in range(3):
            with pytest.raises(StopAsyncIteration):
                await anext(clusters)
        assert server.pages == [1, 2, 3]
        assert server.peak == 1


async def test_one_at_a_time_makes_no_task() -> None:
    made: list[asyncio.Task[object]] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(asyncio.Task(coro, loop=loop, **options))
        return made[-1]

    async with ListingServer(Listing(names(8))) as server, server.client() as client:
        await client.list_clusters()  # the connection has its tasks
        asyncio.get_running_loop().set_task_factory(factory)
        assert await read(client.iter_clusters(page_size=3)) == (names(8), None)
        asyncio.get_running_loop().set_task_factory(None)
    assert made == []


@pytest.mark.parametrize("concurrency", [1, 3, 8])
async def test_making_an_iterator_asks_for_nothing(concurrency: int) -> None:
    async with ListingServer(Listing(names(8))) as server, server.client() as client:
        for _ in range(3):
            client.iter_clusters(concurrency=concurrency)
        await client.list_clusters()
        assert len(server.requests) == 1


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("concurrency", [2, 3, 8])
async def test_no_more_than_n_requests_are_in_flight_and_n_are_used(
    concurrency: int, *, verify: bool
) -> None:
    async with ListingServer(Listing(names(60)), held=True) as server, server.client() as client:
        server.release(1)
        reading = asyncio.create_task(
            read(client.iter_clusters(page_size=3, concurrency=concurrency, verify=verify))
        )
        await server.received(concurrency)  # with the records of page 1 in hand, one place less
        for page in range(2, 21):
            await server.received(min(page, 20))
            assert server.in_flight <= concurrency
            server.release(page)
        server.release_all()
        assert await reading == (names(60), None)
        assert server.peak in {concurrency, concurrency - 1}


@pytest.mark.parametrize("concurrency", [2, 3, 8])
async def test_a_consumer_that_stands_still_has_about_n_pages_waiting(concurrency: int) -> None:
    async with ListingServer(Listing(names(300))) as server, server.client() as client:
        clusters = client.iter_clusters(page_size=3, concurrency=concurrency)
        for page in range(1, 40):
            await take(clusters, 3)
            await server.settled()
            assert len(server.requests) <= page + concurrency
        await clusters.aclose()


@pytest.mark.parametrize("concurrency", [2, 3, 8])
async def test_the_order_stays_where_answers_come_in_reverse(concurrency: int) -> None:
    async with ListingServer(Listing(names(25)), held=True) as server, server.client() as client:
        server.release(1)
        clusters = client.iter_clusters(page_size=1, concurrency=concurrency)
        reading = asyncio.create_task(read(clusters))
        sent = 1
        while sent < 25:
            await server.received(sent + 1)
            while (
                server.in_flight < min(concurrency, 25 - sent)
                and len(server.requests) < sent + concurrency - 1
            ):
                await server.received(len(server.requests) + 1)
            latest = len(server.requests)
            for page in range(latest, sent, -1):
                server.release(page)
                await asyncio.sleep(0)
            sent = latest
        assert await reading == (names(25), None)
        assert clusters.requests == 25


async def failing(page: int, concurrency: int) -> None:
    def pages(number: int, size: int) -> bytes:
        return FAILED if number == page else page_of(names(size, (number - 1) * size), count=30)

    async with ListingServer(pages) as server:
        async with server.client() as client:
            clusters = client.iter_clusters(page_size=3, concurrency=concurrency)
            seen: list[str] = []
            with pytest.raises(ServerError) as first:
                await read_into(seen, clusters)
            assert seen == names(3 * (page - 1))
            asked = len(server.requests)
            for _ in range(3):
                with pytest.raises(ServerError) as again:
                    await anext(clusters)
                assert again.value is first.value
            assert first.value.page == page
            assert len(server.requests) == asked
        await nothing_left(server)


@pytest.mark.parametrize("concurrency", [1, 2, 3, 8])
@pytest.mark.parametrize("page", [1, 2, 3, 5])
async def test_a_failing_page_is_told_after_the_records_before_it_and_again_and_again(
    page: int, concurrency: int
) -> None:
    await failing(page, concurrency)


async def test_a_page_that_failed_while_the_consumer_stood_still_does_not_swallow_the_pages_before_it() -> (
    None
):
    def pages(number: int, size: int) -> bytes:
        return FAILED if number == 3 else page_of(names(size, (number - 1) * size), count=30)

    async with ListingServer(pages) as server, server.client() as client:
        clusters = client.iter_clusters(page_size=3, concurrency=4)
        await take(clusters, 1)
        await server.settled()
        assert server.pages.count(3) == 2
        assert await take(clusters, 5) == names(5, 1)
        with pytest.raises(ServerError):
            await anext(clusters)


async def test_a_page_that_fails_before_the_ones_ahead_of_it_have_come_waits_for_them() -> None:
    def pages(number: int, size: int) -> bytes:
        return FAILED if number == 4 else page_of(names(size, (number - 1) * size), count=30)

    async with ListingServer(pages, held=True) as server:
        async with server.client() as client:
            server.release(1, 4)
            clusters = client.iter_clusters(page_size=3, concurrency=5)
            assert await take(clusters, 3) == names(3)
            going_on = asyncio.create_task(take(clusters, 6))
            while server.pages.count(4) < 2:  # it was tried again, and failed for good
                await server.received(len(server.requests) + 1)
            server.release(2, 3)
            assert await going_on == names(6, 3)
            with pytest.raises(ServerError):
                await anext(clusters)
            await server.idle()  # page 5 was ended, though nobody released it
        await nothing_left(server)


async def test_a_page_that_is_refused_once_comes_although_one_behind_it_has_failed() -> None:
    asked: list[int] = []

    def pages(number: int, size: int) -> bytes:
        asked.append(number)
        if number == 2 and asked.count(2) == 1:
            return OUT_OF_RANGE
        return FAILED if number == 3 else page_of(names(size, (number - 1) * size), count=30)

    async with ListingServer(pages, held=True) as server, server.client() as client:
        server.release(1, 3, 4, 5)
        clusters = client.iter_clusters(page_size=3, concurrency=4)
        reading = asyncio.create_task(take(clusters, 6))
        while server.pages.count(3) < 2:  # it was tried again, and failed for good
            await server.received(len(server.requests) + 1)
        await asyncio.sleep(0.01)
        server.release(2)
        assert await reading == names(6)
        with pytest.raises(ServerError):
            await anext(clusters)
