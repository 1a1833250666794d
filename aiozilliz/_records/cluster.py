"""Clusters, pages of them and their open enums; `Cluster` is the one table of a cluster's fields."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from itertools import filterfalse
from typing import Any, Final, cast

from attrs import field, fields, frozen

from aiozilliz._errors import DecodeError, printable
from aiozilliz._public import new_object, public, record
from aiozilliz._records.frozen import (
    EMPTY,
    FrozenDict,
    freeze,
    frozen_mapping,
    make_decoder,
    make_writer,
    seal,
    thaw,
    wire,
    wire_fields,
)
from aiozilliz._records.json import WrongValue, dump, format_time, parse, time


@public
class Plan(StrEnum):
    """Plans that are known. The set is open: a plan that is not here comes as a plain `str`.

    Sources: List Clusters V2; the official Terraform provider for `BUSINESS_CRITICAL`.
    """

    FREE = "Free"
    SERVERLESS = "Serverless"
    STANDARD = "Standard"
    ENTERPRISE = "Enterprise"
    BUSINESS_CRITICAL = "BusinessCritical"


@public
class CuType(StrEnum):
    """CU types that are known. The set is open, and the text is empty for free and serverless clusters.

    Sources: List Clusters V2 and V1; the official Terraform provider for `EXTENDED_CAPACITY`.
    """

    PERFORMANCE_OPTIMIZED = "Performance-optimized"
    CAPACITY_OPTIMIZED = "Capacity-optimized"
    TIERED_STORAGE = "Tiered-storage"
    EXTENDED_CAPACITY = "Extended-capacity"


@public
class ClusterStatus(StrEnum):
    """Statuses that are known. The set is open: a status that is not here comes as a plain `str`.

    Sources: List Clusters V2 and V1, and the official Terraform provider for those from `STOPPED` on. A suspended
    cluster reports `STOPPED`; that provider shows it as `SUSPENDED`.
    """

    CREATING = "CREATING"
    RUNNING = "RUNNING"
    DELETING = "DELETING"
    DELETED = "DELETED"
    STOPPING = "STOPPING"
    RESUMING = "RESUMING"
    MODIFYING = "MODIFYING"
    ABNORMAL = "ABNORMAL"
    FREEZING = "FREEZING"
    FROZEN = "FROZEN"
    UNFREEZED = "UNFREEZED"
    RESTORE_BACKUP = "RESTORE_BACKUP"
    MIGRATING = "MIGRATING"
    RESIZING = "RESIZING"
    UPGRADING = "UPGRADING"
    WRITING_OPERATION = "WRITING_OPERATION"
    SET_PRIVATE_LINK = "SET_PRIVATE_LINK"
    STOPPED = "STOPPED"
    INITIALIZING = "INITIALIZING"
    SUSPENDING = "SUSPENDING"
    SUSPENDED = "SUSPENDED"
    CU_MODIFYING = "CU_MODIFYING"


# Plain dicts: on an unknown value they are many times faster than calling the enum and catching its ValueError.
_PLANS: Final[dict[str, Plan | str]] = {member.value: member for member in Plan}
_CU_TYPES: Final[dict[str, CuType | str]] = {member.value: member for member in CuType}
_STATUSES: Final[dict[str, ClusterStatus | str]] = {member.value: member for member in ClusterStatus}


def _to_plan(value: str) -> Plan | str:
    return _PLANS.get(value, value)


def _to_cu_type(value: str) -> CuType | str:
    return _CU_TYPES.get(value, value)


def _to_status(value: str) -> ClusterStatus | str:
    return _STATUSES.get(value, value)


def to_utc(moment: datetime, name: str) -> datetime:
    """Return an aware `datetime` in UTC.

    Args:
        moment: The `datetime`.
        name: The attribute that it is for; errors name it.

    Raises:
        TypeError: It is no `datetime`.
        ValueError: It has no time zone.
    """
    if not isinstance(moment, datetime):
        raise TypeError(f"{name} must be a datetime, not {type(moment).__name__}")
    if moment.utcoffset() is None:
        raise ValueError(f"{name} must be aware: give it a time zone, for instance datetime.UTC")
    return moment.astimezone(UTC)


def _to_utc(value: datetime | None) -> datetime | None:
    return None if value is None else to_utc(value, "create_time")


@record
@frozen(repr=False, weakref_slot=False)
class Cluster:
    """One cluster, as the service lists it. Compared and hashed by value; `extra` counts in `==` only.

    Source of all fields: List Clusters V2. Known texts of `plan`, `cu_type` and `status` become enum members, others
    stay plain text; comparing with text works for both. The metadata of each field but `extra` has its name on the
    wire: `attrs.fields(Cluster).cu_size.metadata["wire_name"]` is `"cuSize"`.

    Attributes:
        cluster_id: The identity, for instance `in01-…`. Never empty.
        cluster_name: The name that its owner gave it.
        description: Free text, often empty.
        region_id: `<cloud>-<region>`, for instance `aws-us-west-2`.
        plan: A `Plan`, or plain text if it is not known.
        cu_type: A `CuType`, or plain text if it is not known; empty for free and serverless clusters.
        cu_size: Compute units; 0 for free and serverless clusters.
        status: A `ClusterStatus`, or plain text if it is not known.
        connect_address: The public endpoint. A cluster that is being created has none yet.
        private_link_address: The private endpoint, empty if there is none.
        create_time: When it was created, aware and in UTC, or None if the service does not say. An integer on the wire
            is milliseconds since the epoch.
        project_id: The project it belongs to.
        extra: Fields that this version does not know, by wire name. A mapping that can't be changed, with tuples for
            lists. A `createTime` that is no date, or has digits beyond microseconds, is kept here too.

    Raises:
        ValueError: `cluster_id` is empty, `create_time` has no time zone, or `extra` holds a field that has an
            attribute of its own, which can hold it.
        TypeError: `extra` holds something that JSON has no type for, or `create_time` is no `datetime`.
    """

    # The one table of fields, in the order of the service's documentation: whatever depends on which fields there are
    # is made of it. Another text is one line here, and one in the docstring.
    cluster_id: str = field(metadata=wire("clusterId", "id"))
    cluster_name: str = field(default="", metadata=wire("clusterName"))
    description: str = field(default="", metadata=wire("description"))
    region_id: str = field(default="", metadata=wire("regionId"))
    plan: Plan | str = field(default="", converter=_to_plan, metadata=wire("plan", "enum", _PLANS))
    cu_type: CuType | str = field(
        default="", converter=_to_cu_type, metadata=wire("cuType", "enum", _CU_TYPES)
    )
    cu_size: int = field(default=0, metadata=wire("cuSize", "integer"))
    status: ClusterStatus | str = field(
        default="", converter=_to_status, metadata=wire("status", "enum", _STATUSES)
    )
    connect_address: str = field(default="", metadata=wire("connectAddress"))
    private_link_address: str = field(default="", metadata=wire("privateLinkAddress"))
    create_time: datetime | None = field(default=None, converter=_to_utc, metadata=wire("createTime", "time"))
    project_id: str = field(default="", metadata=wire("projectId"))
    extra: Mapping[str, Any] = field(default=EMPTY, converter=frozen_mapping, hash=False)

    def __attrs_post_init__(self) -> None:
        if not self.cluster_id:
            raise ValueError("cluster_id must not be empty")
        if self.extra is not EMPTY:
            self._check_extra()

    def _check_extra(self) -> None:
        for name in _KNOWN.intersection(self.extra):
            if name not in _TIMES:
                raise ValueError(f"extra must not hold {name}, which has an attribute of its own")
            attribute, value = _TIMES[name], self.extra[name]
            moment, left = time(value, name)
            if left is None or moment != getattr(self, attribute):
                raise ValueError(
                    f"extra may hold {name} only if {attribute} can't: text that is no date or has digits beyond "
                    f"microseconds, an integer that is no date; and {attribute} must be what can be read of it"
                )

    def __repr__(self) -> str:
        values = {name: value for name in WIRE_NAMES if (value := getattr(self, name))}
        if self.extra:
            values["extra"] = thaw(self.extra)
        return repr_line("Cluster", values)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as the service writes it: JSON-ready values by wire name, `extra` included.

        `Cluster.from_dict` takes it back without loss. `createTime` is null if it is not known.
        """
        record = _to_dict(self)
        record.update(thaw(self.extra))
        return record

    def __reduce__(self) -> tuple[Any, ...]:
        # The wire form outlives a change of the attributes: a field that the reading version does not know goes to
        # `extra`, and one that it knows comes out of it. A class made from this one has fields of its own.
        if type(self) is Cluster:
            return Cluster.from_dict, (self.to_dict(),)
        return new_object, (type(self),), self.__getstate__()

    @staticmethod
    @public
    def from_dict(record: Mapping[str, Any]) -> "Cluster":
        """Read a record by wire names, as `to_dict` returns it or as the service sends it.

        Args:
            record: Any field but `clusterId` may be absent or None. What is not known goes to `extra`.

        Returns:
            The cluster.

        Raises:
            DecodeError: A known field is of the wrong type, or there is no `clusterId`. Its `index` is 0.
        """
        raw: object = record
        if isinstance(raw, Mapping):
            raw = dict(cast("Mapping[object, Any]", raw))
        return structure_clusters([raw])[0]


