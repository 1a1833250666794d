"""Which records a command writes, in which order and with which fields: filters, sorting, columns, queries."""

from __future__ import annotations

import fnmatch
from collections import Counter
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, cast

import click
from attrs import frozen

from aiozilliz.cli.output import console, formats
from aiozilliz.cli.output.columns import Field, find_field, record_layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiozilliz import Cluster


FILTERS: Final = {
    "id": attrgetter("cluster_id"),
    "name": attrgetter("cluster_name"),
    "status": attrgetter("status"),
    "plan": attrgetter("plan"),
    "region": attrgetter("region_id"),
    "project": attrgetter("project_id"),
}
"""What clusters can be chosen by, and the value that a cluster has of it."""

_SHOWN: Final = 8
"""Values that a message names, at most."""


class Selection:
    """Which clusters a command is about: those that match a pattern of each kind for which there are any.

    A pattern is the exact text or a glob, and case does not matter.

    Args:
        **patterns: By the names of `FILTERS`. One text can hold several, separated by commas.
    """

    def __init__(self, **patterns: Sequence[str]) -> None:
        self._asked = {name: texts for name, texts in patterns.items() if texts}
        # A text is also an exact one as a whole, with its commas.
        self._patterns = {
            name: [pattern.casefold() for text in texts for pattern in (text, *_names(text))]
            for name, texts in self._asked.items()
        }
        self._seen: dict[str, Counter[str]] = {name: Counter() for name in self._patterns}

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def takes(self, cluster: Cluster) -> bool:
        """Return whether this cluster is one of them."""
        taken = True
        for name, patterns in self._patterns.items():
            value = FILTERS[name](cluster)
            self._seen[name][value] += 1
            taken = taken and _matches(patterns, value)
        return taken

    def describe_no_match(self) -> str:
        """Return that no cluster matches, and the values that there were."""
        asked = " ".join(f"--{name} {','.join(patterns)}" for name, patterns in self._asked.items())
        return f"no cluster matches {asked}. " + "; ".join(map(self._describe_seen, self._seen))

    def _describe_seen(self, name: str) -> str:
        seen = self._seen[name]
        more = f" and {len(seen) - _SHOWN:,} more" if len(seen) > _SHOWN else ""
        values = ", ".join(value or "(none)" for value, _ in seen.most_common(_SHOWN))
        return f"{name}: {values}{more}" if values else "There are no clusters at all"


def _matches(patterns: Sequence[str], text: str) -> bool:
    text = text.casefold()
    return any(text == pattern or fnmatch.fnmatchcase(text, pattern) for pattern in patterns)


@frozen
class Query:
    """A JMESPath expression that has been parsed."""

    text: str
    compiled: Any

    def search(self, rows: Sequence[Mapping[str, Any]]) -> Any:
        """Apply the expression to the array of rows.

        Returns:
            The result, which may be any JSON value.

        Raises:
            UsageError: The expression does not suit the rows.
        """
        import jmespath.exceptions  # noqa: PLC0415  # only if there is a query

        try:
            return self.compiled.search(list(rows))
        except jmespath.exceptions.JMESPathTypeError as error:
            # Its own text repeats the value, which may be the whole listing.
            wanted = " or ".join(error.expected_types)
            fault = f"{error.function_name}() expects {wanted}, not {error.actual_type}"
        except (ValueError, TypeError) as error:  # a step of 0, a comparison of a number with text
            fault = str(error)
        raise click.UsageError(f"--query {self.text!r} can't be applied to the records: {fault}")


def parse_query(text: str | None) -> Query | None:
    """Parse a JMESPath expression.

    Returns:
        The query, or None if there is no expression.

    Raises:
        BadParameter: It is not valid.
    """
    if text is None:
        return None
    import jmespath  # noqa: PLC0415  # only if there is a query
    import jmespath.exceptions  # noqa: PLC0415

    try:
        query = Query(text, jmespath.compile(text))
        _check_functions(query.compiled.parsed)
        return query
    except jmespath.exceptions.JMESPathError as error:
        fault = str(error)
    except RecursionError:
        fault = "it is nested too deep"
        text = f"{text[:_SHOWN]}…"
    raise click.BadParameter(f"{text!r} is not a JMESPath expression: {fault}")


