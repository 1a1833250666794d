from __future__ import annotations

import asyncio
import io
import itertools
import logging
import os
import re
import select
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from aiozilliz.cli.output.console import draw_line, report
from aiozilliz.cli.output.progress import Progress, show_progress
from aiozilliz.testing import FakeZillizCloud, Fault
from tests.support.running import LONG, POSIX_ONLY, environment, process

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.support.running import MakeCloud, Run

# It shows all that may be drawn until its standard input ends, then tells how often the progress was looked at.
SHOWING = """
import asyncio, sys
from aiozilliz.cli.output.progress import Progress, show_progress
looks = []
def look():
    looks.append(1)
    if len(looks) == 1:
        return Progress()
    return Progress(accounts=(3, 12), pages=41, clusters=4100, count=12300, failed=1)
async def main():
    async with show_progress(look, enabled=sys.argv[1:] == ["enabled"]):
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
sys.stderr.write("after\\n")
sys.stdout.write(str(bool(looks)))
"""
SHOWN = "accounts 3/12  pages 41  clusters 4,100/12,300  1 failed"
ERASE_LINE = "\x1b[2K"
HIDE_CURSOR = "\x1b[?25l"


@contextmanager
def pseudo_terminal(columns: int) -> Generator[tuple[int, int], None, None]:
    """Provide the end of a person, and the end of a program that the block closes when the program has it."""
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
    ("progress", "text"),
    [
        (Progress(), "pages 0  clusters 0"),
        (Progress(pages=41, clusters=4100), "pages 41  clusters 4,100"),
        (Progress(pages=41, clusters=4100, count=12300), "pages 41  clusters 4,100/12,300"),
        (Progress(pages=1, count=0), "pages 1  clusters 0/0"),
        (Progress(accounts=(0, 12)), "accounts 0/12"),
        (Progress(accounts=(1, 12), failed=1), "accounts 1/12  1 failed"),
        (Progress(accounts=(3, 12), pages=41, clusters=4100, count=12300, failed=1), SHOWN),
    ],
)
def test_it_shows_what_is_known(progress: Progress, text: str) -> None:
    assert str(progress) == text


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

    assert (re.search(r"\x1b\[\d+m━", drawn) is not None) is not bool(no_color)
    assert "━" in drawn


@POSIX_ONLY
@pytest.mark.parametrize(("args", "term"), [([], "xterm-256color"), (["enabled"], "dumb")])
def test_a_terminal_shows_nothing_where_there_is_no_room_or_no_way_to_erase(
    args: list[str], term: str
) -> None:
    with pseudo_terminal(100) as (person, program), start(*args, stderr=program, TERM=term) as child:
        os.close(program)
        out, _ = child.communicate(timeout=LONG)

        assert (out, read_until(person, None)) == ("False", "after\r\n")


def test_a_pipe_gets_nothing_and_nobody_looks() -> None:
    with start("enabled", stderr=subprocess.PIPE) as child:
        assert child.communicate(timeout=LONG) == ("False", "after\n")


@POSIX_ONLY
def test_an_interrupt_erases_the_line_before_it_is_reported(make_fake_zilliz_cloud: MakeCloud) -> None:
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

    assert status == -signal.SIGINT
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


@pytest.mark.parametrize(("args", "text"), [([], "pages 0  clusters 0"), (["--all-orgs"], "accounts 0/3")])
def test_a_reading_of_one_or_many_accounts_is_shown(
    args: list[str], text: str, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")

    assert run("summary", "--demo", *args)[0] == 0

    assert text in screen.getvalue()
    assert screen.getvalue().endswith(ERASE_LINE)


@POSIX_ONLY
@pytest.mark.parametrize(
    ("args", "shown"),
    [
        ([], True),
        (["-o", "json"], False),
        (["-o", "json", "--sort", "name"], True),
        (["-o", "csv", "--query", "[].clusterId"], True),
        (["-o", "yaml"], False),
    ],
)
def test_a_list_on_a_terminal_shows_it_unless_records_are_written_meanwhile(
    args: list[str], shown: bool, fake_zilliz_cloud: FakeZillizCloud
) -> None:
    url = fake_zilliz_cloud.url
    with (
        pseudo_terminal(100) as (person, program),
        process("list", *args, "--base-url", url, stdout=program, stderr=program, TERM="xterm") as child,
    ):
        os.close(program)
        text = read_until(person, None)
        status = child.wait(LONG)

    assert status == 0
    assert ("pages 0" in text) is shown
    assert "in0" in text.rpartition(ERASE_LINE)[2]


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


async def test_a_terminal_that_is_gone_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Screen(gone=True))
    monkeypatch.setenv("TERM", "xterm")

    async with show_progress(Progress):
        await asyncio.sleep(0)
    report("lost")


