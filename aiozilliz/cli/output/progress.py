"""A line on standard error that tells how far a reading has come, where a terminal shows it."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import frozen

from aiozilliz.cli.output.console import stderr_is_terminal

if TYPE_CHECKING:
    from collections.abc import Generator


@frozen(kw_only=True)
class Facts:
    """What is known of a reading.

    Attributes:
        accounts: How many of several accounts have come to their end, and how many there are.
        pages: Pages received.
        clusters: Clusters received.
        count: How many there are in all, as far as the service told.
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


class Progress:
    """Takes what is known, at any rate; whoever draws it looks when it is time to draw."""

    def __init__(self) -> None:
        self.facts = Facts()

    def update(
        self,
        *,
        pages: int,
        clusters: int,
        accounts: tuple[int, int] | None = None,
        count: int | None = None,
        failed: int = 0,
    ) -> None:
        """Store what is known now.

        Args:
            pages: Pages received.
            clusters: Clusters received.
            accounts: How many of several accounts have come to their end, and how many there are.
            count: How many clusters there are in all, or None while that is not known.
            failed: Accounts that failed.
        """
        self.facts = Facts(accounts=accounts, pages=pages, clusters=clusters, count=count, failed=failed)


@contextmanager
def show_progress(enabled: bool) -> Generator[Progress, None, None]:
    """Show a line of progress while the block runs; on leaving it, however that happens, the line is erased.

    Nothing is drawn, and nothing loaded for it, where standard error is no terminal or one that can't erase a line, and
    where `--debug` has each request logged there.

    Args:
        enabled: Whether the command has room for it: it has not where records go to the same terminal as they come.
    """
    progress = Progress()
    if enabled and _can_be_drawn():
        # rich is slow to load.
        from aiozilliz.cli.output.progress_line import draw  # noqa: PLC0415

        with draw(progress):
            yield progress
    else:
        yield progress


def _can_be_drawn() -> bool:
    if not stderr_is_terminal() or os.environ.get("TERM") == "dumb":
        return False
    return not logging.getLogger("aiozilliz").isEnabledFor(logging.DEBUG)
