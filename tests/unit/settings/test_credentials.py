from __future__ import annotations

import copy
import pickle
from collections.abc import Awaitable, Callable, Collection, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, strategies as st

from aiozilliz import CHINA, ConfigurationError
from aiozilliz._settings.checks import key_fault
from aiozilliz._settings.credentials import KeySource, Secret, cli_base_url, cli_folder, find_key, read_ini

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "d3adb33f0123456789abcdef"
RUBBISH = "d3adb33f with a space"
ENV = "ZILLIZ_API_KEY"


@pytest.fixture
def folder(clean_environment: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(tmp_path))
    return tmp_path


async def _found(api_key: Any = None) -> tuple[str, str | None]:
    source, base_url = find_key(api_key)
    return (await source.get()).reveal(), base_url


def _shown(value: object, depth: int = 3) -> Iterator[str]:
    """Give what a tool that prints locals can show of a value."""
    yield repr(value)
    parts: list[object] = []
    if isinstance(value, Mapping):
        parts = list(cast("Mapping[object, object]", value).values())
    elif isinstance(value, (list, tuple, set)):
        parts = list(cast("Collection[object]", value))
    elif hasattr(value, "__dict__"):
        parts = list(vars(value).values())
    if depth:
        for part in parts:
            yield from _shown(part, depth - 1)


def _everything(error: BaseException) -> str:
    """Give all that an error tells: texts, what it came from, and the locals of the library's frames."""
    texts = [str(error), repr(error), repr(error.args), repr(vars(error)), repr(pickle.dumps(error))]
    traceback = error.__traceback__
    while traceback is not None:
        if "aiozilliz" in traceback.tb_frame.f_globals["__name__"]:
            for name, value in list(traceback.tb_frame.f_locals.items()):
                texts.extend(f"{name}: {shown}" for shown in _shown(value))
        traceback = traceback.tb_next
    texts.extend(_everything(other) for other in (error.__cause__, error.__context__) if other is not None)
    return "\n".join(texts)


# Secret


def test_a_secret_shows_itself_when_asked_only() -> None:
    secret = Secret(KEY)
    assert secret.reveal() == KEY
    assert repr(secret) == str(secret) == f"{secret}" == "<Secret>"
    for name in dir(secret):
        assert KEY not in repr(getattr(secret, name)), name
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="can't be pickled"):
        pickle.dumps(Secret(KEY), protocol)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_secret_is_not_copied(duplicate: Callable[[Secret], Secret]) -> None:
    with pytest.raises(TypeError, match="can't be pickled or copied"):
        duplicate(Secret(KEY))


def test_secrets_of_one_key_are_equal() -> None:
    assert Secret(KEY) == Secret(KEY)
    assert hash(Secret(KEY)) == hash(Secret(KEY))
    assert Secret(KEY) != Secret(KEY[:-1])
    assert Secret(KEY) != KEY


# A key as an argument


async def test_a_key_as_argument() -> None:
    assert await _found(KEY) == (KEY, None)


