"""A raw HTTP server on loopback whose answers are bytes: what was sent to it, and what a client makes of anything.

It knows nothing of the service. A script is a coroutine function of one `Exchange`: it sends what it likes, waits for
events, cuts or resets the connection. The log holds each request exactly as it came over the wire.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Self, TypeAlias, cast
from urllib.parse import parse_qs, urlsplit

import orjson
from attrs import define, field, frozen

if TYPE_CHECKING:
    import ssl
    from types import TracebackType


@frozen
class Received:
    """One request: its target, its headers in order, and the number of its connection, from 1."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    connection: int

    def get(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def page(self) -> int:
        return int(parse_qs(urlsplit(self.target).query)["currentPage"][0])


@define
class Exchange:
    """One request and the connection it came over, for a script to answer."""

    request: Received
    number: int  # of the request, from 1, over all connections
    _connection: _Connection = field(repr=False)

    async def send(self, data: bytes) -> None:
        """Send bytes, and wait until the connection takes more."""
        await self._connection.send(data)

    def reset(self) -> None:
        """Let the client see a reset: with SO_LINGER 0 a close sends RST."""
        self._connection.reset()

    def cut(self) -> None:
        """Close the connection, in order."""
        self._connection.transport.close()

    async def silence(self) -> None:
        """Say nothing more, until the client hangs up."""
        await self._connection.gone.wait()


Script: TypeAlias = Callable[[Exchange], Awaitable[None]]


def response(
    body: bytes | object = b"",
    *,
    status: int = 200,
    headers: Iterable[tuple[str, str]] = (),
    length: int | None = None,
) -> bytes:
    """Give the bytes of an answer; what is no bytes goes as JSON. `length` lies about the body's."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data) if length is None else length}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def listing(
    *ids: str, count: int | None = None, page: int | None = None, page_size: int = 100
) -> dict[str, object]:
    """Give the service's envelope around clusters of these ids. Without `page` it fits every page."""
    clusters = [{"clusterId": cluster_id} for cluster_id in ids]
    total = len(ids) if count is None else count
    echo = {} if page is None else {"currentPage": page}
    return {"code": 0, "data": {"count": total, **echo, "pageSize": page_size, "clusters": clusters}}


OK = response(listing("in01-a"))


def answering(*answers: bytes) -> Script:
    """Script: one answer after another; the last one stays."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(answers[min(exchange.number, len(answers)) - 1])

    return script


class WireServer:
    """Serves a script, and logs what it was asked.

    Args:
        script: What each request is answered with; `OK` where there is none.
        tls: Speak TLS with this context.
    """

    def __init__(self, script: Script | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.script = script or answering(OK)
        self.requests: list[Received] = []
        self.connections = 0
        self.open: set[_Connection] = set()
        self.faults: list[Exception] = []
        self.port = 0
        self._tls = tls
        self._changed = asyncio.Event()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def pages(self) -> list[int]:
        return [request.page for request in self.requests]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in list(self.open):
            connection.transport.abort()
        await self.all_closed()
        await self._server.wait_closed()
        if exc is None and self.faults:
            raise ExceptionGroup("a script has failed", self.faults)

    async def received(self, number: int) -> None:
        """Wait until so many requests have come."""
        while len(self.requests) < number:
            await self._change()

    async def all_closed(self) -> None:
        """Wait until no connection is open, and no script runs."""
        while self.open:
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def notify(self) -> None:
        self._changed.set()


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, server: WireServer) -> None:
        self._server = server
        self._buffer = b""
        self._writable = asyncio.Event()
        self._writable.set()
        self._requests: asyncio.Queue[Received | None] = asyncio.Queue()
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._server.connections += 1
        self._number = self._server.connections
        self._server.open.add(self)
        self._worker = asyncio.create_task(self._work())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ")
            headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
            self._requests.put_nowait(Received(method, target, headers, self._number))

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        self._writable.set()
        self._requests.put_nowait(None)

    async def send(self, data: bytes) -> None:
        if self.gone.is_set() or self.transport.is_closing():
            raise ConnectionError("the client has hung up")
        self.transport.write(data)
        await self._writable.wait()

    def reset(self) -> None:
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def _work(self) -> None:
        server = self._server
        try:
            while (request := await self._requests.get()) is not None:
                server.requests.append(request)
                server.notify()
                await server.script(Exchange(request, len(server.requests), self))
        except ConnectionError:
            pass  # the script went on sending to a client that had hung up
        except Exception as error:  # noqa: BLE001  # told when the server is left, so that no test passes over it
            server.faults.append(error)
        finally:
            self.transport.abort()
            server.open.discard(self)
            server.notify()
