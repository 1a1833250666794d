"""What a reading of the listing means to a watch: which events it brings, and which removals still need confirming."""

from typing import TYPE_CHECKING

from attrs import define, evolve, field

from aiozilliz._records.snapshot import ClusterEvent, EventKind, Snapshot

if TYPE_CHECKING:
    from aiozilliz._records.cluster import Cluster


@define
class ChangeTracker:
    """Compares each reading with what was known before.

    A cluster that is missing counts as removed only when `confirmations` readings in a row do not have it. Until then
    it stays in what is known, and where it is seen meanwhile it was never gone. An empty answer can be an incident, and
    a key whose rights were cut for a minute sees nothing.

    Attributes:
        confirmations: Readings in a row that must agree, at least 1.
        known: What the readings so far have told, with those clusters whose removal is not confirmed; None before the
            first.
    """

    confirmations: int
    known: Snapshot | None = None
    _missing: dict[str, int] = field(factory=dict[str, int], init=False)

    def observe_partial(self, reading: Snapshot) -> None:
        """Take a reading that is not consistent: what it shows is there, and what it lacks says nothing."""
        self._missing = {
            cluster_id: readings
            for cluster_id, readings in self._missing.items()
            if cluster_id not in reading
        }

    def read(self, reading: Snapshot) -> list[ClusterEvent]:
        """Take a consistent reading, and give the events it brings: removed, modified, added.

        Each kind comes in the listing's order.
        """
        if self.known is None:
            self.known = reading
            return [ClusterEvent(EventKind.ADDED, cluster) for cluster in reading.clusters]
        changes = reading.diff(self.known)
        gone: list[Cluster] = []
        waiting: list[Cluster] = []
        missing: dict[str, int] = {}
        for cluster in changes.removed:
            readings = self._missing.get(cluster.cluster_id, 0) + 1
            if readings >= self.confirmations:
                gone.append(cluster)
            else:
                waiting.append(cluster)
                missing[cluster.cluster_id] = readings
        self._missing = missing
        self.known = evolve(reading, clusters=(*reading.clusters, *waiting)) if waiting else reading
        return [
            *(ClusterEvent(EventKind.REMOVED, cluster, cluster) for cluster in gone),
            *(
                ClusterEvent(EventKind.MODIFIED, change.cluster, change.previous, change.changed)
                for change in changes.modified
            ),
            *(ClusterEvent(EventKind.ADDED, cluster) for cluster in changes.added),
        ]
