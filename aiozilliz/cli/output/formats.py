"""The formats of data on standard output: a layout says what a command shows, and a writer for each format writes it.

A command makes rows and one `Layout`. Nothing else depends on the format that a user asks for.
"""

from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from attrs import frozen

from aiozilliz.cli.output import console
from aiozilliz.cli.output.table import Column, TableWriter
from aiozilliz.cli.output.text import json_text, printable, without_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_YAML_1_2_NUMBER: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|0o[0-7]+$")
_LARGEST_SHORT: Final = 0xFFFF
"""What YAML escapes with four digits."""
_ONE_LINE: Final = 2**31 - 1  # columns, so that no text is folded


class Format(StrEnum):
    """A format of data."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    YAML = "yaml"
    PROMETHEUS = "prometheus"


GENERAL: Final = tuple(form for form in Format if form is not Format.PROMETHEUS)
"""The formats that take any row."""


class Writer(Protocol):
    """Writes the rows of a command in one format.

    Attributes:
        streams: Whether each row is written when it is known. Otherwise everything is written by `finish`.
    """

    streams: bool

    def write(self, row: Any) -> None:
        """Write the next row, or keep it."""

    def finish(self, *, complete: bool) -> None:
        """End the output.

        Args:
            complete: Whether all rows came. An incomplete output must not look complete.
        """


@frozen(kw_only=True)
class Layout:
    """How the rows of a command look in each format.

    Attributes:
        table: Makes the writer of what people read, for `header`: whether it has headings.
        fields: The columns of CSV: keys of the flat rows.
        record: Returns a row as an object, for JSON, JSON lines, YAML and queries.
        flat: Returns a row as rows of CSV. None is its record alone.
    """

    table: Callable[..., Writer]
    fields: Sequence[str]
    record: Callable[[Any], Mapping[str, Any]] = lambda row: row
    flat: Callable[[Any], Iterable[Mapping[str, Any]]] | None = None


def make_writer(form: Format, layout: Layout, *, header: bool = True) -> Writer:
    """Make the writer of a format.

    Args:
        form: The format.
        layout: How the rows look.
        header: Whether a table and CSV name their columns.

    Returns:
        The writer.
    """
    if form is Format.TABLE:
        return layout.table(header=header)
    return _WRITERS[form](layout, header=header)


class _Stream(ABC):
    """Writes each row when it is known.

    Args:
        layout: How the rows look.
        header: Whether columns are named.
    """

    streams = True

    def __init__(self, layout: Layout, *, header: bool) -> None:
        self._layout = layout
        self._header = header
        self._any = False

    def write(self, row: Any) -> None:
        console.emit(self._text(row))
        self._any = True

    def finish(self, *, complete: bool) -> None:
        if end := self._end(complete=complete):
            console.emit(end)

    @abstractmethod
    def _text(self, row: Any) -> str:
        """Return what is written for a row."""

    def _end(self, *, complete: bool) -> str:  # noqa: ARG002  # for those that have one
        """Return what is written after the last row."""
        return ""


class JSONLinesWriter(_Stream):
    """One JSON object per line."""

    def _text(self, row: Any) -> str:
        return _json(self._layout.record(row)) + "\n"


class JSONWriter(_Stream):
    """One JSON array with a row per line. The array of an incomplete listing stays open."""

    def _text(self, row: Any) -> str:
        return (",\n" if self._any else "[\n") + _json(self._layout.record(row))

    def _end(self, *, complete: bool) -> str:
        if not self._any:
            return "[]\n" if complete else ""
        return "\n]\n" if complete else "\n"  # an error begins on a line of its own


class CSVWriter(_Stream):
    """A line per flat row. Unless it goes to a terminal it can be read back exactly.

    A line ends in a single line feed. Text is written as it is, null is empty, and everything else is JSON.
    """

    def __init__(self, layout: Layout, *, header: bool) -> None:
        import csv  # noqa: PLC0415  # help and version do without

        super().__init__(layout, header=header)
        self._shown = printable if console.stdout_is_terminal() else without_surrogates
        # With any other line end, releases of Python differ in whether they quote a lone \r or \n.
        self._format = csv.writer(_Echo(), lineterminator="\r\n").writerow
        if not console.stdout_is_terminal():
            console.write_exact_utf8()

    def _text(self, row: Any) -> str:
        layout = self._layout
        rows = (layout.record(row),) if layout.flat is None else layout.flat(row)
        lines = [self._line(_cell(cells.get(name)) for name in layout.fields) for cells in rows]
        return "".join([self._head(), *lines])

    def _end(self, *, complete: bool) -> str:
        return self._head() if complete else ""

    def _head(self) -> str:
        return self._line(self._layout.fields) if self._header and not self._any else ""

    def _line(self, cells: Iterable[str]) -> str:
        line: str = self._format([self._shown(cell) for cell in cells])
        return line.removesuffix("\r\n") + "\n"


class YAMLWriter(_Stream):
    """One YAML list with an item per row.

    Raises:
        ModuleNotFoundError: PyYAML is missing: better now than after a long listing.
    """

    def __init__(self, layout: Layout, *, header: bool) -> None:
        _yaml_dump()
        super().__init__(layout, header=header)

    def _text(self, row: Any) -> str:
        return _yaml([self._layout.record(row)])

    def _end(self, *, complete: bool) -> str:
        return "[]\n" if complete and not self._any else ""


class PrometheusWriter(_Stream):
    """The text format of Prometheus: each number of a row is a metric of that name, labelled with the row's texts."""

    streams = False

    def __init__(self, layout: Layout, *, header: bool) -> None:
        super().__init__(layout, header=header)
        self._samples: dict[str, list[str]] = {}

    def _text(self, row: Any) -> str:
        record = self._layout.record(row)
        labels = ",".join(
            f'{_snake(name)}="{_label(value)}"' for name, value in record.items() if isinstance(value, str)
        )
        for name, value in record.items():
            if isinstance(value, int):
                metric = f"zilliz_{_snake(name)}"
                self._samples.setdefault(metric, []).append(f"{metric}{{{labels}}} {value}\n")
        return ""

    def _end(self, *, complete: bool) -> str:
        # A file without them is better than one that looks complete: then the collector says that they are gone.
        samples = self._samples if complete else {}
        return "".join(f"# TYPE {metric} gauge\n{''.join(lines)}" for metric, lines in samples.items())


