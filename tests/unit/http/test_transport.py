from __future__ import annotations

import asyncio
import base64
import errno
import gzip
import os
import pickle
import ssl
import subprocess
import sys
import traceback
import tracemalloc
import warnings
import zlib
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import pytest
import trustme
from aiohttp import client_exceptions
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from aiozilliz import (
    Account,
    APIError,
    ConfigurationError,
    Inventory,
    ResponseError,
    RetryPolicy,
    ServerError,
    TransportError,
    ZillizClient,
    ZillizError,
)
from aiozilliz._http.aiohttp_errors import describe
from tests.support.fake_time import advance, in_standing_time
from tests.support.running import complaints
from tests.support.wire_server import OK, Exchange, Received, Script, WireServer, answering, listing, response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

KEY = "key0123456789abcdefghij"
ONCE = RetryPolicy(attempts=1)


async def ask(server: WireServer, **settings: Any) -> ZillizError | None:
    """Ask for one page, in one attempt; give the error, if any."""
    settings = {"base_url": server.url, "retry": ONCE, "limiter": None, **settings}
    async with ZillizClient(KEY, **settings) as client:
        try:
            await client.list_clusters()
        except ZillizError as error:
            return error
    return None


# What a failure on the wire becomes


async def reset(exchange: Exchange) -> None:
    exchange.reset()


async def cut(exchange: Exchange) -> None:
    exchange.cut()


async def cut_body(exchange: Exchange) -> None:
    await exchange.send(response(b'{"code":', length=1000))
    exchange.cut()


async def reset_in_body(exchange: Exchange) -> None:
    await exchange.send(response(b'{"code":', length=1000))
    exchange.reset()


async def silent(exchange: Exchange) -> None:
    await exchange.silence()


def sending(data: bytes) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.send(data)
        exchange.cut()

    return script


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (reset, "lost before a response arrived: Connection reset by peer"),
        (cut, "lost before a response arrived: the service closed it"),
        (cut_body, "cut short"),
        (reset_in_body, "cut short"),
        (sending(b"SSH-2.0-OpenSSH\r\n\r\n"), "no valid HTTP"),
        (
            sending(b"HTTP/1.1 200 X\r\nX: " + b"y" * 10_000),
            "more headers, or a longer one, than can be read",
        ),
        (
            sending(b"HTTP/1.1 200 X\r\n" + b"y" * 10_000 + b": 1\r\n\r\n"),
            "or a longer one, than can be read",
        ),
        (sending(b"HTTP/1.1 200 X\r\n" + b"X: 1\r\n" * 1_000 + b"\r\n"), "more headers, or a longer one"),
        (sending(response(b"no gzip", headers=[("Content-Encoding", "gzip")])), "can't be decompressed"),
    ],
)
async def test_a_failure_on_the_wire_is_a_transport_error_that_says_what_happened(
    script: Script, text: str
) -> None:
    async with WireServer(script) as server:
        error = await ask(server)
        assert isinstance(error, TransportError)
        assert text in str(error)
        assert error.retryable
        assert error.__cause__ is None
        assert error.__context__ is None
        assert error.attempts == len(server.requests) == 1
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


async def test_a_refused_connection_is_named() -> None:
    async with WireServer() as server:
        pass
    error = await ask(server)
    assert isinstance(error, TransportError)
    assert "The connection failed: Connection refused" in str(error)
    assert error.retryable


async def test_a_host_that_is_not_found_is_named() -> None:
    class Nowhere(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
            raise OSError(None, "no such host")

        async def close(self) -> None:
            pass

    async with (
        WireServer() as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Nowhere())) as session,
    ):
        error = await ask(server, session=session, base_url="https://nowhere.example")
        assert isinstance(error, TransportError)
        assert "The host name can't be resolved: nowhere.example" in str(error)


@pytest.mark.parametrize(
    "bound", [0.05, aiohttp.ClientTimeout(total=0.05), aiohttp.ClientTimeout(sock_read=0.05)]
)
@pytest.mark.parametrize("start", [b"", response(b"{", length=9)])
async def test_an_attempt_ends_with_its_timeout(bound: float | aiohttp.ClientTimeout, start: bytes) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(start)
        await exchange.silence()

    async with WireServer(script) as server:
        error = await ask(server, timeout=bound)
        assert isinstance(error, TransportError)
        assert error.retryable
        await server.all_closed()


