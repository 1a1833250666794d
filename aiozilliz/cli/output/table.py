"""A table that fits its terminal."""

from __future__ import annotations

import unicodedata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal

import click
from attrs import field, frozen

from aiozilliz.cli.output import console
from aiozilliz.cli.output.text import json_text, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


GAP: Final = 2
"""Cells between two columns."""

CUT_AT_LEAST: Final = 16
"""A column of kind "cut" is not cut below this many cells..."""

CUT_FOR_FIRST: Final = 8
"""... or, if one of the first columns would have no room otherwise, not below this many."""

FIRST: Final = 3
"""How many columns count as the first ones, from the id's column on if there is one."""

LONGEST_ID: Final = 40
"""Cells that an id may take in its column; a longer one moves the rest of its row."""

# First strong isolate, pop directional isolate.
_ISOLATED: Final = "\u2068{}\u2069"
_RIGHT_TO_LEFT: Final = {"R", "AL", "AN"}


@frozen
class Column:
    """One column of a table.

    Attributes:
        key: Its key in a row.
        title: Its heading.
        kind: "whole" is shown whole or not at all, "cut" may be cut, "number" is aligned to the right, "id" is never
            cut, and counts for the layout up to `LONGEST_ID` cells.
        styles: The text of a cell to its style on a terminal that has colour: a colour, "bold" or "dim".
    """

    key: str
    title: str
    kind: Literal["whole", "cut", "number", "id"] = "whole"
    styles: Mapping[str, str] = field(factory=dict[str, str])


class TableWriter:
    """Collects rows and writes the table at the end, as its columns are as wide as their contents.

    Args:
        columns: In the order in which they are shown, and kept if there is no room for all.
        header: Whether the first line names the columns, and groups have headings.
        empty: What to report on standard error if a complete table has no rows; empty for nothing.
        choosable: Whether the command has `--columns`, which is then suggested if there is no room for all.
        drop_empty: Whether a column without any text is left out.
        noun: What the rows are, for a last line with their number, on standard error if that is a terminal.
        cells: Returns the cells of a row by the columns' keys. None takes them from the row itself.
        heading: Returns the heading of the group of a row. Rows of one group follow each other; before each group but
            one without a heading stands an empty line.

    Raises:
        ModuleNotFoundError: wcwidth is missing: better now than after a long listing.
    """

    streams = False

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        header: bool = True,
        empty: str = "",
        choosable: bool = False,
        drop_empty: bool = False,
        noun: str = "",
        cells: Callable[[Any], Mapping[str, Any]] | None = None,
        heading: Callable[[Any], str] | None = None,
    ) -> None:
        if find_spec("wcwidth") is None:
            raise ModuleNotFoundError("No module named 'wcwidth'", name="wcwidth")
        self._columns = columns
        self._header = header
        self._empty = empty
        self._advice = "--columns chooses others, -o json shows all" if choosable else "-o json shows all"
        self._drop_empty = drop_empty
        self._noun = noun
        self._cells = cells
        self._heading = heading
        self._group = ""
        self._rows: list[tuple[str, ...]] = []
        self._headings: set[int] = set()

    def write(self, row: Any) -> None:
        """Keep the row for the end."""
        if self._heading is not None and (group := self._heading(row)) != self._group:
            self._group = group
            rest = ("",) * (len(self._columns) - 1)
            self._rows.append(("", *rest))
            if self._header:
                self._headings.add(len(self._rows))
                self._rows.append((group, *rest))
        cells: Mapping[str, Any] = row if self._cells is None else self._cells(row)
        self._rows.append(tuple(cell_text(cells.get(column.key)) for column in self._columns))

    def finish(self, *, complete: bool) -> None:
        """Write the table, also of an incomplete listing, whose error follows on standard error."""
        if self._rows:
            console.check_stdout()
            self._print()
            if self._noun and console.stderr_is_terminal():
                console.report(f"{len(self._rows):,} {self._noun}")
        elif complete and self._empty:
            console.report(self._empty)

    def _print(self) -> None:
        room = console.stdout_width() if console.stdout_is_terminal() else None
        columns, texts = self._columns, list(zip(*self._rows, strict=True))
        if self._drop_empty:
            kept = [number for number, cells in enumerate(texts) if any(cells)]
            columns, texts = [columns[number] for number in kept], [texts[number] for number in kept]
        titles = [printable(column.title) if self._header else "" for column in columns]
        natural: list[int] = []
        for column, title, cells in zip(columns, titles, texts, strict=True):
            bound = max(_size(title), LONGEST_ID) if column.kind == "id" else float("inf")
            natural.append(max(size for text in (title, *cells) if (size := _size(text)) <= bound))
        widths = layout([column.kind for column in columns], natural, room)
        shown = [self._render(*column) for column in zip(columns, titles, texts, widths, strict=False)]
        console.emit("".join(f"{(' ' * GAP).join(cells).rstrip()}\n" for cells in zip(*shown, strict=True)))
        left_out = [printable(column.title) for column in columns[len(widths) :]]
        if left_out:
            console.report(f"No room for {', '.join(left_out)}; {self._advice}.")

    def _render(self, column: Column, title: str, texts: Sequence[str], width: int) -> list[str]:
        styled = [(cut(title, width), "bold")] if self._header else []
        for number, text in enumerate(texts):
            styled.append((text, "bold" if number in self._headings else column.styles.get(text, "")))
        return [_cell(text, width, style, column.kind) for text, style in styled]


def cell_text(value: Any) -> str:
    """Return the cell of a JSON value, which a terminal can show raw: text as it is, everything else as JSON."""
    if isinstance(value, str):
        return console.as_shown(printable(value))
    return "" if value is None else console.as_shown(json_text(value))


def layout(kinds: Sequence[str], natural: Sequence[int], room: int | None) -> list[int]:
    """Choose how many columns fit, and their widths.

    Args:
        kinds: The kind of each column.
        natural: Cells that each column would take.
        room: Cells that the terminal has, or None for no limit.

    Returns:
        The widths of the columns that are shown: all, or those that remain after enough are dropped from the right.
        The first always remains, though it may be narrower than its contents.
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


def _cell(text: str, width: int, style: str, kind: str) -> str:
    if _size(text) > width and kind != "id":
        text = cut(text, width)
    padding = " " * (width - _size(text))
    if console.stdout_is_terminal():
        text = _isolated(text)
    if style and text and console.stdout_has_colour():
        colour = None if style in {"bold", "dim"} else style
        text = click.style(text, fg=colour, bold=style == "bold" or None, dim=style == "dim" or None)
    return padding + text if kind == "number" else text + padding


def _size(text: str) -> int:
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth  # noqa: PLC0415  # slow to load, and most text is ASCII

    return wcswidth(text)


def cut(text: str, width: int) -> str:
    """Return text with no more than `width` cells, and an ellipsis if it has lost some."""
    if text.isascii():
        return text if len(text) <= width else text[: width - 1].rstrip() + "…"
    from wcwidth import clip  # noqa: PLC0415  # as above

    return text if _size(text) <= width else clip(text, 0, width - 1).rstrip() + "…"


def _isolated(text: str) -> str:
    # A terminal that knows right-to-left text reorders a line as a whole: after a Hebrew name, digits of the next column
    # would change places with it. Isolates keep the reordering within the cell; they take no room. If this is no
    # terminal, they would only be characters that the service never sent.
    if text.isascii() or not any(unicodedata.bidirectional(c) in _RIGHT_TO_LEFT for c in text):
        return text
    return _ISOLATED.format(text)