async def test_a_key_as_argument_needs_neither_environment_nor_files(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv(ENV, "from-the-environment")
    (folder / "credentials").mkdir()
    assert await _found(KEY) == (KEY, None)


BAD_KEYS = ["", "abcd\n", "ab cd", "ab\tcd", "abcd\x00", "abcd\x7f", "äbcd", "abcd\u200b", " abcd", "\udcff"]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_bad_key_is_refused_at_once(key: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"The API key can't be used: it .* came from the api_key argument"
    ):
        find_key(key)


@pytest.mark.parametrize("key", [b"abcd", 1234, 1.5, ["abcd"], object()])
def test_a_key_of_another_type_is_a_type_error(key: Any) -> None:
    with pytest.raises(TypeError, match="api_key must be a str, a callable or None, not") as raised:
        find_key(key)
    assert "abcd" not in str(raised.value)
    assert "1234" not in str(raised.value)


@given(st.text(min_size=4).filter(lambda key: key_fault(key) is not None))
def test_the_message_about_a_bad_key_does_not_depend_on_the_key(key: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        find_key(key)
    texts = (str(raised.value), repr(raised.value), repr(raised.value.args))
    examples = {"ASCII": "\u00fc", "control": "\x00", "quotation": '"a"'}
    other = next((example for word, example in examples.items() if word in texts[0]), " ")
    with pytest.raises(ConfigurationError) as of_another:
        find_key(other)
    assert texts == (str(of_another.value), repr(of_another.value), repr(of_another.value.args))


@given(
    st.text(min_size=4),
    st.sampled_from([" ", "\n", "\x00", "\x7f", "ü"]),
    st.sampled_from(["{}{}", "{1}{0}", "{0}{1}{0}"]),
)
def test_the_message_never_repeats_a_bad_key(text: str, bad: str, pattern: str) -> None:
    key = pattern.format(text, bad) + "~S3CR3T~"
    with pytest.raises(ConfigurationError) as raised:
        find_key(key)
    told = f"{raised.value}\n{raised.value!r}\n{raised.value.args}\n{pickle.dumps(raised.value)!r}"
    assert key not in told
    assert "S3CR3T" not in told
    assert raised.value.__context__ is None
    assert raised.value.__cause__ is None


# A key from a callable


class _Masked(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "***"


class _Keys(StrEnum):
    MINE = KEY


async def _give_key() -> str:
    return KEY


class _LaterKey:
    def __await__(self) -> Iterator[Any]:
        return _give_key().__await__()


class _Vault:
    async def __call__(self) -> str:
        return KEY


@pytest.mark.parametrize(
    "ask",
    [
        lambda: KEY,
        _give_key,
        _LaterKey,
        _Vault(),
        lambda: _Masked(KEY),
        lambda: _Keys.MINE,
    ],
    ids=["plain", "async", "awaitable", "object", "masked", "enum"],
)
async def test_a_callable_gives_the_key(ask: Callable[[], Any]) -> None:
    source, base_url = find_key(ask)
    assert base_url is None
    assert source.fixed is None
    secret = await source.get()
    assert secret.reveal() == KEY
    assert type(secret.reveal()) is str
    assert repr(source) == "<KeySource callable>"


async def test_a_masked_key_as_argument_is_the_key() -> None:
    assert await _found(_Masked(KEY)) == (KEY, None)


async def test_a_callable_is_asked_each_time_and_not_before() -> None:
    keys = iter(["first-key", "second-key"])
    source, _ = find_key(lambda: next(keys))
    assert (await source.get()).reveal() == "first-key"
    assert (await source.get()).reveal() == "second-key"


async def test_a_fixed_key_is_one_secret() -> None:
    source, _ = find_key(KEY)
    assert source.fixed is not None
    assert await source.get() is source.fixed
    assert repr(source) == "<KeySource fixed>"
    assert KEY not in repr(source)


async def _raise() -> str:
    raise LookupError("the vault is shut")


def _raise_at_once() -> str:
    raise LookupError("the vault is shut")


@pytest.mark.parametrize("ask", [_raise, _raise_at_once])
async def test_what_a_callable_raises_is_passed_on(
    ask: Callable[[], Awaitable[str]] | Callable[[], str],
) -> None:
    source, _ = find_key(ask)
    with pytest.raises(LookupError, match="the vault is shut"):
        await source.get()


async def _async(answer: object) -> object:
    return answer


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
@pytest.mark.parametrize(
    ("rubbish", "fault"),
    [
        (RUBBISH, "white space"),
        (RUBBISH.replace(" ", "\n"), "white space"),
        (RUBBISH.replace(" ", "ä"), "non-ASCII"),
        (RUBBISH.encode(), "of type bytes"),
        ([RUBBISH], "of type list"),
        ({"key": RUBBISH}, "of type dict"),
        (None, "of type NoneType"),
        ("", "empty"),
    ],
)
async def test_rubbish_of_a_callable_is_refused_and_stays_out_of_the_error(
    rubbish: object, fault: str, is_async: bool
) -> None:
    answers = [rubbish]
    ask: Any = (lambda: _async(answers.pop())) if is_async else answers.pop
    source, _ = find_key(ask)
    with pytest.raises(
        ConfigurationError, match=f"can't be used: .*{fault}.* came from the api_key callable"
    ) as raised:
        await source.get()
    assert "d3adb33f" not in _everything(raised.value)
    assert raised.value.__context__ is None


# Environment and files


async def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "credentials").write_text("[default]\napi_key = from-the-file\n")
    (folder / "config").write_text(f"[default]\nbase_url = {CHINA}\n")
    monkeypatch.setenv(ENV, KEY)
    assert await _found() == (KEY, None)


async def test_an_empty_environment_variable_counts_as_unset(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    (folder / "credentials").write_text("[default]\napi_key = from-the-file\n")
    (folder / "config").write_text(f"[default]\nbase_url = {CHINA}/\n")
    monkeypatch.setenv(ENV, "")
    assert await _found() == ("from-the-file", CHINA)


@pytest.mark.parametrize("key", [f"{KEY} ", f"{KEY}\n", f"{KEY}ä", f"{KEY}\udcff", f"{KEY}\x7f"])
def test_a_bad_key_in_the_environment_is_refused_and_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, folder: Path, key: str
) -> None:
    monkeypatch.setenv(ENV, key)
    with pytest.raises(
        ConfigurationError, match=f"can't be used: .* came from the environment variable {ENV}"
    ) as raised:
        find_key(None)
    assert KEY not in _everything(raised.value)


def test_no_key_anywhere_names_the_places(folder: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        find_key(None)
    assert str(raised.value) == (
        f"No API key: ZILLIZ_API_KEY is not set and there is no file {folder / 'credentials'}. "
        "Pass the api_key argument, set ZILLIZ_API_KEY, or log in with the official command-line client (`zilliz login`)."
    )


def test_an_empty_variable_is_called_empty(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv(ENV, "")
    with pytest.raises(ConfigurationError, match=f"^No API key: {ENV} is empty and there is no file"):
        find_key(None)


def test_a_file_in_the_folders_place_is_no_file(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "file").touch()
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(folder / "file"))
    with pytest.raises(ConfigurationError, match="there is no file"):
        find_key(None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "# nothing yet\n",
        "[default]\n",
        "[default]\napi_key =\n",
        "[default]\napi_key =    \n",
        "[default]\norg_id = x\n",
        f"[DEFAULT]\napi_key = {KEY}\n",
        f"[DEFAULT]\napi_key = {KEY}\n[default]\norg_id = x\n",
        f"[org.x]\napi_key = {KEY}\n",
        f"[default ]\napi_key = {KEY}\n",
        f"[default]\n# api_key = {KEY}\n",
    ],
)
def test_a_file_without_a_key_is_named(folder: Path, text: str) -> None:
    (folder / "credentials").write_text(text)
    with pytest.raises(ConfigurationError, match="has no api_key") as raised:
        find_key(None)
    assert f"section [default] of {folder / 'credentials'}" in str(raised.value)
    assert KEY not in _everything(raised.value)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"[default]\napi_key = abc\n", "abc"),
        (b"[default]\napi_key=abc", "abc"),
        (b"[default]\napi_key : abc\n", "abc"),
        (b"[default]\nAPI_KEY = abc\n", "abc"),
        (b"\xef\xbb\xbf[default]\napi_key = abc\n", "abc"),
        (b"[default]\r\napi_key = abc\r\n", "abc"),
        (b"[default]\rapi_key = abc\r", "abc"),
        (b"# hello\n; there\n[default]\n# api_key = old\napi_key = abc\n", "abc"),
        (b"[default]\napi_key = a%b%(c)s%%\n", "a%b%(c)s%%"),
        (b"[default]\napi_key = a=b:c#d;e\n", "a=b:c#d;e"),
        (b"[default]\napi_key = abc\napi_key = def\n", "def"),
        (b"[default]\napi_key = abc\n[user]\nname = x\n[default]\napi_key = def\n", "def"),
        (b"[default]\napi_key = abc\n[default]\norg_id = x\n", "abc"),
        (b"[DEFAULT]\napi_key = no\n[default]\napi_key = abc\n[Default]\napi_key = no\n", "abc"),
        (b"[user]\nname = \xc3\xbc 100%\n[orgs]\n[default]\napi_key = abc\n[org.x]\napi_key = no\n", "abc"),
    ],
)
async def test_what_files_hold(folder: Path, content: bytes, key: str) -> None:
    (folder / "credentials").write_bytes(content)
    assert await _found() == (key, None)


