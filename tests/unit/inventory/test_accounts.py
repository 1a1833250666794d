"""What an account is, which ones go together, and what comes out of the official client's files."""

from __future__ import annotations

import logging
import os
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import CHINA, GLOBAL, Account, ConfigurationError, load_accounts
from aiozilliz._inventory.accounts import check_accounts
from aiozilliz._settings.credentials import Secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "k3y0fProduction0000000001"
OTHER = "k3y0fEurope00000000000002"
SITE = "https://zilliz.example.com"


def given_by(account: Account) -> str:
    secret = account.key_source.fixed
    assert isinstance(secret, Secret)
    return secret.reveal()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write one of the client's files, for its owner alone."""
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(tmp_path))

    def write(text: str | bytes, name: str = "credentials", mode: int = 0o600) -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    return write


def loaded(**options: Any) -> list[tuple[str, str]]:
    return [(account.name, given_by(account)) for account in load_accounts(**options)]


def shown(error: BaseException) -> str:
    """Give all that a report of the error may show: texts, and the locals of our frames."""
    texts = [str(error), repr(error), repr(error.args)]
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "tests" not in frame.f_code.co_filename:
            texts += [repr(value) for value in frame.f_locals.values() if type(value) is not Account]
    if error.__context__ is not None:
        texts.append(shown(error.__context__))
    return "\n".join(texts)


# Account


def test_an_account_shows_its_name_and_site_but_not_its_key() -> None:
    account = Account("prod", KEY)
    assert account.name == "prod"
    assert account.base_url == GLOBAL
    assert "prod" in repr(account)
    assert GLOBAL in repr(account)
    assert KEY not in repr(account)
    assert KEY not in repr(account.key_source)


def test_base_url_is_checked_and_loses_its_trailing_slash() -> None:
    assert Account("cn", KEY, base_url=f"{CHINA}/").base_url == CHINA
    assert Account("own", KEY, base_url="http://127.0.0.1:8080/api/").base_url == "http://127.0.0.1:8080/api"
    with pytest.raises(ConfigurationError, match="http"):
        Account("own", KEY, base_url="http://zilliz.example.com")


def test_accounts_are_frozen_hashable_and_equal_by_value() -> None:
    account = Account("prod", KEY)
    assert account == Account("prod", KEY)
    assert hash(account) == hash(Account("prod", KEY))
    assert account != Account("prod", OTHER)
    assert account != Account("prod", KEY, base_url=CHINA)
    assert Account("a", lambda: KEY) != Account("a", lambda: KEY)
    with pytest.raises(AttributeError):
        account.name = "dev"  # type: ignore[misc]  # that is what it shows


async def test_a_callable_key_is_asked_each_time_and_may_be_async() -> None:
    async def ask() -> str:
        return KEY

    assert (await Account("a", ask).key_source.get()).reveal() == KEY
    assert (await Account("b", lambda: OTHER).key_source.get()).reveal() == OTHER


@pytest.mark.parametrize(
    ("key", "masked"),
    [("a" * 16 + "wxyz", "****wxyz"), (KEY, "****0001"), ("a" * 15 + "wxyz", "****"), ("k", "****")],
)
def test_a_masked_key_shows_the_end_of_long_keys_only(key: str, masked: str) -> None:
    assert Account("prod", key).masked_key == masked
    assert masked not in repr(Account("prod", key))


def test_a_callable_is_not_asked_for_its_masked_key() -> None:
    def ask() -> str:
        raise AssertionError

    assert Account("prod", ask).masked_key == "(callable)"


