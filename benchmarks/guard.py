"""A guard against slowing down: the instructions of a walk, compared with those noted in `instructions.json`.

    python -m benchmarks.guard

Valgrind's callgrind counts them, with the same result on a busy machine. Three walks, each in its own process, differ
only in their pages, so that the differences are the cost of a page and of a record, without the start of Python and the
first use of anything. A count is valid for the versions that it was made with.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, Self

import orjson
from attrs import asdict, frozen

from aiozilliz import ZillizClient
from benchmarks.compare.peers.subject import walk_clusters
from benchmarks.compare.stand import Server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOLERANCE: Final = 0.03
"""How far a count may be from the noted one. Two counts of the same work differ by 0.2 %."""

NOTED: Final = Path(__file__).with_name("instructions.json")

_RENEW: Final = "python -m benchmarks.guard --renew"
_PACKAGES: Final = (
    *("aiohttp", "attrs", "cattrs", "multidict", "orjson", "propcache", "stamina", "yarl"),
    *("aiohappyeyeballs", "aiosignal", "frozenlist"),
)
_FEW: Final = (20, 10)
_MANY: Final = (60, 10)
_LARGE: Final = (20, 100)
"""Walks: pages, and records on each."""


@frozen
class Instructions:
    """What reading costs, in instructions.

    Attributes:
        page: One more page, with the ten records on it.
        record: One more record on a page.
    """

    page: float
    record: float


def count() -> Instructions:
    """Count the instructions of the three walks, which takes about a minute."""
    few, many, large = (_count_walk(*walk) for walk in (_FEW, _MANY, _LARGE))
    further_pages = _MANY[0] - _FEW[0]
    further_records = _LARGE[0] * _LARGE[1] - _FEW[0] * _FEW[1]
    return Instructions((many - few) / further_pages, (large - few) / further_records)


def _count_walk(pages: int, page_size: int) -> int:
    with Server(records=pages * page_size, page_size=page_size) as server, TemporaryDirectory() as folder:
        walk = [sys.executable, "-m", "benchmarks.guard", "--walk", server.url, str(page_size)]
        # Nothing else in the environment may change the count.
        environment = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0"}
        subprocess.run(walk, check=True, env=environment)  # writes the bytecode files
        output = Path(folder) / "callgrind"
        callgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", "-q"]
        subprocess.run([*callgrind, *walk], check=True, env=environment)
        return read_total(output.read_text(encoding="utf-8"))


def read_total(output: str) -> int:
    """Return the number of instructions in the output of callgrind.

    Raises:
        ValueError: The output has no total.
    """
    for line in output.splitlines():
        if line.startswith("totals:"):
            return int(line.split()[1])
    raise ValueError("callgrind reported no total")


async def _walk(url: str, page_size: int) -> None:
    async with ZillizClient("any-key", base_url=url, limiter=None) as client:
        # Otherwise the collector would go through what the imports left, at a moment that any further object shifts.
        gc.collect()
        gc.freeze()
        await walk_clusters(client, page_size)


@frozen
class Versions:
    """What a count depends on besides this package: the interpreter, its build, and other packages."""

    python: str
    packages: Mapping[str, str]

    @classmethod
    def of_this_process(cls) -> Self:
        """Return the versions in use here."""
        python = f"{platform.python_implementation()} {platform.python_version()}"
        built = f"{platform.python_compiler()}, {platform.machine()}"
        return cls(f"{python} ({built})", {name: version(name) for name in _PACKAGES})

    def differences(self, noted: Versions) -> list[str]:
        """Return what differs from the noted versions."""
        ours, theirs = ({"Python": each.python, **each.packages} for each in (self, noted))
        return [
            f"{name} {ours.get(name)}, noted with {theirs.get(name)}"
            for name in {**ours, **theirs}
            if ours.get(name) != theirs.get(name)
        ]


def compare(found: Instructions, noted: Instructions) -> tuple[list[str], bool]:
    """Return how a count differs from the noted one, and whether it is slower by more than the tolerance."""
    lines: list[str] = []
    slower = faster = False
    for name, one in (("page", "a further page of 10"), ("record", "a further record")):
        now, then = getattr(found, name), getattr(noted, name)
        change = now / then - 1
        slower |= change > TOLERANCE
        faster |= change < -TOLERANCE
        lines.append(f"{one}: {now:,.0f} instructions, {change:+.1%} to the {then:,.0f} noted")
    if slower:
        lines.append(f"SLOWER by more than {TOLERANCE:.0%}. If that is intended: {_RENEW}")
    elif faster:
        lines.append(f"Faster by more than {TOLERANCE:.0%}. To keep the gain: {_RENEW}")
    else:
        lines.append(f"Within {TOLERANCE:.0%}.")
    return lines, slower


def judge(found: Instructions, versions: Versions, noted: Path) -> tuple[list[str], bool]:
    """Compare a count with the file `noted`; a count with other versions is shown, but never slower."""
    content = orjson.loads(noted.read_bytes())
    lines, slower = compare(found, Instructions(**content["instructions"]))
    others = versions.differences(Versions(content["python"], content["packages"]))
    if not others:
        return lines, slower
    return [*lines, f"Not judged, because versions differ: {'; '.join(others)}."], False


def note(found: Instructions, versions: Versions, noted: Path) -> None:
    """Write a count into the file `noted`."""
    content = {"instructions": asdict(found), **asdict(versions)}
    noted.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the arguments, count and print; return 1 if it is slower than noted."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.guard", description="Instructions of a walk, compared with those noted."
    )
    parser.add_argument("--renew", action="store_true", help=f"write {NOTED.name} with this count")
    parser.add_argument("--walk", nargs=2, metavar=("URL", "PAGE_SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.walk:
        asyncio.run(_walk(options.walk[0], int(options.walk[1])))
        return 0
    if shutil.which("valgrind") is None:
        print("Skipped: valgrind is not installed (the package valgrind of most distributions).")
        return 0
    found = count()
    versions = Versions.of_this_process()
    if options.renew:
        note(found, versions, NOTED)
        print(
            f"Noted: {found.page:,.0f} instructions a further page of 10, {found.record:,.0f} a further record."
        )
        return 0
    lines, slower = judge(found, versions, NOTED)
    print("\n".join(lines))
    return int(slower)


if __name__ == "__main__":
    sys.exit(main())
