"""What it means if no response arrives: the error for each exception of aiohttp's.

aiohttp's own texts are not used: they can hold what the service or a proxy sent, or a proxy's password.
"""

from __future__ import annotations

import errno
import os
import ssl
import sys
import traceback
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError, LineTooLong
from multidict import CIMultiDict, CIMultiDictProxy

from aiozilliz._errors import ConfigurationError, TransportError, ZillizError, printable

if TYPE_CHECKING:
    from types import FrameType

_NO_HEADERS: Final = CIMultiDictProxy(CIMultiDict[str]())

_CHECK_NETWORK: Final = "Check {base_url}, the network and the proxy settings."
_CHECK_LIMIT: Final = "Raise the limit of open files, close what is not used, or send less at once."
_CHECK_TIMEOUT: Final = "Check the service's status, or give a longer {timeout}."
_CHECK_SERVICE: Final = "Try again later; if it lasts, check the network and what stands between."
_CHECK_CODE: Final = (
    "Look there: it is none of the HTTP library's own. Tracing hooks, agents that wrap it, and connectors of other "
    "packages run within a request."
)
_CHECK_BETWEEN: Final = (
    "Something in between may have changed the response: check {base_url}, proxies and load balancers."
)
_CHECK_CONNECTOR: Final = (
    "Look there: it is none of the HTTP library's own. It came from the connector, whose proxy may be down, or "
    "from a tracing hook."
)
_PROXY_ADVICE: Final[dict[int, str]] = {
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "Put the proxy's user name and password into its URL, percent-encoded: "
    "http://user:password@host:port.",
    HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED: "The network wants a login (a captive portal): log in with a browser, "
    "or use another network.",
}

_PATH: Final = 200  # characters of a file's path, counted from its end

_TRANSPARENT: Final = sys.stdlib_module_names | {"aiohappyeyeballs", "aiosignal", "uvloop"}
"""Packages whose frames say nothing about who has raised an exception: they call, and are called."""


class ConnectionLostError(aiohttp.ClientConnectionError):
    """Replaces the errors on which aiohttp would silently send the request again; its text is the reason."""


class AttemptTimeoutError(TimeoutError):
    """No complete response arrived within the timeout of an attempt. Its argument is that, in seconds."""


class ClearTextProxyError(aiohttp.ClientError):
    """A borrowed session would have sent the key in clear to another host."""


class HeaderTooLongError(aiohttp.ClientResponseError):
    """A header of the response is longer than aiohttp reads."""


class EncodingError(aiohttp.ClientResponseError):
    """The response has an encoding that was not asked for, and can't be read here."""


def without_headers(
    error: aiohttp.ClientResponseError, request: aiohttp.ClientRequest
) -> aiohttp.ClientResponseError:
    """Return the like of an error without its text, which quotes what arrived, and without the request's headers."""
    cause = error.__cause__ and error.__cause__.__cause__  # aiohttp's parser is two steps away
    kind = type(error)
    if isinstance(cause, LineTooLong) or error.message.startswith("Too many headers"):
        kind = HeaderTooLongError
    elif isinstance(cause, ContentEncodingError):
        kind = EncodingError
    return kind(
        aiohttp.RequestInfo(request.url, request.method, _NO_HEADERS, request.url), (), status=error.status
    )


def failure_of(error: BaseException) -> BaseException:
    """Return the error to raise for one that the exchange ended in.

    Args:
        error: What aiohttp, or the connection below it, raised.

    Returns:
        A `ConfigurationError` if the key would have been sent in clear, else a `TransportError`. It refers to nothing
        of aiohttp's. What is no `Exception`, such as a `CancelledError`, is returned as it is.
    """
    if not isinstance(error, Exception):
        return error
    if isinstance(error, ClearTextProxyError):
        return ConfigurationError(
            "The borrowed session would send the key in clear to a proxy on another host",
            advice="Use https:// in {base_url}, or do without that proxy.",
        )
    error = _original_of(error)
    text, advice, retryable = _describe_foreign(error) if is_foreign(error) else describe(error)
    failure = TransportError(text, advice=advice, retryable=retryable)
    failure.lost_connection = isinstance(error, ConnectionLostError)
    return failure


