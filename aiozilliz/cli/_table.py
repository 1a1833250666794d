"""A table of clusters that fits its terminal. The only user of rich."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style

from aiozilliz.cli._output import check_stdout, emit, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiozilliz import Cluster

ID, NAME, STATUS, CU = 0, 1, 2, 4
COLUMNS = ("ID", "NAME", "STATUS", "PLAN", "CU", "REGION", "CU TYPE", "CREATED (UTC)", "PROJECT")
"""In the order in which they are shown, and kept where there is no room for all."""

GAP = 2
"""Columns of the terminal between two columns of the table."""

NAME_AT_LEAST = 16
"""A name is cut, but not below this many columns of the terminal."""

BOLD = Style(bold=True)
COLOURS = {
    "RUNNING": Style(color="green"),
    "ABNORMAL": Style(color="red"),
    "DELETING": Style(dim=True),
    "DELETED": Style(dim=True),
}


class TableWriter:
    """Collects the records, and writes the table at the end, as its columns are as wide as what they hold.

    Args:
        header: Whether the first line names the columns.
    """

    def __init__(self, *, header: bool = True) -> None:
        self._header = header
        self._rows: list[tuple[str, ...]] = []

    def write(self, cluster: Cluster) -> None:
        """Keep the record for the end."""
        self._rows.append(_cells(cluster))

    def finish(self, *, complete: bool) -> None:
        """Write the table, also of an incomplete listing: the error follows it on standard error."""
        if self._rows:
            self._print()
        elif complete and sys.stderr is not None:
            sys.stderr.write("No clusters: the key is good, but sees none.\n")

    def _print(self) -> None:
        check_stdout()
        lines = [COLUMNS, *self._rows] if self._header else self._rows
        natural = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
        console = Console(file=sys.stdout)
        widths = layout(natural, console.width if sys.stdout.isatty() else None)
        paint = console.color_system is not None and not console.no_color
        # rich's own table takes half a second for a thousand rows.
        if self._header:
            emit(_line(COLUMNS, widths, (BOLD,) * len(COLUMNS) if paint else None) + "\n")
        for row in self._rows:
            styles = [COLOURS.get(text) if index == STATUS else None for index, text in enumerate(row)]
            emit(_line(row, widths, styles if paint else None) + "\n")
        left_out = [COLUMNS[i] for i in range(len(COLUMNS)) if i not in widths]
        if left_out and sys.stderr is not None:
            sys.stderr.write(f"No room for {', '.join(left_out)}; -o json shows all.\n")


def layout(natural: Sequence[int], room: int | None) -> dict[int, int]:
    """Choose the columns that fit, and their widths.

    Names are cut where that helps; all other columns are shown whole or not at all, the id always.

    Args:
        natural: What each column of `COLUMNS` would take, in columns of the terminal.
        room: What the terminal has, or None for no limit.

    Returns:
        Index of the column to its width, in the order of `COLUMNS`.
    """
    if room is None:
        return dict(enumerate(natural))
    widths: dict[int, int] = {}
    left = room + GAP
    for index, width in enumerate(natural):
        least = min(width, NAME_AT_LEAST) if index == NAME else width
        if index == ID or least + GAP <= left:
            widths[index] = least
            left -= least + GAP
    if NAME in widths:
        widths[NAME] = min(natural[NAME], widths[NAME] + max(left, 0))
    return widths


def _cells(cluster: Cluster) -> tuple[str, ...]:
    created = "" if cluster.create_time is None else f"{cluster.create_time:%Y-%m-%d %H:%M}"
    return tuple(
        printable(text)
        for text in (
            cluster.cluster_id,
            cluster.cluster_name,
            str(cluster.status),
            str(cluster.plan),
            str(cluster.cu_size),
            cluster.region_id,
            str(cluster.cu_type),
            created,
            cluster.project_id,
        )
    )


def _line(row: Sequence[str], widths: Mapping[int, int], styles: Sequence[Style | None] | None) -> str:
    cells: list[str] = []
    for index, width in widths.items():
        text = row[index]
        size = cell_len(text)
        if size > width:
            cell = set_cell_size(text, width - 1) + "…"
        elif index == CU:
            cell = " " * (width - size) + text
        else:
            cell = text + " " * (width - size)
        style = styles[index] if styles else None
        cells.append(cell if style is None else style.render(cell, color_system=ColorSystem.STANDARD))
    return (" " * GAP).join(cells).rstrip()
