"""No key of this process comes out of an echo: whoever it belongs to, however it is written, wherever it stands."""

from __future__ import annotations

import asyncio
import gc
import io
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
import stamina.instrumentation
from attrs import frozen

from aiozilliz import (
    Account,
    APIError,
    AuthenticationError,
    DecodeError,
    Inventory,
    InventoryError,
    InventoryReport,
    ZillizClient,
    ZillizError,
)
from aiozilliz.cli import main
from aiozilliz.testing import FakeZillizCloud, Fault
from tests.secrecy.test_command_line import REPORT
from tests.support import detector
from tests.support.detector import log_everything, traces
from tests.support.echoes import ECHOES, LONGEST, new_key, remains
from tests.support.exhaustive import EXHAUSTIVE
from tests.support.listing_server import QUICK, quick_client
from tests.support.wire_server import OK, Exchange, WireServer, response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterable
    from pathlib import Path


# Where a text of the service's gets into an error.

SURFACES: dict[str, Callable[[str], bytes]] = {
    "message": lambda told: response({"code": 400, "message": f"bad: {told}."}),
    "message under 401": lambda told: response({"code": 21119, "message": told}, status=401),
    "message in capitals": lambda told: response({"code": 12345, "message": f"{told} {told.upper()}"}),
    "message cut": lambda told: response({"code": 400, "message": f"{'x' * (470 - len(told) // 2)} {told}"}),
    "requestid header": lambda told: response(status=403, headers=[("requestid", f"r {told}")]),
    "requestId": lambda told: response({"code": 400, "requestId": told}, status=400),
    "plain text": lambda told: response(f"no: {told}".encode(), status=418),
    "title": lambda told: response(f"<title>{told}</title>".encode(), status=400),
    "redirect": lambda told: response(status=302, headers=[("Location", f"https://a.example/{told}/b")]),
    "cluster id": lambda told: response({"code": 0, "data": [{"clusterId": f"in01-{told}", "cuSize": "x"}]}),
    "wrong value": lambda told: response({"code": 0, "data": [{"clusterId": "in01-a", "cuSize": told}]}),
    "wrong value, cut": lambda told: response({"code": 0, "data": [{"clusterId": "a", "cuSize": told[:39]}]}),
    "count": lambda told: response({"code": 0, "data": {"count": told[:39], "clusters": []}}),
    "code": lambda told: response({"code": told[:39], "data": []}),
    "data": lambda told: response({"code": 0, "data": told[:39]}),
}
HEADERS = {"requestid header", "redirect"}


@frozen
class Whose:
    """A client whose requests are answered with echoes, and the key that these repeat."""

    client: ZillizClient
    key: str


async def own(stack: AsyncExitStack, url: str) -> Whose:
    key = new_key()
    return Whose(await stack.enter_async_context(quick_client(url, key)), key)


async def rotated(stack: AsyncExitStack, url: str) -> Whose:
    keys = [new_key(), new_key()]
    current = iter(keys)
    client = quick_client(url, lambda: next(current, keys[1]))
    await (await stack.enter_async_context(client)).list_clusters()
    return Whose(client, keys[0])


async def other_account(stack: AsyncExitStack, url: str) -> Whose:
    key = new_key()
    await stack.enter_async_context(Inventory([Account("a", new_key()), Account("b", key)]))
    return Whose(await stack.enter_async_context(quick_client(url, new_key())), key)


async def other_client(stack: AsyncExitStack, url: str) -> Whose:
    key = new_key()
    await stack.enter_async_context(quick_client(url, key))
    return Whose(await stack.enter_async_context(quick_client(url, new_key())), key)


async def closed_client(stack: AsyncExitStack, url: str) -> Whose:
    key = new_key()
    async with quick_client(url, lambda: key) as gone:
        await gone.list_clusters()
    del gone
    gc.collect()
    return Whose(await stack.enter_async_context(quick_client(url, new_key())), key)


WHOSE = [own, rotated, other_account, other_client, closed_client]


