"""Clients that are written by hand, as users would write them."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self, cast

import aiohttp
import orjson
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

_HEADERS: Final = {"Authorization": "Bearer any-key", "Accept": "application/json"}


async def aiohttp_orjson(session: aiohttp.ClientSession, url: str, page_size: int) -> int:
    """Walk in a plain loop that yields dicts. Like all works, return the number of records."""
    received = 0
    page = 1
    while True:
        query = {"pageSize": page_size, "currentPage": page}
        async with session.get(f"{url}/v2/clusters", params=query, headers=_HEADERS) as response:
            response.raise_for_status()
            data = orjson.loads(await response.read())["data"]
        for cluster in data["clusters"]:
            assert cluster["clusterId"]
            received += 1
        if received >= data["count"]:
            return received
        page += 1


async def aiohttp_json(session: aiohttp.ClientSession, url: str, page_size: int) -> int:
    """Walk as `aiohttp_orjson` does, with aiohttp's own `response.json()`."""
    received = 0
    page = 1
    while True:
        query = {"pageSize": page_size, "currentPage": page}
        async with session.get(f"{url}/v2/clusters", params=query, headers=_HEADERS) as response:
            response.raise_for_status()
            data = (await response.json())["data"]
        for cluster in data["clusters"]:
            assert cluster["clusterId"]
            received += 1
        if received >= data["count"]:
            return received
        page += 1


async def aiohttp_gather(
    session: aiohttp.ClientSession,
    url: str,
    page_size: int,
    limit: AbstractAsyncContextManager[object],
    key: str = "any-key",
) -> int:
    """Read the first page for its `count`, then all others at once, each inside `limit`: a semaphore or limiter."""
    headers = {**_HEADERS, "Authorization": f"Bearer {key}"}

    async def get(page: int) -> dict[str, Any]:
        query = {"pageSize": page_size, "currentPage": page}
        async with limit, session.get(f"{url}/v2/clusters", params=query, headers=headers) as response:
            response.raise_for_status()
            data: dict[str, Any] = orjson.loads(await response.read())["data"]
            return data

    first = await get(1)
    pages = -(-first["count"] // page_size)
    rest = await asyncio.gather(*[get(page) for page in range(2, pages + 1)])
    received = 0
    for data in (first, *rest):
        for cluster in data["clusters"]:
            assert cluster["clusterId"]
            received += 1
    return received


async def gather_accounts(url: str, keys: Sequence[str], page_size: int, concurrency: int) -> int:
    """Read many accounts at once like `aiohttp_gather`, with one semaphore and one session for all."""
    semaphore = asyncio.Semaphore(concurrency)
    async with aiohttp.ClientSession() as session:
        return sum(
            await asyncio.gather(*[aiohttp_gather(session, url, page_size, semaphore, key) for key in keys])
        )


class BareConnection(asyncio.Protocol):
    """HTTP over a bare asyncio transport, as far as `benchmarks.compare.server` needs it: the limit of Python.

    An async context manager: it connects to `port` on loopback.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[bytes] | None = None
        self._received: list[bytes] = []
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it

    def data_received(self, data: bytes) -> None:
        self._received.append(data)
        if self._missing == 0:
            whole = b"".join(self._received)
            end = whole.find(b"\r\n\r\n")
            if end < 0:
                return
            at = whole.index(b"Content-Length:") + 15
            length = int(whole[at : whole.index(b"\r\n", at)])
            self._received = [whole[end + 4 :]]
            self._missing = length - len(self._received[0])
        else:
            self._missing -= len(data)
        if self._missing == 0 and self._waiter is not None:
            self._waiter.set_result(b"".join(self._received))
            self._waiter = None

    async def get(self, page: int, page_size: int) -> Any:
        """Return the `data` of a page."""
        assert self._transport is not None
        self._received = []
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(
            b"GET /v2/clusters?pageSize=%d&currentPage=%d HTTP/1.1\r\n"
            b"Host: localhost\r\nAuthorization: Bearer any-key\r\n\r\n" % (page_size, page)
        )
        return orjson.loads(await self._waiter)["data"]

    async def __aenter__(self) -> Self:
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._transport is not None
        self._transport.close()


async def bare_socket(connection: BareConnection, page_size: int) -> int:
    """Walk over a bare connection."""
    received = 0
    page = 1
    while True:
        data = await connection.get(page, page_size)
        for cluster in data["clusters"]:
            assert cluster["clusterId"]
            received += 1
        if received >= data["count"]:
            return received
        page += 1


async def bare_trips(port: int, number: int) -> None:
    """Make round trips over a bare connection, one after another: a lower bound of their time."""
    async with BareConnection(port) as connection:
        for _ in range(number):
            await connection.get(1, 100)


@frozen
class HandCluster:
    """A typed record as one writes it by hand: no checks, no open enums, no room for new fields."""

    cluster_id: str
    cluster_name: str
    description: str
    region_id: str
    plan: str
    cu_type: str
    cu_size: int
    status: str
    connect_address: str
    private_link_address: str
    create_time: datetime
    project_id: str


def decode_by_hand(body: bytes) -> list[HandCluster]:
    """Decode a page into frozen slotted attrs records."""
    return [
        HandCluster(
            cluster["clusterId"],
            cluster["clusterName"],
            cluster["description"],
            cluster["regionId"],
            cluster["plan"],
            cluster["cuType"],
            cluster["cuSize"],
            cluster["status"],
            cluster["connectAddress"],
            cluster["privateLinkAddress"],
            datetime.fromisoformat(cluster["createTime"]),
            cluster["projectId"],
        )
        for cluster in orjson.loads(body)["data"]["clusters"]
    ]
