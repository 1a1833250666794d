"""The command `list`: every cluster, as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import aiozilliz
from aiozilliz.cli.input.options import (
    arrangement_options,
    connection_options,
    output_options,
    paging_options,
    selection_options,
)
from aiozilliz.cli.output.columns import record_layout, record_row
from aiozilliz.cli.output.console import stdout_is_file, stdout_is_terminal
from aiozilliz.cli.output.formats import Format
from aiozilliz.cli.process import PartialError
from aiozilliz.cli.signals import call

if TYPE_CHECKING:
    from aiozilliz.cli.input.filters import Arrangement, Output, Selection
    from aiozilliz.cli.input.source import Connection, Paging
    from aiozilliz.cli.output.formats import Writer

_HELP = """List the clusters that the key can see, each exactly once.

On a terminal it prints a table, elsewhere one JSON object a line. Records have the service's own field names, and in
JSON and YAML all fields that it sends; CSV has those that it documents, and the others as JSON in the column extra.
Records are written as they come, but for a table, --sort and --query, which need all of them first.

Where a listing fails half-way, what came before the error stands, a JSON array stays open, and the exit status is not
0. With --all-orgs one organisation's failure costs the others nothing: all that can be had is written, the failures
are told, and the exit status is 4.

\b
Examples:
  aiozilliz list --demo
  aiozilliz list -o json > clusters.json
  aiozilliz list --all-orgs -o csv --verify > clusters.csv
  aiozilliz list --status 'STOP*' --region 'aws-*' --sort -cuSize,name
  aiozilliz list --columns id,name,cu,extra.deploymentOption
  aiozilliz list --query "[?cuSize > `4`].{id: clusterId, cu: cuSize}"
  aiozilliz list | jq -r 'select(.status != "RUNNING") | .clusterId'
  pass show zilliz | aiozilliz list --china --api-key-file -
"""


@click.command("list", help=_HELP)
@output_options(default="table on a terminal, jsonl elsewhere")
@selection_options
@arrangement_options
@paging_options()
@connection_options
def command(
    connection: Connection,
    paging: Paging,
    selection: Selection,
    arrangement: Arrangement,
    output: Output,
) -> None:
    """Write every cluster to standard output."""
    empty = "No cluster matches." if selection else "No clusters: the key is good, but sees none."
    layout = record_layout(many=connection.all_orgs, empty=empty)
    writer = arrangement.writer(output, layout, elsewhere=Format.JSONL)
    try:
        # On a terminal, or behind a pager, records would run through the line of progress, unless all come at the end.
        at_the_end = stdout_is_terminal() and output.form in {None, Format.TABLE}
        progress = at_the_end or stdout_is_file()
        call(_write_all(connection, paging, selection, writer, progress=progress))
    except PartialError:
        writer.finish(complete=True)
        raise
    except aiozilliz.ZillizError:
        writer.finish(complete=False)
        raise
    writer.finish(complete=True)


async def _write_all(
    connection: Connection, paging: Paging, selection: Selection, writer: Writer, *, progress: bool
) -> None:
    async with connection.open(paging, progress=progress) as source:
        async for account, cluster in source.iterate():
            if not selection or selection.takes(cluster):
                writer.write(record_row(account, cluster))