def fits(surface: str, told: str) -> bool:
    return surface not in HEADERS or (told.isascii() and told.isprintable())


def shown_by(error: BaseException, *, frames: bool) -> set[str]:
    """Give all texts that an error shows; without its frames only those that people and logs see."""
    if frames:
        return {text for _, text in traces(error)}
    return {f"{error!r} {error.args} {vars(error)}"}


def assert_hidden(texts: Iterable[str], key: str) -> None:
    for text in texts:
        # What an encoded text could give back is found by `remains`, which is slow; frames hold long texts.
        found = remains(text, key) if len(text) < 2_000 else in_clear(text, key)
        assert len(found) <= LONGEST, (found, text)


def in_clear(text: str, key: str) -> str:
    low, size = key.lower(), LONGEST + 1
    pieces = [low[at : at + size] for at in range(len(low) - LONGEST)]
    return next((piece for piece in pieces if piece in text.lower()), "")


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("whose", WHOSE, ids=lambda whose: whose.__name__)
async def test_no_echo_comes_out(
    surface: str, whose: Any, everything_logged: pytest.LogCaptureFixture
) -> None:
    answer = OK

    async def script(exchange: Exchange) -> None:
        await exchange.send(answer)

    async with WireServer(script) as server, AsyncExitStack() as stack:
        asked: Whose = await whose(stack, server.url)
        everything_logged.clear()
        for number, (echo, written) in enumerate(ECHOES.items()):
            told = written(asked.key)
            # Neither whose key it is nor where it stands makes a difference to how it is found: a part is enough for most.
            every = whose is closed_client and surface in {"message", "requestid header", "cluster id"}
            share = 1 if every else 4 if EXHAUSTIVE else 8
            if not fits(surface, told) or number % share != (len(surface) + WHOSE.index(whose)) % share:
                continue
            answer = SURFACES[surface](told)
            with pytest.raises(ZillizError) as raised:
                await asked.client.list_clusters()
            assert_hidden(shown_by(raised.value, frames=echo in {"upper", "hex"}), asked.key)
        assert_hidden({record.getMessage() for record in everything_logged.records}, asked.key)


def test_there_are_enough_echoes() -> None:
    assert len(ECHOES) >= 60
    # Nearly all can stand in a header.
    assert sum(fits("redirect", written(new_key())) for written in ECHOES.values()) >= 60


@pytest.mark.parametrize("surface", SURFACES)
async def test_each_surface_would_show_an_unknown_key(surface: str) -> None:
    if surface == "title":
        pytest.skip("of HTML nothing is quoted")
    key = new_key()

    async def script(exchange: Exchange) -> None:
        await exchange.send(SURFACES[surface](key))

    async with WireServer(script) as server, quick_client(server.url, new_key()) as client:
        with pytest.raises(ZillizError) as raised:
            await client.list_clusters()
    assert len(remains(f"{raised.value} {vars(raised.value)}", key)) > LONGEST


@pytest.mark.parametrize("echo", ECHOES)
async def test_a_decode_error_s_own_attributes_are_clean(echo: str) -> None:
    key = new_key()

    async def script(exchange: Exchange) -> None:
        await exchange.send(SURFACES["cluster id"](ECHOES[echo](key)))

    async with WireServer(script) as server, quick_client(server.url, key) as client:
        with pytest.raises(DecodeError) as raised:
            await client.list_clusters()
    assert str(raised.value.cluster_id).startswith("in01-")
    assert_hidden(shown_by(raised.value, frames=True), key)


# Keys that change while a call is made.


def refusing(told: str, code: int = 21119, status: int = 401) -> bytes:
    return response({"code": code, "message": f"unknown key {told}"}, status=status)


@pytest.fixture
def retries() -> Generator[list[stamina.instrumentation.RetryDetails], None, None]:
    """What stamina tells its hooks."""
    seen: list[stamina.instrumentation.RetryDetails] = []

    def hook(details: stamina.instrumentation.RetryDetails) -> None:
        seen.append(details)

    stamina.instrumentation.set_on_retry_hooks([hook])
    yield seen
    stamina.instrumentation.set_on_retry_hooks(None)


