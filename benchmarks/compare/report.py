"""The measured rows, and the table and JSON made from them."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import orjson
from attrs import asdict, frozen

from benchmarks.compare.stand import CLIENT_CORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.compare.stand import Ratio

CONTROL_BOUND: Final = 0.02
"""How far a control may be from 1."""

_PACKAGES: Final = (
    *("aiozilliz", "aiohttp", "orjson", "attrs", "stamina"),
    *("aiolimiter", "httpx", "pydantic", "openai", "azure-core"),
)


class Skipped(Exception):  # noqa: N818  # nothing is wrong
    """Raised by a work that can't be run here; the message says why."""


@frozen
class Row:
    """One line of the table.

    Attributes:
        work: What was done.
        subject: Who did it, and `value` how much it took, in `unit`.
        peer: What it is compared with, and `peer_value` how much that took.
        ratio: `value` to `peer_value`, below 1 is better.
        spread: Half the distance between the quartiles of the rounds' ratios.
        rounds: How many there were.
        note: Further observations.
        control: Whether both are the same work, so that the ratio shows how exact the others are.
    """

    work: str
    subject: str
    value: float
    peer: str
    peer_value: float
    ratio: float
    spread: float
    rounds: int
    unit: str
    note: str
    control: bool


def make_row(
    work: str,
    subject: str,
    peer: str,
    ratio: Ratio,
    *,
    unit: str = "ms",
    scale: float = 1000.0,
    note: str = "",
    control: bool = False,
) -> Row:
    """Return the row of a comparison.

    Args:
        work: What was done.
        subject: Who did it.
        peer: What it is compared with.
        ratio: The comparison.
        unit: The unit of the values.
        scale: Factor from the comparison's values to that unit.
        note: Further observations.
        control: Whether both are the same work.
    """
    return Row(
        work,
        subject,
        ratio.subject * scale,
        peer,
        ratio.peer * scale,
        ratio.value,
        ratio.spread,
        ratio.rounds,
        unit,
        note,
        control,
    )


def describe_machine() -> str:
    """Return the names and versions of Python, the packages and the processor."""
    cores = f"{os.cpu_count()} cores, " + ("one for the client" if CLIENT_CORE is not None else "not pinned")
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return f"{platform.python_implementation()} {platform.python_version()}, {_processor()} ({cores}); {packages}"


def draw_table(cells: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first row is its header."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def to_markdown(rows: Sequence[Row], seconds: float, skipped: Sequence[str] = ()) -> str:
    """Return the table, and below it the machine, what was skipped, and whether the controls hold."""
    cells = [
        ("work", "who", "took", "against", "took", "ratio", "±", "rounds", "seen"),
        *(
            (
                row.work,
                f"*{row.subject}*" if row.control else row.subject,
                _measure(row.value, row.unit),
                row.peer,
                _measure(row.peer_value, row.unit),
                f"*{row.ratio:.3f}*" if row.control else f"**{row.ratio:.2f}**",
                f"{row.spread:.2f}",
                str(row.rounds),
                row.note,
            )
            for row in rows
        ),
    ]
    made_on = f"{describe_machine()}. {seconds:.0f} s in all."
    left_out = [f"Skipped {part}." for part in skipped]
    return "\n".join([draw_table(cells), "", made_on, *left_out, judge_controls(rows)])


def judge_controls(rows: Sequence[Row]) -> str:
    """Return whether two copies of one work took equally long."""
    controls = [abs(row.ratio - 1) for row in rows if row.control]
    if not controls:
        return "No control was run."
    worst = max(controls)
    verdict = "the ratios can be used" if worst <= CONTROL_BOUND else "the machine was busy: run it again"
    return f"Two copies of one work differed by {worst:.1%} at most: {verdict}."


def to_json(rows: Sequence[Row], seconds: float, skipped: Sequence[str] = ()) -> str:
    """Return the same as JSON."""
    content = {
        "machine": describe_machine(),
        "seconds": seconds,
        "controls": judge_controls(rows),
        "skipped": list(skipped),
        "rows": [asdict(row) for row in rows],
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2).decode()


def _measure(value: float, unit: str) -> str:
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123  # a kernel interface, not a file
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()
