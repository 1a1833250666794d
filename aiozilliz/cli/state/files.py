"""Files that commands read and write: snapshots and reports with clear errors, and text that is written atomically."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import aiozilliz
from aiozilliz.cli import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Document: TypeAlias = "aiozilliz.Snapshot | aiozilliz.InventoryReport"
"""The content of a file: a report if it is of many accounts."""

STANDARD_INPUT = "-"
"""The name that means standard input."""

_SNAPSHOT_WANTED = "expected a snapshot, as `aiozilliz snapshot FILE` writes it"
NO_JSON = object()
_DESCRIPTORS = ("/dev/fd/", "/dev/std", "/proc/")
"""Prefixes of the names that Unix has for files that a process has already opened."""


class FileError(process.CommandError):
    """A file can't be used. The text is one line with its name and the reason."""

    def __init__(self, text: str) -> None:
        super().__init__(text, process.MISUSED)


def read_document(path: str) -> Document:
    """Read a snapshot or the report of many accounts, which differ in their keys.

    Args:
        path: The file; `-` is standard input.

    Returns:
        The snapshot or report.

    Raises:
        FileError: The file does not exist, can't be read, or is something else.
    """
    if path == STANDARD_INPUT:
        return decode_document(_read_standard_input(), "standard input")
    data = read_bytes(path)
    if data is None:
        raise FileError(f"{path}: no such file")
    return decode_document(data, path)


def read_bytes(path: str) -> bytes | None:
    """Return the content of a file, or None if there is no such file.

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
        name: The file's name in an error.

    Returns:
        The snapshot or report.

    Raises:
        FileError: The content is something else.
    """
    if not data.strip():
        raise FileError(f"{name}: it is empty; {_SNAPSHOT_WANTED}")
    value = parse_json(data)
    if value is NO_JSON:
        value = parse_json(data.lstrip().partition(b"\n")[0])  # of JSON lines
    if value is NO_JSON:
        raise FileError(f"{name}: it is not JSON; {_SNAPSHOT_WANTED}")
    if isinstance(value, list):
        raise FileError(f"{name}: it is an array, as `aiozilliz list -o json` writes it; {_SNAPSHOT_WANTED}")
    keys = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if "clusterId" in keys:
        raise FileError(f"{name}: it contains records, as `aiozilliz list` writes them; {_SNAPSHOT_WANTED}")
    try:
        if "snapshots" in keys or "failures" in keys:
            return aiozilliz.InventoryReport.from_json(data)
        if "clusters" in keys or "version" in keys:
            return aiozilliz.Snapshot.from_json(data)
    except ValueError as error:
        raise FileError(f"{name}: {error}") from None
    raise FileError(f"{name}: it is neither a snapshot nor an inventory report; {_SNAPSHOT_WANTED}")


def parts(document: Document) -> Iterator[tuple[str | None, aiozilliz.Snapshot]]:
    """Return each snapshot, with the name of its account if there are several."""
    if isinstance(document, aiozilliz.Snapshot):
        yield None, document
    else:
        yield from document.snapshots.items()


def failures_of(document: Document) -> Mapping[str, Exception]:
    """Return account name to error for the accounts that failed."""
    return document.failures if isinstance(document, aiozilliz.InventoryReport) else {}


def error_of(document: Document) -> process.PartialError | aiozilliz.InventoryError | None:
    """Return the error for the accounts that failed: a `PartialError` if others did not, None if there are none."""
    failures = failures_of(document)
    accounts = len({*failures, *(name for name, _ in parts(document))})
    return process.accounts_error(failures, accounts) if failures else None


def doubt_of(document: Document) -> process.CommandError | None:
    """Return the error for listings that could not be proven complete, or None if all are."""
    names = [name for name, snapshot in parts(document) if not snapshot.consistent]
    of = f" of {', '.join(name for name in names if name)}" if any(names) else ""
    text = f"the listing{of} could not be proven complete: clusters may be missing"
    return process.CommandError(text, process.UNPROVEN) if names else None


def check_complete(document: Document) -> None:
    """Raise the error for what a listing lacks: accounts that failed, or the proof."""
    error = error_of(document) or doubt_of(document)
    if error is not None:
        raise error


def parse_json(data: bytes) -> object:
    """Return the value of a JSON text, or `NO_JSON` if it is none."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return NO_JSON


def _read_standard_input() -> bytes:
    if sys.stdin is None:
        raise FileError("standard input: it is closed")
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise FileError(f"standard input: it can't be read: {error.strerror or error}") from None


def check_target(path: str) -> None:
    """Check, before any work is done, that a file of this name can be written.

    Raises:
        FileError: It is a folder, or its folder does not exist or can't be written.
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
    """Write a file completely or not at all: an existing one is replaced only by a complete new one.

    A file that is replaced keeps its mode, owner and group as far as the system allows. A symbolic link is kept, and its target replaced. A device, a pipe or
    anything else that is no regular file is written to directly.

    Args:
        path: The file.
        text: Its content, written as UTF-8.

    Raises:
        CommandError: The file can't be written; the text names it. An existing one is unchanged.
    """
    data = text.encode()
    try:
        if is_replaceable(path):
            _replace(Path(path).resolve(), data)
        else:
            # Appending is also right for a file that the shell has opened under the name /dev/stdout.
            _write(os.open(path, os.O_WRONLY | os.O_APPEND), data)
    except OSError as error:
        # No OSError: a named pipe that nobody reads is not standard output, whose end is quiet.
        raise process.CommandError(f"{path} can't be written: {error.strerror or error}") from error


def is_replaceable(path: str) -> bool:
    """Return whether `write_whole` makes a new file of this name: there is a regular one, or none.

    Raises:
        OSError: This can't be found out.
    """
    if str(Path(path).absolute()).startswith(_DESCRIPTORS):  # unresolved: these are links to open files
        return False
    try:
        return stat.S_ISREG(Path(path).stat().st_mode)
    except FileNotFoundError:
        return True


def _replace(target: Path, data: bytes) -> None:
    temporary = target.with_name(f".aiozilliz-{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # less what the umask takes
    try:
        _keep_owner_and_mode(descriptor, target)
        _write(descriptor, data, sync=True)
        temporary.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        # A file that is mounted into a container can't be replaced, only written to.
        if not isinstance(error, OSError) or error.errno != errno.EBUSY:
            raise
        _write(os.open(target, os.O_WRONLY | os.O_TRUNC), data, sync=True)
    _sync_folder(target.parent)


def _keep_owner_and_mode(descriptor: int, target: Path) -> None:
    try:
        old = target.stat()
    except FileNotFoundError:
        return
    if hasattr(os, "fchown"):
        for owner in (old.st_uid, -1):  # only root may give a file away, others still keep the group
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, owner, old.st_gid)
                break
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))  # after it, as a new owner clears some bits


def _write(descriptor: int, data: bytes, *, sync: bool = False) -> None:
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    # The file has been replaced already, so errors do not count: some systems can't open or sync a folder.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
