from __future__ import annotations

import asyncio
import gc
import logging
import re
import weakref
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import pytest
import stamina

from aiozilliz import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    RateLimitError,
    ResponseError,
    RetryPolicy,
    ServerError,
    TransportError,
    ZillizClient,
    ZillizError,
)
from tests.support.wire_server import OK, Exchange, Script, WireServer, answering, response

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

KEY = "key0123456789abcdefghij"
OTHER = "other0123456789abcdefgh"
NO_WAIT = RetryPolicy(wait_initial=0, wait_jitter=0)
BRIEF = RetryPolicy(deadline=0.2)
GENEROUS = 10.0
"""Seconds: more than any machine needs for what has a deadline of parts of a second, and less than all defaults."""


def refusal(code: int, status: int = 200, **headers: str) -> bytes:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return response({"code": code, "message": "no"}, status=status, headers=fields)


async def reset(exchange: Exchange) -> None:
    exchange.reset()


async def cut(exchange: Exchange) -> None:
    exchange.cut()


async def cut_body(exchange: Exchange) -> None:
    await exchange.send(response(b'{"code":', length=1000))
    exchange.cut()


async def silent(exchange: Exchange) -> None:
    await exchange.silence()


async def unasked(exchange: Exchange) -> None:
    raise AssertionError("nothing should have been asked")


def once(fault: Script) -> Script:
    """Script: a fault at the first request, then all is well."""

    async def script(exchange: Exchange) -> None:
        await (fault if exchange.number == 1 else answering(OK))(exchange)

    return script


def open_client(server: WireServer, key: Any = KEY, **settings: Any) -> ZillizClient:
    defaults: dict[str, Any] = {"base_url": server.url, "limiter": None, "retry": NO_WAIT}
    return ZillizClient(key, **{**defaults, **settings})


async def failure_of(server: WireServer, key: Any = KEY, **settings: Any) -> ZillizError:
    """Ask for page 2; give the error."""
    async with open_client(server, key, **settings) as client:
        with pytest.raises(ZillizError) as caught:
            await client.list_clusters(current_page=2)
    return caught.value


class Gate:
    """A limiter that counts, and lets nobody in while it is shut.

    Args:
        shut: Whether it is.
        places: How many it holds.
    """

    def __init__(self, *, shut: bool = False, places: int = 100) -> None:
        self.entered = self.left = self.waiting = 0
        self.opened = asyncio.Event()
        self._places = asyncio.Semaphore(places)
        self._changed = asyncio.Event()
        if not shut:
            self.opened.set()

    @property
    def inside(self) -> int:
        return self.entered - self.left

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds of the counters."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def __aenter__(self) -> Self:
        self.waiting += 1
        self._changed.set()
        try:
            await self.opened.wait()
            await self._places.acquire()
        finally:
            self.waiting -= 1
        self.entered += 1
        self._changed.set()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._places.release()
        self.left += 1
        self._changed.set()


# What is tried again


@pytest.mark.parametrize(
    "fault",
    [
        reset,
        cut,
        cut_body,
        *(answering(refusal(0, status)) for status in (408, 429, 500, 502, 503, 504)),
        *(answering(refusal(code)) for code in (408, 429, 500, 502, 503, 504)),
        answering(response(b"<html>busy</html>")),
        answering(response(b"")),
        answering(response(b'{"code":0,"da')),
        answering(response(b"x", status=503)),
    ],
)
async def test_what_may_pass_is_tried_again(fault: Script) -> None:
    gate = Gate()
    async with WireServer(once(fault)) as server:
        async with open_client(server, limiter=gate) as client:
            page = await client.list_clusters(current_page=3)
        assert [cluster.cluster_id for cluster in page.clusters] == ["in01-a"]
        assert server.pages == [3, 3]
        assert gate.entered == gate.left == 2


async def test_a_timeout_is_tried_again() -> None:
    async with WireServer(once(silent)) as server:
        async with open_client(server, timeout=aiohttp.ClientTimeout(sock_read=0.1)) as client:
            await client.list_clusters()
        assert len(server.requests) == 2


