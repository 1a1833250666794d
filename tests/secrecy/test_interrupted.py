"""A call that is cut at any stage, in any way, leads to no frame of aiohttp's, nor to the key or a proxy's password.

Each stage is one that a call really waits in. What is evaluated is what stackprinter, rich and error trackers evaluate.
"""

from __future__ import annotations

import asyncio
import os
import traceback
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver

from aiozilliz import Account, Inventory, RetryPolicy, ZillizClient
from tests.support.detector import KEY, assert_silent, evaluated, followed, has_key, leaks
from tests.support.listing_server import Listing, names, read
from tests.support.wire_server import Exchange, WireServer, response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator
    from types import TracebackType

SLOW = RetryPolicy(attempts=2, deadline=3600.0, wait_initial=1800.0, wait_max=1800.0, wait_jitter=0.0)
HOLD_BACK = response(b"", status=429, headers=[("Retry-After", "1800")])
ECHO = [("requestid", KEY), ("Server", KEY)]
MESSAGE = "the caller has had enough"


class Limiter(AbstractAsyncContextManager[None]):
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def __aenter__(self) -> None:
        if self._stage.name == "the limiter":
            await self._stage.hang()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stage.name in {"a retry", "a pause"}:
            self._stage.reached.set()  # nothing is awaited until the wait begins


class Resolver(AbstractResolver):
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def resolve(self, *_: Any, **__: Any) -> Any:
        await self._stage.hang()

    async def close(self) -> None:
        pass


class Stage:
    """Makes a call wait at one stage for ever.

    Attributes:
        reached: Set when a call does.
        options: What the client needs for it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.reached = asyncio.Event()
        self.options: dict[str, Any] = {
            "api_key": KEY,
            "limiter": Limiter(self),
            "retry": SLOW,
            "timeout": 3600.0,
        }

    async def hang(self, *_: Any) -> None:
        self.reached.set()
        await asyncio.Event().wait()

    async def prepare(self, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch) -> ZillizClient:
        options = self.options
        self._stack = stack
        server = await stack.enter_async_context(WireServer(self._script))
        options["base_url"] = server.url
        match self.name:
            case "resolving":
                options["base_url"] = "https://service.example"
                connector = aiohttp.TCPConnector(resolver=Resolver(self))
                options["session"] = aiohttp.ClientSession(connector=connector)
            case "TLS" | "a proxy":
                raw = await asyncio.start_server(self._listen, "127.0.0.1", 0)
                await stack.enter_async_context(raw)
                host = f"127.0.0.1:{raw.sockets[0].getsockname()[1]}"
                options["base_url"] = f"https://{host if self.name == 'TLS' else 'service.example'}"
                if self.name == "a proxy":
                    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{KEY}@{host}")
            case "the hook of a request" | "the body":
                config = aiohttp.TraceConfig()
                config.on_request_headers_sent.append(self._on_headers_sent)
                config.on_request_end.append(self._on_headers_received)
                options["session"] = aiohttp.ClientSession(trace_configs=[config])
            case "the key callable":
                options["api_key"] = self._get_key
            case _:
                pass
        if "session" in options:
            await stack.enter_async_context(options["session"])
        client = await stack.enter_async_context(ZillizClient(**options))
        if self.name == "a pause":
            first = asyncio.create_task(_ignored(client.list_clusters()))
            stack.callback(first.cancel)
            await self.reached.wait()
        return client

    async def _on_headers_sent(self, *_: Any) -> None:
        if self.name == "the hook of a request":
            await self.hang()

    async def _on_headers_received(self, *_: Any) -> None:
        self.reached.set()

    async def _get_key(self) -> str:
        await self.hang()
        return KEY

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        self._stack.push_async_callback(writer.wait_closed)
        self._stack.callback(writer.close)
        self.reached.set()

    async def _script(self, exchange: Exchange) -> None:
        match self.name:
            case "the headers":
                self.reached.set()
            case "the body":
                await exchange.send(response(f'{{"data": "{KEY}'.encode(), length=100, headers=ECHO))
            case "a retry":
                answer = response({"code": 503, "message": f"no {KEY}"}, status=503, headers=ECHO)
                await exchange.send(answer)
            case "a pause":
                await exchange.send(HOLD_BACK)
            case _:
                pass
        await exchange.silence()


STAGES = [
    "resolving",
    "TLS",
    "a proxy",
    "the headers",
    "the body",
    "the hook of a request",
    "the limiter",
    "the key callable",
    "a retry",
    "a pause",
]


async def _ignored(call: Awaitable[Any]) -> None:
    with suppress(Exception):
        await call


class Call:
    """A call in a task of its own, and the error that reached its caller."""

    def __init__(self, stage: Stage, call: Awaitable[Any]) -> None:
        self._stage = stage
        self._call = call
        self.error: BaseException | None = None

    async def run(self) -> None:
        try:
            await self._call
        except BaseException as error:
            self.error = error
            raise

    async def reached(self) -> None:
        await self._stage.reached.wait()
        await asyncio.sleep(0)  # the waiter may be woken in the turn before the call waits


async def by_timeout(call: Call, _: ZillizClient) -> BaseException:
    async def expire(block: asyncio.Timeout) -> None:
        await call.reached()
        block.reschedule(0.0)

    async def limited() -> None:
        async with asyncio.timeout(None) as block:
            expiring.append(asyncio.create_task(expire(block)))
            await call.run()

    expiring: list[asyncio.Task[None]] = []
    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(TimeoutError) as raised:
        await limited()
    await asyncio.wait(expiring)
    assert isinstance(call.error, asyncio.CancelledError)
    # Python before 3.11.3 sets no cause.
    assert (raised.value.__cause__ or raised.value.__context__) is call.error
    assert task.cancelling() == 0
    return raised.value


async def by_cancel(call: Call, _: ZillizClient) -> BaseException:
    task = asyncio.create_task(call.run())
    await call.reached()
    task.cancel(MESSAGE)
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    assert raised.value is call.error
    assert raised.value.args == (MESSAGE,)
    assert task.cancelled()
    assert task.cancelling() == 1
    with pytest.raises(asyncio.CancelledError) as asked:
        task.exception()
    assert_silent(asked.value)
    return raised.value


async def by_two_cancels(call: Call, _: ZillizClient) -> BaseException:
    task = asyncio.create_task(call.run())
    await call.reached()
    task.cancel(MESSAGE)
    await asyncio.sleep(0)
    task.cancel("again")
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    return raised.value


async def by_a_sibling(call: Call, _: ZillizClient) -> BaseException:
    async def fail() -> None:
        await call.reached()
        raise LookupError

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(call.run())
            group.create_task(fail())

    with pytest.raises(ExceptionGroup) as raised:
        await both()
    assert isinstance(call.error, asyncio.CancelledError)
    return raised.value


async def by_close(call: Call, client: ZillizClient) -> BaseException:
    task = asyncio.create_task(call.run())
    await call.reached()
    await client.aclose()
    with pytest.raises(RuntimeError, match="closed") as raised:
        await task
    return raised.value


WAYS = [by_timeout, by_cancel, by_two_cancels, by_a_sibling, by_close]


def assert_no_way_back(error: BaseException | None) -> None:
    """Show that an error, and what it came from, leads to no frame of aiohttp's and tells no key."""
    while error is not None:
        frames = list(traceback.walk_tb(error.__traceback__))
        assert not [frame for frame, _ in frames if "/aiohttp/" in frame.f_code.co_filename]
        assert_silent(error)
        error = error.__context__


