from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
import pytest

from aiozilliz.cli.app import COMMANDS, group
from aiozilliz.cli.commands.summary import DIMENSIONS
from aiozilliz.cli.output.columns import FIELDS
from tests.support.running import LONG, POSIX_ONLY, environment

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.support.running import Run


# Completion


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch, run: Run) -> Run:
    def complete(*words: str) -> tuple[int, str, str]:
        monkeypatch.setenv("_AIOZILLIZ_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(["aiozilliz", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        return run()

    return complete


@pytest.mark.parametrize(
    "words",
    [
        ["list", "--api-key-file", "fol"],
        ["snapshot", "fol"],
        ["watch", "--state", "fol"],
    ],
)
def test_files_are_completed_by_the_shell(words: list[str], complete: Run) -> None:
    assert complete(*words) == (0, "file,fol\n", "")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["list", "--columns", "clu"], ["clusterId", "clusterName"]),
        (["list", "--columns", "id,CU"], ["id,cu", "id,cuType", "id,cuSize"]),
        (["list", "--columns", "id,ext"], ["id,extra"]),
        (["list", "--sort", "acc"], ["account"]),
        (["list", "--sort", "name,-cr"], ["name,-created", "name,-createTime"]),
        (["summary", "--by", "p"], ["plan", "project"]),
        (["summary", "--by", "plan,re"], ["plan,region"]),
    ],
)
def test_names_are_offered_after_commas_too(words: list[str], offered: list[str], complete: Run) -> None:
    status, out, _ = complete(*words)

    assert (status, out.splitlines()) == (0, [f"plain,{name}" for name in offered])


def test_all_names_are_offered(complete: Run) -> None:
    for args, names in ((["list", "--sort", ""], FIELDS), (["summary", "--by", ""], DIMENSIONS)):
        out = complete(*args)[1]
        assert {f"plain,{name}" for name in names} <= set(out.splitlines())


# Help


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("list", "Default: 1, with --all-orgs 16."),
        ("summary", "Default: 1, with --all-orgs 16."),
        ("snapshot", "Default: 4, with --all-orgs 16."),
        ("diff", "Default: 4, with --all-orgs 16."),
        ("list", "100, the service's maximum"),
        ("list", "for up to 60 s, or for twice the timeout if that is longer"),
        ("watch", "for up to 60 s, or for twice the timeout if that is longer"),
        ("list", "in CSV the documented ones, and the others as JSON in the column extra"),
    ],
)
def test_the_help_names_what_is_there(command: str, text: str, run: Run) -> None:
    status, out, _ = run(command, "--help-all")

    assert status == 0
    assert text in re.sub(r"\s+", " ", out)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_help_fits_a_screen(command: str, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    status, out, _ = run(*filter(None, [command]), "--help")

    lines = out.splitlines()
    assert status == 0
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert "Examples:" in out or command == "completion"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_is_named_in_the_short_help_and_explained_in_the_full_one(command: str, run: Run) -> None:
    short, full = run(command, "--help")[1], run(command, "--help-all")[1]
    found = group.get_command(click.Context(group), command)
    assert found is not None
    for option in found.params:
        if isinstance(option, click.Option):
            assert re.search(rf"{option.opts[-1]}\b", short)
            assert option.help
            assert option.help.split()[0] in full


def test_a_wrong_value_of_an_environment_variable_names_it(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setenv("AIOZILLIZ_OUTPUT", "json")
    status, out, err = run("watch", "--demo")

    assert (status, out) == (2, "")
    assert "AIOZILLIZ_OUTPUT" in err
    assert "AIOZILLIZ" not in run("watch", "--demo", "-o", "json")[2]


# The prompt for a key


@contextmanager
def prompted(stderr: int | None = None) -> Generator[tuple[subprocess.Popen[bytes], int], None, None]:
    """Run `list --api-key-file -` on a terminal of its own, to the prompt."""
    program = (
        "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from aiozilliz.cli import main;"
        "sys.exit(main(['list', '--api-key-file', '-', '--base-url', 'http://127.0.0.1:9']))"
    )
    master, slave = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=slave,
        stdout=slave,
        stderr=slave if stderr is None else stderr,
        env=environment(),
        start_new_session=True,
    ) as child:
        os.close(slave)
        try:
            read_until(master, b"API key: ")
            yield child, master
        finally:
            child.kill()
            os.close(master)


def read_until(terminal: int, text: bytes | None = None) -> str:
    found = b""
    while text is None or text not in found:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # Linux tells the end so
            break
        if not data:
            break
        found += data
    return found.decode()


@POSIX_ONLY
@pytest.mark.parametrize("typed", [b"\x04", b"\n", b" \n"])
def test_no_key_at_the_prompt_is_wrong_set_up_that_says_what_to_do(typed: bytes) -> None:
    with prompted() as (child, terminal):
        os.write(terminal, typed)
        text = read_until(terminal)
        status = child.wait(LONG)

    assert status == 2
    assert text.startswith("\r\naiozilliz: There is no key in standard input: it is empty.")
    assert "--api-key-file" in text
    assert "bug" not in text


@POSIX_ONLY
def test_control_c_at_the_prompt_leaves_its_line() -> None:
    with prompted() as (child, terminal):
        os.write(terminal, b"\x03")
        text = read_until(terminal)
        status = child.wait(LONG)

    assert (status, text) == (130, "\r\naiozilliz: interrupted\r\n")


@POSIX_ONLY
def test_the_prompt_s_line_is_left_where_the_messages_go_elsewhere() -> None:
    with prompted(subprocess.PIPE) as (child, terminal):
        os.write(terminal, b"\x04")
        text = read_until(terminal)
        assert child.stderr is not None
        errors = child.stderr.read()
        status = child.wait(LONG)

    assert (status, text) == (2, "\r\n")
    assert errors.startswith(b"aiozilliz: There is no key")


def test_an_empty_standard_input_is_called_so(
    monkeypatch: pytest.MonkeyPatch, run: Run, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    with empty.open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        status, out, err = run("list", "--api-key-file", "-")

    assert (status, out) == (2, "")
    assert "There is no key in standard input: it is empty." in err
