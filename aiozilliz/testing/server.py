"""A small HTTP/1.1 server on loopback: reads requests, sends or spoils responses, and closes without leftovers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from email.utils import formatdate
from http import HTTPStatus
from http.client import responses
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

HOST = "127.0.0.1"
_BACKLOG = 512

MAX_HEAD = 65536
"""Maximum size of request line and headers, in bytes."""

_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_JSON = ("Content-Type", "application/json")

_REQUEST_LINE = re.compile(
    r"(?P<method>[\w!#$%&'*+.^`|~-]+) "
    r"(?i:https?://(?:[\w.-]+|\[[\da-f:.]+\])(?::\d*)?)?"  # sent to proxies, and understood by every server
    r"(?P<path>/[^?\x00-\x20\x7f]*|\*|(?<! ))(?:\?(?P<query>[^\x00-\x20\x7f]*))? "
    r"HTTP/(?P<version>\d(?:\.\d)?)",
    re.ASCII,
)
_HEADER = re.compile(r"([^:\s]+):[ \t]*(.*?)[ \t]*")


class Headers(Mapping[str, str]):
    """Read-only headers with case-insensitive names. The values of a repeated header are joined by commas."""

    __module__ = "aiozilliz.testing"

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            key = name.lower()
            self._values[key] = f"{self._values[key]}, {value}" if key in self._values else value

    def __getitem__(self, name: str) -> str:
        return self._values[str(name).lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@frozen
class Request:
    """A request that was read. If a query parameter is repeated, `query` holds its last value."""

    method: str
    path: str
    query: dict[str, str]
    headers: Headers
    keep_alive: bool


@frozen
class Answer:
    """A response. Its headers for length, date and connection are added when it is sent."""

    __module__ = "aiozilliz.testing"

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (_JSON,)

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
        """Create a response from a JSON value."""
        return cls(status, json.dumps(value, separators=(",", ":")).encode(), (_JSON, *headers))


class BadRequestError(Exception):
    """The bytes are not a request that this server supports; `answer` is the response to send."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.answer = Answer.json({"code": status, "message": text}, status)


