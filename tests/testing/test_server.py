"""What is on the wire: spoilt answers, connections, changes while it is read."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import struct
import threading
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from aiozilliz.testing import FakeZillizCloud, Fault

REQUEST = b"GET /v2/clusters?pageSize=%d HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n\r\n"


def connect(cloud: FakeZillizCloud) -> socket.socket:
    parts = urlsplit(cloud.url)
    assert parts.hostname == "127.0.0.1"
    return socket.create_connection((parts.hostname, parts.port or 0), timeout=30)


def ask(cloud: FakeZillizCloud, query: str = "", method: str = "GET") -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection(urlsplit(cloud.url).netloc, timeout=30)) as connection:
        connection.request(method, f"/v2/clusters{query}", headers={"Authorization": "Bearer k"})
        response = connection.getresponse()
        return response.status, response.read()


def listed(cloud: FakeZillizCloud, query: str = "") -> list[str]:
    return [record["clusterId"] for record in json.loads(ask(cloud, query)[1])["data"]["clusters"]]


def read_to_end(sock: socket.socket) -> bytes:
    parts: list[bytes] = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_a_reset_is_a_reset() -> None:
    with FakeZillizCloud(3) as cloud:
        cloud.fail_next(Fault.reset())
        with connect(cloud) as sock:
            sock.sendall(REQUEST % 10)
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        assert len(listed(cloud)) == 3
        assert [request.status for request in cloud.requests] == [None, 200]
        assert cloud.requests[0].fault == Fault.reset()


def test_a_cut_answer_promises_more_than_comes() -> None:
    with FakeZillizCloud(3) as cloud:
        cloud.fail_next(Fault.cut())
        with connect(cloud) as sock:
            sock.sendall(REQUEST % 10)
            head, _, body = read_to_end(sock).partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        assert length is not None
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert len(body) == int(length[1]) // 2


def test_a_malformed_answer_is_whole_but_no_json() -> None:
    with FakeZillizCloud(3) as cloud:
        cloud.fail_next(Fault.malformed())
        status, body = ask(cloud)
        assert status == 200
        assert ask(cloud)[1].startswith(body)
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)


def test_a_fault_takes_the_place_of_an_answer_as_often_as_told() -> None:
    with FakeZillizCloud(3) as cloud:
        cloud.fail_next(Fault.status(503, retry_after=7), times=2)
        cloud.fail_next(Fault.code(80001, "Bad token"))
        assert [ask(cloud)[0] for _ in range(2)] == [503, 503]
        assert json.loads(ask(cloud)[1]) == {"code": 80001, "message": "Bad token"}
        assert len(listed(cloud)) == 3
        assert [request.status for request in cloud.requests] == [503, 503, 200, 200]


def test_a_fault_without_end_stays_until_it_is_cleared() -> None:
    with FakeZillizCloud(3) as cloud:
        cloud.fail_next(Fault.status(500), times=None)
        assert [ask(cloud)[0] for _ in range(3)] == [500] * 3
        cloud.clear_faults()
        assert ask(cloud)[0] == 200


def test_a_refused_request_stays_refused_when_its_answer_is_spoilt() -> None:
    with FakeZillizCloud(3, api_key="other") as cloud:
        for fault in (Fault.repeat_page(), Fault.delay(0)):
            cloud.fail_next(fault)
            assert ask(cloud)[0] == 401


def test_a_repeated_page_is_the_one_sent_last_to_its_last_byte() -> None:
    with FakeZillizCloud(9) as cloud:
        cloud.fail_next(Fault.repeat_page(), times=2)
        first = ask(cloud, "?pageSize=2&currentPage=2")
        cloud.remove(cloud.clusters[2]["clusterId"])
        assert ask(cloud, "?pageSize=2&currentPage=3") == first
        assert ask(cloud, "?pageSize=2&currentPage=3") != first


async def test_a_delayed_page_is_cut_when_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    began, go_on = asyncio.Event(), asyncio.Event()

    async def held(seconds: float) -> None:
        slept.append(seconds)
        began.set()
        await go_on.wait()

    async with FakeZillizCloud(3) as cloud:
        first, *others = [record["clusterId"] for record in cloud.clusters]
        cloud.fail_next(Fault.delay(60))
        with monkeypatch.context() as patched:
            patched.setattr(asyncio, "sleep", held)
            page = asyncio.create_task(asyncio.to_thread(listed, cloud))
            await began.wait()
        cloud.remove(first)
        assert not page.done()
        go_on.set()
        assert await page == others
        assert slept == [60.0]


def test_head_gets_no_body_and_garbage_a_400() -> None:
    with FakeZillizCloud(3) as cloud:
        assert ask(cloud, method="HEAD") == (405, b"")
        with connect(cloud) as sock:
            sock.sendall(b"garbage\r\n\r\n")
            assert read_to_end(sock).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert [request.method for request in cloud.requests] == ["HEAD"]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /v2/clusters HTTP/1.0\r\nAuthorization: bearer k", 200),
        (b"GET http://service.example:80/v2/clusters HTTP/1.0\r\nAuthorization: Bearer k", 200),
        (b"GET //service.example/v2/clusters HTTP/1.0\r\nAuthorization: Bearer k", 404),
        (b"GET //v2/clusters HTTP/1.0\r\nAuthorization: Bearer k", 404),
        (b"POST /v2/clusters HTTP/1.0\r\nContent-Length: 2", 405),
        (b"OPTIONS * HTTP/1.0", 404),
        (b"GET http://[ HTTP/1.1", 400),
        (b"GET /v2/clusters", 400),
        (b"GET /v2/clusters HTTP/9.9", 505),
        (b"\x16\x03\x01", 400),
    ],
)
def test_a_request_gets_one_answer_and_the_end_of_the_connection(head: bytes, status: int) -> None:
    with FakeZillizCloud(3) as cloud, connect(cloud) as sock:
        sock.sendall(head + b"\r\n\r\n{}")
        answer = read_to_end(sock)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"\r\nConnection: close\r\n" in answer


def test_a_client_that_expects_a_permission_gets_it_and_then_its_answer() -> None:
    with FakeZillizCloud(3) as cloud, connect(cloud) as sock, sock.makefile("rb") as answers:
        head = b"POST /v2/clusters HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        for _ in range(2):
            sock.sendall(head)
            assert answers.readline() + answers.readline() == b"HTTP/1.1 100 Continue\r\n\r\n"
            sock.sendall(b"abc")
            assert answers.readline() == b"HTTP/1.1 405 Method Not Allowed\r\n"
            headers = http.client.parse_headers(answers)
            assert json.loads(answers.read(int(headers["Content-Length"])))["code"] == 405
        assert len(cloud.requests) == 2


def test_requests_that_are_sent_ahead_are_answered_in_order() -> None:
    with FakeZillizCloud(9) as cloud, connect(cloud) as sock:
        sock.sendall(b"".join(REQUEST % size for size in range(1, 8)))
        sock.sendall(b"nonsense\r\n\r\n")
        answers = read_to_end(sock).split(b"HTTP/1.1 ")[1:]
        sizes = [answer.count(b"clusterId") for answer in answers]
        assert sizes == [1, 2, 3, 4, 5, 6, 7, 0]
        assert answers[-1].startswith(b"400 ")


def test_a_connection_is_kept_for_the_next_request_and_closed_on_request() -> None:
    with FakeZillizCloud(3) as cloud, connect(cloud) as sock:
        sock.sendall(REQUEST % 1 + REQUEST % 2)
        sock.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert read_to_end(sock).count(b"HTTP/1.1 ") == 3
        assert [(request.connection, request.page_size) for request in cloud.requests] == [
            (1, 1),
            (1, 2),
            (1, None),
        ]


def test_a_client_that_resets_its_connection_harms_nobody() -> None:
    with FakeZillizCloud(3) as cloud:
        with connect(cloud) as sock:
            sock.sendall(REQUEST % 10)
            assert sock.recv(1) == b"H"
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert len(listed(cloud)) == 3


def test_a_page_larger_than_the_buffers_arrives_whole() -> None:
    with FakeZillizCloud([{"clusterId": "a", "description": "x" * 20_000_000}]) as cloud:
        assert len(ask(cloud)[1]) > 20_000_000


def test_the_list_may_be_changed_from_many_threads_while_it_is_read() -> None:
    with FakeZillizCloud(50) as cloud:

        def change() -> None:
            for _ in range(50):
                cloud.remove(cloud.add())

        threads = [threading.Thread(target=change) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert len(listed(cloud, "?pageSize=50")) == 50
        for thread in threads:
            thread.join()
        assert len(cloud.clusters) == 50


async def test_a_close_that_is_cancelled_leaves_no_port_open() -> None:
    cloud = FakeZillizCloud(1)
    await cloud.__aenter__()
    parts = urlsplit(cloud.url)
    leaving = asyncio.create_task(cloud.__aexit__(None, None, None))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(parts.hostname, parts.port)
