"""Agents wrap `ClientSession._request` and change what they get: it is theirs to change, for this one request.

The wrappers do what those of elastic-apm, ddtrace, SkyWalking, New Relic and others do; `agents` runs the real ones.
"""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import aiohttp
import pytest
import wrapt
from attrs import evolve
from multidict import CIMultiDict

from aiozilliz import Account, Inventory, ServerError
from tests.support.detector import KEY, assert_silent, has_key
from tests.support.listing_server import QUICK, Listing, ListingServer, names, quick_client, read
from tests.support.wire_server import response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from aiozilliz import ZillizClient
    from tests.support.wire_server import Exchange

    Options: TypeAlias = dict[str, Any]
    Change: TypeAlias = Callable[[Options, str], None]

MARK = "X-Mark"


def assign(options: Options, mark: str) -> None:
    options["headers"][MARK] = mark


def add(options: Options, mark: str) -> None:
    options["headers"].add(MARK, mark)


def update(options: Options, mark: str) -> None:
    options["headers"].update({MARK: mark})


def set_default(options: Options, mark: str) -> None:
    assert options["headers"].setdefault(MARK, mark) == mark


def empty_and_fill(options: Options, mark: str) -> None:
    kept = options["headers"].copy()
    options["headers"].clear()
    options["headers"].extend({**kept, MARK: mark})


def replace_by_a_dict(options: Options, mark: str) -> None:
    options["headers"] = {**options["headers"], MARK: mark}


def replace_by_a_multidict(options: Options, mark: str) -> None:
    options["headers"] = CIMultiDict([*options["headers"].items(), (MARK, mark)])


def replace_by_pairs(options: Options, mark: str) -> None:
    options["headers"] = [*options["headers"].items(), (MARK, mark)]


def authorize(options: Options, mark: str) -> None:
    options["headers"].update({"Authorization": "Basic agent", "authorization": "Basic agent", MARK: mark})


HEADERS: list[Change] = [
    assign,
    add,
    update,
    set_default,
    empty_and_fill,
    replace_by_a_dict,
    replace_by_a_multidict,
    replace_by_pairs,
    authorize,
]


class _Marking:
    """A middleware that marks a request."""

    def __init__(self, mark: str) -> None:
        self._mark = mark

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers.add(MARK, self._mark)
        return await handler(request)


def append_a_middleware(options: Options, mark: str) -> None:
    options["middlewares"].append(_Marking(mark))


def insert_a_middleware(options: Options, mark: str) -> None:
    options["middlewares"].insert(0, _Marking(mark))


def replace_middlewares(options: Options, mark: str) -> None:
    options["middlewares"] = (_Marking(mark), *options["middlewares"])


def add_a_parameter(options: Options, mark: str) -> None:
    options.setdefault("params", {})["mark"] = mark
    assign(options, mark)


def give_a_context(options: Options, mark: str) -> None:
    assert not options.setdefault("trace_request_ctx", {})
    options["trace_request_ctx"]["mark"] = mark
    assign(options, mark)


def give_another_timeout(options: Options, mark: str) -> None:
    options["timeout"] = aiohttp.ClientTimeout(total=60.0)
    assign(options, mark)


def leave_out_what_aiohttp_has_defaults_for(options: Options, mark: str) -> None:
    for name in ("proxy", "timeout"):
        options.pop(name, None)
    assign(options, mark)


OTHERS: list[Change] = [
    append_a_middleware,
    insert_a_middleware,
    replace_middlewares,
    add_a_parameter,
    give_a_context,
    give_another_timeout,
    leave_out_what_aiohttp_has_defaults_for,
]


