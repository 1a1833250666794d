"""SIGINT and SIGTERM: they end what a command runs, and then its process, so that a shell or a service manager sees it."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from aiozilliz.cli.output import console

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

_PATIENCE = 1.0
"""Seconds after a signal until another one ends the process without waiting for anything."""

_SIGNAL_NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class _Process:
    """Whether the command has the process for itself, which signal ended it, and how to end what runs.

    `cancel` is None while nothing is in an event loop: then a signal raises `KeyboardInterrupt`.
    """

    owned = False
    ended_by: signal.Signals | None = None
    ended_at = 0.0
    cancel: Callable[[], object] | None = None


_process = _Process()


def own_process() -> None:
    """Handle signals, as the command has the process for itself: it cleans up, and is then ended by `die`."""
    _process.owned = True
    sys.unraisablehook = _ignore_interrupts
    for number in _SIGNAL_NAMES:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as after `nohup ... &`
            signal.signal(number, _interrupt)


def owns_process() -> bool:
    """Return whether the command has the process for itself."""
    return _process.owned


def die() -> None:
    """If a signal has ended the command, let it end the process too, so that a shell or a service manager sees it."""
    if _process.ended_by is not None:
        signal.signal(_process.ended_by, signal.SIG_DFL)
        signal.raise_signal(_process.ended_by)


def call(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in a loop of its own. A signal ends it at once, also while a write waits for a reader."""
    import asyncio  # noqa: PLC0415  # neither help nor version need it, and it takes as long as click

    if not _process.owned:
        return asyncio.run(work)
    _process.cancel = _do_nothing  # what comes before the task runs is found there
    try:
        return asyncio.run(_interruptible(work))
    finally:
        _process.cancel = None
        check_interrupt()


async def _interruptible(work: Coroutine[Any, Any, T]) -> T:
    import asyncio  # noqa: PLC0415  # as above

    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()

    def cancel() -> None:
        task.cancel()  # at once, so that what was just written counts as discarded
        loop.call_soon_threadsafe(_do_nothing)  # it may wait for something else

    _process.cancel = cancel
    if _process.ended_by is not None:
        task.cancel()
    try:
        return await work
    finally:
        _process.cancel = _do_nothing
        if _process.ended_by is not None and _has_threads():
            console.print_error(_SIGNAL_NAMES[_process.ended_by])
            die()


def _do_nothing() -> None:
    """Leave a signal to those who look for it later."""


def _interrupt(number: int, _frame: object) -> None:
    if _process.ended_by is not None:
        # Some send a signal to the process and to its group; but whoever sends one later has waited in vain.
        if time.monotonic() - _process.ended_at > _PATIENCE:
            die()
        return
    _process.ended_at = time.monotonic()  # before the signal: another one may arrive at any line
    _process.ended_by = signal.Signals(number)
    # A write that nobody reads would block what is to end; it continues into the null device.
    console.discard_stdout()
    if _process.cancel is None:
        raise KeyboardInterrupt
    _process.cancel()


def check_interrupt() -> None:
    """Raise the interrupt that was left for later, or that something has swallowed."""
    if _process.ended_by is not None:
        raise KeyboardInterrupt


def _ignore_interrupts(unraisable: sys.UnraisableHookArgs) -> None:
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


def _has_threads() -> bool:
    # A host name is resolved in a thread, which can't be stopped and would be waited for.
    return any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread())


def report_signal() -> int:
    """Report which signal ended the command, and return the exit status."""
    number = _process.ended_by or signal.SIGINT
    console.print_error(_SIGNAL_NAMES[number])
    return 128 + number  # as a shell says it
