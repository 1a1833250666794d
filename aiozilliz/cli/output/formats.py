"""The formats of data on standard output, and the writer of each."""

from __future__ import annotations

import functools
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from attrs import frozen

from aiozilliz.cli.output.console import (
    Stdout,
    emit,
    json_text,
    printable,
    stdout_is_terminal,
    stdout_takes_unicode,
    without_surrogates,
    write_exact_utf8,
)
from aiozilliz.cli.output.table import Column, TableWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TypeAlias

    Rest: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]

_YAML_1_2_NUMBER: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|0o[0-7]+$")
_LARGEST_SHORT: Final = 0xFFFF
"""What YAML escapes with four digits."""
_ONE_LINE: Final = 2**31 - 1  # columns, so that no text is folded


class Format(StrEnum):
    """How data is written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    YAML = "yaml"


class Writer(Protocol):
    """Writes rows, each a mapping of JSON values."""

    def write(self, row: Mapping[str, Any]) -> None:
        """Take the next row."""

    def finish(self, *, complete: bool) -> None:
        """End the output.

        Args:
            complete: Whether all rows came; what is incomplete must not look whole.
        """


@frozen
class Layout:
    """Which parts of a row the formats that have columns show. JSON and YAML show all.

    Attributes:
        columns: The columns of a table, in the order in which they are shown, and kept where there is no room for all.
        fields: The keys that CSV shows, in order. The name "extra" stands for all keys of a row that are not in
            `known`, as one JSON object.
        known: Keys of a row that are no part of "extra".
        empty: What a complete table of no rows says on standard error; empty for nothing.
        rest: Gives what "extra" stands for, where it is not just all keys that are not in `known`.
        choosable: Whether the command has `--columns`.
    """

    columns: tuple[Column, ...]
    fields: tuple[str, ...]
    known: frozenset[str]
    empty: str = ""
    rest: Rest | None = None
    choosable: bool = False


def make_writer(form: Format, layout: Layout, *, header: bool = True, gather: bool = False) -> Writer:
    """Make the writer for a format.

    Args:
        form: The format.
        layout: Which parts of a row a table and CSV show.
        header: Whether a table and CSV have a line with the columns' names.
        gather: Whether rows that come at once may go out together, and not each as soon as it is known.
    """
    if form is Format.TABLE:
        return TableWriter(layout.columns, header=header, empty=layout.empty, choosable=layout.choosable)
    if form is Format.CSV:
        return CSVWriter(layout.fields, header=header, known=layout.known, rest=layout.rest, gather=gather)
    return _WRITERS[form](gather=gather)


def write_value(form: Format, value: Any, *, header: bool = True) -> None:
    """Write the result of a query.

    A list is written as its rows would be. A table and CSV show objects in columns by their keys, lists in numbered
    columns, and all else in one column named "value".

    Args:
        form: The format.
        value: Any JSON value.
        header: Whether a table and CSV have a line with the columns' names.
    """
    if form in {Format.TABLE, Format.CSV}:
        _write_columns(form, value, header=header)
    elif form is Format.YAML:
        _write_items(YAMLWriter(gather=True), value, _dump_yaml)
    else:
        _write_items(_WRITERS[form](gather=True), value, _dump_json)


class JSONLinesWriter:
    """One JSON value a line, written as soon as it is known.

    Args:
        gather: Whether lines that come together may be written together.
    """

    def __init__(self, *, gather: bool = False) -> None:
        self._out = Stdout(gather=gather)

    def write(self, row: Any) -> None:
        """Write the row's line."""
        self._out.write(_json(row) + "\n")

    def finish(self, *, complete: bool) -> None:  # noqa: ARG002  # each line stands for itself
        """Write what is left."""
        self._out.flush()


