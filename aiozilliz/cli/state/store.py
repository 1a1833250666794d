"""The state of a watch on disk: what has been reported survives the end of the process at any moment.

There are two files. FILE is a complete snapshot or inventory report, as `aiozilliz snapshot` writes it. FILE.journal
has a line per event reported since, so that no event requires writing a large file. Its first line identifies the
content of FILE that it continues: if FILE was replaced, restored or deleted, the journal no longer counts.

An event is first written to standard output and then recorded. A process that is killed in between reports it again
after a restart; there is no other repeat, and no gap. Lines are not flushed to disk one by one: after a power failure,
too, the latest events may be reported again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias, cast

from attrs import evolve

import aiozilliz
from aiozilliz.cli.output.text import json_text
from aiozilliz.cli.state.files import (
    Document,
    FileError,
    check_target,
    decode_document,
    parse_json,
    parts,
    read_bytes,
    write_whole,
)

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows, where a second watch is not prevented
    fcntl = None  # type: ignore[assignment]  # None stands for its absence

if TYPE_CHECKING:
    from types import TracebackType

Listings: TypeAlias = "dict[str | None, dict[str, aiozilliz.Cluster]]"
"""Account, or None if there is only one, to its clusters by id."""

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


class _Line(NamedTuple):
    kind: aiozilliz.EventKind
    account: str | None
    cluster: aiozilliz.Cluster


class Journal:
    """The state file of a running watch, locked against other watches. A context manager that closes it.

    Attributes:
        since: What was reported so far, to continue from; None if nothing was.
    """

    def __init__(self, path: str, descriptor: int, *, many: bool) -> None:
        self._path = path
        self._descriptor = descriptor
        self._many = many
        data = read_bytes(path)
        base = None if data is None else self._decode(data)
        self._base = _digest(data)
        lines = self._take_lines()
        if any((line.account is None) == many for line in lines):
            raise self._wrong_kind()
        self._listings = _listings(base)
        self._pending = {line.account for line in lines}
        for line in lines:
            self._apply(line)
        self.since: Document | None = self._document(base) if lines else base

    @classmethod
    def open(cls, path: str, *, many: bool = False) -> Journal:
        """Lock and read a state, or begin a new one.

        Args:
            path: FILE, or a symbolic link to it.
            many: Whether many accounts are watched, so that it is a report, not a snapshot.

        Returns:
            The journal, which holds the lock.

        Raises:
            FileError: Another watch uses it, or it can't be read, is damaged, or is of the other kind.
        """
        check_target(path)
        target = str(Path(path).resolve())
        if Path(target).exists() and not Path(target).is_file():
            raise FileError(f"{path}: a state must be a regular file")
        descriptor = _open_locked(path, f"{target}.journal")
        try:
            return cls(target, descriptor, many=many)
        except BaseException:
            os.close(descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def record(self, event: aiozilliz.ClusterEvent, account: str | None = None) -> None:
        """Record that an event has been reported. It must have been written before.

        Args:
            event: The event.
            account: The account it belongs to; None if there is only one.

        Raises:
            OSError: It can't be written. The state is unchanged.
        """
        line = _Line(event.kind, account, event.cluster)
        entry = {"kind": str(event.kind), "account": account, "cluster": event.cluster.to_dict()}
        head = "" if self._size else _json_line({"version": 1, "base": self._base})
        self._append((head + _json_line(entry)).encode("ascii"))
        self._pending.add(account)
        self._apply(line)

    def commit(self, known: Document | None) -> bool:
        """Write everything that is known, and begin a new journal. Must be called at the end of a reading.

        Args:
            known: The watcher's `snapshot`, or `report`. If it is not exactly what has been recorded, because some of
                its events are not yet reported, nothing is done.

        Returns:
            Whether it was written.

        Raises:
            OSError: It can't be written. The state is unchanged.
        """
        if known is None or not self._is_reported(known):
            return False
        text = known.to_json()
        write_whole(self._path, text)
        # If the process is killed here, the journal continues another content than that of FILE, so it is ignored.
        self._base = _digest(text.encode())
        self._listings = _listings(known)
        self._truncate(0)
        self._pending.clear()
        return True

    def close(self) -> None:
        """Release the state for other watches. May be called twice."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            if not os.fstat(descriptor).st_size:
                with contextlib.suppress(OSError):
                    Path(f"{self._path}.journal").unlink()  # while it is locked: see `_open_locked`
        finally:
            os.close(descriptor)

    def _decode(self, data: bytes) -> Document:
        document = decode_document(data, self._path)
        if isinstance(document, aiozilliz.InventoryReport) == self._many:
            return document
        raise self._wrong_kind()

    def _wrong_kind(self) -> FileError:
        holds, watched = ("one account", "many") if self._many else ("many accounts", "one")
        return FileError(f"{self._path}: it is the state of {holds}, but {watched} would be watched")

    def _take_lines(self) -> list[_Line]:
        """Read the journal, and cut off a line that a kill has left half-written."""
        data = b""
        while chunk := os.read(self._descriptor, 1 << 20):
            data += chunk
        whole = data.rpartition(b"\n")[0]
        lines = whole.split(b"\n") if whole else []
        name = f"{self._path}.journal"
        ours = bool(lines) and _head(lines[0], name).get("base") == self._base
        events = [_line(text, name, number) for number, text in enumerate(lines[1:], 2)] if ours else []
        self._truncate(len(whole) + 1 if events else 0)
        return events

    def _append(self, data: bytes) -> None:
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            raise self._unwritable(error) from error
        if written < len(data):
            self._truncate(self._size)
            raise self._unwritable(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        self._size += written

    def _unwritable(self, error: OSError) -> OSError:
        return OSError(error.errno, f"{self._path}.journal can't be written: {error.strerror or error}")

    def _truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        self._size = size

    def _apply(self, line: _Line) -> None:
        clusters = self._listings.setdefault(line.account, {})
        if line.kind == aiozilliz.EventKind.REMOVED:
            clusters.pop(line.cluster.cluster_id, None)
        else:
            clusters[line.cluster.cluster_id] = line.cluster

    def _is_reported(self, known: Document) -> bool:
        listings = _listings(known)
        return self._pending <= listings.keys() and all(
            clusters == self._listings.get(account, {}) for account, clusters in listings.items()
        )

    def _document(self, base: Document | None) -> Document:
        if isinstance(base, aiozilliz.Snapshot):
            return evolve(base, clusters=self._listings[None].values())
        begun = aiozilliz.Snapshot((), datetime.fromtimestamp(os.fstat(self._descriptor).st_mtime, UTC))
        if not self._many:
            return evolve(begun, clusters=self._listings[None].values())
        report = base or aiozilliz.InventoryReport({}, {}, begun.taken_at)
        snapshots = {
            account: evolve(report.snapshots.get(account, begun), clusters=clusters.values())
            for account, clusters in self._listings.items()
            if account is not None
        }
        return evolve(report, snapshots=snapshots)


def _open_locked(path: str, name: str) -> int:
    while True:
        try:
            descriptor = os.open(name, _FLAGS, 0o600)
        except OSError as error:
            raise FileError(f"{name}: it can't be opened: {error.strerror or error}") from None
        if fcntl is None:  # pragma: no cover - Windows
            return descriptor
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A watch that ended meanwhile may have removed the file that was opened here.
            if os.path.samestat(os.fstat(descriptor), Path(name).stat()):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise FileError(f"{path}: another watch is using this state") from None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _listings(document: Document | None) -> Listings:
    if document is None:
        return {}
    return {
        account: {cluster.cluster_id: cluster for cluster in snapshot}
        for account, snapshot in parts(document)
    }


def _digest(data: bytes | None) -> str | None:
    return None if data is None else hashlib.blake2b(data, digest_size=16).hexdigest()


def _json_line(value: dict[str, Any]) -> str:
    return json_text(value, ascii_only=True) + "\n"


def _head(text: bytes, name: str) -> dict[str, Any]:
    head = _object(text, name, 1)
    if head.get("version") != 1:
        raise FileError(f"{name}: it is not a journal of this version of aiozilliz")
    return head


def _line(text: bytes, name: str, number: int) -> _Line:
    entry = _object(text, name, number)
    try:
        kind = aiozilliz.EventKind(cast("str", entry.get("kind")))
        cluster = aiozilliz.Cluster.from_dict(entry.get("cluster", {}))
    except (ValueError, aiozilliz.DecodeError):
        raise _damaged(name, number) from None
    account = entry.get("account")
    if account is not None and not isinstance(account, str):
        raise _damaged(name, number)
    return _Line(kind, account, cluster)


def _object(text: bytes, name: str, number: int) -> dict[str, Any]:
    value = parse_json(text)
    if not isinstance(value, dict):
        raise _damaged(name, number)
    return cast("dict[str, Any]", value)


def _damaged(name: str, number: int) -> FileError:
    return FileError(
        f"{name}: line {number} is damaged; if you delete this file, the latest events are reported again"
    )
