"""With `verify=True` an end without an error is a proof (promise 3)."""

from __future__ import annotations

import pytest

from tests.support.listing_server import Listing, ListingServer, names, read


@pytest.mark.parametrize("pages", range(1, 7))
async def test_a_quiet_list_of_k_pages_takes_2k_minus_1_requests(pages: int) -> None:
    number = 4 * pages - 1
    async with ListingServer(Listing(names(number))) as server, server.client() as client:
        clusters = client.iter_clusters(page_size=4, verify=True)
        assert await read(clusters) == (names(number), None)
        assert clusters.requests == 2 * pages - 1
    assert server.pages == [*range(1, pages + 1), *range(pages - 1, 0, -1)]


@pytest.mark.parametrize("number", range(4))
async def test_a_list_that_does_not_fill_its_page_is_proven_by_one_answer(number: int) -> None:
    async with ListingServer(Listing(names(number))) as server, server.client() as client:
        assert await read(client.iter_clusters(page_size=4, verify=True)) == (names(number), None)
        assert server.pages == [1]


async def test_a_list_that_fills_its_page_needs_the_empty_page_behind_it() -> None:
    async with ListingServer(Listing(names(4))) as server, server.client() as client:
        assert await read(client.iter_clusters(page_size=4, verify=True)) == (names(4), None)
        assert server.pages == [1, 2]


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("concurrency", [1, 3])
async def test_without_a_count_it_ends_at_once_with_an_error(concurrency: int, *, array: bool) -> None:
    listing = Listing(names(9), count="absent", array=array)
    async with ListingServer(listing) as server, server.client() as client:
        clusters = client.iter_clusters(page_size=4, concurrency=concurrency, verify=True)
        ids, end = await read(clusters)
    assert ids == names(4)
    assert end is not None
    assert (end.expected, end.received, end.passes) == (None, 4, 1)
    assert server.pages == [1]


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_one_pass_is_not_enough_for_several_pages(concurrency: int) -> None:
    async with ListingServer(Listing(names(9))) as server, server.client() as client:
        clusters = client.iter_clusters(page_size=4, concurrency=concurrency, verify=True, max_passes=1)
        ids, end = await read(clusters)
    assert ids == names(9)
    assert end is not None
    assert (end.expected, end.received, end.passes) == (9, 9, 1)


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("count", ["over", "own"])
async def test_a_count_that_does_not_fit_the_pages_proves_nothing(count: str, concurrency: int) -> None:
    listing = Listing(names(9), count=count)  # type: ignore[arg-type]
    async with ListingServer(listing) as server, server.client() as client:
        ids, end = await read(client.iter_clusters(page_size=4, concurrency=concurrency, verify=True))
    assert ids == names(9)
    assert end is not None


@pytest.mark.parametrize("concurrency", [1, 2, 3, 8])
async def test_a_list_that_comes_to_rest_is_proven(concurrency: int) -> None:
    listing = Listing(names(12))

    def change(read: int) -> None:
        if read <= 5:
            del listing.ids[0]
            listing.ids.append(f"new {read}")

    listing.before = change
    async with ListingServer(listing) as server, server.client() as client:
        ids, end = await read(
            client.iter_clusters(page_size=3, concurrency=concurrency, verify=True, max_passes=9)
        )
    assert end is None
    assert set(listing.ids) <= set(ids)


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_what_the_service_caps_is_proven_by_what_arrives(concurrency: int) -> None:
    listing = Listing(names(23), cap=5, echo="asked")
    async with ListingServer(listing) as server, server.client() as client:
        clusters = client.iter_clusters(page_size=100, concurrency=concurrency, verify=True)
        assert await read(clusters) == (names(23), None)
