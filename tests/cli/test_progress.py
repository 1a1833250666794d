from __future__ import annotations

import io
import logging
import os
import select
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from aiozilliz.cli.output.progress import Facts, show_progress
from aiozilliz.testing import FakeZillizCloud, Fault
from tests.support.running import LONG, POSIX_ONLY, environment, process

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.support.running import MakeCloud

# It shows all that may be drawn until its standard input ends, then tells whether rich was loaded.
SHOWING = """
import sys
from aiozilliz.cli.output.progress import show_progress
with show_progress(sys.argv[1:] == ["enabled"]) as progress:
    progress.update(accounts=(3, 12), pages=41, clusters=4100, count=12300, failed=1)
    sys.stdin.read()
    progress.update(accounts=(12, 12), pages=123, clusters=12300, count=12300, failed=1)
sys.stderr.write("after\\n")
sys.stdout.write(str("rich" in sys.modules))
"""
SHOWN = "accounts 3/12  pages 41  clusters 4,100/12,300  1 failed"
ERASE_LINE = "\x1b[2K"
HIDE_CURSOR = "\x1b[?25l"


@contextmanager
def pseudo_terminal(columns: int) -> Generator[tuple[int, int], None, None]:
    """Give the end of a person, and the end of a program that the block closes when the program has it."""
    import fcntl
    import pty
    import struct
    import termios

    person, program = pty.openpty()
    fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    try:
        yield person, program
    finally:
        os.close(person)


def read_until(person: int, text: str | None) -> str:
    """Read what a program writes until it has written a text, or until its end."""
    seen = b""
    while text is None or text.encode() not in seen:
        assert select.select([person], [], [], LONG)[0], f"{text!r} did not come, but {seen!r}"
        try:
            more = os.read(person, 4096)
        except OSError:  # nobody has the other end any more
            more = b""
        assert more or text is None, f"{text!r} did not come, but {seen!r}"
        if not more:
            break
        seen += more
    return seen.decode()


def start(*args: str, stderr: int, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SHOWING, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="utf-8",
        env=environment(**{"TERM": "xterm-256color", "NO_COLOR": "", **variables}),
    )


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (Facts(), "pages 0  clusters 0"),
        (Facts(pages=41, clusters=4100), "pages 41  clusters 4,100"),
        (Facts(pages=41, clusters=4100, count=12300), "pages 41  clusters 4,100/12,300"),
        (Facts(pages=1, count=0), "pages 1  clusters 0/0"),
        (Facts(accounts=(0, 12)), "accounts 0/12"),
        (Facts(accounts=(1, 12), failed=1), "accounts 1/12  1 failed"),
        (Facts(accounts=(3, 12), pages=41, clusters=4100, count=12300, failed=1), SHOWN),
    ],
)
def test_it_tells_what_is_known(facts: Facts, text: str) -> None:
    assert str(facts) == text


@POSIX_ONLY
@pytest.mark.parametrize(("columns", "bar"), [(100, True), (60, False)])
def test_a_terminal_shows_a_line_and_in_the_end_nothing_of_it(columns: int, bar: bool) -> None:
    with pseudo_terminal(columns) as (person, program), start("enabled", stderr=program) as child:
        os.close(program)
        drawn = read_until(person, SHOWN)
        out, _ = child.communicate(timeout=LONG)
        rest = read_until(person, None)

    assert out == "True"
    assert ("━" in drawn) is bar
    assert rest.rpartition(ERASE_LINE)[2] == "after\r\n"
    assert HIDE_CURSOR not in drawn + rest


@POSIX_ONLY
def test_a_narrow_terminal_gets_one_line_all_the_same() -> None:
    with pseudo_terminal(30) as (person, program), start("enabled", stderr=program) as child:
        os.close(program)
        drawn = read_until(person, SHOWN[:30])
        child.communicate(timeout=LONG)
        rest = read_until(person, None)

    assert SHOWN[:31] not in drawn + rest
    assert "\n" not in (drawn + rest).rpartition(SHOWN[:30])[0]


@POSIX_ONLY
@pytest.mark.parametrize("no_color", ["", "1"])
def test_the_line_has_colour_as_no_color_says(no_color: str) -> None:
    with (
        pseudo_terminal(100) as (person, program),
        start("enabled", stderr=program, NO_COLOR=no_color) as child,
    ):
        os.close(program)
        drawn = read_until(person, SHOWN)
        child.communicate(timeout=LONG)
        read_until(person, None)

    assert ("\x1b[38;5;" in drawn) is not bool(no_color)


@POSIX_ONLY
@pytest.mark.parametrize(("args", "term"), [([], "xterm-256color"), (["enabled"], "dumb")])
def test_a_terminal_shows_nothing_where_there_is_no_room_or_no_way_to_erase(
    args: list[str], term: str
) -> None:
    with pseudo_terminal(100) as (person, program), start(*args, stderr=program, TERM=term) as child:
        os.close(program)
        out, _ = child.communicate(timeout=LONG)

        assert (out, read_until(person, None)) == ("False", "after\r\n")


def test_a_pipe_gets_nothing_and_rich_is_not_loaded() -> None:
    with start("enabled", stderr=subprocess.PIPE) as child:
        assert child.communicate(timeout=LONG) == ("False", "after\n")


@POSIX_ONLY
def test_an_interrupt_erases_the_line_before_it_is_told(make_fake_zilliz_cloud: MakeCloud) -> None:
    cloud = make_fake_zilliz_cloud(latency=LONG)
    with (
        pseudo_terminal(100) as (person, program),
        process("summary", "--base-url", cloud.url, stderr=program, TERM="xterm") as child,
    ):
        os.close(program)
        drawn = read_until(person, "clusters")
        child.send_signal(signal.SIGINT)
        drawn += read_until(person, None)
        status = child.wait(LONG)

    assert status == 130
    assert drawn.rpartition(ERASE_LINE)[2] == "aiozilliz: interrupted\r\n"
    assert HIDE_CURSOR not in drawn


@POSIX_ONLY
def test_an_error_comes_after_the_line_is_gone(fake_zilliz_cloud: FakeZillizCloud) -> None:
    fake_zilliz_cloud.fail_next(Fault.code(80001, "no such key"))
    with (
        pseudo_terminal(100) as (person, program),
        process("summary", "--base-url", fake_zilliz_cloud.url, stderr=program, TERM="xterm") as child,
    ):
        os.close(program)
        drawn = read_until(person, None)
        status = child.wait(LONG)

    assert status == 3
    assert "pages 0" in drawn
    assert drawn.rpartition(ERASE_LINE)[2].startswith("aiozilliz: no such key")


class Screen(io.StringIO):
    """A terminal that may be gone."""

    encoding = "utf-8"

    def __init__(self, *, gone: bool = False) -> None:
        super().__init__()
        self._gone = gone

    def isatty(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        if self._gone:
            raise OSError(5, "Input/output error")
        return super().write(text)


def test_a_terminal_that_is_gone_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Screen(gone=True))
    monkeypatch.setenv("TERM", "xterm")

    with show_progress(True) as progress:
        progress.update(pages=1, clusters=100)


@pytest.mark.parametrize(("level", "shown"), [(logging.WARNING, True), (logging.DEBUG, False)])
def test_it_gives_way_to_a_log_of_each_request(
    level: int, shown: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    caplog.set_level(level, "aiozilliz")

    with show_progress(True):
        pass

    assert ("pages 0" in screen.getvalue()) is shown