def parse_head(head: bytes) -> Request:
    """Parse a request line and headers, including the empty line at the end.

    Returns:
        The request.

    Raises:
        BadRequestError: They are malformed.
    """
    request_line, *lines = head.decode("latin-1").strip("\r\n").split("\r\n")
    found = _REQUEST_LINE.fullmatch(request_line)
    if not found:
        raise BadRequestError("Malformed request line.")
    if not found["version"].startswith("1."):
        raise BadRequestError("This server speaks HTTP/1.1.", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    fields = [_HEADER.fullmatch(line) for line in lines]
    if None in fields:
        raise BadRequestError("Malformed header.")
    headers = Headers([(field[1], field[2]) for field in fields if field])
    wishes = {wish.strip().lower() for wish in headers.get("Connection", "").split(",")}
    return Request(
        method=found["method"],
        path=unquote(found["path"] or "/"),
        query=dict(parse_qsl(found["query"], keep_blank_values=True)),
        headers=headers,
        keep_alive=found["version"] != "1.0" and "close" not in wishes,
    )


async def read_request(reader: asyncio.StreamReader, send: Callable[[bytes], Any] = bytes) -> Request | None:
    """Read the next request of a connection, and discard its body.

    Args:
        reader: The connection's reader.
        send: Sends bytes to a client that waits for a permission to go on (`Expect: 100-continue`).

    Returns:
        The request, or None if the client has closed the connection.

    Raises:
        BadRequestError: The bytes are not a request, or its body is not supported.
    """
    try:
        request = parse_head(await reader.readuntil(b"\r\n\r\n"))
        length = request.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in request.headers or not re.fullmatch("[0-9]+", length):
            raise BadRequestError("A body needs a Content-Length.", HTTPStatus.LENGTH_REQUIRED)
        if not re.fullmatch("0*[0-9]{1,6}", length):
            raise BadRequestError("Too large a body.", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if request.headers.get("Expect", "").lower() == "100-continue":
            send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(int(length[-6:]))  # int() refuses thousands of digits
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise BadRequestError("Too long.", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE) from None
    return request


def render(answer: Answer, *, method: str = "GET", keep_alive: bool = True) -> tuple[bytes, bytes]:
    """Encode a response.

    Args:
        answer: The response.
        method: The request's method; the response to HEAD has no body.
        keep_alive: Whether the connection stays open.

    Returns:
        The bytes of the head, and those of the body.
    """
    lines = [f"HTTP/1.1 {answer.status} {responses.get(answer.status, '')}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    given = {name.lower() for name, _ in answer.headers}
    ours = {
        "Date": formatdate(usegmt=True),
        "requestid": token_hex(16),
    }  # the service's support needs the latter
    lines += [f"{name}: {value}" for name, value in ours.items() if name.lower() not in given]
    body = b"" if answer.status in _BODILESS else answer.body
    if answer.status not in _BODILESS:
        lines.append(f"Content-Length: {len(body)}")
    if not keep_alive:
        lines.append("Connection: close")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head, b"" if method == "HEAD" else body


class Connection:
    """A client's connection.

    Attributes:
        number: Its number in the order of acceptance, from 1.
        reader: What the client sends.
        write: Sends bytes as they are.
        drain: Waits until the write buffer has drained.
        abort: Aborts the connection. Unsent data is lost.
    """

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.write = writer.write
        self.drain = writer.drain
        self.abort = writer.transport.abort
        self._writer = writer

    @property
    def is_open(self) -> bool:
        """Whether a response can still be sent."""
        return not self._writer.is_closing() and not self.reader.at_eof()

    def send(
        self, answer: Answer, *, method: str = "GET", keep_alive: bool = True, half: bool = False
    ) -> None:
        """Write a response to the transport, which sends it at once if it can.

        Args:
            answer: The response.
            method: The request's method.
            keep_alive: Whether the connection stays open afterwards.
            half: Send only half of the body, and close the connection.
        """
        head, body = render(answer, method=method, keep_alive=keep_alive)
        self.write(head + (body[: len(body) // 2] if half else body))
        if half or not keep_alive:
            self._writer.close()

    def reset(self) -> None:
        """Reset the connection (TCP RST). Unsent data is lost."""
        sock = self._writer.get_extra_info("socket")
        # A duplicate, because the socket object of uvloop can't set options.
        with socket.fromfd(sock.fileno(), socket.AF_INET, socket.SOCK_STREAM) as copy:
            copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    async def close(self) -> None:
        """Send what is buffered, close the connection, and wait until it is closed."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class LoopbackServer:
    """Listens on a port of 127.0.0.1, and calls a coroutine function for each request, one at a time per connection.

    Args:
        respond: Responds to a request on its connection.
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
        self._server: asyncio.Server  # set by start()

    async def start(self) -> int:
        """Start listening.

        Returns:
            The port.

        Raises:
            OSError: The port is in use, or not permitted.
        """
        self._server = await asyncio.start_server(
            self._accept, HOST, self._port, family=socket.AF_INET, limit=MAX_HEAD, backlog=_BACKLOG
        )
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Stop listening, and end every connection, including those with a response in progress.

        `start()` must have succeeded before.
        """
        # If the server is closed between the accept and the set-up of a connection, asyncio drops it with a warning. So
        # stop accepting first, let the accepted ones be set up, then close. Other loops set them up at once, and do not
        # support `remove_reader` here.
        with contextlib.suppress(NotImplementedError):
            for sock in self._server.sockets:
                asyncio.get_running_loop().remove_reader(sock.fileno())
        try:
            await asyncio.sleep(0)
        finally:  # the caller may be cancelled
            self._server.close()
        await asyncio.sleep(0)
        while self._connections:
            for task, connection in self._connections.items():
                connection.abort()
                task.cancel()
            await asyncio.wait(self._connections)
            await asyncio.sleep(0)  # let `_ended` remove them
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
            while request := await read_request(connection.reader, connection.write):
                await self._respond(request, connection)
                await connection.drain()
                if not request.keep_alive or not connection.is_open:
                    break
        except BadRequestError as error:
            connection.send(error.answer, keep_alive=False)
        except OSError:
            pass  # the client has disconnected
        finally:
            await connection.close()


class LoopThread(threading.Thread):
    """A thread with an event loop, for callers without one."""

    def __init__(self) -> None:
        # A daemon, so that the process can exit even if the fake was not left.
        super().__init__(name="fake-zilliz-cloud", daemon=True)
        self._loop: Future[asyncio.AbstractEventLoop] = Future()

    def run(self) -> None:
        """Run the loop, in the thread."""
        with asyncio.Runner() as runner:
            self._loop.set_result(runner.get_loop())
            runner.get_loop().run_forever()

    def call(self, coroutine: Coroutine[Any, Any, None], *, last: bool = False) -> None:
        """Run a coroutine in the thread, from another. The thread ends after the last one, or one that fails."""
        loop = self._loop.result()
        try:
            asyncio.run_coroutine_threadsafe(coroutine, loop).result()
        except BaseException:
            last = True
            raise
        finally:
            if last:
                loop.call_soon_threadsafe(loop.stop)
                self.join()
