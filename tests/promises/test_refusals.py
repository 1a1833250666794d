"""A refused page is no end by itself, and never part of a proof (promises 2 and 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiozilliz import APIError, IncompleteListingError
from tests.support.listing_server import (
    NOT_FOUND,
    OUT_OF_RANGE,
    Listing,
    ListingServer,
    names,
    read,
    read_into,
)
from tests.support.wire_server import response

if TYPE_CHECKING:
    from tests.support.listing_server import Pages

HTML = response(b"<html><body>Not here</body></html>", status=404, headers=[("Content-Type", "text/html")])
BY_SERVICE = {"code 96009": OUT_OF_RANGE, "404 with a code": NOT_FOUND}
BY_OTHERS = {"404 as HTML": HTML, "an empty 400": response(status=400)}

concurrent = pytest.mark.parametrize("concurrency", [1, 4])
by_anybody = pytest.mark.parametrize("refusal", (BY_SERVICE | BY_OTHERS).values(), ids=BY_SERVICE | BY_OTHERS)
by_service = pytest.mark.parametrize("refusal", BY_SERVICE.values(), ids=BY_SERVICE)
by_others = pytest.mark.parametrize("refusal", BY_OTHERS.values(), ids=BY_OTHERS)


def refusing(pages: Pages, number: int, refusal: bytes, times: int) -> Pages:
    """Give the same pages, but refuse one so many times."""
    left = [refusal] * times
    return lambda page, size: left.pop() if page == number and left else pages(page, size)


@by_anybody
@concurrent
@pytest.mark.parametrize("count", ["total", "absent", "first page", "own"])
async def test_one_refusal_of_a_later_page_loses_nobody(count: str, concurrency: int, refusal: bytes) -> None:
    listing = Listing(names(250), count=count)  # type: ignore[arg-type]
    async with ListingServer(refusing(listing, 3, refusal, 1)) as server, server.client() as client:
        ids, end = await read(client.iter_clusters(page_size=50, concurrency=concurrency))
    assert ids == names(250)
    assert end is None or count == "own"


@by_others
@concurrent
@pytest.mark.parametrize("count", ["total", "absent"])
async def test_two_refusals_that_are_not_the_services_lose_nobody(
    count: str, concurrency: int, refusal: bytes
) -> None:
    listing = Listing(names(250), count=count)  # type: ignore[arg-type]
    async with ListingServer(refusing(listing, 3, refusal, 2)) as server, server.client() as client:
        assert await read(client.iter_clusters(page_size=50, concurrency=concurrency)) == (names(250), None)
        assert server.pages.count(3) == 3


@by_others
@concurrent
@pytest.mark.parametrize("count", ["total", "absent"])
@pytest.mark.parametrize("verify", [False, True])
async def test_three_refusals_that_are_not_the_services_are_raised(
    count: str, concurrency: int, refusal: bytes, *, verify: bool
) -> None:
    listing = Listing(names(250), count=count)  # type: ignore[arg-type]
    if verify and count == "absent":
        pytest.skip("it ends at page 1")
    async with ListingServer(refusing(listing, 3, refusal, 3)) as server, server.client() as client:
        ids: list[str] = []
        with pytest.raises(APIError) as raised:
            await read_into(ids, client.iter_clusters(page_size=50, concurrency=concurrency, verify=verify))
        assert ids == names(100)
        assert (raised.value.page, raised.value.status) == (3, 404 if b"404" in refusal[:12] else 400)
        assert server.pages.count(3) == 3


@by_service
@concurrent
@pytest.mark.parametrize("times", [2, 3])
async def test_a_page_that_the_service_refuses_though_more_should_follow_is_read_again(
    times: int, concurrency: int, refusal: bytes
) -> None:
    listing = Listing(names(250))
    async with ListingServer(refusing(listing, 3, refusal, times)) as server, server.client() as client:
        ids, end = await read(client.iter_clusters(page_size=50, concurrency=concurrency))
    assert (sorted(ids), end) == (names(250), None)


@by_service
@concurrent
async def test_a_page_that_the_service_refuses_twice_is_the_end_of_a_list_without_count(
    concurrency: int, refusal: bytes
) -> None:
    listing = Listing(names(250), count="absent", past_the_end=refusal)
    async with ListingServer(listing) as server, server.client() as client:
        assert await read(client.iter_clusters(page_size=50, concurrency=concurrency)) == (names(250), None)
        assert server.pages.count(6) == 2


@by_anybody
@concurrent
@pytest.mark.parametrize("times", [1, 2, 3, 1000])
@pytest.mark.parametrize("number", [2, 3])
async def test_no_refusal_proves_anything_of_a_count_that_is_the_pages_own(
    number: int, times: int, concurrency: int, refusal: bytes
) -> None:
    listing = Listing(names(250), count="own")
    async with ListingServer(refusing(listing, number, refusal, times)) as server, server.client() as client:
        ids: list[str] = []
        with pytest.raises((APIError, IncompleteListingError)):
            await read_into(ids, client.iter_clusters(page_size=100, concurrency=concurrency, verify=True))
        assert ids[:100] == names(100)
    async with ListingServer(refusing(listing, number, refusal, times)) as server, server.client() as client:
        try:
            snapshot = await client.snapshot(page_size=100, concurrency=concurrency)
        except APIError:
            assert times > 2
        else:
            assert not snapshot.consistent


@by_service
@concurrent
async def test_a_list_past_whose_end_pages_are_refused_is_proven_by_its_pages(
    concurrency: int, refusal: bytes
) -> None:
    listing = Listing(names(250), past_the_end=refusal)
    async with ListingServer(listing) as server, server.client() as client:
        clusters = client.iter_clusters(page_size=100, concurrency=concurrency, verify=True)
        assert await read(clusters) == (names(250), None)
        assert server.pages.count(4) == 0
