"""Services at an IPv6 address."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import aiohttp
import pytest

from aiozilliz import TransportError
from aiozilliz.testing import FakeZillizCloud
from tests.middleboxes.relay import ConnectProxy, Relay
from tests.support.listing_server import quick_client, read
from tests.support.wire_server import WireServer

if TYPE_CHECKING:
    from tests.middleboxes.certificates import Authority


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback address")


@pytest.mark.parametrize("prefix", ["", "/zilliz/"])
async def test_a_walk_over_ipv6(prefix: str) -> None:
    async with WireServer() as server, Relay(server.port, host="::1") as relay:
        async with quick_client(f"{relay.url}{prefix}") as client:
            assert await read(client.iter_clusters()) == (["in01-a"], None)
        (request,) = server.requests
        assert request.target.startswith(f"{prefix.rstrip('/')}/v2/clusters?")
        assert request.get("Host") == [f"[::1]:{relay.port}"]


async def test_many_pages_over_ipv6() -> None:
    async with FakeZillizCloud(250) as cloud, Relay(int(cloud.url.rpartition(":")[2]), host="::1") as relay:
        async with quick_client(relay.url) as client:
            ids, end = await read(client.iter_clusters(page_size=10, concurrency=4, verify=True))
        assert end is None
        assert ids == [cluster["clusterId"] for cluster in cloud.clusters]


async def test_a_refused_connection_over_ipv6_names_the_url() -> None:
    async with Relay(0, host="::1") as relay:
        pass
    async with quick_client(relay.url) as client:
        with pytest.raises(TransportError) as raised:
            await client.list_clusters()
    assert "The connection failed: Connection refused" in str(raised.value)
    assert f"[GET http://[::1]:{relay.port}/v2/clusters?" in str(raised.value)


@pytest.mark.parametrize("scheme", ["HTTP", "HTTPS"])
async def test_no_proxy_names_an_ipv6_address(
    scheme: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = authority.issue("::1").serve() if scheme == "HTTPS" else None
    async with (
        WireServer(tls=tls) as server,
        Relay(server.port, host="::1") as relay,
        ConnectProxy(answer=b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n") as proxy,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=authority.trusting()), trust_env=True
        ) as session,
    ):
        url = relay.url.replace("http:", f"{scheme.lower()}:")
        monkeypatch.setenv(f"{scheme}_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "::1")
        async with quick_client(url, session=session) as client:
            await client.list_clusters()
        if tls is None:
            async with quick_client(url) as client:
                await client.list_clusters()
        assert proxy.heads == []
        assert len(server.requests) == (2 if tls is None else 1)
