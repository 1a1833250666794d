"""Bodies that others read before the client does: tracing hooks, and agents that wrap aiohttp."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from aiozilliz import RateLimitError, ResponseError, RetryPolicy, ServerError, TransportError, ZillizError
from tests.support.listing_server import names, page_of, quick_client
from tests.support.wire_server import WireServer, answering, response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.wire_server import Exchange, Script

    Look = Callable[[aiohttp.ClientResponse], Awaitable[object]]

BOUND = 10_000
ONCE = RetryPolicy(attempts=1)


async def text(answer: aiohttp.ClientResponse) -> str:
    return await answer.text()


async def read(answer: aiohttp.ClientResponse) -> bytes:
    return await answer.read()


async def json(answer: aiohttp.ClientResponse) -> object:
    return await answer.json(content_type=None)


async def text_and_release(answer: aiohttp.ClientResponse) -> str:
    async with answer:
        return await answer.text()


async def nothing(_: aiohttp.ClientResponse) -> None:
    """Look at nothing."""


LOOKS: dict[str, Look] = {
    "text": text,
    "read": read,
    "json": json,
    "text and release": text_and_release,
    "nothing": nothing,
}

PAGE = page_of(names(300), count=300)
_, _, BODY = PAGE.partition(b"\r\n\r\n")


def chunked(body: bytes, *headers: bytes) -> bytes:
    head = b"\r\n".join([b"HTTP/1.1 200 X", b"Transfer-Encoding: chunked", *headers])
    parts = [body[at : at + 700] for at in range(0, len(body), 700)]
    return head + b"\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


def sending(data: bytes, *, pieces: int = 1, cut: bool = False) -> Script:
    async def script(exchange: Exchange) -> None:
        size = -(-len(data) // pieces)
        for at in range(0, len(data), size):
            await exchange.send(data[at : at + size])
        if cut:
            exchange.cut()

    return script


FORMS = {
    "plain": sending(PAGE),
    "in pieces": sending(PAGE, pieces=9),
    "gzip": sending(response(gzip.compress(BODY), headers=[("Content-Encoding", "gzip")])),
    "chunked": sending(chunked(BODY), pieces=7),
    "chunked gzip": sending(chunked(gzip.compress(BODY), b"Content-Encoding: gzip"), pieces=3),
    "until it closes": sending(b"HTTP/1.1 200 X\r\n\r\n" + BODY, pieces=5, cut=True),
}


def tracing(look: Look, seen: list[object]) -> aiohttp.TraceConfig:
    async def end(_session: Any, _context: Any, params: aiohttp.TraceRequestEndParams) -> None:
        seen.append(await look(params.response))

    config = aiohttp.TraceConfig()
    config.on_request_end.append(end)
    return config


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("form", FORMS)
async def test_a_body_that_hooks_have_read_is_used_all_the_same(form: str, look: str) -> None:
    seen: list[object] = []
    configs = [tracing(LOOKS[look], seen), tracing(LOOKS[look], seen)]
    async with (
        WireServer(FORMS[form]) as server,
        aiohttp.ClientSession(trace_configs=configs) as session,
        quick_client(server.url, session=session, retry=ONCE) as client,
    ):
        for _ in range(2):
            page = await client.list_clusters()
            assert [cluster.cluster_id for cluster in page.clusters] == names(300)
    assert len(seen) == 4
    if look in {"text", "read"}:
        assert seen[0] == (BODY if look == "read" else BODY.decode())


@pytest.mark.parametrize("form", FORMS)
async def test_tracing_is_told_of_a_body_once(form: str) -> None:
    chunks: list[bytes] = []

    async def note(_session: Any, _context: Any, params: aiohttp.TraceResponseChunkReceivedParams) -> None:
        chunks.append(params.chunk)

    config = aiohttp.TraceConfig()
    config.on_response_chunk_received.append(note)
    async with (
        WireServer(FORMS[form]) as server,
        aiohttp.ClientSession(trace_configs=[config]) as session,
        quick_client(server.url, session=session, retry=ONCE) as client,
    ):
        await client.list_clusters()
    assert chunks == [BODY]


async def drip(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await exchange.send(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


BOMB = gzip.compress(b" " * 50_000_000)
TOO_LARGE = {
    "plain": answering(response(b" " * (BOUND + 1))),
    "announced": sending(response(b" " * 10, length=BOUND + 1)),
    "bomb": answering(response(BOMB, headers=[("Content-Encoding", "gzip")])),
    "chunked bomb": answering(chunked(BOMB, b"Content-Encoding: gzip")),
    "endless": drip,
}


@pytest.mark.parametrize("look", ["text", "read", "json", "nothing"])
@pytest.mark.parametrize("form", TOO_LARGE)
async def test_the_bound_holds_while_a_hook_reads(form: str, look: str) -> None:
    async with (
        WireServer(TOO_LARGE[form]) as server,
        aiohttp.ClientSession(trace_configs=[tracing(LOOKS[look], [])]) as session,
        quick_client(server.url, session=session, max_response_bytes=BOUND) as client,
    ):
        tracemalloc.start()
        try:
            with pytest.raises(ZillizError) as caught:
                await client.list_clusters()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert type(caught.value) is ResponseError
        assert "the limit of 10000 bytes" in str(caught.value)
        assert caught.value.attempts == 1
        assert peak < 5_000_000
        if form in {"announced", "endless"}:
            await server.all_closed()


async def test_a_hook_that_catches_everything_changes_nothing_of_the_bound() -> None:
    caught: list[Exception] = []

    async def careful(answer: aiohttp.ClientResponse) -> None:
        try:
            await answer.text()
        except Exception as error:  # noqa: BLE001
            caught.append(error)

    async with (
        WireServer(TOO_LARGE["bomb"]) as server,
        aiohttp.ClientSession(trace_configs=[tracing(careful, [])]) as session,
        quick_client(server.url, session=session, max_response_bytes=BOUND) as client,
    ):
        with pytest.raises(ResponseError, match="the limit of 10000 bytes"):
            await client.list_clusters()
    assert [isinstance(error, aiohttp.ClientPayloadError) for error in caught] == [True]


@pytest.mark.parametrize("look", ["text", "nothing"])
async def test_a_refusal_counts_whose_body_is_too_large_for_a_hook(look: str) -> None:
    refusal = response(b"x" * (BOUND + 1), status=429, headers=[("Retry-After", "7")])
    async with (
        WireServer(answering(refusal)) as server,
        aiohttp.ClientSession(trace_configs=[tracing(LOOKS[look], [])]) as session,
        quick_client(server.url, session=session, max_response_bytes=BOUND, retry=ONCE) as client,
    ):
        with pytest.raises(RateLimitError) as caught:
            await client.list_clusters()
    assert caught.value.retry_after == 7


@pytest.mark.parametrize("look", ["read", "nothing"])
async def test_a_body_that_is_cut_under_a_hook_is_what_it_is_without(look: str) -> None:
    async with (
        WireServer(sending(PAGE[:-9], cut=True)) as server,
        aiohttp.ClientSession(trace_configs=[tracing(LOOKS[look], [])]) as session,
        quick_client(server.url, session=session) as client,
    ):
        with pytest.raises(TransportError, match="cut short") as caught:
            await client.list_clusters()
        assert caught.value.attempts == 2
        server.script = answering(response(status=503))
        with pytest.raises(ServerError):
            await client.list_clusters()


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bound", [None, 100])
async def test_a_body_that_an_agent_has_read_is_used_all_the_same(
    form: str, look: str, bound: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The way in which agents wrap aiohttp, own sessions included.
    plain = aiohttp.ClientSession._request

    async def wrapped(self: aiohttp.ClientSession, *args: Any, **kwargs: Any) -> aiohttp.ClientResponse:
        answer = await plain(self, *args, **kwargs)
        await LOOKS[look](answer)
        return answer

    monkeypatch.setattr(aiohttp.ClientSession, "_request", wrapped)
    options = {} if bound is None else {"max_response_bytes": bound}
    async with WireServer(FORMS[form]) as server, quick_client(server.url, retry=ONCE, **options) as client:
        if bound is None:
            assert len((await client.list_clusters()).clusters) == 300
        else:
            with pytest.raises(ResponseError, match="the limit of 100 bytes"):
                await client.list_clusters()


@pytest.mark.parametrize("failure", [ValueError, asyncio.CancelledError])
async def test_an_agent_that_fails_with_the_response_in_its_hands_leaves_no_connection(
    failure: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = aiohttp.ClientSession._request
    kept: list[aiohttp.ClientResponse] = []

    async def wrapped(self: aiohttp.ClientSession, *args: Any, **kwargs: Any) -> aiohttp.ClientResponse:
        kept.append(await plain(self, *args, **kwargs))
        raise failure

    monkeypatch.setattr(aiohttp.ClientSession, "_request", wrapped)
    async with (
        WireServer(sending(PAGE[:-9])) as server,
        aiohttp.ClientSession() as session,
        quick_client(server.url, session=session, retry=ONCE) as client,
    ):
        with pytest.raises(TransportError, match=failure.__name__):
            await client.list_clusters()
        assert [answer.closed for answer in kept] == [True]
        await server.all_closed()


@pytest.mark.parametrize("encoding", ["br", "zstd"])
async def test_an_encoding_that_was_not_asked_for_and_cant_be_read_is_named(encoding: str) -> None:
    # Whether aiohttp can decompress it is a matter of what else is installed.
    page = answering(response(b"{}", headers=[("Content-Encoding", encoding)]))
    async with WireServer(page) as server, quick_client(server.url) as client:
        with pytest.raises(TransportError, match="decompressed") as caught:
            await client.list_clusters()
        assert len(server.requests) == 2
        assert server.requests[0].get("Accept-Encoding") == ["gzip, deflate"]
        if "encoding" in str(caught.value):
            assert "proxies and load balancers" in caught.value.advice
