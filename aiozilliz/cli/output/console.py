"""Standard output and standard error: the only module that writes to them, and what they are."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import pathlib
import re
import select
import stat
import sys
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from aiozilliz.cli.output.text import printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from typing import TextIO

_ERASE_LINE: Final = "\r\x1b[2K"

_LIKE_A_KEY: Final = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9]{24,}")
"""Long, and nothing but letters and digits: a cluster's id has a hyphen."""


class _Screen:
    """The last line of standard error if `draw_line` drew it, and what is never shown there."""

    line = ""
    hidden: re.Pattern[str] | None = None


_screen = _Screen()


def check_stdout() -> None:
    """Check that standard output was not closed before the start.

    Raises:
        OSError: It was closed.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")


def emit(text: str) -> None:
    """Write text to standard output and flush it. On a terminal, a line of `draw_line` is erased first.

    Raises:
        BrokenPipeError: Standard output has no reader any more.
        OSError: The text can't be written.
    """
    check_stdout()
    if _screen.line and stdout_is_terminal():
        draw_line("")
    sys.stdout.write(text)
    sys.stdout.flush()


@asynccontextmanager
async def while_stdout_is_read() -> AsyncGenerator[None, None]:
    """End the block once standard output has no reader any more, even if nothing is written to it.

    The system reports this for POSIX pipes and sockets. For everything else only the next write can fail.

    Raises:
        BrokenPipeError: Standard output has no reader any more.
    """
    descriptor = _pipe_of(sys.stdout)
    if descriptor is None:
        yield
        return
    import asyncio  # noqa: PLC0415  # help and version need no loop

    loop = asyncio.get_running_loop()
    end = asyncio.timeout(None)
    state = select.poll()
    state.register(descriptor, 0)  # errors and hang-ups are always reported

    def look() -> None:
        # Called as well if a socket has only received data: nothing more can be known of it then.
        loop.remove_reader(descriptor)
        if state.poll(0):
            end.reschedule(loop.time())

    try:
        async with end:
            # The end of a pipe's reader is reported to those that wait to read from the writer's descriptor.
            loop.add_reader(descriptor, look)
            try:
                yield
            finally:
                loop.remove_reader(descriptor)
    except TimeoutError:
        if not end.expired():
            raise
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None
    finally:
        os.close(descriptor)


def discard_stdout() -> None:
    """Send all further output to the null device, so that neither a write nor the interpreter's exit fails or waits."""
    _discard(sys.stdout)


def print_error(text: str) -> None:
    """Write one line to standard error, after the name of the command.

    Args:
        text: What is wrong; it is made printable. A line that can't be written is lost, and so are those after it.
    """
    report(f"aiozilliz: {text}")


def hide_keys(args: Iterable[str]) -> None:
    """Hide arguments that look like a key in all that is written to standard error: one that is there by mistake."""
    words = {word for arg in args for word in re.split("[=,]", arg.lstrip("-"))}
    words &= {*filter(_LIKE_A_KEY.fullmatch, words), os.environ.get("ZILLIZ_API_KEY") or None}
    longest_first = sorted(map(re.escape, words), key=len, reverse=True)
    _screen.hidden = re.compile("|".join(longest_first)) if words else None


def report(text: str) -> None:
    """Write one line to standard error. A line of `draw_line` is erased first.

    Args:
        text: The line; it is made printable. A line that can't be written is lost, and so are those after it.
    """
    erase = _ERASE_LINE if _screen.line else ""
    _screen.line = ""
    shown = printable(text if _screen.hidden is None else _screen.hidden.sub("<key>", text))
    _write_stderr(f"{erase}{shown}\n")


def draw_line(text: str) -> None:
    """Show a line on the terminal of standard error, in place of the one drawn before. An empty text erases that.

    Args:
        text: No wider than the terminal. A line that can't be written is lost, as in `report`. So is one that would have
            to wait, as while a user has stopped the terminal: it must not hold up the event loop.
    """
    if text != _screen.line and not _would_wait(sys.stderr):
        _screen.line = text
        _write_stderr(_ERASE_LINE + text)


