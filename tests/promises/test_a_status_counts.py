"""A status that has arrived counts, whatever becomes of its body, and so does its `Retry-After`."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import aiohttp
import orjson
import pytest

from aiozilliz import (
    APIError,
    AuthenticationError,
    RateLimitError,
    ResponseError,
    RetryPolicy,
    ServerError,
    TransportError,
    ZillizClient,
    ZillizError,
)
from tests.support.fake_time import advance, in_standing_time
from tests.support.wire_server import Exchange, Script, WireServer

BODY = orjson.dumps({"code": 96001, "message": "in full"})
GZIPPED = gzip.compress(BODY)

KINDS: dict[int, type[ZillizError]] = {
    401: AuthenticationError,
    403: AuthenticationError,
    404: APIError,
    429: RateLimitError,
    503: ServerError,
    302: ResponseError,
    600: ResponseError,
}

LONG_ENOUGH = 2.0
"""Seconds in which the heads of all responses of a test arrive, on any machine."""

SETTINGS: dict[str, dict[str, Any]] = {
    "timeout": {"timeout": LONG_ENOUGH},
    "deadline": {"timeout": 30.0, "retry": RetryPolicy(attempts=1, deadline=LONG_ENOUGH)},
    "deadline, no timeout": {
        "timeout": aiohttp.ClientTimeout(),
        "retry": RetryPolicy(attempts=1, deadline=LONG_ENOUGH),
    },
    "sock_read": {"timeout": aiohttp.ClientTimeout(sock_read=LONG_ENOUGH)},
}


def head(status: int, *headers: str, retry_after: int = 3600) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *headers, f"Retry-After: {retry_after}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def open_client(server: WireServer, **settings: Any) -> ZillizClient:
    defaults: dict[str, Any] = {"base_url": server.url, "limiter": None, "retry": RetryPolicy(attempts=1)}
    return ZillizClient("key", **{**defaults, **settings})


def status_of(page: int) -> int:
    return list(KINDS)[page % len(KINDS)]


def hangs_at_page(*, chunked: bool) -> Script:
    """Script: as many bytes of the body as the page's number says, less one; then nothing more."""

    async def script(exchange: Exchange) -> None:
        page = exchange.request.page
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(BODY)}"
        body = f"{len(BODY):x}\r\n".encode() + BODY if chunked else BODY
        # All are refused at once: none must be held back by the refusal of another.
        await exchange.send(head(status_of(page), length, retry_after=0) + body[: page - 1])
        await exchange.silence()

    return script


@pytest.mark.parametrize("settings", SETTINGS)
async def test_a_body_that_hangs_at_any_byte(settings: str) -> None:
    await asyncio.gather(*(check_hanging_bodies(settings, chunked=chunked) for chunked in (False, True)))


async def check_hanging_bodies(settings: str, *, chunked: bool) -> None:
    async with (
        WireServer(hangs_at_page(chunked=chunked)) as server,
        open_client(server, **SETTINGS[settings]) as client,
    ):
        pages = range(1, len(BODY) + 1)
        calls = [client.list_clusters(current_page=page) for page in pages]
        found: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    for page, error in zip(pages, found, strict=True):
        assert type(error) is KINDS[status_of(page)]
        assert getattr(error, "status", status_of(page)) == status_of(page)
        assert (error.page, error.attempts, error.method) == (page, 1, "GET")
        assert error.__cause__ is error.__context__ is None


@pytest.mark.parametrize("settings", SETTINGS)
async def test_its_retry_after_counts_too(settings: str) -> None:
    await asyncio.gather(*(check_retry_after(status, settings) for status in (429, 503)))


