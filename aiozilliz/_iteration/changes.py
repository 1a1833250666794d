"""What a reading of the listing means to a watch: its events, the removals that it leaves open, what has been reported."""

from collections import deque
from collections.abc import Container, Iterator
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from aiozilliz._records.snapshot import ClusterEvent, EventKind, Snapshot

if TYPE_CHECKING:
    from aiozilliz._records.cluster import Cluster


@define
class ChangeTracker:
    """Compares each reading with what was known before.

    A cluster that is missing counts as removed only when `confirmations` readings in a row do not have it, and no
    response of these readings showed it. Until then it stays in what is known, and if it is seen meanwhile it was never
    gone. An empty response can be an incident, a replica can lag behind, and a key whose rights were cut for a minute
    sees nothing.

    Attributes:
        confirmations: Readings in a row that must agree, at least 1.
        known: The last reading, with those clusters whose removal is not confirmed; None before the first.
    """

    confirmations: int
    known: Snapshot | None = None
    _missing: dict[str, int] = field(factory=dict[str, int], init=False)

    def observe_partial(self, seen: Container[str]) -> None:
        """Take a reading that proves nothing: the ids that were `seen` are there, and what it lacks says nothing."""
        self._missing = {
            cluster_id: readings for cluster_id, readings in self._missing.items() if cluster_id not in seen
        }

    def read(self, reading: Snapshot, seen: Container[str] = ()) -> list[ClusterEvent]:
        """Take a consistent reading.

        Args:
            reading: The listing of its moment.
            seen: The ids in any of its responses, also in those of another moment.

        Returns:
            The events that it brings: removed, modified, added, each kind in the listing's order.
        """
        if self.known is None:
            self.known = reading
            return [ClusterEvent(EventKind.ADDED, cluster) for cluster in reading.clusters]
        changes = reading.diff(self.known)
        gone: list[Cluster] = []
        waiting: list[Cluster] = []
        missing: dict[str, int] = {}
        for cluster in changes.removed:
            cluster_id = cluster.cluster_id
            readings = 0 if cluster_id in seen else self._missing.get(cluster_id, 0) + 1
            if readings >= self.confirmations:
                gone.append(cluster)
            else:
                waiting.append(cluster)
                missing[cluster_id] = readings
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


class EventQueue:
    """The events of a reading that are not handed out yet, and the listing as the events handed out make it.

    Args:
        snapshot: What was reported before, or None.
    """

    def __init__(self, snapshot: Snapshot | None) -> None:
        self._snapshot = snapshot
        self._target = snapshot  # what `snapshot` is once no event waits
        self._waiting: deque[ClusterEvent] = deque()
        self._is_current = True  # whether `_snapshot` has all events that were handed out

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[ClusterEvent]:
        """Hand out the events, one whenever the next one is asked for."""
        while self._waiting:
            event = self._waiting.popleft()
            self._is_current = False
            yield event

    @property
    def snapshot(self) -> Snapshot | None:
        """What has been reported so far. It is made when it is asked for, and consistent only if no event waits."""
        if not self._is_current:
            self._snapshot = self._snapshot_between() if self._waiting else self._target
            self._is_current = True
        return self._snapshot

    def put(self, events: list[ClusterEvent], known: Snapshot | None) -> None:
        """Take the events of a reading, once all earlier ones were handed out.

        Args:
            events: The events.
            known: What is known after them.
        """
        assert not self._waiting
        # Without an event it is reported as soon as it is known; else not before the first one is handed out.
        self._snapshot = self.snapshot if events else known
        self._target = known
        self._waiting.extend(events)

    def _snapshot_between(self) -> Snapshot:
        assert self._target is not None
        waiting = {event.cluster.cluster_id: event for event in self._waiting}
        clusters: list[Cluster] = []
        for cluster in self._target.clusters:
            event = waiting.pop(cluster.cluster_id, None)
            if event is None:
                clusters.append(cluster)
            elif event.previous is not None:
                clusters.append(event.previous)
        # What is left is removed in the end, but not yet.
        clusters += [event.cluster for event in waiting.values()]
        return evolve(self._target, clusters=clusters, consistent=False)
