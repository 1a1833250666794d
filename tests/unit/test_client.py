"""The client's own calls: single pages, the checks of arguments, and its life."""

from __future__ import annotations

import asyncio
import threading
import traceback
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import pytest

from aiozilliz import (
    CHINA,
    APIError,
    AuthenticationError,
    ConfigurationError,
    RetryPolicy,
    ZillizClient,
)
from aiozilliz.testing import FakeZillizCloud
from tests.support.listing_server import (
    Listing,
    ListingServer,
    array_of,
    names,
    nothing_left,
    quick_client,
    read,
)
from tests.support.wire_server import WireServer, response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

# One page


async def test_a_page_has_what_the_service_says_of_it() -> None:
    async with ListingServer(Listing(names(8), cap=5)) as server, server.client() as client:
        page = await client.list_clusters(current_page=2, page_size=7)
    assert [cluster.cluster_id for cluster in page.clusters] == names(3, 5)
    assert (page.count, page.current_page, page.page_size) == (8, 2, 5)
    assert server.requests[0].target == "/v2/clusters?pageSize=7&currentPage=2"


async def test_a_page_of_the_bare_array_has_what_was_asked_and_no_count() -> None:
    async with ListingServer(lambda page, size: array_of("ab")) as server, server.client() as client:
        page = await client.list_clusters(current_page=3, page_size=7)
    assert [cluster.cluster_id for cluster in page.clusters] == ["a", "b"]
    assert (page.count, page.current_page, page.page_size) == (None, 3, 7)


async def test_a_page_is_asked_for_as_the_contract_says() -> None:
    async with WireServer() as server, quick_client(f"{server.url}/prefix/", "the-key") as client:
        await client.list_clusters()
    request = server.requests[0]
    assert (request.method, request.target) == ("GET", "/prefix/v2/clusters?pageSize=100&currentPage=1")
    assert request.get("authorization") == ["Bearer the-key"]
    assert request.get("accept") == ["application/json"]


async def test_the_service_s_refusals_of_a_page_come_through() -> None:
    async with FakeZillizCloud(3) as cloud, quick_client(cloud.url) as client:
        with pytest.raises(APIError) as raised:
            await client.list_clusters(page_size=101)
    assert raised.value.code == 96008


# Arguments

CALLS: dict[str, Callable[[ZillizClient, Any], Any]] = {
    "list_clusters(current_page)": lambda client, value: client.list_clusters(current_page=value),
    "list_clusters(page_size)": lambda client, value: client.list_clusters(page_size=value),
    "iter_pages(page_size)": lambda client, value: client.iter_pages(page_size=value),
    "iter_pages(start_page)": lambda client, value: client.iter_pages(start_page=value),
    "iter_clusters(page_size)": lambda client, value: client.iter_clusters(page_size=value),
    "iter_clusters(concurrency)": lambda client, value: client.iter_clusters(concurrency=value),
    "iter_clusters(max_passes)": lambda client, value: client.iter_clusters(max_passes=value),
}


@pytest.mark.parametrize("value", [0, -1, -(10**30), True, False, "10", 1.0, None, [1]])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("entered", [False, True])
async def test_a_wrong_number_is_refused_before_any_request(call: str, value: Any, *, entered: bool) -> None:
    name = call.partition("(")[2].rstrip(")")
    async with ListingServer(Listing(names(8))) as server:
        client = server.client()
        if entered:
            await client.__aenter__()
        expected = ValueError if isinstance(value, int) and not isinstance(value, bool) else TypeError
        with pytest.raises(expected, match=name):  # noqa: PT012 - some calls give an iterator, the others are awaited
            result = CALLS[call](client, value)
            if call.startswith("list_clusters"):
                await result
        assert server.requests == []
        await client.aclose()


@pytest.mark.parametrize("value", [0, 1, "yes", None])
def test_verify_is_a_flag(value: Any) -> None:
    with pytest.raises(TypeError, match="verify"):
        ZillizClient("k").iter_clusters(verify=value)


@asynccontextmanager
async def nothing_is_held() -> AsyncGenerator[None]:
    yield


