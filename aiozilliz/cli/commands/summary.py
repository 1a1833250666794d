"""The command `summary`: how many clusters and CUs there are, by account, plan, region and status."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import click

from aiozilliz.cli.input.options import (
    complete_names,
    connection_options,
    output_options,
    paging_options,
    parsed_by,
    selection_options,
)
from aiozilliz.cli.output.formats import Format, Layout
from aiozilliz.cli.output.table import Column, TableWriter
from aiozilliz.cli.process import PartialError
from aiozilliz.cli.signals import call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from aiozilliz import Cluster
    from aiozilliz.cli.input.filters import Output, Selection
    from aiozilliz.cli.input.source import Connection, Paging
    from aiozilliz.cli.output.formats import Writer

ACCOUNT = "account"
TOTAL = "total"

_ATTRIBUTES = {
    "plan": "plan",
    "region": "region_id",
    "status": "status",
    "project": "project_id",
    "cuType": "cu_type",
}
DIMENSIONS = (ACCOUNT, *_ATTRIBUTES)
"""What `--by` takes, and the rows of it have as keys."""

USUAL = ("plan", "region", "status")
"""What is counted each by itself, where nothing is asked for."""

_TITLES = {name: "CU TYPE" if name == "cuType" else name.upper() for name in DIMENSIONS}
_BY_NAME = {name.lower(): name for name in DIMENSIONS}

_HELP = """Count the clusters that the key can see, and add up their CUs.

It counts by plan, region and status, each by itself, with --all-orgs by account too. --by counts combinations
instead. The largest come first. The filters choose what is counted.

It prints a table, on a terminal and elsewhere. In the other formats a row has the keys by, value, clusters and cuSize,
beginning with that of the total; with --by it has what was named there in place of by and value.

Nothing is printed of a listing that fails. With --all-orgs the organisations that fail are left out wholly and told,
and the exit status is 4.

\b
Examples:
  aiozilliz summary --demo
  aiozilliz summary --all-orgs --status RUNNING
  aiozilliz summary --by plan,region -o csv > summary.csv
  aiozilliz summary --query "[?by=='region' && cuSize > `100`].value"