async def test_a_refused_connection_is_tried_again() -> None:
    async with WireServer() as server:
        pass
    error = await failure_of(server)
    assert isinstance(error, TransportError)
    assert error.attempts == 5


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(401, 401), AuthenticationError),
        (refusal(21119), AuthenticationError),
        (refusal(96008), APIError),
        (refusal(0, 404), APIError),
        (refusal(0, 501), ServerError),
        (response({"code": 0}), ResponseError),
        (response(status=302, headers=[("Location", "/x")]), ResponseError),
    ],
)
async def test_what_does_not_pass_is_tried_once(answer: bytes, kind: type[ZillizError]) -> None:
    async with WireServer(answering(answer)) as server:
        error = await failure_of(server)
        assert type(error) is kind
        assert error.attempts == len(server.requests) == 1
        assert not error.retryable


@pytest.mark.parametrize("attempts", [1, 2, 5])
@pytest.mark.parametrize("fault", [reset, cut_body, answering(refusal(503, 503))])
async def test_attempts_are_counted_exactly(attempts: int, fault: Script) -> None:
    gate = Gate()
    async with WireServer(fault) as server:
        policy = RetryPolicy(attempts=attempts, wait_initial=0, wait_jitter=0)
        error = await failure_of(server, retry=policy, limiter=gate)
        assert error.attempts == len(server.requests) == gate.entered == gate.left == attempts
        assert (error.method, error.page) == ("GET", 2)
        assert error.url == f"{server.url}/v2/clusters?pageSize=100&currentPage=2"
        assert error.elapsed is not None
        assert f"page 2; {attempts} attempt" in str(error)
        assert error.__context__ is None


async def test_the_last_failure_is_raised() -> None:
    async with WireServer(answering(refusal(500), refusal(429), refusal(404))) as server:
        error = await failure_of(server)
        assert type(error) is APIError
        assert (error.code, error.attempts) == (404, 3)


async def test_the_metrics_name_what_is_tried_again() -> None:
    retries: list[stamina.instrumentation.RetryDetails] = []
    before = stamina.instrumentation.get_on_retry_hooks()

    def hook(details: stamina.instrumentation.RetryDetails) -> None:
        retries.append(details)

    stamina.instrumentation.set_on_retry_hooks([hook])
    try:
        answer = response({"code": 500, "message": f"hello {KEY}"})
        async with WireServer(answering(answer, OK)) as server, open_client(server) as client:
            await client.list_clusters()
    finally:
        stamina.instrumentation.set_on_retry_hooks(before)
    (details,) = retries
    assert details.name.startswith("aiozilliz._http.request.")
    assert (details.args, details.kwargs) == ((), {})
    assert KEY not in repr(details)


async def test_staminas_switches_for_tests_hold_here_too() -> None:
    policy = RetryPolicy(wait_initial=1000, wait_max=1000, deadline=5000)
    answers = answering(refusal(503, Retry_After="1000"), OK, refusal(503, Retry_After="1000"), OK)
    async with WireServer(answers) as server, open_client(server, retry=policy) as client:
        with stamina.set_testing(True, attempts=2):
            await client.list_clusters()
        stamina.set_active(False)
        try:
            with pytest.raises(ServerError):
                await client.list_clusters()
            await client.list_clusters()
        finally:
            stamina.set_active(True)
        assert len(server.requests) == 4


# The deadline


async def stuck() -> str:
    await asyncio.Event().wait()
    return KEY


@pytest.mark.parametrize(
    ("script", "settings", "text"),
    [
        (silent, {}, "exceeded while waiting for a response"),
        (unasked, {"limiter": "shut"}, "exceeded while waiting for the limiter"),
        (unasked, {"key": stuck}, "exceeded while waiting for the api_key callable"),
    ],
)
async def test_the_deadline_names_what_was_waited_for(
    script: Script, settings: dict[str, Any], text: str
) -> None:
    if "limiter" in settings:
        settings = {"limiter": Gate(shut=True)}
    async with WireServer(script) as server:
        error = await failure_of(server, retry=BRIEF, **settings)
        assert type(error) is TransportError
        assert text in str(error)
        assert "Deadline of 0.2 s" in str(error)
        assert error.elapsed is not None
        assert 0.19 < error.elapsed < GENEROUS
        assert error.attempts == len(server.requests)


