"""The server's own page size counts, not the one asked for, nor the one it echoes (promise 5)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.listing_server import Listing, ListingServer, array_of, names, page_of, read

concurrent = pytest.mark.parametrize("concurrency", [1, 2, 8])


@concurrent
@pytest.mark.parametrize("echo", ["used", "asked"])
@pytest.mark.parametrize("cap", [1, 7, 50])
async def test_a_capped_page_size_loses_nobody(cap: int, echo: str, concurrency: int) -> None:
    listing = Listing(names(125), cap=cap, echo=echo)  # type: ignore[arg-type]
    async with ListingServer(listing) as server, server.client() as client:
        assert await read(client.iter_clusters(page_size=100, concurrency=concurrency)) == (names(125), None)


@concurrent
async def test_a_server_may_give_more_than_asked(concurrency: int) -> None:
    async with (
        ListingServer(lambda page, _: page_of(names(12)[(page - 1) * 5 : page * 5], count=12)) as server,
        server.client() as client,
    ):
        assert await read(client.iter_clusters(page_size=2, concurrency=concurrency)) == (names(12), None)


@concurrent
@pytest.mark.parametrize("echo", [0, -1, "10", None, True, 2.5, [], {}])
@pytest.mark.parametrize("number", [3, 8, 9])
async def test_nonsense_as_an_echo_steers_nothing(number: int, echo: Any, concurrency: int) -> None:
    def pages(page: int, size: int) -> bytes:
        return page_of(
            names(number)[(page - 1) * size : page * size], count=number, pageSize=echo, currentPage=echo
        )

    async with ListingServer(pages) as server, server.client() as client:
        assert await read(client.iter_clusters(page_size=3, concurrency=concurrency)) == (names(number), None)


@concurrent
@pytest.mark.parametrize("number", [3, 8, 9])
async def test_a_page_size_of_any_number_steers_nothing(number: int, concurrency: int) -> None:
    def pages(page: int, size: int) -> bytes:
        return page_of(names(number)[(page - 1) * size : page * size], count=number, pageSize=10**9)

    async with ListingServer(pages) as server, server.client() as client:
        assert await read(client.iter_clusters(page_size=3, concurrency=concurrency)) == (names(number), None)


@concurrent
@pytest.mark.parametrize("count", [None, 8])
async def test_short_pages_in_the_middle_end_nothing(count: int | None, concurrency: int) -> None:
    cuts = {1: names(3), 2: names(1, 3), 3: names(1, 4), 4: names(3, 5)}
    async with (
        ListingServer(lambda page, _: page_of(cuts.get(page, []), count=count)) as server,
        server.client() as client,
    ):
        assert await read(client.iter_clusters(page_size=3, concurrency=concurrency)) == (names(8), None)


@concurrent
async def test_a_bare_array_ends_at_the_empty_page(concurrency: int) -> None:
    async with ListingServer(Listing(names(8), array=True)) as server, server.client() as client:
        clusters = client.iter_clusters(page_size=3, concurrency=concurrency)
        assert await read(clusters) == (names(8), None)
        assert clusters.count is None
        assert max(server.pages) == 4  # a short page is not the end


@concurrent
async def test_a_bare_array_ends_at_a_page_that_brings_only_known_records(concurrency: int) -> None:
    async with (
        ListingServer(lambda page, _: array_of(names(7)[3 * min(page, 3) - 3 :][:3])) as server,
        server.client() as client,
    ):
        assert await read(client.iter_clusters(page_size=3, concurrency=concurrency)) == (names(7), None)


@concurrent
@pytest.mark.parametrize("cap", [None, 3])
async def test_a_count_that_is_only_the_page_s_own_does_not_end_the_walk(
    cap: int | None, concurrency: int
) -> None:
    # A service that caps in silence as well can't be told from one whose only page is not full.
    listing = Listing(names(8), cap=cap, count="own")
    async with ListingServer(listing) as server, server.client() as client:
        ids, _ = await read(client.iter_clusters(page_size=100 if cap else 3, concurrency=concurrency))
        assert ids == names(8)


@concurrent
@pytest.mark.parametrize("ignores_page", [False, True], ids=["empty", "repeated"])
async def test_a_full_first_page_that_is_all_ends_cleanly_at_the_page_behind_it(
    concurrency: int, *, ignores_page: bool
) -> None:
    listing = Listing(names(3), ignores_page=ignores_page)
    async with ListingServer(listing) as server, server.client() as client:
        assert await read(client.iter_clusters(page_size=3, concurrency=concurrency)) == (names(3), None)
        assert server.pages == [1, 2]


@concurrent
async def test_a_first_page_that_is_not_full_and_all_is_the_only_one(concurrency: int) -> None:
    async with ListingServer(Listing(names(2))) as server, server.client() as client:
        assert await read(client.iter_clusters(page_size=3, concurrency=concurrency)) == (names(2), None)
        assert server.pages == [1]


@concurrent
async def test_a_count_that_is_too_low_loses_nobody_and_one_too_high_is_told(concurrency: int) -> None:
    for count, told in (("under", False), ("over", True)):
        listing = Listing(names(8), count=count)  # type: ignore[arg-type]
        async with ListingServer(listing) as server, server.client() as client:
            ids, end = await read(client.iter_clusters(page_size=3, concurrency=concurrency))
        assert ids == names(8)
        assert end is not None or not told


@pytest.mark.parametrize("verify", [False, True])
async def test_all_requests_of_a_walk_differ_in_nothing_but_the_page(*, verify: bool) -> None:
    async with ListingServer(Listing(names(10))) as server, server.client() as client:
        await read(client.iter_clusters(page_size=3, verify=verify))
    seen = [(urlsplit(r.target).path, parse_qs(urlsplit(r.target).query), r.headers) for r in server.requests]
    for number, (path, query, headers) in enumerate(seen):
        assert path == "/v2/clusters"
        assert query == {"pageSize": ["3"], "currentPage": [str(server.pages[number])]}
        assert headers == seen[0][2]
