"""HTTPS through forward proxies: the walk is whole, the proxy never has the key, and its failures are named."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import aiohttp
import pytest

from aiozilliz import RetryPolicy, TransportError
from tests.middleboxes.relay import ConnectProxy
from tests.support.listing_server import Listing, names, quick_client, read
from tests.support.wire_server import Exchange, WireServer, response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.middleboxes.certificates import Authority
    from tests.middleboxes.conftest import StartTinyproxy

KEY = "key0123456789abcdefghij"
IDS = names(250)
HOST = "service.example"

Lend: TypeAlias = "Callable[[str], AbstractAsyncContextManager[aiohttp.ClientSession]]"
"""Makes a session that goes through a proxy."""

Ask: TypeAlias = "Callable[[str], Awaitable[TransportError]]"
"""Asks for a page through a proxy, and gives the error that comes of it."""


def origin(authority: Authority, *names: str) -> WireServer:
    """Give a service that speaks TLS and lists `IDS`."""
    pages = Listing(IDS)

    async def script(exchange: Exchange) -> None:
        assert exchange.request.get("Authorization") == [f"Bearer {KEY}"]
        assert not exchange.request.get("Proxy-Authorization")
        await exchange.send(pages(exchange.request.page, 20))

    return WireServer(script, tls=authority.issue(*names).serve())


@pytest.fixture(params=["proxy=", "trust_env"])
def lend(request: pytest.FixtureRequest, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Lend:
    @asynccontextmanager
    async def make(proxy: str) -> AsyncGenerator[aiohttp.ClientSession, None]:
        connector = aiohttp.TCPConnector(ssl=authority.trusting())
        if request.param == "trust_env":
            monkeypatch.setenv("HTTPS_PROXY", proxy)
            session = aiohttp.ClientSession(connector=connector, trust_env=True)
        else:
            session = aiohttp.ClientSession(connector=connector, proxy=proxy)
        async with session:
            yield session

    return make


# An own session takes its authorities as OpenSSL finds them when aiohttp is imported: so in a process of its own.
WALK = """
import asyncio, sys
from aiozilliz import ZillizClient

async def walk():
    async with ZillizClient(base_url=sys.argv[1], limiter=None) as client:
        async for cluster in client.iter_clusters(page_size=20, concurrency=3):
            print(cluster.cluster_id)

