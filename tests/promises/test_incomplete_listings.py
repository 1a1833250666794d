"""What an `IncompleteListingError` knows: numbers, why passes were repeated, and the remedy."""

from __future__ import annotations

import re

import pytest

from aiozilliz import Account, IncompleteListingError, Inventory, InventoryError
from tests.support.listing_server import Listing, ListingServer, names, read

concurrent = pytest.mark.parametrize("concurrency", [1, 3])


def busy(number: int) -> Listing:
    """Give a list in which a cluster is created before the cursor in each pass."""
    listing = Listing(names(number))

    def change(read: int) -> None:
        if read % 2 == 0:
            listing.ids.insert(0, f"new{read:04}")

    listing.before = change
    return listing


async def incomplete(listing: Listing, **options: object) -> IncompleteListingError:
    async with ListingServer(listing) as server, server.client() as client:
        clusters = client.iter_clusters(page_size=3, **options)  # type: ignore[arg-type]
        _, end = await read(clusters)
        assert end is not None
        assert (end.method, end.url, end.page) == ("GET", f"{server.url}/v2/clusters", None)
        assert end.attempts == clusters.requests == len(server.requests)
        assert end.elapsed is not None
        return end


@concurrent
async def test_a_busy_list_says_why_each_pass_was_repeated_and_that_verify_helps(concurrency: int) -> None:
    end = await incomplete(busy(9), concurrency=concurrency, max_passes=3)
    assert end.passes == 3
    assert end.expected is not None
    assert end.expected >= 9 <= end.received
    text = str(end)
    assert f"({end.received} of {end.expected} seen)" in text
    assert "in each of 3 passes the list changed, or contradicted itself" in text
    for number in (1, 2, 3):
        assert re.search(
            rf"pass {number}: (count changed from \d+ to \d+ on|\d+ of \d+ records on) page \d", text
        )
    assert "Read with verify" in end.advice
    assert "max_passes" not in end.advice


async def test_verify_is_the_remedy_on_a_busy_list() -> None:
    listing = busy(9)
    assert isinstance(await incomplete(listing), IncompleteListingError)
    listing = Listing(names(9))

    def change(read: int) -> None:
        if read in {2, 4}:
            listing.ids.insert(0, f"new{read}")

    listing.before = change
    async with ListingServer(listing) as server, server.client() as client:
        ids, end = await read(client.iter_clusters(page_size=3, verify=True))
    assert end is None
    assert set(listing.ids) == set(ids)


@concurrent
async def test_without_the_proof_more_passes_are_advised(concurrency: int) -> None:
    end = await incomplete(Listing(names(9)), concurrency=concurrency, verify=True, max_passes=1)
    assert (end.expected, end.received, end.passes) == (9, 9, 1)
    assert "did not bring the proof; pass 1: the proof is not complete yet" in str(end)
    assert "max_passes" in end.advice
    assert "verify" not in end.advice
    assert end.retryable


async def test_without_a_count_verify_is_advised_against() -> None:
    end = await incomplete(Listing(names(9), count="absent"), verify=True)
    assert (end.expected, end.received, end.passes) == (None, 3, 1)
    assert "(3 seen)" in str(end)
    assert "without verify" in end.advice
    assert not end.retryable


@concurrent
async def test_a_count_that_is_wrong_is_told_with_its_numbers(concurrency: int) -> None:
    end = await incomplete(Listing(names(8), count="over"), concurrency=concurrency)
    assert (end.expected, end.received, end.passes) == (9, 8, 2)
    assert "two passes in a row agree with each other, but not with the count" in str(end)
    assert "8 of 9 records" in str(end)
    assert "count is wrong" in end.advice


async def test_an_inventory_says_it_of_an_account() -> None:
    async with (
        ListingServer(busy(9)) as server,
        Inventory([Account("a", "k", base_url=server.url)], limiter=None) as inventory,
    ):
        with pytest.raises(InventoryError) as raised:
            async for _ in inventory.iter_clusters(page_size=3):
                pass
    end = raised.value.failures["a"]
    assert isinstance(end, IncompleteListingError)
    assert "pass 1: count changed" in str(end)
    assert "Read with verify" in end.advice
