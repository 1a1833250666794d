"""A company's proxy and authority: by the environment, and with a borrowed session. The proxy sees TLS alone."""

from __future__ import annotations

import asyncio
import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.request import proxy_bypass

import pytest

from aiozilliz import TransportError
from tests.cookbook.recipes import FILES, load
from tests.middleboxes.certificates import Authority
from tests.middleboxes.relay import ConnectProxy
from tests.support.listing_server import Listing, names
from tests.support.wire_server import Exchange, WireServer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cookbook.conftest import StartRecipe

KEY = "key0123456789abcdefghij"
HOST = "service.example"
IDS = names(250)

WALK = """
import asyncio, sys
from aiozilliz import ZillizClient

async def walk():
    async with ZillizClient(base_url=sys.argv[1]) as client:
        print(len((await client.snapshot())))

asyncio.run(walk())
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    (tmp_path / "corp").mkdir()
    return Authority(tmp_path / "corp")


def service(authority: Authority) -> WireServer:
    pages = Listing(IDS)

    async def script(exchange: Exchange) -> None:
        assert exchange.request.get("Authorization") == [f"Bearer {KEY}"]
        await exchange.send(pages(exchange.request.page, 100))

    return WireServer(script, tls=authority.issue(HOST, "localhost").serve())


def assert_blind(proxy: ConnectProxy) -> None:
    assert proxy.heads
    assert all(head.startswith(f"CONNECT {HOST}:443 ".encode()) for head in proxy.heads)
    assert KEY.encode() not in b"".join([*proxy.heads, *proxy.said])


async def test_a_client_of_its_own_takes_all_from_the_environment(
    authority: Authority, tmp_path: Path, start: StartRecipe
) -> None:
    async def walk(environment: str, url: str) -> list[str]:
        (tmp_path / "environment.sh").write_text(environment, "utf-8")
        shell = '. ./environment.sh && exec "$0" -c "$1" "$2"'
        process = start("sh", "-ec", shell, sys.executable, WALK, url, ZILLIZ_API_KEY=KEY)
        out, err = await asyncio.to_thread(process.communicate, timeout=60)
        return [out.strip(), *err.splitlines()[-1:]]

    shown = FILES["environment.sh"].replace("/etc/ssl/certs/corp.pem", str(authority.file))
    async with service(authority) as server, ConnectProxy(server.port) as proxy:
        environment = shown.replace("http://proxy.corp.example:3128", proxy.url)
        assert await walk(environment, f"https://{HOST}") == ["250"]
        assert_blind(proxy)
        through = len(proxy.heads)
        assert await walk(environment, f"https://localhost:{server.port}") == ["250"]
        assert len(proxy.heads) == through


def test_hosts_of_the_company_are_not_behind_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    (hosts,) = re.findall("^export NO_PROXY=(.*)$", FILES["environment.sh"], re.MULTILINE)
    monkeypatch.setenv("NO_PROXY", hosts)
    # aiohttp asks this function.
    assert proxy_bypass("zilliz.corp.example")
    assert not proxy_bypass(HOST)


async def test_a_lent_session_trusts_the_system_and_the_company(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = load(tmp_path, "behind_proxy.py")
    (tmp_path / "public").mkdir()
    public = Authority(tmp_path / "public")
    monkeypatch.setenv("ZILLIZ_API_KEY", KEY)
    monkeypatch.setenv("SSL_CERT_FILE", str(public.file))  # where OpenSSL finds the system's authorities
    monkeypatch.setenv("NO_PROXY", "localhost")
    for issuer in (authority, public):
        async with service(issuer) as server, ConnectProxy(server.port) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            async with module.open_client(str(authority.file), f"https://{HOST}") as client:
                assert [cluster.cluster_id async for cluster in client.iter_clusters()] == IDS
            assert_blind(proxy)
            through = len(proxy.heads)
            async with module.open_client(str(authority.file), f"https://localhost:{server.port}") as client:
                await client.list_clusters()
            assert len(proxy.heads) == through


async def test_without_the_companys_authority_no_key_is_sent(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = load(tmp_path, "behind_proxy.py")
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    monkeypatch.setenv("ZILLIZ_API_KEY", KEY)
    async with service(authority) as server, ConnectProxy(server.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with module.open_client(str(other.file), f"https://{HOST}") as client:
            with pytest.raises(TransportError, match="certificate does not verify"):
                await client.list_clusters()
        assert server.requests == []
        assert_blind(proxy)
