"""The command `describe`: one cluster, all its fields, down the screen."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from aiozilliz.cli.input import options
from aiozilliz.cli.input.help import Command
from aiozilliz.cli.output.changes import LinesWriter
from aiozilliz.cli.output.columns import FIELDS, REST, record_row, unknown_fields
from aiozilliz.cli.output.console import while_stdout_is_read
from aiozilliz.cli.output.formats import Layout
from aiozilliz.cli.output.table import cell_text
from aiozilliz.cli.output.text import printable
from aiozilliz.cli.process import CommandError, PartialError, call

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiozilliz.cli.input.filters import Output
    from aiozilliz.cli.input.source import Connection, Paging


@click.command("describe", cls=Command)
@click.argument("cluster_id", metavar="ID")
@options.output_options(default="table, a line per field")
@options.from_option
@options.paging_options()
@options.connection_options
def command(connection: Connection, paging: Paging, output: Output, cluster_id: str) -> None:
    """Show all fields of the cluster ID. With several organisations all are searched.

    Examples:
      aiozilliz describe in01-0123456789abcde
      aiozilliz describe --all-orgs in01-0123456789abcde -o yaml
    """
    found, failure = call(_find(connection, paging, cluster_id))
    if found is None:
        raise failure or CommandError(
            f"there is no cluster {cluster_id!r}; `aiozilliz list --columns id,name` shows those that there are"
        )
    many = connection.many
    layout = Layout(
        table=partial(LinesWriter, _lines),
        fields=(*(("account",) if many else ()), *FIELDS, REST),
        flat=lambda row: ({**row, REST: unknown_fields(row, many=many)},),
    )
    writer = output.writer(layout)
    writer.write(found)
    writer.finish(complete=True)


async def _find(
    connection: Connection, paging: Paging, cluster_id: str
) -> tuple[dict[str, Any] | None, Exception | None]:
    """Return the row of a cluster; or None, and the error that may have hidden it."""
    try:
        async with while_stdout_is_read(), connection.open(paging, progress=True) as source:
            async for account, cluster in source.iterate():
                if cluster.cluster_id == cluster_id:
                    return record_row(account, cluster), None
    except (PartialError, CommandError) as error:
        return None, error
    return None, None


def _lines(row: Mapping[str, Any]) -> Iterator[str]:
    width = max(map(len, row)) + 1
    for name, value in row.items():
        yield f"{printable(name) + ':':<{width}}  {cell_text(value)}".rstrip()