@pytest.mark.parametrize(("level", "shown"), [(logging.WARNING, True), (logging.DEBUG, False)])
async def test_it_gives_way_to_a_log_of_each_request(
    level: int, shown: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    caplog.set_level(level, "aiozilliz")

    async with show_progress(Progress):
        pass

    assert ("pages 0" in screen.getvalue()) is shown


async def test_a_message_takes_the_place_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")

    async with show_progress(Progress):
        report("a retry")
        report("another")
        after_messages = screen.getvalue()

    assert after_messages.rpartition(ERASE_LINE)[2] == "a retry\nanother\n"
    assert screen.getvalue() == after_messages, "there was no line left to erase"


@POSIX_ONLY
def test_a_terminal_whose_output_is_stopped_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import termios

    with pseudo_terminal(100) as (person, program), os.fdopen(program, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        draw_line("first")
        termios.tcflow(program, termios.TCOOFF)
        drawing = threading.Thread(target=draw_line, args=("lost",), daemon=True)
        drawing.start()
        drawing.join(LONG)
        held_up = drawing.is_alive()
        termios.tcflow(program, termios.TCOON)
        drawing.join(LONG)
        draw_line("third")

        text = read_until(person, "third")
        report("end")

        assert not held_up
        assert text == f"\r{ERASE_LINE}first\r{ERASE_LINE}third"


async def test_it_is_drawn_ten_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    pages = itertools.count()
    waits: list[float] = []
    enough = asyncio.Event()
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 4:
            enough.set()
            await asyncio.Event().wait()
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", note)
    async with show_progress(lambda: Progress(pages=next(pages))):
        await enough.wait()

    assert waits == [0.1] * 4
    assert re.findall(r"pages (\d)", screen.getvalue()) == ["0", "1", "2", "3"]
    assert screen.getvalue().endswith(ERASE_LINE)


@pytest.mark.parametrize("how", ["error", "cancellation"])
async def test_however_it_ends_the_line_is_erased(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")

    with pytest.raises((KeyError, asyncio.CancelledError)):
        async with show_progress(Progress):
            raise KeyError if how == "error" else asyncio.CancelledError

    assert screen.getvalue().endswith(ERASE_LINE)
    assert HIDE_CURSOR not in screen.getvalue()


NEWS = """
import asyncio, logging, sys
from aiozilliz.cli.output.progress import Progress, show_progress
async def main():
    async with show_progress(Progress):
        logging.getLogger("aiozilliz").info("s: reading the list again: %s", "count changed from 3 to 4 on page 2\x1b[2J")
        await asyncio.to_thread(sys.stdin.read)
    assert not logging.getLogger("aiozilliz").isEnabledFor(logging.INFO)
asyncio.run(main())
sys.stderr.write("after\\n")
"""


@POSIX_ONLY
def test_why_the_list_is_read_again_is_shown_and_no_control_character_of_it() -> None:
    with pseudo_terminal(120) as (person, program):
        child = subprocess.Popen(
            [sys.executable, "-c", NEWS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=program,
            env=environment(TERM="xterm-256color", NO_COLOR=""),
        )
        os.close(program)
        with child:
            seen = read_until(person, "count changed from 3 to 4 on page 2")
            assert child.stdin is not None
            child.stdin.close()
            seen += read_until(person, "after")
    assert "s: reading the list again" in seen
    assert "\x1b[2J" not in seen
