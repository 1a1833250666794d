"""Files that commands read and write: snapshots and reports with clear errors, and text that is written whole."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import aiozilliz
from aiozilliz.cli.process import MISUSED, CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

Document: TypeAlias = "aiozilliz.Snapshot | aiozilliz.InventoryReport"
"""What a file holds: a report where it is of many accounts."""

STANDARD_INPUT = "-"
"""The name by which a user means standard input."""

_SNAPSHOT_WANTED = "a snapshot is wanted, as `aiozilliz snapshot FILE` writes it"
_NO_JSON = object()
_DESCRIPTORS = ("/dev/fd/", "/dev/std", "/proc/")
"""Where Unix has names for what a process has open already."""


class FileError(CommandError):
    """A file can't be used. The text is one line that names it and says why."""

    def __init__(self, text: str) -> None:
        super().__init__(text, MISUSED)


def read_document(path: str) -> Document:
    """Read a snapshot, or the report of many accounts. Their keys tell which of the two it is.

    Args:
        path: The file; `-` is standard input.

    Raises:
        FileError: There is no such file, it can't be read, or it holds something else.
    """
    if path == STANDARD_INPUT:
        return decode_document(_read_standard_input(), "standard input")
    data = read_bytes(path)
    if data is None:
        raise FileError(f"{path}: there is no such file")
    return decode_document(data, path)


def read_bytes(path: str) -> bytes | None:
    """Read a file whole, or give None where there is none.

    Raises:
        FileError: It is a folder, or can't be read.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        raise FileError(f"{path}: it is a folder, not a file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise FileError(f"{path}: it can't be read: {getattr(error, 'strerror', None) or error}") from None


def decode_document(data: bytes, name: str) -> Document:
    """Decode what `Snapshot.to_json` or `InventoryReport.to_json` wrote.

    Args:
        data: The file's content.
        name: What the file is called in an error.

    Raises:
        FileError: It is something else.
    """
    if not data.strip():
        raise FileError(f"{name}: it is empty; {_SNAPSHOT_WANTED}")
    value = _parsed(data)
    if value is _NO_JSON:
        value = _parsed(data.lstrip().partition(b"\n")[0])  # of JSON lines
    if value is _NO_JSON:
        raise FileError(f"{name}: it is no JSON; {_SNAPSHOT_WANTED}")
    if isinstance(value, list):
        raise FileError(f"{name}: it is an array, as `aiozilliz list -o json` writes it; {_SNAPSHOT_WANTED}")
    keys = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if "clusterId" in keys:
        raise FileError(f"{name}: it holds records, as `aiozilliz list` writes them; {_SNAPSHOT_WANTED}")
    try:
        if "snapshots" in keys or "failures" in keys:
            return aiozilliz.InventoryReport.from_json(data)
        if "clusters" in keys or "version" in keys:
            return aiozilliz.Snapshot.from_json(data)
    except ValueError as error:
        raise FileError(f"{name}: {error}") from None
    raise FileError(f"{name}: it is neither a snapshot nor an inventory report; {_SNAPSHOT_WANTED}")


def parts(document: Document) -> Iterator[tuple[str | None, aiozilliz.Snapshot]]:
    """Give each snapshot, with the name of its account where it is of many."""
    if isinstance(document, aiozilliz.Snapshot):
        yield None, document
    else:
        yield from document.snapshots.items()


def _parsed(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return _NO_JSON


def _read_standard_input() -> bytes:
    if sys.stdin is None:
        raise FileError("standard input: it is closed")
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise FileError(f"standard input: it can't be read: {error.strerror or error}") from None


def check_target(path: str) -> None:
    """See, before the work is done, whether a file of this name can be written.

    Raises:
        FileError: It is a folder, or the folder that it would stand in is missing or can't be written.
    """
    if Path(path).is_dir():
        raise FileError(f"{path}: it is a folder, not a file")
    try:
        if not is_replaceable(path):
            return
        folder = Path(path).resolve().parent
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: it can't be used: {getattr(error, 'strerror', None) or error}") from None
    if not folder.is_dir():
        raise FileError(f"{path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(f"{path}: the folder {folder} can't be written")


def write_whole(path: str, text: str) -> None:
    """Write a file whole or not at all: one that was there is replaced only by a new one that is complete.

    The new file can be read by its owner only. A symbolic link stays, and what it names is replaced. What is no
    regular file, for instance a device or a pipe, is written to directly.

    Args:
        path: The file.
        text: Its content, written as UTF-8.

    Raises:
        OSError: It can't be written; the text names the file. The old one is as it was.
    """
    data = text.encode()
    try:
        if is_replaceable(path):
            _replace(Path(path).resolve(), data)
        else:
            # Appending is right for a file, too, that the shell has opened under the name /dev/stdout.
            _write(os.open(path, os.O_WRONLY | os.O_APPEND), data)
    except OSError as error:
        raise OSError(error.errno, f"{path} can't be written: {error.strerror or error}") from error


def is_replaceable(path: str) -> bool:
    """Tell whether `write_whole` makes a new file of this name: there is a regular one, or none.

    Raises:
        OSError: There is no telling.
    """
    if str(Path(path).absolute()).startswith(_DESCRIPTORS):  # unresolved: these are links to what is open
        return False
    try:
        return stat.S_ISREG(Path(path).stat().st_mode)
    except FileNotFoundError:
        return True


def _replace(target: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=".aiozilliz-", suffix=".tmp", dir=target.parent)
    temporary = Path(name)
    try:
        _write(descriptor, data, sync=True)
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(target.parent)


def _write(descriptor: int, data: bytes, *, sync: bool = False) -> None:
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    # The file has been replaced, so this can't fail any more: some systems can't open or sync a folder.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
