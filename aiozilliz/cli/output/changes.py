"""One change of a cluster: as an object for programs, as flat rows for CSV, and as lines for people."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from aiozilliz.cli.output import columns, console, formats
from aiozilliz.cli.output.table import cut
from aiozilliz.cli.output.text import json_text, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from aiozilliz import Cluster, EventKind

ABSENT = object()
"""The value of a field that a record does not have."""

_SIGNS = {"added": "+", "removed": "-", "modified": "~"}
_COLOURS = {"+": "green", "-": "red", "~": "yellow", "@": "cyan"}
_TIME = "time"
_KIND = "kind"
_FLAT = ("clusterId", "clusterName", "field", "old", "new")


@frozen
class Change:
    """A change of one cluster.

    Attributes:
        kind: `added`, `removed` or `modified`.
        cluster: The record; of a removed cluster the last one known.
        previous: The record before, or None.
        changed: Names of the attributes that differ.
        account: The account's name, or None if there is only one.
        time: When it was seen, as text, or None.
    """

    kind: EventKind | str
    cluster: Cluster
    previous: Cluster | None = None
    changed: tuple[str, ...] = ()
    account: str | None = None
    time: str | None = None

    def record(self) -> dict[str, Any]:
        """Return the change as JSON-ready values, with both records."""
        return self._head() | {
            "cluster": self.cluster.to_dict(),
            "previous": None if self.previous is None else self.previous.to_dict(),
            "changed": [wire_name(name) for name in self.changed],
        }

    def flat(self) -> Iterator[dict[str, Any]]:
        """Flatten the change into rows.

        Yields:
            One row per field that differs, or a single one if the cluster was added or removed. A value that a record
            does not have is None.
        """
        head = self._head() | {"clusterId": self.cluster.cluster_id, "clusterName": self.cluster.cluster_name}
        if self.kind != "modified":
            yield {**head, "field": None, "old": None, "new": None}
            return
        for name, *values in self.fields():
            old, new = (None if value is ABSENT else value for value in values)
            yield {**head, "field": name, "old": old, "new": new}

    def fields(self) -> Iterator[tuple[str, Any, Any]]:
        """Return wire name, old and new value of each field that differs, those in `extra` under their own names."""
        if self.previous is None:
            return
        names = [wire_name(attribute) for attribute in self.changed if attribute != "extra"]
        before, after = self.previous.to_dict(), self.cluster.to_dict()
        if "extra" in self.changed:
            # As JSON, true is not 1; and null is nothing, as for the difference itself.
            names += sorted(
                name
                for name in {**self.previous.extra, **self.cluster.extra}
                if name not in names and json_text(before.get(name)) != json_text(after.get(name))
            )
        for name in names:
            yield name, before.get(name, ABSENT), after.get(name, ABSENT)

    def shown_fields(self) -> Iterator[tuple[str, str, str]]:
        """Return the fields that differ as text for people."""
        for name, old, new in self.fields() if self.kind == "modified" else ():
            yield printable(name), _shown(old), _shown(new)

    def line(self) -> str:
        """Return one line: a sign for the kind, and what distinguishes the cluster from others."""
        cluster = self.cluster
        parts = [cluster.cluster_id, cluster.cluster_name]
        if self.kind != "modified":
            parts += [str(cluster.status), str(cluster.plan), f"{cluster.cu_size} CU", cluster.region_id]
        return printable(f"{_SIGNS[self.kind]} {'  '.join(part for part in parts if part)}")

    def lines(self) -> list[str]:
        """Return the line, and below it a line per field that differs."""
        return [self.line(), *(f"    {text}" for text in self._differences())]

    def event_line(self) -> str:
        """Return everything on one line, after time and account if they are known."""
        account = None if self.account is None else printable(self.account)
        return "  ".join([*filter(None, (self.time, account)), self.line(), *self._differences()])

    def _head(self) -> dict[str, Any]:
        time = {} if self.time is None else {_TIME: self.time}
        account = {} if self.account is None else {columns.ACCOUNT: self.account}
        return time | {_KIND: str(self.kind)} | account

    def _differences(self) -> Iterator[str]:
        for name, old, new in self.shown_fields():
            yield f"{name}: {old} -> {new}"


@frozen
class NotCompared:
    """An account of which not all is compared, and why: a row among the changes."""

    account: str
    reason: str
    kind = "notCompared"

    def record(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return {_KIND: self.kind, columns.ACCOUNT: self.account, "reason": self.reason}

    def flat(self) -> Iterator[dict[str, Any]]:
        """Yield it as a row."""
        yield {_KIND: self.kind, columns.ACCOUNT: self.account, "field": "reason", "new": self.reason}

    def lines(self) -> list[str]:
        """Return the line for it."""
        return [printable(f"@@ {self.account} @@ {self.reason}")]


class LinesWriter:
    """Lines for people, in the place of a table, which could not hold changes.

    Args:
        lines: Returns the lines of a change.
        heading: Returns the line above the changes of one account, which follow each other; None if there are none.
        head: Lines before the first change.
        foot: Lines after the last change.
        empty: What to report if there are no lines at all and standard error is a terminal.
        fit: Whether a line is cut to the width of a terminal.
        header: Not used: there are no columns to name.
    """

    streams = True

    def __init__(
        self,
        lines: Callable[[Any], Iterable[str]],
        *,
        heading: Callable[[Any], str] | None = None,
        head: Iterable[str] = (),
        foot: Iterable[str] = (),
        empty: str = "",
        fit: bool = False,
        header: bool = True,
    ) -> None:
        del header
        self._width = console.stdout_width() if fit and console.stdout_is_terminal() else None
        self._lines = lines
        self._heading = heading
        self._group = ""
        self._before = [*head]
        self._foot = foot
        self._empty = empty
        self._colour = console.stdout_has_colour()

    def write(self, row: Any) -> None:
        """Write the lines of a row, after the heading of its account."""
        if self._heading is not None and (group := self._heading(row)) != self._group:
            self._group = group
            self._before += filter(None, [group])
        self._put(self._lines(row), _SIGNS.get(getattr(row, "kind", ""), ""))

    def finish(self, *, complete: bool) -> None:  # noqa: ARG002  # the lines of a watch have no end
        """Write the last lines."""
        self._put(self._foot)
        if self._empty and console.stderr_is_terminal():
            console.report(self._empty)

    def _put(self, lines: Iterable[str], sign: str = "") -> None:
        lines = [*self._before, *(cut(line, self._width) if self._width else line for line in lines)]
        if lines:
            self._before = []
            self._empty = ""
            console.emit("".join(f"{_painted(line, sign) if self._colour else line}\n" for line in lines))


def event_layout(*, many: bool) -> formats.Layout:
    """Return the layout of changes with their times, each written at once.

    Args:
        many: Whether they are of several accounts.
    """
    return formats.Layout(
        table=partial(LinesWriter, lambda change: (change.event_line(),), fit=True),
        fields=(_TIME, *((columns.ACCOUNT,) if many else ()), _KIND, *_FLAT),
        record=Change.record,
        flat=Change.flat,
    )


def changes_layout(*, many: bool, head: Sequence[str], foot: Sequence[str]) -> formats.Layout:
    """Return the layout of all changes between two listings, and of what was not compared.

    Args:
        many: Whether they are of several accounts, which then have a heading each.
        head: Lines of text before the changes.
        foot: Lines of text after them.
    """
    return formats.Layout(
        table=partial(
            LinesWriter,
            lambda row: row.lines(),
            heading=_heading if many else None,
            head=head,
            foot=foot,
            empty="No changes.",
        ),
        fields=(_KIND, *((columns.ACCOUNT,) if many else ()), *_FLAT),
        record=lambda row: row.record(),
        flat=lambda row: row.flat(),
    )


def _heading(row: Change | NotCompared) -> str:
    return printable(f"@@ {row.account} @@") if isinstance(row, Change) else ""


def utc_text(moment: datetime) -> str:
    """Return an aware UTC time as text, to the second."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def wire_name(attribute: str) -> str:
    """Return the service's name of an attribute of `Cluster`: `clusterId` for `cluster_id`."""
    return re.sub("_([a-z])", lambda letter: letter[1].upper(), attribute)


def _painted(line: str, sign: str) -> str:
    # The line of an event begins with its time, other lines with their sign.
    colour = _COLOURS.get(line[:1]) or (_COLOURS.get(sign) if line[:1].isdecimal() else None)
    bold = line.startswith(("---", "+++")) or None
    return line if colour is None else click.style(line, fg=colour, bold=bold)


def _shown(value: Any) -> str:
    if value is ABSENT:
        return "(absent)"
    return printable(value) if isinstance(value, str) and value else json_text(value)