async def test_a_key_that_is_rotated_within_a_call_does_not_come_out() -> None:
    keys = [new_key() for _ in range(2)]
    current = iter(keys)

    async def script(exchange: Exchange) -> None:
        await exchange.send(refusing(" ".join(keys)))

    async with WireServer(script) as server, quick_client(server.url, lambda: next(current)) as client:
        with pytest.raises(AuthenticationError) as raised:
            await client.list_clusters()
        assert len(server.requests) == 2
    for key in keys:
        assert_hidden(shown_by(raised.value, frames=True), key)


@pytest.mark.parametrize("succeeds", [False, True])
async def test_a_key_that_is_rotated_between_retries_does_not_come_out(
    *,
    succeeds: bool,
    retries: list[stamina.instrumentation.RetryDetails],
    everything_logged: pytest.LogCaptureFixture,
) -> None:
    keys = [new_key() for _ in range(4)]
    current = iter(keys)

    async def script(exchange: Exchange) -> None:
        told = " ".join(keys[: exchange.number])
        await exchange.send(OK if succeeds and exchange.number == 4 else refusing(told, 503, 503))

    policy = type(QUICK)(attempts=4, wait_initial=0.0, wait_max=0.0, wait_jitter=0.0)
    async with (
        WireServer(script) as server,
        quick_client(server.url, lambda: next(current), retry=policy) as client,
    ):
        if succeeds:
            await client.list_clusters()
        else:
            with pytest.raises(APIError) as raised:
                await client.list_clusters()
            for key in keys:
                assert_hidden(shown_by(raised.value, frames=True), key)
    assert len(retries) == 3
    for details in retries:
        assert "unknown key <key>" in str(details.caused_by)
        for key in keys:
            assert_hidden({repr(details), *shown_by(details.caused_by, frames=True)}, key)
            assert_hidden({f"{vars(record)}" for record in everything_logged.records}, key)


async def test_stamina_is_handed_no_frame_that_holds_an_answer() -> None:
    key = new_key()
    seen: list[str] = []

    def hook(details: stamina.instrumentation.RetryDetails) -> None:
        error = details.caused_by
        seen.extend(text for _, text in detector.locals_of(error.__traceback__, depth=3))
        seen.extend(text for _, text in detector.tracebacks(error))

    async def script(exchange: Exchange) -> None:
        await exchange.send(refusing(key, 503, 503) if exchange.number < 3 else OK)

    stamina.instrumentation.set_on_retry_hooks([hook])
    try:
        policy = type(QUICK)(attempts=4, wait_initial=0.0, wait_max=0.0, wait_jitter=0.0)
        async with WireServer(script) as server, quick_client(server.url, key, retry=policy) as client:
            await client.list_clusters()
    finally:
        stamina.instrumentation.set_on_retry_hooks(None)
    assert seen
    assert_hidden(seen, key)


# Many accounts, whose keys a careless service mixes up.


@pytest.fixture
async def mixed_up(everything_logged: pytest.LogCaptureFixture) -> AsyncIterator[tuple[str, list[str]]]:
    """A service that answers each account with all keys, and the keys."""
    keys = [new_key() for _ in range(4)]
    told = " ".join(ECHOES[echo](key) for echo in ("as it is", "upper", "base64 of Bearer") for key in keys)

    async def script(exchange: Exchange) -> None:
        await exchange.send(refusing(told))

    async with WireServer(script) as server:
        yield server.url, keys
    for key in keys:
        assert_hidden({record.getMessage() for record in everything_logged.records}, key)


def accounts_of(url: str, keys: list[str]) -> list[Account]:
    return [Account(f"account {number}", key, base_url=url) for number, key in enumerate(keys)]


