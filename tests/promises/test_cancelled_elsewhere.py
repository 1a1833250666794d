"""A `CancelledError` that nobody meant for the caller's task is a failure like others; a real one passes (promise 7)."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import TransportError
from tests.support.listing_server import Listing, ListingServer, names, read, read_into

if TYPE_CHECKING:
    from types import TracebackType

    from aiozilliz import ZillizClient

concurrent = pytest.mark.parametrize("concurrency", [1, 3])


class Shared(AbstractAsyncContextManager[None]):
    """A task that several wait for, and that somebody cancels at some of its uses.

    Args:
        way: How it is used: "plain" and "async" as a key callable, "entering" and "leaving" as a limiter.
        cancelled: The uses, from 1, at which it is cancelled; None is all.
    """

    def __init__(self, way: str, cancelled: set[int] | None) -> None:
        self._way = way
        self._cancelled = cancelled
        self.uses = 0

    @property
    def options(self) -> dict[str, Any]:
        if self._way == "plain":
            return {"api_key": self.give}
        return {"api_key": self.refresh} if self._way == "async" else {"limiter": self}

    def give(self) -> str:
        self.uses += 1
        if self._cancelled is None or self.uses in self._cancelled:
            raise asyncio.CancelledError  # as `task.result()` of a cancelled task does
        return "k"

    async def refresh(self) -> str:
        self.uses += 1
        task = asyncio.create_task(asyncio.sleep(0, "k"))
        if self._cancelled is None or self.uses in self._cancelled:
            task.cancel()
        return await task

    async def __aenter__(self) -> None:
        if self._way == "entering":
            await self.refresh()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._way == "leaving":
            await self.refresh()


every_way = pytest.mark.parametrize("way", ["plain", "async", "entering", "leaving"])


@every_way
@concurrent
async def test_it_is_tried_again(way: str, concurrency: int) -> None:
    shared = Shared(way, {2})
    async with ListingServer(Listing(names(6))) as server, server.client(**shared.options) as client:
        ids: list[str] = []
        async with asyncio.TaskGroup() as group:
            group.create_task(read_into(ids, client.iter_clusters(page_size=2, concurrency=concurrency)))
        assert ids == names(6)
        assert shared.uses == 4


@every_way
@concurrent
async def test_it_never_ends_a_task_in_silence(way: str, concurrency: int) -> None:
    shared = Shared(way, {2, 3, 4, 5, 6, 7, 8, 9})
    place = "the api_key callable" if way in {"plain", "async"} else "the limiter"
    async with ListingServer(Listing(names(6))) as server, server.client(**shared.options) as client:
        ids: list[str] = []
        with pytest.raises(ExceptionGroup) as raised:
            async with asyncio.TaskGroup() as group:
                group.create_task(read_into(ids, client.iter_clusters(page_size=2, concurrency=concurrency)))
        (error,) = raised.value.exceptions
        assert type(error) is TransportError
        assert f"CancelledError came while waiting for {place}" in str(error)
        assert "asyncio.shield" in error.advice
        assert error.page == 2
        assert error.__cause__ is error.__context__ is None
        assert ids == names(2)


@every_way
async def test_a_watch_outlives_it(way: str) -> None:
    shared = Shared(way, {1, 2, 3})
    async with (
        ListingServer(Listing(names(1))) as server,
        server.client(**shared.options) as client,
        client.watch_clusters(interval=0.01) as events,
    ):
        assert (await anext(events)).cluster.cluster_id == names(1)[0]


@every_way
async def test_a_cancellation_of_the_task_that_comes_together_with_it_passes(way: str) -> None:
    shared = Shared(way, None)
    async with ListingServer(Listing(names(6))) as server, server.client(**shared.options) as client:
        for turns in range(12):
            task = asyncio.create_task(client.list_clusters())
            for _ in range(turns):
                await asyncio.sleep(0)
            if task.done():
                break
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()


async def call(client: ZillizClient, concurrency: int | None) -> None:
    if concurrency is None:
        await client.list_clusters()
    else:
        await read(client.iter_clusters(page_size=2, concurrency=concurrency))


@every_way
@pytest.mark.parametrize("concurrency", [None, 1, 3])
async def test_a_cancellation_that_was_requested_just_before_the_call_is_not_swallowed(
    way: str, concurrency: int | None
) -> None:
    shared = Shared(way, set())

    async def cancel_and_call() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await call(client, concurrency)

    async with ListingServer(Listing(names(6))) as server, server.client(**shared.options) as client:
        task = asyncio.create_task(cancel_and_call())
        await asyncio.wait([task])
        assert task.cancelled()
        assert len(server.requests) <= 1


@every_way
async def test_a_timeout_of_the_callers_own_stays_one(way: str) -> None:
    class Slow(Shared):
        async def refresh(self) -> str:
            await asyncio.Event().wait()
            return "k"

    async with ListingServer(Listing(names(6))) as server:
        shared = Slow("async" if way == "plain" else way, set())
        async with server.client(**shared.options) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.list_clusters()
