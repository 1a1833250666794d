"""The only caller of aiohttp: a session, one request on the wire, and the bounds on its response.

aiohttp's exceptions and its frames hold the request's headers, and so the key, and a proxy's password. `send` lets them
pass; its caller catches all of them, also cancellations, and raises what `aiohttp_errors.failure_of` makes of each, or the
cancellation without these frames, once its own `except` block has been left.
"""

from __future__ import annotations

import asyncio
import logging
import math
import select
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import finalize

import aiohttp
from aiohttp import hdrs
from attrs import define, field
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from aiozilliz import __version__
from aiozilliz._aio.cancel_scope import SharedTimer
from aiozilliz._aio.limiter import DecodeTurn
from aiozilliz._http.aiohttp_errors import (
    AttemptTimeoutError,
    ClearTextProxyError,
    ConnectionLostError,
    reason_of,
)
from aiozilliz._settings.checks import check_count, check_seconds, is_loopback
from aiozilliz._settings.tracebacks import Replacement

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Mapping

    from aiohttp.connector import Connection

    from aiozilliz._settings.credentials import Secret

logger = logging.getLogger("aiozilliz")

_HEADERS: Final = CIMultiDict[str](
    {
        hdrs.ACCEPT: "application/json",
        hdrs.ACCEPT_ENCODING: "gzip, deflate",
        hdrs.CACHE_CONTROL: "no-cache",  # a listing of now, from whatever stands between
        hdrs.USER_AGENT: f"aiozilliz/{__version__} aiohttp/{aiohttp.__version__}",
    }
)
_NO_HEADERS: Final = CIMultiDictProxy(CIMultiDict[str]())


@define(eq=False)
class Answer:
    """A response that has been read.

    Attributes:
        status: The HTTP status.
        headers: The response headers, by name in any case.
        body: The body as decompressed, or None if it is larger than the bound; it was then not read to its end.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)  # like the headers it may repeat the key


class Transport:
    """A session of aiohttp and how one request is sent over it.

    Args:
        session: A borrowed session, or None for one of our own, made by `open()`.
        timeout: Seconds for one attempt, or aiohttp's finer times.
        max_response_bytes: Bound on a body as decompressed.

    Attributes:
        timer: Of all requests over this session.
        turn: Likewise.

    Raises:
        TypeError: An argument is of another type.
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession | None,
        timeout: float | aiohttp.ClientTimeout,
        max_response_bytes: int,
    ) -> None:
        if session is not None and not isinstance(session, aiohttp.ClientSession):
            raise TypeError(f"session must be an aiohttp.ClientSession, not {type(session).__name__}")
        self._lender = session
        self._session: aiohttp.ClientSession | None = None
        self._new_connections: aiohttp.ClientSession | None = None  # keeps none for a second request
        proxies: dict[str, str | None] = {}  # a URL may hold a password, so no attribute shows them
        self._proxy_of: Callable[[str], str | None] = proxies.get
        self.timer = SharedTimer()
        self.turn = DecodeTurn()
        self._timeout, self._finer = _split_timeout(timeout)
        self.max_response_bytes = check_count("max_response_bytes", max_response_bytes)

    def open(self, base_urls: Iterable[str]) -> None:
        """Make a session of our own, and read the proxies of these URLs from the environment.

        A borrowed session has proxies of its own, and is used from the first request on.
        """
        if self._lender is None:
            proxies = {base_url: _environment_proxy(base_url) for base_url in base_urls}
            self._proxy_of = proxies.get
            self._session = _own_session(force_close=False)
            self._new_connections = _own_session(force_close=True)

    async def close(self) -> None:
        """Close our session, but not the connections of a borrowed one. Nothing may be in flight."""
        self.timer.close()
        if self._session is not None:
            if self._lender is None:
                await self._session.close()
            else:
                self._session.detach()
        if self._new_connections is not None:
            await self._new_connections.close()

    def check(self) -> bool:
        """Return whether there is a session, or can be one.

        Raises:
            RuntimeError: The session is closed.
        """
        session = self._lender or self._session
        if session is not None and session.closed:
            raise RuntimeError("the borrowed session is closed" if self._lender else "the session is closed")
        return session is not None

    async def send(self, base_url: str, url: str, secret: Secret, *, afresh: bool = False) -> Answer:
        """Send one request and read its response, within the timeout.

        Args:
            base_url: Selects the proxy of a session of our own.
            url: What to request.
            secret: The key.
            afresh: Whether to open a connection for it. There is no public way to ask that of a borrowed pool: aiohttp
                closes the connection that failed, and may take another kept one.

        Returns:
            The response.

        Raises:
            Exception: Anything of aiohttp's, which holds the key: the caller must not let it pass.
        """
        session = (afresh and self._new_connections) or self._session
        if session is None:
            assert self._lender is not None, "`check` is called before"
            session = self._session = _session_over(self._lender)
            # A client over a borrowed session need not be closed. aiohttp would complain of ours, which owns nothing.
            finalize(self, session.detach)
        block = asyncio.Timeout(None)
        try:
            async with block:
                if self._timeout is not None:
                    self.timer.set(block, asyncio.get_running_loop().time() + self._timeout)
                # `async with` would do no more than this for a request without a body.
                response = await session.get(
                    url,
                    headers=_HEADERS.copy(),  # a new one, as agents that wrap aiohttp write into it
                    timeout=self._finer,
                    proxy=self._proxy_of(base_url),
                    middlewares=(_Sender(secret, borrowed=self._lender is not None),),
                    allow_redirects=False,
                )
                try:
                    body = await self._read(response)
                except (aiohttp.ClientError, ConnectionError):
                    if response.status < HTTPStatus.BAD_REQUEST:
                        raise
                    body = b""  # the status says enough
                finally:
                    response.release()
                return Answer(response.status, response.headers, body)
        except TimeoutError:
            if not block.expired():  # one of aiohttp's finer times
                raise
        finally:
            self.timer.clear(block)
        raise AttemptTimeoutError(self._timeout)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes | None:
        announced = response.content_length
        if announced is not None and hdrs.CONTENT_ENCODING not in response.headers:
            if announced <= self.max_response_bytes:
                content = response.content
                # A small page has mostly come whole, together with its headers.
                return content.read_nowait() if content.is_eof() else await content.read()
            response.close()
            return None
        # Compressed, or of unknown length: count what arrives, so that a small body can't become a huge one.
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self.max_response_bytes:
                response.close()
                return None
            chunks.append(chunk)
        return b"".join(chunks)


