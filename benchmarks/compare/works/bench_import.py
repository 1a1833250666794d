"""Importing the client, against aiohttp alone, each without what a bare interpreter takes."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.compare.report import Row, make_row
from benchmarks.compare.stand import alternate, installed_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def run(rounds: int | None) -> Iterator[Row]:
    """Measure interpreters from start to end."""
    times = alternate(
        {
            "bare": _interpreter("pass"),
            "aiozilliz": _interpreter("import aiozilliz; aiozilliz.ZillizClient"),
            "aiohttp": _interpreter("import aiohttp"),
            "copy": _interpreter("import aiohttp"),
            "name": _interpreter("import aiozilliz"),
        },
        rounds or 7,
        at_most=20.0,
    ).wall
    whole, name = (
        times.ratio("aiozilliz", "aiohttp", less="bare"),
        times.ratio("name", "aiohttp", less="bare"),
    )
    control = times.ratio("copy", "aiohttp", less="bare")
    yield make_row("`import aiozilliz; aiozilliz.ZillizClient`", "aiozilliz", "`import aiohttp`", whole)
    yield make_row("`import aiozilliz` alone", "aiozilliz", "`import aiohttp`", name)
    yield make_row("`import aiohttp`", "control", "the same again", control, control=True)


def _interpreter(code: str) -> Callable[[], object]:
    environment = installed_environment()
    # -P: the installed package, not what lies in the current folder.
    return lambda: subprocess.run([sys.executable, "-P", "-c", code], check=True, env=environment)