@pytest.fixture(params=[False, True], ids=["", "debug mode"])
def debug_mode(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("stage", STAGES)
async def test_a_call_that_is_cut_is_silent(
    stage: str,
    way: Callable[[Call, ZillizClient], Awaitable[BaseException]],
    debug_mode: bool,  # a fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asyncio.get_running_loop().set_debug(debug_mode)
    async with AsyncExitStack() as stack:
        waits = Stage(stage)
        client = await waits.prepare(stack, monkeypatch)
        call = Call(waits, client.list_clusters())
        error = await way(call, client)
        assert_no_way_back(error)
        assert_no_way_back(call.error)


CALLS: dict[str, Callable[[ZillizClient, Inventory], Any]] = {
    "iter_pages": lambda client, _: read(cast("Any", client.iter_pages())),
    "iter_clusters": lambda client, _: read(client.iter_clusters()),
    "iter_clusters, 3 at once": lambda client, _: read(client.iter_clusters(concurrency=3, verify=True)),
    "snapshot": lambda client, _: client.snapshot(),
    "watch": lambda client, _: anext(client.watch_clusters()),
    "inventory": lambda _, inventory: read(cast("Any", inventory.iter_clusters())),
    "collect": lambda _, inventory: inventory.collect(),
    "inventory's watch": lambda _, inventory: anext(inventory.watch_clusters()),
}


async def _raise_unless_done(call: Any) -> None:
    # `read` returns the error of a list: it must reach the caller here.
    result = await call
    if isinstance(result, tuple) and isinstance(result[1], BaseException):
        raise result[1]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("name", CALLS)
async def test_every_call_that_is_cut_is_silent(
    name: str,
    way: Callable[[Call, Any], Awaitable[BaseException]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with AsyncExitStack() as stack:
        waits = Stage("the headers")
        client = await waits.prepare(stack, monkeypatch)
        accounts = [Account(name, KEY, base_url=waits.options["base_url"]) for name in ("a", "b")]
        inventory = await stack.enter_async_context(Inventory(accounts, limiter=None, timeout=3600.0))
        call = Call(waits, _raise_unless_done(CALLS[name](client, inventory)))
        error = await way(call, inventory if name in list(CALLS)[5:] else client)
        assert_no_way_back(error)
        assert_no_way_back(call.error)


@pytest.mark.parametrize("name", ["iter_clusters, 3 at once", "snapshot", "collect"])
async def test_a_call_is_silent_wherever_it_is_cut(name: str) -> None:
    """Cancel it after each number of turns of the event loop, until it comes to its end."""
    pages = Listing(names(8))

    async def script(exchange: Exchange) -> None:
        head, _, body = pages(exchange.request.page, 2).partition(b"\r\n\r\n")
        await exchange.send(head + f"\r\nrequestid: {KEY}\r\n\r\n".encode() + body)

    turns = 0
    ended = False
    async with WireServer(script) as server:
        while not ended:
            turns += 1
            accounts = [Account(name, KEY, base_url=server.url) for name in ("a", "b")]
            async with (
                ZillizClient(KEY, base_url=server.url, limiter=None) as client,
                Inventory(accounts, limiter=None) as inventory,
            ):
                task = asyncio.create_task(_raise_unless_done(CALLS[name](client, inventory)))
                for _ in range(turns):
                    await asyncio.sleep(0)
                if not task.cancel():
                    break
                try:
                    await task
                    ended = True
                except asyncio.CancelledError as error:
                    assert_no_way_back(error)
    assert turns > 10


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("hook", ["on_request_start", "on_request_headers_sent", "on_request_end"])
def test_an_interrupt_out_of_a_hook_is_silent(hook: str, kind: type[BaseException]) -> None:
    async def interrupt(*_: Any) -> None:
        raise kind(MESSAGE)

    async def main() -> None:
        config = aiohttp.TraceConfig()
        getattr(config, hook).append(interrupt)
        async with (
            WireServer() as server,
            aiohttp.ClientSession(trace_configs=[config]) as session,
            ZillizClient(KEY, base_url=server.url, session=session) as client,
        ):
            try:
                await client.list_clusters()
            except BaseException as error:
                assert_no_way_back(error)
                raise

    with pytest.raises(kind) as raised:
        asyncio.run(main())
    assert raised.value.args == (MESSAGE,)
    assert_no_way_back(raised.value)


async def test_a_coroutine_that_is_thrown_away_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with AsyncExitStack() as stack:
        waits = Stage("the headers")
        client = await waits.prepare(stack, monkeypatch)
        call = Call(waits, client.list_clusters())
        work = call.run()
        task = asyncio.create_task(_drive(work))
        await call.reached()
        work.close()
        task.cancel()
        await asyncio.wait([task])
        assert isinstance(call.error, GeneratorExit)
        assert_no_way_back(call.error)


class _Driven:
    """Passes on what a coroutine waits for, and leaves the end of it to others."""

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = work

    def __await__(self) -> Generator[Any, Any, None]:
        while True:
            yield self._work.send(None)


async def _drive(work: Coroutine[Any, Any, None]) -> None:
    await _Driven(work)


async def test_the_context_of_the_caller_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    async with AsyncExitStack() as stack:
        waits = Stage("the headers")
        client = await waits.prepare(stack, monkeypatch)

        async def handle() -> None:
            try:
                os.environ["NO SUCH VARIABLE"]
            except LookupError:
                await client.list_clusters()

        call = Call(waits, handle())
        task = asyncio.create_task(call.run())
        await call.reached()
        task.cancel()
        await asyncio.wait([task])
        assert isinstance(call.error, asyncio.CancelledError)
        assert isinstance(call.error.__context__, LookupError)


async def test_a_call_of_aiohttp_itself_is_not_silent() -> None:
    """The detector finds what it looks for: else its silence would mean nothing."""
    reached = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        reached.set()
        await exchange.silence()

    async with WireServer(script) as server, aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {KEY}"}
        task = asyncio.create_task(session.get(server.url, headers=headers))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as raised:
            await task
        frames = raised.value.__traceback__
        assert "headers in ClientSession._request" in {
            where for where, text in evaluated(frames) if has_key(text)
        }
        assert [where for where, text in followed(frames) if has_key(text)]
        assert leaks(raised.value)