def out_of_time(deadline: float, waiting_for: str) -> TransportError:
    """Return the error for a deadline that has passed before anything else has failed.

    Args:
        deadline: In seconds.
        waiting_for: What was being waited for.
    """
    return TransportError(
        f"Deadline of {deadline:g} s exceeded while waiting for {waiting_for}",
        advice="Allow more time with {deadline}, or ask less often.",
        retryable=True,
    )


def collection_out_of_time(
    deadline: float, waiting_for: str, last: ZillizError | None = None
) -> TransportError:
    """Return the error for an account that was not done at the deadline of a collection.

    Args:
        deadline: In seconds.
        waiting_for: What was being waited for.
        last: The failure of the latest attempt.
    """
    before = ""
    if last is not None:
        said = last.message or "the service gave no reason"
        before = f"; the latest failure: {type(last).__name__}: {said}"
    return TransportError(
        f"The collection's deadline of {deadline:g} s exceeded while waiting for {waiting_for}{before}",
        advice="Allow the collection more time, or collect the accounts that take long by themselves.",
        retryable=True,
    )


def cancelled_elsewhere(waiting_for: str) -> TransportError:
    """Return the error for a `CancelledError` in a task that nobody has cancelled.

    Args:
        waiting_for: What was being waited for.
    """
    return TransportError(
        f"A CancelledError came while waiting for {waiting_for}, though nobody had cancelled this task",
        advice="Find out what was cancelled; asyncio.shield protects a task that several wait for.",
        retryable=True,
    )


def describe(error: Exception) -> tuple[str, str, bool]:
    """Return what happened, what to do, and whether another attempt may help.

    Args:
        error: What aiohttp, or the connection below it, raised.

    Returns:
        Message, advice, and whether the request may be sent again.
    """
    # A subclass stands before its base: the order of the cases is the precedence.
    match error:
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", "") or "it is not valid"
            return (
                f"The server certificate does not verify: {printable(reason, 200)}",
                "Check {base_url} and the machine's certificate authorities; others can be named by {session}.",
                False,
            )
        case aiohttp.ServerFingerprintMismatch():
            return "The server certificate does not match the expected fingerprint", _CHECK_NETWORK, False
        case aiohttp.ClientConnectorDNSError():
            return f"The host name can't be resolved: {printable(error.host, 200)}", _CHECK_NETWORK, True
        case aiohttp.ClientProxyConnectionError():
            return f"The connection to the proxy failed: {reason_of(error.os_error)}", _CHECK_NETWORK, True
        case aiohttp.ClientSSLError():
            return f"The TLS handshake failed: {reason_of(error.os_error)}", _CHECK_NETWORK, True
        case aiohttp.ClientConnectorError():
            no_files = error.os_error.errno in {errno.EMFILE, errno.ENFILE}
            advice = _CHECK_LIMIT if no_files else _CHECK_NETWORK
            return f"The connection failed: {reason_of(error.os_error)}", advice, True
        case aiohttp.ConnectionTimeoutError():
            return "The connection took too long", _CHECK_NETWORK, True
        case AttemptTimeoutError():  # it and the case above are what the next one is, too
            return f"No complete response within {error.args[0]:g} s", _CHECK_TIMEOUT, True
        case TimeoutError():
            return "The service took too long to respond", _CHECK_SERVICE, True
        case aiohttp.ClientResponseError():
            return _describe_response(error)
        case aiohttp.ClientPayloadError():
            return "The response was cut short, or can't be decompressed", _CHECK_SERVICE, True
        case ConnectionLostError():
            return f"The connection was lost before a response arrived: {error}", _CHECK_SERVICE, True
        case aiohttp.ClientConnectionError() | OSError() | RuntimeError() | EOFError():
            # uvloop reports a TLS connection that was closed under it as a RuntimeError.
            return f"The connection was lost: {reason_of(error)}", _CHECK_SERVICE, True
        case _:
            return _describe_foreign(error)