def to_tuple(clusters: Iterable[Cluster]) -> tuple[Cluster, ...]:
    return tuple(clusters)


@record
@frozen(repr=False)
class ClusterPage:
    """One page of the listing.

    Attributes:
        clusters: The page's clusters, in the service's order.
        count: All clusters of the listing, not only this page's, or None if the service does not say.
        current_page: The page's number, 1-based: what the service echoed, else what was asked.
        page_size: Clusters on a full page: what the service echoed, else what was asked. The service may have used
            another size than it says.
        age: Seconds since the service wrote the response, if a cache says that it gave it (`Age`, RFC 9111); else 0.
    """

    clusters: tuple[Cluster, ...] = field(default=(), converter=to_tuple)
    count: int | None = None
    current_page: int = 1
    page_size: int = 100
    age: int = 0

    def __repr__(self) -> str:
        total = "an unknown number" if self.count is None else _short(self.count, 40)
        place = {"current_page": self.current_page, "page_size": self.page_size}
        return repr_line("ClusterPage", place, f"{len(self.clusters)} of {total}")


ATTRIBUTES: Final = tuple(one.name for one in fields(Cluster))
"""All attributes of `Cluster`, in order."""

WIRE_NAMES: Final[Mapping[str, str]] = {one.name: one.metadata["wire_name"] for one in wire_fields(Cluster)}
"""Attribute of `Cluster` to its name on the wire, in order; all but `extra`."""