class Agent:
    """Wraps `ClientSession._request`, and numbers the requests.

    Attributes:
        seen: What the wrapper has got, with what it added.
    """

    def __init__(self, change: Change) -> None:
        self.seen: list[Options] = []
        self._change = change
        self._numbers = itertools.count(1)

    def note(self, options: Options) -> None:
        assert MARK not in options["headers"]
        self._change(options, f"request-{next(self._numbers)}")
        self.seen.append(options)

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put a function in place of the method."""
        wrapped = aiohttp.ClientSession._request

        async def request(session: aiohttp.ClientSession, method: str, url: Any, **options: Any) -> Any:
            self.note(options)
            return await wrapped(session, method, url, **options)

        monkeypatch.setattr(aiohttp.ClientSession, "_request", request)

    def wrap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put a proxy in place of the method, and one in place of each response."""

        @wrapt.decorator
        async def request(wrapped: Any, _session: Any, args: Any, options: Options) -> Any:
            self.note(options)
            return wrapt.ObjectProxy(await wrapped(*args, **options))

        wrapper: Any = request
        monkeypatch.setattr(aiohttp.ClientSession, "_request", wrapper(aiohttp.ClientSession._request))

    def subclass(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put a subclass in place of the class."""
        agent = self

        with pytest.deprecated_call(match="discouraged"):

            class Session(aiohttp.ClientSession):  # pyright: ignore[reportGeneralTypeIssues]
                async def _request(self, method: str, str_or_url: Any, **options: Any) -> Any:
                    agent.note(options)
                    return await super()._request(method, str_or_url, **options)

        monkeypatch.setattr(aiohttp, "ClientSession", Session)


class Service(ListingServer):
    """Lists nine clusters.

    Attributes:
        failures: Responses to the next requests; an empty one is a reset. They go on with the last if `down`.
    """

    def __init__(self) -> None:
        listing = Listing(names(9))
        super().__init__(listing)
        self.failures: list[bytes] = []
        self.down = False
        pages = self.script

        async def fail_or_list(exchange: Exchange) -> None:
            if not self.failures:
                await pages(exchange)
            elif failure := self.failures[0] if self.down else self.failures.pop(0):
                await exchange.send(failure)
            else:
                exchange.reset()

        self.script = fail_or_list

    def assert_marked(self) -> None:
        """Show that each request came with its own mark, and no other, and with one key, ours."""
        marks = [mark for request in self.requests for mark in request.get(MARK)]
        assert sorted(marks) == sorted(f"request-{number}" for number in range(1, len(self.requests) + 1))
        for request in self.requests:
            assert len(request.get(MARK)) == 1
            assert len(request.get("User-Agent")) == len(request.get("Accept")) == 1
            assert [value.startswith("Bearer ") for value in request.get("Authorization")] == [True]


@asynccontextmanager
async def own(service: Service) -> AsyncGenerator[ZillizClient]:
    async with quick_client(service.url, KEY, retry=PATIENT) as client:
        yield client


@asynccontextmanager
async def borrowed(service: Service) -> AsyncGenerator[ZillizClient]:
    async with (
        aiohttp.ClientSession() as session,
        quick_client(service.url, KEY, retry=PATIENT, session=session) as client,
    ):
        yield client


UNAVAILABLE = response(status=503)
PATIENT = evolve(QUICK, attempts=5)


async def use(service: Service, client: ZillizClient, concurrency: int = 1) -> None:
    """List with retries, then while the service is down, then with another key refused."""
    service.failures = [UNAVAILABLE, b""]
    found, ended = await read(client.iter_clusters(page_size=3, concurrency=concurrency))
    assert (sorted(found), ended) == (names(9), None)
    service.failures, service.down = [UNAVAILABLE], True
    with pytest.raises(ServerError) as raised:
        await client.list_clusters()
    assert_silent(raised.value)
    service.failures, service.down = [], False
    assert (await client.list_clusters()).count == 9
    assert len(service.requests) >= 3 + 2 + PATIENT.attempts + 1
    service.assert_marked()


@pytest.mark.parametrize("way", [own, borrowed])
@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("change", [*HEADERS, *OTHERS])
async def test_what_is_written_for_a_request_is_in_no_other(
    way: Any, concurrency: int, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(change)
    agent.patch(monkeypatch)
    async with Service() as service, way(service) as client:
        await use(service, client, concurrency)
    assert len(agent.seen) == len(service.requests)
    assert not has_key([{**options, "middlewares": None} for options in agent.seen])


@pytest.mark.parametrize("way", [own, borrowed])
@pytest.mark.parametrize("wrap", [Agent.patch, Agent.wrap, Agent.subclass])
async def test_it_makes_no_difference_how_aiohttp_is_wrapped(
    way: Any, wrap: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(assign)
    wrap(agent, monkeypatch)
    async with Service() as service, way(service) as client:
        await use(service, client)
    assert len(agent.seen) == len(service.requests)


@pytest.mark.parametrize("wrap", [Agent.patch, Agent.wrap])
async def test_a_session_may_be_lent_before_aiohttp_is_wrapped(
    wrap: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(assign)
    async with (
        Service() as service,
        aiohttp.ClientSession() as session,
        quick_client(service.url, KEY, retry=PATIENT, session=session) as client,
    ):
        await client.list_clusters()
        service.requests.clear()
        wrap(agent, monkeypatch)
        await use(service, client)
        assert len(agent.seen) == len(service.requests)


async def test_of_a_session_of_a_wrapped_class_only_the_connections_are_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent, lenders = Agent(assign), Agent(assign)
    agent.patch(monkeypatch)
    with monkeypatch.context() as replaced:
        lenders.subclass(replaced)
        session_class = aiohttp.ClientSession
    async with (
        Service() as service,
        session_class() as session,
        quick_client(service.url, KEY, retry=PATIENT, session=session) as client,
    ):
        await use(service, client)
    assert not lenders.seen
    assert len(agent.seen) == len(service.requests)


@pytest.mark.parametrize("lent", [False, True])
@pytest.mark.parametrize("change", HEADERS)
async def test_the_requests_of_an_inventory_are_apart_as_well(
    change: Change, monkeypatch: pytest.MonkeyPatch, *, lent: bool
) -> None:
    agent = Agent(change)
    agent.patch(monkeypatch)
    async with Service() as service, aiohttp.ClientSession() as session:
        service.failures = [UNAVAILABLE, b"", UNAVAILABLE]
        accounts = [Account(name, f"{KEY}-{name}", base_url=service.url) for name in "abcd"]
        async with Inventory(
            accounts, concurrency=3, limiter=None, retry=PATIENT, session=session if lent else None
        ) as inventory:
            found = [
                (account.name, cluster.cluster_id)
                async for account, cluster in inventory.iter_clusters(page_size=3)
            ]
        assert sorted(found) == [(name, cluster_id) for name in "abcd" for cluster_id in names(9)]
        service.assert_marked()
        keys = {value for request in service.requests for value in request.get("Authorization")}
        assert keys == {f"Bearer {KEY}-{name}" for name in "abcd"}
    assert not has_key([{**options, "middlewares": None} for options in agent.seen])


async def test_what_is_kept_of_a_request_changes_no_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent(assign)
    agent.patch(monkeypatch)
    async with Service() as service, own(service) as client:
        for _ in range(3):
            await client.list_clusters()
            for options in agent.seen:
                options["headers"][f"X-Late-{len(agent.seen)}"] = "late"
                options["middlewares"].append(_Marking("late"))
        service.assert_marked()
        assert not [name for request in service.requests for name, _ in request.headers if "Late" in name]


def noting(told: list[str], mark: str | None = None) -> aiohttp.TraceConfig:
    """Return a configuration that notes the URL of each request, and marks it with its number."""

    async def start(_session: Any, _context: Any, params: aiohttp.TraceRequestStartParams) -> None:
        told.append(str(params.url))
        if mark is not None:
            params.headers.add(mark, f"request-{len(told)}")

    config = aiohttp.TraceConfig()
    config.on_request_start.append(start)
    return config


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("lent", [False, True])
async def test_what_traces_each_new_session_traces_each_request_once(
    place: str, monkeypatch: pytest.MonkeyPatch, *, lent: bool
) -> None:
    agents: list[str] = []
    lenders: list[str] = []
    init = aiohttp.ClientSession.__init__

    def traced(session: aiohttp.ClientSession, **options: Any) -> None:
        others = list(options.pop("trace_configs", None) or [])
        others.insert(0 if place == "first" else len(others), noting(agents, MARK))
        init(session, trace_configs=others, **options)

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", traced)
    async with Service() as service, aiohttp.ClientSession(trace_configs=[noting(lenders)]) as session:
        async with quick_client(service.url, KEY, retry=PATIENT, session=session if lent else None) as client:
            await use(service, client)
        assert len(agents) == len(service.requests)
        assert lenders == (agents if lent else [])
