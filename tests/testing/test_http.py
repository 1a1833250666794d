from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiozilliz.testing.server import (
    Answer,
    BadRequestError,
    Headers,
    Request,
    parse_head,
    read_request,
    render,
)


async def read(data: bytes) -> Request | None:
    reader = asyncio.StreamReader(limit=1024)
    reader.feed_data(data)
    reader.feed_eof()
    return await read_request(reader)


def test_a_head_is_read_into_its_parts() -> None:
    request = parse_head(
        b"GET /v2/clusters?pageSize=5&region=a%20b&empty= HTTP/1.1\r\nHost: x\r\nX-A:  one \r\nx-a: two\r\n\r\n"
    )
    assert (request.method, request.path) == ("GET", "/v2/clusters")
    assert request.query == {"pageSize": "5", "region": "a b", "empty": ""}
    assert request.headers["x-A"] == "one, two"
    assert request.keep_alive


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://x:1/a%2Fb", "/a/b", {}),
        ("HTTPS://[::1]:1/a?b=c", "/a", {"b": "c"}),
        ("http://x", "/", {}),
        ("http://x?b=c", "/", {"b": "c"}),
        ("//x/v2/clusters", "//x/v2/clusters", {}),
        ("//x", "//x", {}),
        ("///", "///", {}),
        ("/a://b", "/a://b", {}),
        ("/a?b=//c?d&e=f#g", "/a", {"b": "//c?d", "e": "f#g"}),
        ("/?", "/", {}),
        ("*", "*", {}),
    ],
)
def test_a_path_is_decoded_and_may_come_with_a_host(target: str, path: str, query: dict[str, str]) -> None:
    request = parse_head(f"GET {target} HTTP/1.1\r\n\r\n".encode())
    assert (request.path, request.query) == (path, query)


def test_empty_lines_before_a_request_are_skipped() -> None:
    assert parse_head(b"\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n").path == "/a"


@pytest.mark.parametrize(
    ("version", "connection", "stays"),
    [("1.1", "keep-alive", True), ("1.1", "Upgrade, Close", False), ("1.0", "", False)],
)
def test_a_connection_stays_open_as_the_client_wants(version: str, connection: str, stays: bool) -> None:
    request = parse_head(f"GET / HTTP/{version}\r\nConnection: {connection}\r\n\r\n".encode())
    assert request.keep_alive is stays


def test_header_names_are_looked_up_in_any_case() -> None:
    headers = Headers([("Accept", "a"), ("HOST", "h")])
    assert headers["ACCEPT"] == headers.get("accept") == "a"
    assert "Host" in headers
    number: Any = 7
    assert number not in headers
    assert dict(headers) == {"accept": "a", "host": "h"}
    assert len(headers) == 2
    with pytest.raises(KeyError):
        headers["Cookie"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1 more\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\n\r\n", 400),
        (b"GET http:// HTTP/1.1\r\n\r\n", 400),
        (b"GET ftp://x/ HTTP/1.1\r\n\r\n", 400),
        (b"GET v2/clusters HTTP/1.1\r\n\r\n", 400),
        (b"GET  HTTP/1.1\r\n\r\n", 400),
        (b"GET ?a HTTP/1.1\r\n\r\n", 400),
        (b"GET /a\x00 HTTP/1.1\r\n\r\n", 400),
        (b"GET /a\tb HTTP/1.1\r\n\r\n", 400),
        (b"GET / http/1.1\r\n\r\n", 400),
        (b"G\xc4T / HTTP/1.1\r\n\r\n", 400),
        (b"G(T / HTTP/1.1\r\n\r\n", 400),
        (b" / HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT x:443 HTTP/1.1\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n folded: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\na b: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\na : x\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 2000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\nabc", 411),
        (b"POST / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 900 + b"\r\n\r\n", 413),
    ],
)
async def test_what_is_no_request_for_us_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(BadRequestError) as caught:
        await read(data)
    assert caught.value.answer.status == status


async def test_a_length_of_many_digits_is_a_number() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"POST /a HTTP/1.1\r\nContent-Length: " + b"0" * 9000 + b"3\r\n\r\nabc")
    assert await read_request(reader)
    assert not reader._buffer  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue] - not public


@pytest.mark.parametrize("expect", ["100-continue", "100-Continue"])
async def test_a_client_that_waits_for_a_permission_gets_it_before_its_body_is_read(expect: str) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(f"POST /a HTTP/1.1\r\nExpect: {expect}\r\nContent-Length: 3\r\n\r\n".encode())
    sent: list[bytes] = []

    def send(data: bytes) -> None:
        sent.append(data)
        reader.feed_data(b"abc")

    request = await read_request(reader, send)
    assert request is not None
    assert sent == [b"HTTP/1.1 100 Continue\r\n\r\n"]


async def test_a_body_is_read_and_dropped() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n\r\n")
    reader.feed_eof()
    first, second, third = [await read_request(reader) for _ in range(3)]
    assert first is not None
    assert second is not None
    assert (first.path, second.path, third) == ("/a", "/b", None)


@pytest.mark.parametrize(
    "data", [b"", b"GET / HTTP", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc"]
)
async def test_a_client_that_closes_early_asks_nothing(data: bytes) -> None:
    assert await read(data) is None


def test_an_answer_is_written_with_length_and_date() -> None:
    head, body = render(Answer.json({"code": 0}), keep_alive=False)
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert {"Content-Type: application/json", "Content-Length: 10", "Connection: close"} <= set(lines)
    assert any(line.startswith("Date: ") and line.endswith(" GMT") for line in lines)
    assert lines[-2:] == ["", ""]
    assert body == b'{"code":0}'


def test_what_a_test_gives_is_kept_and_unknown_statuses_have_no_reason() -> None:
    head, _ = render(Answer(520, b"", (("date", "then"), ("RequestId", "mine"))))
    assert head == b"HTTP/1.1 520 \r\ndate: then\r\nRequestId: mine\r\nContent-Length: 0\r\n\r\n"


def test_each_answer_has_a_request_id_of_its_own() -> None:
    heads = {render(Answer.json({"code": 0}))[0].lower().split(b"requestid: ")[1] for _ in range(2)}
    assert len(heads) == 2


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body_have_none(status: int) -> None:
    head, body = render(Answer.json({}, status))
    assert b"Content-Length" not in head
    assert body == b""


def test_the_answer_to_head_has_the_length_but_no_body() -> None:
    head, body = render(Answer.json({}), method="HEAD")
    assert b"Content-Length: 2\r\n" in head
    assert body == b""
