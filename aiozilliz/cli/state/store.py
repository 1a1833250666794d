"""The state of a watch on disk: an SQLite database with what has been reported, and the history of it.

    clusters(account, cluster_id, record)                        the listing as reported
    events(at, account, kind, cluster_id, changed, record)       what was reported, in order
    accounts(account)                                            those whose first reading has been reported completely
    watch(base_url, keys)                                        what is watched

`account` is empty if there is only one. `record` and `changed` are JSON: the record with the service's field names (of
a removed cluster the last one known), and an array of the names of the fields that differ. `at` is UTC.

An event and what it changes are one transaction, so a process that is killed at any moment leaves a state in which each
event is there once, or not yet: it is then reported again. In write-ahead mode others can read meanwhile, as long as
they like. The log is not flushed to disk for each event: after a power failure the latest ones may be reported again.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import aiozilliz
from aiozilliz.cli import process
from aiozilliz.cli.output.changes import Change, wire_name
from aiozilliz.cli.output.text import json_text, printable
from aiozilliz.cli.state import files

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator
    from types import TracebackType

_KIND: Final = 0x617A6C7A
"""`PRAGMA application_id` of a state."""

_VERSION: Final = 1
"""`PRAGMA user_version` of a state."""

_TABLES: Final = (
    "CREATE TABLE clusters(account TEXT, cluster_id TEXT, record TEXT, PRIMARY KEY (account, cluster_id))",
    "CREATE TABLE events(at TEXT, account TEXT, kind TEXT, cluster_id TEXT, changed TEXT, record TEXT)",
    "CREATE TABLE accounts(account TEXT PRIMARY KEY)",
    "CREATE TABLE watch(base_url TEXT, keys TEXT)",
)
_HEADER: Final = b"SQLite format 3\0"
_UNFIT: Final = "A state is what `aiozilliz watch --state FILE` made; name another file, or a new one."


class WatchState:
    """The state of a running watch, locked against other watches. A context manager that closes it.

    Args:
        path: The file, checked.
        base_url: The service that is watched.
        keys: Which keys watch it.
        many: Whether there are several accounts.

    Attributes:
        begun: Accounts whose first reading has been reported completely.
    """

    def __init__(self, path: str, base_url: str, keys: str, *, many: bool) -> None:
        self._path = path
        self._many = many
        self.begun: set[str] = set()
        self._database = _connect(path)
        try:
            with _errors(path):
                self._begin(base_url, keys)
        except BaseException:
            self._database.close()
            raise

    @classmethod
    def open(cls, path: str, base_url: str, keys: str, *, many: bool) -> Self:
        """Lock and read a state, or begin a new one. For the arguments see the class.

        Returns:
            The state, which holds the lock.

        Raises:
            FileError: Another watch uses it, it is of another watch, or it is no state.
        """
        files.check_target(path)
        target = str(Path(path).resolve())
        _check_kind(path, target)
        return cls(target, base_url, keys, many=many)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def since(self) -> files.Document | None:
        """What has been reported, to continue from; None if nothing has been."""
        now = datetime.now(UTC)
        listings: dict[str, list[aiozilliz.Cluster]] = {account: [] for account in sorted(self.begun)}
        with _errors(self._path):
            for account, record in self._database.execute(
                "SELECT account, record FROM clusters ORDER BY rowid"
            ):
                listings.setdefault(account, []).append(_cluster(self._path, record))
        snapshots = {account: aiozilliz.Snapshot(clusters, now) for account, clusters in listings.items()}
        if self._many:
            return aiozilliz.InventoryReport(snapshots, {}, now) if snapshots else None
        return snapshots.get("")

    def record(self, changes: Collection[Change], begun: Collection[str] = ()) -> None:
        """Record, in one transaction, changes that have been reported.

        Args:
            changes: They have a time, and an account if there are several.
            begun: Accounts whose first reading has been reported completely.

        Raises:
            CommandError: It can't be written. The state is unchanged.
        """
        with _errors(self._path):
            try:
                for change in changes:
                    self._write(change)
                new = [account for account in begun if account not in self.begun]
                self._database.executemany("INSERT INTO accounts VALUES (?)", [(account,) for account in new])
            except BaseException:
                self._database.rollback()
                raise
            self._database.commit()
            self.begun.update(new)
            self._lock()

    def close(self) -> None:
        """Release the state for other watches. May be called twice."""
        with contextlib.suppress(sqlite3.Error):
            self._database.rollback()
            # One file is left, which can be copied, and read by those who can't write beside it. If somebody reads it
            # now, it stays as it is.
            self._database.execute("PRAGMA journal_mode = DELETE")
        self._database.close()

    def _lock(self) -> None:
        # The next transaction begins at once: its lock is what keeps other watches out. Readers don't mind.
        self._database.execute("BEGIN IMMEDIATE")

    def _begin(self, base_url: str, keys: str) -> None:
        database = self._database
        _check_is_state(self._path, database, or_new=True)
        database.execute("PRAGMA busy_timeout = 0")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        self._lock()
        database.execute("PRAGMA busy_timeout = 5000")  # milliseconds, for systems without write-ahead mode
        if not _check_is_state(self._path, database, or_new=True):
            for statement in _TABLES:
                database.execute(statement)
            database.execute("INSERT INTO watch VALUES (?, ?)", (base_url, keys))
            database.execute(f"PRAGMA application_id = {_KIND}")
            database.execute(f"PRAGMA user_version = {_VERSION}")
            database.commit()
            self._lock()
        found = tuple(database.execute("SELECT base_url, keys FROM watch").fetchone())
        if found != (base_url, keys):
            raise files.FileError(
                f"{self._path}: it is the state of a watch of {found[0]} with {found[1]}, not of {base_url} with {keys}"
            )
        self.begun.update(account for (account,) in database.execute("SELECT account FROM accounts"))

    def _write(self, change: Change) -> None:
        account, cluster = change.account or "", change.cluster
        cluster_id = _storable(cluster.cluster_id)
        record = json_text(cluster.to_dict())
        changed = json_text([wire_name(name) for name in change.changed])
        self._database.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)",
            (change.time, account, str(change.kind), cluster_id, changed, record),
        )
        if change.kind == aiozilliz.EventKind.REMOVED:
            self._database.execute(
                "DELETE FROM clusters WHERE account = ? AND cluster_id = ?", (account, cluster_id)
            )
        else:
            self._database.execute(
                "INSERT INTO clusters VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET record = excluded.record",
                (account, cluster_id, record),
            )


def read_history(path: str) -> Iterator[Change]:
    """Read the events of a state, the oldest first. A watch may be using it.

    Args:
        path: The file.

    Yields:
        The changes, each with its time.

    Raises:
        FileError: It is no state.
        CommandError: It can't be read.
    """
    target = Path(path).resolve()
    if not target.is_file():
        raise files.FileError(f"{path}: no such file")
    _check_kind(path, str(target))
    known: dict[tuple[str, str], aiozilliz.Cluster] = {}
    with _errors(path), contextlib.closing(_connect(f"{target.as_uri()}?mode=ro")) as database:
        _check_is_state(path, database)
        for at, account, kind, cluster_id, changed, record in database.execute(
            "SELECT at, account, kind, cluster_id, changed, record FROM events ORDER BY rowid"
        ):
            cluster = _cluster(path, record)
            previous = known.get((account, cluster_id)) if kind != aiozilliz.EventKind.ADDED else None
            known[account, cluster_id] = cluster
            yield Change(kind, cluster, previous, tuple(json.loads(changed)), account or None, at)


def _connect(name: str) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(name, isolation_level=None, uri=name.startswith("file:"))
    except sqlite3.Error as error:
        raise files.FileError(f"{name}: it can't be opened: {error}") from None
    return database


def _check_kind(path: str, target: str) -> None:
    """Check that a file is a database or empty, or that there is none, before SQLite makes a new one of it."""
    file = Path(target)
    if not file.exists():
        return
    if not file.is_file():
        raise files.FileError(f"{path}: a state must be a regular file")
    try:
        with file.open("rb") as opened:
            head = opened.read(len(_HEADER))
    except OSError as error:
        raise files.FileError(f"{path}: it can't be read: {error.strerror or error}") from None
    if head not in {b"", _HEADER}:
        raise files.FileError(f"{path}: it is no SQLite database, and so no state. {_UNFIT}")


def _check_is_state(path: str, database: sqlite3.Connection, *, or_new: bool = False) -> bool:
    """Return True for a state, or with `or_new` False for a new database, and refuse all others."""
    names = ("application_id", "user_version")
    marks = [database.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if marks == [_KIND, _VERSION]:
        return True
    if or_new and not tables and not any(marks):
        return False
    raise files.FileError(f"{path}: it is no state of this version of aiozilliz. {_UNFIT}")


def _cluster(path: str, record: str) -> aiozilliz.Cluster:
    try:
        return aiozilliz.Cluster.from_dict(json.loads(record))
    except (ValueError, TypeError, aiozilliz.DecodeError):
        raise files.FileError(f"{path}: a record in it is damaged: {printable(record[:100])}") from None


def _storable(text: str) -> str:
    # A lone surrogate, which the service's JSON can hold and a database can't.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


@contextlib.contextmanager
def _errors(path: str) -> Generator[None, None, None]:
    """Raise what SQLite finds as the errors of a command."""
    try:
        yield
    except sqlite3.Error as error:
        match error.sqlite_errorname.split("_")[1] if hasattr(error, "sqlite_errorname") else "":
            case "BUSY" | "LOCKED":
                failure: process.CommandError = files.FileError(f"{path}: another watch is using this state")
            case "NOTADB" | "CORRUPT":
                failure = files.FileError(f"{path}: it is damaged: {error}. {_UNFIT}")
            case _:
                failure = process.CommandError(f"{path} can't be used: {error}")
    else:
        return
    raise failure
