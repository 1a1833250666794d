"""Boxes of our own that keep every byte: a relay of connections, and a proxy that answers CONNECT."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class Relay:
    """Passes connections on to a port of this machine, byte for byte.

    Args:
        port: The port.
        host: The address that it listens on.

    Attributes:
        said: What the client said on each connection.
    """

    def __init__(self, port: int, *, host: str = "127.0.0.1") -> None:
        self.port = 0
        self.said: list[bytearray] = []
        self._to = port
        self._host = host
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # asyncio drops a connection, and warns, that it has accepted but not set up when the server is closed. So
        # accept no more, and let those come up first. Other loops set up at once and know no readers here.
        with suppress(NotImplementedError):
            for sock in self._server.sockets:
                asyncio.get_running_loop().remove_reader(sock.fileno())
        await asyncio.sleep(0)
        self._server.close()
        await asyncio.sleep(0)
        await self.cut()
        await self._server.wait_closed()

    async def cut(self) -> None:
        """End all connections, and wait until they are gone."""
        connections = dict(self._connections)
        for task, writer in connections.items():
            writer.transport.abort()
            task.cancel()
        if connections:
            await asyncio.wait(connections)
        for writer in connections.values():  # a task that was cancelled before it began has closed nothing
            await _close(writer)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = bytearray()
        self.said.append(said)
        with suppress(OSError, EOFError):
            try:
                if await self._greet(reader, writer, said):
                    await self._pass_on(reader, writer, said)
            finally:
                await _close(writer)

    async def _greet(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytearray
    ) -> bool:
        """Do what comes first, and say whether the connection is to be passed on."""
        return True

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytearray
    ) -> None:
        there, to = await asyncio.open_connection("127.0.0.1", self._to)
        try:
            ways = [asyncio.create_task(_copy(reader, to, said)), asyncio.create_task(_copy(there, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            to.transport.abort()
            await _close(to)


class ConnectProxy(Relay):
    """A forward proxy that sends every CONNECT to one port, whatever host it names, or gives one answer to all.

    Args:
        port: Where the connections go.
        answer: What is said instead.

    Attributes:
        heads: The requests to the proxy itself. `said` is what came after them.
    """

    def __init__(self, port: int = 0, *, answer: bytes | None = None) -> None:
        super().__init__(port)
        self.heads: list[bytes] = []
        self._answer = answer

    async def _greet(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytearray
    ) -> bool:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self._answer or b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        return self._answer is None


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytearray | None = None
) -> None:
    while data := await reader.read(65536):
        if said is not None:
            said += data
        writer.write(data)
        await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
