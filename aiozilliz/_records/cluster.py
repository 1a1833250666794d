"""The records: clusters, pages of them, the open enums, and how one becomes JSON and back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Final, cast

from attrs import define, field, frozen

from aiozilliz._errors import DecodeError, printable
from aiozilliz._public import new_object, public, record
from aiozilliz._records.enums import (
    CU_TYPES,
    PLANS,
    STATUSES,
    ClusterStatus,
    CuType,
    Plan,
    to_cu_type,
    to_plan,
    to_status,
)
from aiozilliz._records.frozen import EMPTY, FrozenDict, freeze, frozen_mapping, seal, thaw
from aiozilliz._records.json import dump, parse
from aiozilliz._records.values import WrongValue, format_time, integer, mismatch, parse_time, text

WIRE_NAMES: Final[Mapping[str, str]] = FrozenDict(
    {
        "cluster_id": "clusterId",
        "cluster_name": "clusterName",
        "description": "description",
        "region_id": "regionId",
        "plan": "plan",
        "cu_type": "cuType",
        "cu_size": "cuSize",
        "status": "status",
        "connect_address": "connectAddress",
        "private_link_address": "privateLinkAddress",
        "create_time": "createTime",
        "project_id": "projectId",
    },
)
"""Attribute of `Cluster` to its name on the wire, in the order of the service's documentation (List Clusters V2)."""

_MAX_REPR: Final = 500


