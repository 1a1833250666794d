"""The command `snapshot`: the whole listing as one JSON text, in a file or on standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import aiozilliz
from aiozilliz.cli.input.options import complete_file, connection_options, paging_options
from aiozilliz.cli.output.console import (
    check_stdout,
    complain,
    emit,
    escape_json,
    stdout_is_terminal,
    stdout_takes_unicode,
    write_exact_utf8,
)
from aiozilliz.cli.process import CommandError, accounts_error
from aiozilliz.cli.signals import call
from aiozilliz.cli.state.files import (
    FileError,
    check_target,
    is_replaceable,
    parts,
    read_document,
    write_whole,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiozilliz.cli.input.source import Connection, Paging
    from aiozilliz.cli.state.files import Document

_HELP = """Save the whole listing as JSON, in FILE or on standard output.

`aiozilliz diff` compares two of them, and `aiozilliz watch --state` goes on from one. With --all-orgs it is the report
of all organisations. The list is read until the answers prove that it was exactly this at one moment; where the proof
does not succeed, the text says "consistent": false, and standard error says so.

FILE is written whole or not at all. With --all-orgs, one organisation's failure costs the others nothing: theirs is
written, and the exit status is 4. But a FILE that is whole is not replaced by one that is not, unless --allow-partial.

\b
Examples:
  aiozilliz snapshot clusters.json
  aiozilliz snapshot --all-orgs --allow-partial inventory.json
  aiozilliz snapshot --demo | jq '.clusters | length'
"""


def _check_format(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if value != "json":
        raise click.BadParameter(
            f"{value!r} is no format of a snapshot, which is always json. "
            "The file is an argument of its own: aiozilliz snapshot FILE."
        )
    return value


@click.command("snapshot", help=_HELP)
@click.argument("file", required=False, shell_complete=complete_file)
@click.option(
    "-o",
    "--output",
    metavar="json",
    default="json",
    callback=_check_format,
    expose_value=False,
    help="Format; json is the only one.",
)
@click.option(
    "--allow-partial", is_flag=True, help="Replace FILE also where it is whole and the new one is not."
)
@paging_options(verify=False)
@connection_options
def command(connection: Connection, paging: Paging, file: str | None, allow_partial: bool) -> None:
    """Write the listing to a file, or to standard output."""
    path = None if file in {None, "-"} else file
    if path is None:
        check_stdout()
    else:
        check_target(path)
    document = call(connection.collect(paging))
    failures: Mapping[str, Exception] = {}
    if isinstance(document, aiozilliz.InventoryReport):
        failures = document.failures
    failed = accounts_error(failures, len(failures) + len(list(parts(document)))) if failures else None
    if failed is not None and not list(parts(document)):
        raise failed
    doubt = _doubt(document)
    if (failed or doubt) and path is not None and not allow_partial and _holds_whole(path):
        left = f"{path} is whole, so it was left as it is; --allow-partial replaces it"
        if failed is None:
            raise CommandError(f"{doubt}. {left}")
        complain(left)
        raise failed
    _write(path, document.to_json())
    if doubt:
        complain(doubt)
    if failed is not None:
        raise failed


def _doubt(document: Document) -> str:
    """Say what could not be proven, or nothing."""
    names = [name for name, snapshot in parts(document) if not snapshot.consistent]
    of = f" of {', '.join(name for name in names if name)}" if any(names) else ""
    return f"the listing{of} could not be proven whole: it may lack clusters" if names else ""


def _holds_whole(path: str) -> bool:
    try:
        document = read_document(path) if is_replaceable(path) else None
    except FileError:  # there is none, or it holds something else
        return False
    if document is None or (isinstance(document, aiozilliz.InventoryReport) and document.failures):
        return False
    return all(snapshot.consistent for _, snapshot in parts(document))


def _write(path: str | None, text: str) -> None:
    if path is not None:
        write_whole(path, text)
    elif stdout_is_terminal():
        ascii_only = not stdout_takes_unicode()
        emit("\n".join(escape_json(line, ascii_only=ascii_only) for line in text.split("\n")))
    else:
        write_exact_utf8()
        emit(text)
