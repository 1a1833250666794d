from __future__ import annotations

import asyncio
import contextlib
import io
import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import pytest
from hypothesis import given, strategies as st

from aiozilliz.cli.output import console as console_module
from aiozilliz.cli.output.text import json_text, printable
from tests.support.running import LONG, POSIX_ONLY, environment, open_terminal
from tests.support.strategies import json_values

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.support.running import Capture

FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")


class Broken(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


# Text


@given(st.text(st.characters(exclude_categories=())))
def test_printable_text_is_printable_and_on_one_line(text: str) -> None:
    assert printable(text).isprintable()


def test_printable_text_shows_what_was_there() -> None:
    assert printable("späte 夜 \U0001f600") == "späte 夜 \U0001f600"
    assert printable("\x1b[2J\n\ud83d\u202e\u200d") == r"\x1b[2J\n\ud83d\u202e\u200d"


@given(json_values, st.booleans())
def test_json_text_is_printable_and_says_the_same(value: Any, ascii_only: bool) -> None:
    written = json_text(value, ascii_only=ascii_only)

    assert json.loads(written) == json.loads(json.dumps(value))  # two surrogates may have met
    assert written.isprintable()
    assert written.isascii() or not ascii_only
    written.encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**64, "18446744073709551616"),
        ([-(10**30), "a\ud83d夜"], '[-1000000000000000000000000000000,"a\\ud83d夜"]'),
        ({"\udc00": 0.5}, '{"\\udc00":0.5}'),
        ({"a": [math.nan, {"b": math.inf, "c": 1.5}], "big": 2**70}, None),
        (math.nan, "null"),
        ({"é": "\x7f"}, '{"é":"\\u007f"}'),
    ],
)
def test_json_text_of_what_the_fast_writer_refuses(value: Any, text: str | None) -> None:
    written = json_text(value)

    assert written == text or text is None
    json.loads(written, parse_constant=pytest.fail)


def test_what_is_not_finite_is_null_also_beside_large_integers() -> None:
    assert json_text([2**70, math.nan, (math.inf, {"a": -math.inf})]) == (
        '[1180591620717411303424,null,[null,{"a":null}]]'
    )


# Standard output


def test_a_missing_standard_output_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)

    with pytest.raises(OSError, match="standard output is closed"):
        console_module.emit("x")
    assert not console_module.stdout_is_terminal()
    console_module.discard_stdout()


def test_emitted_text_is_there_at_once() -> None:
    program = "import os; from aiozilliz.cli.output.console import emit; emit('a line'); os._exit(0)"  # nothing is flushed
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        env=environment(PYTHONUNBUFFERED=""),
        capture_output=True,
        text=True,
        timeout=LONG,
    )

    assert (done.stdout, done.stderr) == ("a line", "")


@POSIX_ONLY
def test_after_a_discard_neither_writes_nor_the_end_fail() -> None:
    program = (
        "import sys; from aiozilliz.cli.output import console as console_module;"
        "sys.stdout.write('kept back'); console_module.discard_stdout(); console_module.emit('x' * 100_000); sys.exit(7)"
    )
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-c", program],
            check=False,
            env=environment(PYTHONUNBUFFERED=""),
            stdout=pipe,
            stderr=subprocess.PIPE,
            timeout=LONG,
        )

    assert (done.returncode, done.stderr) == (7, b"")


@contextlib.contextmanager
def pipe_or_socket(kind: str) -> Generator[tuple[TextIO, Callable[[], None]], None, None]:
    """Provide the end to write to, and what closes the other."""
    with contextlib.ExitStack() as stack:
        if kind == "pipe":
            read, write = os.pipe()
            reader: Any = stack.enter_context(os.fdopen(read, "rb"))
        else:
            reader, writer = socket.socketpair()
            stack.enter_context(reader)
            write = writer.detach()
        yield stack.enter_context(os.fdopen(write, "w", encoding="utf-8")), reader.close