@pytest.mark.parametrize("then", ["waiting", "limiter", "key", "silence"])
async def test_the_deadline_raises_the_last_failure_where_there_is_one(then: str) -> None:
    gate = Gate()
    asked = 0

    async def key() -> str:
        nonlocal asked
        asked += 1
        return KEY if asked == 1 or then != "key" else await stuck()

    async def script(exchange: Exchange) -> None:
        if exchange.number > 1:
            await exchange.silence()
        elif then == "limiter":
            gate.opened.clear()
        await exchange.send(refusal(503, 503))

    wait = 1000 if then == "waiting" else 0
    policy = RetryPolicy(deadline=0.5, wait_initial=wait, wait_max=wait, wait_jitter=0)
    async with WireServer(script) as server:
        error = await failure_of(server, key, retry=policy, limiter=gate)
        assert type(error) is ServerError
        assert error.attempts == (2 if then == "silence" else 1)
        assert error.elapsed is not None
        assert 0.49 < error.elapsed < GENEROUS
        assert gate.inside == 0


@pytest.mark.parametrize("where", ["key", "async key", "limiter"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", [TimeoutError, ValueError, KeyError])
async def test_exceptions_of_the_users_own_code_pass_as_they_are(
    where: str, first: bool, kind: type[Exception]
) -> None:
    fault = kind("my own")
    calls = 0

    def check(what: str) -> None:
        nonlocal calls
        calls += what == where
        if what == where and calls == (1 if first else 2):
            raise fault

    def key() -> str:
        check("key")
        return KEY

    async def async_key() -> str:
        check("async key")
        return KEY

    class Limiter(Gate):
        async def __aenter__(self) -> Self:
            check("limiter")
            return await super().__aenter__()

    async with WireServer(answering(refusal(503))) as server:
        asked = async_key if where == "async key" else key
        async with open_client(server, asked, limiter=Limiter()) as client:
            with pytest.raises(kind) as caught:
                await client.list_clusters()
        assert caught.value is fault
        assert fault.__context__ is None
        assert len(server.requests) == (0 if first else 1)


# Retry-After


async def test_retry_after_is_waited_for() -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def script(exchange: Exchange) -> None:
        times.append(loop.time())
        await exchange.send(refusal(429, Retry_After="1") if exchange.number == 1 else OK)

    async with WireServer(script) as server, open_client(server) as client:
        await client.list_clusters()
        assert times[1] - times[0] > 0.99


async def test_those_who_were_held_back_come_apart_but_each_in_time_for_its_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def far(*_: object) -> float:
        return 1000.0

    monkeypatch.setattr("aiozilliz._http.request.spread", far)
    loop = asyncio.get_running_loop()
    answers = answering(refusal(429, Retry_After="1"), OK)
    policy = RetryPolicy(attempts=1, deadline=3)
    async with WireServer(answers) as server, open_client(server, retry=policy) as client:
        with pytest.raises(RateLimitError):
            await client.list_clusters()
        began = loop.time()
        await client.list_clusters()
        # A second of the pause, and half of the two that are left then.
        assert 1.9 <= loop.time() - began <= 3


@pytest.mark.parametrize("form", ["seconds", "date", "much too long"])
async def test_retry_after_beyond_the_deadline_fails_at_once(form: str) -> None:
    date = datetime.now(UTC) + timedelta(hours=1)
    value = {
        "seconds": "3600",
        "date": format_datetime(date, usegmt=True),
        "much too long": "9" * 400,
    }[form]
    answers = answering(refusal(429, 429, Retry_After=value))
    async with WireServer(answers) as server, open_client(server) as client:
        with pytest.raises(RateLimitError) as caught:
            await client.list_clusters()
        assert caught.value.retry_after is not None
        assert caught.value.retry_after > 3500
        assert caught.value.attempts == 1
        assert caught.value.elapsed is not None
        assert caught.value.elapsed < GENEROUS
        with pytest.raises(TransportError, match="the pause that the service asked for") as later:
            await client.list_clusters()
        assert later.value.attempts == 0
        assert later.value.elapsed is not None
        assert later.value.elapsed < GENEROUS
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "value", ["nan", "inf", "-1", "1e3", "soon", "", "0", "Thu, 99 Foo 2030 00:00:00 GMT"]
)
async def test_nonsense_in_retry_after_is_ignored(value: str) -> None:
    async with WireServer(answering(refusal(503, 503, Retry_After=value), OK)) as server:
        async with open_client(server) as client:
            await client.list_clusters()
        assert len(server.requests) == 2


async def test_retry_after_holds_back_those_who_queue_in_the_limiter_and_those_who_come_later() -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []
    gate = Gate(places=1)

    async def script(exchange: Exchange) -> None:
        times.append(loop.time())
        if exchange.number == 1:
            await gate.until(lambda: gate.waiting == 4)
            await exchange.send(refusal(429, Retry_After="1"))
        else:
            await exchange.send(OK)

    async with WireServer(script) as server, open_client(server, limiter=gate) as client:
        calls = [asyncio.create_task(client.list_clusters(current_page=page)) for page in range(1, 6)]
        await gate.until(lambda: gate.left >= 1)
        await client.list_clusters(current_page=6)
        await asyncio.gather(*calls)
        assert len(times) == 7
        assert min(times[1:]) - times[0] > 0.99
        assert sorted(server.pages) == [1, 1, 2, 3, 4, 5, 6]
        assert gate.inside == 0


async def test_a_pause_holds_back_no_other_client() -> None:
    answers = answering(refusal(429, Retry_After="3600"), OK)
    async with WireServer(answers) as server, open_client(server) as one, open_client(server) as other:
        with pytest.raises(RateLimitError):
            await one.list_clusters()
        await other.list_clusters()


# The limiter


async def test_the_limiter_is_held_while_the_request_is_in_flight() -> None:
    gate = Gate()
    inside: list[int] = []

    async def script(exchange: Exchange) -> None:
        inside.append(gate.inside)
        await exchange.send(OK)

    async with WireServer(script) as server, open_client(server, limiter=gate) as client:
        await client.list_clusters()
        assert inside == [1]
        assert gate.inside == 0


async def test_the_limiter_is_free_while_waiting_to_retry() -> None:
    gate = Gate()
    waits = RetryPolicy(wait_initial=1000, wait_max=1000, deadline=5000)
    async with (
        WireServer(answering(refusal(503))) as server,
        open_client(server, limiter=gate, retry=waits) as client,
    ):
        task = asyncio.create_task(client.list_clusters())
        await gate.until(lambda: gate.left >= 1)
        assert not task.done()
        assert gate.inside == gate.waiting == 0
        task.cancel()
        await asyncio.wait([task])


async def test_one_semaphore_serves_as_limiter_of_many_clients() -> None:
    semaphore = asyncio.Semaphore(2)
    most = 0
    now = 0

    async def script(exchange: Exchange) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        await exchange.send(OK)

    async with WireServer(script) as server, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(open_client(server, limiter=semaphore)) for _ in range(3)]
        await asyncio.gather(*(client.list_clusters() for client in clients for _ in range(5)))
        assert len(server.requests) == 15
        assert most <= 2