@pytest.mark.parametrize("key", ["", " ", "k y", "k\n", "schlüssel", "k\x00"])
def test_a_bad_key_is_refused_without_being_repeated(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Account("prod", key)
    assert not key.strip() or key not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "base_url"), [("", GLOBAL), (7, GLOBAL), ("a", "http://zilliz.example.com")]
)
def test_where_something_else_is_refused_no_frame_of_ours_holds_the_key(name: Any, base_url: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        Account(name, KEY, base_url=base_url)
    assert KEY not in shown(caught.value)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"api_key": "key\n"}, ConfigurationError, "The API key can't be used: it contains white space"),
        ({"api_key": ""}, ConfigurationError, "The API key can't be used: it is empty"),
        ({"api_key": None}, TypeError, "an account needs an api_key"),
        ({"api_key": 7}, TypeError, "api_key must be a str"),
        ({"base_url": ""}, ConfigurationError, "The base URL can't be used: it is empty"),
        ({"base_url": 7}, TypeError, "base_url must be a str"),
    ],
    ids=repr,
)
def test_whatever_is_refused_the_error_names_the_account(
    arguments: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error) as caught:
        Account(**{"name": "acct-17", "api_key": KEY, **arguments})
    assert type(caught.value) is error
    assert str(caught.value).startswith(f"Account 'acct-17': {says}")
    assert isinstance(caught.value.args[0], str)
    if isinstance(caught.value, ConfigurationError):
        assert caught.value.advice
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_name_is_shown_in_short_and_on_one_line() -> None:
    with pytest.raises(TypeError) as caught:
        Account("a\n\x1b" + "b" * 1000, 7)  # type: ignore[arg-type]
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("name", ["", 7, None])
def test_a_name_that_is_none_is_not_shown(name: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^an account's name must"):
        Account(name, KEY)
    with pytest.raises(ConfigurationError, match=r"^The API key"):
        Account(name, "key\n")


@pytest.mark.parametrize("key", [None, 7, b"k"])
def test_a_key_of_another_type_is_a_type_error(key: Any) -> None:
    with pytest.raises(TypeError, match="api_key"):
        Account("prod", key)


def test_a_missing_key_is_never_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZILLIZ_API_KEY", KEY)
    with pytest.raises(TypeError, match="api_key"):
        Account("prod", None)  # type: ignore[arg-type]  # for those who use no type checker


@pytest.mark.parametrize(("name", "error"), [("", ValueError), (None, TypeError), (1, TypeError)])
def test_a_name_is_text_and_not_empty(name: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="name"):
        Account(name, KEY)


# accounts that go together


def test_names_are_unique() -> None:
    with pytest.raises(ConfigurationError, match="'prod'") as caught:
        check_accounts([Account("prod", KEY), Account("dev", OTHER), Account("prod", OTHER)])
    assert KEY not in shown(caught.value)
    assert OTHER not in shown(caught.value)


def test_the_same_key_twice_is_allowed_and_told_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    accounts = [Account("a", KEY), Account("b", KEY), Account("c", OTHER)]
    assert check_accounts(iter(accounts)) == tuple(accounts)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "'a' and 'b'" in record.getMessage()
    assert KEY not in record.getMessage()


def test_the_same_key_on_two_sites_is_no_repetition(caplog: pytest.LogCaptureFixture) -> None:
    check_accounts([Account("a", KEY), Account("b", KEY, base_url=CHINA)])
    check_accounts([Account("a", lambda: KEY), Account("b", lambda: KEY)])
    assert not caplog.records


@pytest.mark.parametrize("accounts", ["prod", [("prod", KEY)], [Account("a", KEY), None]])
def test_only_accounts_are_accounts(accounts: Any) -> None:
    with pytest.raises(TypeError, match="Account"):
        check_accounts(accounts)


# load_accounts

WHOLE = f"""\
# written by hand and by the client
[default]
api_key = {KEY}
org_id = org-1
org_name = Acme Production

[org.org-1]
org_name = Acme Production
api_key = {KEY}

; Europe has its own
[org.org-2]
org_name = Acme Europe
api_key = {OTHER}

[org.org-3]
org_name = Never logged in

[user]
user_id = u-1
email = someone@example.com
name = 100%% someone

[orgs]
org-1 = Acme Production
"""


def test_every_organisation_comes_once_under_its_name(write: Callable[..., Path]) -> None:
    write(WHOLE)
    assert loaded() == [("Acme Production", KEY), ("Acme Europe", OTHER)]
    assert {account.base_url for account in load_accounts()} == {GLOBAL}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param(f"[default]\napi_key = {KEY}\n", ["default"], id="a login by key only"),
        pytest.param(f"[default]\napi_key = {KEY}\norg_id = org-1\n", ["org-1"], id="an id and no name"),
        pytest.param(f"[default]\napi_key={KEY}\norg_name=Acme\n", ["Acme"], id="a name and no id"),
        pytest.param(f"[org.org-1]\napi_key = {KEY}\n", ["org-1"], id="no default, no name"),
        pytest.param(f"[org.]\napi_key = {KEY}\n", ["default"], id="an organisation without an id"),
        pytest.param(
            f"[org.1]\norg_name = Acme\napi_key = {KEY}\n[org.2]\norg_name = Acme\napi_key = {OTHER}\n",
            ["1", "2"],
            id="two of one name",
        ),
        pytest.param(
            f"[org.1]\norg_name = A\napi_key = {KEY}\n[org.2]\norg_name = B\napi_key = {KEY}\n",
            ["A"],
            id="one key under two names",
        ),
        pytest.param(
            f"[default]\norg_id = 1\norg_name = A\napi_key = {OTHER}\n[org.1]\norg_name = A\napi_key = {KEY}\n",
            ["1", "1 (2)"],
            id="two keys of one organisation",
        ),
        pytest.param(
            f"[org.1]\norg_name = 2\napi_key = {KEY}\n[org.2]\napi_key = {OTHER}\n",
            ["1", "2"],
            id="a name that is another's id",
        ),
        pytest.param(
            f"[org.x]\norg_name = 1\napi_key = {KEY}\n[org.1]\norg_name = A\napi_key = {OTHER}\n"
            "[org.2]\norg_name = A\napi_key = thirdkey\n",
            ["1", "1 (2)", "2"],
            id="an id that is another's name",
        ),
        pytest.param(f"[org.1]\napi_key =\n[org.2]\napi_key = {KEY}\n", ["2"], id="an empty key is none"),
        pytest.param(
            f"[org.1]\norg_name = 50% & more\napi_key = {KEY}\n", ["50% & more"], id="a percent sign"
        ),
        pytest.param(
            f"[org.1]\norg_name = Zürich 東京\napi_key = {KEY}\n", ["Zürich 東京"], id="names beyond ASCII"
        ),
        pytest.param(f"\ufeff[org.1]\r\napi_key = {KEY}\r\n", ["1"], id="a BOM and CRLF"),
        pytest.param(
            f"[org.1]\napi_key = {OTHER}\n[org.1]\napi_key = {KEY}\norg_name = A\n",
            ["A"],
            id="a section that stands twice",
        ),
        pytest.param(
            f"[DEFAULT]\napi_key = {OTHER}\n[org.1]\norg_name = A\napi_key = {KEY}\n[org.2]\norg_name = B\n",
            ["A"],
            id="DEFAULT hands nothing down",
        ),
    ],
)
def test_people_have_files_of_all_kinds(write: Callable[..., Path], text: str, names: list[str]) -> None:
    write(text)
    found = loaded()
    assert [name for name, _ in found] == names
    assert KEY in {key for _, key in found}


