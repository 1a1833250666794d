"""Whole listings: `Snapshot`, what differs between two of them, and their JSON text."""

# cattrs is loaded when the first JSON text is written or read: whoever only lists clusters should not pay for it.
# ruff: noqa: PLC0415

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from attrs import field, frozen

from aiozilliz._public import public, record
from aiozilliz._records.cluster import WIRE_NAMES, Cluster, repr_line, to_tuple, to_utc
from aiozilliz._records.frozen import is_same
from aiozilliz._records.json import dump, load


@record
@frozen(repr=False)
class Modification:
    """One cluster that is in both of two listings, but not the same.

    Attributes:
        cluster: The newer record.
        previous: The older record, of the same `cluster_id`.
        changed: Names of the attributes that differ, in the order of `Cluster`'s.
    """

    cluster: Cluster
    previous: Cluster
    changed: tuple[str, ...]

    def __repr__(self) -> str:
        return repr_line(
            "Modification",
            {"cluster_id": self.cluster.cluster_id, "changed": ", ".join(self.changed)},
        )


@record
@frozen(repr=False)
class Changes:
    """What differs between two listings; falsy if nothing does.

    Attributes:
        added: Clusters that only the newer has, in its order.
        removed: Clusters that only the older has, in its order: their last known records.
        modified: Clusters that both have, with differences, each a `Modification`, in the newer's order.
        consistent: Whether both listings are consistent. Only then is a cluster in `removed` known to be gone, and one
            in `added` known to be new. It does not count in `==`, which compares what has changed.
    """

    added: tuple[Cluster, ...] = ()
    removed: tuple[Cluster, ...] = ()
    modified: tuple[Modification, ...] = ()
    consistent: bool = field(default=True, eq=False)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.modified)

    def __repr__(self) -> str:
        doubt = "" if self.consistent else ", not consistent"
        return f"Changes({len(self.added)} added, {len(self.removed)} removed, {len(self.modified)} modified{doubt})"


@public
class EventKind(StrEnum):
    """What a `ClusterEvent` says."""

    ADDED = "added"
    REMOVED = "removed"
    MODIFIED = "modified"


@record
@frozen(repr=False)
class ClusterEvent:
    """One change that a watch has seen.

    Attributes:
        kind: `added`, `removed` or `modified`.
        cluster: The cluster; of a removed one its last known record.
        previous: The record before; None if it was added.
        changed: Names of the attributes that differ; empty but for `modified`.
    """

    kind: EventKind = field(converter=EventKind)
    cluster: Cluster
    previous: Cluster | None = None
    changed: tuple[str, ...] = ()

    def __repr__(self) -> str:
        values: dict[str, object] = {"cluster_id": self.cluster.cluster_id, "name": self.cluster.cluster_name}
        if self.changed:
            values["changed"] = ", ".join(self.changed)
        return repr_line("ClusterEvent", values, self.kind.value)


def to_taken_at(moment: datetime) -> datetime:
    return to_utc(moment, "taken_at")


@record
@frozen(repr=False)
class Snapshot:
    """A whole listing.

    `len`, iteration, `in` (an id or a cluster) and `snapshot["in01-…"]` work.

    Attributes:
        clusters: The clusters, in the service's order. If clusters came or went while it was read, in the order in
            which the service listed each last.
        taken_at: When it was taken, aware and in UTC: the request at whose moment the listing was proven to be this.
        requests: Pages that it took.
        consistent: Whether the responses prove that the listing was exactly this at `taken_at`. Without it the
            snapshot holds all that was seen in the last pass. It speaks of which clusters there are; each one's fields
            are those of the last response that brought it.

    Raises:
        ValueError: `taken_at` has no time zone, or a `cluster_id` comes twice.
    """

    clusters: tuple[Cluster, ...] = field(converter=to_tuple)
    taken_at: datetime = field(converter=to_taken_at)
    requests: int = 0
    consistent: bool = False
    _index: dict[str, Cluster] | None = field(default=None, init=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if len({cluster.cluster_id for cluster in self.clusters}) != len(self.clusters):
            raise ValueError("a cluster_id comes twice in clusters")

    def __repr__(self) -> str:
        return repr_line(
            "Snapshot",
            {"taken_at": self.taken_at, "requests": self.requests, "consistent": self.consistent},
            f"{len(self.clusters)} clusters",
        )

    def __len__(self) -> int:
        return len(self.clusters)

    def __iter__(self) -> Iterator[Cluster]:
        return iter(self.clusters)

    def __contains__(self, item: object) -> bool:
        if isinstance(item, Cluster):
            return self._by_id().get(item.cluster_id) == item
        return isinstance(item, str) and item in self._by_id()

    def __getitem__(self, cluster_id: str) -> Cluster:
        return self._by_id()[cluster_id]

    def get(self, cluster_id: str) -> Cluster | None:
        """Return the cluster of this id, or None if it is not in the listing."""
        return self._by_id().get(cluster_id)

    def _by_id(self) -> dict[str, Cluster]:
        index = self._index
        if index is None:
            index = {cluster.cluster_id: cluster for cluster in self.clusters}
            object.__setattr__(self, "_index", index)  # derived, made on first use; nobody sees it change
        return index

    def diff(self, older: "Snapshot") -> Changes:
        """Return what has changed since an older snapshot, in time proportional to the sizes of both.

        In `extra` a null is no different from nothing, as services write both for the same; true and 1 are.

        Raises:
            TypeError: `older` is no snapshot.
        """
        if not isinstance(older, Snapshot):
            raise TypeError(f"older must be a Snapshot, not {type(older).__name__}")
        return Changes(
            added=tuple(cluster for cluster in self.clusters if cluster.cluster_id not in older),
            removed=tuple(cluster for cluster in older.clusters if cluster.cluster_id not in self),
            modified=tuple(
                Modification(cluster, previous, changed)
                for cluster in self.clusters
                if (previous := older.get(cluster.cluster_id)) is not None
                and (changed := _differences(cluster, previous))
            ),
            consistent=self.consistent and older.consistent,
        )

    def to_json(self) -> str:
        """Return the snapshot as JSON text that `from_json` takes back without loss.

        One value stands on a line, the clusters in their order, and the names in `extra` are sorted: of two listings
        only what differs gives other lines.
        """
        return dump(self.to_jsonable()) + "\n"

    def to_jsonable(self) -> dict[str, Any]:
        """Return what `to_json` writes, as plain dicts and lists."""
        from aiozilliz._records.converter import write

        return write(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote.

        Args:
            text: The text, or its bytes: in UTF-8, or as a byte order mark says, such as what PowerShell's `>` writes.

        Returns:
            The snapshot.

        Raises:
            TypeError: `text` is neither text nor bytes.
            ValueError: It can't be read; the message says why.
        """
        return cls.from_jsonable(load(text, "the snapshot"))

    @classmethod
    def from_jsonable(cls, value: object, where: str = "the snapshot") -> Self:
        """Read what `to_jsonable` returned.

        Args:
            value: Plain dicts and lists.
            where: What it is called in an error.

        Returns:
            The snapshot.

        Raises:
            ValueError: It can't be read; the message says why.
        """
        from aiozilliz._records.converter import read

        return read(value, cls, where)


def _differences(cluster: Cluster, previous: Cluster) -> tuple[str, ...]:
    # `==` is not enough for `extra`: it takes true for 1, and null for something.
    same_extra = is_same(cluster.extra, previous.extra)
    if same_extra and cluster == previous:
        return ()
    changed = tuple(name for name in WIRE_NAMES if getattr(cluster, name) != getattr(previous, name))
    return changed if same_extra else (*changed, "extra")
