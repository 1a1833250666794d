"""Real caches between the client and the service: what they kept proves nothing, and they are asked for fresh pages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.listing_server import Listing, ListingServer, quick_client, read

if TYPE_CHECKING:
    from tests.middleboxes.conftest import StartNginx, StartVarnish

BEFORE, NOW = ["a", "b", "c", "d"], ["b", "c", "d", "e"]
"""A list before and after a change. With page 1 of the one and page 2 of the other c is lost, though always there."""

concurrent = pytest.mark.parametrize("concurrency", [1, 3])


async def keep_page_1(url: str, listing: Listing) -> None:
    """Let a cache keep page 1, and then change the list."""
    async with quick_client(url) as client:
        await client.list_clusters(page_size=2)
    listing.ids[:] = NOW


async def assert_unproven(url: str, concurrency: int) -> None:
    """Show that old pages are used, and seen to be old."""
    async with quick_client(url) as client:
        ids, end = await read(client.iter_clusters(page_size=2, concurrency=concurrency, verify=True))
        assert set(ids) == {"a", "b", "d", "e"}
        assert end is not None
        assert "cache" in str(end)
        assert not (await client.snapshot(page_size=2, concurrency=concurrency)).consistent


async def assert_proven(url: str, concurrency: int) -> None:
    async with quick_client(url) as client:
        clusters = client.iter_clusters(page_size=2, concurrency=concurrency, verify=True)
        assert await read(clusters) == (NOW, None)
        snapshot = await client.snapshot(page_size=2, concurrency=concurrency)
        assert snapshot.consistent
        assert [cluster.cluster_id for cluster in snapshot] == NOW


@concurrent
async def test_what_varnish_has_kept_proves_nothing(concurrency: int, varnish: StartVarnish) -> None:
    listing = Listing(list(BEFORE))
    async with ListingServer(listing) as server:
        box = varnish(server.url)
        await keep_page_1(box.url, listing)
        await asyncio.sleep(1.1)  # an age has no parts of seconds
        await assert_unproven(box.url, concurrency)
        assert server.pages.count(1) == 1


@concurrent
async def test_varnish_that_heeds_the_client_gives_fresh_pages(
    concurrency: int, varnish: StartVarnish
) -> None:
    listing = Listing(list(BEFORE))
    async with ListingServer(listing) as server:
        box = varnish(
            server.url,
            'if (req.http.Cache-Control ~ "no-cache") { set req.hash_always_miss = true; }',
        )
        await keep_page_1(box.url, listing)
        await assert_proven(box.url, concurrency)


CACHE = "proxy_cache_path cache keys_zone=pages:1m;"
KEEP = "proxy_cache pages; proxy_cache_valid 200 60s;"


@concurrent
async def test_nginx_that_heeds_the_client_gives_fresh_pages(concurrency: int, nginx: StartNginx) -> None:
    listing = Listing(list(BEFORE))
    async with ListingServer(listing) as server:
        box = nginx(
            f"location / {{ proxy_pass {server.url}; {KEEP} proxy_cache_bypass $http_cache_control; }}",
            http=CACHE,
        )
        await keep_page_1(box.url, listing)
        await assert_proven(box.url, concurrency)


@concurrent
async def test_what_nginx_says_that_it_kept_proves_nothing(concurrency: int, nginx: StartNginx) -> None:
    # By itself it says nothing, which nobody can tell from the service.
    age = 'map $upstream_cache_status $age { HIT 1; default ""; }'
    listing = Listing(list(BEFORE))
    async with ListingServer(listing) as server:
        box = nginx(
            f"location / {{ proxy_pass {server.url}; {KEEP} add_header Age $age; }}", http=f"{CACHE} {age}"
        )
        await keep_page_1(box.url, listing)
        await assert_unproven(box.url, concurrency)