def test_the_site_is_that_of_the_config_file_unless_one_is_given(write: Callable[..., Path]) -> None:
    write(WHOLE)
    write(f"[default]\nbase_url = {SITE}/\n", "config")
    assert [account.base_url for account in load_accounts()] == [SITE, SITE]
    assert [account.base_url for account in load_accounts(base_url=CHINA)] == [CHINA, CHINA]
    write("[context]\ncluster_id = in01-a\n", "config")
    assert [account.base_url for account in load_accounts()] == [GLOBAL, GLOBAL]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_files_that_powershell_wrote_are_read(write: Callable[..., Path], mark: str, encoding: str) -> None:
    mark = "" if encoding in {"utf-16", "utf-32", "utf-8-sig"} else mark  # these write one themselves
    write(f"{mark}[org.1]\r\norg_name = Zürich 東京\r\napi_key = {KEY}\r\n".encode(encoding))
    write(f"{mark}[default]\r\nbase_url = {SITE}\r\n".encode(encoding), "config")
    assert loaded() == [("Zürich 東京", KEY)]
    assert [account.base_url for account in load_accounts()] == [SITE]


def test_a_broken_config_file_does_not_matter_where_a_site_is_given(write: Callable[..., Path]) -> None:
    write(WHOLE)
    path = write("no ini", "config")
    assert len(load_accounts(base_url=GLOBAL)) == 2
    with pytest.raises(ConfigurationError) as caught:
        load_accounts()
    assert str(path) in str(caught.value)


