"""The only caller of aiohttp: a session, one request on the wire, and the bounds on its response.

aiohttp's exceptions and its frames hold the request's headers, and so the key, and a proxy's password. `send` lets them
pass; its caller catches all of them, also cancellations, and raises what `aiohttp_errors.failure_of` makes of each, or the
cancellation without these frames, once its own `except` block has been left.
"""

from __future__ import annotations

import asyncio
import logging
import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from weakref import finalize

import aiohttp
from aiohttp import hdrs
from attrs import define, field
from multidict import CIMultiDict
from yarl import URL

from aiozilliz import __version__
from aiozilliz._aio.cancel_scope import Block, SharedTimer
from aiozilliz._aio.limiter import DecodeTurn
from aiozilliz._errors import MAX_TEXT, printable
from aiozilliz._http.aiohttp_errors import (
    AttemptTimeoutError,
    ClearTextProxyError,
    ConnectionLostError,
    is_foreign,
    reason_of,
    without_headers,
)
from aiozilliz._http.body import BodyTooLargeError, read_body, share_body
from aiozilliz._http.connector import Connector
from aiozilliz._http.retry import load
from aiozilliz._http.wire import REQUEST_ID
from aiozilliz._settings.checks import check_count, check_seconds, is_loopback
from aiozilliz._settings.proxies import environment_proxy
from aiozilliz._settings.redaction import KNOWN_KEYS
from aiozilliz._settings.tracebacks import Replacement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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
_REFUSAL: Final = int(HTTPStatus.MULTIPLE_CHOICES)
"""The lowest status that is no success. A number: to look up a member of an enum takes thousands of instructions."""


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


