"""A line on standard error that shows how far a reading has come, if a terminal can show and erase it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import click
from attrs import frozen

from aiozilliz.cli.output import console
from aiozilliz.cli.output.text import printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

_PERIOD: Final = 0.1
"""Seconds between two drawings."""

_WIDE: Final = 80
"""Cells of a terminal that has room for a bar beside the text."""

_BAR: Final = 20
"""Cells of the bar."""


@frozen(kw_only=True)
class Progress:
    """How far a reading has come.

    Attributes:
        accounts: How many of several accounts are done, and how many there are; None for one account.
        pages: Pages received.
        clusters: Clusters received.
        count: Clusters in all, or None while that is not known.
        failed: Accounts that failed.
    """

    accounts: tuple[int, int] | None = None
    pages: int = 0
    clusters: int = 0
    count: int | None = None
    failed: int = 0

    def __str__(self) -> str:
        parts: list[str] = []
        if self.accounts is not None:
            parts.append("accounts {:,}/{:,}".format(*self.accounts))
        if self.pages or self.accounts is None:
            total = "" if self.count is None else f"/{self.count:,}"
            parts += [f"pages {self.pages:,}", f"clusters {self.clusters:,}{total}"]
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        return "  ".join(parts)


@asynccontextmanager
async def show_progress(
    look: Callable[[], Progress | str], *, enabled: bool = True
) -> AsyncGenerator[None, None]:
    """Show a line of progress while the block runs. When it is left, for whatever reason, the line is erased.

    Nothing is drawn if standard error is no terminal, or one that can't erase a line, or if `--debug` logs each
    request there. The cursor stays visible, so that not even a process that is killed leaves it hidden.

    Args:
        look: Returns the progress, or a text for its line; called ten times a second.
        enabled: False if the command has no room for the line, because records go to the same terminal as they come.
    """
    logger = logging.getLogger("aiozilliz")
    if not enabled or not console.stderr_can_erase() or logger.isEnabledFor(logging.DEBUG):
        yield
        return
    news = _News(logging.INFO)
    level = logger.level
    logger.addHandler(news)
    logger.setLevel(logging.INFO)
    console.draw_line(_line(look(), news))
    drawing = asyncio.create_task(_keep_drawing(look, news))
    try:
        yield
    finally:
        drawing.cancel()
        console.draw_line("")
        logger.setLevel(level)
        logger.removeHandler(news)


class _News(logging.Handler):
    """Keeps the latest message that is no warning, or passes by itself: why the list is read again, or a retry waits.

    Any other warning has a line of its own.

    Attributes:
        text: The message, without control characters.
    """

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING or getattr(record, "transient", False):
            self.text = printable(record.getMessage())


async def _keep_drawing(look: Callable[[], Progress | str], news: _News) -> None:
    while True:
        await asyncio.sleep(_PERIOD)
        console.draw_line(_line(look(), news))


def _line(progress: Progress | str, news: _News) -> str:
    width = console.stderr_width()
    if isinstance(progress, str):
        return progress[:width]
    text = f"{progress}  {news.text}" if news.text else str(progress)
    if width < _WIDE:
        return text[:width]
    return f"{_bar(progress)} {text[: width - _BAR - 1]}"


def _bar(progress: Progress) -> str:
    done, total = (progress.clusters, progress.count) if progress.accounts is None else progress.accounts
    filled = _BAR * min(done, total) // total if total else 0
    mark = "━" if console.stderr_takes_unicode() else "="
    if not console.stderr_has_colour():
        return (mark * filled).ljust(_BAR)
    return click.style(mark * filled, fg="magenta") + click.style(mark * (_BAR - filled), fg="bright_black")