def end_prompt() -> None:
    """Begin a new line after a prompt that was not answered: on the terminal that shows the prompt, if there is one."""
    try:
        with pathlib.Path("/dev/tty").open("wb", buffering=0) as terminal:
            terminal.write(b"\n")
    except OSError:
        report("")


def stdout_is_file() -> bool:
    """Return whether nobody sees standard output while it is written: it goes to a file or to the null device."""
    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except (OSError, ValueError, AttributeError):  # it is closed, or no file at all
        return False
    return stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not stdout_is_terminal())


def stderr_can_erase() -> bool:
    """Return whether standard error is a terminal that knows escape sequences, so that a line can be erased."""
    return stderr_is_terminal() and _knows_escapes()


def stdout_width() -> int:
    """Return the width of the terminal in cells: the value of `COLUMNS`, else the terminal's own, else 80."""
    import shutil  # noqa: PLC0415  # help and version do without

    return max(shutil.get_terminal_size().columns, 1)


def stderr_width() -> int:
    """Return the width of the terminal of standard error in cells, or 80 if it has none."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    return 80


def as_shown(text: str) -> str:
    """Return text as standard output will show it: what its encoding lacks is a question mark, one cell wide."""
    if text.isascii() or stdout_takes_unicode():
        return text
    return text.encode(sys.stdout.encoding, "replace").decode(sys.stdout.encoding)


def write_exact_utf8() -> None:
    """Make standard output write UTF-8, and line ends unchanged, whatever the locale says."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding="utf-8", errors="replace", newline="\n")


def _is_terminal(name: str) -> bool:
    try:
        stream: TextIO | None = getattr(sys, name)
        return stream is not None and stream.isatty()
    except ValueError:  # it was closed
        return False


def _has_colour(name: str) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    forced = os.environ.get("FORCE_COLOR", "") not in {"", "0"}
    return forced or (_is_terminal(name) and _knows_escapes())


def _knows_escapes() -> bool:
    if sys.platform == "win32":
        return "WT_SESSION" in os.environ  # the older console shows escape sequences as they are
    return os.environ.get("TERM", "").lower() not in {"", "dumb", "unknown"}


def _takes_unicode(name: str) -> bool:
    return codecs.lookup(getattr(getattr(sys, name), "encoding", None) or "utf-8").name == "utf-8"


stdout_is_terminal: Final = partial(_is_terminal, "stdout")
stderr_is_terminal: Final = partial(_is_terminal, "stderr")
stdout_has_colour: Final = partial(_has_colour, "stdout")
"""Whether it is shown in colour: on a terminal that can, or as `FORCE_COLOR` or `NO_COLOR` say."""
stderr_has_colour: Final = partial(_has_colour, "stderr")
stdout_takes_unicode: Final = partial(_takes_unicode, "stdout")
"""Whether it is UTF-8, so that it can hold every character."""
stderr_takes_unicode: Final = partial(_takes_unicode, "stderr")


def _pipe_of(stream: TextIO | None) -> int | None:
    """Return a new descriptor of a pipe or socket, or None if the stream is neither."""
    if os.name != "posix":
        return None
    try:
        descriptor = cast("TextIO", stream).fileno()
        mode = os.fstat(descriptor).st_mode
        # A copy, as the stream's own descriptor may come to stand for something else.
        return os.dup(descriptor) if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None
    except (OSError, ValueError, AttributeError):  # it is closed, or no file at all
        return None


def _would_wait(stream: TextIO | None) -> bool:
    try:
        return os.name == "posix" and not select.select([], [cast("TextIO", stream).fileno()], [], 0)[1]
    except (OSError, ValueError, AttributeError):  # it is closed, or no file at all
        return False


def _write_stderr(text: str) -> None:
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        _discard(sys.stderr)  # otherwise the interpreter's exit fails too, and sets its own exit status


def _discard(stream: TextIO | None) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it may be closed, or no file at all
        descriptor = cast("TextIO", stream).fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, descriptor)
        finally:
            os.close(null)
