"""The command `report`: one self-contained HTML page about all clusters."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import click

import aiozilliz
from aiozilliz.cli.commands.diff import Side, compare
from aiozilliz.cli.commands.summary import TITLES, TOTAL, Summary, share
from aiozilliz.cli.input import options
from aiozilliz.cli.input.filters import Selection
from aiozilliz.cli.input.help import Command
from aiozilliz.cli.output import console
from aiozilliz.cli.output.changes import utc_text
from aiozilliz.cli.output.columns import record_row
from aiozilliz.cli.output.table import cell_text
from aiozilliz.cli.output.text import without_surrogates
from aiozilliz.cli.process import call, error_text
from aiozilliz.cli.state import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiozilliz.cli.input.source import Connection, Paging
    from aiozilliz.cli.output.changes import Change
    from aiozilliz.cli.state.files import Document

_COLUMNS: Final = (
    ("clusterName", "Name"),
    ("clusterId", "ID"),
    ("status", "Status"),
    ("plan", "Plan"),
    ("cuSize", "CU"),
    ("regionId", "Region"),
    ("createTime", "Created"),
    ("projectId", "Project"),
)


@click.command("report", cls=Command)
@options.option(
    "-o",
    "--output",
    metavar="FILE.html",
    required=True,
    envvar=None,
    shell_complete=options.complete_file,
    help="Write the page to FILE.html; - is standard output.",
)
@options.option(
    "--since",
    metavar="FILE",
    shell_complete=options.complete_file,
    help="Show what has changed since this snapshot.",
)
@options.from_option
@options.paging_options(verify=False)
@options.connection_options
def command(connection: Connection, paging: Paging, output: str, since: str | None) -> None:
    """Write one self-contained HTML page about all clusters.

    It has totals, what failed or is unproven, a table to search and sort, and with --since what has changed since an
    older snapshot. The page loads nothing, and runs no script but its own.

    Examples:
      aiozilliz report --demo -o inventory.html
      aiozilliz report --all-orgs -o inventory.html
      aiozilliz report --from today.json --since monday.json -o inventory.html
    """
    template = _template()  # a package that is missing is found out before a long reading
    older = None if since is None else files.read_document(since)
    if output == "-":
        console.check_stdout()
    else:
        files.check_target(output)
    document = call(connection.collect(paging))
    many = isinstance(document, aiozilliz.InventoryReport)
    if older is not None and many != isinstance(older, aiozilliz.InventoryReport):
        raise files.FileError(
            f"{since}: one is of many accounts and the other of one: they can't be compared"
        )
    page = template.render(
        **_of_document(document, connection),
        **({} if older is None or since is None else _of_changes(Side(since, older), Side("now", document))),
    )
    if output == "-":
        console.write_exact_utf8()
        console.emit(page)
    else:
        files.write_whole(output, page)
    files.check_complete(document)


def _template() -> Any:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415  # of an extra, and used by nothing else
    from markupsafe import Markup  # noqa: PLC0415  # as above

    folder = resources.files("aiozilliz.cli.output")
    texts = {name: folder.joinpath(f"report.{name}").read_text("utf-8") for name in ("html", "css", "js")}
    hashes = {
        name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for name, text in texts.items()
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, finalize=_finalize)
    environment.globals.update(
        style=Markup(texts["css"]),  # noqa: S704  # our own
        style_hash=hashes["css"],
        script=Markup(texts["js"]),  # noqa: S704  # our own
        script_hash=hashes["js"],
        version=aiozilliz.__version__,
        since=None,
    )
    return environment.from_string(texts["html"])


def _finalize(value: Any) -> Any:
    # What no encoding can hold; control characters have been escaped before.
    return without_surrogates(value) if type(value) is str else value


def _of_document(document: Document, connection: Connection) -> dict[str, Any]:
    many = isinstance(document, aiozilliz.InventoryReport)
    summary = Summary(many=many)
    rows: list[list[tuple[str, dict[str, Any]]]] = []
    columns = [{"title": title, "number": key == "cuSize"} for key, title in _COLUMNS]
    if many:
        columns.insert(0, {"title": "Account", "number": False})
    for account, snapshot in files.parts(document):
        for cluster in snapshot:
            summary.add(account, cluster)
            row = record_row(account, cluster)
            cells = [cell_text(row.get(key)) for key, _ in _COLUMNS]
            rows.append(list(zip(([cell_text(account)] if many else []) + cells, columns, strict=True)))
    total, *counts = summary.rows()
    accounts = [("Accounts", len(list(files.parts(document))))] if many else []
    base_url, keys = connection.identity
    return {
        "title": "Zilliz Cloud clusters",
        "taken_at": utc_text(document.taken_at),
        "source": "a file" if connection.stored is not None else f"{base_url} with {keys}",
        "problems": list(_problems(document)),
        "totals": [("Clusters", f"{total['clusters']:,}"), ("CU", f"{total['cuSize']:,}"), *accounts],
        "charts": list(_charts(counts, total["clusters"])),
        "columns": columns,
        "rows": rows,
    }


def _problems(document: Document) -> Iterator[tuple[str, str]]:
    for name, error in files.failures_of(document).items():
        yield cell_text(name), f"failed: {cell_text(error_text(error))}"
    for account, snapshot in files.parts(document):
        if not snapshot.consistent:
            yield cell_text(account), "the list could not be proven complete: clusters may be missing"


def _charts(counts: list[dict[str, Any]], total: int) -> Iterator[dict[str, Any]]:
    for by in dict.fromkeys(row["by"] for row in counts):
        bars = [
            {
                "value": cell_text(row["value"]) or "(none)",
                "clusters": row["clusters"],
                "cu": f"{row['cuSize']:,}",
                "share": share(row["clusters"], total),
            }
            for row in counts
            if row["by"] == by != TOTAL
        ]
        yield {"name": TITLES[by].lower(), "bars": bars, "most": max(bar["clusters"] for bar in bars)}


def _of_changes(older: Side, newer: Side) -> dict[str, Any]:
    difference = compare(older, newer, Selection())
    return {
        "since": utc_text(older.document.taken_at),
        "changes": list(map(_change, difference.changes)),
        "apart": [(cell_text(name), cell_text(reason)) for name, reason in difference.apart.items()],
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "kind": str(change.kind),
        "account": cell_text(change.account),
        "name": cell_text(change.cluster.cluster_name),
        "id": cell_text(change.cluster.cluster_id),
        "fields": [tuple(map(cell_text, values)) for values in change.shown_fields()],
    }