class JSONWriter:
    """One JSON array, a row a line, written as soon as it is known. Of an incomplete listing it stays open.

    Args:
        gather: Whether rows that come together may be written together.
    """

    def __init__(self, *, gather: bool = False) -> None:
        self._out = Stdout(gather=gather)
        self._before = "[\n"

    def write(self, row: Any) -> None:
        """Write the row, and what stands between it and the one before."""
        self._out.write(self._before + _json(row))
        self._before = ",\n"

    def finish(self, *, complete: bool) -> None:
        """Close the array of a complete listing."""
        if complete:
            self._out.write("[]\n" if self._before == "[\n" else "\n]\n")
        elif self._before != "[\n":
            self._out.write("\n")  # so that the error begins on a line of its own
        self._out.flush()


class CSVWriter:
    """A record a row, written as soon as it is known, and read back exactly unless it went to a terminal.

    A line ends in a bare line feed. Text stands as it is, null is empty, and all else is JSON.

    Args:
        fields: The keys that are written, in order.
        header: Whether the first line names them.
        known: Where given, the field "extra" stands for all keys of a row that are not among these, as a JSON object;
            not where it is among these itself.
        rest: Gives that object, where it is not made of just these keys.
        gather: Whether rows that come together may be written together.
    """

    def __init__(
        self,
        fields: Sequence[str],
        *,
        header: bool = True,
        known: frozenset[str] | None = None,
        rest: Rest | None = None,
        gather: bool = False,
    ) -> None:
        self._out = Stdout(gather=gather)
        self._fields = fields
        self._known = known
        self._rest = rest or self._unknown
        self._shown = printable if stdout_is_terminal() else without_surrogates
        import csv  # noqa: PLC0415 - help and version do without

        # With any other line end, releases of Python differ in whether they quote a lone \r or \n.
        self._format = csv.writer(_Echo(), lineterminator="\r\n").writerow
        self._before = self._line(fields) if header else ""
        if not stdout_is_terminal():
            write_exact_utf8()

    def write(self, row: Mapping[str, Any]) -> None:
        """Write the row's line, and before the first one the header."""
        line = self._line([self._text(name, row) for name in self._fields])
        self._out.write(self._before + line)
        self._before = ""

    def finish(self, *, complete: bool) -> None:
        """Write the header of a complete listing of nothing."""
        if complete and self._before:
            self._out.write(self._before)
        self._out.flush()

    def _line(self, cells: Iterable[str]) -> str:
        line: str = self._format([self._shown(cell) for cell in cells])
        return line.removesuffix("\r\n") + "\n"

    def _text(self, name: str, row: Mapping[str, Any]) -> str:
        if name == "extra" and self._known is not None and name not in self._known:
            return json_text(self._rest(row))
        return _text(row.get(name))

    def _unknown(self, row: Mapping[str, Any]) -> dict[str, Any]:
        known = self._known or frozenset()
        return {key: value for key, value in row.items() if key not in known}


class YAMLWriter:
    """One YAML list, an item a row, written as soon as it is known.

    Args:
        gather: Whether items that come together may be written together.
    """

    def __init__(self, *, gather: bool = False) -> None:
        _yaml_dump()  # a missing extra is told now, and not after a long listing
        self._out = Stdout(gather=gather)
        self._any = False

    def write(self, row: Any) -> None:
        """Write the row's item."""
        self._out.write(_yaml([row]))
        self._any = True

    def finish(self, *, complete: bool) -> None:
        """Write the empty list of a complete listing of nothing."""
        if complete and not self._any:
            self._out.write("[]\n")
        self._out.flush()


_WRITERS: Final[Mapping[Format, type[JSONWriter | JSONLinesWriter | YAMLWriter]]] = {
    Format.JSON: JSONWriter,
    Format.JSONL: JSONLinesWriter,
    Format.YAML: YAMLWriter,
}


class _Echo:
    """A file for `csv.writer` that gives each line back."""

    def write(self, text: str) -> str:
        return text


class _Items(Protocol):
    def write(self, row: Any) -> None: ...
    def finish(self, *, complete: bool) -> None: ...


