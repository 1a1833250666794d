"""What goes over the wire as a script, under fake time: the real request and transport, over a scripted session."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import orjson
from attrs import define

from aiozilliz._aio.cancel_scope import CancelScope
from aiozilliz._http.request import NO_LIMIT, RequestContext
from aiozilliz._http.transport import Transport
from aiozilliz._settings.checks import ListQuery
from aiozilliz._settings.credentials import KeySource, Secret
from tests.support.wire_server import listing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aiozilliz import ClusterPage, RetryPolicy


@define
class Reply:
    """What the service does with a request: after so many seconds, an answer, or a lost connection."""

    seconds: float
    status: int | None = 200
    retry_after: int | None = None


class ScriptedResponse:
    """A response of aiohttp's whose body has come together with its headers."""

    def __init__(self, reply: Reply) -> None:
        assert reply.status is not None
        code = 0 if reply.status == 200 else reply.status
        body = orjson.dumps({**listing("in01-a"), "code": code})
        self.status = reply.status
        self.headers = {} if reply.retry_after is None else {"Retry-After": str(reply.retry_after)}
        self.content_length = len(body)
        self.content = self
        self.read_nowait = lambda: body

    def is_eof(self) -> bool:
        return True

    def release(self) -> None:
        pass


class ScriptedSession:
    """What is on the wire, in the place of aiohttp's session. After the script it says nothing."""

    closed = False
    trace_configs = ()

    def __init__(self, *replies: Reply) -> None:
        self._script = iter(replies)
        self.sent_at: list[float] = []

    async def get(self, _url: str, **_options: Any) -> ScriptedResponse:
        self.sent_at.append(asyncio.get_running_loop().time())
        reply = next(self._script, Reply(36000.0))
        await asyncio.sleep(reply.seconds)
        if reply.status is None:
            raise aiohttp.ClientConnectionError
        return ScriptedResponse(reply)

    async def close(self) -> None:
        self.closed = True


class ScriptedTransport(Transport):
    """The real transport, with its bounds, over a scripted session."""

    def __init__(self, timeout: float, *replies: Reply) -> None:
        super().__init__(None, timeout, 1000)
        self.wire = ScriptedSession(*replies)
        self._session = cast("aiohttp.ClientSession", self.wire)

    @property
    def sent(self) -> int:
        return len(self.wire.sent_at)


@asynccontextmanager
async def scripted(attempt_timeout: float, *replies: Reply) -> AsyncGenerator[ScriptedTransport]:
    transport = ScriptedTransport(attempt_timeout, *replies)
    yield transport
    await transport.close()


def always_open() -> None:
    """Let everything be sent."""


def context_of(transport: Transport, policy: RetryPolicy, *, way: str = "at once") -> RequestContext:
    """Give what asks in one of the ways there are: with something to wait for before a request, or nothing."""
    return RequestContext(
        name="x",
        base_url="https://x",
        key=KeySource(None, lambda: "k") if way == "callable" else KeySource(Secret("k")),
        transport=transport,
        limiter=nullcontext() if way == "limiter" else NO_LIMIT,
        policy=policy,
        check_open=always_open,
        slots=asyncio.Semaphore(1) if way == "slot" else None,
    )


async def fetch(context: RequestContext, scope: CancelScope | None = None) -> ClusterPage:
    return await context.fetch(ListQuery(10), 1, scope or CancelScope())
