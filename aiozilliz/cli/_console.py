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
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from typing import TextIO

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
        value: What JSON can hold. Lone surrogates are replaced, as no JSON reader has to take them; so is a number that
            is not finite, by null.
        ascii_only: Whether all but ASCII is escaped.
    """
    # Loaded late: help and version need no JSON.
    import json  # noqa: PLC0415

    text = _dump(value)
    if text.isprintable() and (text.isascii() or not ascii_only):
        return text
    # Only strings can hold such characters, and there an escape says the same.
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
        return without_surrogates(write(value))
    except ValueError:
        return without_surrogates(write(_finite(value)))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in cast("Any", value).items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in cast("Any", value)]
    return value


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it was closed
        return False


def _discard(stream: TextIO | None) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it may be closed, or no file at all
        descriptor = cast("TextIO", stream).fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, descriptor)
        finally:
            os.close(nowhere)
