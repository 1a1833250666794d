"""Standard output and standard error: the only place that writes to them, and what text may reach a terminal."""

from __future__ import annotations

import codecs
import contextlib
import errno
import functools
import os
import re
import stat
import sys
from contextlib import asynccontextmanager
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncGenerator
    from typing import TextIO

_GATHERED: Final = 100
"""Texts that are written together at most."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def check_stdout() -> None:
    """Refuse a standard output that was closed from the beginning.

    Raises:
        OSError: It was.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")


def emit(text: str) -> None:
    """Write text to standard output at once.

    Raises:
        BrokenPipeError: Nobody reads it any more.
        OSError: It can't be written.
    """
    check_stdout()
    sys.stdout.write(text)
    sys.stdout.flush()


class Stdout:
    """Standard output for one text after another.

    Args:
        gather: Whether texts that come together may go out together, which costs less. They are written when the event
            loop is about to wait, or when there are many; and each at once to a terminal.
    """

    def __init__(self, *, gather: bool = False) -> None:
        self._at_once = not gather or stdout_is_terminal()
        self._texts: list[str] = []
        self._error: OSError | None = None

    def write(self, text: str) -> None:
        """Take a text.

        Raises:
            BrokenPipeError: Nobody reads it, or what was taken before.
            OSError: It can't be written, or what was taken before.
        """
        if self._error is not None:
            raise self._error
        self._texts.append(text)
        if self._at_once or len(self._texts) >= _GATHERED:
            self.flush()
        elif len(self._texts) == 1 and (loop := _running_loop()) is not None:
            loop.call_soon(self._flush_late)

    def flush(self) -> None:
        """Write what is left. Raises as `write` does."""
        if self._error is not None:
            raise self._error
        if self._texts:
            # In one piece, so that an interrupt in between cuts no line.
            text, self._texts = "".join(self._texts), []
            emit(text)

    def _flush_late(self) -> None:
        try:
            self.flush()
        except OSError as error:  # the loop would only log it
            self._error = error


@asynccontextmanager
async def while_stdout_is_read() -> AsyncGenerator[None, None]:
    """End the block once nobody reads standard output any more, though nothing is written to it.

    The system tells this of pipes and sockets of POSIX. Of all else the next write tells it, if any.

    Raises:
        BrokenPipeError: Nobody reads it any more.
    """
    descriptor = _pipe_of(sys.stdout)
    if descriptor is None:
        yield
        return
    import asyncio  # noqa: PLC0415 - help and version do without
    import select  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    end = asyncio.timeout(None)
    state = select.poll()
    state.register(descriptor, 0)  # errors and hang-ups are always told

    def look() -> None:
        # Also where a socket has only got data: nothing more can be known of it.
        loop.remove_reader(descriptor)
        if state.poll(0):
            end.reschedule(loop.time())

    try:
        async with end:
            # That the reader of a pipe has gone is told to those who wait to read from its other end.
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


def end_prompt() -> None:
    """Begin a new line after a prompt that was not answered, where the prompt stands: on the terminal itself, if any."""
    try:
        terminal = os.open("/dev/tty", os.O_WRONLY)
    except OSError:
        say("")
        return
    with contextlib.suppress(OSError):
        os.write(terminal, b"\n")
    os.close(terminal)


def discard_stdout() -> None:
    """Send what is still to be written to nowhere, so that neither a write nor the interpreter's end fails or waits."""
    _discard(sys.stdout)


def complain(text: str) -> None:
    """Write one line to standard error, with the command's name before it.

    Args:
        text: What is wrong; it is made printable. Where it can't be written it is lost, and so is what follows it.
    """
    say(f"aiozilliz: {text}")


def say(text: str) -> None:
    """Write one line to standard error.

    Args:
        text: What to say; it is made printable. Where it can't be written it is lost, and so is what follows it.
    """
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(f"{printable(text)}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        _discard(sys.stderr)  # or the interpreter's end fails too, and sets its own exit status


def stdout_is_terminal() -> bool:
    """Tell whether a person reads standard output."""
    return _is_terminal(sys.stdout)


def stdout_is_file() -> bool:
    """Tell whether what goes to standard output is not seen while it comes: it goes to a file, or nowhere."""
    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except (OSError, ValueError, AttributeError):  # it is closed, or no file at all
        return False
    return stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not stdout_is_terminal())