async def test_a_timeout_of_more_than_five_seconds_is_not_rounded_up() -> None:
    # aiohttp would; the loop's clock tells at once what the timer was set to.
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] | None = getattr(loop, "_scheduled", None)
    if timers is None:
        pytest.skip("this event loop does not show its timers")
    async with (
        WireServer(silent) as server,
        ZillizClient(KEY, base_url=server.url, timeout=7.3, retry=ONCE) as client,
    ):
        before = loop.time()
        task = asyncio.create_task(client.list_clusters())
        await server.received(1)
        after = loop.time()
        assert any(before + 7.3 <= timer.when() <= after + 7.3 for timer in timers)
        task.cancel()
        await asyncio.wait([task])


def test_every_exception_of_aiohttp_has_its_words() -> None:
    kinds = {kind for kind in vars(client_exceptions).values() if isinstance(kind, type)}
    # The base URL was checked, redirects are not followed, and there is no body to upload.
    impossible = (aiohttp.InvalidURL, client_exceptions.RedirectClientError)
    plain = {
        aiohttp.ClientError,
        client_exceptions.NonHttpUrlClientError,
        getattr(
            client_exceptions, "UploadAbortedError", aiohttp.ClientError
        ),  # newer than the oldest that will do
    }
    for kind in kinds - plain:
        if not issubclass(kind, aiohttp.ClientError) or issubclass(kind, impossible):
            continue
        error = kind.__new__(kind)
        fields = {
            "_os_error": OSError(111, ""),
            "_certificate_error": OSError(),
            "_conn_key": SimpleNamespace(host="h"),
            "status": 502,
        }
        vars(error).update(fields)
        text, advice, _ = describe(error)
        assert advice
        assert "could not be sent" not in text, kind


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_what_to_do_without_descriptors_is_not_to_check_the_network(number: int) -> None:
    key = SimpleNamespace(host="h", port=443, ssl=True)
    error = aiohttp.ClientConnectorError(cast("Any", key), OSError(number, ""))
    text, advice, retryable = describe(error)
    assert (os.strerror(number) in text, retryable) == (True, True)
    assert "limit of open files" in advice
    assert "network" not in advice


# One attempt is one request


async def test_aiohttps_silent_second_sending_is_off() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.number % 2:
            await exchange.send(OK)
        else:
            exchange.reset()

    async with WireServer(script) as server:
        async with ZillizClient(KEY, base_url=server.url, retry=ONCE, limiter=None) as client:
            for turn in range(1, 4):
                await client.list_clusters()
                with pytest.raises(TransportError) as caught:
                    await client.list_clusters()
                assert caught.value.lost_connection
                assert len(server.requests) == 2 * turn
        assert [request.connection for request in server.requests] == [1, 1, 2, 2, 3, 3]


# The body


async def drip(exchange: Exchange) -> None:
    """Send a body without an end, in chunks."""
    await exchange.send(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await exchange.send(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


BOMB = gzip.compress(b" " * 50_000_000)


@pytest.mark.parametrize(
    "script",
    [
        answering(response(b" " * 10_001)),
        sending(response(length=10_001)),  # it is refused by what it announces
        drip,
        answering(response(BOMB, headers=[("Content-Encoding", "gzip")])),
    ],
    ids=["plain", "announced", "endless", "bomb"],
)
async def test_a_body_above_the_bound_is_refused_while_it_is_read(script: Script) -> None:
    async with WireServer(script) as server:
        tracemalloc.start()
        try:
            error = await ask(server, max_response_bytes=10_000)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert type(error) is ResponseError
        assert "the limit of 10000 bytes" in str(error)
        assert "max_response_bytes" in error.advice
        assert not error.retryable
        assert peak < 5_000_000
        await server.all_closed()


async def test_a_body_of_exactly_the_bound_is_read() -> None:
    body = b'{"code":0,"data":[]}'
    packed = zlib.compress(body)
    answers = answering(response(body), response(packed, headers=[("Content-Encoding", "deflate")]))
    async with WireServer(answers) as server:
        assert await ask(server, max_response_bytes=len(body)) is None
        assert await ask(server, max_response_bytes=len(body)) is None
        assert isinstance(await ask(server, max_response_bytes=len(body) - 1), ResponseError)


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (response(b"x" * 20_000, status=403), APIError, 403),
        (response(b"{", status=503, length=100), ServerError, 503),
        (response(b"no gzip", status=404, headers=[("Content-Encoding", "gzip")]), APIError, 404),
    ],
    ids=["large", "cut", "garbled"],
)
async def test_a_status_says_enough_where_the_body_is_of_no_use(
    data: bytes, kind: type[APIError], status: int
) -> None:
    async with WireServer(sending(data)) as server:
        error = await ask(server, max_response_bytes=10_000)
        assert isinstance(error, kind)
        assert error.status == status


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_error_and_the_other_host_is_not_asked(status: int) -> None:
    async with WireServer() as other:
        location = ("Location", f"{other.url}/there?key={KEY}")
        async with WireServer(answering(response(status=status, headers=[location]))) as server:
            error = await ask(server)
        assert type(error) is ResponseError
        assert f"{other.url}/there" in str(error)
        assert KEY not in str(error)
        assert other.connections == 0


