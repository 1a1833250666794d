"""The fields of a record as the command line names them, and how tables and CSV lay them out."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from aiozilliz.cli.output.formats import Layout
from aiozilliz.cli.output.table import Column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiozilliz import Cluster

ACCOUNT = "account"
REST = "extra"
"""Names the fields that this version does not know, all in one."""

FIELDS = (
    "clusterId",
    "clusterName",
    "description",
    "regionId",
    "plan",
    "cuType",
    "cuSize",
    "status",
    "connectAddress",
    "privateLinkAddress",
    "createTime",
    "projectId",
)
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
    Column("plan", "PLAN", "whole"),
    Column("cuSize", "CU", "number"),
    Column("regionId", "REGION", "whole"),
    Column("cuType", "CU TYPE", "whole"),
    Column("createTime", "CREATED", "whole"),
    Column("projectId", "PROJECT", "whole"),
)
_OTHERS = (
    Column("description", "DESCRIPTION", "cut"),
    Column("connectAddress", "ADDRESS", "whole"),
    Column("privateLinkAddress", "PRIVATE ADDRESS", "whole"),
    Column(REST, "EXTRA", "whole"),
)


@frozen
class Field:
    """One field of a row.

    Attributes:
        wire_name: What the service calls it. The account, and all fields that are not known, go by a name of ours.
        unknown: Whether it is one that this version does not know, so that it is no other of the same name.
    """

    wire_name: str
    unknown: bool = False

    @property
    def name(self) -> str:
        """What it is called in what is written."""
        return (
            f"{REST}.{self.wire_name}" if self.unknown and _OURS.fullmatch(self.wire_name) else self.wire_name
        )

    def of(self, row: Mapping[str, Any], *, many: bool) -> Any:
        """Give the field's value, or None.

        Args:
            row: As `record_row` gives it.
            many: Whether it is of several accounts.
        """
        if self.unknown:
            return row.get(_key(self.wire_name) if many else self.wire_name)
        if self.wire_name == REST:
            return unknown_fields(row, many=many)
        return row.get(self.wire_name) if many or self.wire_name != ACCOUNT else None


def find_field(name: str) -> Field:
    """Find a field by its wire name, its attribute's name or a short one; `extra.NAME` is what the service calls NAME.

    Raises:
        BadParameter: There is none of this name.
    """
    found = _BY_NAME.get(name.replace("_", "").lower())
    if found is not None:
        return Field(found)
    prefix, _, unknown = name.partition(".")
    if prefix == REST and unknown:
        # Where a later version knows it, the name still stands for it.
        return Field(unknown, unknown=unknown not in KNOWN)
    raise click.BadParameter(
        f"there is no field {name!r}; there are {', '.join((ACCOUNT, *FIELDS, REST))}, and {REST}.NAME."
    )


_BY_NAME = {name.lower(): name for name in (ACCOUNT, *FIELDS, REST)} | _SHORT

FIELD_NAMES = (*dict.fromkeys((*_SHORT, ACCOUNT, *FIELDS, REST)),)
"""What shells offer for the name of a field."""

_OURS = re.compile(rf"(?:{REST}\.)*(?:{ACCOUNT}|{REST})")
_TAKEN = re.compile(rf"(?:{REST}\.)*{ACCOUNT}")


def _key(name: str) -> str:
    """Give the key of a field of the service in a row of several accounts, where `account` is the account's name."""
    return f"{REST}.{name}" if _TAKEN.fullmatch(name) else name


def record_row(account: str | None, cluster: Cluster) -> dict[str, Any]:
    """Give a record by its wire names, after its account where there are several.

    A field that the service itself names `account` is then `extra.account`.
    """
    record = cluster.to_dict()
    if account is None:
        return record
    if any(map(_TAKEN.fullmatch, cluster.extra)):
        record = {_key(name): value for name, value in record.items()}
    return {ACCOUNT: account, **record}


def unknown_fields(row: Mapping[str, Any], *, many: bool) -> dict[str, Any]:
    """Give the fields of a row that this version does not know, by the service's own names.

    Args:
        row: As `record_row` gives it.
        many: Whether it is of several accounts.
    """
    if not many:
        return {key: value for key, value in row.items() if key not in KNOWN}
    return {
        key.removeprefix(f"{REST}.") if _TAKEN.fullmatch(key) else key: value
        for key, value in row.items()
        if key not in KNOWN and key != ACCOUNT
    }


def record_layout(*, many: bool, empty: str = "") -> Layout:
    """Say how records are laid out.

    Args:
        many: Whether they are of several accounts.
        empty: What a table of none says on standard error.
    """
    return Layout(
        columns=(_ACCOUNT_COLUMN, *_COLUMNS) if many else _COLUMNS,
        fields=(ACCOUNT, *FIELDS, REST) if many else (*FIELDS, REST),
        known=KNOWN | {ACCOUNT} if many else KNOWN,
        empty=empty,
        rest=partial(unknown_fields, many=many),
        choosable=True,
    )


def column_of(field: Field) -> Column:
    """Give a table's column for any field."""
    for column in (_ACCOUNT_COLUMN, *_COLUMNS, *_OTHERS):
        if column.key == field.name:
            return column
    return Column(field.name, field.name, "cut")
