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
from aiozilliz.cli.output.columns import record_row
from aiozilliz.cli.output.console import stdout_is_file, stdout_is_terminal
from aiozilliz.cli.output.formats import Format
from aiozilliz.cli.process import PartialError, call

if TYPE_CHECKING:
    from aiozilliz.cli.input.filters import Arrangement, Output, Selection
    from aiozilliz.cli.input.source import Connection, Paging
    from aiozilliz.cli.output.formats import Writer

_HELP = """List the clusters that the key can see, each exactly once.

The default is a table on a terminal, and one JSON object per line elsewhere. Records have the service's own field
names: all fields that it sends in JSON and YAML; in CSV the documented ones, and the others as JSON in the column extra.
Records are written as they arrive, except for a table, --sort and --query, which need all of them first.

If a listing fails half-way, the records before the error are kept, a JSON array stays open, and the exit status is not
0. With --all-orgs, one organisation's failure does not affect the others: their records are written, the failures are
reported, and the exit status is 4.

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
    empty = "No cluster matches." if selection else "No clusters: the key is valid, but can see none."
    writer = arrangement.writer(output, many=connection.all_orgs, empty=empty, elsewhere=Format.JSONL)
    # On a terminal, or before a pager, records would run through the line of progress, unless all come at the end.
    progress = stdout_is_file() or (stdout_is_terminal() and not writer.streams)
    try:
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
            if selection.takes(cluster):
                writer.write(record_row(account, cluster))
