"""A list of cluster records that can change, and its pages."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from attrs import frozen

from .samples import REGIONS

if TYPE_CHECKING:
    from random import Random

Record: TypeAlias = dict[str, Any]


_ATTRIBUTES = """
    cluster_id cluster_name region_id cu_type cu_size connect_address private_link_address create_time project_id
    deployment_option global_cluster_meta
"""
_WIRE_NAMES = {name: name[0] + name.title().replace("_", "")[1:] for name in _ATTRIBUTES.split()}


class SupportsToDict(Protocol):
    """A record with `to_dict()`, such as `aiozilliz.Cluster`."""

    def to_dict(self) -> Mapping[str, Any]:
        """Return the record by its wire names."""
        ...


def plain(record: Mapping[str, Any]) -> Record:
    """Make a deep copy of a record by a JSON round trip.

    Returns:
        The copy.

    Raises:
        TypeError: A value is not a JSON value.
        ValueError: A number is not finite.
    """
    copied: Record = json.loads(json.dumps(dict(record), allow_nan=False))
    return copied


def wire_record(cluster: Mapping[str, Any] | SupportsToDict) -> Record:
    """Copy a user's record, a wire dict or an object with `to_dict()`.

    Returns:
        The copy.

    Raises:
        TypeError: It is neither, or holds a value that is not a JSON value.
        ValueError: A number is not finite.
    """
    if isinstance(cluster, Mapping):
        return plain(cluster)
    if callable(getattr(cluster, "to_dict", None)):
        return plain(cluster.to_dict())
    raise TypeError(f"A cluster must be a mapping or have to_dict(), not {type(cluster).__name__}.")


def wire_fields(fields: dict[str, Any]) -> Record:
    """Rename fields from names such as `cluster_id` to wire names. Names of no documented field are kept.

    Returns:
        The values by wire name.

    Raises:
        TypeError: A field is passed by both names, or a value is not a JSON value.
        ValueError: A number is not finite.
    """
    twice = [name for name in fields if _WIRE_NAMES.get(name) in fields]
    if twice:
        raise TypeError(f"Given twice, as {twice[0]} and as {_WIRE_NAMES[twice[0]]}.")
    return plain({_WIRE_NAMES.get(name, name): value for name, value in fields.items()})


@frozen
class Cut:
    """A page of the list.

    Attributes:
        records: The records of this page. They are the list's own objects and must not be changed.
        count: Number of matching records in the list, at the same moment.
    """

    records: tuple[Record, ...]
    count: int


class Listing:
    """An ordered list of records with unique ids. It is not thread-safe.

    Attributes:
        regions: The ids of the documented regions, and of all that a record has ever been in.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        """Take over `records`, which may have missing or broken ids for tests of that.

        Raises:
            ValueError: Two records have the same id.
        """
        self._records = list(records)
        self.regions = {*REGIONS, *(str(record.get("regionId")) for record in self._records)}
        ids = Counter(x for record in self._records if isinstance(x := record.get("clusterId"), str))
        if twice := [cluster_id for cluster_id, times in ids.items() if times > 1]:
            raise ValueError(f"Two records have the id {twice[0]!r}.")

    @property
    def records(self) -> tuple[Record, ...]:
        """Copies of all records, in order."""
        return tuple(map(plain, self._records))

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, cluster_id: object) -> bool:
        return any(record.get("clusterId") == cluster_id for record in self._records)

    def add(self, record: Record, index: int | None = None) -> None:
        """Insert a record before position `index`, as `list.insert` does, or at the end.

        Raises:
            ValueError: It has no id, or one that is in the list already.
        """
        cluster_id = record.get("clusterId")
        if not isinstance(cluster_id, str) or not cluster_id:
            raise ValueError(f"A cluster needs a clusterId that is a string, not {cluster_id!r}.")
        if cluster_id in self:
            raise ValueError(f"There is already a cluster {cluster_id!r}.")
        self.regions.add(str(record.get("regionId")))
        self._records.insert(len(self._records) if index is None else index, record)

    def update(self, cluster_id: str, fields: Record) -> None:
        """Set fields of a record; other fields keep their values.

        Raises:
            KeyError: No record has this id.
            ValueError: `fields` would change the id.
        """
        position = self._find(cluster_id)
        if fields.get("clusterId", cluster_id) != cluster_id:
            raise ValueError("The id of a cluster can't change. Remove it and add another.")
        self.regions.add(str(fields.get("regionId")))
        # A new object, because pages that hold the old one may not be sent yet.
        self._records[position] = {**self._records[position], **fields}

    def remove(self, cluster_id: str) -> Record:
        """Remove a record.

        Returns:
            The record.

        Raises:
            KeyError: No record has this id.
        """
        return self._records.pop(self._find(cluster_id))

    def cut(self, page: int, size: int, *, region: str | None = None, shuffle: Random | None = None) -> Cut:
        """Cut one page at offset `(page - 1) * size`.

        Args:
            page: Page number, 1-based.
            size: Records on a page.
            region: Only records of this region id are listed and counted.
            shuffle: Shuffles a copy of the list before the page is cut.

        Returns:
            The page, which is empty after the end of the list.
        """
        records = self._records
        if region is not None:
            records = [record for record in records if record.get("regionId") == region]
        if shuffle is not None:
            records = shuffle.sample(records, len(records))
        start = (page - 1) * size
        return Cut(tuple(records[start : start + size]), len(records))

    def _find(self, cluster_id: str) -> int:
        for position, record in enumerate(self._records):
            if record.get("clusterId") == cluster_id:
                return position
        raise KeyError(f"There is no cluster {cluster_id!r}.")