QUOTED = [
    '"{}"',
    "'{}'",
    "`{}`",
    '"{}',
    "{}'",
    "\u201c{}\u201d",
    "\u2018{}\u2019",
    "\u201e{}\u201c",
    "\u00ab{}\u00bb",
]


@pytest.mark.parametrize("quoted", QUOTED)
@pytest.mark.parametrize("source", ["argument", "environment", "file", "callable"])
async def test_a_key_in_quotation_marks_is_refused_without_repeating_it(
    source: str, quoted: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = quoted.format("abcdefgh12345678")
    (folder / "credentials").write_text(f"[default]\napi_key = {key}\n", "utf-8")
    if source == "environment":
        monkeypatch.setenv("ZILLIZ_API_KEY", key)
    given: Any = {"argument": key, "callable": lambda: key}.get(source)
    with pytest.raises(ConfigurationError, match="in quotation marks, which are no part of it") as raised:
        await find_key(given)[0].get()
    assert "abcdefgh" not in repr(raised.value)


@pytest.mark.parametrize("value", [f"{KEY} {KEY}", f"{KEY}ä", f"{KEY}\x7f", f"{KEY}\n  continued"])
def test_a_bad_key_in_the_file_is_refused_and_shown_nowhere(folder: Path, value: str) -> None:
    (folder / "credentials").write_text(f"[default]\napi_key = {value}\n[org.x]\napi_key = {KEY}\n", "utf-8")
    with pytest.raises(ConfigurationError, match="can't be used") as raised:
        find_key(None)
    assert str(folder / "credentials") in str(raised.value)
    assert KEY not in _everything(raised.value)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (f"{KEY}\n".encode(), "it is not an INI file, see line 1"),
        (f"api_key = {KEY}\n".encode(), "it is not an INI file, see line 1"),
        (f"[default]\n{KEY}\n".encode(), "it is not an INI file, see line 2"),
        (f"[default]\napi_key = {KEY}\n\n{KEY}\n{KEY}\n".encode(), "it is not an INI file, see line 4"),
        (f"[default]\n = {KEY}\n".encode(), "it is not an INI file, see line 2"),
        (f"[default\napi_key = {KEY}\n".encode(), "it is not an INI file, see line 1"),
        (f"[default]\napi_key = {KEY}\n\xff\n".encode("latin-1"), "it is not UTF-8 text"),
        (f"[default]\napi_key = {KEY}\n".encode("utf-16")[:-1], "it is not UTF-16-LE text"),
        (f"[default]\napi_key = {KEY}\n".encode("utf-32")[:-1], "it is not UTF-32-LE text"),
        (f"{KEY}\n".encode("utf-16"), "it is not an INI file, see line 1"),
    ],
)
def test_a_malformed_file_is_refused_and_its_text_shown_nowhere(
    folder: Path, content: bytes, fault: str
) -> None:
    (folder / "credentials").write_bytes(content)
    with pytest.raises(ConfigurationError, match="can't be read") as raised:
        find_key(None)
    assert f"{folder / 'credentials'} can't be read: {fault}." in str(raised.value)
    assert KEY not in _everything(raised.value)
    assert raised.value.__context__ is None