async def check_retry_after(status: int, settings: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(head(status, "Content-Length: 100") + b"{")
        await exchange.silence()

    async with WireServer(script) as server, open_client(server, **SETTINGS[settings]) as client:
        with pytest.raises(KINDS[status]) as caught:
            await client.list_clusters()
        assert isinstance(caught.value, APIError)
        assert caught.value.retry_after == 3600
        with pytest.raises(TransportError, match="the pause that the service asked for"):
            await client.list_clusters()
        assert len(server.requests) == 1


async def cut(exchange: Exchange) -> None:
    await exchange.send(head(429, "Content-Length: 100") + b"{")
    exchange.cut()


async def no_gzip(exchange: Exchange) -> None:
    await exchange.send(head(429, f"Content-Length: {len(BODY)}", "Content-Encoding: gzip") + BODY)


async def half_gzip(exchange: Exchange) -> None:
    half = GZIPPED[:-9]
    await exchange.send(head(429, f"Content-Length: {len(half)}", "Content-Encoding: gzip") + half)


async def too_large(exchange: Exchange) -> None:
    await exchange.send(head(429, "Content-Length: 100000") + b" " * 100_000)


@pytest.mark.parametrize("script", [cut, no_gzip, half_gzip, too_large])
async def test_a_body_that_is_cut_or_unreadable(script: Script) -> None:
    async with WireServer(script) as server, open_client(server, max_response_bytes=50_000) as client:
        with pytest.raises(RateLimitError) as caught:
            await client.list_clusters()
        assert caught.value.retry_after == 3600
        assert len(server.requests) == 1


@in_standing_time
async def test_a_refusal_whose_body_hangs_is_tried_again_as_others_are() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(head(503, "Content-Length: 100", retry_after=0))
        for _ in range(9):  # the head arrives
            await asyncio.sleep(0)
        advance(0.1)
        await exchange.silence()

    policy = RetryPolicy(attempts=3, wait_initial=0, wait_jitter=0)
    async with WireServer(script) as server, open_client(server, retry=policy, timeout=0.1) as client:
        with pytest.raises(ServerError) as caught:
            await client.list_clusters()
        assert caught.value.attempts == len(server.requests) == 3


async def test_a_page_whose_body_hangs_has_not_arrived() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(head(200, f"Content-Length: {len(BODY)}") + BODY[:-1])
        await exchange.silence()

    async with WireServer(script) as server, open_client(server, timeout=0.1) as client:
        with pytest.raises(TransportError, match=r"No complete response within 0\.1 s"):
            await client.list_clusters()


async def hang(exchange: Exchange) -> None:
    await exchange.send(head(429, "Content-Length: 100") + b"{")
    await exchange.silence()


def tell_of_heads(trace: aiohttp.TraceConfig) -> asyncio.Event:
    """Give an event that is set when the head of a response has arrived."""
    arrived = asyncio.Event()

    async def on_request_end(*_: object) -> None:
        arrived.set()

    trace.on_request_end.append(on_request_end)
    return arrived


async def call_until(arrived: asyncio.Event, client: ZillizClient) -> None:
    """Call under a timeout of the caller's own, which is over when the head has arrived."""
    async with asyncio.timeout(None) as block:
        waiting = asyncio.create_task(arrived.wait())
        waiting.add_done_callback(lambda _: block.reschedule(0.0))
        await client.list_clusters()


@pytest.mark.parametrize("how", ["cancel", "timeout", "close"])
async def test_a_cancellation_of_the_callers_own_stays_one_though_the_status_is_known(how: str) -> None:
    trace = aiohttp.TraceConfig()
    arrived = tell_of_heads(trace)
    async with WireServer(hang) as server, aiohttp.ClientSession(trace_configs=[trace]) as session:
        client = open_client(server, session=session)
        if how == "timeout":
            with pytest.raises(TimeoutError):
                await call_until(arrived, client)
        else:
            task = asyncio.create_task(client.list_clusters())
            await arrived.wait()
            await asyncio.sleep(0)  # it reads the body now
            if how == "close":
                await client.aclose()
                with pytest.raises(RuntimeError, match="closed"):
                    await task
                return
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        with pytest.raises(TransportError, match="the pause that the service asked for"):
            await client.list_clusters()
        assert len(server.requests) == 1