async def test_a_limiter_that_swallows_exceptions_is_told_of() -> None:
    class Swallowing(Gate):
        async def __aexit__(self, *_: object) -> bool:  # type: ignore[override]  # wrong on purpose
            return True

    async with (
        WireServer(answering(refusal(404))) as server,
        open_client(server, limiter=Swallowing()) as client,
    ):
        with pytest.raises(RuntimeError, match="swallowed"):
            await client.list_clusters()
        assert len(server.requests) == 1


# The key


def rotating(*keys: str, asynchronous: bool = False) -> tuple[Callable[[], Any], list[str]]:
    """Give a callable that gives these keys, the last one for ever, and the list of what it gave."""
    given: list[str] = []

    def key() -> str:
        given.append(keys[min(len(given), len(keys) - 1)])
        return given[-1]

    async def async_key() -> str:
        return key()

    return (async_key if asynchronous else key), given


def accepting(*keys: str) -> Script:
    async def script(exchange: Exchange) -> None:
        known = exchange.request.get("Authorization")[0].removeprefix("Bearer ") in keys
        await exchange.send(OK if known else refusal(21119, 401))

    return script


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_callable_is_asked_before_each_attempt(asynchronous: bool) -> None:
    key, given = rotating("first", "second", "third", asynchronous=asynchronous)
    async with WireServer(answering(refusal(500), refusal(503), OK)) as server:
        async with open_client(server, key) as client:
            await client.list_clusters()
        sent = [request.get("Authorization") for request in server.requests]
        assert sent == [["Bearer first"], ["Bearer second"], ["Bearer third"]]
        assert len(given) == 3


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("attempts", [1, 5])
async def test_a_rotated_key_is_tried_at_once(asynchronous: bool, attempts: int) -> None:
    key, _ = rotating(KEY, OTHER, asynchronous=asynchronous)
    gate = Gate()
    policy = RetryPolicy(attempts=attempts, wait_initial=1000, wait_max=1000)
    async with WireServer(accepting(OTHER)) as server:
        async with open_client(server, key, retry=policy, limiter=gate) as client:
            await client.list_clusters()
        assert len(server.requests) == gate.entered == gate.left == 2


