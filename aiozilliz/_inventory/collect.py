"""Snapshots of all accounts at once: an inventory's iteration that keeps what it reads."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiozilliz._errors import IncompleteListingError, InventoryError
from aiozilliz._inventory.scheduler import InventoryIterator, Results
from aiozilliz._iteration.snapshots import SnapshotListener
from aiozilliz._records.report import InventoryReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiozilliz._inventory.accounts import Account
    from aiozilliz._iteration.runner import PlanRunner
    from aiozilliz._records.snapshot import Snapshot


class SnapshotResults(Results):
    """Keeps what is read, for snapshots."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        super().__init__(accounts)
        self._snapshots: dict[str, Snapshot] = {}
        self._recorders: dict[str, SnapshotListener] = {}

    def recorder(self, account: Account) -> SnapshotListener:
        """Give a recorder of its own to each account."""
        recorder = self._recorders[account.name] = SnapshotListener()
        return recorder

    def ended(self, account: Account, run: PlanRunner) -> None:
        """Make the account's snapshot; without the proof it says so."""
        recorder = self._recorders.pop(account.name)
        end = run.end()
        if isinstance(end, (StopAsyncIteration, IncompleteListingError)):
            self._snapshots[account.name] = recorder.snapshot(run.walk)
        else:
            self.failed(account, end)

    def report(self, taken_at: datetime) -> InventoryReport:
        """Give all of them, in the order of the accounts."""
        names = [account.name for account in self.accounts]
        return InventoryReport(
            {name: self._snapshots[name] for name in names if name in self._snapshots},
            self.failures,
            taken_at,
        )


async def collect(collection: SnapshotResults, clusters: InventoryIterator) -> InventoryReport:
    """Read all accounts to their ends, and report."""
    taken_at = datetime.now(UTC)
    async with clusters:
        with suppress(InventoryError):  # the report names the failures
            async for _ in clusters:
                pass
    return collection.report(taken_at)
