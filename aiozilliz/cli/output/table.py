"""A table that fits its terminal."""

from __future__ import annotations

import importlib
import unicodedata
from typing import TYPE_CHECKING, Any, Final, Literal

from attrs import field, frozen

from aiozilliz.cli.output.console import (
    as_shown,
    check_stdout,
    emit,
    json_text,
    printable,
    say,
    stdout_has_colour,
    stdout_is_terminal,
    stdout_width,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Paint = Callable[[str, str], str]

GAP: Final = 2
"""Cells between two columns."""

CUT_AT_LEAST: Final = 16
"""A column of kind "cut" is not cut below this many cells..."""

CUT_FOR_FIRST: Final = 8
"""... or not below so many, where one of the first columns would have no room otherwise."""

FIRST: Final = 3
"""So many columns are the first, counted from that of the id where there is one."""

LONGEST_ID: Final = 40
"""Cells that an id may take in its column; a longer one gets a line of its own."""

# First strong isolate, pop directional isolate.
_ISOLATED: Final = "\u2068{}\u2069"
_RIGHT_TO_LEFT: Final = {"R", "AL", "AN"}


@frozen
class Column:
    """One column of a table.

    Attributes:
        key: Its key in a row.
        title: What stands above it.
        kind: "whole" is shown whole or not at all, "cut" may be cut, "number" stands at the right of its column, "id"
            is never cut, and counts for the layout up to `LONGEST_ID` cells.
        styles: Text of a cell to the style of rich that it is shown in, where the terminal has colour.
    """

    key: str
    title: str
    kind: Literal["whole", "cut", "number", "id"] = "whole"
    styles: Mapping[str, str] = field(factory=dict[str, str])


class TableWriter:
    """Collects rows, and writes the table at the end, as its columns are as wide as what they hold.

    Args:
        columns: In the order in which they are shown, and kept where there is no room for all.
        header: Whether the first line names the columns.
        empty: What a complete table of no rows says on standard error; empty for nothing.
        choosable: Whether the command has `--columns`, which is then named where there is no room for all.
    """

    def __init__(
        self, columns: Sequence[Column], *, header: bool = True, empty: str = "", choosable: bool = False
    ) -> None:
        importlib.import_module("rich.cells")  # a missing extra is told now, and not after a long listing
        self._columns = columns
        self._header = header
        self._empty = empty
        self._advice = "--columns chooses others, -o json shows all" if choosable else "-o json shows all"
        self._rows: list[tuple[str, ...]] = []

    def write(self, row: Mapping[str, Any]) -> None:
        """Keep the row for the end."""
        self._rows.append(tuple(cell_text(row.get(column.key)) for column in self._columns))

    def finish(self, *, complete: bool) -> None:
        """Write the table, also of an incomplete listing: the error follows it on standard error."""
        if self._rows:
            check_stdout()
            self._print()
        elif complete and self._empty:
            say(self._empty)

    def _print(self) -> None:
        terminal = stdout_is_terminal()
        room = stdout_width() if terminal else None
        longest_id = min(LONGEST_ID, room) if room else None
        texts = list(zip(*self._rows, strict=True))
        natural = [
            natural_width(column, cells, longest_id, header=self._header)
            for column, cells in zip(self._columns, texts, strict=True)
        ]
        widths = layout([column.kind for column in self._columns], natural, room)
        paint = _make_paint()
        shown = [
            _render(column, cells, width, paint, header=self._header, terminal=terminal)
            for column, cells, width in zip(self._columns, texts, widths, strict=False)
        ]
        emit("".join(_lines(shown)))
        left_out = [printable(column.title) for column in self._columns[len(widths) :]]
        if left_out:
            say(f"No room for {', '.join(left_out)}; {self._advice}.")


def cell_text(value: Any) -> str:
    """Give a JSON value as the text of a cell that a terminal can show raw: text as it is, all else as JSON."""
    if isinstance(value, str):
        return as_shown(printable(value))
    return "" if value is None else as_shown(json_text(value))


def natural_width(column: Column, cells: Sequence[str], longest_id: int | None, *, header: bool) -> int:
    """Give the cells that a column takes where there is room for it.

    Args:
        column: The column.
        cells: Its texts.
        longest_id: Ids that are longer have a line of their own, and do not count; None where there is no limit.
        header: Whether its title counts.
    """
    sizes = [_size(text) for text in cells]
    if column.kind == "id" and longest_id is not None:
        sizes = [size for size in sizes if size <= longest_id]
    return max(max(sizes, default=0), _size(column.title) if header else 0)


def layout(kinds: Sequence[str], natural: Sequence[int], room: int | None) -> list[int]:
    """Choose how many columns fit, and their widths.

    Args:
        kinds: The kind of each column.
        natural: Cells that each column would take.
        room: Cells that the terminal has, or None for no limit.

    Returns:
        The widths of the columns that are shown: all, or those that remain when as many are dropped from the right as
        it takes. The first always remains, though it may have to be narrower than what it holds.
    """
    if room is None:
        return list(natural)
    widths = _fit(kinds, natural, room, CUT_AT_LEAST)
    first = FIRST + (kinds.index("id") if "id" in kinds else 0)
    return max(widths, _fit(kinds[:first], natural[:first], room, CUT_FOR_FIRST), key=len)


def _fit(kinds: Sequence[str], natural: Sequence[int], room: int, cut_at_least: int) -> list[int]:
    widths: list[int] = []
    left = room + GAP
    for kind, width in zip(kinds, natural, strict=True):
        least = min(width, cut_at_least) if kind == "cut" else width
        if not widths:
            least = min(least, room)
        if least + GAP > left:
            break
        widths.append(least)
        left -= least + GAP
    for index, (width, least) in enumerate(zip(natural, widths, strict=False)):
        if kinds[index] == "cut":
            more = min(width - least, left)
            widths[index] += more
            left -= more
    return widths


@frozen
class _Rendered:
    """One column as it is written: the title, if any, then a cell a row; and ids, by row, that do not fit into it."""

    cells: list[str]
    own_lines: dict[int, str]


def _render(
    column: Column, texts: Sequence[str], width: int, paint: Paint, *, header: bool, terminal: bool
) -> _Rendered:
    right = column.kind == "number"
    cells: list[str] = []
    own_lines: dict[int, str] = {}
    if header:
        cells.append(_cell(printable(column.title), width, paint, "bold", right=right, terminal=terminal))
    for text in texts:
        shown, style = text, column.styles.get(text, "")
        if column.kind == "id" and _size(text) > width:
            own_lines[len(cells)] = paint(_isolated(text) if terminal else text, style)
            shown = ""
        cells.append(_cell(shown, width, paint, style, right=right, terminal=terminal))
    return _Rendered(cells, own_lines)


def _cell(text: str, width: int, paint: Paint, style: str, *, right: bool, terminal: bool) -> str:
    size = _size(text)
    if size > width:
        text = _cut(text, width)
        size = _size(text)
    if terminal:
        text = _isolated(text)
    if style:
        text = paint(text, style)
    padding = " " * (width - size)
    return padding + text if right else text + padding


def _lines(columns: Sequence[_Rendered]) -> list[str]:
    gap = " " * GAP
    lines = [gap.join(cells).rstrip() + "\n" for cells in zip(*(c.cells for c in columns), strict=True)]
    for column in reversed(columns):
        for row, text in column.own_lines.items():
            rest = "" if lines[row].isspace() else lines[row]
            lines[row] = f"{text}\n{rest}"
    return lines


def _size(text: str) -> int:
    if text.isascii():
        return len(text)
    # Loaded late, as is all of rich: help and version do without.
    from rich.cells import cell_len  # noqa: PLC0415

    return cell_len(text)


def _cut(text: str, width: int) -> str:
    from rich.cells import set_cell_size  # noqa: PLC0415

    return set_cell_size(text, width - 1).rstrip() + "…"


def _isolated(text: str) -> str:
    # A terminal that knows right-to-left text reorders a line as a whole: after a Hebrew name, digits of the next column
    # would change places with it. Isolates keep the reordering within the cell; they take no room. Elsewhere than on a
    # terminal they would only be characters that the service never sent.
    if text.isascii() or not any(unicodedata.bidirectional(c) in _RIGHT_TO_LEFT for c in text):
        return text
    return _ISOLATED.format(text)


def _make_paint() -> Paint:
    if not stdout_has_colour():
        return lambda text, _style: text
    from rich.color import ColorSystem  # noqa: PLC0415
    from rich.style import Style  # noqa: PLC0415

    # rich's own table takes half a second for a thousand rows.
    return lambda text, style: Style.parse(style).render(text, color_system=ColorSystem.STANDARD)
