"""One change of a cluster: as a row for programs, as lines for people, and field by field."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aiozilliz.cli.output.console import json_text, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiozilliz import Cluster, EventKind

ABSENT = object()
"""Stands for the value of a field that a record does not have."""

SIGNS = {"added": "+", "removed": "-", "modified": "~"}
"""What a line about a change begins with, by kind."""


def wire_name(attribute: str) -> str:
    """Give the service's name of an attribute of `Cluster`: `clusterId` for `cluster_id`."""
    return re.sub("_([a-z])", lambda letter: letter[1].upper(), attribute)


def change_row(
    kind: EventKind | str,
    cluster: Cluster,
    previous: Cluster | None,
    changed: Sequence[str],
    *,
    account: str | None = None,
) -> dict[str, Any]:
    """Give a change as JSON-ready values.

    Args:
        kind: `added`, `removed` or `modified`.
        cluster: The record; of a removed cluster the last one known.
        previous: The record before, or None.
        changed: Names of the attributes that differ.
        account: The account it belongs to, or None where there is but one.
    """
    row: dict[str, Any] = {"kind": str(kind)}
    if account is not None:
        row["account"] = account
    row["cluster"] = cluster.to_dict()
    row["previous"] = None if previous is None else previous.to_dict()
    row["changed"] = [wire_name(name) for name in changed]
    return row


def change_fields_rows(
    kind: EventKind | str,
    cluster: Cluster,
    previous: Cluster | None,
    changed: Sequence[str],
    *,
    account: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Give a change as flat rows: one for each field that differs, or one alone where a cluster came or went.

    Arguments as for `change_row`. A field that a record does not have is None.
    """
    row: dict[str, Any] = {"kind": str(kind)}
    if account is not None:
        row["account"] = account
    row |= {"clusterId": cluster.cluster_id, "clusterName": cluster.cluster_name}
    if kind != "modified":
        yield {**row, "field": None, "old": None, "new": None}
        return
    for name, *values in changed_fields(cluster, previous, changed):
        old, new = (None if value is ABSENT else value for value in values)
        yield {**row, "field": name, "old": old, "new": new}


def changed_fields(
    cluster: Cluster, previous: Cluster | None, changed: Sequence[str]
) -> Iterator[tuple[str, Any, Any]]:
    """Give wire name, old and new value of each field that differs, those in `extra` each by its own name.

    Args:
        cluster: The newer record.
        previous: The older record; without it there are no fields.
        changed: Names of the attributes that differ.
    """
    if previous is None:
        return
    names = [wire_name(attribute) for attribute in changed if attribute != "extra"]
    if "extra" in changed:
        old, new = previous.extra, cluster.extra
        differing = (
            name
            for name in {**old, **new}
            if name not in names and old.get(name, ABSENT) != new.get(name, ABSENT)
        )
        names += sorted(differing)
    before, after = previous.to_dict(), cluster.to_dict()
    for name in names:
        yield name, before.get(name, ABSENT), after.get(name, ABSENT)


def change_line(kind: EventKind | str, cluster: Cluster) -> str:
    """Give a change on one line: a sign for its kind, and what tells the cluster from others."""
    parts = [cluster.cluster_id, cluster.cluster_name]
    if kind != "modified":
        parts += [str(cluster.status), str(cluster.plan), f"{cluster.cu_size} CU", cluster.region_id]
    return printable(f"{SIGNS[kind]} {'  '.join(part for part in parts if part)}")


def change_lines(
    kind: EventKind | str, cluster: Cluster, previous: Cluster | None, changed: Sequence[str]
) -> list[str]:
    """Give a change as `change_line` does, and below it, where a cluster was modified, a line for each field."""
    lines = [change_line(kind, cluster)]
    if kind == "modified":
        lines += [f"    {told}" for told in _told(cluster, previous, changed)]
    return lines


def change_event_line(
    kind: EventKind | str, cluster: Cluster, previous: Cluster | None, changed: Sequence[str]
) -> str:
    """Give all that `change_lines` gives on one line."""
    parts = [change_line(kind, cluster)]
    if kind == "modified":
        parts += _told(cluster, previous, changed)
    return "  ".join(parts)


def _told(cluster: Cluster, previous: Cluster | None, changed: Sequence[str]) -> Iterator[str]:
    for name, old, new in changed_fields(cluster, previous, changed):
        yield f"{printable(name)}: {_shown(old)} -> {_shown(new)}"


def _shown(value: Any) -> str:
    if value is ABSENT:
        return "(absent)"
    if isinstance(value, str) and value:
        return printable(value)
    return json_text(value)
