"""What an inventory of many accounts found: `InventoryReport`, what differs between two, and the JSON text."""

# As in `snapshot`, cattrs is loaded when the first JSON text is written or read.
# ruff: noqa: PLC0415

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Self

from attrs import evolve, field, frozen

from aiozilliz._errors import ZillizError
from aiozilliz._public import record
from aiozilliz._records.cluster import Cluster, repr_line
from aiozilliz._records.json import dump, load
from aiozilliz._records.snapshot import Changes, Snapshot, to_taken_at


# One copy for each type: what a converter takes is what the constructor is said to take, and a type variable there is
# never solved.
def _changes(changes: Mapping[str, Changes]) -> dict[str, Changes]:
    return dict(changes)


@record
@frozen(repr=False)
class InventoryChanges(Mapping[str, Changes]):
    """What differs between two reports: account name to its `Changes`, for the accounts that both have.

    An account that failed has no listing, so its clusters are never called removed: it is named in `only_in_older` or
    `only_in_newer` instead. Falsy if no account has changes, and both reports have the same accounts.

    Attributes:
        only_in_older: Names of accounts that only the older report has a snapshot of.
        only_in_newer: Names of accounts that only the newer report has a snapshot of.
    """

    _changes: Mapping[str, Changes] = field(converter=_changes, hash=False)
    only_in_older: tuple[str, ...] = ()
    only_in_newer: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Changes:
        return self._changes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._changes)

    def __len__(self) -> int:
        return len(self._changes)

    def __bool__(self) -> bool:
        return bool(any(self._changes.values()) or self.only_in_older or self.only_in_newer)

    def __repr__(self) -> str:
        changed = sum(map(bool, self._changes.values()))
        return (
            f"InventoryChanges({changed} of {len(self)} accounts changed, {len(self.only_in_older)} only in the older, "
            f"{len(self.only_in_newer)} only in the newer)"
        )


def _snapshots(snapshots: Mapping[str, Snapshot]) -> dict[str, Snapshot]:
    return dict(snapshots)


def _failures(failures: Mapping[str, Exception]) -> dict[str, Exception]:
    return dict(failures)


def _failure_texts(failures: Mapping[str, Exception]) -> dict[str, str]:
    return {name: failure_text(error) for name, error in failures.items()}


def failure_text(error: Exception) -> str:
    """Return the class and the text of an error: what a JSON text keeps of it, and what reports compare."""
    # One that was read back is a plain ZillizError, whose message has the class of the original in it already.
    return error.message if type(error) is ZillizError else f"{type(error).__name__}: {error}"


@record
@frozen(repr=False)
class InventoryReport:
    """The listings of many accounts, and the errors of those that could not be read.

    Attributes:
        snapshots: Account name to its snapshot, in the order of the accounts.
        failures: Account name to its error, likewise.
        taken_at: When the reading began, aware and in UTC.

    Raises:
        ValueError: `taken_at` has no time zone.
    """

    snapshots: Mapping[str, Snapshot] = field(converter=_snapshots, hash=False)
    failures: Mapping[str, Exception] = field(converter=_failures, eq=_failure_texts, hash=False)
    taken_at: datetime = field(converter=to_taken_at)

    def __repr__(self) -> str:
        return repr_line(
            "InventoryReport",
            {"taken_at": self.taken_at},
            f"{sum(map(len, self.snapshots.values()))} clusters",
            f"{len(self.snapshots)} accounts",
            f"{len(self.failures)} failed",
            f"{len(self.unproven)} unproven",
        )

    @property
    def clusters(self) -> tuple[tuple[str, Cluster], ...]:
        """All clusters, as pairs of account name and cluster."""
        return tuple((name, cluster) for name, snapshot in self.snapshots.items() for cluster in snapshot)

    @property
    def unproven(self) -> tuple[str, ...]:
        """The names of the accounts whose snapshot is not consistent."""
        return tuple(name for name, snapshot in self.snapshots.items() if not snapshot.consistent)

    def carried_over(self, older: "InventoryReport") -> Self:
        """Return the report to store: with the older snapshots of the accounts that failed this time.

        So what changed meanwhile comes out once they can be read again. An account that is not in this report at all is
        not carried over. Snapshots that are carried over come last; the failures stay.

        Args:
            older: The report that was stored before.

        Raises:
            TypeError: `older` is no report.
        """
        _check_report(older)
        kept = {
            name: older.snapshots[name]
            for name in self.failures
            if name in older.snapshots and name not in self.snapshots
        }
        return evolve(self, snapshots={**self.snapshots, **kept}) if kept else self

    def diff(self, older: "InventoryReport") -> InventoryChanges:
        """Return what has changed since an older report, account by account.

        Raises:
            TypeError: `older` is no report.
        """
        _check_report(older)
        return InventoryChanges(
            {
                name: snapshot.diff(older.snapshots[name])
                for name, snapshot in self.snapshots.items()
                if name in older.snapshots
            },
            only_in_older=tuple(name for name in older.snapshots if name not in self.snapshots),
            only_in_newer=tuple(name for name in self.snapshots if name not in older.snapshots),
        )

    def to_json(self) -> str:
        """Return the report as JSON text, one field a line, that `from_json` takes back.

        Of an error its class and text are kept.
        """
        from aiozilliz._records.converter import write

        return dump(write(self)) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote. A failure is a `ZillizError` whose text holds class and text of the original.

        Args:
            text: The text, or its bytes: in UTF-8, or as a byte order mark says, such as what PowerShell's `>` writes.

        Returns:
            The report.

        Raises:
            TypeError: `text` is neither text nor bytes.
            ValueError: It can't be read; the message says why.
        """
        from aiozilliz._records.converter import read

        where = "the inventory report"
        return read(load(text, where), cls, where)


def _check_report(older: object) -> None:
    if not isinstance(older, InventoryReport):
        raise TypeError(f"older must be an InventoryReport, not {type(older).__name__}")
