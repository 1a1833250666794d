"""The command `history`: what a watch has reported, read back from its state."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

from aiozilliz.cli.input import filters, options
from aiozilliz.cli.output.changes import event_layout
from aiozilliz.cli.state import store

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_since(text: str | None) -> datetime | None:
    """Parse a time: ISO 8601, in local time if it has no offset, or how long ago, such as 90m, 24h, 7d or 2w.

    Returns:
        The time, aware, or None if there is none.

    Raises:
        BadParameter: It is neither.
    """
    if text is None:
        return None
    try:
        if ago := re.fullmatch(r"([0-9]{1,6})([mhdw])", text):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        fault = (
            f"{text!r} is no time: give one such as 2026-03-01T12:00:00Z, or how long ago, such as 24h or 7d."
        )
    raise click.BadParameter(fault)


@options.command("history")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@options.option("--state", "The state of a watch; required.", metavar="FILE", required=True)
@options.option("--since", "Only events since then: a time, or 24h, 7d.", metavar="TIME", parse=parse_since)
@options.output_options(default="table, a line per event")
@options.selection_options
def command(
    ids: tuple[str, ...],
    state: str,
    since: datetime | None,
    selection: filters.Selection,
    output: filters.Output,
) -> None:
    """Show the events that a watch has recorded in FILE, the oldest first. The watch may be running.

    With IDs, only the events of these clusters. The filters choose among the events as in `aiozilliz watch`.

    Examples:
      aiozilliz history --state clusters.db
      aiozilliz history --state clusters.db --since 7d in01-0123456789abcde
      aiozilliz history --state clusters.db --since 2026-03-01 --status ABNORMAL
    """
    changes = [
        change
        for change in store.read_history(state)
        if (not ids or change.cluster.cluster_id in ids)
        and (since is None or change.time is None or datetime.fromisoformat(change.time) >= since)
        and (
            selection.takes(change.cluster)
            or (change.previous is not None and selection.takes(change.previous))
        )
    ]
    writer = output.writer(event_layout(many=any(change.account for change in changes)))
    for change in changes:
        writer.write(change)
    writer.finish(complete=True)
