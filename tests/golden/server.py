"""A server on loopback that answers as its services say, all requests of a wave together, and notes what was asked."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import TYPE_CHECKING, Self, cast
from urllib.parse import parse_qs, urlsplit

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from tests.golden.services import Answer, Service

ANYBODY = ""


@frozen
class Request:
    """A request as it came; `headers` by lower-case name."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def key(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


class Server:
    """Serves one conversation.

    Nothing runs but the callbacks of its connections, so that leaving it leaves nothing behind.

    Args:
        services: API key to what is served to it; `ANYBODY` serves all others.
        waves: Requests that arrive together: so many are waited for, and then answered, in the order of their targets.
            After the last wave each request is answered at once.
    """

    def __init__(self, services: Mapping[str, Service], waves: Sequence[int] = ()) -> None:
        self.waves: list[list[Request]] = []
        self.open: set[_Connection] = set()
        self.all_closed = asyncio.Event()
        self.faults: list[Exception] = []
        self._replies = {key: service.start() for key, service in services.items()}
        self._numbers = dict.fromkeys(services, 0)
        self._sizes = list(waves)
        self._held: list[tuple[Request, _Connection]] = []

    @property
    def waiting(self) -> list[str]:
        """Targets of the requests that wait for their wave to be full."""
        return [request.target for request, _ in self._held]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in list(self.open):
            connection.transport.abort()
        while self.open:
            self.all_closed.clear()
            await self.all_closed.wait()
        await self._server.wait_closed()
        if exc is None and self.faults:
            raise ExceptionGroup("the script does not fit what was asked", self.faults)

    def receive(self, request: Request, connection: _Connection) -> None:
        self._held.append((request, connection))
        size = self._sizes[0] if self._sizes else 1
        if len(self._held) < size:
            return
        del self._sizes[:1]
        wave, self._held = self._held, []
        wave.sort(key=lambda held: held[0].target)
        self.waves.append([request for request, _ in wave])
        for asked, asking in wave:
            try:
                asking.answer(self._answer(asked))
            except Exception as error:  # noqa: BLE001  # told when the server is left
                self.faults.append(error)
                asking.transport.abort()

    def _answer(self, request: Request) -> Answer:
        key = request.key if request.key in self._replies else ANYBODY
        self._numbers[key] += 1
        query = parse_qs(urlsplit(request.target).query)
        return self._replies[key](self._numbers[key], int(query["currentPage"][0]), int(query["pageSize"][0]))


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._server.open.add(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:  # no request has a body
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            self._server.receive(Request(method, target, headers), self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.open.discard(self)
        self._server.all_closed.set()

    def answer(self, answer: Answer) -> None:
        if answer.ending == "reset":
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        elif answer.ending == "close":
            self.transport.close()
        elif answer.ending != "hang":
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            headers = {"Content-Type": "application/json", **answer.headers, "Content-Length": str(len(body))}
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            sent = body if answer.ending == "whole" else body[: len(body) // 2]
            self.transport.write(f"HTTP/1.1 {answer.status} Said\r\n{head}\r\n".encode("latin-1") + sent)
            if answer.ending == "cut":
                self.transport.close()
