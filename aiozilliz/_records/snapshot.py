"""Whole listings: `Snapshot`, what differs between two of them, and their JSON text."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self, cast

from attrs import field, frozen

from aiozilliz._errors import DecodeError
from aiozilliz._public import public, record
from aiozilliz._records.cluster import ATTRIBUTES, WIRE_NAMES, Cluster, repr_line, structure_clusters
from aiozilliz._records.json import describe, dump, format_time, load, parse_time

FORMAT_VERSION: Final = 1
"""Version of the JSON text of a snapshot, and of a report."""


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
    """What differs between two listings; falsy where nothing does.

    Attributes:
        added: Clusters that only the newer has, in its order.
        removed: Clusters that only the older has, in its order: their last known records.
        modified: Clusters that both have, with differences, in the newer's order.
    """

    added: tuple[Cluster, ...] = ()
    removed: tuple[Cluster, ...] = ()
    modified: tuple[Modification, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.modified)

    def __repr__(self) -> str:
        return f"Changes({len(self.added)} added, {len(self.removed)} removed, {len(self.modified)} modified)"


@public
class EventKind(StrEnum):
    """What a `ClusterEvent` tells."""

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
        previous: The record before; None where it was added.
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


def to_utc(moment: datetime) -> datetime:
    """Give an aware moment in UTC.

    Raises:
        TypeError: It is no `datetime`.
        ValueError: It has no time zone.
    """
    if not isinstance(moment, datetime):
        raise TypeError(f"taken_at must be a datetime, not {type(moment).__name__}")
    if moment.utcoffset() is None:
        raise ValueError("taken_at must be aware: give it a time zone, for instance datetime.UTC")
    return moment.astimezone(UTC)


def _to_tuple(clusters: Iterable[Cluster]) -> tuple[Cluster, ...]:
    return tuple(clusters)


@record
@frozen(repr=False)
class Snapshot:
    """A whole listing.

    `len`, iteration, `in` (an id or a cluster) and `snapshot["in01-…"]` work.

    Attributes:
        clusters: The clusters, in the service's order. Where clusters came or went while it was read, in the order in
            which the service listed each last.
        taken_at: When it was taken, aware and in UTC: the request at whose moment the listing was proven to be this.
        requests: Pages that it took.
        consistent: Whether the answers prove that the listing was exactly this at `taken_at`. Without it the
            snapshot holds all that was seen in the last pass.

    Raises:
        ValueError: `taken_at` has no time zone, or a `cluster_id` comes twice.
    """

    clusters: tuple[Cluster, ...] = field(converter=_to_tuple)
    taken_at: datetime = field(converter=to_utc)
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
        """Give the cluster of this id, or None where it is not in the listing."""
        return self._by_id().get(cluster_id)

    def _by_id(self) -> dict[str, Cluster]:
        index = self._index
        if index is None:
            index = {cluster.cluster_id: cluster for cluster in self.clusters}
            object.__setattr__(self, "_index", index)  # derived, made on first use; nobody sees it change
        return index

    def diff(self, older: "Snapshot") -> Changes:
        """Give what has changed since an older snapshot. It takes time in proportion to both.

        Raises:
            TypeError: `older` is no snapshot.
        """
        if not isinstance(older, Snapshot):
            raise TypeError(f"older must be a Snapshot, not {type(older).__name__}")
        return Changes(
            added=tuple(cluster for cluster in self.clusters if cluster.cluster_id not in older),
            removed=tuple(cluster for cluster in older.clusters if cluster.cluster_id not in self),
            modified=tuple(
                Modification(cluster, previous, _differences(cluster, previous))
                for cluster in self.clusters
                if (previous := older.get(cluster.cluster_id)) is not None and previous != cluster
            ),
        )

    def to_json(self) -> str:
        """Give the snapshot as JSON text that `from_json` takes back without loss.

        One value stands on a line, the clusters in their order, and the names in `extra` are sorted: of two listings
        only what differs gives other lines.
        """
        return dump(self.to_jsonable()) + "\n"

    def to_jsonable(self) -> dict[str, Any]:
        """Give what `to_json` writes, as plain dicts and lists."""
        return {
            "version": FORMAT_VERSION,
            "taken_at": format_time(self.taken_at),
            "requests": self.requests,
            "consistent": self.consistent,
            "clusters": [_stable(cluster) for cluster in self.clusters],
        }

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote.

        Raises:
            TypeError: `text` is neither text nor bytes.
            ValueError: It can't be read; the text says why.
        """
        if not isinstance(text, (str, bytes, bytearray)):
            raise TypeError(f"a snapshot is read from str or bytes, not {type(text).__name__}")
        return cls.from_jsonable(load(text, "the snapshot"))

    @classmethod
    def from_jsonable(cls, value: object, where: str = "the snapshot") -> Self:
        """Read what `to_jsonable` gave.

        Args:
            value: Plain dicts and lists.
            where: What it is called in an error.

        Raises:
            ValueError: It can't be read; the text says why.
        """
        fields, moment = read_head(value, where)
        requests, consistent, clusters = (fields.get(name) for name in ("requests", "consistent", "clusters"))
        if type(requests) is not int or requests < 0:
            raise ValueError(
                f"{where} can't be read: requests is {describe(requests)}, not an integer, 0 or more"
            )
        if type(consistent) is not bool:
            raise ValueError(
                f"{where} can't be read: consistent is {describe(consistent)}, not true or false"
            )
        if not isinstance(clusters, list):
            raise ValueError(f"{where} can't be read: clusters is {describe(clusters)}, not a list")
        try:
            return cls(
                structure_clusters(cast("Sequence[Any]", clusters)), moment, requests, consistent=consistent
            )
        except DecodeError as error:
            fault = error.message
        except ValueError as error:
            fault = str(error)
        raise ValueError(f"{where} can't be read: {fault}")


def read_head(value: object, where: str) -> tuple[dict[str, Any], datetime]:
    """Read what all texts of this package begin with: the format's version, and when it was taken.

    Args:
        value: What the JSON text holds.
        where: What it is called in an error.

    Returns:
        All fields, and `taken_at`.

    Raises:
        ValueError: It is no object, of a version that is not known, or of no time.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{where} can't be read: it is {describe(value)}, not an object")
    fields = cast("dict[str, Any]", value)
    version = fields.get("version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise ValueError(
            f"{where} can't be read: its format version is {describe(version)}, and this aiozilliz reads {FORMAT_VERSION}"
        )
    taken_at = fields.get("taken_at")
    moment = parse_time(taken_at) if isinstance(taken_at, str) else None
    if moment is None:
        raise ValueError(f"{where} can't be read: taken_at is {describe(taken_at)}, not an ISO 8601 time")
    return fields, moment


def _differences(cluster: Cluster, previous: Cluster) -> tuple[str, ...]:
    return tuple(name for name in ATTRIBUTES if getattr(cluster, name) != getattr(previous, name))


def _stable(cluster: Cluster) -> dict[str, Any]:
    """Give the record with the names of `extra` in order, however the service wrote them."""
    record = cluster.to_dict()
    if not cluster.extra:
        return record
    known = {name: record.pop(name) for name in WIRE_NAMES.values()}
    return {**known, **_sorted(record)}


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return {name: _sorted(items[name]) for name in sorted(items)}
    if isinstance(value, list):
        return [_sorted(item) for item in cast("Sequence[Any]", value)]
    return value