class RetryClient:
    """As aiohttp-retry has it: it wraps a session, and is none."""

    __module__ = "aiohttp_retry.client"


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"api_key": ""}, ConfigurationError, "empty"),
        ({"api_key": "a b"}, ConfigurationError, "white space"),
        ({"api_key": "k\n"}, ConfigurationError, "white space"),
        ({"api_key": "schlüssel"}, ConfigurationError, "ASCII"),
        ({"api_key": "k\x07"}, ConfigurationError, "control"),
        ({"api_key": 7}, TypeError, "api_key"),
        ({"base_url": ""}, ConfigurationError, "empty"),
        ({"base_url": "api.example"}, ConfigurationError, "https://"),
        ({"base_url": "http://api.example"}, ConfigurationError, "loopback"),
        ({"base_url": "https://user@api.example"}, ConfigurationError, "user info"),
        ({"base_url": "https://api.example?x=1"}, ConfigurationError, "query"),
        ({"base_url": "https://api.example#x"}, ConfigurationError, "fragment"),
        ({"base_url": 7}, TypeError, "base_url"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"timeout": -1.0}, ValueError, "timeout"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"timeout": "1"}, TypeError, "timeout"),
        ({"timeout": True}, TypeError, "timeout"),
        ({"retry": 3}, TypeError, "RetryPolicy"),
        ({"session": "a session"}, TypeError, "ClientSession, not str"),
        ({"limiter": 20}, TypeError, "limiter"),
        ({"max_response_bytes": 0}, ValueError, "max_response_bytes"),
        ({"max_response_bytes": 1.5}, TypeError, "max_response_bytes"),
    ],
    ids=lambda value: repr(cast("Any", value)) if isinstance(value, dict) else None,
)
def test_a_wrong_set_up_is_refused_at_once(
    arguments: dict[str, Any], error: type[Exception], says: str
) -> None:
    given: dict[str, Any] = {"api_key": "k", **arguments}
    with pytest.raises(error, match=says):
        ZillizClient(**given)


WRONG_OBJECTS: dict[str, tuple[dict[str, Any], str]] = {
    "the class of sessions": (
        {"session": aiohttp.ClientSession},
        "ClientSession, not the class ClientSession",
    ),
    "a wrapped session": (
        {"session": RetryClient()},
        r"pass the aiohttp.ClientSession that it wraps, and .* retry=",
    ),
    "a number": ({"limiter": 20}, r"must be .* RateLimiter\(20\) or .*, not int; None is no limit"),
    "a lock of threads": ({"limiter": threading.Lock()}, r"such as RateLimiter\(20\) or .*, not lock"),
    "a class of limiters": ({"limiter": asyncio.Semaphore}, "not the class Semaphore"),
    "a maker of limiters": (
        {"limiter": lambda: asyncio.Semaphore(1)},
        r"not function \(pass what it returns\)",
    ),
    "a maker of what can be entered once": (
        {"limiter": nothing_is_held},
        r"not function \(pass what it returns\)",
    ),
    "what can be entered once": (
        {"limiter": nothing_is_held()},
        "can be entered once: write a class with __aenter__",
    ),
}


@pytest.mark.parametrize("which", WRONG_OBJECTS)
def test_an_object_of_a_wrong_kind_is_refused_with_what_to_write(which: str) -> None:
    arguments, says = WRONG_OBJECTS[which]
    with pytest.raises(TypeError, match=says):
        ZillizClient("k", **arguments)


def test_without_a_key_it_says_where_one_may_come_from(clean_environment: Path) -> None:
    with pytest.raises(ConfigurationError, match="ZILLIZ_API_KEY"):
        ZillizClient()


async def test_the_environment_s_key_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZILLIZ_API_KEY", "from-the-environment")
    async with WireServer() as server, quick_client(server.url, None) as client:
        await client.list_clusters()
    assert server.requests[0].get("authorization") == ["Bearer from-the-environment"]


# Keys that change


async def test_a_callable_is_asked_before_each_attempt() -> None:
    keys = iter("abcdef")
    answers = [response(status=503), response(status=503), array_of("x")]
    async with (
        ListingServer(lambda page, size: answers.pop(0)) as server,
        quick_client(
            server.url, lambda: next(keys), retry=RetryPolicy(attempts=3, wait_initial=0, wait_jitter=0)
        ) as client,
    ):
        await client.list_clusters()
    assert [request.get("authorization") for request in server.requests] == [
        ["Bearer a"],
        ["Bearer b"],
        ["Bearer c"],
    ]


@pytest.mark.parametrize("attempts", [1, 3])
async def test_a_key_that_was_rotated_is_tried_once_more(attempts: int) -> None:
    keys = iter(["old", "new", "newer"])
    async with (
        FakeZillizCloud(3, api_key="new") as cloud,
        quick_client(cloud.url, lambda: next(keys), retry=RetryPolicy(attempts=attempts)) as client,
    ):
        assert (await client.list_clusters()).count == 3
        assert len(cloud.requests) == 2