def test_a_directory_in_the_files_place_cannot_be_read(folder: Path) -> None:
    (folder / "credentials").mkdir()
    with pytest.raises(ConfigurationError, match=r"credentials can't be read: .*directory"):
        find_key(None)


def test_a_file_that_links_to_itself_cannot_be_read(folder: Path) -> None:
    (folder / "credentials").symlink_to(folder / "credentials")
    with pytest.raises(ConfigurationError, match="credentials can't be read"):
        find_key(None)


@pytest.mark.parametrize(
    "config", [None, "", "[default]\n", "[default]\nbase_url =\n", "[context]\nendpoint = https://x\n"]
)
async def test_a_config_file_without_a_base_url_names_none(folder: Path, config: str | None) -> None:
    (folder / "credentials").write_text(f"[default]\napi_key = {KEY}\n")
    if config is not None:
        (folder / "config").write_text(config)
    assert await _found() == (KEY, None)
    assert cli_base_url() is None


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ("[default]\nbase_url = http://host\n", "in clear to host"),
        ("[default]\nbase_url = https://u:S3CR3T@host\n", "user info"),
        ("base_url = https://host\n", "not an INI file"),
    ],
)
def test_a_bad_config_file_is_named_and_no_key_shown(folder: Path, config: str, fault: str) -> None:
    (folder / "credentials").write_text(f"[default]\napi_key = {KEY}\n")
    (folder / "config").write_text(config)
    with pytest.raises(ConfigurationError, match=fault) as raised:
        find_key(None)
    assert str(folder / "config") in str(raised.value)
    assert "S3CR3T" not in str(raised.value)
    assert KEY not in _everything(raised.value)
    assert raised.value.__context__ is None


def test_the_folder_is_the_one_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", "/somewhere/else")
    assert cli_folder() == Path("/somewhere/else")


@pytest.mark.parametrize("named", ["", None])
async def test_else_the_folder_is_below_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str | None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    if named is None:
        monkeypatch.delenv("ZILLIZ_CONFIG_DIR")
    else:
        monkeypatch.setenv("ZILLIZ_CONFIG_DIR", named)
    (tmp_path / ".zilliz").mkdir()
    (tmp_path / ".zilliz" / "credentials").write_text(f"[default]\napi_key = {KEY}\n")
    assert cli_folder() == tmp_path / ".zilliz"
    assert await _found() == (KEY, None)


def test_a_tilde_in_the_folders_name_is_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", "~/zz")
    assert cli_folder() == tmp_path / "zz"


def test_a_home_that_nobody_has_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", "~nobody-of-this-name/zz")
    with pytest.raises(ConfigurationError, match="there is no file"):
        find_key(None)


def test_read_ini_gives_all_sections_and_no_defaults(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text("[DEFAULT]\na = 1\n[default]\nb = 2\n[org.x]\nc = %\n[org.X]\nd = 4\n")
    parser = read_ini(path)
    assert parser is not None
    assert {name: dict(parser[name]) for name in parser.sections()} == {
        "DEFAULT": {"a": "1"},
        "default": {"b": "2"},
        "org.x": {"c": "%"},
        "org.X": {"d": "4"},
    }
    assert not parser.defaults()
    assert read_ini(tmp_path / "none") is None


def test_a_key_source_needs_a_key_or_a_callable() -> None:
    assert repr(KeySource(Secret(KEY))) == "<KeySource fixed>"
