"""The command `report`: one self-contained HTML page about all clusters."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Any, Final, cast

import aiozilliz
from aiozilliz.cli import process
from aiozilliz.cli.commands.diff import Side, compare
from aiozilliz.cli.commands.summary import TITLES, Summary, share
from aiozilliz.cli.input import filters, options, source
from aiozilliz.cli.output import changes, console
from aiozilliz.cli.output.columns import record_row
from aiozilliz.cli.output.text import printable, without_surrogates
from aiozilliz.cli.state import files

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


@options.command("report")
@options.option(
    "-o --output", "Write to it; - is standard output.", metavar="FILE.html", required=True, envvar=None
)
@options.option("--since", "Show what has changed since this snapshot.", metavar="FILE")
@options.from_option
@options.paging_options(verify=False)
@options.connection_options
def command(connection: source.Connection, paging: source.Paging, output: str, since: str | None) -> None:
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
    document = process.call(connection.collect(paging, to_stdout=output == "-"))
    many = isinstance(document, aiozilliz.InventoryReport)
    if older is not None and many != isinstance(older, aiozilliz.InventoryReport):
        raise files.FileError(f"{since}: one is of many accounts, the other of one: they can't be compared")
    summary, parts = Summary(many=many), list(files.parts(document))
    for account, snapshot in parts:
        for cluster in snapshot:
            summary.add(account, cluster)
    base_url, keys = connection.identity
    page = template.render(
        document=document,
        parts=parts,
        failures=files.failures_of(document),
        columns=((("account", "Account"),) if many else ()) + _COLUMNS,
        counts=summary.rows(),
        source="a file" if connection.stored is not None else f"{base_url} with {keys}",
        older=older,
        difference=older and compare(Side(since or "", older), Side("now", document), filters.Selection()),
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
        f"{name}_hash": base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for name, text in texts.items()
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, finalize=_finalize)
    cast("Any", environment.globals).update(
        hashes,
        style=Markup(texts["css"]),  # noqa: S704  # our own
        script=Markup(texts["js"]),  # noqa: S704  # our own
        version=aiozilliz.__version__,
        titles=TITLES,
        share=share,
        row_of=record_row,
        utc=changes.utc_text,
        error_text=process.error_text,
    )
    return environment.from_string(texts["html"])


def _finalize(value: Any) -> Any:
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return without_surrogates(printable(value))
    return "" if value is None else value