# The parser returns the same text for the same name again and again. With its own texts as keys, a look-up mostly ends
# at the first "is it the same object?", which takes a fifth off decoding a record; others are found all the same.
_ABSENT: Final = cast("dict[str, None]", parse(dump(dict.fromkeys(WIRE_NAMES.values())).encode()))
_KNOWN: Final = frozenset(_ABSENT)
_TIMES: Final = {
    one.metadata["wire_name"]: one.name for one in wire_fields(Cluster) if one.metadata["kind"] == "time"
}
_is_known: Final = _KNOWN.__contains__
_to_dict: Final = make_writer(Cluster)


def _structure_extra(record: dict[str, Any]) -> FrozenDict:
    """Return the fields of a record that have no attribute of their own."""
    extra: dict[str, Any] = {}
    for name in filterfalse(_is_known, record):
        if not isinstance(name, str):
            raise WrongValue(f"{type(name).__name__} is no name of a field")
        value = record[name]
        try:
            extra[name] = value if value is None or type(value) is str else freeze(value)
        except (TypeError, ValueError) as error:
            raise WrongValue(f"{printable(name, 60)} can't be kept: {error}", name) from None
    return seal(extra)


_structure_into: Final = make_decoder(Cluster, _ABSENT, _structure_extra)


def structure_cluster(raw: Any, _: Any = None) -> Cluster:
    """Decode one record.

    Returns:
        The cluster.

    Raises:
        WrongValue: It can't be decoded.
    """
    clusters: list[Cluster] = []
    _structure_into(clusters, (raw,))
    return clusters[0]


def structure_clusters(records: Sequence[Any]) -> tuple[Cluster, ...]:
    """Decode records in their order.

    Args:
        records: The decoded JSON objects.

    Returns:
        The clusters, in the same order.

    Raises:
        DecodeError: One of them can't be decoded. It says which, and the field.
    """
    clusters: list[Cluster] = []
    try:
        _structure_into(clusters, records)
        return tuple(clusters)
    except WrongValue as error:
        wrong = error
    index = len(clusters)
    raise _decode_error(wrong, index, records[index])


def _decode_error(wrong: WrongValue, index: int, record: Any) -> DecodeError:
    named = cast("dict[str, Any]", record).get("clusterId") if type(record) is dict else None
    cluster_id = named if isinstance(named, str) and named else None
    whose = f" ({printable(cluster_id, 60)})" if cluster_id else ""
    return DecodeError(
        f"Record {index}{whose} can't be decoded: {wrong}",
        index=index,
        cluster_id=cluster_id,
        field=wrong.field,
        advice="The service changed a field that this version knows: look for a newer version of aiozilliz.",
    )


_MAX_REPR: Final = 500


def repr_line(name: str, values: Mapping[str, object], *lead: str) -> str:
    """Return a `repr` of one line, of at most 500 characters: long values are cut.

    Args:
        name: The class.
        values: Attribute to value.
        lead: What stands before the attributes.
    """
    # Cut to 22 characters each, all fields of a cluster fit.
    lines = (_line(name, values, lead, limit) for limit in (120, 60, 22))
    return next(line for line in lines if len(line) <= _MAX_REPR)


def _line(name: str, values: Mapping[str, object], lead: tuple[str, ...], limit: int) -> str:
    return (
        f"{name}({', '.join([*lead, *(f'{key}={_short(value, limit)}' for key, value in values.items())])})"
    )


def _short(value: object, limit: int) -> str:
    if isinstance(value, datetime):
        return format_time(value)
    try:
        shown = repr(str(value[: limit + 1])) if isinstance(value, str) else repr(value)
    except ValueError:  # an integer too long for sys.set_int_max_str_digits
        shown = "…"
    return printable(shown, limit)