class _Sender:
    """A middleware: what is done to a request in the last moment, and one request is only sent once.

    Args:
        secret: The key.
        borrowed: Whether the connections, and so the proxies, are somebody else's.
    """

    __slots__ = ("_borrowed", "_secret")

    def __init__(self, secret: Secret, *, borrowed: bool) -> None:
        self._secret = secret
        self._borrowed = borrowed

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self._borrowed and request.proxy is not None and not request.is_ssl():
            _check_clear_text_proxy(request.proxy.host)
        _authorize(request, self._secret)
        try:
            return await handler(request)
        except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, ConnectionError) as error:
            # aiohttp would silently send the request again after these.
            replacement = Replacement(ConnectionLostError(reason_of(error)))
        except aiohttp.ClientResponseError as error:
            # Its text quotes what arrived, and it holds our headers; tracing is told of it, and writes it down.
            without_headers = aiohttp.RequestInfo(request.url, request.method, _NO_HEADERS, request.url)
            replacement = Replacement(type(error)(without_headers, (), status=error.status))
        raise replacement.take()


def _authorize(request: aiohttp.ClientRequest, secret: Secret) -> None:
    """Write the header with the key.

    It is not one of `headers=`: aiohttp refuses it together with what `.netrc` says of the host. And it stands in a
    function of its own, whose frame is gone when the request is awaited: a tracing hook gets exceptions with all frames
    of aiohttp's, and error trackers evaluate what stands in the source lines around the current one.
    """
    request.headers[hdrs.AUTHORIZATION] = f"Bearer {secret.reveal()}"


def _check_clear_text_proxy(host: str | None) -> None:
    if not is_loopback(host):
        raise ClearTextProxyError


_KEPT: Final = 100
"""Kept connections that are looked at for one request, at most."""


