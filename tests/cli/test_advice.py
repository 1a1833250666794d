from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aiozilliz
from aiozilliz._errors import SETTINGS
from aiozilliz.cli.process import SETTINGS as OPTIONS
from aiozilliz.testing import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiozilliz.testing import FakeZillizCloud
    from tests.support.running import Run

FOLDER = Path(str(aiozilliz.__file__)).parent
SOURCES = sorted(
    path for path in FOLDER.rglob("*.py") if path.relative_to(FOLDER).parts[0] not in {"cli", "testing"}
)
ADVICE_NAME = re.compile(r"(_ADVICE|_HOW_TO.*|_CHECK_.*|_READ_AGAIN|_NO_COUNT)$")
PYTHON = re.compile(
    r"""
    \b(api_key|base_url|page_size|max_passes|max_response_bytes|RetryPolicy|limiter|callable|session|argument)\b
    | \b(deadline|retry|timeout)= | \baiozilliz\.[A-Z] | \bwithout\ verify\b | \bmake\ the\ accounts\ yourself\b
    """,
    re.VERBOSE,
)
"""What only somebody who writes Python can do something about."""
OPTION = re.compile(r"(?<![\w-])--?[a-z]")
"""What only somebody who types a command can do something about."""


def texts_in(node: ast.AST) -> Iterator[str]:
    """Yield the texts of an expression; of one that is computed, its constant parts in one."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(
            str(part.value) if isinstance(part, ast.Constant) else "CALCULATED" for part in node.values
        )
    elif isinstance(node, ast.IfExp):
        yield from texts_in(node.body)
        yield from texts_in(node.orelse)
    elif isinstance(node, (ast.Tuple, ast.BinOp)):
        for child in ast.iter_child_nodes(node):
            yield from texts_in(child)


def advice_in(source: Path) -> Iterator[str]:
    """Yield what is said in `advice=`, in constants of advice, in the table of codes, and in tuples with advice."""
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        match node:
            case ast.keyword(arg="advice", value=value):
                yield from texts_in(value)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if ADVICE_NAME.search(name):
                yield from texts_in(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if ADVICE_NAME.search(
                name
            ):
                yield from texts_in(value)
            case ast.Call(func=ast.Name(id="_Meaning"), args=[_, value]):
                yield from texts_in(value)
            case ast.Return(value=ast.Tuple(elts=[_, value, _])):
                yield from texts_in(value)
            case _:
                pass


def messages_in(source: Path) -> Iterator[str]:
    """Yield the messages of errors, where they stand in the call that makes the error."""
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[message, *_]) if name in OUR_ERRORS:
                yield from texts_in(message)
            case ast.Call(func=ast.Name(id="_unusable"), args=[_, message]):
                yield from texts_in(message)
            case ast.Return(value=ast.Tuple(elts=[message, _, _])):
                yield from texts_in(message)
            case _:
                pass


OUR_ERRORS = {name for name in aiozilliz.__all__ if name.endswith("Error")}
ADVICE = sorted({text for source in SOURCES for text in advice_in(source) if " " in text})
MESSAGES = sorted({text for source in SOURCES for text in messages_in(source) if " " in text})


def test_the_walk_over_the_sources_finds_advice_of_every_kind() -> None:
    assert len(ADVICE) > 20
    for part in (
        "Check {base_url}, the network",
        "by {session}",
        "Pass {api_key}",
        "Check the key. Keys of the China site",
        "{deadline}",
        "{max_passes}",
        "without {verify}",
        "{limiter}",
    ):
        assert any(part in text for text in ADVICE), part


def test_the_command_line_has_a_word_for_each_setting_and_some_advice_names_it() -> None:
    assert OPTIONS.keys() == SETTINGS.keys()
    for name in SETTINGS:
        assert any(f"{{{name}}}" in text for text in ADVICE), name


@pytest.mark.parametrize("text", ADVICE)
def test_no_advice_names_a_python_argument_on_the_command_line(text: str) -> None:
    told = aiozilliz.ZillizError("", advice=text).describe(OPTIONS)

    assert told.isprintable()
    assert not PYTHON.search(told)
    assert not re.search("[{}]", told)


@pytest.mark.parametrize("text", ADVICE)
def test_no_advice_names_an_option_in_the_library(text: str) -> None:
    told = aiozilliz.ZillizError("", advice=text).advice

    assert not OPTION.search(told)
    assert not re.search("[{}]", told)


@pytest.mark.parametrize("text", [text for text in ADVICE if "{" not in text])
def test_advice_that_names_no_setting_is_the_same_for_both(text: str) -> None:
    error = aiozilliz.ZillizError("", advice=text)

    assert error.describe(OPTIONS) == error.advice == text


def test_messages_are_for_both_and_name_neither_arguments_nor_options() -> None:
    assert len(MESSAGES) > 20
    named = {text for text in MESSAGES if PYTHON.search(text) or OPTION.search(text)}

    assert named == {
        # Only a session that Python code lends.
        "The borrowed session would send the key in clear to a proxy on another host",
        # Lines of the official client's files, by their names there.
        "CALCULATED (base_url in CALCULATED)",
        "CALCULATED holds no api_key",
    }


def test_a_line_of_the_official_clients_file_is_named_as_it_stands_there() -> None:
    text = "The base URL can't be used: it has no host (base_url in /home/x/.zilliz/config)."

    assert aiozilliz.ConfigurationError(text).describe(OPTIONS) == text


@pytest.mark.parametrize("given", ["--api-key-file", "ZILLIZ_API_KEY", "credentials"])
def test_a_key_that_can_t_be_used_is_told_by_where_it_came_from(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    args: list[str] = []
    if given == "--api-key-file":
        (tmp_path / "key").write_text("two words\n", "utf-8")
        (tmp_path / "key").chmod(0o600)
        args = ["--api-key-file", str(tmp_path / "key")]
    elif given == "ZILLIZ_API_KEY":
        monkeypatch.setenv(given, "two words")
    else:
        monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(tmp_path))
        (tmp_path / "credentials").write_text("[default]\napi_key = two words\n", "utf-8")

    status, out, err = run("list", *args)

    assert (status, out, err.count("\n")) == (2, "", 1)
    source = {
        "credentials": f"section [default] of {tmp_path / given}",
        "ZILLIZ_API_KEY": f"the environment variable {given}",
    }
    assert "The API key can't be used: it contains white space" in err
    assert f"It came from {source.get(given, given)}. " in err
    assert "two words" not in err
    assert not PYTHON.search(err)


def test_a_refused_key_is_told_with_the_options(
    run: Run, key: str, fake_zilliz_cloud: FakeZillizCloud
) -> None:
    fake_zilliz_cloud.fail_next(Fault.code(80001, "no"))

    status, _, err = run("list", "--base-url", fake_zilliz_cloud.url)

    assert status == 3
    assert "The key came from the environment variable ZILLIZ_API_KEY. " in err
    assert "--base-url must fit" in err
    assert not PYTHON.search(err)


@pytest.mark.parametrize(
    "base_url",
    [
        "http://example.com",
        "ftp://example.com",
        "https://",
        "https://user:secret@example.com",
        "https://x?y=1",
        "x",
    ],
)
def test_a_wrong_base_url_is_told_with_the_options(base_url: str, key: str, run: Run) -> None:
    status, out, err = run("list", "--base-url", base_url)

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "--china" in err
    assert "--base-url" in err
    assert "secret" not in err
    assert not PYTHON.search(err)


@pytest.mark.parametrize(
    "said", ["no such region", "wrong base_url", "give a longer timeout=", "{page_size}"]
)
def test_what_a_service_says_is_not_translated(
    said: str, run: Run, key: str, fake_zilliz_cloud: FakeZillizCloud
) -> None:
    fake_zilliz_cloud.fail_next(Fault.code(96001, said))

    _, _, err = run("list", "--base-url", fake_zilliz_cloud.url)

    assert said in err