async def test_a_key_that_stays_the_same_is_not_tried_again() -> None:
    async with FakeZillizCloud(3, api_key="new") as cloud, quick_client(cloud.url, lambda: "old") as client:
        with pytest.raises(AuthenticationError):
            await client.list_clusters()
        assert len(cloud.requests) == 1


async def test_what_the_callable_raises_comes_through() -> None:
    def ask() -> str:
        raise LookupError("the vault is closed")

    async with WireServer() as server, quick_client(server.url, ask) as client:
        for call in (
            client.list_clusters(),
            read(client.iter_clusters()),
            read(client.iter_clusters(concurrency=2)),
        ):
            with pytest.raises(LookupError, match="vault"):
                await call
        assert server.requests == []


# Limits


async def test_a_limiter_is_entered_once_for_each_attempt_and_shared_by_clients() -> None:
    held = peak = entered = 0

    @asynccontextmanager
    async def place() -> AsyncGenerator[None, None]:
        nonlocal held, peak, entered
        async with semaphore:
            held += 1
            entered += 1
            peak = max(peak, held)
            try:
                yield
            finally:
                held -= 1

    class Limiter:
        def __init__(self) -> None:
            self._places: dict[Any, Any] = {}

        async def __aenter__(self) -> None:
            place_ = self._places[asyncio.current_task()] = place()
            await place_.__aenter__()

        async def __aexit__(self, *details: object) -> None:
            await self._places.pop(asyncio.current_task()).__aexit__(*details)

    semaphore = asyncio.Semaphore(2)
    limiter = Limiter()
    async with ListingServer(Listing(names(20))) as server:
        async with server.client(limiter=limiter) as one, server.client(limiter=limiter) as other:
            await asyncio.gather(
                read(one.iter_clusters(page_size=3, concurrency=4)), read(other.iter_clusters(page_size=3))
            )
        assert entered == len(server.requests) == 14
        assert peak == 2 >= server.peak
        assert held == 0


async def test_each_page_of_a_walk_has_its_own_deadline_and_attempts() -> None:
    failing = iter([True, False] * 4)

    def pages(page: int, size: int) -> bytes:
        return response(status=503) if next(failing) else Listing(names(10))(page, size)

    async with ListingServer(pages) as server, server.client() as client:
        assert await read(client.iter_clusters(page_size=3)) == (names(10), None)
        assert server.pages == [1, 1, 2, 2, 3, 3, 4, 4]


# Life


async def test_a_client_is_entered_once_and_closed_any_number_of_times() -> None:
    async with ListingServer(Listing(names(8))) as server:
        client = server.client()
        async with client:
            with pytest.raises(RuntimeError, match="already entered"):
                await client.__aenter__()
            await client.list_clusters()
            await client.aclose()
            await client.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await client.list_clusters()
        with pytest.raises(RuntimeError, match="closed"):
            await client.__aenter__()
        await nothing_left(server)


async def test_a_client_that_is_not_entered_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await ZillizClient("k").list_clusters()
    await ZillizClient("k").aclose()


async def test_a_closed_client_is_not_entered_again_and_says_what_to_do() -> None:
    client = ZillizClient("k")
    async with client:
        pass
    with pytest.raises(RuntimeError, match=r"^the client is closed; create a new one$"):
        await client.__aenter__()


async def test_a_borrowed_session_stays_open_and_needs_no_entering() -> None:
    async with ListingServer(Listing(names(8))) as server:
        async with aiohttp.ClientSession() as session:
            client = server.client(session=session)
            assert (await client.list_clusters()).count == 8
            async with client:
                assert await read(client.iter_clusters(page_size=3, concurrency=3)) == (names(8), None)
            assert not session.closed
            with pytest.raises(RuntimeError, match="the client is closed"):
                await client.list_clusters()
        await nothing_left(server)


async def test_a_borrowed_session_that_is_closed_is_told() -> None:
    async with ListingServer(Listing(names(8))) as server:
        async with aiohttp.ClientSession() as session:
            client = server.client(session=session)
        with pytest.raises(RuntimeError, match="session is closed"):
            await client.list_clusters()


def test_its_repr_names_the_site_and_no_key() -> None:
    assert repr(ZillizClient("k", base_url=CHINA)) == "<ZillizClient https://api.cloud.zilliz.com.cn>"


@pytest.mark.parametrize("call", ["list_clusters", "snapshot"])
def test_a_wrong_argument_is_refused_at_the_call_and_not_when_awaited(call: str) -> None:
    client = ZillizClient("some-api-key")

    with pytest.raises(ValueError, match="page_size"):
        getattr(client, call)(page_size=0)


def test_a_client_that_was_refused_can_still_be_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ZillizClient("a b")

    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "ZillizClient" in "".join(shown.format())
