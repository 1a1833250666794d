"""No other host ever gets the key: not by a redirect, nor as a proxy, nor as the service of another account.

Every name below `.example` leads to this machine here, where a listener keeps each byte that it is sent.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self, cast

import aiohttp
import pytest

from aiozilliz import Account, ConfigurationError, Inventory, ResponseError, TransportError
from tests.support.detector import KEY, assert_silent, has_key
from tests.support.listing_server import QUICK, Listing, names, quick_client, read
from tests.support.wire_server import OK, Exchange, WireServer, answering, response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    Lend = Callable[..., AbstractAsyncContextManager[aiohttp.ClientSession | None]]

OVER_HTTP = [301, 302, 303, 307, 308]


class Listener:
    """Keeps all bytes that come, says the same to all who speak HTTP, and hangs up on others.

    Attributes:
        heard: What each connection sent.
    """

    def __init__(self, says: bytes = OK) -> None:
        self.says = says
        self.heard: list[bytearray] = []
        self.open: set[asyncio.Transport] = set()
        self.all_closed = asyncio.Event()
        self.all_closed.set()
        self.port = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Hearer(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for transport in self.open:
            transport.abort()
        await self.all_closed.wait()
        await self._server.wait_closed()

    def __contains__(self, key: str) -> bool:
        return any(key.encode() in heard for heard in self.heard)


class _Hearer(asyncio.Protocol):
    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._heard = bytearray()
        self._listener.heard.append(self._heard)
        self._listener.open.add(self._transport)
        self._listener.all_closed.clear()

    def data_received(self, data: bytes) -> None:
        self._heard += data
        if data.endswith(b"\r\n\r\n"):
            self._transport.write(self._listener.says)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.open.discard(self._transport)
        if not self._listener.open:
            self._listener.all_closed.set()


@pytest.fixture(autouse=True)
def every_example_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.environ.get("AIOZILLIZ_UVLOOP") == "1":
        pytest.skip("uvloop looks names up itself")
    real: Any = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **options: Any) -> Any:
        return real("127.0.0.1" if str(host).endswith(".example") else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.fixture(params=["own", "borrowed"])
def lend(request: pytest.FixtureRequest) -> Lend:
    """Make a session to borrow, or None where the client is to have its own."""

    @asynccontextmanager
    async def make(**options: Any) -> AsyncGenerator[aiohttp.ClientSession | None, None]:
        if request.param == "own":
            yield None
        else:
            async with aiohttp.ClientSession(trust_env=True, **options) as session:
                yield session

    return make


async def test_the_listener_hears_what_it_is_told() -> None:
    async with Listener() as elsewhere, quick_client(f"http://127.0.0.1:{elsewhere.port}", KEY) as client:
        await client.list_clusters()
        assert KEY in elsewhere


@pytest.mark.parametrize("host", ["elsewhere.example", "127.0.0.1", "localhost"])
@pytest.mark.parametrize("status", OVER_HTTP)
async def test_a_redirect_is_not_followed(status: int, host: str, lend: Lend) -> None:
    async with Listener() as elsewhere:
        target = f"http://{host}:{elsewhere.port}/v2/clusters"
        answer = response(b"", status=status, headers=[("Location", target)])
        async with (
            WireServer(answering(answer)) as server,
            lend() as session,
            quick_client(server.url, KEY, session=session) as client,
        ):
            for work in (client.list_clusters(), anext(client.iter_clusters()), anext(client.iter_pages())):
                with pytest.raises(ResponseError, match="redirect") as raised:
                    await work
                assert_silent(raised.value)
        assert elsewhere.heard == []


@pytest.mark.parametrize("header", ["Location", "Content-Location", "Refresh", "Link", "Alt-Svc"])
async def test_no_other_header_leads_elsewhere(header: str, lend: Lend) -> None:
    async with Listener() as elsewhere:
        where = f"elsewhere.example:{elsewhere.port}"
        value = {
            "Refresh": f"0; url=http://{where}/",
            "Link": f'<http://{where}/>; rel="next"',
            "Alt-Svc": f'h2="{where}"',
        }.get(header, f"http://{where}/")
        pages = Listing(names(9))

        async def script(exchange: Exchange) -> None:
            head, _, body = pages(exchange.request.page, 3).partition(b"\r\n\r\n")
            await exchange.send(head + f"\r\n{header}: {value}\r\n\r\n".encode() + body)

        async with (
            WireServer(script) as server,
            lend() as session,
            quick_client(server.url, KEY, session=session) as client,
        ):
            ids, end = await read(client.iter_clusters(page_size=3))
            assert (len(ids), end) == (9, None)
        assert elsewhere.heard == []


async def test_an_own_session_does_not_give_it_to_a_plain_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Listener() as proxy, WireServer() as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://proxy.example:{proxy.port}")
        async with quick_client(server.url, KEY) as client:
            await client.list_clusters()
        assert proxy.heard == []
        assert len(server.requests) == 1


@pytest.mark.parametrize("way", ["proxy=", "environment"])
async def test_a_borrowed_session_does_not_give_it_to_a_plain_proxy(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Listener() as proxy, WireServer() as server:
        url = f"http://proxy.example:{proxy.port}"
        options: dict[str, Any] = {"proxy": url} if way == "proxy=" else {"trust_env": True}
        if way == "environment":
            monkeypatch.setenv("HTTP_PROXY", url)
        async with (
            aiohttp.ClientSession(**options) as session,
            quick_client(server.url, KEY, session=session) as client,
        ):
            with pytest.raises(ConfigurationError, match="in clear") as raised:
                await client.list_clusters()
            assert_silent(raised.value)
        assert KEY not in proxy
        assert server.requests == []


@pytest.mark.parametrize(
    "says",
    [
        b"HTTP/1.1 200 OK\r\n\r\nno TLS",
        b"HTTP/1.1 302 X\r\nLocation: http://elsewhere.example/\r\n\r\n",
        b"HTTP/1.1 401 X\r\nWWW-Authenticate: Bearer\r\n\r\n",
        b"HTTP/1.1 407 X\r\nProxy-Authenticate: Basic\r\n\r\n",
        b"HTTP/1.1 502 X\r\n\r\n",
        b"no HTTP\r\n\r\n",
    ],
    ids=lambda says: says[9:12].decode(),
)
async def test_a_proxy_for_https_hears_only_the_host(
    says: bytes, lend: Lend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Listener(says) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://proxy.example:{proxy.port}")
        async with (
            lend() as session,
            quick_client("https://service.example", KEY, session=session) as client,
        ):
            with pytest.raises(TransportError) as raised:
                await client.list_clusters()
            assert_silent(raised.value)
        assert proxy.heard
        assert all(heard.startswith(b"CONNECT service.example:443 ") for heard in proxy.heard)
        assert all(b"bearer" not in heard.lower() for heard in proxy.heard)
        assert KEY not in proxy


async def test_a_service_that_speaks_no_tls_hears_nothing_of_it(lend: Lend) -> None:
    async with Listener() as service, lend() as session:
        url = f"https://service.example:{service.port}"
        async with quick_client(url, KEY, session=session, timeout=5.0) as client:
            with pytest.raises(TransportError) as raised:
                await client.list_clusters()
            assert_silent(raised.value)
        assert KEY not in service


async def test_each_service_of_an_inventory_hears_its_own_key_alone() -> None:
    async with WireServer() as one, WireServer() as two:
        accounts = [
            Account(f"{name}{n}", f"{KEY}{name}", base_url=server.url)
            for name, server in (("A", one), ("B", two))
            for n in range(5)
        ]
        async with Inventory(accounts, limiter=None, retry=QUICK) as inventory:
            await inventory.collect()
        for name, server in (("A", one), ("B", two)):
            told = {value for request in server.requests for _, value in request.headers if has_key(value)}
            assert told == {f"Bearer {KEY}{name}"}
            assert not any(has_key(request.target) for request in server.requests)
