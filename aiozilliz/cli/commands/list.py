"""The command `list`: every cluster, as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import aiozilliz
from aiozilliz.cli import process
from aiozilliz.cli.input import filters, options
from aiozilliz.cli.output import columns, console, formats

if TYPE_CHECKING:
    from aiozilliz.cli.input.source import Connection, Paging


_FAIL_IF = click.Choice(["found", "none"])


@options.command("list")
@options.output_options(default="table on a terminal, else jsonl")
@options.selection_options
@options.arrangement_options
@options.option("--fail-if", "Exit with status 1 if there are clusters, or none.", type=_FAIL_IF)
@options.from_option
@options.paging_options()
@options.connection_options
def command(
    connection: Connection,
    paging: Paging,
    selection: filters.Selection,
    arrangement: filters.Arrangement,
    output: filters.Output,
    fail_if: str | None,
) -> None:
    """List the clusters that the key can see, each exactly once.

    The default is a table on a terminal, and one JSON object per line elsewhere. Records have the service's own field
    names: all fields that it sends in JSON and YAML; in CSV the documented ones, and the others as JSON in the column
    extra. Records are written as they arrive, except for a table, --sort, --query and several organisations.

    If a listing fails half-way, the records before the error are kept, a JSON array stays open, and the exit status is
    not 0. With --all-orgs, one organisation's failure does not affect the others: their records are written, the
    failures are reported, and the exit status is 4.

    Examples:
      aiozilliz list --demo
      aiozilliz list -o json > clusters.json
      aiozilliz list --status 'STOP*,ABNORMAL' --region 'aws-*' --sort -cu,name
    """
    empty = "" if selection else "No clusters: the key is valid, but can see none."
    writer = arrangement.writer(output, many=connection.many, empty=empty, elsewhere=formats.Format.JSONL)
    # On a terminal, or before a pager, records would run through the line of progress, unless all come at the end.
    progress = console.stdout_is_file() or (console.stdout_is_terminal() and not writer.streams)
    listing = _Listing(selection, writer)
    failure: Exception | None = None
    try:
        process.call(listing.write(connection, paging, progress=progress))
    except (
        process.PartialError,
        process.CommandError,
    ) as error:  # the others' records, or those of an unproven file, are whole
        failure = error
    except aiozilliz.ZillizError:
        writer.finish(complete=False)
        raise
    writer.finish(complete=True)
    if selection and not listing.found:
        console.print_error(selection.describe_no_match())
    if failure is not None:
        raise failure
    if fail_if == ("found" if listing.found else "none"):
        raise click.exceptions.Exit(process.FAILED)


class _Listing:
    """Writes the clusters that are selected, and counts them."""

    def __init__(self, selection: filters.Selection, writer: formats.Writer) -> None:
        self._selection = selection
        self._writer = writer
        self.found = 0

    async def write(self, connection: Connection, paging: Paging, *, progress: bool) -> None:
        async with console.while_stdout_is_read(), connection.open(paging, progress=progress) as source:
            async for account, cluster in source.iterate():
                if self._selection.takes(cluster):
                    self.found += 1
                    self._writer.write(columns.record_row(account, cluster))
