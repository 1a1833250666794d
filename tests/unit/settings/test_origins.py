"""A refused key: the error says where it came from, and names no other place."""

from __future__ import annotations

import copy
import os
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import Account, AuthenticationError, Inventory, ZillizClient, load_accounts
from tests.support.listing_server import QUICK
from tests.support.wire_server import WireServer, answering, response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "key-of-a-test"
REFUSALS = [
    response({"code": 80001, "message": "no"}),
    response(b"", status=401),
    response(b"<p>", status=403),
    response({"code": 96012, "message": "no"}, status=403),
]
OTHERS = ["argument", "callable", "ZILLIZ_API_KEY", "section", "zilliz login", "--api-key-file"]


async def _get() -> str:
    return KEY


def from_argument(_: Path) -> tuple[Any, str]:
    return KEY, "the api_key argument"


def from_callable(_: Path) -> tuple[Any, str]:
    return lambda: KEY, "the api_key callable"


def from_async_callable(_: Path) -> tuple[Any, str]:
    return _get, "the api_key callable"


def from_environment(_: Path) -> tuple[Any, str]:
    os.environ["ZILLIZ_API_KEY"] = KEY
    return None, "the environment variable ZILLIZ_API_KEY"


def from_file(folder: Path) -> tuple[Any, str]:
    (folder / "credentials").write_text(f"[default]\napi_key = {KEY}\n", "utf-8")
    (folder / "credentials").chmod(0o600)
    return None, f"section [default] of {folder / 'credentials'}"


@pytest.mark.parametrize("refusal", REFUSALS, ids=["a code", "401", "403", "no permission"])
@pytest.mark.parametrize(
    "give", [from_argument, from_callable, from_async_callable, from_environment, from_file]
)
async def test_of_a_client(
    give: Callable[[Path], tuple[Any, str]], refusal: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("ZILLIZ_API_KEY", "")
    api_key, origin = give(tmp_path)
    async with (
        WireServer(answering(refusal)) as server,
        ZillizClient(api_key, base_url=server.url, retry=QUICK) as client,
    ):
        with pytest.raises(AuthenticationError) as raised:
            await client.list_clusters()
    for error in (raised.value, copy.copy(raised.value), pickle.loads(pickle.dumps(raised.value))):
        assert f"The key came from {origin}." in str(error)
        assert error.key_source == origin
        told = str(error).replace(origin, "")
        assert not [other for other in OTHERS if other in told]


async def test_of_an_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(tmp_path))
    path = tmp_path / "credentials"
    path.write_text(f"[org.7]\norg_name = loaded\napi_key = {KEY}\n", "utf-8")
    path.chmod(0o600)
    async with WireServer(answering(REFUSALS[0])) as server:
        accounts = [
            Account("plain", KEY, base_url=server.url),
            Account("called", lambda: KEY, base_url=server.url),
            *load_accounts(base_url=server.url),
        ]
        async with Inventory(accounts, retry=QUICK) as inventory:
            report = await inventory.collect()
    errors = {
        name: error for name, error in report.failures.items() if isinstance(error, AuthenticationError)
    }
    assert {name: error.key_source for name, error in errors.items()} == {
        "plain": "the api_key argument of the account 'plain'",
        "called": "the api_key callable of the account 'called'",
        "loaded": f"section [org.7] of {path}",
    }


def test_an_error_of_another_version_says_nothing_of_it() -> None:
    error = AuthenticationError("no", status=401, advice="Check it.")
    assert str(error) == "no (HTTP 401). Check it."
    assert error.key_source == ""