def _check_functions(node: Any) -> None:
    # jmespath itself finds out only when it calls one, after everything has been read.
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
    """One field to sort by."""

    field: Field
    reverse: bool

    def of(self, row: Mapping[str, Any], *, many: bool) -> tuple[bool, int, Any, Any]:
        """Return a sort key that puts absent values last, numbers before text, and ignores the case of text."""
        value = self.field.of(row, many=many)
        if value is None or value == "":
            return not self.reverse, 0, 0, ""
        if isinstance(value, (int, float)):
            return self.reverse, 0, value, ""
        text = value if isinstance(value, str) else repr(value)
        return self.reverse, 1, text.casefold(), text


def parse_sort(text: str | None) -> tuple[SortKey, ...]:
    """Parse the fields to sort by.

    Returns:
        The sort keys, the most significant first.

    Raises:
        BadParameter: One is not known.
    """
    return tuple(SortKey(find_field(name.removeprefix("-")), name.startswith("-")) for name in _names(text))


def parse_columns(text: str | None) -> tuple[Field, ...]:
    """Parse the fields to show.

    Returns:
        The fields, in their order.

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
        header: Whether columns are named.
        query: What is applied to the array of rows, or None.
    """

    form: formats.Format | None = None
    header: bool = True
    query: Query | None = None

    def writer(
        self, layout: formats.Layout, *, elsewhere: formats.Format = formats.Format.TABLE
    ) -> formats.Writer:
        """Make the writer.

        Args:
            layout: How the rows look.
            elsewhere: The default format if standard output is no terminal.

        Returns:
            The writer.
        """
        form = self.form or (formats.Format.TABLE if console.stdout_is_terminal() else elsewhere)
        if self.query is not None:
            return _Queried(self.query, form, layout, header=self.header)
        return formats.make_writer(form, layout, header=self.header)


@frozen(kw_only=True)
class Arrangement:
    """The order of records and of their fields.

    Attributes:
        sort: The fields to sort by; none keep the service's order.
        columns: The fields to show; none show all.
    """

    sort: tuple[SortKey, ...] = ()
    columns: tuple[Field, ...] = ()

    def writer(self, output: Output, *, many: bool, empty: str, elsewhere: formats.Format) -> formats.Writer:
        """Make the writer of rows of `record_row`, as `Output.writer` does.

        Args:
            output: How rows are written.
            many: Whether they are of several accounts.
            empty: What to report on standard error if a table has no rows.
            elsewhere: The default format if standard output is no terminal.

        Returns:
            The writer.

        Raises:
            UsageError: Both columns and a query are given.
        """
        if self.columns and output.query is not None:
            raise click.UsageError("--columns and --query exclude each other: name the fields in the query.")
        layout = record_layout(many=many, empty=empty, chosen=self.columns)
        writer = output.writer(layout, elsewhere=elsewhere)
        return _Sorted(self.sort, writer, many=many) if self.sort else writer


class _Queried:
    """Keeps all rows, and writes the result of a query. Of an incomplete listing it writes nothing."""

    streams = False

    def __init__(self, query: Query, form: formats.Format, layout: formats.Layout, *, header: bool) -> None:
        self._query = query
        self._form = form
        self._record = layout.record
        self._header = header
        self._rows: list[Mapping[str, Any]] = []

    def write(self, row: Any) -> None:
        self._rows.append(self._record(row))

    def finish(self, *, complete: bool) -> None:
        if complete:
            formats.write_value(self._form, self._query.search(self._rows), header=self._header)


class _Sorted:
    """Keeps all rows, and passes them on in order."""

    streams = False

    def __init__(self, keys: Sequence[SortKey], writer: formats.Writer, *, many: bool) -> None:
        self._keys = keys
        self._writer = writer
        self._many = many
        self._rows: list[Mapping[str, Any]] = []

    def write(self, row: Mapping[str, Any]) -> None:
        self._rows.append(row)

    def finish(self, *, complete: bool) -> None:
        for key in reversed(self._keys):
            self._rows.sort(key=partial(key.of, many=self._many), reverse=key.reverse)
        for row in self._rows:
            self._writer.write(row)
        self._writer.finish(complete=complete)
