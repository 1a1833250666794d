"""The only caller of aiohttp: a session, one request on the wire, and the bounds on its answer.

aiohttp's exceptions and its frames hold the request's headers, and so the key. What is raised here is therefore made
afresh after the `except` block has been left, and the key is written into the headers by a middleware whose frame no
error of ours contains.
"""

from __future__ import annotations

import asyncio
import logging
import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp import hdrs
from attrs import define
from multidict import CIMultiDict, CIMultiDictProxy

from aiozilliz import __version__
from aiozilliz._aio.timer import SharedTimer
from aiozilliz._errors import TransportError, ZillizError
from aiozilliz._http.aiohttp_errors import ClearTextProxyError, ConnectionLostError, failure_of, reason_of
from aiozilliz._settings.checks import check_seconds, is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiozilliz._settings.credentials import Secret

logger = logging.getLogger("aiozilliz")

_HEADERS: Final = CIMultiDictProxy(
    CIMultiDict(
        {
            hdrs.ACCEPT: "application/json",
            hdrs.ACCEPT_ENCODING: "gzip, deflate",
            hdrs.USER_AGENT: f"aiozilliz/{__version__} aiohttp/{aiohttp.__version__}",
        }
    )
)
_OUR_NAMES: Final = frozenset(name.lower() for name in _HEADERS)
_NO_HEADERS: Final = CIMultiDictProxy(CIMultiDict[str]())


@define(eq=False)
class Answer:
    """What came back: `body` is None where it is larger than the bound; it was then not read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


def make_session() -> aiohttp.ClientSession:
    """Make a session of our own. The connections are bounded by who asks, not by the pool."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar())


class Transport:
    """A session of aiohttp, own or borrowed, and how one request is sent over it.

    Args:
        base_url: Where requests go, to work out the proxy of an own session.
        session: A borrowed session, or None for one of its own, made by `open()`.
        timeout: Seconds for one attempt, or aiohttp's finer times.
        max_response_bytes: Bound on a body as decompressed.

    Attributes:
        timeout: Seconds for one attempt, or None where there is no such bound.

    Raises:
        TypeError: `timeout` is of another type.
        ValueError: `timeout` is out of range.
    """

    def __init__(
        self,
        base_url: str,
        session: aiohttp.ClientSession | None,
        timeout: float | aiohttp.ClientTimeout,
        max_response_bytes: int,
    ) -> None:
        self._base_url = base_url
        self._session = session
        self._owned = session is None
        self._shared = False
        self._proxy: str | None = None
        self._max_bytes = max_response_bytes
        self._deadlines = SharedTimer()
        self.timeout, self._finer = _split_timeout(timeout)

    @property
    def opened(self) -> bool:
        """Whether `open()` has made the session."""
        return self._owned and self._session is not None

    async def open(self) -> None:
        """Make the session, where it is to be the transport's own, and read its proxy from the environment."""
        if self._owned:
            self._proxy = _environment_proxy(self._base_url)
            self._session = make_session()

    def share(self, session: aiohttp.ClientSession) -> None:
        """Use a session that `make_session` made instead of one of its own; who made it closes it."""
        if self._owned and not self._shared:
            self._shared = True
            self._proxy = _environment_proxy(self._base_url)
            self._session = session

    async def close(self) -> None:
        """Close the session, where it is the transport's own. Nothing may be under way."""
        self._deadlines.close()
        if self._owned and not self._shared and self._session is not None:
            await self._session.close()

    def check(self) -> None:
        """Raise where nothing can be sent.

        Raises:
            RuntimeError: There is no session yet, or it is closed.
        """
        session = self._session
        if session is None:
            raise _not_entered()
        if session.closed:
            raise RuntimeError("the client is closed" if self._owned else "the borrowed session is closed")

    async def get(self, url: str, secret: Secret) -> Answer:
        """Send one request and read its answer, within the timeout.

        Raises:
            TransportError: No whole answer arrived.
            ConfigurationError: A borrowed session would send the key in clear to a proxy on another host.
            RuntimeError: There is no session yet, or it is closed, perhaps while the request was under way.
        """
        block = asyncio.Timeout(None)
        try:
            async with block:
                if self.timeout is not None:
                    self._deadlines.set(block, asyncio.get_running_loop().time() + self.timeout)
                return await self.send(url, secret)
        except TimeoutError:
            pass
        finally:
            self._deadlines.clear(block)
        self.check()
        raise self.timed_out()

    async def send(self, url: str, secret: Secret) -> Answer:
        """Do what `get` does, but for the timeout: the caller ends this in time, and makes the error by `timed_out()`."""
        session = self._session
        if session is None:
            raise _not_entered()
        failure: ZillizError
        try:
            if self._owned:
                return await self._exchange(session, url, secret)
            return await self._exchange_over_borrowed(session, url, secret)
        except Exception as error:  # noqa: BLE001  # nothing of aiohttp's may pass: it holds the key
            failure = failure_of(error)
        self.check()  # a session that was closed has refused to send, or to go on
        try:
            raise failure
        finally:
            del failure  # it refers to this frame by its traceback

    def timed_out(self) -> TransportError:
        """Make the error for a request that did not end within the timeout."""
        return TransportError(
            f"No whole answer arrived within {self.timeout:g} s",
            advice="Check the service's status, or give a longer {timeout}.",
            retryable=True,
        )

    async def _exchange_over_borrowed(
        self, session: aiohttp.ClientSession, url: str, secret: Secret
    ) -> Answer:
        stand_in = None
        if hdrs.AUTHORIZATION in session.headers and (session.auth or session.trust_env):
            session = stand_in = _stand_in(session)
        try:
            foreign = tuple(name for name in session.headers if name.lower() not in _OUR_NAMES)
            return await self._exchange(session, url, secret, foreign)
        finally:
            if stand_in is not None:
                stand_in.detach()

    async def _exchange(
        self, session: aiohttp.ClientSession, url: str, secret: Secret, foreign: tuple[str, ...] | None = None
    ) -> Answer:
        headers: Mapping[str, str] = _HEADERS
        if foreign:
            # An empty value takes the place of the lender's, so that nobody acts on it; the name goes later.
            headers = {**headers, **dict.fromkeys(foreign, "")}
        # `async with` would do no more than this for a request without a body.
        response = await session.get(
            url,
            headers=headers,
            timeout=self._finer,
            proxy=self._proxy,
            middlewares=(_Sender(secret, foreign),),
            allow_redirects=False,
            raise_for_status=False,
            auto_decompress=True,
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

    async def _read(self, response: aiohttp.ClientResponse) -> bytes | None:
        announced = response.content_length
        if announced is not None and hdrs.CONTENT_ENCODING not in response.headers:
            if announced <= self._max_bytes:
                content = response.content
                # A small page has mostly come whole, together with its headers.
                return content.read_nowait() if content.is_eof() else await content.read()
            response.close()
            return None
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self._max_bytes:
                response.close()
                return None
            chunks.append(chunk)
        return b"".join(chunks)


class _Sender:
    """A middleware: what is done to a request in the last moment, and one request is only sent once.

    Args:
        secret: The key.
        foreign: Names of a lender's default headers, whose values have been emptied; None where the session is our own.
    """

    __slots__ = ("_foreign", "_secret")

    def __init__(self, secret: Secret, foreign: tuple[str, ...] | None) -> None:
        self._secret = secret
        self._foreign = foreign

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self._foreign is not None:
            _take_out_what_is_the_lenders(request, self._foreign)
        # No local holds the headers: a timeout of the caller's own has this frame in its traceback.
        request.headers[hdrs.AUTHORIZATION] = f"Bearer {self._secret.reveal()}"
        failure: aiohttp.ClientError
        try:
            return await handler(request)
        except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, ConnectionError) as error:
            failure = ConnectionLostError(reason_of(error))
        except aiohttp.ClientResponseError as error:
            # Its text quotes what arrived, and it holds our headers; tracing is told of it, and writes it down.
            bare = aiohttp.RequestInfo(request.url, request.method, _NO_HEADERS, request.url)
            failure = type(error)(bare, (), status=error.status)
        try:
            raise failure
        finally:
            del failure  # as above


