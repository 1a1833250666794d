"""It always ends, whatever the server answers (promise 4)."""

from __future__ import annotations

from itertools import count as counting, product
from typing import Any

import pytest

from aiozilliz import APIError
from tests.support.listing_server import (
    NOT_FOUND,
    OUT_OF_RANGE,
    Listing,
    ListingServer,
    array_of,
    names,
    page_of,
    read,
)

MODES = [
    pytest.param(n, verify, id=f"{n}{' verified' * verify}")
    for n, verify in product((1, 2, 8), (False, True))
]

HABITS: dict[str, dict[str, Any]] = {
    "repeats page 1": {"ignores_page": True},
    "repeats page 1, counts too many": {"ignores_page": True, "count": "over"},
    "repeats page 1, counts the page": {"ignores_page": True, "count": "own"},
    "repeats page 1, counts nothing": {"ignores_page": True, "count": "absent"},
    "repeats page 1, bare array": {"ignores_page": True, "array": True},
    "counts too many": {"count": "over"},
    "counts too few": {"count": "under"},
    "counts the page": {"count": "own"},
    "counts nothing": {"count": "absent"},
    "counts null": {"count": "null"},
    "bare array": {"array": True},
    "caps in silence, counts too many": {"cap": 2, "echo": "asked", "count": "over"},
    "counts too many, refuses": {"count": "over", "past_the_end": OUT_OF_RANGE},
}


@pytest.mark.parametrize(("concurrency", "verify"), MODES)
@pytest.mark.parametrize("habit", HABITS)
async def test_every_habit_comes_to_an_end(habit: str, concurrency: int, *, verify: bool) -> None:
    for number in (0, 1, 3, 7, 9):
        listing = Listing(names(number), **HABITS[habit])
        async with ListingServer(listing) as server, server.client() as client:
            clusters = client.iter_clusters(page_size=3, concurrency=concurrency, verify=verify)
            if listing.past_the_end is not None and number and not verify:
                with pytest.raises(APIError) as raised:
                    await read(clusters)
                assert raised.value.code == 96009
                continue
            ids, end = await read(clusters)
            assert len(server.requests) <= 5 * (number + concurrency)
            reachable = 3 if listing.ignores_page else number
            # A count that is too low by the records of the last page can't be told from a true one.
            hidden = listing.count == "under" and number % 3 == 1
            if (end is None or not verify) and not hidden:
                assert ids == names(min(number, reachable))
            if listing.count == "over" and number:
                assert end is not None


@pytest.mark.parametrize(("concurrency", "passes"), [(1, 2000), (8, 1100)])
async def test_thousands_of_empty_pages_need_no_stack(concurrency: int, passes: int) -> None:
    numbers = counting(1)
    async with (
        ListingServer(lambda page, size: page_of([], count=next(numbers))) as server,
        server.client() as client,
    ):
        ids, end = await read(client.iter_clusters(concurrency=concurrency, max_passes=passes))
    assert ids == []
    assert end is not None
    assert end.passes == passes <= len(server.requests)


@pytest.mark.parametrize(("concurrency", "passes"), [(1, 550), (8, 150)])
async def test_a_thousand_repeated_pages_need_no_stack(concurrency: int, passes: int) -> None:
    numbers = counting(1)
    async with (
        ListingServer(lambda page, size: page_of("ab", count=2 + next(numbers))) as server,
        server.client() as client,
    ):
        ids, end = await read(client.iter_clusters(concurrency=concurrency, max_passes=passes))
    assert ids == ["a", "b"]
    assert end is not None
    assert len(server.requests) >= 1100


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_records_invented_for_ever_are_given_until_the_consumer_has_enough(concurrency: int) -> None:
    async with (
        ListingServer(lambda page, size: array_of(names(size, page * size))) as server,
        server.client() as client,
    ):
        async with client.iter_clusters(page_size=3, concurrency=concurrency) as clusters:
            seen = [(await anext(clusters)).cluster_id for _ in range(1500)]
        assert seen == names(1500, 3)
        assert len(server.requests) <= 500 + concurrency


@pytest.mark.parametrize("refusal", [OUT_OF_RANGE, NOT_FOUND], ids=["96009", "404"])
@pytest.mark.parametrize("concurrency", [1, 3, 8])
@pytest.mark.parametrize("array", [False, True])
async def test_a_page_past_the_end_may_be_refused(refusal: bytes, concurrency: int, *, array: bool) -> None:
    for number in (1, 3, 8, 9):
        listing = Listing(names(number), array=array, past_the_end=refusal)
        async with ListingServer(listing) as server, server.client() as client:
            clusters = client.iter_clusters(page_size=3, concurrency=concurrency)
            assert await read(clusters) == (names(number), None)


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_a_list_that_shrinks_so_that_its_last_page_is_refused_is_read_again(concurrency: int) -> None:
    listing = Listing(names(7), past_the_end=OUT_OF_RANGE)

    def change(read: int) -> None:
        if read == 2:
            del listing.ids[:4]

    listing.before = change
    async with ListingServer(listing) as server, server.client() as client:
        ids, end = await read(client.iter_clusters(page_size=3, concurrency=concurrency))
    assert end is None
    assert {*names(3), *names(3, 4)} <= set(ids)


@pytest.mark.parametrize("refusal", [OUT_OF_RANGE, NOT_FOUND], ids=["96009", "404"])
async def test_a_refused_first_page_is_an_error(refusal: bytes) -> None:
    async with ListingServer(lambda page, size: refusal) as server, server.client() as client:
        with pytest.raises(APIError):
            await read(client.iter_clusters())


async def test_a_page_that_is_refused_again_and_again_before_the_end_is_an_error() -> None:
    def pages(page: int, _: int) -> bytes:
        return NOT_FOUND if page == 2 else page_of(names(3, 3 * (page - 1)), count=9)

    async with ListingServer(pages) as server, server.client() as client:
        clusters = client.iter_clusters(page_size=3)
        with pytest.raises(APIError, match="page 2"):
            await read(clusters)
        assert len(server.requests) < 10
