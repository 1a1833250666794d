"""Whatever comes instead of a page, one clear error tells what happened and what to do; and a page after it is taken."""

from __future__ import annotations

import asyncio
import copy
import pickle

import pytest

from aiozilliz import RetryPolicy, TransportError, ZillizClient, ZillizError
from tests.support.failures import FAILURES, MAX_BYTES, RECORDS, Failure, reset, says
from tests.support.fake_time import advance, in_standing_time
from tests.support.listing_server import QUICK, Listing, names, quick_client, read, read_into
from tests.support.wire_server import OK, Exchange, WireServer, response

by_failure = pytest.mark.parametrize("failure", FAILURES, ids=str)


async def list_page(client: ZillizClient) -> object:
    return await client.list_clusters()


async def iterate(client: ZillizClient) -> object:
    return await anext(client.iter_clusters())


async def iterate_concurrently(client: ZillizClient) -> object:
    return await anext(client.iter_clusters(concurrency=3))


@by_failure
async def test_it_is_told_what_happened_and_what_to_do(failure: Failure) -> None:
    async with (
        WireServer(failure.fail) as server,
        quick_client(server.url, max_response_bytes=MAX_BYTES) as client,
    ):
        for ask in (list_page, iterate, iterate_concurrently):
            before = len(server.requests)
            with pytest.raises(ZillizError) as raised:
                await ask(client)
            error = raised.value
            assert type(error) is failure.error
            assert says(failure, str(error)), str(error)
            assert {name: getattr(error, name) for name in failure.values} == failure.values
            assert error.attempts == failure.attempts == len(server.requests) - before
            assert (error.method, error.page) == ("GET", 1)
            assert error.url == f"{server.url}/v2/clusters?pageSize=100&currentPage=1"
            assert error.elapsed is not None
            assert "\n" not in str(error)
            assert len(str(error)) < 1500
            for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
                assert (type(copied), str(copied), vars(copied)) == (type(error), str(error), vars(error))


@by_failure
async def test_a_page_that_comes_after_it_is_taken_where_it_is_tried_again(failure: Failure) -> None:
    async def script(exchange: Exchange) -> None:
        await (failure.fail(exchange) if exchange.number == 1 else exchange.send(OK))

    async with WireServer(script) as server, quick_client(server.url, max_response_bytes=MAX_BYTES) as client:
        asking = asyncio.ensure_future(client.list_clusters())
        await asyncio.wait([asking])
        if failure.attempts > 1:
            assert [cluster.cluster_id for cluster in asking.result().clusters] == ["in01-a"]
        else:
            assert type(asking.exception()) is failure.error
        assert len((await client.list_clusters()).clusters) == 1  # the client is as good as before


@pytest.mark.parametrize("failure", RECORDS[:3], ids=str)
@pytest.mark.parametrize("concurrency", [1, 3])
async def test_pages_before_a_bad_record_are_given(failure: Failure, concurrency: int) -> None:
    listing = Listing(names(6))

    async def script(exchange: Exchange) -> None:
        if exchange.request.page < 3:
            await exchange.send(listing(exchange.request.page, 2))
        else:
            await failure.fail(exchange)

    async with WireServer(script) as server, quick_client(server.url) as client:
        clusters = client.iter_clusters(page_size=2, concurrency=concurrency)
        seen: list[str] = []
        with pytest.raises(failure.error) as raised:
            await read_into(seen, clusters)
        assert seen == names(4)
        assert raised.value.page == 3


@in_standing_time
async def test_a_server_that_accepts_and_says_nothing_runs_into_the_timeout() -> None:
    async def swallow(exchange: Exchange) -> None:
        advance(0.02)
        await exchange.silence()

    async with (
        WireServer(swallow) as server,
        quick_client(server.url, timeout=0.02) as client,
    ):
        with pytest.raises(TransportError, match=r"within 0\.02 s.*2 attempts.*timeout="):
            await client.list_clusters()
        assert len(server.requests) == 2


async def test_a_server_that_drips_runs_into_the_timeout() -> None:
    async def drip(exchange: Exchange) -> None:
        await exchange.send(response(length=10_000))
        for _ in range(10_000):
            await exchange.send(b" ")
            await asyncio.sleep(0.005)

    async with WireServer(drip) as server, quick_client(server.url, timeout=0.05) as client:
        with pytest.raises(TransportError, match=r"within 0\.05 s"):
            await client.list_clusters()


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_a_kept_connection_that_is_reset_at_each_second_request_stops_nothing(concurrency: int) -> None:
    listing = Listing(names(12))
    served: dict[int, int] = {}

    async def script(exchange: Exchange) -> None:
        connection = exchange.request.connection
        served[connection] = served.get(connection, 0) + 1
        if served[connection] == 2:
            await reset(exchange)
        else:
            await exchange.send(listing(exchange.request.page, 2))

    retry = RetryPolicy(attempts=4, wait_initial=0, wait_max=0, wait_jitter=0)
    async with WireServer(script) as server, quick_client(server.url, retry=retry) as client:
        clusters = client.iter_clusters(page_size=2, concurrency=concurrency)
        assert await read(clusters) == (names(12), None)
        assert len(server.requests) > 6


async def test_a_name_that_does_not_resolve_is_told() -> None:
    async with ZillizClient("k", base_url="https://no-such-host.invalid", retry=QUICK) as client:
        with pytest.raises(TransportError, match=r"no-such-host\.invalid.*2 attempts.*base_url"):
            await client.list_clusters()


async def test_a_port_that_nobody_listens_on_is_told() -> None:
    async with WireServer() as server:
        url = server.url
    async with quick_client(url) as client:
        with pytest.raises(TransportError, match=r"(?i)refused.*2 attempts.*base_url"):
            await client.list_clusters()


GOOD: dict[str, bytes] = {
    "code 200": response({"code": 200, "data": {"clusters": [{"clusterId": "a"}]}}),
    "no code": response({"data": {"clusters": [{"clusterId": "a"}]}}),
    "a bare array": response({"code": 0, "data": [{"clusterId": "a"}]}),
    "nulls": response({"code": 0, "data": {"clusters": [{"clusterId": "a", "cuSize": None, "plan": None}]}}),
    "unknown fields": response(
        {"code": 0, "x": 1, "data": {"y": 2, "clusters": [{"clusterId": "a", "z": {"w": [1]}}]}}
    ),
    "a byte order mark": response(b'\xef\xbb\xbf{"code": 0, "data": [{"clusterId": "a"}]}'),
    "half an emoji": response(b'{"code": 0, "data": [{"clusterId": "a", "description": "\\ud83d"}]}'),
    "unknown values": response(
        {"code": 0, "data": [{"clusterId": "a", "status": "DREAMING", "plan": "Gold"}]}
    ),
    "a date that is none": response({"code": 0, "data": [{"clusterId": "a", "createTime": "yesterday"}]}),
    "HTTP 201": response({"code": 0, "data": [{"clusterId": "a"}]}, status=201),
}


@pytest.mark.parametrize("good", GOOD)
async def test_what_is_only_odd_is_taken(good: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(GOOD[good] if exchange.request.page == 1 else response({"code": 0, "data": []}))

    async with WireServer(script) as server, quick_client(server.url) as client:
        assert await read(client.iter_clusters()) == (["a"], None)
