"""The fields of a record as the command line names them, and how tables and CSV lay them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from aiozilliz.cli._formats import Layout
from aiozilliz.cli._table import Column

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
        name: What it is called in what is written. Of one that this version does not know, what the service calls it.
    """

    name: str

    def of(self, row: Mapping[str, Any]) -> Any:
        """Give the field's value, or None."""
        if self.name == REST:
            return {name: value for name, value in row.items() if name not in KNOWN and name != ACCOUNT}
        return row.get(self.name)


def find_field(name: str) -> Field:
    """Find a field by its wire name, its attribute's name or a short one; `extra.NAME` is one that is not known.

    Raises:
        BadParameter: There is none of this name.
    """
    found = _BY_NAME.get(name.replace("_", "").lower())
    if found is not None:
        return Field(found)
    prefix, _, unknown = name.partition(".")
    if prefix == REST and unknown:
        return Field(unknown)
    raise click.BadParameter(
        f"there is no field {name!r}; there are {', '.join((ACCOUNT, *FIELDS, REST))}, and {REST}.NAME."
    )


_BY_NAME = {name.lower(): name for name in (ACCOUNT, *FIELDS, REST)} | _SHORT


def record_row(account: str | None, cluster: Cluster) -> dict[str, Any]:
    """Give a record by its wire names, after its account where there are several."""
    record = cluster.to_dict()
    if account is None:
        return record
    record.pop(ACCOUNT, None)  # one that the service sends would tell of another account
    return {ACCOUNT: account, **record}


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
    )


def column_of(field: Field) -> Column:
    """Give a table's column for any field."""
    for column in (_ACCOUNT_COLUMN, *_COLUMNS, *_OTHERS):
        if column.key == field.name:
            return column
    return Column(field.name, field.name, "cut")
