"""The command `watch`: changes of the listing, as they happen."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from aiozilliz.cli.input.options import (
    complete_file,
    connection_options,
    finite_seconds,
    output_options,
    selection_options,
)
from aiozilliz.cli.output.changes import Change, event_layout, utc_text
from aiozilliz.cli.output.console import while_stdout_is_read
from aiozilliz.cli.output.formats import Format
from aiozilliz.cli.process import call
from aiozilliz.cli.state.store import Journal

if TYPE_CHECKING:
    from aiozilliz import ClusterEvent
    from aiozilliz.cli.input.filters import Output, Selection
    from aiozilliz.cli.input.source import Connection, Source
    from aiozilliz.cli.output.formats import Writer
    from aiozilliz.cli.state.files import Document

_SHARE = 10
"""Writing the whole state may take one part in this many of the time; the journal has the events since then."""

_HELP = """Print changes of the listing, one line per event, until it is interrupted or the key is refused.

The listing is read at an interval. Only a reading that is proven complete counts, and a removal is reported only after
the next reading confirms it: an empty response can be an incident. Outages are logged to standard error, and the watch
continues. The first reading reports every cluster as added, unless --state knows it already.

With --state FILE the watch resumes where it stopped, without a gap or a repeat, even after it was killed. FILE is a
snapshot (with --all-orgs an inventory report), and FILE.journal has the events since it was written.

\b
Examples:
  aiozilliz watch --demo --interval 2
  aiozilliz watch --state clusters.state -o jsonl >> events.jsonl
  aiozilliz watch --all-orgs --interval 300 --status ABNORMAL
"""


@click.command("watch", help=_HELP)
@output_options(
    Format.TABLE,
    Format.JSONL,
    Format.CSV,
    Format.YAML,
    default="table, one line of text per event",
    query=False,
)
@selection_options
@click.option(
    "--interval",
    type=click.FloatRange(min=0, min_open=True, max=1e6),
    metavar="SECONDS",
    default=60.0,
    show_default=True,
    callback=finite_seconds,
    help="Time between two readings.",
)
@click.option(
    "--confirmations",
    type=click.IntRange(min=1),
    metavar="N",
    default=2,
    show_default=True,
    help="Consecutive readings that must miss a cluster before its removal is reported.",
)
@click.option(
    "--state",
    metavar="FILE",
    shell_complete=complete_file,
    help="Keep the reported state in FILE, and resume from it.",
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
    writer = output.writer(event_layout(many=connection.all_orgs), gather=False)
    with nullcontext() if state is None else Journal.open(state, many=connection.all_orgs) as journal:
        call(_write_events(connection, selection, writer, journal, interval, confirmations))


async def _write_events(
    connection: Connection,
    selection: Selection,
    writer: Writer,
    journal: Journal | None,
    interval: float,
    confirmations: int,
) -> None:
    since = journal.since if journal is not None else None
    async with while_stdout_is_read(), connection.open(changing=True) as source:
        keeper = _Keeper(journal, source) if journal is not None else None
        try:
            async for account, event in source.watch(
                interval=interval, since=since, confirmations=confirmations
            ):
                if selection.takes(event.cluster) or (event.previous and selection.takes(event.previous)):
                    now = utc_text(datetime.now(UTC))
                    writer.write(
                        Change(event.kind, event.cluster, event.previous, event.changed, account, now)
                    )
                    await _stop_if_interrupted()
                if keeper is not None:
                    keeper.keep(account, event)
        finally:
            if keeper is not None:
                keeper.keep_all()


async def _stop_if_interrupted() -> None:
    # An interrupt discards what is being written, so the event may not have been reported and must not be kept.
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        await asyncio.sleep(0)


class _Keeper:
    """Keeps the state of a watch: each event in the journal, and from time to time everything."""

    def __init__(self, journal: Journal, source: Source) -> None:
        self._journal = journal
        self._source = source
        self._kept: Document | None = None
        self._due = 0.0

    def keep(self, account: str | None, event: ClusterEvent) -> None:
        """Keep an event that has been reported."""
        self._journal.record(event, account)
        started = time.monotonic()
        if started >= self._due:
            self.keep_all()
            self._due = started + _SHARE * (time.monotonic() - started)

    def keep_all(self) -> None:
        """Keep everything."""
        known = self._source.known
        if known is not self._kept and self._journal.commit(known):
            self._kept = known