def _snake(name: str) -> str:
    return re.sub("([A-Z])", r"_\1", name).lower()


def _label(text: str) -> str:
    return printable(text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n"))


_WRITERS: Final[Mapping[Format, Callable[..., Writer]]] = {
    Format.JSON: JSONWriter,
    Format.JSONL: JSONLinesWriter,
    Format.CSV: CSVWriter,
    Format.YAML: YAMLWriter,
    Format.PROMETHEUS: PrometheusWriter,
}


class _Echo:
    """A file for `csv.writer` that returns each line."""

    def write(self, text: str) -> str:
        return text


def write_value(form: Format, value: Any, *, header: bool = True) -> None:
    """Write the result of a query.

    The items of a list are written as rows are. A table and CSV show objects in columns by their keys, lists in
    numbered columns, and everything else in one column named "value".

    Args:
        form: The format.
        value: Any JSON value.
        header: Whether a table and CSV name their columns.
    """
    rows: list[Any] = cast("Any", value) if isinstance(value, list) else [value]
    keys: list[str] = []
    if form in {Format.TABLE, Format.CSV, Format.PROMETHEUS}:
        if not isinstance(value, (list, dict)):
            _write_text(form, _cell(value))
            return
        rows = _as_objects(rows)
        keys = list(dict.fromkeys(key for row in rows for key in row))
        if not keys:
            return
    elif not isinstance(value, list):
        # Without the mark after a bare scalar of YAML.
        console.emit(_yaml(value).removesuffix("...\n") if form is Format.YAML else _json(value) + "\n")
        return
    columns = [_column(key, [row.get(key) for row in rows], first=key == keys[0]) for key in keys]
    layout = Layout(table=functools.partial(TableWriter, columns), fields=keys)
    writer = make_writer(form, layout, header=header)
    for row in rows:
        writer.write(row)
    writer.finish(complete=True)


def _write_text(form: Format, text: str) -> None:
    exact = form is Format.CSV and not console.stdout_is_terminal()
    if exact:
        console.write_exact_utf8()
    console.emit((without_surrogates(text) if exact else printable(text)) + "\n")


def _as_objects(items: list[Any]) -> list[Any]:
    if all(isinstance(item, dict) for item in items):
        return items
    if all(isinstance(item, list) for item in items):
        return [{str(number): cell for number, cell in enumerate(item, 1)} for item in items]
    return [{"value": item} for item in items]


def _column(key: str, values: Iterable[Any], *, first: bool) -> Column:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known):
        return Column(key, key, "number")
    # The first names what a row is about. Neither it nor an id is of use if it is cut.
    return Column(key, key, "id" if first or key == "id" or key.endswith("Id") else "cut")


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json_text(value)


def _json(value: Any) -> str:
    return json_text(value, ascii_only=not console.stdout_takes_unicode())


def _yaml(value: Any) -> str:
    text = _yaml_dump()(value, ascii_only=not console.stdout_takes_unicode())
    if text.replace("\n", "").isprintable():
        return text
    # PyYAML leaves more characters as they are than a terminal should get. Texts with such are in double quotes.
    return "".join(c if c.isprintable() or c == "\n" else _yaml_escape(c) for c in text)


def _yaml_escape(character: str) -> str:
    number = ord(character)
    return f"\\U{number:08x}" if number > _LARGEST_SHORT else f"\\u{number:04x}"


@functools.cache
def _yaml_dump() -> Callable[..., str]:
    """Return the function that writes a JSON value as YAML. It is built on first use, as most runs need no YAML."""
    import yaml  # noqa: PLC0415

    def represent_text(dumper: Any, text: str) -> Any:
        # In double quotes everything unusual is escaped; the other styles fold lines.
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
    # Unquoted, these are text to PyYAML and numbers to readers of YAML 1.2. So text of this form is quoted.
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
