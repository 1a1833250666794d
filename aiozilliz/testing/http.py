"""HTTP/1.1 on the server's side, as much of it as the fake needs: requests read, answers written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from http import HTTPStatus
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import frozen

MAX_HEAD = 65536
"""Bytes of request line and headers, at most."""

_MAX_BODY = 1 << 20
_LONGEST_LENGTH = len(str(_MAX_BODY))
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_JSON = ("Content-Type", "application/json")


class Headers(Mapping[str, str]):
    """Read-only headers, whose names are looked up in any case. A repeated header's values are joined by commas."""

    __module__ = "aiozilliz.testing"

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            key = name.lower()
            self._values[key] = f"{self._values[key]}, {value}" if key in self._values else value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values


@frozen
class Request:
    """A request as it came. Of a parameter that stands twice, `query` has the last value."""

    method: str
    path: str
    query: dict[str, str]
    headers: Headers
    keep_alive: bool


@frozen
class Answer:
    """An answer before it is written. Length, date and connection headers are added then."""

    __module__ = "aiozilliz.testing"

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (_JSON,)

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
        """Make an answer of a JSON value."""
        return cls(status, json.dumps(value, separators=(",", ":")).encode(), (_JSON, *headers))


class BadRequestError(Exception):
    """What came is no request that this server reads; `answer` says so to the client."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.answer = Answer.json({"code": status, "message": text}, status)


def parse_head(head: bytes) -> Request:
    """Read a request line and headers, which end in an empty line.

    Raises:
        BadRequestError: They are malformed.
    """
    request_line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    try:
        method, target, version = request_line.split(" ")
        pairs: list[tuple[str, str]] = []
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise BadRequestError("Malformed header.")
            pairs.append((name, value.strip()))
        url = urlsplit(target)
    except ValueError:
        raise BadRequestError("Malformed request line.") from None
    if version not in {"HTTP/1.1", "HTTP/1.0"}:
        raise BadRequestError("This server speaks HTTP/1.1.", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    headers = Headers(pairs)
    wishes = {wish.strip().lower() for wish in headers.get("Connection", "").split(",")}
    return Request(
        method=method,
        path=unquote(url.path),
        query=dict(parse_qsl(url.query, keep_blank_values=True)),
        headers=headers,
        keep_alive=version == "HTTP/1.1" and "close" not in wishes,
    )


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read the next request of a connection and drop its body; None where the client has closed it.

    Raises:
        BadRequestError: The bytes are no request, or one with a body that this server does not read.
    """
    try:
        request = parse_head(await reader.readuntil(b"\r\n\r\n"))
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise BadRequestError("Too long.", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE) from None
    length = request.headers.get("Content-Length", "0")
    if "Transfer-Encoding" in request.headers or not (length.isascii() and length.isdigit()):
        raise BadRequestError("A body needs a Content-Length.", HTTPStatus.LENGTH_REQUIRED)
    length = length.lstrip("0") or "0"
    if len(length) > _LONGEST_LENGTH or int(length) > _MAX_BODY:  # Python refuses to read thousands of digits
        raise BadRequestError("Too large a body.", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    try:
        await reader.readexactly(int(length))
    except asyncio.IncompleteReadError:
        return None
    return request


def render(answer: Answer, *, method: str = "GET", keep_alive: bool = True) -> tuple[bytes, bytes]:
    """Give the bytes of an answer, head and body apart.

    Args:
        answer: What to say.
        method: The request's method; the answer to HEAD has no body.
        keep_alive: Whether the connection stays open.
    """
    try:
        reason = HTTPStatus(answer.status).phrase
    except ValueError:
        reason = ""
    lines = [f"HTTP/1.1 {answer.status} {reason}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    given = {name.lower() for name, _ in answer.headers}
    if "date" not in given:
        lines.append(f"Date: {formatdate(usegmt=True)}")
    if "requestid" not in given:  # what the service's support asks for
        lines.append(f"requestid: {token_hex(16)}")
    body = answer.body
    if answer.status in _BODILESS:
        body = b""
    else:
        lines.append(f"Content-Length: {len(body)}")
    if not keep_alive:
        lines.append("Connection: close")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head, b"" if method == "HEAD" else body
