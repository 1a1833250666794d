"""Which records a command gives, in which order, with which fields: filters, sorting, columns, queries."""

from __future__ import annotations

import fnmatch
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import click
from attrs import evolve, frozen

from aiozilliz.cli.output.columns import ACCOUNT, Field, column_of, find_field
from aiozilliz.cli.output.console import stdout_is_terminal
from aiozilliz.cli.output.formats import Format, Layout, Writer, make_writer, write_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiozilliz import Cluster


@frozen(kw_only=True)
class Selection:
    """Which clusters are given: those that match a pattern of each kind for which there are any.

    A pattern is the exact text, or a glob; both without regard to case.
    """

    plan: tuple[str, ...] = ()
    region: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    project: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.plan or self.region or self.status or self.project)

    def takes(self, cluster: Cluster) -> bool:
        """Whether this cluster is one of them."""
        return (
            _matches(self.plan, cluster.plan)
            and _matches(self.region, cluster.region_id)
            and _matches(self.status, cluster.status)
            and _matches(self.project, cluster.project_id)
        )


def _matches(patterns: Sequence[str], text: str) -> bool:
    text = text.casefold()
    return not patterns or any(
        text == pattern.casefold() or fnmatch.fnmatchcase(text, pattern.casefold()) for pattern in patterns
    )


@frozen
class Query:
    """A JMESPath expression, read already."""

    text: str
    compiled: Any

    def search(self, rows: Sequence[Mapping[str, Any]]) -> Any:
        """Give what the expression makes of the rows.

        Raises:
            UsageError: It does not suit what is there.
        """
        import jmespath.exceptions  # noqa: PLC0415  # only where it is asked for

        try:
            return self.compiled.search(list(rows))
        except jmespath.exceptions.JMESPathTypeError as error:
            # Its own text repeats the value, which may be the whole listing.
            wanted = " or ".join(error.expected_types)
            fault = f"{error.function_name}() takes {wanted}, and was given {error.actual_type}"
        except (ValueError, TypeError) as error:  # a step of 0, a comparison of a number with text
            fault = str(error)
        raise click.UsageError(f"--query {self.text!r} does not suit the records: {fault}")


def parse_query(text: str | None) -> Query | None:
    """Read a JMESPath expression.

    Raises:
        BadParameter: It is none.
    """
    if text is None:
        return None
    import jmespath  # noqa: PLC0415  # only where it is asked for
    import jmespath.exceptions  # noqa: PLC0415

    try:
        query = Query(text, jmespath.compile(text))
        _check_functions(query.compiled.parsed)
        return query
    except jmespath.exceptions.JMESPathError as error:
        fault = str(error)
    raise click.BadParameter(f"{text!r} is no JMESPath expression: {fault}")


def _check_functions(node: Any) -> None:
    # jmespath itself finds out only where it calls one, when everything has been read.
    import jmespath.exceptions  # noqa: PLC0415
    import jmespath.functions  # noqa: PLC0415

    if not isinstance(node, dict):
        return
    parsed = cast("dict[str, Any]", node)
    if (
        parsed["type"] == "function_expression"
        and parsed["value"] not in jmespath.functions.Functions.FUNCTION_TABLE
    ):
        raise jmespath.exceptions.UnknownFunctionError(f"Unknown function: {parsed['value']}()")
    for child in parsed["children"]:
        _check_functions(child)


@frozen
class SortKey:
    """One field to order by."""

    field: Field
    reverse: bool

    def of(self, row: Mapping[str, Any], *, many: bool) -> tuple[int, Any, Any]:
        """Give what is compared: numbers before text, text without regard to case."""
        value = self.field.of(row, many=many)
        if isinstance(value, (int, float)):
            return 0, value, ""
        text = value if isinstance(value, str) else repr(value)
        return 1, text.casefold(), text


def parse_sort(text: str | None) -> tuple[SortKey, ...]:
    """Read the fields to order by.

    Raises:
        BadParameter: One is not known.
    """
    return tuple(SortKey(find_field(name.removeprefix("-")), name.startswith("-")) for name in _names(text))


