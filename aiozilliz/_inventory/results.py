"""`Results` and `SnapshotResults`: how each account of one reading ended, and its snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiozilliz._errors import IncompleteListingError, InventoryError
from aiozilliz._iteration.reader import SnapshotListener
from aiozilliz._records.report import InventoryReport

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from aiozilliz._inventory.accounts import Account
    from aiozilliz._iteration.runner import Listener, PlanRunner
    from aiozilliz._records.snapshot import Snapshot


class Results:
    """How each account of one reading ended.

    Args:
        accounts: All accounts, in their order.

    Attributes:
        done: Number of accounts that have ended, including those that failed.
    """

    def __init__(self, accounts: Sequence[Account]) -> None:
        self.accounts = accounts
        self.done = 0
        self._failures: dict[str, Exception] = {}

    @property
    def failures(self) -> dict[str, Exception]:
        """Account name to error, in the order of the accounts."""
        names = (account.name for account in self.accounts)
        return {name: self._failures[name] for name in names if name in self._failures}

    def listener(self, account: Account) -> Listener | None:
        """Return the listener for an account's requests and pages, or None."""
        del account
        return None

    def failed(self, account: Account, error: Exception) -> None:
        """Record that an account could not be read, or only in part."""
        self._failures[account.name] = error

    def ended(self, account: Account, run: PlanRunner) -> None:
        """Record that the reading of an account has ended."""
        end = run.end()
        if not isinstance(end, StopAsyncIteration):
            self.failed(account, end)

    def end(self) -> Exception:
        """Return how the reading ended: `StopAsyncIteration` if all is well."""
        failures = self.failures
        if not failures:
            return StopAsyncIteration()
        return InventoryError(f"{len(failures)} of {len(self.accounts)} accounts failed", failures)


class SnapshotResults(Results):
    """Takes a snapshot of each account."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        super().__init__(accounts)
        self._snapshots: dict[str, Snapshot] = {}
        self._listeners: dict[str, SnapshotListener] = {}

    def listener(self, account: Account) -> SnapshotListener:
        """Return a new listener for the account."""
        listener = self._listeners[account.name] = SnapshotListener()
        return listener

    def ended(self, account: Account, run: PlanRunner) -> None:
        """Make the account's snapshot, also if there is no proof that it is consistent."""
        listener = self._listeners.pop(account.name)
        end = run.end()
        unproven = isinstance(end, IncompleteListingError) and end.echoed_page is None
        if unproven or isinstance(end, StopAsyncIteration):
            self._snapshots[account.name] = listener.snapshot(run.planner)
        else:
            self.failed(account, end)

    def report(self, taken_at: datetime) -> InventoryReport:
        """Return the snapshots, in the order of the accounts, and the failures of a reading that began then."""
        names = [account.name for account in self.accounts]
        return InventoryReport(
            {name: self._snapshots[name] for name in names if name in self._snapshots},
            self.failures,
            taken_at,
        )