def stderr_is_terminal() -> bool:
    """Tell whether a person reads standard error."""
    return _is_terminal(sys.stderr)


def stdout_has_colour() -> bool:
    """Tell whether standard output is a terminal that shows colour, and `NO_COLOR` does not forbid it."""
    if os.environ.get("NO_COLOR") or not stdout_is_terminal():
        return False
    if sys.platform == "win32":
        return "WT_SESSION" in os.environ  # the older console shows escape sequences as they are
    return os.environ.get("TERM", "").lower() not in {"", "dumb", "unknown"}


def stdout_width() -> int:
    """Give the width of the terminal in cells: what `COLUMNS` says, else what the terminal says, else 80."""
    import shutil  # noqa: PLC0415 - help and version do without

    return max(shutil.get_terminal_size().columns, 1)


def stdout_takes_unicode() -> bool:
    """Tell whether standard output is UTF-8, so that it can show all characters."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return codecs.lookup(encoding).name == "utf-8"


def as_shown(text: str) -> str:
    """Give text as standard output will show it: what its encoding lacks is a question mark, and so one cell wide."""
    if text.isascii() or stdout_takes_unicode():
        return text
    return text.encode(sys.stdout.encoding, "replace").decode(sys.stdout.encoding)


def write_exact_utf8() -> None:
    """Have standard output write UTF-8 and line ends as they are, whatever the locale says."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding="utf-8", errors="replace", newline="\n")


def printable(text: str) -> str:
    """Give text on one line, with control and format characters and lone surrogates made visible."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def without_surrogates(text: str) -> str:
    """Give text with U+FFFD in place of lone surrogates, which no encoding takes."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def json_text(value: Any, *, ascii_only: bool = False) -> str:
    """Give a value as JSON on one line that a terminal can show raw.

    Args:
        value: What JSON can hold. Lone surrogates are escaped, as JSON can hold them though no encoding can. A number
            that is not finite is null.
        ascii_only: Whether all but ASCII is escaped.
    """
    text = _dump(value)
    if text.isprintable() and (text.isascii() or not ascii_only):
        return text
    return escape_json(text, ascii_only=ascii_only)


def escape_json(text: str, *, ascii_only: bool) -> str:
    """Give one line of JSON with what is not printable escaped: only strings hold it, and there an escape says the same.

    Args:
        text: The line.
        ascii_only: Whether all but ASCII is escaped.
    """
    import json  # noqa: PLC0415  # help and version need no JSON

    return "".join(
        c if c.isprintable() and (c.isascii() or not ascii_only) else json.dumps(c)[1:-1] for c in text
    )


def _dump(value: Any) -> str:
    import json  # noqa: PLC0415

    import orjson  # noqa: PLC0415

    try:
        return orjson.dumps(value).decode()
    except TypeError:  # a lone surrogate, an integer beyond 64 bits, or nested too deep for it
        pass
    write = functools.partial(json.dumps, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return write(value)
    except ValueError:
        return write(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in cast("Any", value).items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in cast("Any", value)]
    return value


def _running_loop() -> AbstractEventLoop | None:
    asyncio = sys.modules.get("asyncio")  # where it is not loaded, no loop runs
    try:
        return asyncio.get_running_loop() if asyncio is not None else None
    except RuntimeError:
        return None


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it was closed
        return False


def _pipe_of(stream: TextIO | None) -> int | None:
    """Give a descriptor of its own for a pipe or socket, or None where the stream is no such thing."""
    if os.name != "posix":
        return None
    try:
        descriptor = cast("TextIO", stream).fileno()
        mode = os.fstat(descriptor).st_mode
        # Not the stream's own, in whose place something else may be put.
        return os.dup(descriptor) if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None
    except (OSError, ValueError, AttributeError):  # it is closed, or no file at all
        return None


def _discard(stream: TextIO | None) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it may be closed, or no file at all
        descriptor = cast("TextIO", stream).fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, descriptor)
        finally:
            os.close(nowhere)
