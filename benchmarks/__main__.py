"""Run the benchmarks and print one table: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Final

from benchmarks.report import to_json, to_markdown
from benchmarks.stand import pin_client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.report import Row

NAMES: Final = ("walk", "decode", "concurrency", "import", "memory", "limiter")


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
    parser.add_argument(
        "--only", metavar="NAME", choices=NAMES, action="append", help=f"of {', '.join(NAMES)}"
    )
    parser.add_argument(
        "--rounds", metavar="N", type=_positive, help="rounds of each work; else its own number"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    pin_client()
    started = time.perf_counter()
    rows: list[Row] = []
    for name in options.only or NAMES:
        print(f"{name} …", file=sys.stderr, flush=True)
        rows.extend(import_module(f"benchmarks.bench_{name}").run(options.rounds))
    show = to_json if options.json else to_markdown
    print(show(rows, time.perf_counter() - started))


if __name__ == "__main__":
    main()