asyncio.run(walk())
"""


async def walk_in_own_process(url: str, **environment: str) -> list[str]:
    """Walk with an own session, the key and the proxy from the environment, and give the ids."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error", "-c", WALK, url],
        env={**os.environ, "ZILLIZ_API_KEY": KEY, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


def assert_blind(proxy: ConnectProxy) -> None:
    """Show that nothing but CONNECT requests, without credentials, and TLS went through a proxy."""
    assert proxy.heads
    for head in proxy.heads:
        assert head.startswith(b"CONNECT ")
        assert b"authorization" not in head.lower()
        assert KEY.encode() not in head
    told = [said for said in proxy.said if said]  # a tunnel may be cut before a word is said
    assert told
    for said in told:
        assert said.startswith(b"\x16\x03")  # a TLS handshake
        assert KEY.encode() not in said
        assert b"Bearer" not in said


# What goes through


async def test_an_own_session_walks_through_a_proxy_of_the_environment(
    authority: Authority, tinyproxy: StartTinyproxy
) -> None:
    proxy = tinyproxy()
    async with origin(authority, "127.0.0.1") as server:
        trust = str(authority.file)
        assert await walk_in_own_process(server.url, SSL_CERT_FILE=trust, HTTPS_PROXY=proxy.url) == IDS
        assert sorted(server.pages) == list(range(1, 14))
        proxy.stop()
        assert f"CONNECT 127.0.0.1:{server.port} HTTP/1.1" in "".join(proxy.log)
        assert KEY not in "".join(proxy.log)
        # The proxy is gone, so this would fail through it.
        walked = await walk_in_own_process(
            server.url, SSL_CERT_FILE=trust, HTTPS_PROXY=proxy.url, NO_PROXY="127.0.0.1"
        )
        assert walked == IDS


async def test_the_proxy_of_an_own_session_sees_tls_alone(authority: Authority) -> None:
    async with origin(authority, HOST) as server, ConnectProxy(server.port) as proxy:
        walked = await walk_in_own_process(
            f"https://{HOST}", SSL_CERT_FILE=str(authority.file), HTTPS_PROXY=proxy.url
        )
        assert walked == IDS
        assert_blind(proxy)
        assert all(head.startswith(b"CONNECT service.example:443 HTTP/1.1\r\n") for head in proxy.heads)


async def test_a_borrowed_session_walks_through_tinyproxy(
    authority: Authority, lend: Lend, tinyproxy: StartTinyproxy
) -> None:
    proxy = tinyproxy()
    async with origin(authority, "127.0.0.1") as server:
        async with lend(proxy.url) as session, quick_client(server.url, KEY, session=session) as client:
            assert await read(client.iter_clusters(page_size=20, concurrency=3)) == (IDS, None)
            assert (await client.snapshot(page_size=20)).consistent
        assert server.connections <= 4  # tunnels are used again
    proxy.stop()
    assert f"CONNECT 127.0.0.1:{server.port} HTTP/1.1" in "".join(proxy.log)
    assert KEY not in "".join(proxy.log)


async def test_the_proxy_of_a_borrowed_session_sees_tls_alone(authority: Authority, lend: Lend) -> None:
    async with origin(authority, HOST) as server, ConnectProxy(server.port) as proxy:
        async with (
            lend(proxy.url) as session,
            quick_client(f"https://{HOST}", KEY, session=session) as client,
        ):
            assert await read(client.iter_clusters(page_size=20, concurrency=3)) == (IDS, None)
        assert_blind(proxy)


async def test_a_walk_outlives_tunnels_that_are_cut(authority: Authority, lend: Lend) -> None:
    async with origin(authority, HOST) as server, ConnectProxy(server.port) as proxy:
        plain = server.script

        async def script(exchange: Exchange) -> None:
            if exchange.number % 4 == 0:
                await proxy.cut()
            else:
                await plain(exchange)

        server.script = script
        patient = RetryPolicy(attempts=20, wait_initial=0.0, wait_jitter=0.0)
        async with (
            lend(proxy.url) as session,
            quick_client(f"https://{HOST}", KEY, session=session, retry=patient) as client,
        ):
            assert await read(client.iter_clusters(page_size=20, concurrency=3)) == (IDS, None)
        assert len(proxy.heads) > 3
        assert_blind(proxy)


async def test_no_proxy_is_honoured_where_the_lender_trusts_the_environment(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with origin(authority, "127.0.0.1") as server, ConnectProxy(server.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "elsewhere.example,127.0.0.1")
        connector = aiohttp.TCPConnector(ssl=authority.trusting())
        async with (
            aiohttp.ClientSession(connector=connector, trust_env=True) as session,
            quick_client(server.url, KEY, session=session) as client,
        ):
            await client.list_clusters()
        assert proxy.heads == []


# Credentials of the proxy's

PASSWORD = "hunter2hunter2"


async def test_a_proxy_that_wants_credentials_gets_its_own(
    authority: Authority, lend: Lend, tinyproxy: StartTinyproxy
) -> None:
    proxy = tinyproxy(f"BasicAuth lender {PASSWORD}")
    async with origin(authority, "127.0.0.1") as server:
        with_password = proxy.url.replace("//", f"//lender:{PASSWORD}@")
        async with lend(with_password) as session, quick_client(server.url, KEY, session=session) as client:
            assert await read(client.iter_clusters(page_size=20)) == (IDS, None)
        walked = await walk_in_own_process(
            server.url, SSL_CERT_FILE=str(authority.file), HTTPS_PROXY=with_password
        )
        assert walked == IDS


async def ask_through(session: aiohttp.ClientSession | None) -> TransportError:
    """Ask for a page, at most twice, and give the error that comes of it."""
    async with quick_client(f"https://{HOST}", KEY, session=session) as client:
        with pytest.raises(TransportError) as raised:
            await client.list_clusters()
    error = raised.value
    assert KEY not in repr(error)
    assert PASSWORD not in repr(error)
    assert error.advice in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    return error


@pytest.fixture(params=["own", "borrowed"])
def ask(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Ask:
    async def run(proxy: str) -> TransportError:
        if request.param == "own":
            monkeypatch.setenv("HTTPS_PROXY", proxy)
            return await ask_through(None)
        async with aiohttp.ClientSession(proxy=proxy) as session:
            return await ask_through(session)

    return run


@pytest.mark.parametrize("credentials", ["", f"lender:wrong{PASSWORD}@", f"someone:{PASSWORD}@"])
async def test_credentials_that_a_proxy_refuses_are_not_told(
    credentials: str, ask: Ask, tinyproxy: StartTinyproxy
) -> None:
    proxy = tinyproxy("BasicAuth lender another")
    error = await ask(proxy.url.replace("//", f"//{credentials}"))
    status = 401 if credentials else 407  # tinyproxy's own idea of wrong credentials
    assert str(error).startswith(f"The proxy refused the connection: HTTP {status}. ")
    assert error.attempts == 1
    proxy.stop()
    assert KEY not in "".join(proxy.log)


# A proxy that fails


async def test_a_proxy_that_forbids_the_port_is_asked_once(ask: Ask, tinyproxy: StartTinyproxy) -> None:
    proxy = tinyproxy("ConnectPort 8443")
    error = await ask(proxy.url)
    assert str(error).startswith("The proxy refused the connection: HTTP 403. ")
    assert error.attempts == 1


async def test_a_proxy_that_forbids_the_host_is_asked_once(
    ask: Ask, tinyproxy: StartTinyproxy, tmp_path: Path
) -> None:
    hosts = tmp_path / "forbidden"
    hosts.write_text("service\n")
    proxy = tinyproxy(f'Filter "{hosts}"')
    error = await ask(proxy.url)
    assert str(error).startswith("The proxy refused the connection: HTTP 403. ")
    assert error.attempts == 1


async def test_a_proxy_that_cant_reach_the_service_is_asked_again(tinyproxy: StartTinyproxy) -> None:
    proxy = tinyproxy()
    async with WireServer() as server:
        pass
    async with (
        aiohttp.ClientSession(proxy=proxy.url) as session,
        quick_client(f"https://127.0.0.1:{server.port}", KEY, session=session) as client,
    ):
        with pytest.raises(TransportError, match="The proxy refused the connection: HTTP 500") as raised:
            await client.list_clusters()
    assert raised.value.attempts == 2


async def test_a_dead_proxy_is_named_without_its_credentials(ask: Ask) -> None:
    async with ConnectProxy() as proxy:
        pass
    error = await ask(proxy.url.replace("//", f"//lender:{PASSWORD}@"))
    assert str(error).startswith("The connection to the proxy failed: Connection refused. ")
    assert error.attempts == 2


HTML = b"<html><h1>Please log in</h1></html>"


@pytest.mark.parametrize(
    ("answer", "says", "attempts"),
    [
        (response(HTML, status=503), "The proxy refused the connection: HTTP 503", 2),
        (response(HTML, status=302, headers=[("Location", "http://portal.example")]), "HTTP 302", 1),
        (response(HTML, status=511), "HTTP 511", 2),
        (
            response(HTML),
            "The connection failed: Connection reset by peer",
            2,
        ),  # TLS is begun, and there is nobody to answer
        (HTML + b"\r\n\r\n", "no valid HTTP", 2),
    ],
    ids=["503", "302", "511", "200", "no HTTP"],
)
async def test_a_proxy_that_answers_with_a_page_for_people_is_named(
    answer: bytes, says: str, attempts: int, ask: Ask
) -> None:
    async with ConnectProxy(answer=answer) as proxy:
        error = await ask(proxy.url)
        assert says in str(error)
        assert "<" not in str(error)
        assert error.attempts == len(proxy.heads) == attempts
        assert all(KEY.encode() not in head for head in proxy.heads)


@pytest.mark.parametrize("fault", ["issuer", "host"])
async def test_a_proxy_that_breaks_tls_open_gets_no_key(fault: str, authority: Authority, ask: Ask) -> None:
    name = "elsewhere.example" if fault == "host" else HOST
    async with (
        WireServer(tls=authority.issue(name).serve()) as server,
        ConnectProxy(server.port) as proxy,
    ):
        error = await ask(proxy.url)
        assert "certificate does not verify" in str(error)
        assert error.attempts == 1
        assert server.requests == []
        assert_blind(proxy)


async def test_a_wrong_host_behind_a_proxy_is_named(authority: Authority, lend: Lend) -> None:
    async with (
        WireServer(tls=authority.issue("elsewhere.example").serve()) as server,
        ConnectProxy(server.port) as proxy,
        lend(proxy.url) as session,
    ):
        error = await ask_through(session)
        assert "Hostname mismatch" in str(error)
        assert error.attempts == 1
        assert server.requests == []


async def test_an_idle_tunnel_that_the_proxy_has_cut_costs_one_attempt(
    authority: Authority, lend: Lend
) -> None:
    async with origin(authority, HOST) as server, ConnectProxy(server.port) as proxy:
        async with (
            lend(proxy.url) as session,
            quick_client(f"https://{HOST}", KEY, session=session) as client,
        ):
            for _ in range(3):
                await client.list_clusters()
                await proxy.cut()
        assert len(server.requests) == 3