# TLS


def server_context(authority: trustme.CA, *names: str, expires: datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf: Any = authority.issue_cert(*names, not_after=expires)
    leaf.configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> aiohttp.TCPConnector:
    context = ssl.create_default_context()
    cast("Any", authority).configure_trust(context)
    return aiohttp.TCPConnector(ssl=context)


async def test_a_borrowed_session_brings_its_own_certificate_authority() -> None:
    authority = trustme.CA()
    async with (
        WireServer(tls=server_context(authority, "127.0.0.1")) as server,
        aiohttp.ClientSession(connector=trusting(authority)) as session,
    ):
        assert await ask(server, session=session) is None
        assert server.requests[0].get("Authorization") == [f"Bearer {KEY}"]


@pytest.mark.parametrize("fault", ["issuer", "host", "expired"])
async def test_a_certificate_that_does_not_verify_is_tried_once(fault: str) -> None:
    authority = trustme.CA()
    name = "other.example" if fault == "host" else "127.0.0.1"
    expires = datetime(2020, 1, 1, tzinfo=UTC) if fault == "expired" else None
    async with WireServer(tls=server_context(authority, name, expires=expires)) as server:
        session = aiohttp.ClientSession(connector=trusting(trustme.CA() if fault == "issuer" else authority))
        async with session:
            error = await ask(server, session=session, retry=RetryPolicy(attempts=5))
        assert isinstance(error, TransportError)
        assert "certificate does not verify" in str(error)
        assert not error.retryable
        assert error.attempts == 1
        assert error.__context__ is None
        assert server.requests == []


async def test_an_own_session_does_not_trust_a_stranger() -> None:
    async with WireServer(tls=server_context(trustme.CA(), "127.0.0.1")) as server:
        error = await ask(server)
        assert "certificate does not verify" in str(error)


async def test_a_server_that_speaks_no_tls_is_named() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as plain, WireServer() as server:
        port = plain.sockets[0].getsockname()[1]
        error = await ask(server, base_url=f"https://127.0.0.1:{port}")
        assert isinstance(error, TransportError)
        assert "The TLS handshake failed: WRONG_VERSION_NUMBER" in str(error)


# A borrowed session


def sent(request: Received) -> list[tuple[str, str]]:
    return sorted(pair for pair in request.headers if pair[0] != "Host")


def basic_auth() -> aiohttp.BasicAuth:
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        return aiohttp.BasicAuth("lender", "secret")


@asynccontextmanager
async def lent(**settings: Any) -> AsyncGenerator[aiohttp.ClientSession, None]:
    async with aiohttp.ClientSession(**settings) as session:
        yield session
        assert not session.closed


async def never(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    raise AssertionError("a middleware of the lender ran")


DEFAULTS = {
    "Authorization": "Basic bGVuZGVy",
    "cookie": "a=b",
    "Host": "elsewhere.example",
    "accept": "text/html",
    "ACCEPT-ENCODING": "br",
    "user-agent": "lender/1",
    "X-Foo": "bar",
    "x-lower": "case",
    "Expect": "100-continue",
    "Connection": "close",
    "Content-Length": "5",
    "Content-Type": "text/plain",
    "Transfer-Encoding": "chunked",
    "Range": "bytes=0-1",
}

LENDERS: list[dict[str, Any]] = [
    {},
    {"headers": DEFAULTS},
    {"headers": [("X-Foo", "a"), ("x-foo", "b"), ("Cookie", "c=d")]},
    {"skip_auto_headers": ["User-Agent", "Accept"]},
    {"cookies": {"a": "b"}, "cookie_jar": "unsafe"},
    {"base_url": "https://elsewhere.example/"},
    {"raise_for_status": True},
    {"timeout": aiohttp.ClientTimeout(total=1e-9, sock_read=1e-9)},
    {"middlewares": (never,)},
    {"auto_decompress": False},
    {"trust_env": True},
    {"trust_env": True, "headers": DEFAULTS},
]


@pytest.mark.parametrize("settings", LENDERS, ids=lambda settings: ",".join(settings) or "plain")
@pytest.mark.parametrize("auth", [False, True], ids=["", "auth"])
async def test_a_borrowed_session_sends_what_an_own_one_does(
    settings: dict[str, Any], auth: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1\nlogin lender\npassword secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    if settings.get("cookie_jar"):
        settings = {**settings, "cookie_jar": aiohttp.CookieJar(unsafe=True)}
    packed = response(gzip.compress(b'{"code":0,"data":[]}'), headers=[("Content-Encoding", "gzip")])
    async with WireServer(answering(packed)) as server:
        assert await ask(server) is None
        if auth:
            settings = {**settings, "auth": basic_auth()}
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            session = aiohttp.ClientSession(**settings)
        before = {name: repr(value) for name, value in vars(session).items()}
        assert await ask(server, session=session) is None
        assert {name: repr(value) for name, value in vars(session).items()} == before
        assert not session.closed
        await session.close()
        own, borrowed = server.requests
        assert sent(borrowed) == sent(own)
        assert borrowed.get("Host") == own.get("Host") == [server.url.removeprefix("http://")]
        assert borrowed.get("Authorization") == [f"Bearer {KEY}"]
        assert borrowed.target == own.target


async def test_only_a_borrowed_session_reads_netrc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "missing"))  # aiohttp complains when it wants to read it
    async with WireServer() as server, lent(trust_env=True) as session:
        assert await ask(server) is None
        assert "netrc" not in caplog.text
        assert await ask(server, session=session) is None
        assert "netrc" in caplog.text


async def test_raise_for_status_of_the_lender_changes_no_error() -> None:
    async with WireServer(answering(response(status=404))) as server, lent(raise_for_status=True) as session:
        assert type(await ask(server, session=session)) is APIError


@pytest.mark.parametrize("trust_env", [False, True])
async def test_headers_that_tracing_adds_go_along(trust_env: bool) -> None:
    async def start(session: aiohttp.ClientSession, context: Any, params: Any) -> None:
        params.headers["traceparent"] = "00-1-2-01"
        params.headers["X-Foo"] = "traced"
        starts.append(params.url)

    starts: list[Any] = []
    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(start)
    headers = {
        "X-Foo": "lender",
        "X-Bar": "lender",
        "traceparent": "stale",
        "Authorization": "Basic bGVuZGVy",
    }
    async with (
        WireServer() as server,
        lent(trace_configs=[tracing], headers=headers, trust_env=trust_env) as session,
    ):
        assert await ask(server, session=session) is None
        (request,) = server.requests
        assert request.get("traceparent") == ["00-1-2-01"]
        assert request.get("X-Foo") == ["traced"]
        assert request.get("X-Bar") == []
        assert request.get("Authorization") == [f"Bearer {KEY}"]
        assert len(starts) == 1


async def test_instrumentation_of_all_sessions_sees_a_request_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # The way in which OpenTelemetry patches the class.
    starts: list[Any] = []

    async def start(session: aiohttp.ClientSession, context: Any, params: Any) -> None:
        starts.append(params.url)

    plain = aiohttp.ClientSession.__init__

    def patched(self: aiohttp.ClientSession, *args: Any, **kwargs: Any) -> None:
        tracing = aiohttp.TraceConfig()
        tracing.on_request_start.append(start)
        plain(self, *args, **{**kwargs, "trace_configs": [*(kwargs.get("trace_configs") or ()), tracing]})

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", patched)
    async with (
        WireServer() as server,
        lent(headers={"Authorization": "Basic bGVuZGVy"}, trust_env=True) as session,
    ):
        assert await ask(server, session=session) is None
        assert len(starts) == 1
        assert await ask(server) is None
        assert len(starts) == 2


# Proxies


async def test_a_borrowed_sessions_proxy_is_used() -> None:
    async with WireServer() as proxy, WireServer() as server, lent(proxy=proxy.url) as session:
        assert await ask(server, session=session) is None
        assert proxy.requests[0].target.startswith(f"{server.url}/v2/clusters")
        assert server.connections == 0


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic bGVuZGVy"}])
async def test_a_proxy_of_the_environment_is_used_where_the_lender_trusts_it(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        WireServer() as proxy,
        WireServer() as server,
        lent(trust_env=True, headers=headers) as session,
    ):
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert await ask(server, session=session) is None
        assert len(proxy.requests) == 1
        assert server.connections == 0


async def test_a_stand_in_for_a_borrowed_session_passes_its_proxy_credentials_on() -> None:
    refused = response(status=407)
    auth = basic_auth()
    async with WireServer(answering(refused)) as proxy:
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            session = aiohttp.ClientSession(
                proxy=proxy.url, proxy_auth=auth, auth=auth, headers={"Authorization": "Basic bGVuZGVy"}
            )
        async with session:
            error = await ask(proxy, session=session, base_url="https://service.example")
        assert "The proxy refused the connection: HTTP 407" in str(error)
        assert proxy.requests[0].get("Proxy-Authorization") == [auth.encode()]


@pytest.mark.parametrize("lower", [False, True])
async def test_an_own_session_takes_the_proxy_from_the_environment(
    lower: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def setenv(name: str, value: str) -> None:
        monkeypatch.setenv(name.lower() if lower else name, value)

    async with WireServer() as proxy, WireServer() as server:
        setenv("HTTP_PROXY", proxy.url)
        assert await ask(server) is None
        assert (len(proxy.requests), len(server.requests)) == (1, 0)
        setenv("HTTP_PROXY", proxy.url.removeprefix("http://"))
        assert await ask(server) is None
        assert (len(proxy.requests), len(server.requests)) == (2, 0)
        for bypass in ("127.0.0.1", server.url.removeprefix("http://"), "*"):
            setenv("NO_PROXY", bypass)
            assert await ask(server) is None
        assert (len(proxy.requests), len(server.requests)) == (2, 3)


async def test_an_own_session_reaches_https_through_the_proxy_which_never_sees_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with WireServer(answering(response(status=502))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//user:pass@"))
        error = await ask(proxy, base_url="https://service.example")
        assert isinstance(error, TransportError)
        assert "HTTP 502" in str(error)
        assert error.retryable
        (request,) = proxy.requests
        assert (request.method, request.target) == ("CONNECT", "service.example:443")
        assert request.get("Proxy-Authorization") == ["Basic dXNlcjpwYXNz"]
        assert KEY not in str(request.headers)


async def test_a_proxy_that_is_down_is_named_without_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    async with WireServer() as proxy:
        pass
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//user:hunter2@"))
    error = await ask(proxy, base_url="https://service.example")
    assert "The connection to the proxy failed: Connection refused" in str(error)
    assert "hunter2" not in repr(error)


UNUSABLE_PROXIES = {
    "socks5://user:hunter2@127.0.0.1:1": "it is SOCKS",
    "SOCKS5h://127.0.0.1:1": "it is SOCKS",
    "ftp://user:hunter2@127.0.0.1:1": "does not begin with http:// or https://",
    "http://": "no host, or an invalid port",
    "http://h:port": "invalid host or port",
    "http://h:65536": "invalid host or port",
    "http://h:0": "no host, or an invalid port",
    "h:hunter2": "invalid host or port",
    "http://user:hunter2#@127.0.0.1:1": "percent-encoded",
    "http://user:1#hunter2@127.0.0.1:1": "percent-encoded",
    "http://user:1/hunter2@127.0.0.1:1": "percent-encoded",
    "http://user:hun/ter2@127.0.0.1:1": "percent-encoded",
    "http://user:1?hunter2@127.0.0.1:1": "percent-encoded",
    "http://127.0.0.1:1#hunter2": "a query or a fragment",
    "http://user:hun ter2@127.0.0.1:1": "white space",
    "http://user:hun\tter2@127.0.0.1:1": "white space",
    "http://user:hunter2\u20ac@127.0.0.1:1": "can't be sent",
    "http://[::1": "invalid host or port",
    "http://::1:3128": "invalid host or port",
}


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("proxy", UNUSABLE_PROXIES)
async def test_a_proxy_that_cant_be_used_is_an_error_on_entering(
    proxy: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, proxy)
    async with WireServer() as server:
        client = ZillizClient(KEY, base_url=server.url)
        with pytest.raises(ConfigurationError, match=f"environment variable {name} can't be used") as caught:
            await client.__aenter__()
        inventory = Inventory([Account("a", KEY, base_url=server.url)])
        with pytest.raises(ConfigurationError, match=f"environment variable {name} can't be used"):
            await inventory.__aenter__()
        assert server.connections == 0
        error = caught.value
        assert UNUSABLE_PROXIES[proxy] in error.message
        assert ("ProxyConnector of aiohttp-socks" in error.message) is ("SOCKS" in error.message)
        assert_conceals(error)
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        assert "hun" not in str(error)
        assert "hunter2" not in shown.replace(f"proxy = {proxy!r}", "")  # this test's own frame
        async with aiohttp.ClientSession() as session:  # a borrowed one has proxies of its own
            assert await ask(server, session=session) is None


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "All_Proxy"])
@pytest.mark.parametrize("form", ["{}", "  {} ", "{}\n", "\t{}/", "HTTP:{}"])
async def test_a_proxy_is_found_under_each_name_with_blanks_around_it(
    name: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with WireServer() as proxy, WireServer() as server:
        url = proxy.url.removeprefix("http:") if form.startswith("HTTP:") else proxy.url
        monkeypatch.setenv(name, form.format(url))
        assert await ask(server) is None
        assert (len(proxy.requests), server.connections) == (1, 0)


async def test_the_schemes_own_proxy_comes_before_the_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async with WireServer() as proxy, WireServer() as server:
        monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert await ask(server) is None
        assert len(proxy.requests) == 1
        monkeypatch.setenv("HTTP_PROXY", " ")  # as if it were not set
        with pytest.raises(ConfigurationError, match="environment variable ALL_PROXY"):
            await ask(server)
        assert server.connections == 0


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://h:port"])
async def test_a_proxy_that_is_not_for_this_host_is_not_looked_at(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with WireServer() as server:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("NO_PROXY", "example.com , 127.0.0.1")
        assert await ask(server) is None
        monkeypatch.delenv("NO_PROXY")
        monkeypatch.delenv("HTTP_PROXY")
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        assert await ask(server) is None
        assert len(server.requests) == 2


async def test_a_proxys_password_is_sent_as_it_was_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    async with WireServer(answering(response(status=407))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//us%40er:p%23a%2Fs%3As@"))
        error = await ask(proxy, base_url="https://service.example")
        assert isinstance(error, TransportError)
        assert "The proxy refused the connection: HTTP 407" in str(error)
        assert "user name and password into its URL" in error.advice
        assert not error.retryable
        sent = proxy.requests[0].get("Proxy-Authorization")[0].removeprefix("Basic ")
        assert base64.b64decode(sent) == b"us@er:p#a/s:s"


async def test_a_proxy_may_have_an_ipv6_address(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        writer.write(OK)
        await writer.drain()
        writer.close()

    try:
        proxy = await asyncio.start_server(answer, "::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with proxy, WireServer() as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://[::1]:{proxy.sockets[0].getsockname()[1]}")
        assert await ask(server) is None
        assert asked.is_set()
        assert server.connections == 0


async def test_the_key_never_goes_in_clear_to_a_proxy_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = "http://proxy.example:3128"
    async with WireServer() as server:
        async with lent(proxy=elsewhere) as session:
            error = await ask(server, session=session)
        assert isinstance(error, ConfigurationError)
        assert error.attempts == 1
        monkeypatch.setenv("HTTP_PROXY", elsewhere)
        assert await ask(server) is None  # an own session goes there directly
        assert len(server.requests) == 1


# Life


async def test_a_client_is_used_between_entering_and_closing() -> None:
    async with WireServer() as server:
        client = ZillizClient(KEY, base_url=server.url)
        with pytest.raises(RuntimeError, match="not entered"):
            await client.list_clusters()
        async with client:
            with pytest.raises(RuntimeError, match="already entered"):
                await client.__aenter__()
            await client.list_clusters()
        with pytest.raises(RuntimeError, match="closed"):
            await client.list_clusters()
        await client.aclose()


async def test_a_borrowed_session_that_its_owner_has_closed_is_a_runtime_error() -> None:
    async with WireServer(silent) as server:
        session = aiohttp.ClientSession()
        patient = RetryPolicy(wait_initial=1000, wait_max=1000, deadline=5000)
        client = ZillizClient(KEY, base_url=server.url, session=session, retry=patient)
        task = asyncio.create_task(client.list_clusters())
        await server.received(1)
        await session.close()
        with pytest.raises(RuntimeError, match="borrowed session is closed") as caught:
            await task
        assert caught.value.__context__ is None
        with pytest.raises(RuntimeError, match="borrowed session is closed"):
            await client.list_clusters()
        assert len(server.requests) == 1
        await client.aclose()


@in_standing_time
async def test_a_session_that_its_owner_closes_under_a_body_ends_the_call_with_its_timeout() -> None:
    async def half(exchange: Exchange) -> None:
        await exchange.send(OK[:-9])
        await exchange.silence()

    began = asyncio.Event()

    async def end(*_: object) -> None:
        began.set()

    tracing = aiohttp.TraceConfig()
    tracing.on_request_end.append(end)
    async with WireServer(half) as server:
        session = aiohttp.ClientSession(trace_configs=[tracing])
        client = ZillizClient(KEY, base_url=server.url, session=session, timeout=0.2)
        task = asyncio.create_task(client.list_clusters())
        await began.wait()
        await session.close()
        advance(0.2)
        with pytest.raises(RuntimeError, match="borrowed session is closed"):
            await task
        assert len(server.requests) == 1


def test_a_client_belongs_to_one_event_loop() -> None:
    async def use(client: ZillizClient) -> None:
        async with client:
            pass

    async def misuse(client: ZillizClient) -> None:
        with pytest.raises(RuntimeError, match="another event loop"):
            await client.list_clusters()

    client = ZillizClient(KEY, base_url="http://127.0.0.1:1")
    asyncio.run(use(client))
    asyncio.run(misuse(client))


LEAVES_NOTHING = """
import asyncio, gc, sys, warnings
import aiohttp
from aiozilliz import RetryPolicy, TransportError, ZillizClient
from tests.support.wire_server import OK, WireServer

async def reset(exchange):
    exchange.reset()

async def silent(exchange):
    await exchange.silence()

async def flood(exchange):
    await exchange.send(b"HTTP/1.1 200 X\\r\\nContent-Length: 90000000\\r\\n\\r\\n")
    while True:
        await exchange.send(b" " * 65536)

async def main():
    for script in (None, reset, silent, flood):
        async with WireServer(script) as server:
            client = ZillizClient("k" * 20, base_url=server.url, retry=RetryPolicy(attempts=2, wait_jitter=0))
            async with client:
                task = asyncio.create_task(client.list_clusters())
                await server.received(1)
                if script in (None, reset):
                    await asyncio.wait([task])
            try:
                await task
            except (RuntimeError, TransportError) as error:
                print(type(error).__name__)
            await server.all_closed()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            assert not others, others
    gc.collect()

asyncio.run(main(), debug=True)
gc.collect()
"""


def test_nothing_is_left_behind() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", LEAVES_NOTHING],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["TransportError", "RuntimeError", "RuntimeError"]
    told = complaints(done.stderr)
    assert "Warning" not in told
    assert "Error" not in told
    assert "never" not in told


# The key


def reveals(value: object, depth: int = 2) -> bool:
    """Tell whether the key is in a value in clear: itself, its repr, what it contains, its attributes."""
    if isinstance(value, (str, bytes)):
        return KEY in (value if isinstance(value, str) else value.decode("latin-1"))
    with suppress(Exception):  # what is half built has no repr
        if KEY in repr(value):
            return True
    if depth == 0:
        return False
    held, inner = value, list[object]()
    if isinstance(value, dict):
        inner += cast("dict[object, object]", value).items()
    elif isinstance(value, (list, tuple, set, frozenset)):
        inner += cast("list[object]", value)
    slots = [name for cls in type(held).__mro__ for name in getattr(cls, "__slots__", ())]
    inner += [getattr(held, name, None) for name in (*getattr(held, "__dict__", {}), *slots)]
    return any(reveals(part, depth - 1) for part in inner)


def assert_conceals(error: BaseException) -> None:
    assert not reveals(error)
    assert not reveals(str(error))
    assert not reveals(error.args)
    assert not reveals(pickle.dumps(error))
    assert not reveals("".join(traceback.format_exception(error)))
    assert error.__cause__ is None
    assert error.__context__ is None
    seen = 0
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename != __file__:
            seen += 1
            for name, value in frame.f_locals.items():
                assert not reveals(value), (frame.f_code.co_qualname, name)
    assert seen


def test_the_search_for_the_key_finds_it() -> None:
    class Holder:
        def __init__(self) -> None:
            self.headers = {"Authorization": f"Bearer {KEY}"}

    assert reveals(Holder())
    assert reveals([("a", KEY.encode())])
    assert not reveals(["nothing", {"a": 1}])


ECHO = f"your key {KEY} is not welcome"
REQUEST_ID = ("requestid", f"id-{KEY}")
RECORD = {"clusterId": f"in01-{KEY}", "cuSize": f"{KEY}"}


@pytest.mark.parametrize(
    "script",
    [
        reset,
        cut,
        cut_body,
        silent,
        sending(f"{KEY} is no HTTP\r\n\r\n".encode()),
        answering(response({"code": 21119, "message": ECHO}, status=401, headers=[REQUEST_ID])),
        answering(response({"code": 500, "message": ECHO}, headers=[REQUEST_ID])),
        answering(response({"code": 7, "message": "x" * 480 + KEY})),  # cut within the key
        answering(response(ECHO.encode(), status=503, headers=[("Retry-After", "0"), REQUEST_ID])),
        answering(response(status=302, headers=[("Location", f"https://host.example/{KEY}/?k={KEY}")])),
        answering(response({"code": 0, "data": {"clusters": [RECORD]}})),
        answering(response({"code": KEY})),
        answering(response(b"x" * 5_000)),
    ],
)
@pytest.mark.parametrize("callable_key", [False, True])
@pytest.mark.parametrize("attempts", [1, 2])
async def test_the_key_is_nowhere(
    script: Script, callable_key: bool, attempts: int, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0  # so that asyncio tells of every step
    caplog.set_level("DEBUG")
    async with WireServer(script) as server:
        async with ZillizClient(
            (lambda: KEY) if callable_key else KEY,
            base_url=server.url,
            timeout=aiohttp.ClientTimeout(sock_read=0.2),
            retry=RetryPolicy(attempts=attempts, wait_initial=0, wait_jitter=0),
            limiter=None,
            max_response_bytes=4_000,
        ) as client:
            with pytest.raises(ZillizError) as caught:
                await client.list_clusters()
        assert_conceals(caught.value)
        assert KEY[:12] not in str(caught.value)
        assert [request.get("Authorization") for request in server.requests] == [[f"Bearer {KEY}"]] * len(
            server.requests
        )
    loop.set_debug(False)
    assert caplog.records
    for record in caplog.records:
        assert KEY not in record.getMessage()
        assert KEY not in repr(vars(record))


async def test_the_key_is_not_yet_there_when_tracing_reads_the_headers() -> None:
    seen: list[dict[str, str]] = []

    async def start(session: aiohttp.ClientSession, context: Any, params: Any) -> None:
        seen.append(dict(params.headers))

    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(start)
    async with WireServer() as server, lent(trace_configs=[tracing]) as session:
        assert await ask(server, session=session) is None
        assert len(seen) == 1
        assert not reveals(seen)


async def test_pages_of_different_prefixes_are_asked_below_the_base_url() -> None:
    async with WireServer(answering(response(listing("in01-a")))) as server:
        assert await ask(server, base_url=f"{server.url}/a/b%20c/") is None
        assert server.requests[0].target == "/a/b%20c/v2/clusters?pageSize=100&currentPage=1"


async def test_a_region_of_any_characters_is_asked_as_it_is() -> None:
    region = "aws us/é%2F&x=1+;#"
    async with WireServer(answering(response(listing()))) as server:
        async with ZillizClient(KEY, base_url=f"{server.url}/a/b%20ü", limiter=None) as client:
            await client.list_clusters(region=region)
            await client.list_clusters()
        with_region, without = (URL(request.target, encoded=True) for request in server.requests)
        assert dict(with_region.query) == {"pageSize": "100", "currentPage": "1", "region": region}
        assert str(without) == "/a/b%20%C3%BC/v2/clusters?pageSize=100&currentPage=1"
        assert with_region.raw_path == without.raw_path
