"""The command `watch`: what changes, as it changes."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

import click

from aiozilliz.cli.input.options import (
    complete_file,
    connection_options,
    finite_seconds,
    output_options,
    selection_options,
)
from aiozilliz.cli.output.changes import change_event_line, change_fields_rows, change_row
from aiozilliz.cli.output.console import emit, printable, while_stdout_is_read
from aiozilliz.cli.output.formats import Format, Layout, make_writer
from aiozilliz.cli.signals import call
from aiozilliz.cli.state.store import Journal

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiozilliz import ClusterEvent
    from aiozilliz.cli.input.filters import Output, Selection
    from aiozilliz.cli.input.source import Connection, Watch
    from aiozilliz.cli.state.files import Document

    Tell: TypeAlias = "Callable[[str | None, ClusterEvent], None]"

_SHARE = 10
"""Writing the whole state may take this part of the time at most; what was told since is in the journal."""

_HELP = """Print what changes in the listing, one line an event, until it is interrupted or the key is refused.

The listing is read at an interval. Only a reading that is proven whole counts, and a removal is told only when the
next reading agrees: an empty answer can be an incident. Outages are outlived and told on standard error.
The first reading tells every cluster as added, unless --state knows it already.

With --state FILE the watch goes on where it was, without a gap or a repeat, also after it was killed.
FILE holds a snapshot (with --all-orgs an inventory report); FILE.journal what was told since it was written.

\b
Examples:
  aiozilliz watch --demo --interval 2
  aiozilliz watch --state clusters.state -o jsonl >> events.jsonl
  aiozilliz watch --all-orgs --interval 300 --status ABNORMAL
"""


@click.command("watch", help=_HELP)
@output_options(
    Format.TABLE, Format.JSONL, Format.CSV, Format.YAML, default="table, a line of text an event", query=False
)
@selection_options
@click.option(
    "--interval",
    type=click.FloatRange(min=0, min_open=True, max=1e6),
    metavar="SECONDS",
    default=60.0,
    show_default=True,
    callback=finite_seconds,
    help="From one reading to the next.",
)
@click.option(
    "--confirmations",
    type=click.IntRange(min=1),
    metavar="N",
    default=2,
    show_default=True,
    help="Readings in a row that must miss a cluster before it is told as removed.",
)
@click.option(
    "--state",
    metavar="FILE",
    shell_complete=complete_file,
    help="Keep what was told in FILE, and go on from there.",
)
@connection_options
def command(
    connection: Connection,
    selection: Selection,
    output: Output,
    interval: float,
    confirmations: int,
    state: str | None,
) -> None:
    """Write each event to standard output."""
    tell = _teller(output, many=connection.all_orgs)
    with nullcontext() if state is None else Journal.open(state, many=connection.all_orgs) as journal:
        call(_tell_events(connection, selection, tell, journal, interval, confirmations))


async def _tell_events(
    connection: Connection,
    selection: Selection,
    tell: Tell,
    journal: Journal | None,
    interval: float,
    confirmations: int,
) -> None:
    since = journal.since if journal is not None else None
    async with while_stdout_is_read(), connection.open(changing=True) as source:
        watch = source.watch(interval=interval, since=since, confirmations=confirmations)
        keeper = _Keeper(journal, watch) if journal is not None else None
        try:
            async for account, event in watch:
                records = (event.cluster, event.previous)
                if not selection or any(record and selection.takes(record) for record in records):
                    tell(account, event)
                    await _stop_where_interrupted()
                if keeper is not None:
                    keeper.keep(account, event)
        finally:
            if keeper is not None:
                keeper.close()


async def _stop_where_interrupted() -> None:
    # An interrupt sends what is being written to nowhere, so the event may not have been told, and is not kept as told.
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        await asyncio.sleep(0)


class _Keeper:
    """Keeps the state of a watch: each event in the journal, and from time to time everything."""

    def __init__(self, journal: Journal, watch: Watch) -> None:
        self._journal = journal
        self._watch = watch
        self._kept: Document | None = None
        self._due = 0.0

    def keep(self, account: str | None, event: ClusterEvent) -> None:
        """Keep an event that was told."""
        self._journal.record(event, account)
        started = time.monotonic()
        if started >= self._due:
            self._commit()
            self._due = started + _SHARE * (time.monotonic() - started)

    def close(self) -> None:
        """Keep everything."""
        self._commit()

    def _commit(self) -> None:
        known = self._watch.known
        if known is not self._kept and self._journal.commit(known):
            self._kept = known


def _teller(output: Output, *, many: bool) -> Tell:
    form = output.form or Format.TABLE
    if form is Format.TABLE:
        return _tell_line
    fields = (
        "time",
        *(("account",) if many else ()),
        "kind",
        "clusterId",
        "clusterName",
        "field",
        "old",
        "new",
    )
    writer = make_writer(form, Layout((), fields, frozenset(fields)), header=output.header)

    def tell(account: str | None, event: ClusterEvent) -> None:
        change = (event.kind, event.cluster, event.previous, event.changed)
        if form is Format.CSV:
            for row in change_fields_rows(*change, account=account):
                writer.write({"time": _now(), **row})
        else:
            writer.write({"time": _now(), **change_row(*change, account=account)})

    return tell


def _tell_line(account: str | None, event: ClusterEvent) -> None:
    line = change_event_line(event.kind, event.cluster, event.previous, event.changed)
    named = [] if account is None else [printable(account)]
    emit("  ".join([_now(), *named, line]) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
