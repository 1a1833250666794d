"""The command `snapshot`: the whole listing as one JSON text, in a file or on standard output."""

from __future__ import annotations

import click

import aiozilliz
from aiozilliz.cli import process
from aiozilliz.cli.input import options, source
from aiozilliz.cli.output import console
from aiozilliz.cli.output.text import escape_json
from aiozilliz.cli.state import files


@options.command("snapshot")
@click.argument("file", required=False, shell_complete=options.complete_file)
@options.option("--allow-partial", "Overwrite FILE even if the new snapshot is incomplete.", is_flag=True)
@options.paging_options(verify=False)
@options.connection_options
def command(
    connection: source.Connection, paging: source.Paging, file: str | None, allow_partial: bool
) -> None:
    """Save the whole listing as JSON, in FILE or on standard output.

    `aiozilliz diff` compares two snapshots. With --all-orgs it is the report of all organisations. The list is read
    until the responses prove that it was exactly this at one moment. Without that proof the snapshot has "consistent":
    false, and standard error says so.

    FILE is written completely or not at all. With --all-orgs, one organisation's failure does not affect the others:
    they are written, and the exit status is 4. But a complete FILE is not overwritten with an incomplete snapshot,
    unless --allow-partial is given.

    Examples:
      aiozilliz snapshot clusters.json
      aiozilliz snapshot --all-orgs --allow-partial inventory.json
      aiozilliz snapshot --demo | jq '.clusters | length'
    """
    path = None if file in {None, "-"} else file
    if path is None:
        console.check_stdout()
    else:
        files.check_target(path)
    document = process.call(connection.collect(paging, to_stdout=path is None))
    failed = files.error_of(document)
    if isinstance(failed, aiozilliz.InventoryError):  # there is nothing to write
        raise failed
    doubt = files.doubt_of(document)
    if (failed or doubt) and path is not None and not allow_partial and _is_complete(path):
        left = f"{path} is complete and was not overwritten; --allow-partial overwrites it"
        console.print_error(left)
    else:
        _write(path, document.to_json())
    if failed is not None and doubt is not None:
        console.print_error(str(doubt))
    files.check_complete(document)


def _is_complete(path: str) -> bool:
    try:
        document = files.read_document(path) if files.is_replaceable(path) else None
    except files.FileError:  # it does not exist, or is something else
        return False
    if document is None or files.failures_of(document):
        return False
    return all(snapshot.consistent for _, snapshot in files.parts(document))


def _write(path: str | None, text: str) -> None:
    if path is not None:
        files.write_whole(path, text)
    elif console.stdout_is_terminal():
        ascii_only = not console.stdout_takes_unicode()
        console.emit("\n".join(escape_json(line, ascii_only=ascii_only) for line in text.split("\n")))
    else:
        console.write_exact_utf8()
        console.emit(text)
