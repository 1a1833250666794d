"""OpenTelemetry's instrumentation of aiohttp and stamina's hooks tell all of a call, and never the key."""

from __future__ import annotations

import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import stamina.instrumentation
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor, create_trace_config
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from aiozilliz import ZillizError
from aiozilliz.testing import FakeZillizCloud, Fault
from tests.cookbook.recipes import FILES
from tests.secrecy.test_failures import FAULTS
from tests.support.detector import KEY, assert_silent, has_key
from tests.support.failures import FAILURES, MAX_BYTES, TRANSPORT, Failure
from tests.support.listing_server import quick_client
from tests.support.running import complaints
from tests.support.wire_server import WireServer, answering

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from opentelemetry.sdk.trace import ReadableSpan
    from stamina.instrumentation import RetryDetails

    from aiozilliz import ZillizClient

STATUS = "http.status_code"


class Traced:
    """What was told of a call: a span for each attempt, and the retries between them."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter
        self.retries: list[RetryDetails] = []

    def tell_retry(self, details: RetryDetails) -> None:
        self.retries.append(details)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    @property
    def statuses(self) -> list[Any]:
        return [(span.attributes or {}).get(STATUS) for span in self.spans]

    @property
    def texts(self) -> list[str]:
        return [span.to_json() for span in self.spans]


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Generator[Traced, None, None]:
    """Instrument aiohttp and stamina, and capture all headers that can be captured."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST", ".*")
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    told = Traced(exporter)
    AioHttpClientInstrumentor().instrument(tracer_provider=provider)
    stamina.instrumentation.set_on_retry_hooks([told.tell_retry])
    try:
        yield told
    finally:
        stamina.instrumentation.set_on_retry_hooks(None)
        AioHttpClientInstrumentor().uninstrument()
        provider.shutdown()


@asynccontextmanager
async def own(url: str) -> AsyncGenerator[ZillizClient, None]:
    async with quick_client(url, KEY, max_response_bytes=MAX_BYTES) as client:
        yield client


@asynccontextmanager
async def borrowed(url: str) -> AsyncGenerator[ZillizClient, None]:
    async with (
        aiohttp.ClientSession() as session,
        quick_client(url, KEY, session=session, max_response_bytes=MAX_BYTES) as client,
    ):
        yield client


@asynccontextmanager
async def borrowed_with_a_key_of_its_own(url: str) -> AsyncGenerator[ZillizClient, None]:
    async with (
        aiohttp.ClientSession(headers={"Authorization": "lender"}, trust_env=True) as session,
        quick_client(url, KEY, session=session, max_response_bytes=MAX_BYTES) as client,
    ):
        yield client


WAYS = [own, borrowed, borrowed_with_a_key_of_its_own]


@pytest.mark.parametrize("way", WAYS)
async def test_each_attempt_is_a_span_and_each_retry_is_told(way: Any, traced: Traced) -> None:
    async with FakeZillizCloud(clusters=3, api_key=KEY) as cloud, way(cloud.url) as client:
        cloud.fail_next(Fault.status(503))
        await client.list_clusters()

    assert traced.statuses == [503, 200]
    assert [type(details.caused_by).__name__ for details in traced.retries] == ["ServerError"]
    sent = [request.headers["traceparent"].split("-") for request in cloud.requests]
    contexts = [span.context for span in traced.spans]
    assert all(contexts)
    assert [(int(trace, 16), int(span, 16)) for _, trace, span, _ in sent] == [
        (context.trace_id, context.span_id) for context in contexts if context
    ]
    assert all(".request.header." in text for text in traced.texts)  # so that their silence means something
    assert not any(map(has_key, traced.texts))
    assert not has_key(traced.retries)


async def test_a_lost_connection_is_a_span_without_a_status(traced: Traced) -> None:
    async with FakeZillizCloud(clusters=3, api_key=KEY) as cloud, own(cloud.url) as client:
        cloud.fail_next(Fault.reset())
        await client.list_clusters()

    assert traced.statuses == [None, 200]
    assert not traced.spans[0].status.is_ok


@pytest.mark.parametrize("failure", FAILURES, ids=str)
async def test_no_span_of_a_failure_holds_the_key(failure: Failure, traced: Traced) -> None:
    for way in (own, borrowed):
        async with WireServer(failure.fail) as server, way(server.url) as client:
            with pytest.raises(ZillizError):
                await client.list_clusters()
            assert server.requests[0].get("traceparent")
    assert traced.spans
    assert not any(map(has_key, traced.texts))


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in {"delay", "a repeated page"}])
async def test_no_span_of_a_fault_holds_the_key(fault: str, traced: Traced) -> None:
    async with FakeZillizCloud(clusters=3, api_key=KEY) as cloud, own(cloud.url) as client:
        cloud.fail_next(FAULTS[fault][0], times=None)
        with pytest.raises(ZillizError):
            await client.list_clusters()
    assert traced.spans
    assert not any(map(has_key, traced.texts))


