"""`Results` and `SnapshotResults`: how the accounts of one reading ended, and what was found."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiozilliz._errors import IncompleteListingError, InventoryError
from aiozilliz._iteration.reader import SnapshotListener
from aiozilliz._records.report import InventoryReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiozilliz._inventory.accounts import Account
    from aiozilliz._inventory.iterator import InventoryIterator
    from aiozilliz._iteration.runner import Listener, PlanRunner
    from aiozilliz._records.snapshot import Snapshot


class Results:
    """How the accounts of one reading ended.

    Args:
        accounts: All of them, in their order.

    Attributes:
        done: Accounts that have come to their end, those that failed among them.
    """

    def __init__(self, accounts: Sequence[Account]) -> None:
        self.accounts = accounts
        self.done = 0
        self._failures: dict[str, Exception] = {}

    @property
    def failures(self) -> dict[str, Exception]:
        """Name to error of the accounts that failed, in the order of the accounts."""
        names = (account.name for account in self.accounts)
        return {name: self._failures[name] for name in names if name in self._failures}

    def listener(self, account: Account) -> Listener | None:
        """Return what hears of an account's requests and pages."""
        del account
        return None

    def failed(self, account: Account, error: Exception) -> None:
        """Note that an account can't be read, or not to its end."""
        self._failures[account.name] = error

    def ended(self, account: Account, run: PlanRunner) -> None:
        """Note that the reading of an account is at its end."""
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
    """Keeps what is read, for snapshots of all accounts."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        super().__init__(accounts)
        self._snapshots: dict[str, Snapshot] = {}
        self._listeners: dict[str, SnapshotListener] = {}

    def listener(self, account: Account) -> SnapshotListener:
        """Return a listener of the account's own."""
        listener = self._listeners[account.name] = SnapshotListener()
        return listener

    def ended(self, account: Account, run: PlanRunner) -> None:
        """Make the account's snapshot; without the proof it says so."""
        listener = self._listeners.pop(account.name)
        end = run.end()
        if isinstance(end, (StopAsyncIteration, IncompleteListingError)):
            self._snapshots[account.name] = listener.snapshot(run.planner)
        else:
            self.failed(account, end)

    async def collect(self, clusters: InventoryIterator) -> InventoryReport:
        """Read all accounts to their ends, and return the report."""
        taken_at = datetime.now(UTC)
        async with clusters:
            with suppress(InventoryError):  # the report names the failures
                async for _ in clusters:
                    pass
        names = [account.name for account in self.accounts]
        return InventoryReport(
            {name: self._snapshots[name] for name in names if name in self._snapshots},
            self.failures,
            taken_at,
        )
