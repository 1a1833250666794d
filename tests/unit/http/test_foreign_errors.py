"""Exceptions that are none of aiohttp's: out of tracing hooks, agents that wrap aiohttp, and other connectors."""

from __future__ import annotations

import asyncio
import pickle
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from aiozilliz import RetryPolicy, TransportError
from aiozilliz._http.aiohttp_errors import failure_of
from tests.support.detector import KEY, assert_silent
from tests.support.listing_server import quick_client
from tests.support.wire_server import WireServer, answering, response

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "what the exception says"
THREE = RetryPolicy(attempts=3, wait_initial=0.0, wait_jitter=0.0)


class AgentError(Exception):
    """An exception of a class of its own."""


class ProxyConnectionError(AgentError, OSError):
    """As python-socks has it."""


class ProxyTimeoutError(AgentError, TimeoutError):
    """As python-socks has it."""


FAULTS: dict[str, Callable[[], Exception]] = {
    "AgentError": lambda: AgentError(SECRET),
    "ProxyConnectionError": lambda: ProxyConnectionError(SECRET),
    "ProxyTimeoutError": lambda: ProxyTimeoutError(SECRET),
    "LookupError": lambda: LookupError(SECRET),
    "RuntimeError": lambda: RuntimeError(SECRET),
    "OSError": lambda: OSError(5, SECRET),
    "ConnectionResetError": lambda: ConnectionResetError(104, SECRET),
    "TimeoutError": lambda: TimeoutError(SECRET),
    "ExceptionGroup of ValueError": lambda: ExceptionGroup(SECRET, [ValueError(SECRET), KeyError(SECRET)]),
}
every_fault = pytest.mark.parametrize("fault", FAULTS)

BEFORE = ["on_request_start"]
CONNECTING = ["on_connection_create_start", "on_connection_create_end"]
AFTER = ["on_request_headers_sent", "on_request_end", "on_response_chunk_received"]


def raise_it(fault: str) -> None:
    error = FAULTS[fault]()
    raise error


def assert_named(error: TransportError, fault: str, where: str = "raise_it") -> None:
    """Assert that an error says what was raised, and where, and nothing of what that says."""
    own = fault in {"AgentError", "ProxyConnectionError", "ProxyTimeoutError"}
    assert error.message.startswith(f"{f'{__name__}.' if own else ''}{fault} was raised in ")
    assert f"{where} (" in error.message
    assert f"{__file__}, line " in error.message
    assert SECRET not in str(error)
    assert "Look there" in error.advice
    assert "network" not in error.advice
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert_silent(error)


async def ask(server: WireServer, session: aiohttp.ClientSession | None) -> TransportError:
    async with quick_client(server.url, KEY, session=session, retry=THREE) as client:
        with pytest.raises(TransportError) as caught:
            await client.list_clusters()
    return caught.value


@every_fault
@pytest.mark.parametrize("signal", [*BEFORE, *CONNECTING, *AFTER])
async def test_an_exception_out_of_a_hook_is_named(signal: str, fault: str) -> None:
    async def hook(_session: Any, _context: Any, _params: Any) -> None:
        raise_it(fault)

    config = aiohttp.TraceConfig()
    getattr(config, signal).append(hook)
    async with WireServer() as server, aiohttp.ClientSession(trace_configs=[config]) as session:
        error = await ask(server, session)
        assert_named(error, fault)
        assert error.retryable is (signal in CONNECTING)
        assert error.attempts == (3 if signal in CONNECTING else 1)
        assert ("while connecting" in error.message) is (signal in CONNECTING)


async def test_an_exception_of_a_hooks_task_group_is_found() -> None:
    async def work() -> None:
        raise_it("AgentError")

    async def hook(_session: Any, _context: Any, _params: Any) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(work())

    config = aiohttp.TraceConfig()
    config.on_request_end.append(hook)
    async with WireServer() as server, aiohttp.ClientSession(trace_configs=[config]) as session:
        error = await ask(server, session)
        assert error.message.startswith(f"ExceptionGroup of {__name__}.AgentError was raised in raise_it (")


