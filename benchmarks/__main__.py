"""Run the comparisons and print one table: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Final

from benchmarks.compare.report import Skipped, to_json, to_markdown
from benchmarks.compare.stand import pin_client
from benchmarks.compare.works import growth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.compare.report import Row

WORKS: Final = {
    "walk": "walks",
    "pagers": "walks",
    "decode": "decode",
    "concurrency": "waiting",
    "inventory": "waiting",
    "import": "processes",
    "cli": "processes",
    "memory": "memory",
    "limiter": "waiting",
    "verify": "proofs",
    "watch": "proofs",
}
"""The module of each work, whose function is named after it. Modules are imported when their turn comes."""


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Ratios to what users would write instead, in one run."
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--only", metavar="NAME", choices=WORKS, action="append", help=f"of {', '.join(WORKS)}")
    what.add_argument(
        "--growth",
        action="store_true",
        help="instead of ratios, show how time and memory grow; takes minutes",
    )
    parser.add_argument(
        "--rounds",
        metavar="N",
        type=_positive,
        help="rounds of each work; by default each has its own number",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    pin_client()
    started = time.perf_counter()
    if options.growth:
        grown = [_print_progress(row) for row in growth.run()]
        format_rows = growth.to_json if options.json else growth.to_markdown
        print(format_rows(grown, time.perf_counter() - started))
        return
    rows: list[Row] = []
    skipped: list[str] = []
    for name in options.only or WORKS:
        print(f"{name} …", end="", file=sys.stderr, flush=True)
        began = time.perf_counter()
        try:
            module = import_module(f"benchmarks.compare.works.{WORKS[name]}")
            rows.extend(getattr(module, f"measure_{name}")(options.rounds))
        except Skipped as why:
            skipped.append(f"{name}: {why}")
        print(f" {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    show = to_json if options.json else to_markdown
    print(show(rows, time.perf_counter() - started, skipped))


def _print_progress(row: growth.Growth) -> growth.Growth:
    print(f"{row.kind}: {row.number:,}", file=sys.stderr, flush=True)
    return row


if __name__ == "__main__":
    main()
