"""A snapshot is the whole listing at one moment, in the fewest requests that can show it, and says where it is not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import APIError, AuthenticationError, ServerError, Snapshot, TransportError, ZillizError
from tests.promises.waiting import every_place, waiting
from tests.support.listing_server import Count, Listing, ListingServer, names, nothing_left, quick_client
from tests.support.wire_server import Exchange, WireServer, response

if TYPE_CHECKING:
    from collections.abc import Callable

concurrent = pytest.mark.parametrize("concurrency", [1, 2, 4, 8])


def ids(snapshot: Snapshot) -> list[str]:
    return [cluster.cluster_id for cluster in snapshot]


@concurrent
@pytest.mark.parametrize("pages", range(1, 8))
async def test_a_quiet_list_of_k_pages_takes_2k_minus_1_requests(pages: int, concurrency: int) -> None:
    number = 4 * pages - 1
    async with ListingServer(Listing(names(number))) as server, server.client() as client:
        before = datetime.now(UTC)
        snapshot = await client.snapshot(page_size=4, concurrency=concurrency)
        after = datetime.now(UTC)
    assert (ids(snapshot), snapshot.consistent) == (names(number), True)
    assert snapshot.requests == len(server.requests) == 2 * pages - 1
    assert snapshot.taken_at.utcoffset() == timedelta(0)
    assert before <= snapshot.taken_at <= after


@pytest.mark.parametrize("number", [0, 1, 99])
async def test_a_list_that_fits_its_page_takes_one_request(number: int) -> None:
    async with ListingServer(Listing(names(number))) as server, server.client() as client:
        snapshot = await client.snapshot()
    assert (ids(snapshot), snapshot.consistent, server.pages) == (names(number), True, [1])


async def test_as_many_requests_are_in_flight_as_concurrency_says() -> None:
    async with ListingServer(Listing(names(40)), held=True) as server, server.client() as client:
        reading = asyncio.create_task(client.snapshot(page_size=4, concurrency=4))
        server.release(1)
        await server.received(5)
        assert server.in_flight == 4
        server.release_all()
        assert (await reading).consistent
        assert server.peak == 4
        assert len(server.requests) == 19


CHANGES: dict[str, Callable[[list[str]], None]] = {
    "the first goes": lambda ids: ids.__delitem__(0),
    "the last goes": lambda ids: ids.__delitem__(-1),
    "one comes first": lambda ids: ids.insert(0, "new"),
    "one comes last": lambda ids: ids.append("new"),
    "one goes and one comes": lambda ids: ids.append(f"after {ids.pop(0)}"),
    "all go": lambda ids: ids.clear(),
    "the order turns": lambda ids: ids.reverse(),
}


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("change", CHANGES)
async def test_a_consistent_one_was_the_listing_whatever_changed_at_whatever_point(
    change: str, concurrency: int
) -> None:
    for at in range(1, 8):
        listing = Listing(names(10))
        states: list[set[str]] = [set(listing.ids)]

        def before(
            read: int, listing: Listing = listing, states: list[set[str]] = states, at: int = at
        ) -> None:
            if read == at:
                CHANGES[change](listing.ids)
                states.append(set(listing.ids))

        listing.before = before
        async with ListingServer(listing) as server, server.client() as client:
            snapshot = await client.snapshot(page_size=3, concurrency=concurrency)
        assert snapshot.consistent
        assert set(ids(snapshot)) in states


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_a_list_that_changes_in_every_pass_is_not_consistent_and_no_error(concurrency: int) -> None:
    listing = Listing(names(9))

    def before(read: int) -> None:
        listing.ids.insert(0, f"new {read}")
        del listing.ids[4]

    listing.before = before
    async with ListingServer(listing) as server, server.client() as client:
        snapshot = await client.snapshot(page_size=3, concurrency=concurrency, max_passes=3)
    assert not snapshot.consistent
    assert snapshot.requests == len(server.requests)
    assert names(1)[0] not in snapshot  # gone long before the last pass
    assert names(9)[-1] in snapshot


COUNTS: list[Count] = ["absent", "null", "over", "own"]


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("count", COUNTS)
async def test_a_count_that_proves_nothing_gives_all_that_was_seen(count: Count, concurrency: int) -> None:
    async with ListingServer(Listing(names(10), count=count)) as server, server.client() as client:
        snapshot = await client.snapshot(page_size=3, concurrency=concurrency)
    assert (ids(snapshot), snapshot.consistent) == (names(10), False)


async def test_an_array_without_a_count_gives_all_that_was_seen() -> None:
    async with ListingServer(Listing(names(10), array=True)) as server, server.client() as client:
        snapshot = await client.snapshot(page_size=3)
    assert (ids(snapshot), snapshot.consistent) == (names(10), False)


async def test_a_service_that_ignores_the_page_gives_the_first_page() -> None:
    async with ListingServer(Listing(names(10), ignores_page=True)) as server, server.client() as client:
        snapshot = await client.snapshot(page_size=3)
    assert (ids(snapshot), snapshot.consistent) == (names(3), False)


async def test_one_pass_proves_several_pages_no_more() -> None:
    async with ListingServer(Listing(names(10))) as server, server.client() as client:
        snapshot = await client.snapshot(page_size=3, max_passes=1)
    assert (ids(snapshot), snapshot.consistent, len(server.requests)) == (names(10), False, 4)


async def test_what_the_service_caps_is_proven_by_what_arrives() -> None:
    async with ListingServer(Listing(names(23), cap=5, echo="asked")) as server, server.client() as client:
        snapshot = await client.snapshot(page_size=100)
    assert (ids(snapshot), snapshot.consistent) == (names(23), True)


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize(
    ("status", "error"),
    [(500, ServerError), (401, AuthenticationError), (400, APIError), (0, TransportError)],
)
@pytest.mark.parametrize("at", [1, 2, 6])
async def test_a_page_that_can_not_be_had_is_an_error(
    at: int, status: int, error: type[ZillizError], concurrency: int
) -> None:
    listing = Listing(names(10))

    async def pages(exchange: Exchange) -> None:
        if exchange.number < at:
            await exchange.send(listing(exchange.request.page, 3))
        elif status:
            await exchange.send(response({"code": 77777, "message": "no"}, status=status))
        else:
            exchange.reset()

    async with WireServer(pages) as server:
        async with quick_client(server.url) as client:
            if status == 400 and at == 2:
                # Whatever is refused behind the first page may be past the end: what was seen proves nothing.
                try:
                    snapshot = await client.snapshot(page_size=3, concurrency=concurrency)
                except APIError:
                    return
                assert not snapshot.consistent
            else:
                with pytest.raises(error):
                    await client.snapshot(page_size=3, concurrency=concurrency)
        await server.all_closed()


@every_place
@pytest.mark.parametrize("concurrency", [1, 3])
async def test_it_can_be_cancelled_wherever_it_waits(place: str, concurrency: int) -> None:
    async with waiting(place) as waits:
        reading = asyncio.create_task(waits.client.snapshot(page_size=2, concurrency=concurrency))
        await waits.reached()
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()


@every_place
async def test_closing_the_client_ends_it_with_an_error(place: str) -> None:
    async with waiting(place) as waits:
        reading = asyncio.create_task(waits.client.snapshot(page_size=2))
        await waits.reached()
        await waits.client.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await reading
        with pytest.raises(RuntimeError, match="closed"):
            await waits.client.snapshot()


async def test_nothing_is_left_after_it() -> None:
    async with ListingServer(Listing(names(30))) as server:
        async with server.client() as client:
            await client.snapshot(page_size=3)
            assert server.in_flight == 0
            await server.settled()
        await nothing_left(server)


@pytest.mark.parametrize("name", ["page_size", "concurrency", "max_passes"])
@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (-1, ValueError), (True, TypeError), ("1", TypeError)]
)
async def test_arguments_are_checked_before_any_request(
    name: str, value: Any, error: type[Exception]
) -> None:
    async with ListingServer(Listing(names(3))) as server, server.client() as client:
        options: dict[str, Any] = {name: value}
        with pytest.raises(error, match=name):
            await client.snapshot(**options)
    assert server.pages == []
