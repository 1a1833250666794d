"""Walks over the list through nginx: whatever it does to connections and bodies, nothing is lost or asked twice."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from aiozilliz import ResponseError, RetryPolicy, TransportError
from aiozilliz.testing import FakeZillizCloud
from tests.support.listing_server import Listing, names, quick_client, read
from tests.support.wire_server import OK, Exchange, WireServer, answering, listing, response

if TYPE_CHECKING:
    from aiozilliz import ZillizClient
    from tests.middleboxes.conftest import StartNginx

CLUSTERS, PAGE_SIZE, PAGES = 250, 10, 25
AT_ONCE = RetryPolicy(wait_initial=0.0, wait_jitter=0.0)

concurrent = pytest.mark.parametrize("concurrency", [1, 4])


async def assert_whole(client: ZillizClient, cloud: FakeZillizCloud, concurrency: int = 1) -> None:
    """Walk, and show that every cluster came in order, and that the service was asked for each page once."""
    before = len(cloud.requests)
    ids, end = await read(client.iter_clusters(page_size=PAGE_SIZE, concurrency=concurrency))
    assert end is None
    assert ids == [cluster["clusterId"] for cluster in cloud.clusters]
    asked = cloud.requests[before:]
    assert sorted(request.page or 0 for request in asked) == list(range(1, PAGES + 1))


def header(cloud: FakeZillizCloud, name: str) -> list[str]:
    return [request.headers[name] for request in cloud.requests]


# Connections


@concurrent
@pytest.mark.parametrize("requests", [1, 2, 5])
async def test_a_walk_outlives_connections_that_serve_a_few_requests_each(
    requests: int, concurrency: int, nginx: StartNginx
) -> None:
    async with FakeZillizCloud(CLUSTERS) as cloud:
        box = nginx(f"keepalive_requests {requests}; location / {{ proxy_pass {cloud.url}; }}")
        async with quick_client(box.url, retry=RetryPolicy(attempts=1)) as client:
            await assert_whole(client, cloud, concurrency)
        connections = header(cloud, "X-Connection")
        assert len(set(connections)) >= math.ceil(PAGES / requests)
        assert max(connections.count(each) for each in connections) == requests


@concurrent
@pytest.mark.parametrize("keepalive", ["0", "1ms"])
async def test_a_walk_outlives_a_keep_alive_that_is_shorter_than_its_own(
    keepalive: str, concurrency: int, nginx: StartNginx
) -> None:
    async with FakeZillizCloud(CLUSTERS) as cloud:
        box = nginx(f"keepalive_timeout {keepalive}; location / {{ proxy_pass {cloud.url}; }}")
        async with quick_client(box.url, retry=AT_ONCE) as client:
            for _ in range(3):
                await assert_whole(client, cloud, concurrency)


@concurrent
async def test_a_walk_outlives_reloads_of_the_box(concurrency: int, nginx: StartNginx) -> None:
    async with FakeZillizCloud(CLUSTERS) as cloud:
        box = nginx(f"location / {{ proxy_pass {cloud.url}; }}")
        workers = [box.worker]

        @cloud.between_pages
        def reload(request: Any) -> None:
            if request.page in {6, 12, 18}:  # others are under way
                box.reload()
                workers.append(box.worker)

        async with quick_client(box.url, retry=AT_ONCE) as client:
            await assert_whole(client, cloud, concurrency)
        assert len(set(workers)) == 4
        assert list(dict.fromkeys(map(int, header(cloud, "X-Worker")))) == workers


async def test_a_snapshot_is_proven_through_reloads_of_the_box(nginx: StartNginx) -> None:
    async with FakeZillizCloud(CLUSTERS) as cloud:
        box = nginx(f"location / {{ proxy_pass {cloud.url}; }}")

        @cloud.between_pages
        def reload() -> None:
            if len(cloud.requests) % 10 == 0:
                box.reload()

        async with quick_client(box.url, retry=AT_ONCE) as client:
            snapshot = await client.snapshot(page_size=PAGE_SIZE)
        assert snapshot.consistent
        assert len(snapshot.clusters) == CLUSTERS


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_the_upstream_may_be_spoken_to_in_either_version_of_http(
    version: str, nginx: StartNginx
) -> None:
    async with FakeZillizCloud(CLUSTERS) as cloud:
        upstream = f"upstream service {{ server {urlsplit(cloud.url).netloc}; keepalive 8; }}"
        box = nginx(
            f"""location / {{
                proxy_pass http://service; proxy_http_version {version}; proxy_set_header Connection "";
            }}""",
            http=upstream,
        )
        async with quick_client(box.url) as client:
            await assert_whole(client, cloud, 3)
        connections = len({request.connection for request in cloud.requests})
        assert connections == PAGES if version == "1.0" else connections <= 3


# Bodies

GZIP = "gzip on; gzip_proxied any; gzip_min_length 1; gzip_types application/json;"


async def test_compressed_pages_are_read(nginx: StartNginx) -> None:
    seen: list[tuple[str | None, str | None]] = []

    async def end(session: aiohttp.ClientSession, context: Any, params: Any) -> None:
        headers = params.response.headers
        seen.append((headers.get("Content-Encoding"), headers.get("Transfer-Encoding")))

    tracing = aiohttp.TraceConfig()
    tracing.on_request_end.append(end)
    async with FakeZillizCloud(CLUSTERS) as cloud:
        box = nginx(f"{GZIP} location / {{ proxy_pass {cloud.url}; }}")
        async with quick_client(box.url) as client:
            await assert_whole(client, cloud, 3)
        async with (
            aiohttp.ClientSession(trace_configs=[tracing]) as session,
            quick_client(box.url, session=session) as client,
        ):
            await assert_whole(client, cloud, 3)
    assert seen == [("gzip", "chunked")] * PAGES


async def test_the_bound_on_a_body_holds_for_what_a_box_has_compressed(nginx: StartNginx) -> None:
    records = [{"clusterId": name, "description": "x" * 1000} for name in names(50)]
    async with FakeZillizCloud(records) as cloud:
        box = nginx(f"{GZIP} location / {{ proxy_pass {cloud.url}; }}")
        async with quick_client(box.url, max_response_bytes=40_000) as client:
            with pytest.raises(ResponseError, match=r"limit of 40000 bytes.*max_response_bytes") as raised:
                await client.list_clusters()
            assert raised.value.attempts == 1
            assert len((await client.list_clusters(page_size=20)).clusters) == 20


@pytest.mark.parametrize("buffering", ["on", "off"])
async def test_chunked_pages_of_an_upstream_are_read(buffering: str, nginx: StartNginx) -> None:
    ids = names(300)
    pages = Listing(ids)

    async def chunked(exchange: Exchange) -> None:
        body = pages(exchange.request.page, 100).partition(b"\r\n\r\n")[2]
        await exchange.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for start in range(0, len(body), 700):
            part = body[start : start + 700]
            await exchange.send(b"%x\r\n%b\r\n" % (len(part), part))
        await exchange.send(b"0\r\n\r\n")

    async with WireServer(chunked) as server:
        box = nginx(
            f"location / {{ proxy_pass {server.url}; proxy_http_version 1.1; proxy_buffering {buffering}; }}"
        )
        async with quick_client(box.url) as client:
            assert await read(client.iter_clusters(concurrency=3)) == (ids, None)


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_page_whose_upstream_dies_half_way_is_asked_again(
    compressed: bool, nginx: StartNginx
) -> None:
    whole = response(listing(*names(200)), headers=[("Content-Type", "application/json")])

    async def script(exchange: Exchange) -> None:
        await exchange.send(whole if exchange.number > 1 else whole[: len(whole) // 2])
        exchange.cut()

    async with WireServer(script) as server:
        box = nginx(f"{GZIP if compressed else ''} location / {{ proxy_pass {server.url}; }}")
        async with quick_client(box.url) as client:
            assert len((await client.list_clusters()).clusters) == 200
        assert len(server.requests) == 2


# Time


async def test_a_slow_upstream_is_waited_for(nginx: StartNginx) -> None:
    go_on = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        half = len(OK) // 2
        await exchange.send(OK[:half])
        await go_on.wait()
        await exchange.send(OK[half:])

    async with WireServer(script) as server:
        box = nginx(f"location / {{ proxy_pass {server.url}; proxy_buffering off; }}")
        async with quick_client(box.url) as client:
            page = asyncio.create_task(client.list_clusters())
            await server.received(1)
            assert not page.done()
            go_on.set()
            assert len((await page).clusters) == 1
        assert len(server.requests) == 1


@pytest.mark.parametrize("end", ["timeout", "cancel", "close"])
async def test_a_request_that_is_given_up_ends_behind_the_box_too(end: str, nginx: StartNginx) -> None:
    async with WireServer(lambda exchange: exchange.silence()) as server:
        box = nginx(f"location / {{ proxy_pass {server.url}; }}")
        timeout = 0.2 if end == "timeout" else 30.0
        async with quick_client(box.url, timeout=timeout, retry=RetryPolicy(attempts=1)) as client:
            page = asyncio.create_task(client.list_clusters())
            await server.received(1)
            if end == "cancel":
                page.cancel()
            elif end == "close":
                await client.aclose()
            await asyncio.wait([page])
            kind = {"timeout": TransportError, "cancel": asyncio.CancelledError, "close": RuntimeError}[end]
            with pytest.raises(kind):
                await page
            await server.all_closed()


# Addresses


@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_service_may_stand_below_a_prefix(slash: str, nginx: StartNginx) -> None:
    async with FakeZillizCloud(CLUSTERS) as cloud:
        box = nginx(f"location /zilliz/ {{ proxy_pass {cloud.url}/; }}")
        async with quick_client(f"{box.url}/zilliz{slash}") as client:
            await assert_whole(client, cloud, 3)
        assert {request.path for request in cloud.requests} == {"/v2/clusters"}


async def test_the_key_arrives_and_nothing_of_the_client_is_lost(nginx: StartNginx) -> None:
    async with WireServer(answering(OK)) as server:
        box = nginx(f"location / {{ proxy_pass {server.url}; }}")
        async with quick_client(box.url, "key0123456789") as client:
            await client.list_clusters(current_page=3, page_size=7)
        (request,) = server.requests
        assert request.target == "/v2/clusters?pageSize=7&currentPage=3"
        assert request.get("Authorization") == ["Bearer key0123456789"]
        assert request.get("Accept") == ["application/json"]