def _write_items(writer: _Items, value: Any, write_one: Callable[[Any], None]) -> None:
    if not isinstance(value, list):
        write_one(value)
        return
    for item in cast("Iterable[Any]", value):
        writer.write(item)
    writer.finish(complete=True)


def _write_columns(form: Format, value: Any, *, header: bool) -> None:
    if not isinstance(value, (list, dict)):
        text = _text(value)
        shown = printable if form is Format.TABLE or stdout_is_terminal() else without_surrogates
        if form is Format.CSV and not stdout_is_terminal():
            write_exact_utf8()
        emit(shown(text) + "\n")
        return
    rows = _as_rows(cast("Any", value) if isinstance(value, list) else [value])
    keys = list(dict.fromkeys(key for row in rows for key in row))
    if not keys:
        return
    if form is Format.CSV:
        writer: Writer = CSVWriter(keys, header=header, gather=True)
    else:
        columns = [_column(key, [row.get(key) for row in rows], first=key == keys[0]) for key in keys]
        writer = TableWriter(columns, header=header)
    for row in rows:
        writer.write(row)
    writer.finish(complete=True)


def _as_rows(items: list[Any]) -> list[dict[str, Any]]:
    if all(isinstance(item, dict) for item in items):
        return items
    if all(isinstance(item, list) for item in items):
        return [{str(number): cell for number, cell in enumerate(item, 1)} for item in items]
    return [{"value": item} for item in items]


def _column(key: str, values: Iterable[Any], *, first: bool) -> Column:
    given = [value for value in values if value is not None]
    if given and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in given):
        return Column(key, key, "number")
    # The first names what a row is about. Cut, neither it nor an id is of use.
    return Column(key, key, "id" if first or key == "id" or key.endswith("Id") else "cut")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json_text(value)


def _json(value: Any) -> str:
    return json_text(value, ascii_only=not stdout_takes_unicode())


def _dump_json(value: Any) -> None:
    emit(_json(value) + "\n")


def _yaml(value: Any) -> str:
    text = _yaml_dump()(value, ascii_only=not stdout_takes_unicode())
    if text.replace("\n", "").isprintable():
        return text
    # PyYAML takes more for printable than a terminal should get. All text with such characters stands in double quotes.
    return "".join(c if c.isprintable() or c == "\n" else _yaml_escape(c) for c in text)


def _yaml_escape(character: str) -> str:
    number = ord(character)
    return f"\\U{number:08x}" if number > _LARGEST_SHORT else f"\\u{number:04x}"


def _dump_yaml(value: Any) -> None:
    emit(_yaml(value).removesuffix("...\n"))  # the mark after a bare scalar


@functools.cache
def _yaml_dump() -> Callable[..., str]:
    """Give the function that writes a JSON value as YAML; it is built late, as most runs need no YAML."""
    import yaml  # noqa: PLC0415

    def represent_text(dumper: Any, text: str) -> Any:
        # In double quotes whatever is odd is escaped; the other styles fold lines.
        style = None if text.isprintable() else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", without_surrogates(text), style)

    def ignore_aliases(_dumper: Any, _data: Any) -> bool:
        return True

    # The one in C is many times faster.
    base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    # Some releases of its stubs know only parts of its type.
    dump_yaml: Callable[..., str] = cast("Any", yaml).dump
    dumper: Any = type("Dumper", (base,), {"ignore_aliases": ignore_aliases})
    dumper.add_representer(str, represent_text)
    dumper.add_multi_representer(str, represent_text)
    # Bare, these are text to PyYAML and numbers to readers of YAML 1.2. So text of this form is quoted.
    dumper.add_implicit_resolver("tag:yaml.org,2002:float", _YAML_1_2_NUMBER, list("-+.0123456789"))

    def dump(value: Any, *, ascii_only: bool) -> str:
        return dump_yaml(
            value,
            Dumper=dumper,
            default_flow_style=False,
            sort_keys=False,
            allow_unicode=not ascii_only,
            width=_ONE_LINE,
        )

    return dump