async def test_a_hook_that_expects_json_is_no_fault_of_the_network() -> None:
    async def hook(_session: Any, _context: Any, params: aiohttp.TraceRequestEndParams) -> None:
        await params.response.json()

    config = aiohttp.TraceConfig()
    config.on_request_end.append(hook)
    page = answering(response(b"<html>", headers=[("Content-Type", "text/html")]))
    async with WireServer(page) as server, aiohttp.ClientSession(trace_configs=[config]) as session:
        error = await ask(server, session)
        assert error.message.startswith("aiohttp.client_exceptions.ContentTypeError was raised in ")
        assert error.attempts == 1


@every_fault
@pytest.mark.parametrize("after", [False, True])
async def test_an_exception_out_of_an_agent_is_named(
    fault: str, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    plain = aiohttp.ClientSession._request

    async def wrapped(self: aiohttp.ClientSession, *args: Any, **kwargs: Any) -> aiohttp.ClientResponse:
        if after:
            await plain(self, *args, **kwargs)
        raise_it(fault)
        raise AssertionError

    monkeypatch.setattr(aiohttp.ClientSession, "_request", wrapped)
    async with WireServer() as server:
        error = await ask(server, None)
        assert_named(error, fault)
        assert error.attempts == 1


async def test_what_an_agent_lets_pass_is_what_it_is_without(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = aiohttp.ClientSession._request

    async def wrapped(self: aiohttp.ClientSession, *args: Any, **kwargs: Any) -> aiohttp.ClientResponse:
        try:
            return await plain(self, *args, **kwargs)
        except Exception:
            await asyncio.sleep(0)
            raise

    async with WireServer() as server:
        pass
    before = await ask(server, None)
    monkeypatch.setattr(aiohttp.ClientSession, "_request", wrapped)
    error = await ask(server, None)
    assert error.message == before.message == "The connection failed: Connection refused"
    assert error.attempts == before.attempts == 3


class ForeignConnector(aiohttp.TCPConnector):
    """A connector that goes a way of its own, and fails in it, as that of aiohttp-socks."""

    def __init__(self, fault: str) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self._fault = fault
        self.calls = 0

    async def _wrap_create_connection(self, *_: Any, **__: Any) -> Any:
        self.calls += 1
        try:
            raise_it(self._fault)
        except AgentError as error:
            raise type(error)(str(error)) from error


@every_fault
async def test_an_exception_out_of_connecting_is_retried(fault: str) -> None:
    connector = ForeignConnector(fault)
    async with WireServer() as server, aiohttp.ClientSession(connector=connector) as session:
        error = await ask(server, session)
        where = (
            "ForeignConnector._wrap_create_connection"
            if fault in {"AgentError", "ProxyConnectionError", "ProxyTimeoutError"}
            else "raise_it"
        )
        assert_named(error, fault, where)
        assert error.retryable
        assert error.attempts == connector.calls == 3


class LongNameError(Exception):
    __qualname__ = "\x1b[31m" + "long" * 1000


async def test_what_names_it_is_printable_and_bounded() -> None:
    async def hook(_session: Any, _context: Any, _params: Any) -> None:
        exec(compile("raise error", "\n" + "deep/" * 1000 + "hook.py", "exec"), {"error": LongNameError()})  # noqa: S102

    config = aiohttp.TraceConfig()
    config.on_request_end.append(hook)
    async with WireServer() as server, aiohttp.ClientSession(trace_configs=[config]) as session:
        error = await ask(server, session)
        assert error.message.isprintable()
        assert len(error.message) < 800
        assert "/deep/hook.py, line 1)" in error.message


@pytest.mark.parametrize("module", ["aiohttp.client_proto", "uvloop.sslproto", "asyncio.sslproto"])
def test_what_the_event_loop_raises_is_a_lost_connection(module: str) -> None:
    # So does uvloop report a TLS connection that was closed under it.
    namespace: dict[str, Any] = {"__name__": module}
    exec("def send(): raise RuntimeError('the handler is closed')", namespace)  # noqa: S102
    failure: BaseException | None = None
    try:
        exec("send()", {"__name__": "aiohttp.client", "send": namespace["send"]})  # noqa: S102
    except RuntimeError as error:
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next  # without this frame
        failure = failure_of(error)
    assert isinstance(failure, TransportError)
    assert failure.message == "The connection was lost: RuntimeError"
    assert failure.retryable
