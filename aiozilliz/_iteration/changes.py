"""`ChangeTracker`: the events that a poll of the listing brings, and the removals that still need confirmation."""

from typing import TYPE_CHECKING

from attrs import define, evolve, field

from aiozilliz._records.snapshot import ClusterEvent, EventKind, Snapshot

if TYPE_CHECKING:
    from aiozilliz._records.cluster import Cluster


@define
class ChangeTracker:
    """Compares each poll with the ones before it.

    A missing cluster counts as removed only after `confirmations` polls in a row without it. Until then it stays in
    `known`, and if it is seen again, it was never removed. An empty response can be an incident, or a key that lost its
    permissions for a minute.

    Attributes:
        confirmations: Polls in a row that must lack a cluster, at least 1.
        known: The listing as of the latest poll, plus the clusters whose removal is not confirmed; None before the
            first.
    """

    confirmations: int
    known: Snapshot | None = None
    _missing: dict[str, int] = field(factory=dict[str, int], init=False)

    def observe_partial(self, reading: Snapshot) -> None:
        """Take an inconsistent poll: the clusters in it exist, but those it lacks may exist, too."""
        self._missing = {
            cluster_id: readings
            for cluster_id, readings in self._missing.items()
            if cluster_id not in reading
        }

    def read(self, reading: Snapshot) -> list[ClusterEvent]:
        """Take a consistent poll.

        Returns:
            Its events: removed, then modified, then added, each in the listing's order.
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