async def test_no_account_s_error_holds_another_account_s_key(mixed_up: tuple[str, list[str]]) -> None:
    url, keys = mixed_up
    async with Inventory(accounts_of(url, keys), retry=QUICK, limiter=None) as inventory:
        with pytest.raises(InventoryError) as raised:
            await read_all(inventory.iter_clusters())
        report = await inventory.collect()
    assert len(raised.value.failures) == len(report.failures) == 4
    text = report.to_json()
    again = InventoryReport.from_json(text)
    for key in keys:
        assert_hidden(shown_by(raised.value, frames=True), key)
        assert_hidden({text, repr(report)}, key)
        for error in (*report.failures.values(), *again.failures.values()):
            assert_hidden(shown_by(error, frames=True), key)


async def read_all(source: Any) -> None:
    async for _ in source:
        pass


async def test_no_watch_s_log_holds_another_account_s_key(
    mixed_up: tuple[str, list[str]], everything_logged: pytest.LogCaptureFixture
) -> None:
    url, keys = mixed_up
    async with Inventory(accounts_of(url, keys), retry=QUICK, limiter=None) as inventory:
        with pytest.raises(InventoryError) as raised:
            await read_all(inventory.watch_clusters(interval=0.001))
    told = [record.getMessage() for record in everything_logged.records if record.levelname == "ERROR"]
    assert len([text for text in told if "has ended" in text and "<key>" in text]) == 4
    for key in keys:
        assert_hidden(shown_by(raised.value, frames=True), key)


async def test_a_watch_s_outage_is_logged_without_another_client_s_key(
    everything_logged: pytest.LogCaptureFixture,
) -> None:
    key = new_key()
    logged = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if exchange.number > 3:
            logged.set()
        await exchange.send(refusing(key.swapcase(), 500, 500))

    async with (
        WireServer(script) as server,
        quick_client(server.url, key),
        quick_client(server.url, new_key()) as client,
    ):
        watching = asyncio.create_task(read_all(client.watch_clusters(interval=0.001)))
        await logged.wait()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    texts = {record.getMessage() for record in everything_logged.records}
    assert [text for text in texts if "poll failed" in text and "<key>" in text]
    assert_hidden(texts, key)


# The command line, with the keys of all organisations.

COMMANDS = {
    "list": ["list", "--all-orgs"],
    "list as a table": ["list", "-o", "table", "--all-orgs"],
    "summary": ["summary", "--all-orgs"],
    "snapshot": ["snapshot", "new.json", "--all-orgs"],
    "diff": ["diff", "old.json", "--live", "--all-orgs"],
    "watch": ["watch", "--state", "kept.json", "--interval", "0.001", "--all-orgs"],
    "accounts": ["accounts", "--check"],
}


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_shows_another_organisation_s_key(
    command: str,
    *,
    debug: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    log_everything(caplog)
    keys = [new_key() for _ in range(3)]
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(tmp_path))
    credentials = tmp_path / "credentials"
    credentials.write_text("".join(f"[org.{n}]\napi_key = {key}\n" for n, key in enumerate(keys)), "utf-8")
    credentials.chmod(0o600)
    (work / "old.json").write_text(REPORT.to_json(), "utf-8")
    told = " ".join(
        ECHOES[echo](key) for echo in ("as it is", "1 off the end", "base64 behind 1") for key in keys
    )
    with FakeZillizCloud(clusters=3) as cloud:
        cloud.fail_next(Fault.code(80001, told, status=401), times=None)
        monkeypatch.setattr(sys, "stdin", io.StringIO())

        status = main([*COMMANDS[command], "--base-url", cloud.url, *(["--debug"] if debug else [])])

        assert len(cloud.requests) >= 3
    out, err = capsys.readouterr()
    assert status
    assert "<key>" in out + err
    texts = [*out.splitlines(), *err.splitlines(), *(record.getMessage() for record in caplog.records)]
    # A database has bytes that are no UTF-8; keys are ASCII.
    texts += [path.read_text("latin-1") for path in work.rglob("*") if path.is_file()]
    for key in keys:
        assert_hidden(texts, key)
