"""The places at which a page request can wait: for each a client that waits there, until it is let go on."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

from aiozilliz import Cluster, RetryPolicy, ZillizClient
from tests.support.listing_server import Listing, ListingServer, names, nothing_left, quick_client
from tests.support.wire_server import response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
    from types import TracebackType

CLUSTERS = names(6)
PAGE_SIZE = 2
LONG = 50.0
"""Seconds of waiting that no test sits out."""

PLACES = ["answer", "TLS handshake", "limiter", "key", "retry", "pause"]

_PATIENT = RetryPolicy(attempts=2, deadline=2 * LONG, wait_initial=LONG, wait_max=LONG, wait_jitter=0.0)

every_place = pytest.mark.parametrize("place", PLACES)
concurrent = pytest.mark.parametrize("concurrency", [1, 3])


@frozen
class Waiting:
    """A client whose page requests wait.

    Attributes:
        client: The client.
        server: Whom it asks.
        reached: Returns when a request has come to the place.
        go_on: Lets them pass, now and later; None where nothing but the end of the client can.
    """

    client: ZillizClient
    server: ListingServer
    reached: Callable[[], Awaitable[object]]
    go_on: Callable[[], None] | None


class Turnstile(AbstractAsyncContextManager[None]):
    """Lets nobody through until it is opened. It is a limiter, and, called, gives a key."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __aenter__(self) -> None:
        self.reached.set()
        await self.opened.wait()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    async def __call__(self) -> str:
        await self.__aenter__()
        return "k"


@asynccontextmanager
async def waiting(place: str) -> AsyncGenerator[Waiting, None]:
    """Give a client whose requests wait at `place`, and show in the end that it left nothing behind."""
    listing = Listing(list(CLUSTERS))
    turnstile = Turnstile()
    refusals: list[bytes] = []
    options: dict[str, Any] = {}
    go_on: Callable[[], None] | None = turnstile.opened.set
    if place == "limiter":
        options["limiter"] = turnstile
    elif place == "key":
        options["api_key"] = turnstile
    elif place == "retry":
        refusals.append(response(status=503))
        options["retry"] = _PATIENT
        go_on = None
    elif place == "pause":
        refusals.append(response(status=429, headers=[("Retry-After", f"{LONG:.0f}")]))
        options["retry"] = _PATIENT
        go_on = None
    server = ListingServer(
        lambda page, size: refusals[0] if refusals else listing(page, size),
        held=place in {"answer", "TLS handshake"},
    )
    reached: Callable[[], Awaitable[object]] = turnstile.reached.wait
    if place == "answer":
        reached, go_on = lambda: server.received(1), server.release_all

    async def refused() -> None:
        await server.received(1)
        for _ in range(50):  # turns of the loop, in which the client reads the refusal and begins to wait
            await asyncio.sleep(0)

    if place in {"retry", "pause"}:
        reached = refused
    async with asyncio.timeout(LONG / 4), server:
        url = server.url
        if place == "TLS handshake":
            url, reached, go_on = url.replace("http:", "https:"), server.connected, None
        async with quick_client(url, **options) as client:
            yield Waiting(client, server, reached, go_on)
        await nothing_left(server)


async def step(clusters: AsyncIterator[Cluster]) -> str:
    """Read one record, and give its id."""
    return (await anext(clusters)).cluster_id