def test_a_site_that_cannot_be_used_is_refused(write: Callable[..., Path]) -> None:
    write(WHOLE)
    with pytest.raises(ConfigurationError) as caught:
        load_accounts(base_url="http://zilliz.example.com")
    assert KEY not in shown(caught.value)
    assert OTHER not in shown(caught.value)


def test_no_file_is_an_error_that_names_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("ZILLIZ_API_KEY", KEY)  # it is one key, not a list of accounts
    with pytest.raises(ConfigurationError) as caught:
        load_accounts()
    assert str(tmp_path / "nowhere" / "credentials") in str(caught.value)


def test_without_the_variable_the_folder_is_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZILLIZ_CONFIG_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / ".zilliz").mkdir()
    path = tmp_path / ".zilliz" / "credentials"
    path.write_text(WHOLE)
    path.chmod(0o600)
    assert len(loaded()) == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(f"api_key = {KEY}\n".encode(), "line 1", id="no section"),
        pytest.param(f"[default]\n{KEY}\n".encode(), "line 2", id="no value"),
        pytest.param(f"[default]\napi_key = {KEY}".encode("utf-16")[:-1], "UTF-16", id="cut UTF-16"),
        pytest.param(b"", "holds no api_key", id="empty"),
        pytest.param(b"[user]\nname = x\n[org.1]\norg_name = A\n", "holds no api_key", id="logged out"),
        pytest.param(
            f"[org.1]\napi_key = {KEY}\n[org.2]\napi_key = {OTHER} {OTHER}\n".encode(),
            r"section \[org.2\]",
            id="a key with a space",
        ),
    ],
)
def test_what_cannot_be_read_is_an_error_that_names_the_file_and_no_key(
    write: Callable[..., Path], caplog: pytest.LogCaptureFixture, content: bytes, says: str
) -> None:
    path = write(content)
    with pytest.raises(ConfigurationError, match=says) as caught:
        load_accounts()
    assert str(path) in str(caught.value)
    told = shown(caught.value) + caplog.text
    assert KEY not in told
    assert OTHER not in told


def test_a_folder_in_place_of_the_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(tmp_path))
    (tmp_path / "credentials").mkdir()
    with pytest.raises(ConfigurationError, match="credentials can't be read"):
        load_accounts()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_an_error(write: Callable[..., Path]) -> None:
    path = write(WHOLE, mode=0)
    with pytest.raises(ConfigurationError, match="can't be read") as caught:
        load_accounts()
    assert str(path) in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_warned_about(
    write: Callable[..., Path], caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    path = write(WHOLE, mode=mode)
    assert len(load_accounts()) == 2
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert str(path) in record.getMessage()
    assert KEY not in record.getMessage()


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_alone_is_not(
    write: Callable[..., Path], caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    write(WHOLE, mode=mode)
    load_accounts()
    assert not caplog.records


def test_a_name_that_is_unique_is_not_lost_to_the_id_of_another(write: Callable[..., Path]) -> None:
    sections = (("o1", "A", "key-1"), ("o2", "A", "key-2"), ("o3", "o1", "key-3"))
    write("".join(f"[org.{org}]\norg_name = {name}\napi_key = {key}\n" for org, name, key in sections))

    assert [account.name for account in load_accounts()] == ["o1 (2)", "o2", "o1"]
