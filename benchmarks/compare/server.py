"""A server that gives as little work as possible, so that what is measured is the client.

    python -m benchmarks.compare.server --records 10000

It speaks just enough HTTP for clients that behave, and keeps connections alive; asyncio itself sets TCP_NODELAY. The
answers are written before it serves, and are a lookup from then on. The first line on stdout is the port. `/stats` tells what has been counted since it was last asked.
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


def _answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


_REFUSAL: Final = _answer(b'{"code":429,"message":"Too many requests"}', b"429 Too Many Requests")


@define
class Service:
    """What the server knows: the answers written so far, and what it has counted.

    Attributes:
        records: Clusters in the list.
        latency: Seconds from a request to its answer.
        rate_limit: Requests answered in any one second; the others are refused and do not count. 0 is no limit.
    """

    records: int
    latency: float
    rate_limit: int
    requests: int = 0
    refused: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    _answers: dict[bytes, bytes] = field(factory=dict[bytes, bytes])
    _recent: deque[float] = field(factory=deque[float])

    def prepare(self, page_size: int) -> None:
        """Write the answers to a walk with this page size."""
        for page in range(1, -(-self.records // page_size) + 1):
            target = b"/v2/clusters?pageSize=%d&currentPage=%d" % (page_size, page)
            self._answers[target] = self._write(target)

    def find(self, target: bytes, now: float) -> bytes:
        """Give the answer to a request for a page."""
        self.requests += 1
        if self.rate_limit and self._is_too_much(now):
            self.refused += 1
            return _REFUSAL
        found = self._answers.get(target)
        if found is None:
            found = self._answers[target] = self._write(target)
        return found

    def tell(self) -> bytes:
        """Give the answer to `/stats`, and count anew."""
        told = {"requests": self.requests, "refused": self.refused, "most_in_flight": self.most_in_flight}
        self.requests = self.refused = self.most_in_flight = 0
        return _answer(orjson.dumps(told))

    def _is_too_much(self, now: float) -> bool:
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
        return _answer(body)


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
            self._transport.write(service.tell())
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
    parser.add_argument("--page-size", type=int, default=100, help="of the pages that are prepared")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds from a request to its answer")
    parser.add_argument("--rate-limit", type=int, default=0, help="requests answered in any one second")
    parser.add_argument("--cpu", type=int, default=None, help="the one core to run on")
    options = parser.parse_args(arguments)
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    service = Service(options.records, options.latency, options.rate_limit)
    service.prepare(options.page_size)
    asyncio.run(serve(service))


if __name__ == "__main__":
    main()