def parse_columns(text: str | None) -> tuple[Field, ...]:
    """Read the fields to give.

    Raises:
        BadParameter: One is not known, or none is named.
    """
    if text is not None and not _names(text):
        raise click.BadParameter("name at least one field.")
    return tuple(dict.fromkeys(find_field(name) for name in _names(text)))


def _names(text: str | None) -> list[str]:
    return [name for name in (part.strip() for part in (text or "").split(",")) if name]


@frozen(kw_only=True)
class Output:
    """How rows are written.

    Attributes:
        form: The format, or None for the command's default.
        header: Whether the columns are named.
        query: What is to be made of all rows.
    """

    form: Format | None = None
    header: bool = True
    query: Query | None = None

    def writer(self, layout: Layout, *, elsewhere: Format = Format.TABLE) -> Writer:
        """Make the writer.

        Args:
            layout: Of the rows.
            elsewhere: The default format where standard output is no terminal.
        """
        form = self.form or (Format.TABLE if stdout_is_terminal() else elsewhere)
        if self.query is not None:
            return _Queried(self.query, form, header=self.header)
        return make_writer(form, layout, header=self.header, gather=True)


@frozen(kw_only=True)
class Arrangement:
    """The order of records and of their fields.

    Attributes:
        sort: What to order by; nothing leaves the service's order.
        columns: What to give; nothing gives everything.
    """

    sort: tuple[SortKey, ...] = ()
    columns: tuple[Field, ...] = ()

    def writer(self, output: Output, layout: Layout, *, elsewhere: Format) -> Writer:
        """Make the writer, as `Output.writer` does.

        Raises:
            UsageError: Columns are chosen and a query as well.
        """
        if self.columns and output.query is not None:
            raise click.UsageError("--columns and --query exclude each other: name the fields in the query.")
        writer = output.writer(self._chosen(layout), elsewhere=elsewhere)
        many = ACCOUNT in layout.known
        if self.columns:
            writer = _Chosen(self.columns, writer, many=many)
        return _Sorted(self.sort, writer, many=many) if self.sort else writer

    def _chosen(self, layout: Layout) -> Layout:
        if not self.columns:
            return layout
        names = tuple(field.name for field in self.columns)
        columns = tuple(column_of(field) for field in self.columns)
        return evolve(layout, columns=columns, fields=names, known=frozenset(names))


class _Queried:
    """Keeps all rows, and writes what a query makes of them. Of an incomplete listing it writes nothing."""

    def __init__(self, query: Query, form: Format, *, header: bool) -> None:
        self._query = query
        self._form = form
        self._header = header
        self._rows: list[Mapping[str, Any]] = []

    def write(self, row: Mapping[str, Any]) -> None:
        self._rows.append(row)

    def finish(self, *, complete: bool) -> None:
        if complete:
            write_value(self._form, self._query.search(self._rows), header=self._header)


class _Sorted:
    """Keeps all rows, and hands them on in order."""

    def __init__(self, keys: Sequence[SortKey], writer: Writer, *, many: bool) -> None:
        self._keys = keys
        self._writer = writer
        self._many = many
        self._rows: list[Mapping[str, Any]] = []

    def write(self, row: Mapping[str, Any]) -> None:
        self._rows.append(row)

    def finish(self, *, complete: bool) -> None:
        for key in reversed(self._keys):
            there, absent = self._parted(key.field)
            there.sort(key=partial(key.of, many=self._many), reverse=key.reverse)
            self._rows = there + absent
        for row in self._rows:
            self._writer.write(row)
        self._writer.finish(complete=complete)

    def _parted(self, field: Field) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
        there: list[Mapping[str, Any]] = []
        absent: list[Mapping[str, Any]] = []
        for row in self._rows:
            (absent if field.of(row, many=self._many) in (None, "") else there).append(row)
        return there, absent


class _Chosen:
    """Takes the chosen fields out of each row."""

    def __init__(self, fields: Sequence[Field], writer: Writer, *, many: bool) -> None:
        self._fields = fields
        self._writer = writer
        self._many = many

    def write(self, row: Mapping[str, Any]) -> None:
        self._writer.write({field.name: field.of(row, many=self._many) for field in self._fields})

    def finish(self, *, complete: bool) -> None:
        self._writer.finish(complete=complete)
