"""What can come instead of a page, as one table: how the server fails, and what the client is to make of it.

Bodies and headers repeat the request's Authorization header wherever a text goes, as careless services do.
"""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import evolve, field, frozen

from aiozilliz import (
    APIError,
    AuthenticationError,
    DecodeError,
    RateLimitError,
    ResponseError,
    ServerError,
    TransportError,
)
from tests.support.wire_server import Exchange, response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiozilliz import ZillizError

Fail: TypeAlias = "Callable[[Exchange], Awaitable[None]]"

MAX_BYTES = 50_000
"""`max_response_bytes` of the client that meets these failures."""


@frozen
class Failure:
    """One way to fail.

    Attributes:
        name: What it is called in a test's name.
        fail: Answers a request, or does not.
        error: The class of error that comes of it, exactly.
        says: What its text says, as a pattern: what happened, and what to do.
        attempts: Requests that are made for it where two are allowed.
        values: What the error's attributes hold.
    """

    name: str
    fail: Fail
    error: type[ZillizError]
    says: str
    attempts: int = 1
    values: dict[str, Any] = field(factory=dict[str, Any])

    def __str__(self) -> str:
        return self.name


def authorization(exchange: Exchange) -> str:
    return exchange.request.get("authorization")[0]


def answer(
    body: Callable[[str], Any] | bytes | Any = b"",
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Fail:
    """Answer with a body, or with what a function makes of the request's Authorization header."""

    async def fail(exchange: Exchange) -> None:
        told = authorization(exchange)
        content = body(told) if callable(body) else body
        lines = [("requestid", f"r-1 {told}"), *((headers or {}).items())]
        await exchange.send(response(content, status=status, headers=lines))

    return fail


def html(told: str) -> bytes:
    return f"<!DOCTYPE html><html><body>Bad gateway for {told}</body></html>".encode()


def in_a_list(told: str) -> list[str]:
    return [told]


def as_text(told: str) -> bytes:
    return f'"{told}"'.encode()


def as_data(told: str) -> dict[str, Any]:
    return {"code": 0, "data": told}


def as_code(told: str) -> dict[str, Any]:
    return {"code": told, "data": []}


async def half(exchange: Exchange) -> None:
    data = response({"code": 0, "message": authorization(exchange), "data": {"clusters": []}})
    await exchange.send(data[: len(data) - 20])
    exchange.cut()


async def no_http(exchange: Exchange) -> None:
    await exchange.send(f"220 {authorization(exchange)} ESMTP\r\n\r\n".encode())
    exchange.cut()


async def wrong_gzip(exchange: Exchange) -> None:
    await exchange.send(response(authorization(exchange).encode(), headers=[("Content-Encoding", "gzip")]))


async def reset(exchange: Exchange) -> None:
    exchange.reset()


async def close(exchange: Exchange) -> None:
    exchange.cut()


async def bomb(exchange: Exchange) -> None:
    await exchange.send(response(gzip.compress(bytes(20_000_000)), headers=[("Content-Encoding", "gzip")]))


def message(code: int) -> Callable[[str], Any]:
    return lambda told: {"code": code, "message": f"refused: {told}"}


_TRY_LATER = "(?i)try again later"

TRANSPORT = [
    Failure("reset", reset, TransportError, "(?i)connection was lost.*network", attempts=2),
    Failure("closed", close, TransportError, "(?i)connection was lost.*network", attempts=2),
    Failure("half an answer", half, TransportError, "(?i)cut short.*network", attempts=2),
    Failure("not HTTP", no_http, TransportError, "(?i)HTTP.*base_url", attempts=2),
    Failure("not the gzip it says", wrong_gzip, TransportError, "(?i)decompressed.*network", attempts=2),
]

_BODIES: list[tuple[str, Any, str, int]] = [
    ("an HTML page", html, "(?i)HTML.*proxy or load balancer", 2),
    ("nothing", b"", "(?i)empty.*proxy or load balancer", 2),
    ("white space", b" \r\n", "(?i)empty", 2),
    ("half of the JSON", b'{"code": 0, "data": {"clus', "(?i)not JSON", 2),
    ("invalid UTF-8", b'{"code": 0, "message": "\xff\xfe"}', "(?i)not JSON", 2),
    ("NaN", b'{"code": 0, "data": NaN}', "(?i)not JSON", 2),
    ("ten thousand levels", b"[" * 10_000 + b"]" * 10_000, "(?i)nested too deep.*base_url", 1),
    ("a list", in_a_list, "(?i)must be an object.*base_url", 1),
    ("a number", b"7", "(?i)must be an object.*base_url", 1),
    ("a text", as_text, "(?i)must be an object.*base_url", 1),
    ("null", b"null", "(?i)must be an object.*base_url", 1),
    ("no data", {"code": 0}, "(?i)data.*base_url", 1),
    ("data null", {"code": 0, "data": None}, "(?i)data must be.*null.*base_url", 1),
    ("data a text", as_data, "(?i)data must be.*base_url", 1),
    ("no clusters", {"code": 0, "data": {}}, "(?i)clusters.*base_url", 1),
    ("clusters an object", {"code": 0, "data": {"clusters": {}}}, "(?i)clusters must be a list.*base_url", 1),
    ("code a text", as_code, "(?i)code must be.*base_url", 1),
    ("count negative", {"code": 0, "data": {"clusters": [], "count": -1}}, "(?i)count must be.*base_url", 1),
    ("count a text", {"code": 0, "data": {"clusters": [], "count": "3"}}, "(?i)count must be.*base_url", 1),
    ("count true", {"code": 0, "data": {"clusters": [], "count": True}}, "(?i)count must be.*base_url", 1),
    (
        "too large",
        b" " * (MAX_BYTES + 1),
        "(?i)larger than the limit of.*smaller pages.*max_response_bytes",
        1,
    ),
]

SHAPES = [
    *(Failure(f"{name}", answer(body), ResponseError, says, tries) for name, body, says, tries in _BODIES),
    Failure(
        "a gzip bomb", bomb, ResponseError, "(?i)larger than the limit of.*smaller pages.*max_response_bytes"
    ),
    Failure(
        "a redirect to another host",
        answer(status=301, headers={"Location": "https://elsewhere.example/v2/clusters?secret=1"}),
        ResponseError,
        r"redirect \(HTTP 301\) to https://elsewhere\.example/v2/clusters\.? .*set base_url",
    ),
    Failure("a redirect to nowhere", answer(status=302), ResponseError, "(?i)redirect.*base_url"),
]

_WRONG: dict[str, list[Any]] = {
    **{
        name: [7, True, [], {}]
        for name in (
            "clusterName",
            "description",
            "regionId",
            "plan",
            "cuType",
            "status",
            "connectAddress",
            "privateLinkAddress",
            "projectId",
        )
    },
    "createTime": [1.5, True, [], {}],
    "cuSize": ["1", 1.5, True, [], {}],
}


def records(*found: Any) -> Any:
    return {"code": 0, "data": {"count": 2, "clusters": [{"clusterId": "in01-good"}, *found]}}


RECORDS = [
    *(
        Failure(
            f"a record that is {name}",
            answer(records(value)),
            DecodeError,
            "(?i)record 1 can't be decoded.*newer version",
            values={"index": 1, "cluster_id": None, "field": None},
        )
        for name, value in (("null", None), ("a text", "in01-x"), ("a number", 3), ("a list", ["in01-x"]))
    ),
    *(
        Failure(
            f"a record whose id is {name}",
            answer(records(record)),
            DecodeError,
            "(?i)record 1 can't be decoded.*clusterId.*newer version",
            values={"index": 1, "cluster_id": None, "field": "clusterId"},
        )
        for name, record in (
            ("absent", {"clusterName": "x"}),
            ("empty", {"clusterId": ""}),
            ("null", {"clusterId": None}),
            ("a number", {"clusterId": 3}),
        )
    ),
    *(
        Failure(
            f"{wire_name} {value!r}",
            answer(records({"clusterId": "in01-bad", wire_name: value})),
            DecodeError,
            rf"(?i)record 1 \(in01-bad\) can't be decoded.*{wire_name} must be.*newer version",
            values={"index": 1, "cluster_id": "in01-bad", "field": wire_name},
        )
        for wire_name, values in _WRONG.items()
        for value in values
    ),
    Failure(
        "a wrong value that repeats the key",
        answer(lambda told: records({"clusterId": told, "cuSize": told})),
        DecodeError,
        "(?i)record 1.*cuSize must be.*newer version",
        values={"index": 1, "field": "cuSize"},
    ),
]

_STATUSES: dict[int, tuple[type[APIError], str, int]] = {
    400: (APIError, "(?i)error codes", 1),
    401: (AuthenticationError, "(?i)check the key.*base_url", 1),
    403: (AuthenticationError, "(?i)role", 1),
    404: (APIError, "(?i)check base_url", 1),
    408: (APIError, _TRY_LATER, 2),
    429: (RateLimitError, "(?i)ask less often", 2),
    500: (ServerError, _TRY_LATER, 2),
    501: (ServerError, _TRY_LATER, 1),
    502: (ServerError, _TRY_LATER, 2),
    503: (ServerError, _TRY_LATER, 2),
    504: (ServerError, _TRY_LATER, 2),
}
_CODES: dict[int, tuple[type[APIError], str, int]] = {
    21119: (AuthenticationError, "(?i)check the key", 1),
    80001: (AuthenticationError, "(?i)check the key", 1),
    80002: (AuthenticationError, "(?i)check the key", 1),
    1800: (AuthenticationError, "(?i)check the key", 1),
    96012: (AuthenticationError, "(?i)role", 1),
    96008: (APIError, "(?i)page_size of 1 to 100", 1),
    12345: (APIError, "(?i)error codes", 1),
    429: (RateLimitError, "(?i)ask less often", 2),
    503: (ServerError, _TRY_LATER, 2),
}


def refusals() -> list[Failure]:
    """Give the service's refusals: by status with each kind of body, and by code under HTTP 200."""
    found: list[Failure] = []
    for status, (error, says, attempts) in _STATUSES.items():
        plain = Failure(
            f"{status} without a body",
            answer(status=status),
            error,
            rf"HTTP {status}.*{says.removeprefix('(?i)')}",
            attempts,
            {"status": status, "code": None},
        )
        found += [
            plain,
            evolve(plain, name=f"{status} with HTML", fail=answer(html, status=status)),
            evolve(
                plain,
                name=f"{status} with JSON",
                fail=answer(message(status), status=status),
                says=rf"refused: .*{plain.says}",
                values={"status": status, "code": status},
            ),
            evolve(
                plain,
                name=f"{status} that says success",
                fail=answer({"code": 0, "data": {"clusters": []}}, status=status),
                values={"status": status, "code": 0},
            ),
        ]
    found += [
        Failure(
            f"code {code} under HTTP 200",
            answer(message(code)),
            error,
            rf"refused: .*code {code}.*{says.removeprefix('(?i)')}",
            attempts,
            {"status": 200, "code": code},
        )
        for code, (error, says, attempts) in _CODES.items()
    ]
    return [evolve(failure, says=f"(?is){failure.says}") for failure in found]


FAILURES = [*TRANSPORT, *SHAPES, *RECORDS, *refusals()]


def says(failure: Failure, text: str) -> bool:
    """Tell whether an error's text says what it has to."""
    return re.search(failure.says, text) is not None
