"""Cancellation is immediate, wherever a request waits, and loses nothing (promise 7)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiozilliz import RetryPolicy, TransportError
from tests.promises.waiting import CLUSTERS, LONG, PAGE_SIZE, concurrent, every_place, step, waiting
from tests.support.listing_server import Listing, ListingServer, names, nothing_left, quick_client, read
from tests.support.wire_server import WireServer


@every_place
@concurrent
async def test_a_cancelled_reader_stops_at_once_and_the_iterator_can_be_read_on(
    place: str, concurrency: int
) -> None:
    async with waiting(place) as waits:
        clusters = waits.client.iter_clusters(page_size=PAGE_SIZE, concurrency=concurrency)
        for _ in range(2):
            reading = asyncio.create_task(step(clusters))
            await waits.reached()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        if waits.go_on is not None:
            waits.go_on()
            assert await read(clusters) == (CLUSTERS, None)


@every_place
async def test_a_single_page_can_be_cancelled(place: str) -> None:
    async with waiting(place) as waits:
        asking = asyncio.create_task(waits.client.list_clusters())
        await waits.reached()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        if waits.go_on is not None:
            waits.go_on()
            assert (await waits.client.list_clusters()).count == len(CLUSTERS)


@every_place
async def test_a_page_iterator_can_be_read_on_after_a_cancellation(place: str) -> None:
    async with waiting(place) as waits:
        pages = waits.client.iter_pages(page_size=PAGE_SIZE)
        reading = asyncio.ensure_future(anext(pages))
        await waits.reached()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        if waits.go_on is not None:
            waits.go_on()
            assert [page.current_page async for page in pages] == [1, 2, 3]


@every_place
@concurrent
async def test_a_timeout_around_the_loop_is_a_timeout(place: str, concurrency: int) -> None:
    async with waiting(place) as waits:
        clusters = waits.client.iter_clusters(page_size=PAGE_SIZE, concurrency=concurrency)
        scope = asyncio.timeout(LONG)

        async def read_in_time() -> None:
            async with scope:
                await read(clusters)

        reading = asyncio.create_task(read_in_time())
        await waits.reached()
        scope.reschedule(0.0)
        with pytest.raises(TimeoutError):
            await reading


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_cancelled_after_any_number_of_turns_of_the_loop_it_loses_nobody_and_repeats_nobody(
    concurrency: int,
) -> None:
    async with ListingServer(Listing(names(9))) as server:
        async with server.client() as client:
            cancelled = 0
            for turns in range(20):
                clusters = client.iter_clusters(page_size=2, concurrency=concurrency)
                seen: list[str] = []
                while len(seen) < 9:
                    reading = asyncio.create_task(step(clusters))
                    for _ in range(turns):
                        if reading.done():
                            break
                        await asyncio.sleep(0)
                    reading.cancel()
                    try:
                        seen.append(await reading)
                    except asyncio.CancelledError:
                        cancelled += 1
                        seen.append(await step(clusters))
                assert seen == names(9)
                assert (await read(clusters)) == ([], None)
            assert cancelled > 9  # more than those that had not begun
        await nothing_left(server)


async def test_a_cancelled_task_group_ends_all_its_readers() -> None:
    async with ListingServer(Listing(names(9)), held=True) as server:
        async with server.client() as client:

            async def fail() -> None:
                await server.received(4)
                raise LookupError

            async def read_together() -> None:
                async with asyncio.TaskGroup() as group:
                    for concurrency in (1, 1, 3, 3):
                        group.create_task(read(client.iter_clusters(page_size=2, concurrency=concurrency)))
                    group.create_task(fail())

            with pytest.raises(ExceptionGroup) as raised:
                await read_together()
            assert [type(error) for error in raised.value.exceptions] == [LookupError]
        await nothing_left(server)


@every_place
async def test_in_a_task_that_was_cancelled_a_call_still_ends_as_it_does_elsewhere(place: str) -> None:
    async with waiting(place) as waits:

        async def clean_up() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                with pytest.raises(RuntimeError, match="the client is closed"):
                    await waits.client.list_clusters()

        cleaning = asyncio.create_task(clean_up())
        await asyncio.sleep(0)
        cleaning.cancel()
        await waits.reached()
        await waits.client.aclose()
        with pytest.raises(asyncio.CancelledError):
            await cleaning


@pytest.mark.parametrize(
    "options", [{"timeout": 0.02, "retry": RetryPolicy(attempts=1)}, {"retry": RetryPolicy(deadline=0.02)}]
)
async def test_in_a_task_that_was_cancelled_a_call_still_ends_in_time(options: Any) -> None:
    async with (
        WireServer(lambda exchange: exchange.silence()) as server,
        quick_client(server.url, **options) as client,
    ):

        async def clean_up() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                with pytest.raises(TransportError, match=r"0\.02 s"):
                    await client.list_clusters()

        cleaning = asyncio.create_task(clean_up())
        await asyncio.sleep(0)
        cleaning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cleaning
