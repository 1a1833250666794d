"""Sockets, tasks and threads of the fake: listens on loopback, reads requests, sends or spoils answers, ends clean."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from .http import MAX_HEAD, BadRequestError, read_request, render

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .http import Answer, Request

HOST = "127.0.0.1"
_BACKLOG = 512


class Connection:
    """One connection of a client.

    Attributes:
        number: Connections are numbered in the order in which they were accepted, from 1.
    """

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self._writer = writer

    @property
    def is_open(self) -> bool:
        """Whether an answer can still be sent."""
        return not self._writer.is_closing() and not self.reader.at_eof()

    def send(
        self, answer: Answer, *, method: str = "GET", keep_alive: bool = True, half: bool = False
    ) -> None:
        """Hand an answer to the transport, which sends it without further turns of the loop where it can.

        Args:
            answer: What to say.
            method: The request's method.
            keep_alive: Whether the connection stays open after it.
            half: Send only half of the body, and close.
        """
        head, body = render(answer, method=method, keep_alive=keep_alive)
        self._writer.write(head + (body[: len(body) // 2] if half else body))
        if half or not keep_alive:
            self._writer.close()

    async def drain(self) -> None:
        """Wait until the client has taken enough of what was sent."""
        if not self._writer.is_closing():
            await self._writer.drain()

    def reset(self) -> None:
        """End the connection by a TCP reset. What was not sent yet is lost."""
        sock = self._writer.get_extra_info("socket")
        # A copy of the descriptor, as the object that uvloop gives can't set options.
        with socket.fromfd(sock.fileno(), socket.AF_INET, socket.SOCK_STREAM) as copy:
            copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    def abort(self) -> None:
        """Drop the connection and what was not sent yet."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Send what is left, close, and wait until that has happened."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class LoopbackServer:
    """Hands the requests that reach a port of 127.0.0.1 to a coroutine function, one at a time for each connection.

    Args:
        respond: Answers a request on its connection.
        port: The port, or 0 for a free one.

    Attributes:
        error: The first error of `respond`, or None. Its connection was closed.
    """

    def __init__(self, respond: Callable[[Request, Connection], Awaitable[None]], *, port: int = 0) -> None:
        self.error: BaseException | None = None
        self._respond = respond
        self._port = port
        self._accepted = 0
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._server: asyncio.Server  # from start() on

    async def start(self) -> int:
        """Listen, and give the port.

        Raises:
            OSError: The port is taken, or may not be used.
        """
        self._server = await asyncio.start_server(
            self._accept, HOST, self._port, family=socket.AF_INET, limit=MAX_HEAD, backlog=_BACKLOG
        )
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Stop listening and end every connection, also those whose requests are being answered.

        To be called after a `start()` that succeeded.
        """
        # asyncio drops a connection, and warns, that it has accepted but not set up when the server is closed. So
        # accept no more, let those come up, and close then. Other loops set up at once and know no readers here.
        with contextlib.suppress(NotImplementedError):
            for sock in self._server.sockets:
                asyncio.get_running_loop().remove_reader(sock.fileno())
        try:
            await asyncio.sleep(0)
        finally:  # whoever closes it may be cancelled
            self._server.close()
        await asyncio.sleep(0)
        while self._connections:
            for task, connection in self._connections.items():
                connection.abort()
                task.cancel()
            await asyncio.wait(self._connections)
            await asyncio.sleep(0)  # their callbacks take them out
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted += 1
        connection = Connection(self._accepted, reader, writer)
        task = asyncio.get_running_loop().create_task(self._serve(connection))
        self._connections[task] = connection
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._connections.pop(task)
        if not task.cancelled():
            self.error = self.error or task.exception()

    async def _serve(self, connection: Connection) -> None:
        try:
            while request := await read_request(connection.reader):
                await self._respond(request, connection)
                await connection.drain()
                if not request.keep_alive or not connection.is_open:
                    break
        except BadRequestError as error:
            connection.send(error.answer, keep_alive=False)
        except OSError:
            pass  # the client has gone
        finally:
            await connection.close()


class ServerThread:
    """Runs a server in a thread with an event loop of its own, for callers without a loop.

    Args:
        start: Starts the server; called in the thread's loop.
        close: Closes it; called there too.
    """

    def __init__(self, start: Callable[[], Awaitable[None]], close: Callable[[], Awaitable[None]]) -> None:
        self._start = start
        self._close = close
        self._loop: asyncio.AbstractEventLoop  # from start() on, as the next
        self._stop: asyncio.Event
        # A daemon, so that a test run that forgets to leave the fake can end.
        self._thread = threading.Thread(target=self._run, name="fake-zilliz-cloud", daemon=True)
        self._started: Future[None] = Future()

    def start(self) -> None:
        """Start the thread, and wait until the server runs.

        Raises:
            OSError: The port is taken, or may not be used.
        """
        self._thread.start()
        try:
            self._started.result()
        except OSError:
            self._thread.join()
            raise

    def stop(self) -> None:
        """Close the server, and wait until the thread has ended. To be called after a `start()` that succeeded."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            await self._start()
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        try:
            await self._stop.wait()
        finally:
            await self._close()