def log_request(
    name: str, url: str, outcome: Answer | BaseException | None, seconds: float, attempt: int
) -> None:
    """Log one request, for those who look for what a network or a service does.

    Args:
        name: The account's name.
        url: What was requested.
        outcome: The response, or why there is none.
        seconds: How long it took.
        attempt: Which attempt at the page it was, 1-based.
    """
    if outcome is None or isinstance(outcome, BaseException):
        result = type(outcome).__name__
    else:
        size = "too large" if outcome.body is None else f"{len(outcome.body)} bytes"
        result = f"{outcome.status}, {size}, request id {outcome.headers.get(REQUEST_ID, '-')}"
    account = "" if url.startswith(name) else f", {name}"
    # A region may be anything, and so may what the service sends.
    line = f"GET {url}: {result}, {1000 * seconds:.0f} ms, attempt {attempt}{account}"
    logger.debug("%s", printable(KNOWN_KEYS.redact(line, ours=True), MAX_TEXT))


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
            raise _no_session(session)
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

        Raises:
            ConfigurationError: The environment names a proxy that can't be used.
        """
        load()
        if self._lender is None:
            proxies = {base_url: environment_proxy(base_url) for base_url in base_urls}
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

    async def send(
        self,
        base_url: str,
        url: str,
        secret: Secret,
        *,
        afresh: bool = False,
        on_cut_off: Callable[[Answer], None] | None = None,
    ) -> Answer:
        """Send one request and read its response, within the timeout.

        Args:
            base_url: Selects the proxy of a session of our own.
            url: What to request.
            secret: The key.
            afresh: Whether to open a connection for it. There is no public way to ask that of a borrowed pool: aiohttp
                closes the connection that failed, and may take another kept one.
            on_cut_off: Called with a refusal whose body was still arriving when the task was cancelled.

        Returns:
            The response.

        Raises:
            Exception: Anything of aiohttp's, which holds the key: the caller must not let it pass.
        """
        session = (afresh and self._new_connections) or self._session
        if session is None:
            assert self._lender is not None, "`check` is called before"
            load()
            session = self._session = _session_over(self._lender)
            # A client over a borrowed session need not be closed. aiohttp would complain of ours, which owns nothing.
            finalize(self, session.detach)
        block = Block(None)
        bound = self.max_response_bytes if session.trace_configs else None
        sender = _Sender(secret, borrowed=self._lender is not None, bound=bound)
        refusal: Answer | None = None
        try:
            async with block:
                if self._timeout is not None:
                    self.timer.set(block, asyncio.get_running_loop().time() + self._timeout)
                # `async with` would do no more than this for a request without a body.
                response = await session.get(
                    _parse(url),
                    headers=CIMultiDict(),  # new and writable, as all that is passed: agents write into it
                    timeout=self._finer,
                    proxy=self._proxy_of(base_url),
                    middlewares=[sender],
                    allow_redirects=False,
                )
                sender.response = sender.response or response
                body = await read_body(response, self.max_response_bytes)
                return Answer(response.status, response.headers, body)
        except BodyTooLargeError:  # a tracing hook has asked for it
            assert sender.response is not None
            return Answer(sender.response.status, sender.response.headers, None)
        except Exception as error:
            refusal = sender.refusal()
            # The block's own end is told from that of aiohttp's finer times.
            if refusal is None and not (isinstance(error, TimeoutError) and block.expired()):
                raise
        except asyncio.CancelledError:
            if on_cut_off is not None and (cut_off := sender.refusal()) is not None:
                on_cut_off(cut_off)
            raise
        finally:
            self.timer.clear(block)
            # A tracing hook or an agent may have failed, or been cancelled, with the response in its hands.
            if sender.response is not None:
                sender.response.release()
        if refusal is not None:
            return refusal
        raise AttemptTimeoutError(self._timeout)


def _parse(url: str) -> URL:
    """Return `URL(url)`. Pages differ in their query only, so all before it is parsed once: yarl keeps what it has parsed."""
    listing, _, query = url.partition("?")
    # What is percent-encoded already would be encoded again.
    return URL(url) if "%" in query else URL(listing).with_query(query)


class _Sender:
    """A middleware: what is done to a request in the last moment, and one request is only sent once.

    Args:
        secret: The key.
        borrowed: Whether the connections, and so the proxies, are somebody else's.
        bound: Of the body, in bytes, if tracing hooks may read it before it is read here; else None.

    Attributes:
        response: The response, once its headers have arrived.
    """

    __slots__ = ("_borrowed", "_bound", "_secret", "response")

    def __init__(self, secret: Secret, *, borrowed: bool, bound: int | None) -> None:
        self._secret = secret
        self._borrowed = borrowed
        self._bound = bound
        self.response: aiohttp.ClientResponse | None = None

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self._borrowed and request.proxy is not None and not request.is_ssl():
            _check_clear_text_proxy(request.proxy.host)
        _authorize(request, self._secret)
        try:
            response = await handler(request)
        except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, ConnectionError) as error:
            if is_foreign(error):
                raise
            # aiohttp would silently send the request again after these.
            replacement = Replacement(ConnectionLostError(reason_of(error)))
        except aiohttp.ClientResponseError as error:
            # Tracing is told of it, and writes it down.
            replacement = Replacement(without_headers(error, request))
        else:
            self.response = response
            if self._bound is not None:
                # What traces requests writes it down (sentry-sdk does), and it may repeat the key.
                response.reason = response.reason and KNOWN_KEYS.redact(response.reason)
                share_body(response, self._bound)
            return response
        raise replacement.take()

    def refusal(self) -> Answer | None:
        """Return the response without its body, if there is one and its status says enough; its body may hang."""
        response = self.response
        if response is None or response.status < _REFUSAL:
            return None
        return Answer(response.status, response.headers, b"")


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


def _no_session(value: object) -> TypeError:
    if isinstance(value, type):
        return TypeError(f"session must be an aiohttp.ClientSession, not the class {value.__name__}")
    advice = ""
    if type(value).__module__.partition(".")[0] == "aiohttp_retry":
        advice = ": pass the aiohttp.ClientSession that it wraps, and say in retry= how often to try"
    return TypeError(f"session must be an aiohttp.ClientSession, not {type(value).__name__}{advice}")


def _own_session(*, force_close: bool) -> aiohttp.ClientSession:
    connector = Connector(force_close=force_close)
    return aiohttp.ClientSession(connector=connector, headers=_HEADERS, cookie_jar=aiohttp.DummyCookieJar())


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
        headers=_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=proxy,
        trust_env=lender.trust_env,
    )
    # Set only now: what traces every new session by patching the class has added itself to the lender before.
    session.trace_configs[:] = lender.trace_configs
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