def _take_out_what_is_the_lenders(request: aiohttp.ClientRequest, foreign: tuple[str, ...]) -> None:
    if request.proxy is not None and not request.is_ssl() and not is_loopback(request.proxy.host):
        raise ClearTextProxyError
    headers = request.headers
    for name in foreign:
        # Tracing may have put a value of its own under this name.
        for value in filter(None, headers.popall(name, ())):
            headers.add(name, value)
    if hdrs.HOST not in headers:
        headers[hdrs.HOST] = request.url.host_port_subcomponent or ""
    headers.popall(hdrs.COOKIE, None)


def _stand_in(lender: aiohttp.ClientSession) -> aiohttp.ClientSession:
    """Give a session like the lender's, over its connections, but without its Authorization header.

    aiohttp refuses every request of a session that has both such a header and another source of one. Whoever asks for
    the stand-in detaches it after its one request.
    """
    headers = lender.headers.copy()
    headers.popall(hdrs.AUTHORIZATION)
    proxy_auth: aiohttp.BasicAuth | None = getattr(lender, "_default_proxy_auth", None)
    if proxy_auth is not None:
        headers[hdrs.PROXY_AUTHORIZATION] = proxy_auth.encode()  # default headers go to the proxy, too
    stand_in = aiohttp.ClientSession(
        connector=lender.connector,
        connector_owner=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        proxy=getattr(lender, "_default_proxy", None),
        trust_env=lender.trust_env,
        trace_configs=list(lender.trace_configs),
    )
    # What traces every new session by patching the class has now added itself for the second time.
    del stand_in.trace_configs[len(lender.trace_configs) :]
    return stand_in


def _not_entered() -> RuntimeError:
    return RuntimeError(
        "the client is not entered: use it inside 'async with ZillizClient(...) as client:', or give it a session="
    )


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
    """Give the proxy that the environment names for this URL, as `urllib` reads it, or None."""
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