class _Connector(aiohttp.TCPConnector):
    """Takes no kept connection again on which anything has arrived since its last response.

    aiohttp takes that for the next response: if a server or proxy sends a response twice, each one comes one too late.
    It closes a connection that has unread bytes when it is given back, but does not look again when it is taken.

    What can't be had: a response that is still on its way when the next request goes out looks like the response to
    that. `wire` finds out if it is for another page; for the same page, of another account perhaps, nothing can tell.
    Nor can kept connections of a borrowed session be looked at: aiohttp shows a connection to its connector only.
    """

    def __init__(self, *, force_close: bool) -> None:
        # The connections are bounded by who asks, not by the pool.
        super().__init__(limit=0, force_close=force_close)  # pyright: ignore[reportUnknownMemberType]
        self._sockets = _Sockets()

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Connection:  # noqa: ASYNC109  # aiohttp's own
        connection = await super().connect(req, traces, timeout)
        left = _KEPT
        while self._has_unread(connection) and left:
            left -= 1
            connection.close()
            connection = await super().connect(req, traces, timeout)
        # A new connection has had no response: what speaks first there is no HTTP, and the request will say so.
        return connection

    def _has_unread(self, connection: Connection) -> bool:
        """Return whether something has arrived that nobody has read, if only that the other side has closed."""
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or protocol.should_close:
            return True
        # The event loop may not have read it yet.
        return self._sockets.can_be_read(transport.get_extra_info("socket"))


class _Sockets:
    """Asks the system whether a socket can be read, by one object for all: making one takes longer than asking."""

    def __init__(self) -> None:
        if sys.platform != "win32":
            self._poll = select.poll()

    def can_be_read(self, sock: socket.socket) -> bool:
        if sys.platform == "win32":
            return bool(select.select([sock], [], [], 0)[0])
        self._poll.register(sock, select.POLLIN)
        try:
            return bool(self._poll.poll(0))
        finally:
            self._poll.unregister(sock)


def _own_session(*, force_close: bool) -> aiohttp.ClientSession:
    connector = _Connector(force_close=force_close)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


def _session_over(lender: aiohttp.ClientSession) -> aiohttp.ClientSession:
    """Return a session of our own over a lender's connections, with its proxies and its tracing.

    So neither its default headers, cookies, auth and middlewares reach our requests, nor our key its headers, nor the
    service's cookies its jar.
    """
    # There is no public name for these two. aiohttp takes credentials in the URL, too, and wants them nowhere else.
    proxy: str | URL | None = getattr(lender, "_default_proxy", None)
    proxy_auth: tuple[str, str, str] | None = getattr(lender, "_default_proxy_auth", None)
    if proxy is not None and proxy_auth is not None:
        user, password, _ = proxy_auth
        proxy = URL(proxy).with_user(user).with_password(password)
    session = aiohttp.ClientSession(
        connector=lender.connector,
        connector_owner=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=proxy,
        trust_env=lender.trust_env,
        trace_configs=list(lender.trace_configs),
    )
    # What traces every new session by patching the class has now added itself for the second time.
    del session.trace_configs[len(lender.trace_configs) :]
    return session


def _split_timeout(timeout: float | aiohttp.ClientTimeout) -> tuple[float | None, aiohttp.ClientTimeout]:
    # The total is kept by SharedTimer: aiohttp's own ends on the next whole second.
    if not isinstance(timeout, aiohttp.ClientTimeout):
        return check_seconds("timeout", timeout), aiohttp.ClientTimeout(total=None, ceil_threshold=math.inf)
    return timeout.total or None, aiohttp.ClientTimeout(
        total=None,
        connect=timeout.connect,
        sock_read=timeout.sock_read,
        sock_connect=timeout.sock_connect,
        ceil_threshold=math.inf,
    )


def _environment_proxy(base_url: str) -> str | None:
    """Return the proxy that the environment names for this URL, as `urllib` reads it, or None."""
    parts = urlsplit(base_url)
    proxy = getproxies().get(parts.scheme)
    if not proxy or not parts.hostname or proxy_bypass(parts.hostname) or proxy_bypass(parts.netloc):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    try:
        target = urlsplit(proxy)
        host, scheme, _ = target.hostname, target.scheme, target.port
    except ValueError:
        host, scheme = None, ""
    if host is None or scheme not in {"http", "https"}:
        logger.warning(
            "the %s proxy named by the environment is ignored: it is no http:// or https:// URL", parts.scheme
        )
        return None
    if parts.scheme == "http" and not is_loopback(host):
        return None  # the key would go to it in clear, for a service on this machine
    return proxy