async def test_a_key_that_stays_is_not_tried_again() -> None:
    key, given = rotating(KEY)
    async with WireServer(accepting(OTHER)) as server:
        error = await failure_of(server, key)
        assert type(error) is AuthenticationError
        assert error.attempts == len(server.requests) == 1
        assert len(given) == 2


async def test_a_key_is_not_rotated_twice() -> None:
    key, given = rotating("one", "two", "three", "four")
    async with WireServer(accepting("four")) as server:
        error = await failure_of(server, key)
        assert type(error) is AuthenticationError
        assert error.attempts == len(server.requests) == len(given) == 2


async def test_a_key_is_not_rotated_twice_over_retries() -> None:
    key, _ = rotating("one", "two", "three", "four")
    answers = answering(refusal(401, 401), refusal(503, 503), refusal(401, 401), OK)
    async with WireServer(answers) as server:
        error = await failure_of(server, key)
        assert type(error) is AuthenticationError
        assert error.attempts == len(server.requests) == 3


async def test_an_error_conceals_the_key_before_the_last_one_too() -> None:
    asked = 0

    async def key() -> str:
        nonlocal asked
        asked += 1
        return KEY if asked == 1 else await stuck()

    echo = response({"code": 21119, "message": f"no {KEY}", "requestId": KEY}, status=401)
    async with WireServer(answering(echo)) as server:
        error = await failure_of(server, key, retry=BRIEF)
        assert type(error) is AuthenticationError
        assert KEY not in repr(vars(error)) + repr(error)


@pytest.mark.parametrize("wrong", ["", "a b", "schlüssel", None, 7])
async def test_a_wrong_key_of_a_callable_is_a_configuration_error(wrong: object) -> None:
    async with WireServer(unasked) as server:
        error = await failure_of(server, lambda: wrong)
        assert type(error) is ConfigurationError
        assert "the api_key callable" in str(error)
        assert error.attempts == 0


# Ending early


