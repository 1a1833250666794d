"""What it means if no response arrives, and how another error is raised in an exception's place, with nothing of it.

aiohttp's own texts are not used: they can hold what the service or a proxy sent, or a proxy's password.
"""

from __future__ import annotations

import errno
import os
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar

import aiohttp

from aiozilliz._errors import ConfigurationError, TransportError, printable

if TYPE_CHECKING:
    from aiozilliz._errors import ZillizError

_E = TypeVar("_E", bound=BaseException)

_CHECK_NETWORK: Final = "Check {base_url}, the network and the proxy settings."
_CHECK_TIMEOUT: Final = "Check the service's status, or give a longer {timeout}."
_CHECK_SERVICE: Final = "Try again later; if it lasts, check the network and what stands between."


class ConnectionLostError(aiohttp.ClientConnectionError):
    """Replaces the errors on which aiohttp would silently send the request again; its text is the reason."""


class AttemptTimeoutError(TimeoutError):
    """No complete response arrived within the timeout of an attempt. Its argument is that, in seconds."""


class ClearTextProxyError(aiohttp.ClientError):
    """A borrowed session would have sent the key in clear to another host."""


def bare(error: _E) -> _E:
    """Return the error without its traceback, cause and context, which lead to frames that may hold a key."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


class Replacement:
    """An error that is raised in the place of a caught one, and does not lead back to it.

    An exception of the HTTP library holds the request's headers and so the key, as do the frames of its traceback.
    `raise ... from None` still keeps it in `__context__`; only what is raised after the `except` block has been left
    is free of it:

        try:
            return dangerous()
        except Exception as error:
            replacement = Replacement(failure_of(error))
        raise replacement.take()
    """

    __slots__ = ("_error",)

    def __init__(self, error: Exception) -> None:
        self._error: Exception | None = error

    def take(self) -> Exception:
        """Return the error, once. Nothing but the caller's `raise` must keep it: it will refer to the caller's frame."""
        error, self._error = self._error, None
        assert error is not None
        return bare(error)


def failure_of(error: Exception) -> ZillizError:
    """Return the error to raise for one that the exchange ended in.

    Args:
        error: What aiohttp, or the connection below it, raised.

    Returns:
        A `ConfigurationError` if the key would have been sent in clear, else a `TransportError`. It refers to nothing
        of aiohttp's.
    """
    if isinstance(error, ClearTextProxyError):
        return ConfigurationError(
            "The borrowed session would send the key in clear to a proxy on another host",
            advice="Use https:// in {base_url}, or do without that proxy.",
        )
    text, advice, retryable = describe(error)
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
    before = "" if last is None else f"; the latest failure: {type(last).__name__}: {last.message}"
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
                "Check {base_url} and the machine's certificate authorities; others can be trusted by {session}.",
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
            return f"The connection failed: {reason_of(error.os_error)}", _CHECK_NETWORK, True
        case aiohttp.ConnectionTimeoutError():
            return "The connection took too long", _CHECK_NETWORK, True
        case AttemptTimeoutError():  # it and the case above are what the next one is, too
            return f"No complete response within {error.args[0]:g} s", _CHECK_TIMEOUT, True
        case TimeoutError():
            return "The service took too long to respond", _CHECK_SERVICE, True
        case aiohttp.ClientHttpProxyError():
            # A proxy that is overloaded recovers; one that wants a password, or forbids the host, does not.
            passing = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            return f"The proxy refused the connection: HTTP {error.status}", _CHECK_NETWORK, passing
        case aiohttp.ClientResponseError():
            return "The response is no valid HTTP", _CHECK_NETWORK, True
        case aiohttp.ClientPayloadError():
            return "The response was cut short, or can't be decompressed", _CHECK_SERVICE, True
        case ConnectionLostError():
            return f"The connection was lost before a response arrived: {error}", _CHECK_SERVICE, True
        case aiohttp.ClientConnectionError() | OSError() | RuntimeError() | EOFError():
            # uvloop reports a TLS connection that was closed under it as a RuntimeError.
            return f"The connection was lost: {reason_of(error)}", _CHECK_SERVICE, True
        case _:
            # Unknown, so possibly a mistake of ours or of the caller's, which is the same the next time.
            return f"The request could not be sent: {type(error).__name__}", _CHECK_NETWORK, False


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
