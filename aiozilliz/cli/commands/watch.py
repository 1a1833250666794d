"""The command `watch`: changes of the listing, as they happen."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from aiozilliz import EventKind
from aiozilliz.cli import process
from aiozilliz.cli.input import filters, options
from aiozilliz.cli.input.source import Service
from aiozilliz.cli.output import changes, console, formats, progress
from aiozilliz.cli.output.text import printable
from aiozilliz.cli.state import files, store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiozilliz import ClusterEvent
    from aiozilliz.cli.input.source import Connection


_CONFIRMATIONS = "Readings in a row that must miss a cluster before its removal is reported; 2 by default."


@options.command("watch")
@options.output_options(
    formats.Format.TABLE,
    formats.Format.JSONL,
    formats.Format.CSV,
    formats.Format.YAML,
    default="table, a line per event",
    query=False,
)
@options.selection_options
@options.option("--interval", "Time between two readings; 60 by default.", default=60.0, **options.SECONDS)
@options.advanced("--confirmations", _CONFIRMATIONS, default=2, **options.COUNT)
@options.option("--state", "Keep what has been reported, and resume from it.", metavar="FILE")
@options.option("--changes-only", "Don't print the first reading, only what changes.", is_flag=True)
@options.connection_options
def command(
    connection: Connection,
    selection: filters.Selection,
    output: filters.Output,
    interval: float,
    confirmations: int,
    state: str | None,
    changes_only: bool,
) -> None:
    """Print changes of the listing, one line per event, until it is interrupted.

    It ends by itself only when the key is refused. The listing is read at an interval. Only a reading that is proven
    complete counts, and a removal is reported only after the next reading confirms it: an empty response can be an
    incident. Outages are logged to standard error, and the watch continues. The first reading reports every cluster as
    added, unless --state knows it already.

    With --state FILE the watch resumes where it stopped, without a gap or a repeat, even after it was killed. FILE is
    an SQLite database with the tables clusters and events, which others can read; `aiozilliz history` shows the events.

    Examples:
      aiozilliz watch --demo --interval 2
      aiozilliz watch --state clusters.db -o jsonl >> events.jsonl
      aiozilliz watch --all-orgs --interval 300 --status ABNORMAL --changes-only
    """
    many = connection.many
    writer = output.writer(changes.event_layout(many=many))
    process.timestamps()
    opened = None if state is None else store.WatchState.open(state, *connection.identity, many=many)
    with opened or nullcontext():
        watch = _Watch(connection, selection, writer, opened, changes_only=changes_only)
        process.call(watch.run(interval, confirmations))


class _Watch:
    """Writes each event, then records it: a process that is killed in between writes it again, but records it once."""

    def __init__(
        self,
        connection: Connection,
        selection: filters.Selection,
        writer: formats.Writer,
        state: store.WatchState | None,
        *,
        changes_only: bool,
    ) -> None:
        self._connection = connection
        self._selection = selection
        self._writer = writer
        self._state = state
        self._changes_only = changes_only
        self._begun: set[str] = set() if state is None else state.begun
        self._noting = False
        self._readings = 0
        self._last = (time.monotonic(), "")

    async def run(self, interval: float, confirmations: int) -> None:
        since = self._state.since if self._state is not None else None
        async with console.while_stdout_is_read(), self._connection.open(changing=True) as source:
            assert isinstance(source, Service)
            events = source.watch(interval=interval, since=since, confirmations=confirmations)
            async with progress.show_progress(partial(self._alive, source)):
                await self._report(source, events)

    async def _report(self, source: Service, events: AsyncIterator[tuple[str | None, ClusterEvent]]) -> None:
        try:
            async for account, event in events:
                now = changes.utc_text(datetime.now(UTC))
                change = changes.Change(
                    event.kind, event.cluster, event.previous, event.changed, account, now
                )
                if self._is_shown(change, source):
                    self._writer.write(change)
                    await _stop_if_interrupted()
                if self._state is not None:
                    self._state.record([change])
                if not self._noting:
                    # The events of a reading come in one turn of the loop, so this runs when it has been reported.
                    self._noting = True
                    asyncio.get_running_loop().call_soon(self._note_begun, source)
        finally:
            self._note_begun(source)

    def _is_shown(self, change: changes.Change, source: Service) -> bool:
        first = (
            change.kind == EventKind.ADDED
            and (change.account or "") not in self._begun
            and source.readings.get(change.account or "") == 1
        )
        if self._changes_only and first:
            return False
        takes = self._selection.takes
        return takes(change.cluster) or (change.previous is not None and takes(change.previous))

    def _alive(self, source: Service) -> str:
        """Return the line of a terminal that shows that the watch goes on."""
        if self._readings != (readings := sum(source.readings.values())) and source.known is not None:
            self._readings = readings
            clusters = sum(len(snapshot) for _, snapshot in files.parts(source.known))
            self._last = (time.monotonic(), f"{datetime.now().astimezone():%H:%M:%S}, {clusters:,} clusters")
        ago, last = time.monotonic() - self._last[0], self._last[1]
        down = f"NO ANSWER from {', '.join(map(printable, source.outages))}; " if source.outages else ""
        return f"{down}last reading {last} ({ago:.0f} s ago)" if last else f"{down}reading ({ago:.0f} s)"

    def _note_begun(self, source: Service) -> None:
        """Note whose first reading has been reported completely: what is added from now on is a change."""
        self._noting = False
        known = source.known
        new = [
            account or ""
            for account, snapshot in (files.parts(known) if known is not None else ())
            if snapshot.consistent and (account or "") not in self._begun
        ]
        if new and self._state is not None:
            self._state.record([], begun=new)
        self._begun.update(new)
        if new and console.stderr_is_terminal():
            names = ", ".join(filter(None, new))
            console.report(
                f"First reading complete{f': {names}' if names else ''}. Watching for changes; Ctrl-C ends it."
            )


async def _stop_if_interrupted() -> None:
    # An interrupt discards what is being written, so the event may not have been reported and must not be recorded.
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        await asyncio.sleep(0)
