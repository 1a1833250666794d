"""An answer that is not of now is used, but proves nothing as far as it can be seen (promise 3)."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from attrs import define, field

from tests.support.exhaustive import EXHAUSTIVE
from tests.support.listing_server import Listing, ListingServer, names, quick_client, read
from tests.support.wire_server import WireServer, response

if TYPE_CHECKING:
    from aiozilliz import Snapshot
    from tests.support.wire_server import Exchange

concurrent = pytest.mark.parametrize("concurrency", [1, 3])

BEFORE, NOW = ["a", "b", "c", "d"], ["b", "c", "d", "e"]
"""A list before and after a change. With page 1 of the one and page 2 of the other c is lost, though always there."""


@define
class Cache:
    """A cache keyed by URL, in front of a listing.

    Attributes:
        listing: What it asks.
        age: What its answers say; None if they don't.
        honours: Whether `no-cache` makes it ask again.
    """

    listing: Listing
    age: str | None = "3"
    honours: bool = False
    kept: dict[str, bytes] = field(factory=dict[str, bytes])

    async def __call__(self, exchange: Exchange) -> None:
        request = exchange.request
        fresh = "no-cache" in request.get("Cache-Control") and self.honours
        if fresh or request.target not in self.kept:
            answer = self.kept[request.target] = self.listing(request.page, 2)
        else:
            answer = self.kept[request.target]
            if self.age is not None:
                answer = answer.replace(b"\r\n", f"\r\nAge: {self.age}\r\n".encode(), 1)
        await exchange.send(answer)


async def cached_page_1(server: WireServer, listing: Listing) -> None:
    """Let the cache keep page 1 of the list before it changes."""
    async with quick_client(server.url) as client:
        await client.list_clusters(page_size=2)
    listing.ids[:] = NOW


@concurrent
@pytest.mark.parametrize("age", ["1", "3", "86400", "3, 1", "a while"])
async def test_what_a_cache_says_that_it_kept_proves_nothing_and_is_used(age: str, concurrency: int) -> None:
    listing = Listing(list(BEFORE))
    async with WireServer(Cache(listing, age=age)) as server:
        await cached_page_1(server, listing)
        async with quick_client(server.url) as client:
            ids, end = await read(client.iter_clusters(page_size=2, verify=True, concurrency=concurrency))
            assert {"a", "b", "d", "e"} <= set(ids)
            assert end is not None
            assert "responses came from a cache" in str(end)
            assert "caches in between" in end.advice
            snapshot = await client.snapshot(page_size=2, concurrency=concurrency)
            assert not snapshot.consistent
            assert {"d", "e"} <= {cluster.cluster_id for cluster in snapshot}


async def test_a_page_says_how_old_it_is() -> None:
    async with WireServer(Cache(Listing(list(BEFORE)))) as server, quick_client(server.url) as client:
        assert [(await client.list_clusters(page_size=2)).age for _ in range(2)] == [0, 3]


@concurrent
@pytest.mark.parametrize("age", ["3", None])
async def test_a_cache_that_honours_no_cache_gives_fresh_answers(age: str | None, concurrency: int) -> None:
    listing = Listing(list(BEFORE))
    async with WireServer(Cache(listing, age=age, honours=True)) as server:
        await cached_page_1(server, listing)
        async with quick_client(server.url) as client:
            clusters = client.iter_clusters(page_size=2, verify=True, concurrency=concurrency)
            assert await read(clusters) == (NOW, None)
            assert (await client.snapshot(page_size=2, concurrency=concurrency)).consistent


async def test_an_age_of_zero_is_a_fresh_answer() -> None:
    listing = Listing(names(5))
    async with (
        ListingServer(
            lambda page, size: listing(page, size).replace(b"\r\n", b"\r\nAge: 0\r\n", 1)
        ) as server,
        server.client() as client,
    ):
        assert await read(client.iter_clusters(page_size=2, verify=True)) == (names(5), None)


async def test_each_request_asks_for_a_fresh_answer() -> None:
    listing = Listing(names(5))
    pages = [response(status=503), *[response({"code": 96009}, status=400)] * 2]
    async with (
        ListingServer(
            lambda page, size: pages.pop() if pages and page > 1 else listing(page, size)
        ) as server,
        server.client() as client,
    ):
        await client.list_clusters(page_size=2)
        await read(client.iter_clusters(page_size=2, concurrency=3, verify=True))
        await client.snapshot(page_size=2)
        async with client.watch_clusters(interval=0.01) as events:
            await anext(events)
        assert {tuple(request.get("Cache-Control")) for request in server.requests} == {("no-cache",)}


# Replicas

OLD = datetime(2020, 1, 1, tzinfo=UTC)


class Replicas:
    """Two replicas of a list that changes, of which one lags behind. Each answer comes from either.

    Args:
        seed: Of all chance.
        lag: By how many changes it lags at most.
    """

    def __init__(self, seed: int, lag: int) -> None:
        self._random = random.Random(seed)
        self._lag = lag
        self.created = {f"old{n:02}": OLD for n in range(20)}
        self.history = [list(self.created)]
        self.answers: list[tuple[datetime, set[str]]] = []

    def __call__(self, page: int, size: int) -> bytes:
        at = datetime.now(UTC)
        if self._random.random() < 0.3:
            self._change()
        behind = self._random.choice([0, self._random.randint(0, self._lag)])
        listed = self.history[max(0, len(self.history) - 1 - behind)]
        ids = listed[(page - 1) * size : page * size]
        self.answers.append((at, set(ids)))
        records = [{"clusterId": i, "createTime": self.created[i].isoformat()} for i in ids]
        return response({"code": 0, "data": {"clusters": records, "count": len(listed), "currentPage": page}})

    def _change(self) -> None:
        listed = list(self.history[-1])
        if self._random.random() < 0.5 or len(listed) < 12:
            name = f"new{len(self.created):04}"
            self.created[name] = datetime.now(UTC)
            listed.insert(self._random.randint(0, len(listed)), name)
        else:
            listed.remove(self._random.choice(listed))
        self.history.append(listed)

    def settle(self) -> None:
        """Let all that is listed now be old."""
        aged = datetime.now(UTC) - timedelta(minutes=5, seconds=1)
        self.created = {name: min(at, aged) for name, at in self.created.items()}
        self.history = [self.history[-1]]
        self.answers.clear()


def seen_after(replicas: Replicas, snapshot: Snapshot) -> set[str]:
    """Give old clusters that were listed all the time and that an answer after the snapshot's moment shows."""
    always = set(replicas.history[0]).intersection(*replicas.history)
    later = [ids for at, ids in replicas.answers if at >= snapshot.taken_at][
        1:
    ]  # the first is the moment's own
    return always & set[str]().union(*later)


@pytest.mark.parametrize("lag", [1, 3])
async def test_a_lagging_replica_proves_nothing_against_an_answer_of_the_same_reading(lag: int) -> None:
    replicas = Replicas(lag, lag)
    readings = 300 if EXHAUSTIVE else 100
    proven = lost = 0
    async with ListingServer(replicas) as server, server.client() as client:
        for _ in range(readings):
            replicas.settle()
            snapshot = await client.snapshot(page_size=4, concurrency=1)
            if snapshot.consistent:
                proven += 1
                listed = {cluster.cluster_id for cluster in snapshot}
                lost += bool(seen_after(replicas, snapshot) - listed)
    assert proven > readings / 10
    assert lost == 0