def _to_utc(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is UTC:
        return value
    if value.utcoffset() is None:
        raise ValueError("create_time must be aware: give it a time zone, for instance datetime.UTC")
    return value.astimezone(UTC)


@record
@frozen(repr=False, weakref_slot=False)
class Cluster:
    """One cluster, as the service lists it. Compared and hashed by value; `extra` counts in `==` only.

    Source of all fields: List Clusters V2. Known texts of `plan`, `cu_type` and `status` become enum members, others
    stay plain text; comparing with text works for both.

    Attributes:
        cluster_id: The identity, for instance `in01-…`. Never empty.
        cluster_name: The name that its owner gave it.
        description: Free text, often empty.
        region_id: `<cloud>-<region>`, for instance `aws-us-west-2`.
        plan: A `Plan`, or plain text where it is not known.
        cu_type: A `CuType`, or plain text where it is not known; empty for free and serverless clusters.
        cu_size: Compute units; 0 for free and serverless clusters.
        status: A `ClusterStatus`, or plain text where it is not known.
        connect_address: The public endpoint. A cluster that is being created has none yet.
        private_link_address: The private endpoint, empty where there is none.
        create_time: When it was created, aware and in UTC, or None where the service does not say.
        project_id: The project it belongs to.
        extra: Fields that this version does not know, by wire name. A mapping that can't be changed, with tuples for
            lists. A `createTime` that is no date is kept here too.

    Raises:
        ValueError: `cluster_id` is empty, `create_time` has no time zone, or `extra` holds a field that has an
            attribute of its own.
        TypeError: `extra` holds something that JSON has no type for.
    """

    cluster_id: str
    cluster_name: str = ""
    description: str = ""
    region_id: str = ""
    plan: Plan | str = field(default="", converter=to_plan)
    cu_type: CuType | str = field(default="", converter=to_cu_type)
    cu_size: int = 0
    status: ClusterStatus | str = field(default="", converter=to_status)
    connect_address: str = ""
    private_link_address: str = ""
    create_time: datetime | None = field(default=None, converter=_to_utc)
    project_id: str = ""
    extra: Mapping[str, Any] = field(default=EMPTY, converter=frozen_mapping, hash=False)

    def __attrs_post_init__(self) -> None:
        if not self.cluster_id:
            raise ValueError("cluster_id must not be empty")
        if self.extra is not EMPTY:
            self._check_extra()

    def _check_extra(self) -> None:
        for name in self.extra:
            if name not in _KNOWN:
                continue
            if name != "createTime":
                raise ValueError(f"extra must not hold {name}, which has an attribute of its own")
            value = self.extra[name]
            if self.create_time is not None or not _is_no_time(value):
                raise ValueError(
                    "extra may hold createTime only where create_time is None, and text that is no date"
                )

    def __repr__(self) -> str:
        values = {name: value for name in WIRE_NAMES if (value := getattr(self, name))}
        if self.extra:
            values["extra"] = thaw(self.extra)
        return repr_line("Cluster", values)

    def to_dict(self) -> dict[str, Any]:
        """Give the record as the service writes it: JSON-ready values by wire name, `extra` included.

        `Cluster.from_dict` takes it back without loss. `createTime` is null where it is not known.
        """
        record: dict[str, Any] = {
            "clusterId": self.cluster_id,
            "clusterName": self.cluster_name,
            "description": self.description,
            "regionId": self.region_id,
            "plan": str(self.plan),
            "cuType": str(self.cu_type),
            "cuSize": self.cu_size,
            "status": str(self.status),
            "connectAddress": self.connect_address,
            "privateLinkAddress": self.private_link_address,
            "createTime": None if self.create_time is None else format_time(self.create_time),
            "projectId": self.project_id,
        }
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
        """Read a record by wire names, as `to_dict` gives it or as the service sends it.

        Args:
            record: Any field but `clusterId` may be absent or None. What is not known goes to `extra`.

        Raises:
            DecodeError: A known field is of the wrong type, or there is no `clusterId`. Its `index` is 0.
        """
        raw: object = record
        if isinstance(raw, Mapping):
            raw = dict(cast("Mapping[object, Any]", raw))
        return structure_clusters([raw])[0]


def _to_tuple(clusters: Iterable[Cluster]) -> tuple[Cluster, ...]:
    return tuple(clusters)


@record
@frozen(repr=False)
class ClusterPage:
    """One page of the listing.

    Attributes:
        clusters: The page's clusters, in the service's order.
        count: All clusters of the listing, not only this page's, or None where the service does not say.
        current_page: The page's number, 1-based: what the service echoed, else what was asked.
        page_size: Clusters on a full page: what the service echoed, else what was asked. The service may have used
            another size than it says.
    """

    clusters: tuple[Cluster, ...] = field(default=(), converter=_to_tuple)
    count: int | None = None
    current_page: int = 1
    page_size: int = 100

    def __repr__(self) -> str:
        total = "an unknown number" if self.count is None else _short(self.count, 40)
        place = {"current_page": self.current_page, "page_size": self.page_size}
        return repr_line("ClusterPage", place, f"{len(self.clusters)} of {total}")


# The parser gives the same text for the same name again and again. With its own texts as keys, a look-up mostly ends at
# the first "is it the same object?", which takes a fifth off decoding a record; others are found all the same.
_ABSENT: Final = cast("dict[str, Any]", parse(dump(dict.fromkeys(WIRE_NAMES.values())).encode()))
_KNOWN: Final = frozenset(_ABSENT)
_COLUMN_COUNT: Final = len(_ABSENT)
_columns = itemgetter(*_ABSENT)
# CPython calls a method of an imported name by way of a bound method, made anew for each call.
_plan_of: Final = PLANS.get
_cu_type_of: Final = CU_TYPES.get
_status_of: Final = STATUSES.get
_read_time: Final[Callable[[Any], datetime | None]] = datetime.fromisoformat


@define(init=False, eq=False, repr=False, weakref_slot=False)
class _Draft:
    """A cluster that is being filled. It has the slots of `Cluster`, and becomes one by taking its class.

    Filling a frozen class costs a third of a record's decoding: each attribute goes through `object.__setattr__`.
    """

    cluster_id: str
    cluster_name: str
    description: str
    region_id: str
    plan: Plan | str
    cu_type: CuType | str
    cu_size: int
    status: ClusterStatus | str
    connect_address: str
    private_link_address: str
    create_time: datetime | None
    project_id: str
    extra: FrozenDict


def structure_cluster(raw: Any, _: Any = None) -> Cluster:
    """Decode one record.

    Raises:
        WrongValue: It can't be decoded.
    """
    clusters: list[Cluster] = []
    _structure_into(clusters, (raw,))
    return clusters[0]


def _structure_into(clusters: list[Cluster], records: Iterable[dict[str, Any]]) -> None:  # noqa: C901, PLR0912, PLR0915  # one loop: see below
    """Decode records and append them, one by one, so that after an error their number tells which one it was.

    This runs for every record there is. It is one loop, without a call for each record, and fills each by assignment.

    Raises:
        WrongValue: One can't be decoded.
    """
    append = clusters.append
    for given in records:
        if type(given) is not dict:  # JSON may hold anything
            raise mismatch("an object", given)
        record = given
        try:
            columns = _columns(record)
        except KeyError:
            record = {**_ABSENT, **given}
            columns = _columns(record)
        (
            cluster_id,
            name,
            description,
            region,
            plan,
            cu_type,
            cu_size,
            status,
            address,
            private,
            created,
            project,
        ) = columns
        if type(cluster_id) is not str or not cluster_id:
            raise mismatch("a text that is not empty", cluster_id, "clusterId")
        if type(name) is not str:
            name = "" if name is None else text(name, "clusterName")
        if type(description) is not str:
            description = "" if description is None else text(description, "description")
        if type(region) is not str:
            region = "" if region is None else text(region, "regionId")
        if type(plan) is not str:
            plan = "" if plan is None else text(plan, "plan")
        if type(cu_type) is not str:
            cu_type = "" if cu_type is None else text(cu_type, "cuType")
        if type(cu_size) is not int:
            cu_size = integer(cu_size, "cuSize")
        if type(status) is not str:
            status = "" if status is None else text(status, "status")
        if type(address) is not str:
            address = "" if address is None else text(address, "connectAddress")
        if type(private) is not str:
            private = "" if private is None else text(private, "privateLinkAddress")
        if type(project) is not str:
            project = "" if project is None else text(project, "projectId")
        try:
            moment = _read_time(created)
        except (TypeError, ValueError):
            moment = None
        if moment is None or moment.tzinfo is not UTC:
            moment = parse_time(text(created, "createTime"))

        draft: Any = _Draft()
        draft.cluster_id = cluster_id
        draft.cluster_name = name
        draft.description = description
        draft.region_id = region
        draft.plan = _plan_of(plan, plan)
        draft.cu_type = _cu_type_of(cu_type, cu_type)
        draft.cu_size = cu_size
        draft.status = _status_of(status, status)
        draft.connect_address = address
        draft.private_link_address = private
        draft.create_time = moment
        draft.project_id = project
        # Every known name is there, so the number of names alone tells whether there are others.
        if len(record) == _COLUMN_COUNT and (moment is not None or not created):
            draft.extra = EMPTY
        else:
            draft.extra = _structure_extra(record, keep_time=moment is None)
        draft.__class__ = Cluster
        append(draft)


def _structure_extra(record: dict[str, Any], *, keep_time: bool) -> FrozenDict:
    extra: dict[str, Any] = {}
    for name in [name for name in record if name not in _KNOWN]:
        if not isinstance(name, str):
            raise WrongValue(f"{type(name).__name__} is no name of a field")
        try:
            extra[name] = freeze(record[name])
        except (TypeError, ValueError) as error:
            raise WrongValue(f"{printable(name, 60)} can't be kept: {error}", name) from None
    if keep_time and record["createTime"]:
        extra["createTime"] = text(record["createTime"])
    return seal(extra) if extra else EMPTY


def _is_no_time(value: object) -> bool:
    return isinstance(value, str) and value != "" and parse_time(value) is None


def structure_clusters(records: Sequence[Any]) -> tuple[Cluster, ...]:
    """Decode records in their order.

    Args:
        records: The decoded JSON objects.

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


def repr_line(name: str, values: Mapping[str, object], *lead: str) -> str:
    """Give a `repr` of one line, of at most 500 characters: long values are cut."""
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
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"
