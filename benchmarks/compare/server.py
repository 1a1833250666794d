"""A server that takes as little time as possible, so that what is measured is the client.

    python -m benchmarks.compare.server --records 10000

It speaks just enough HTTP for clients that behave, and keeps connections alive; asyncio itself sets TCP_NODELAY. The
responses are written before it serves, and are only looked up then. The first line on stdout is the port. `/stats`
returns what has been counted since the last request for it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections import deque
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

import orjson
from attrs import define, field

from benchmarks.compare.records import make_body, make_record

if TYPE_CHECKING:
    from collections.abc import Sequence


def _response(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


_REFUSAL: Final = _response(b'{"code":429,"message":"Too many requests"}', b"429 Too Many Requests")


@define
class Service:
    """The responses written so far, and what the server has counted.

    Attributes:
        records: Clusters in the list.
        latency: Seconds from a request to its response.
        rate_limit: Requests accepted in any one second; the others are refused and do not count. 0 is no limit.
    """

    records: int
    latency: float
    rate_limit: int
    requests: int = 0
    refused: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    _responses: dict[bytes, bytes] = field(factory=dict[bytes, bytes])
    _recent: deque[float] = field(factory=deque[float])

    def prepare(self, page_size: int) -> None:
        """Write the responses for a walk with this page size."""
        for page in range(1, -(-self.records // page_size) + 1):
            target = b"/v2/clusters?pageSize=%d&currentPage=%d" % (page_size, page)
            self._responses[target] = self._write(target)

    def find(self, target: bytes, now: float) -> bytes:
        """Return the response to a request for a page."""
        self.requests += 1
        if self.rate_limit and self._is_over_limit(now):
            self.refused += 1
            return _REFUSAL
        found = self._responses.get(target)
        if found is None:
            found = self._responses[target] = self._write(target)
        return found

    def read_stats(self) -> bytes:
        """Return the response to `/stats`, and reset the counts."""
        stats = {"requests": self.requests, "refused": self.refused, "most_in_flight": self.most_in_flight}
        self.requests = self.refused = self.most_in_flight = 0
        return _response(orjson.dumps(stats))

    def _is_over_limit(self, now: float) -> bool:
        recent = self._recent
        while recent and recent[0] <= now - 1.0:
            recent.popleft()
        if len(recent) >= self.rate_limit:
            return True
        recent.append(now)
        return False

    def _write(self, target: bytes) -> bytes:
        query = parse_qs(urlsplit(target.decode()).query)
        page, size = int(query["currentPage"][0]), int(query["pageSize"][0])
        indexes = range((page - 1) * size, min(page * size, self.records))
        body = make_body([make_record(i) for i in indexes], count=self.records, page=page, page_size=size)
        return _response(body)


class Connection(asyncio.Protocol):
    """One connection. Requests have no body, so each ends with an empty line."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self._service = service
        self._loop = loop
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        while (end := received.find(b"\r\n\r\n")) >= 0:
            self._handle(received[4 : received.index(b" ", 4)])
            received = received[end + 4 :]
        self._received = received

    def _handle(self, target: bytes) -> None:
        assert self._transport is not None
        service = self._service
        if target == b"/stats":
            self._transport.write(service.read_stats())
            return
        found = service.find(target, self._loop.time())
        if not service.latency:
            self._transport.write(found)
            return
        service.in_flight += 1
        service.most_in_flight = max(service.most_in_flight, service.in_flight)
        self._loop.call_later(service.latency, self._finish, found)

    def _finish(self, found: bytes) -> None:
        self._service.in_flight -= 1
        assert self._transport is not None
        self._transport.write(found)


async def serve(service: Service) -> None:
    """Serve on a free port of the loopback interface until cancelled."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(service, loop), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare.server")
    parser.add_argument("--records", type=int, default=10_000, help="clusters in the list")
    parser.add_argument("--page-size", type=int, default=100, help="page size of the prepared responses")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds from a request to its response")
    parser.add_argument("--rate-limit", type=int, default=0, help="requests accepted in any one second")
    parser.add_argument("--cpu", type=int, default=None, help="the one core to run on")
    options = parser.parse_args(arguments)
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    service = Service(options.records, options.latency, options.rate_limit)
    service.prepare(options.page_size)
    asyncio.run(serve(service))


if __name__ == "__main__":
    main()
