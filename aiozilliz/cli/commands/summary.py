"""The command `summary`: how many clusters and CUs there are, by account, plan, region and status."""

from __future__ import annotations

from collections import Counter
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import click

from aiozilliz.cli import process
from aiozilliz.cli.input import filters, options
from aiozilliz.cli.output import console, formats
from aiozilliz.cli.output.columns import ACCOUNT
from aiozilliz.cli.output.table import Column, TableWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aiozilliz import Cluster
    from aiozilliz.cli.input.source import Connection, Paging

TOTAL = "total"

_VALUES = {
    "plan": attrgetter("plan"),
    "region": attrgetter("region_id"),
    "status": attrgetter("status"),
    "project": attrgetter("project_id"),
    "cuType": attrgetter("cu_type"),
}
DIMENSIONS = (ACCOUNT, *_VALUES)
"""The values of `--by`, and the keys of its rows."""

USUAL = ("plan", "region", "status")
"""The dimensions that are counted one by one without `--by`."""

TITLES = {name: "CU TYPE" if name == "cuType" else name.upper() for name in DIMENSIONS}
_BY_NAME = {name.lower(): name for name in DIMENSIONS}
_NUMBERS = (
    Column("clusters", "CLUSTERS", "number"),
    Column("share", "SHARE", "number"),
    Column("cuSize", "CU", "number"),
)


class Summary:
    """Counts clusters, and adds up their CUs.

    Args:
        by: The dimensions whose combinations are counted. None counts the total and the usual dimensions one by one.
        many: Whether there are several accounts, so that the usual dimensions begin with the account.
    """

    def __init__(self, by: Sequence[str] = (), *, many: bool = False) -> None:
        self._by = tuple(by)
        self._dimensions = self._by or ((ACCOUNT, *USUAL) if many else USUAL)
        self._found: list[tuple[str, Cluster]] = []

    @property
    def total(self) -> int:
        """How many clusters are counted."""
        return len(self._found)

    def add(self, account: str | None, cluster: Cluster) -> None:
        """Count one more cluster.

        Args:
            account: Its account's name, or None if there is only one.
            cluster: The cluster.
        """
        self._found.append((account or "", cluster))

    def drop(self, account: str) -> None:
        """Remove the clusters of an account."""
        self._found = [found for found in self._found if found[0] != account]

    def rows(self) -> list[dict[str, Any]]:
        """Return the counts, the largest first, and equal ones in the order of their values."""
        if self._by:
            return [
                {**dict(zip(self._by, values, strict=True)), **numbers}
                for values, numbers in self._counted(self._by)
            ]
        ((_, total),) = [*self._counted(())] or [((), {"clusters": 0, "cuSize": 0})]
        parts = (
            {"by": dimension, "value": value, **numbers}
            for dimension in self._dimensions
            for (value,), numbers in self._counted((dimension,))
        )
        return [{"by": TOTAL, "value": "", **total}, *parts]

    def cells(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Return the cells in a table of one of the `rows`, with its share of the total."""
        names = self._by or ("value",)
        total = row.get("by") == TOTAL
        return {
            **{name: "Total" if total else row[name] or "(none)" for name in names},
            "clusters": f"{row['clusters']:,}",
            "share": share(row["clusters"], self.total),
            "cuSize": f"{row['cuSize']:,}",
        }

    def _counted(self, names: Sequence[str]) -> Iterator[tuple[tuple[str, ...], dict[str, int]]]:
        clusters: Counter[tuple[str, ...]] = Counter()
        cus: Counter[tuple[str, ...]] = Counter()
        for account, cluster in self._found:
            key = tuple(account if name == ACCOUNT else str(_VALUES[name](cluster)) for name in names)
            clusters[key] += 1
            cus[key] += cluster.cu_size
        for values in sorted(clusters, key=lambda values: (-clusters[values], values)):
            yield values, {"clusters": clusters[values], "cuSize": cus[values]}


def parse_by(text: str | None) -> tuple[str, ...]:
    """Parse the names of dimensions.

    Returns:
        The names.

    Raises:
        BadParameter: One is not known, or none is named.
    """
    if text is None:
        return ()
    found: dict[str, None] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name = _BY_NAME.get(part.replace("_", "").lower())
        if name is None:
            raise click.BadParameter(f"there is no dimension {part!r}. Known are {', '.join(DIMENSIONS)}.")
        found[name] = None
    if not found:
        raise click.BadParameter("name at least one of " + ", ".join(DIMENSIONS) + ".")
    return tuple(found)


def share(part: int, total: int) -> str:
    """Return a part in whole per cent. Only nothing is 0%, and only everything is 100%."""
    if not total:
        return ""
    per_cent = round(100 * part / total)
    if per_cent == 0 and part:
        return "<1%"
    return ">99%" if per_cent == 100 and part < total else f"{per_cent}%"  # noqa: PLR2004  # that is what per cent are


def _layout(summary: Summary, by: Sequence[str]) -> formats.Layout:
    # Combinations have their numbers first: these are shown however little room there is.
    columns = (
        (*_NUMBERS, *(Column(name, TITLES[name], "cut") for name in by))
        if by
        else (Column("value", "", "cut"), *_NUMBERS)
    )
    write_table = partial(
        TableWriter,
        columns,
        cells=summary.cells,
        heading=None if by else lambda row: TITLES.get(row["by"], ""),
        empty="No cluster to count.",
    )
    return formats.Layout(table=write_table, fields=(*(by or ("by", "value")), "clusters", "cuSize"))


@options.command("summary")
@options.option(
    "--by", f"Count by {', '.join(DIMENSIONS)}.", metavar="NAMES", parse=parse_by, offer=DIMENSIONS
)
@options.output_options(*formats.Format)
@options.selection_options
@options.from_option
@options.paging_options()
@options.connection_options
def command(
    connection: Connection,
    paging: Paging,
    selection: filters.Selection,
    output: filters.Output,
    by: tuple[str, ...],
) -> None:
    """Count the clusters that the key can see, and add up their CUs.

    Clusters are counted by plan, by region and by status, with --all-orgs by account too. --by counts combinations
    instead. The largest come first. The filters choose what is counted.

    The default is a table, on a terminal and elsewhere. In the other formats a row has the keys by, value, clusters and
    cuSize, and the first row is the total; with --by the names given there replace by and value.

    If a listing fails, nothing is printed. With --all-orgs, organisations that fail are left out and reported, and the
    exit status is 4.

    Examples:
      aiozilliz summary --all-orgs --status RUNNING
      aiozilliz summary --by plan,region -o csv > summary.csv
      aiozilliz summary -o prometheus > /var/lib/node_exporter/zilliz.prom
    """
    summary = Summary(by, many=connection.many)
    writer = output.writer(_layout(summary, by))
    failure = process.call(_count(connection, paging, selection, summary))
    for row in summary.rows():
        writer.write(row)
    writer.finish(complete=True)
    if selection and not summary.total:
        console.print_error(selection.describe_no_match())
    if failure is not None:
        raise failure


async def _count(
    connection: Connection, paging: Paging, selection: filters.Selection, summary: Summary
) -> Exception | None:
    try:
        async with console.while_stdout_is_read(), connection.open(paging, progress=True) as source:
            async for account, cluster in source.iterate():
                if selection.takes(cluster):
                    summary.add(account, cluster)
    except process.PartialError as error:
        for name in error.failures:
            summary.drop(name)
        return error
    except process.CommandError as error:  # a file that is not proven complete
        return error
    return None