def _describe_response(error: aiohttp.ClientResponseError) -> tuple[str, str, bool]:
    match error:
        case aiohttp.ClientHttpProxyError():
            # A proxy that is overloaded recovers; one that wants a password, or forbids the host, does not.
            passing = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            advice = _PROXY_ADVICE.get(error.status, _CHECK_NETWORK)
            return f"The proxy refused the connection: HTTP {error.status}", advice, passing
        case HeaderTooLongError():
            return (
                "The response has more headers, or a longer one, than can be read (8190 bytes)",
                _CHECK_BETWEEN,
                True,
            )
        case EncodingError():
            return (
                "The response has an encoding that was not asked for (br or zstd), and can't be decompressed",
                _CHECK_BETWEEN,
                True,
            )
        case _:
            return "The response is no valid HTTP", _CHECK_NETWORK, True


def _original_of(error: Exception) -> Exception:
    """Return the exception of others in whose place aiohttp has put one of its own, if it has."""
    cause = error.__cause__
    replaced = type(error) in {aiohttp.ClientOSError, aiohttp.ConnectionTimeoutError}
    return cause if replaced and isinstance(cause, Exception) and is_foreign(cause) else error


def is_foreign(error: Exception) -> bool:
    """Return whether an exception is neither aiohttp's nor from the connection below it.

    It may be from a tracing hook, from an agent that wraps aiohttp, or from a connector such as that of aiohttp-socks.
    An `OSError`, say, may be from each: who has raised it is told by the innermost frame that is not the standard
    library's.
    """
    if isinstance(error, aiohttp.ContentTypeError):
        return True  # out of `json()`, which is not called here
    if isinstance(error, (aiohttp.ClientError, AttemptTimeoutError)):
        return False
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if package not in _TRANSPARENT:
            return package not in {"aiohttp", "aiozilliz"}
    return False


def _describe_foreign(error: Exception) -> tuple[str, str, bool]:
    """Return what `describe` returns for an exception of others, with nothing that it says: that may be anything."""
    cause: BaseException = error
    names = [_name_of(cause)]
    while isinstance(cause, BaseExceptionGroup):
        cause = cast("BaseExceptionGroup[BaseException]", cause).exceptions[0]
        names.append(_name_of(cause))
    frames = list(traceback.walk_tb(cause.__traceback__)) or list(traceback.walk_tb(error.__traceback__))
    where = ""
    if frames:
        frame, line = frames[-1]
        file = frame.f_code.co_filename[-_PATH:]
        where = printable(f" in {frame.f_code.co_qualname} ({file}, line {line})")
    # A proxy or network that is down may be up again soon. Else it may be a mistake, which is the same the next time.
    connecting = any(_is_connecting(frame) for frame, _ in traceback.walk_tb(error.__traceback__))
    text = (
        f"{printable(' of '.join(names), 200)} was raised{where}{' while connecting' if connecting else ''}"
    )
    return text, _CHECK_CONNECTOR if connecting else _CHECK_CODE, connecting


def _name_of(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _is_connecting(frame: FrameType) -> bool:
    return frame.f_code.co_name == "connect" and isinstance(frame.f_locals.get("self"), aiohttp.BaseConnector)


def reason_of(error: Exception) -> str:
    """Return in a few words why a connection failed, with nothing of what was sent or received."""
    if isinstance(error, ssl.SSLError):
        return printable(error.reason or "SSL error", 200)
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    if isinstance(error, (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError)):
        return "the service closed it"
    if isinstance(error, ConnectionResetError):
        return os.strerror(errno.ECONNRESET)  # asyncio sets no errno if it is closed during the TLS handshake
    return type(error).__name__
