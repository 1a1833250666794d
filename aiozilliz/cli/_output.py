"""Data on standard output: records as JSON while they come, or as a table at the end."""

from __future__ import annotations

import codecs
import contextlib
import errno
import json
import os
import re
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from aiozilliz import Cluster

_SURROGATE = re.compile("[\ud800-\udfff]")


class Format(StrEnum):
    """How records are written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


class Writer(Protocol):
    """Writes the records of one listing."""

    def write(self, cluster: Cluster) -> None:
        """Take the next record."""

    def finish(self, *, complete: bool) -> None:
        """End the output.

        Args:
            complete: Whether the listing came to its end; what is incomplete must not look whole.
        """


def make_writer(form: Format | None, *, header: bool = True) -> Writer:
    """Make the writer for a format.

    Args:
        form: The format; None is a table on a terminal, JSON lines elsewhere.
        header: Whether a table has a line with the columns' names.
    """
    if form is None:
        form = Format.TABLE if sys.stdout is not None and sys.stdout.isatty() else Format.JSONL
    if form is Format.TABLE:
        # Only tables need rich, and it takes longer to load than all else.
        from aiozilliz.cli._table import TableWriter  # noqa: PLC0415

        return TableWriter(header=header)
    return JSONWriter() if form is Format.JSON else JSONLinesWriter()


class JSONLinesWriter:
    """One JSON object a line, written as soon as it is known."""

    def write(self, cluster: Cluster) -> None:
        """Write the record's line."""
        emit(_json(cluster.to_dict()) + "\n")

    def finish(self, *, complete: bool) -> None:
        """Do nothing: each line stands for itself."""


class JSONWriter:
    """One JSON array, a record a line, written as soon as it is known. Of an incomplete listing it stays open."""

    def __init__(self) -> None:
        self._before = "[\n"

    def write(self, cluster: Cluster) -> None:
        """Write the record, and what stands between it and the one before."""
        emit(self._before + _json(cluster.to_dict()))
        self._before = ",\n"

    def finish(self, *, complete: bool) -> None:
        """Close the array of a complete listing."""
        if complete:
            emit("[]\n" if self._before == "[\n" else "\n]\n")
        elif self._before != "[\n":
            emit("\n")  # so that the error begins on a line of its own


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
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it may be closed, or no file at all
        descriptor = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def printable(text: str) -> str:
    """Give text on one line, with control characters and lone surrogates made visible."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def json_text(value: Any, *, ascii_only: bool = False) -> str:
    """Give a value as JSON on one line that a terminal can show raw.

    Args:
        value: What JSON can hold. Lone surrogates are replaced, as no JSON reader has to take them.
        ascii_only: Whether all but ASCII is escaped.
    """
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable() and not ascii_only:
        return text
    # Only strings can hold such characters, and there an escape says the same.
    text = _SURROGATE.sub("\ufffd", text)
    return "".join(
        c if c.isprintable() and (c.isascii() or not ascii_only) else json.dumps(c)[1:-1] for c in text
    )


def _json(value: Any) -> str:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return json_text(value, ascii_only=codecs.lookup(encoding).name != "utf-8")
