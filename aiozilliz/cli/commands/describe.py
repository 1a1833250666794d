"""The command `describe`: one cluster, all its fields, down the screen."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from aiozilliz.cli import process
from aiozilliz.cli.input import filters, options
from aiozilliz.cli.output import changes, columns, console, formats
from aiozilliz.cli.output.table import cell_text
from aiozilliz.cli.output.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiozilliz.cli.input.source import Connection, Paging


@options.command("describe")
@click.argument("cluster_id", metavar="ID")
@options.output_options(default="table, a line per field")
@options.from_option
@options.paging_options()
@options.connection_options
def command(connection: Connection, paging: Paging, output: filters.Output, cluster_id: str) -> None:
    """Show all fields of the cluster ID. With several organisations all are searched.

    Examples:
      aiozilliz describe in01-0123456789abcde
      aiozilliz describe --all-orgs in01-0123456789abcde -o yaml
    """
    found, failure = process.call(_find(connection, paging, cluster_id))
    if found is None:
        raise failure or process.CommandError(
            f"there is no cluster {cluster_id!r}; `aiozilliz list --columns id,name` shows those that there are"
        )
    many = connection.many
    layout = formats.Layout(
        table=partial(changes.LinesWriter, _lines),
        fields=(*(("account",) if many else ()), *columns.FIELDS, columns.REST),
        flat=lambda row: ({**row, columns.REST: columns.unknown_fields(row, many=many)},),
    )
    writer = output.writer(layout)
    writer.write(found)
    writer.finish(complete=True)


async def _find(
    connection: Connection, paging: Paging, cluster_id: str
) -> tuple[dict[str, Any] | None, Exception | None]:
    """Return the row of a cluster; or None, and the error that may have hidden it."""
    try:
        async with console.while_stdout_is_read(), connection.open(paging, progress=True) as source:
            async for account, cluster in source.iterate():
                if cluster.cluster_id == cluster_id:
                    return columns.record_row(account, cluster), None
    except (process.PartialError, process.CommandError) as error:
        return None, error
    return None, None


def _lines(row: Mapping[str, Any]) -> Iterator[str]:
    width = max(map(len, row)) + 1
    for name, value in row.items():
        yield f"{printable(name) + ':':<{width}}  {cell_text(value)}".rstrip()