class Place:
    """A place where a call can be waiting, and how to know that it is there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.gate = Gate(shut=name == "limiter")
        self.asked = asyncio.Event()
        self.flood = asyncio.Event()
        self.policy = RetryPolicy(wait_initial=1000, wait_max=1000, wait_jitter=0, deadline=5000)

    async def key(self) -> str:
        self.asked.set()
        return await stuck() if self.name == "key" else KEY

    async def script(self, exchange: Exchange) -> None:
        match self.name:
            case "retry":
                await exchange.send(refusal(503))
            case "pause":
                await exchange.send(refusal(503, Retry_After="1000"))
            case "body":
                await exchange.send(response(b"{", length=100))
                self.flood.set()
                await exchange.silence()
            case _:
                await exchange.silence()

    async def reached(self, server: WireServer) -> None:
        match self.name:
            case "key":
                await self.asked.wait()
            case "limiter":
                await self.gate.until(lambda: self.gate.waiting == 1)
            case "answer":
                await server.received(1)
            case "body":
                await self.flood.wait()
            case "connection":
                await self.gate.until(lambda: self.gate.inside == 1)
            case _:
                await self.gate.until(lambda: self.gate.left >= 1)

    def connector(self) -> aiohttp.TCPConnector:
        """Give a connector that never connects where that is the place."""

        class Never(aiohttp.TCPConnector):
            async def _create_connection(self, *_: Any, **__: Any) -> Any:
                await asyncio.Event().wait()

        return Never() if self.name == "connection" else aiohttp.TCPConnector()


PLACES = ["key", "limiter", "connection", "answer", "body", "retry", "pause"]


@pytest.mark.parametrize("name", PLACES)
async def test_cancelling_is_immediate(name: str) -> None:
    place = Place(name)
    async with (
        WireServer(place.script) as server,
        aiohttp.ClientSession(connector=place.connector()) as session,
        open_client(
            server, place.key, limiter=place.gate, retry=place.policy, session=session, timeout=5000
        ) as client,
    ):
        task = asyncio.create_task(client.list_clusters())
        await place.reached(server)
        task.cancel("stop")
        await asyncio.wait([task], timeout=GENEROUS)
        assert task.cancelled()
        assert place.gate.inside == place.gate.waiting == 0
        if name in {"answer", "body"}:
            await server.all_closed()
        await session.close()
        assert asyncio.all_tasks() - {asyncio.current_task()} <= server_tasks(server)


def server_tasks(server: WireServer) -> set[asyncio.Task[Any]]:
    return {connection._worker for connection in server.open}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("borrowed", [False, True])
async def test_closing_the_client_ends_the_calls_of_all_tasks(name: str, borrowed: bool) -> None:
    place = Place(name)
    async with WireServer(place.script) as server, AsyncExitStack() as stack:
        session = None
        if borrowed or name == "connection":
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=place.connector()))
        client = open_client(
            server, place.key, limiter=place.gate, retry=place.policy, session=session, timeout=5000
        )
        await client.__aenter__()
        task = asyncio.create_task(client.list_clusters())
        await place.reached(server)
        await client.aclose()
        with pytest.raises(RuntimeError, match="the client is closed") as caught:
            await asyncio.wait_for(task, GENEROUS)
        assert caught.value.__context__ is None
        assert place.gate.inside == place.gate.waiting == 0
        if session is None or name in {"answer", "body"}:
            await server.all_closed()
        assert session is None or not session.closed


async def test_an_iterator_that_is_closed_leaves_the_other_calls_alone() -> None:
    release = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await release.wait()
        await exchange.send(OK)

    async with WireServer(script) as server, open_client(server) as client:
        clusters = client.iter_clusters()
        reading = asyncio.ensure_future(clusters.__anext__())
        asking = asyncio.create_task(client.list_clusters())
        await server.received(2)
        await clusters.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await reading
        release.set()
        assert len((await asking).clusters) == 1


@pytest.mark.parametrize("which", ["attempt", "deadline"])
@pytest.mark.parametrize("order", ["cancel first", "timeout first"])
async def test_a_cancel_in_the_turn_of_a_timeout_is_not_swallowed(which: str, order: str) -> None:
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] | None = getattr(loop, "_scheduled", None)
    if timers is None:
        pytest.skip("this event loop does not show its timers")
    fired = asyncio.Event()

    def hit(task: asyncio.Task[Any], timer: asyncio.TimerHandle) -> None:
        """Let the timer fire and the task be cancelled in this very turn of the loop."""
        steps: list[Callable[[], object]] = [task.cancel, timer._run]
        for step in steps if order == "cancel first" else reversed(steps):
            step()
        timer.cancel()
        fired.set()

    policy = RetryPolicy(deadline=7000.0 if which == "deadline" else 9000.0)
    async with WireServer(silent) as server, open_client(server, timeout=8000.0, retry=policy) as client:
        task = asyncio.create_task(client.list_clusters())
        await server.received(1)
        low, high = (6000, 7500) if which == "deadline" else (7500, 8500)
        (timer,) = [timer for timer in timers if low < timer.when() - loop.time() < high]
        loop.call_soon(hit, task, timer)
        await fired.wait()
        await asyncio.wait([task], timeout=GENEROUS)
        assert task.cancelled()
        assert len(server.requests) == 1


async def test_a_timeout_of_the_caller_ends_a_call() -> None:
    async with WireServer(silent) as server, open_client(server) as client:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.1):
                await client.list_clusters()
        assert not isinstance(caught.value, ZillizError)


@pytest.mark.parametrize("kind", [APIError, ConfigurationError])
async def test_an_error_is_gone_as_soon_as_nobody_holds_it(kind: type[ZillizError]) -> None:
    # No cycle keeps it and the frames of its traceback until the next garbage collection.
    proxy = "http://proxy.example" if kind is ConfigurationError else None
    async with (
        WireServer(answering(refusal(404))) as server,
        aiohttp.ClientSession(proxy=proxy) as session,
        open_client(server, session=session) as client,
    ):
        kept: list[weakref.ref[ZillizError]] = []
        gc.disable()
        try:
            try:
                await client.list_clusters()
            except kind as error:
                kept.append(weakref.ref(error))
            assert [ref() for ref in kept] == [None]
        finally:
            gc.enable()


# The log


async def test_the_log_has_a_line_for_each_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "aiozilliz")
    refused = refusal(503, requestid=f"id of {KEY}")

    async def script(exchange: Exchange) -> None:
        await (reset(exchange) if exchange.number == 2 else answering(refused, OK, OK)(exchange))

    async with WireServer(script) as server, open_client(server) as client:
        await client.list_clusters(current_page=4)
        url = f"GET {server.url}/v2/clusters?pageSize=100&currentPage=4"
    sizes = [len(answer.partition(b"\r\n\r\n")[2]) for answer in (refused, OK)]
    messages = [re.sub(r"\d+ ms", "N ms", record.getMessage()) for record in caplog.records]
    lines = [re.sub(r"\w+Error", "AnError", text) for text in messages if text.startswith("GET ")]
    assert lines == [
        f"{url}: 200, {sizes[0]} bytes, request id id of <key>, N ms, attempt 1",
        f"{url}: AnError, N ms, attempt 2",
        f"{url}: 200, {sizes[1]} bytes, request id -, N ms, attempt 3",
    ]
    assert messages[1].startswith(
        f"{server.url}, page 4: attempt 1 of 5 failed, retrying in 0.0 s: no (HTTP 200"
    )


async def test_the_log_has_one_line_for_a_refusal_whose_body_hangs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "aiozilliz")

    async def hang(exchange: Exchange) -> None:
        await exchange.send(response(b"{", status=403, length=1000))
        await exchange.silence()

    async with WireServer(hang) as server, open_client(server, retry=BRIEF) as client:
        with pytest.raises(ZillizError):
            await client.list_clusters()
    (line,) = [m for record in caplog.records if (m := record.getMessage()).startswith("GET ")]
    assert ": 403, " in line


async def test_many_tasks_use_one_client_at_once() -> None:
    async with WireServer() as server, open_client(server) as client:
        calls: list[Coroutine[Any, Any, Any]] = [client.list_clusters(current_page=n) for n in range(1, 31)]
        await asyncio.gather(*calls)
        assert sorted(server.pages) == list(range(1, 31))


@pytest.mark.parametrize("stubborn", ["the api_key callable", "the limiter"])
async def test_the_deadline_outlives_a_callable_or_limiter_that_swallows_its_cancellation(
    stubborn: str,
) -> None:
    async def swallow() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def key() -> str:
        await swallow()
        return KEY

    class Limiter:
        async def __aenter__(self) -> None:
            await swallow()

        async def __aexit__(self, *_: object) -> None: ...

    settings = {"key": key} if stubborn == "the api_key callable" else {"limiter": Limiter()}
    async with WireServer(unasked) as server:
        error = await failure_of(server, **settings, retry=BRIEF)

    assert isinstance(error, TransportError)
    assert stubborn in str(error)
    assert error.attempts == 0


async def test_a_retry_after_counts_on_an_answer_that_is_not_json_too() -> None:
    async with WireServer(once(answering(response(b"<html>", headers=[("Retry-After", "3600")])))) as server:
        error = await failure_of(server)

    assert isinstance(error, ResponseError)
    assert error.attempts == 1
