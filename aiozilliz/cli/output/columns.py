"""The fields of a record as the command line names them, and their layout in each format."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from attrs import fields, frozen

import aiozilliz
from aiozilliz.cli.output import formats
from aiozilliz.cli.output.table import Column, TableWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


ACCOUNT = "account"
REST = "extra"
"""The name of all fields together that this version does not know."""

FIELDS = tuple(
    str(field.metadata["wire_name"]) for field in fields(aiozilliz.Cluster) if "wire_name" in field.metadata
)
"""The fields of a cluster, in order. A new one gets a column under its own name, unless it has one below."""

KNOWN = frozenset(FIELDS)

_SHORT = {
    "id": "clusterId",
    "name": "clusterName",
    "region": "regionId",
    "cu": "cuSize",
    "address": "connectAddress",
    "created": "createTime",
    "project": "projectId",
}

STATUS_STYLES = {"RUNNING": "green", "ABNORMAL": "red", "DELETING": "dim", "DELETED": "dim"}

_ACCOUNT_COLUMN = Column(ACCOUNT, "ACCOUNT", "cut")
_COLUMNS = (
    Column("clusterId", "ID", "id"),
    Column("clusterName", "NAME", "cut"),
    Column("status", "STATUS", "whole", STATUS_STYLES),
    Column("regionId", "REGION", "whole"),
    Column("cuSize", "CU", "number"),
    Column("plan", "PLAN", "whole"),
    Column("createTime", "AGE", "number"),
    Column("cuType", "CU TYPE", "whole"),
    Column("projectId", "PROJECT", "whole"),
)
_OTHERS = (
    Column("createTime", "CREATED", "whole"),
    Column("description", "DESCRIPTION", "cut"),
    Column("connectAddress", "ADDRESS", "whole"),
    Column("privateLinkAddress", "PRIVATE ADDRESS", "whole"),
    Column(REST, "EXTRA", "whole"),
)


@frozen
class Field:
    """One field of a row.

    Attributes:
        wire_name: The service's name. The account, and all unknown fields together, have names of ours.
        unknown: Whether this version does not know it, so that it is no other field of the same name.
    """

    wire_name: str
    unknown: bool = False

    @property
    def name(self) -> str:
        """The name in the output."""
        return (
            f"{REST}.{self.wire_name}" if self.unknown and _OURS.fullmatch(self.wire_name) else self.wire_name
        )

    def of(self, row: Mapping[str, Any], *, many: bool) -> Any:
        """Return the field's value, or None.

        Args:
            row: A row of `record_row`.
            many: Whether it is one of several accounts.
        """
        if self.unknown:
            return row.get(_key(self.wire_name) if many else self.wire_name)
        if self.wire_name == REST:
            return unknown_fields(row, many=many)
        return row.get(self.wire_name) if many or self.wire_name != ACCOUNT else None


def find_field(name: str) -> Field:
    """Return the field of a wire name, an attribute's name or a short name; `extra.NAME` is the service's field NAME.

    Raises:
        BadParameter: There is no field of this name.
    """
    found = _BY_NAME.get(name.replace("_", "").lower())
    if found is not None:
        return Field(found)
    prefix, _, unknown = name.partition(".")
    if prefix == REST and unknown:
        # The name still works after a later version has come to know the field.
        return Field(unknown, unknown=unknown not in KNOWN)
    raise click.BadParameter(
        f"there is no field {name!r}. Known are {', '.join((ACCOUNT, *FIELDS, REST))}, and {REST}.NAME."
    )


_BY_NAME = {name.lower(): name for name in (ACCOUNT, *FIELDS, REST)} | _SHORT

FIELD_NAMES = (*dict.fromkeys((*_SHORT, ACCOUNT, *FIELDS, REST)),)
"""The names that shells complete."""

_OURS = re.compile(rf"(?:{REST}\.)*(?:{ACCOUNT}|{REST})")
_TAKEN = re.compile(rf"(?:{REST}\.)*{ACCOUNT}")


def _key(name: str) -> str:
    """Return the key of a service's field in a row of several accounts, where `account` is the account's name."""
    return f"{REST}.{name}" if _TAKEN.fullmatch(name) else name


def record_row(account: str | None, cluster: aiozilliz.Cluster) -> dict[str, Any]:
    """Return a record by its wire names, after its account if there are several.

    A field that the service itself names `account` is then `extra.account`.
    """
    record = cluster.to_dict()
    if account is None:
        return record
    if any(map(_TAKEN.fullmatch, cluster.extra)):
        record = {_key(name): value for name, value in record.items()}
    return {ACCOUNT: account, **record}


def unknown_fields(row: Mapping[str, Any], *, many: bool) -> dict[str, Any]:
    """Return the fields of a row that this version does not know, by the service's own names.

    Args:
        row: A row of `record_row`.
        many: Whether it is one of several accounts.
    """
    if not many:
        return {key: value for key, value in row.items() if key not in KNOWN}
    return {
        key.removeprefix(f"{REST}.") if _TAKEN.fullmatch(key) else key: value
        for key, value in row.items()
        if key not in KNOWN and key != ACCOUNT
    }


def record_layout(*, many: bool, empty: str = "", chosen: Sequence[Field] = ()) -> formats.Layout:
    """Return the layout of the rows of `record_row`.

    Args:
        many: Whether they are of several accounts.
        empty: What to report on standard error if a table has no rows.
        chosen: The only fields to show. Without it, JSON and YAML show all, CSV the known ones and the rest as one.
    """
    write_table = partial(TableWriter, empty=empty, choosable=True, noun="clusters")
    if not chosen:
        columns = (_ACCOUNT_COLUMN, *_COLUMNS) if many else _COLUMNS
        return formats.Layout(
            table=partial(write_table, columns, drop_empty=True, cells=_with_age),
            fields=(ACCOUNT, *FIELDS, REST) if many else (*FIELDS, REST),
            flat=lambda row: ({**row, REST: unknown_fields(row, many=many)},),
        )

    def pick(row: Mapping[str, Any]) -> dict[str, Any]:
        return {field.name: field.of(row, many=many) for field in chosen}

    return formats.Layout(
        table=partial(write_table, [column_of(field) for field in chosen], cells=pick),
        fields=[field.name for field in chosen],
        record=pick,
    )


def _with_age(row: Mapping[str, Any]) -> Mapping[str, Any]:
    created = row.get("createTime")
    return {**row, "createTime": age_text(created, datetime.now(UTC))} if created else row


def age_text(created: object, now: datetime) -> str:
    """Return how long ago a time was, in its largest unit: 45s, 12m, 5h, 20d or 3y.

    Args:
        created: The time as ISO 8601; anything else is shown as it is.
        now: The present, aware.
    """
    try:
        seconds = (now - datetime.fromisoformat(str(created))).total_seconds()
    except (ValueError, TypeError):
        return str(created)
    for unit, size in (("y", 365 * 86_400), ("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def column_of(field: Field) -> Column:
    """Return the column of a field in a table."""
    for column in (_ACCOUNT_COLUMN, *_OTHERS, *_COLUMNS):
        if column.key == field.name:
            return column
    return Column(field.name, field.name, "cut")
