"""How progress is drawn: one line on standard error, ten times a second. It loads rich, so it is imported late."""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, cast

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TextIO

    from rich.console import RenderableType

    from aiozilliz.cli.output.progress import Progress

DRAWINGS = 10
"""A second."""

WIDE = 80
"""Columns of a terminal that has room for a bar beside the text."""

BAR = 20
"""Columns of the bar."""


@contextmanager
def draw(progress: Progress) -> Generator[None, None, None]:
    """Draw `progress` until the block is left, then erase it.

    Args:
        progress: What each drawing looks at, in a thread of its own.
    """
    console = _Console(file=cast("TextIO", _Screen(sys.stderr)))
    live = Live(
        get_renderable=lambda: _line(progress, console.width),
        console=console,
        refresh_per_second=DRAWINGS,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    try:
        live.start(refresh=True)
        yield
    finally:
        live.stop()


def _line(progress: Progress, width: int) -> RenderableType:
    facts = progress.facts
    text = Text(str(facts), no_wrap=True, overflow="crop", end="")
    if width < WIDE:
        return text
    done, total = (facts.clusters, facts.count) if facts.accounts is None else facts.accounts
    line = Table.grid(padding=(0, 1))
    line.add_row(ProgressBar(total=total or None, completed=min(done, total or 0), width=BAR), text)
    return line


class _Screen(io.TextIOBase):
    """A terminal that may go away: what can't be written to it is no failure of the command."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute there
        return self._stream.encoding

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str, /) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


class _Console(Console):
    """A console whose cursor stays visible, so that not even a process that is killed leaves it hidden."""

    def show_cursor(self, show: bool = True) -> bool:
        del show
        return False
