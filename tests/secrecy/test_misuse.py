"""Whatever takes a key, or holds one, and is used wrongly: no error tells it."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import Account, AuthenticationError, ConfigurationError, Inventory, ZillizClient, load_accounts
from aiozilliz.testing import FakeZillizCloud
from tests.support.detector import KEY, assert_silent, has_key, shown
from tests.support.listing_server import QUICK

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Misuse = Callable[[], Any]

BAD_KEYS: dict[str, Any] = {
    "a line end": f"{KEY}\n",
    "a blank": f"Bearer {KEY}",
    "a control character": f"{KEY}\x7f",
    "a letter": f"{KEY}é",
    "bytes": KEY.encode(),
    "a list": [KEY],
}


def errors_of(*calls: Misuse) -> list[Exception]:
    found: list[Exception] = []
    for call in calls:
        with pytest.raises((TypeError, ValueError, RuntimeError, AttributeError)) as raised:
            call()
        found.append(raised.value)
    return found


@pytest.mark.parametrize("bad", BAD_KEYS)
def test_a_bad_key_is_not_repeated(bad: str) -> None:
    key = BAD_KEYS[bad]
    for error in errors_of(lambda: ZillizClient(key), lambda: Account("a", key)):
        assert_silent(error, frames=False)  # whoever passes the key has it in the frames of that call


@pytest.mark.parametrize("bad", ["a line end", "a blank", "a control character", "a letter"])
def test_a_bad_key_in_the_environment_is_in_no_frame_either(
    bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZILLIZ_API_KEY", BAD_KEYS[bad])
    for error in errors_of(ZillizClient):
        assert_silent(error)


async def test_an_account_that_is_named_by_its_key_is_not_told_as_the_source_of_it() -> None:
    async with (
        FakeZillizCloud(api_key="another") as cloud,
        Inventory([Account(KEY, KEY, base_url=cloud.url)], retry=QUICK) as inventory,
    ):
        report = await inventory.collect()
    error = report.failures[KEY]
    assert isinstance(error, AuthenticationError)
    assert error.key_source == "the api_key argument of the account '<key>'"
    assert_silent(error, frames=False)  # they hold the account, whose name is no secret by itself


FILES = {
    "a bad key": f"[default]\napi_key = Bearer {KEY}\n",
    "a bad key of an organisation": f"[default]\napi_key = {KEY}\n[org.1]\napi_key = {KEY}é\n",
    "no INI": f"api_key = {KEY}\n",
    "a line that is none": f"[default]\n{KEY}\n",
    "no end of a section": f"[{KEY}\n",
    "UTF-16": f"\ud800[default]\napi_key = {KEY}\n",
}


@pytest.mark.parametrize("file", FILES)
def test_a_bad_file_is_not_repeated(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials").write_bytes(FILES[file].encode("utf-8", "surrogatepass"))
    (tmp_path / "credentials").chmod(0o600)
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(tmp_path))
    calls: list[Misuse] = [load_accounts] if "organisation" in file else [load_accounts, ZillizClient]
    for error in errors_of(*calls):
        assert isinstance(error, ConfigurationError)
        assert_silent(error)


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": 7},
        {"name": ""},
        {"base_url": 7},
        {"base_url": "http://elsewhere.example"},
        {"base_url": f"https://{KEY}@host"},
        {"unknown": KEY},
    ],
    ids=repr,
)
def test_an_account_that_is_refused_for_another_reason_is_silent(arguments: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        Account(**{"name": "a", "api_key": KEY, **arguments})
    assert_silent(raised.value, frames=not has_key(arguments))


def test_a_good_account_is_silent() -> None:
    account = Account("a", KEY)

    def change() -> None:
        account.name = "b"  # type: ignore[misc]  # it is frozen

    for error in errors_of(change, lambda: pickle.dumps(account), lambda: copy.deepcopy(account)):
        assert_silent(error)
    assert not any(map(has_key, shown(account, 4)))
    assert not any(map(has_key, shown(copy.copy(account), 4)))
    assert KEY[:-4] not in account.masked_key


WRONG: dict[str, Any] = {
    "concurrency": 0,
    "limiter": 7,
    "session": KEY,
    "timeout": KEY,
    "retry": KEY,
    "max_response_bytes": KEY,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_refused_argument_of_an_inventory_does_not_tell_a_key(name: str) -> None:
    accounts = [Account("a", KEY), Account("b", KEY)]
    with pytest.raises((TypeError, ValueError)) as raised:
        Inventory(accounts, **{name: WRONG[name]})
    assert_silent(raised.value, frames=WRONG[name] != KEY)


@pytest.mark.parametrize(
    "accounts", [KEY, [KEY], [{"api_key": KEY}], [KEY.encode()], {KEY: KEY}, 7], ids=repr
)
def test_keys_in_the_place_of_accounts_are_not_repeated(accounts: Any) -> None:
    for error in errors_of(lambda: Inventory(accounts)):
        assert_silent(error, frames=False)


def test_two_accounts_of_one_name_do_not_tell_their_keys() -> None:
    for error in errors_of(lambda: Inventory([Account("a", KEY), Account("a", KEY + "1")])):
        assert_silent(error)


def test_two_accounts_of_one_key_are_told_to_the_log_without_it(caplog: pytest.LogCaptureFixture) -> None:
    Inventory([Account("a", KEY), Account("b", KEY)])

    assert "have the same key" in caplog.text
    assert not has_key(caplog.text)


def client_calls(client: ZillizClient) -> list[Misuse]:
    wrong: Any = KEY
    return [
        lambda: client.iter_clusters(page_size=0),
        lambda: client.iter_clusters(verify=7),  # type: ignore[arg-type]  # the misuse
        lambda: client.iter_pages(start_page=-1),
        lambda: client.list_clusters(current_page=True),
        lambda: client.watch_clusters(interval=0),
        lambda: client.watch_clusters(since={}),  # type: ignore[arg-type]  # the misuse
        lambda: pickle.dumps(client),
        lambda: copy.copy(client),
        lambda: copy.deepcopy(client),
        lambda: getattr(client, wrong),
        lambda: asyncio.run(client.__aenter__.__func__(wrong)),  # type: ignore[attr-defined]  # the misuse
    ]


def inventory_calls(inventory: Inventory) -> list[Misuse]:
    return [
        lambda: inventory.iter_clusters(page_size=0),
        lambda: inventory.iter_clusters(verify=7),  # type: ignore[arg-type]  # the misuse
        lambda: asyncio.run(inventory.collect(max_passes=0)),
        lambda: inventory.watch_clusters(interval=0),
        lambda: inventory.watch_clusters(since={}),  # type: ignore[arg-type]  # the misuse
        lambda: pickle.dumps(inventory),
        lambda: copy.copy(inventory),
        lambda: copy.deepcopy(inventory),
    ]


def test_wrong_calls_are_silent() -> None:
    calls = [*client_calls(ZillizClient(KEY))[:-2], *inventory_calls(Inventory([Account("a", KEY)]))]
    for error in errors_of(*calls):
        assert_silent(error)


async def test_a_life_that_is_used_wrongly_is_silent() -> None:
    async def read(source: Any) -> None:
        async for _ in source:
            pass

    async with FakeZillizCloud(clusters=3, api_key=KEY) as cloud:
        client = ZillizClient(KEY, base_url=cloud.url, limiter=None, retry=QUICK)
        inventory = Inventory([Account("a", KEY, base_url=cloud.url)], limiter=None, retry=QUICK)
        for each in (client, inventory):
            calls: list[Any] = [
                lambda e=each: read(e.iter_clusters()),
                lambda e=each: read(e.watch_clusters()),
            ]
            early = [await _error(call()) for call in calls]
            async with each:
                twice = [await _error(each.__aenter__())]
                clusters = each.iter_clusters()
                await read(clusters)
            late = [await _error(call()) for call in calls]
            again = [await _error(each.__aenter__())]
            for error in (*early, *twice, *late, *again):
                assert isinstance(error, RuntimeError)
                assert_silent(error)


async def _error(work: Any) -> BaseException:
    with pytest.raises(RuntimeError) as raised:
        await work
    return raised.value


async def test_a_second_reader_is_silent() -> None:
    async with FakeZillizCloud(clusters=3, api_key=KEY) as cloud:
        inventory = Inventory([Account("a", KEY, base_url=cloud.url)], limiter=None)
        client = ZillizClient(KEY, base_url=cloud.url, limiter=None)
        async with inventory, client:
            for source in (client.iter_clusters(), inventory.iter_clusters(), client.watch_clusters()):
                first = asyncio.ensure_future(anext(source))
                await asyncio.sleep(0)  # it waits now
                assert_silent(await _error(anext(source)))
                await first
                await source.aclose()


@pytest.mark.parametrize(
    "arguments",
    [{"port": -1}, {"latency": -1}, {"shape": "no"}, {"clusters": -1}, {"retry_after": 1, "rate_limit": 0}],
    ids=repr,
)
def test_the_fake_cloud_does_not_tell_its_key(arguments: dict[str, Any]) -> None:
    refused: dict[str, Any] = {"api_key": KEY, **arguments}
    errors = errors_of(lambda: FakeZillizCloud(**refused))
    cloud = FakeZillizCloud(api_key=KEY)
    assert not has_key(repr(cloud))
    with cloud:
        assert not has_key(repr(cloud))
        errors += errors_of(cloud.__enter__)
    for error in errors:
        assert_silent(error, frames=False)  # whoever passes the key has it in the frames of that call
