"""Runs the command line: in this process, or in one of its own."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from aiozilliz.testing import FakeZillizCloud

    Capture = pytest.CaptureFixture[str]
    MakeCloud = Callable[..., FakeZillizCloud]
    Run = Callable[..., tuple[int, str, str]]

POSIX_ONLY = pytest.mark.skipif(os.name != "posix", reason="pipes, terminals and signals of POSIX")
LONG = 60.0
"""Seconds after which a test that hangs fails; no test takes that long otherwise."""


def environment(**variables: str) -> dict[str, str]:
    """Give the environment of a process that finds the package, and whose warnings are errors."""
    # pytest-xdist tells its workers a width, and a terminal's own would not count.
    inherited = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    return inherited | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "error"} | variables


def complaints(stderr: str) -> str:
    """Return what a process wrote, but for asyncio's debug lines about steps that took long: only the machine is slow."""
    return re.sub(r"^Executing <.*> took \d+\.\d+ seconds\n", "", stderr, flags=re.MULTILINE)


@contextmanager
def process(
    *args: str,
    stdout: Any = subprocess.PIPE,
    stderr: Any = subprocess.PIPE,
    stdin: Any = None,
    pipesize: int = -1,
    **variables: str,
) -> Generator[subprocess.Popen[str], None, None]:
    """Run the command in a process, which does not outlive the block."""
    command = [sys.executable, "-m", "aiozilliz", *args]
    with subprocess.Popen(
        command,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=environment(**{"ZILLIZ_API_KEY": "env-key", **variables}),
        encoding="utf-8",
        pipesize=pipesize,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def ended(child: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the process, and give its exit status and what it wrote to standard error."""
    assert child.stderr is not None
    errors = child.stderr.read()
    return child.wait(LONG), errors


class Terminal(io.StringIO):
    """A standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch, term: str = "dumb", columns: int = 80) -> Terminal:
    """Put a terminal in the place of standard output. No fixture: pytest sets it anew before the test is called."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return screen
