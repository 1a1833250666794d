"""This package, used as its users use it: the side that the peers are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiozilliz import Account, Inventory, ZillizClient

if TYPE_CHECKING:
    from collections.abc import Sequence


async def walk_clusters(client: ZillizClient, page_size: int = 100, concurrency: int = 1) -> int:
    """Walk one account. Like all works, return the number of records."""
    received = 0
    async for cluster in client.iter_clusters(page_size=page_size, concurrency=concurrency):
        assert cluster.cluster_id
        received += 1
    return received


async def walk_cold(url: str, page_size: int, concurrency: int) -> int:
    """Walk with a new client, and so with new connections."""
    async with ZillizClient("any-key", base_url=url, limiter=None) as client:
        return await walk_clusters(client, page_size, concurrency)


def make_accounts(url: str, number: int) -> list[Account]:
    """Return accounts with different names and keys."""
    return [Account(f"account-{i}", f"key-{i}", base_url=url) for i in range(number)]


async def walk_accounts(accounts: Sequence[Account], page_size: int, concurrency: int) -> int:
    """Walk many accounts, with new connections."""
    received = 0
    async with Inventory(accounts, concurrency=concurrency, limiter=None) as inventory:
        async for _, cluster in inventory.iter_clusters(page_size=page_size):
            assert cluster.cluster_id
            received += 1
    return received