"""


class Summary:
    """Counts clusters, and adds up their CUs.

    Args:
        by: The dimensions whose combinations are counted; none counts the total and each of the usual ones by itself.
        many: Whether there are several accounts, so that the usual dimensions begin with the account.
    """

    def __init__(self, by: Sequence[str] = (), *, many: bool = False) -> None:
        self._by = tuple(by)
        self._dimensions = self._by or ((ACCOUNT, *USUAL) if many else USUAL)
        self._values = _values_of(self._dimensions)
        self._clusters: Counter[tuple[str, ...]] = (
            Counter()
        )  # keys are the account and a value of each dimension
        self._cus: Counter[tuple[str, ...]] = Counter()

    def add(self, account: str | None, cluster: Cluster) -> None:
        """Count one more.

        Args:
            account: Its account's name, or None where there is one account only.
            cluster: The cluster.
        """
        name = account or ""
        key = (name, *self._values(name, cluster))
        self._clusters[key] += 1
        self._cus[key] += cluster.cu_size

    def drop(self, account: str) -> None:
        """Forget what was counted of an account."""
        for key in [key for key in self._clusters if key[0] == account]:
            del self._clusters[key], self._cus[key]

    def rows(self) -> list[dict[str, Any]]:
        """Give the counts, the largest first, and equal ones in the order of their values."""
        if self._by:
            return [
                {**dict(zip(self._by, values, strict=True)), **numbers}
                for values, numbers in self._counted(slice(1, None))
            ]
        total = {"by": TOTAL, "value": "", "clusters": self._clusters.total(), "cuSize": self._cus.total()}
        return [
            total,
            *(
                {"by": dimension, "value": value, **numbers}
                for place, dimension in enumerate(self._dimensions, 1)
                for (value,), numbers in self._counted(slice(place, place + 1))
            ),
        ]

    def _counted(self, part: slice) -> Iterator[tuple[tuple[str, ...], dict[str, int]]]:
        clusters: Counter[tuple[str, ...]] = Counter()
        cus: Counter[tuple[str, ...]] = Counter()
        for key, number in self._clusters.items():
            clusters[key[part]] += number
            cus[key[part]] += self._cus[key]
        for values in sorted(clusters, key=lambda values: (-clusters[values], values)):
            yield values, {"clusters": clusters[values], "cuSize": cus[values]}


def _values_of(dimensions: Iterable[str]) -> Callable[[str, Cluster], list[str]]:
    getters = [attrgetter(_ATTRIBUTES[name]) if name != ACCOUNT else None for name in dimensions]

    def values(account: str, cluster: Cluster) -> list[str]:
        return [account if get is None else str(get(cluster)) for get in getters]

    return values


def parse_by(text: str | None) -> tuple[str, ...]:
    """Read the names of dimensions.

    Raises:
        BadParameter: One is not known, or none is named.
    """
    if text is None:
        return ()
    found: dict[str, None] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name = _BY_NAME.get(part.replace("_", "").lower())
        if name is None:
            raise click.BadParameter(f"there is no {part!r} to count by; there are {', '.join(DIMENSIONS)}.")
        found[name] = None
    if not found:
        raise click.BadParameter("name at least one of " + ", ".join(DIMENSIONS) + ".")
    return tuple(found)


class BlocksWriter:
    """A table of the rows of a `Summary`: one block for the total and one for each dimension.

    Args:
        header: Whether columns and blocks have headings.
    """

    def __init__(self, *, header: bool = True) -> None:
        self._header = header
        headings = dict.fromkeys(_TITLES.values(), "bold")
        # The headings are rows, so that all blocks have the same columns.
        self._table = TableWriter(
            (
                Column("value", "VALUE", "cut", headings),
                *(Column(c.key, c.title, c.kind, {c.title: "bold"}) for c in _NUMBERS),
            ),
            header=False,
        )
        self._block = TOTAL
        self._total = 0
        if header:
            self._table.write({column.key: column.title for column in _NUMBERS})

    def write(self, row: Mapping[str, Any]) -> None:
        """Take the next row; that of the total comes first."""
        block = row["by"]
        if block == TOTAL:
            self._total = row["clusters"]
        elif block != self._block:
            self._block = block
            self._table.write({})
            if self._header:
                self._table.write({"value": _TITLES[block]})
        name = "Total" if block == TOTAL else _named(row["value"])
        self._table.write({"value": name, **_numbers(row, self._total)})

    def finish(self, *, complete: bool) -> None:
        """Write the table."""
        self._table.finish(complete=complete)


class CombinationsWriter:
    """A table of the rows of a `Summary` by combinations. Numbers come first: they are shown however little room there is.

    Args:
        by: The dimensions.
        header: Whether columns have headings.
    """

    def __init__(self, by: Sequence[str], *, header: bool = True) -> None:
        self._by = by
        columns = (*_NUMBERS, *(Column(name, _TITLES[name], "cut") for name in by))
        self._table = TableWriter(columns, header=header, empty="No cluster to count.")
        self._rows: list[Mapping[str, Any]] = []

    def write(self, row: Mapping[str, Any]) -> None:
        """Keep the row: its share depends on all."""
        self._rows.append(row)

    def finish(self, *, complete: bool) -> None:
        """Write the table."""
        total = sum(row["clusters"] for row in self._rows)
        for row in self._rows:
            self._table.write({**{name: _named(row[name]) for name in self._by}, **_numbers(row, total)})
        self._table.finish(complete=complete)


_NUMBERS = (
    Column("clusters", "CLUSTERS", "number"),
    Column("share", "SHARE", "number"),
    Column("cuSize", "CU", "number"),
)


def _named(value: str) -> str:
    return value or "(none)"


def _numbers(row: Mapping[str, Any], total: int) -> dict[str, str]:
    return {
        "clusters": f"{row['clusters']:,}",
        "share": share(row["clusters"], total),
        "cuSize": f"{row['cuSize']:,}",
    }


def share(part: int, total: int) -> str:
    """Give a part as whole per cent. Only nothing is 0%, and only all is 100%."""
    if not total:
        return ""
    per_cent = round(100 * part / total)
    if per_cent == 0 and part:
        return "<1%"
    return ">99%" if per_cent == 100 and part < total else f"{per_cent}%"  # noqa: PLR2004  # that is what per cent are


def _make_writer(output: Output, by: Sequence[str]) -> Writer:
    if output.query is None and output.form in {None, Format.TABLE}:
        return CombinationsWriter(by, header=output.header) if by else BlocksWriter(header=output.header)
    fields = (*(by or ("by", "value")), "clusters", "cuSize")
    return output.writer(Layout(columns=(), fields=fields, known=frozenset(fields)))


@click.command("summary", help=_HELP)
@click.option(
    "--by",
    metavar="NAMES",
    callback=parsed_by(parse_by),
    shell_complete=complete_names(DIMENSIONS),
    help=f"Count the combinations of these, separated by commas: {', '.join(DIMENSIONS)}.",
)
@output_options()
@selection_options
@paging_options()
@connection_options
def command(
    connection: Connection,
    paging: Paging,
    selection: Selection,
    output: Output,
    by: tuple[str, ...],
) -> None:
    """Write the counts to standard output."""
    writer = _make_writer(output, by)
    summary = Summary(by, many=connection.all_orgs)
    failure = call(_count(connection, paging, selection, summary))
    for row in summary.rows():
        writer.write(row)
    writer.finish(complete=True)
    if failure is not None:
        raise failure


async def _count(
    connection: Connection, paging: Paging, selection: Selection, summary: Summary
) -> PartialError | None:
    try:
        async with connection.open(paging, progress=True) as source:
            async for account, cluster in source.iterate():
                if not selection or selection.takes(cluster):
                    summary.add(account, cluster)
    except PartialError as error:
        for name in error.failures:
            summary.drop(name)
        return error
    return None