@pytest.mark.parametrize("status", [200, 401, 503])
@pytest.mark.parametrize("reason", [f"Bad {KEY}", f"Bad {KEY[4:14].upper()}", "Not This Time", ""])
async def test_no_reason_that_a_trace_hook_gets_holds_the_key(status: int, reason: str) -> None:
    told: list[str | None] = []

    async def note(_session: Any, _context: Any, params: aiohttp.TraceRequestEndParams) -> None:
        told.append(params.response.reason)  # sentry-sdk puts it into a breadcrumb

    config = aiohttp.TraceConfig()
    config.on_request_end.append(note)
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\n\r\n".encode()
    async with (
        WireServer(answering(head)) as server,
        aiohttp.ClientSession(trace_configs=[config]) as session,
        quick_client(server.url, KEY, session=session) as client,
    ):
        with pytest.raises(ZillizError):
            await client.list_clusters()
    assert set(told) == {"Bad <key>" if reason.startswith("Bad") else reason}


@pytest.mark.parametrize("failure", TRANSPORT, ids=str)
async def test_no_exception_that_a_trace_hook_gets_holds_the_key(failure: Failure) -> None:
    told: list[BaseException] = []

    async def note(_session: Any, _context: Any, params: aiohttp.TraceRequestExceptionParams) -> None:
        told.append(params.exception)

    config = aiohttp.TraceConfig()
    config.on_request_exception.append(note)
    async with (
        WireServer(failure.fail) as server,
        aiohttp.ClientSession(trace_configs=[config]) as session,
        quick_client(server.url, KEY, session=session) as client,
    ):
        with pytest.raises(ZillizError):
            await client.list_clusters()
    for error in told:
        assert_silent(error, frames=False)
    assert told or failure.name in {"half an answer", "not the gzip it says"}  # these fail after the head


async def test_what_was_instrumented_too_late_is_not_traced() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with FakeZillizCloud(clusters=3, api_key=KEY) as cloud, own(cloud.url) as early:
        AioHttpClientInstrumentor().instrument(tracer_provider=provider)
        try:
            await early.list_clusters()
            assert not exporter.get_finished_spans()
            async with own(cloud.url) as late:
                await late.list_clusters()
            assert len(exporter.get_finished_spans()) == 1
        finally:
            AioHttpClientInstrumentor().uninstrument()


async def test_one_session_alone_can_be_traced() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    config = create_trace_config(tracer_provider=provider)
    async with (
        FakeZillizCloud(clusters=3, api_key=KEY) as cloud,
        aiohttp.ClientSession(trace_configs=[config]) as session,
        quick_client(cloud.url, KEY, session=session) as client,
    ):
        await client.list_clusters()
    assert len(exporter.get_finished_spans()) == 1


async def test_a_planted_key_in_a_span_is_found(traced: Traced) -> None:
    async with (
        WireServer() as server,
        aiohttp.ClientSession() as session,
        session.get(f"{server.url}?currentPage=1", headers={"X-Planted": KEY}) as response,
    ):
        await response.read()
    assert any(map(has_key, traced.texts))


BEFORE = """
import asyncio
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
"""
AFTER = """
for span in exporter.get_finished_spans():
    print(span.name, span.parent is not None, dict(span.attributes).get("http.status_code"))
    for event in span.events:
        print(event.name, event.attributes["attempt"], event.attributes["cause"])
"""
SET_PROVIDER = """
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
"""


@pytest.mark.parametrize("provider", ["before", "after"])
def test_the_example_traces_a_walk_wherever_its_provider_is_set(
    provider: str, fake_zilliz_cloud: FakeZillizCloud, strict_environment: dict[str, str]
) -> None:
    imports, setup = FILES["traced.py"].split("\n\n\n", 1)
    setup, call = setup.split("\n\n\nasync def main", 1)
    parts = [imports, SET_PROVIDER, setup] if provider == "before" else [imports, setup, SET_PROVIDER]
    program = "\n".join([BEFORE, *parts, f"async def main{call}", AFTER])
    fake_zilliz_cloud.fail_next(Fault.status(503))

    done = subprocess.run(
        [sys.executable, "-c", program],
        env=strict_environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    (line,) = complaints(done.stderr).splitlines()  # of the logger, as nobody has set up logging
    assert "page 1: attempt 1 of 5 failed, retrying in " in line
    assert done.stdout.splitlines() == [
        "250 clusters",
        "GET True 503",
        "GET True 200",
        "GET True 200",
        "GET True 200",
        "inventory False None",
        "retry 1 ServerError",
    ]
