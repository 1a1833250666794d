"""What SIGINT and SIGTERM do to a command: it ends at once and in order, whatever it waits for."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from aiozilliz.cli.output.console import complain, discard_stdout

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

T = TypeVar("T")

_SHELL_OFFSET = 128
"""What a shell adds to the number of the signal that ended a program."""

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class _Process:
    """Whether the command has the process for itself, and by which signal it was asked to end."""

    owned = False
    ended_by = signal.SIGINT


_process = _Process()


@contextmanager
def owned_process() -> Generator[None, None, None]:
    """Run a command that has the process for itself, and nothing after it: once it has ended, signals change nothing.

    SIGTERM ends it as SIGINT does. A second signal ends it without waiting for anything.
    """
    _process.owned = True
    # Where SIGINT is ignored, as behind `nohup … &`, it can't stand in for SIGTERM, which then ends the process itself.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        for number in _WORDS:
            signal.signal(number, signal.SIG_IGN)


def tell_end() -> int:
    """Say which signal ended the command, and give the exit status."""
    complain(_WORDS[_process.ended_by])
    return _SHELL_OFFSET + _process.ended_by


def call(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in a loop of its own. An interrupt ends it at once, also where nobody reads what it writes."""
    import asyncio  # noqa: PLC0415  # neither help nor version need it, and it takes as long as click

    try:
        return asyncio.run(_interruptible(work))
    finally:
        if _process.owned:
            signal.signal(signal.SIGINT, signal.default_int_handler)


async def _interruptible(work: Coroutine[Any, Any, T]) -> T:
    cancel = signal.getsignal(signal.SIGINT)  # asyncio's own: it cancels this task
    if not callable(cancel) or threading.current_thread() is not threading.main_thread():
        return await work
    over = False

    def interrupted(number: int, frame: Any) -> None:
        nonlocal over
        # A write that nobody reads would hold the loop, and so the cancellation; it goes on into nothing.
        discard_stdout()
        if over and _process.owned:
            _leave()
        over = True
        cancel(number, frame)

    signal.signal(signal.SIGINT, interrupted)
    try:
        return await work
    except BaseException:
        if over and _process.owned and _has_threads():
            _leave()
        raise
    finally:
        over = True
        if not _process.owned:
            signal.signal(signal.SIGINT, cancel)


def _has_threads() -> bool:
    # A name is resolved in a thread, which can't be stopped and would be waited for.
    return any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread())


def _leave() -> NoReturn:
    os._exit(tell_end())


def _terminate(_number: int, _frame: Any) -> None:
    _process.ended_by = signal.SIGTERM
    signal.raise_signal(signal.SIGINT)
