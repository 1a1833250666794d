"""The commands of `aiozilliz`, and the words of their help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import aiozilliz
from aiozilliz.cli._options import (
    Connection,
    Listing,
    Output,
    connection_options,
    listing_options,
    output_options,
)
from aiozilliz.cli._output import make_writer
from aiozilliz.cli._run import NAME, call

if TYPE_CHECKING:
    from aiozilliz.cli._output import Writer

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

# A paragraph that begins with \b keeps its lines.
_HELP = """Show the clusters that a Zilliz Cloud API key can see, each exactly once.

\b
Try it without a key, then with yours:
  aiozilliz list --demo
  aiozilliz list --api-key-file FILE

Without --api-key-file the key comes from the environment variable ZILLIZ_API_KEY, else from the file in which the
official command line keeps it, ~/.zilliz/credentials. It is never an argument, as others could see it there.

Exit status: 0 all, 1 failed, 2 wrong usage or set-up, 3 the key is refused, 130 interrupted.
"""

_LIST_HELP = """List the clusters that the key can see.

On a terminal it prints a table, elsewhere one JSON object a line. JSON has the service's own field names, and all
fields that it sends. Where a listing fails half-way, what came before the error stands, a JSON array stays open, and
the exit status is not 0.

\b
Examples:
  aiozilliz list --demo
  aiozilliz list -o json > clusters.json
  aiozilliz list | jq -r 'select(.status != "RUNNING") | .clusterId'
  aiozilliz list --china --api-key-file ~/keys/zilliz-cn
  pass show zilliz | aiozilliz list --api-key-file - --verify
"""


@click.group(help=_HELP, context_settings=_SETTINGS)
@click.version_option(package_name=NAME, prog_name=NAME, message="%(prog)s %(version)s")
def group() -> None:
    """Hold the commands."""


@group.command("list", help=_LIST_HELP)
@output_options
@listing_options
@connection_options
def list_clusters(connection: Connection, listing: Listing, output: Output) -> None:
    """Write every cluster to standard output."""
    writer = make_writer(output.form, header=output.header)
    try:
        call(_write_all(connection, listing, writer))
    except aiozilliz.ZillizError:
        writer.finish(complete=False)
        raise
    writer.finish(complete=True)


async def _write_all(connection: Connection, listing: Listing, writer: Writer) -> None:
    async with connection.client() as client, listing.iterate(client) as clusters:
        async for cluster in clusters:
            writer.write(cluster)