@POSIX_ONLY
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_reader_that_has_gone_ends_a_wait(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait() -> None:
        async with console_module.while_stdout_is_read():
            await asyncio.sleep(0)
            close()
            await asyncio.sleep(LONG)

    with pipe_or_socket(kind) as (stream, close):
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(BrokenPipeError):
            asyncio.run(asyncio.wait_for(wait(), LONG / 2))


@POSIX_ONLY
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_ends_before_its_reader_is_left_alone(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def end() -> None:
        async with console_module.while_stdout_is_read():
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError, match="another"):
            async with console_module.while_stdout_is_read():
                raise TimeoutError("another")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0), console_module.while_stdout_is_read():
                await asyncio.sleep(LONG)

    with pipe_or_socket(kind) as (stream, _close):
        monkeypatch.setattr(sys, "stdout", stream)
        asyncio.run(end())
        stream.write("x")
        stream.flush()


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_of_no_pipe_nothing_is_known(stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait() -> None:
        async with console_module.while_stdout_is_read():
            await asyncio.sleep(0)

    monkeypatch.setattr(sys, "stdout", stream)
    asyncio.run(wait())


def test_a_regular_file_needs_no_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait() -> None:
        async with console_module.while_stdout_is_read():
            console_module.emit("x")
            await asyncio.sleep(0)

    with (tmp_path / "out").open("w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        asyncio.run(wait())

    assert (tmp_path / "out").read_text("utf-8") == "x"


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-8", True), ("UTF8", True), ("ascii", False), ("latin-1", False), ("cp1252", False)],
)
def test_only_utf_8_takes_all_of_unicode(
    encoding: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))

    assert console_module.stdout_takes_unicode() is expected


def test_utf_8_can_be_had_whatever_the_locale_says(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1", newline="\r\n"))

    console_module.write_exact_utf8()
    console_module.emit("夜\n\ud83d\r")

    assert raw.getvalue() == "夜\n?\r".encode()


def test_a_stream_without_an_encoding_needs_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO(newline="")
    monkeypatch.setattr(sys, "stdout", stream)

    console_module.write_exact_utf8()
    console_module.emit("夜\n")

    assert stream.getvalue() == "夜\n"


def test_what_follows_a_discard_goes_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "out"
    with file.open("w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        console_module.emit("first")
        console_module.discard_stdout()
        console_module.emit("second")

    assert file.read_text("utf-8") == "first"


def test_a_closed_stream_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)

    assert not console_module.stdout_is_terminal()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"TERM": ""}, False),
    ],
)
@POSIX_ONLY
def test_colour_is_for_terminals_that_have_it(
    variables: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    open_terminal(monkeypatch)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert console_module.stdout_has_colour() is expected
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert not console_module.stdout_has_colour()


def test_the_older_console_of_windows_has_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    open_terminal(monkeypatch, "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("WT_SESSION", raising=False)
    monkeypatch.setattr(sys, "platform", "win32")

    assert not console_module.stdout_has_colour()
    monkeypatch.setenv("WT_SESSION", "a")
    assert console_module.stdout_has_colour()


@pytest.mark.parametrize(("columns", "width"), [("40", 40), ("1", 1)])
def test_the_width_is_what_columns_says(columns: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)

    assert console_module.stdout_width() == width


# Standard error


def test_an_error_is_one_printable_line(capsys: Capture) -> None:
    console_module.print_error("no\nsuch \x1b[2J page")
    console_module.report("No clusters.")

    assert capsys.readouterr().err == "aiozilliz: no\\nsuch \\x1b[2J page\nNo clusters.\n"


@pytest.mark.parametrize("stderr", [None, Broken()])
def test_a_missing_or_broken_standard_error_stops_nothing(
    stderr: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stderr)

    console_module.print_error("lost")

    assert not console_module.stderr_is_terminal()


def test_a_closed_standard_error_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)

    console_module.print_error("lost")


@FULL
def test_the_exit_status_survives_a_full_standard_error() -> None:
    program = (
        "import sys; from aiozilliz.cli.output import console as console_module;"
        "console_module.print_error('lost'); sys.stderr.write('lost too\\n'); sys.exit(3)"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program],
            check=False,
            env=environment(PYTHONUNBUFFERED=""),
            stderr=full,
            timeout=LONG,
        )

    assert done.returncode == 3
