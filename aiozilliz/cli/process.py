"""One run of the command line as a process: its exit status, one line per error, closed pipes, SIGINT and SIGTERM."""

from __future__ import annotations

import copy
import functools
import io
import logging
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import shell_complete

import aiozilliz
from aiozilliz.cli.output.console import discard_stdout, print_error, report

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence

T = TypeVar("T")

NAME = "aiozilliz"

SETTINGS = {
    "api_key": "--api-key-file",
    "base_url": "--base-url",
    "site": "--china",
    "page_size": "--page-size",
    "max_passes": "--max-passes",
    "verify": "--verify",
    "timeout": "--timeout",
    "deadline": "--timeout",  # which lengthens it too
    "max_response_bytes": "fixed",
    "limiter": "a smaller --concurrency",
    "session": "the environment variable SSL_CERT_FILE",
}
"""What the command line calls the settings that advice names: see `ZillizError.describe`."""

FAILED = 1
MISUSED = 2
REFUSED = 3
SOME_FAILED = 4
UNPROVEN = 5

COMPLETE_VARIABLE = "_AIOZILLIZ_COMPLETE"
"""The environment variable by which a shell's script asks for completions."""

_DEBUG = "aiozilliz.debug"
_FAILURE_STATUS = "aiozilliz.failure_status"
_SHELL_OFFSET = 128
"""What a shell adds to the number of the signal that ended a program."""

_OTHER_NAMES = {
    "--format": "--output",
    "--limit": "| head",
    "--key": "--api-key-file",
    "--api-key": "--api-key-file",
}
"""Options of similar commands, to those that are meant."""

_PATIENCE = 1.0
"""Seconds after a signal until another one ends the process without waiting for anything."""

_SIGNAL_NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class CommandError(Exception):
    """Ends a command with one line on standard error.

    Args:
        text: The line.
        status: The exit status.
    """

    def __init__(self, text: str, status: int = FAILED) -> None:
        super().__init__(text)
        self.status = status


class PartialError(Exception):
    """Some accounts failed, but not all: the results of the others have been written.

    Args:
        failures: Account name to its error.
        accounts: How many accounts there are.
    """

    def __init__(self, failures: Mapping[str, Exception], accounts: int) -> None:
        super().__init__(f"{len(failures)} of {accounts} accounts failed")
        self.failures = dict(failures)


def accounts_error(
    failures: Mapping[str, Exception], accounts: int
) -> PartialError | aiozilliz.InventoryError:
    """Return the error for accounts that failed: a `PartialError` if others did not.

    Args:
        failures: Account name to its error.
        accounts: How many accounts there are.
    """
    if len(failures) < accounts:
        return PartialError(failures, accounts)
    return aiozilliz.InventoryError(f"{len(failures)} of {accounts} accounts failed", dict(failures))


def debug(context: click.Context) -> None:
    """Show tracebacks, and everything that the library logs, until the context is closed."""
    context.meta[_DEBUG] = True
    logger = logging.getLogger("aiozilliz")
    context.call_on_close(functools.partial(logger.setLevel, logger.level))
    logger.setLevel(logging.DEBUG)


@contextmanager
def timestamps() -> Generator[None, None, None]:
    """Begin the messages of the library with their local time while the block runs."""
    _process.timestamps = True
    try:
        yield
    finally:
        _process.timestamps = False


def set_failure_status(status: int) -> None:
    """Set the exit status of failures of the current command, for one that uses `FAILED` for something else."""
    click.get_current_context().meta[_FAILURE_STATUS] = status


def run(group: click.Group, args: Sequence[str]) -> int:
    """Run the command that `args` name.

    Args:
        group: The commands.
        args: The arguments after the command's name.

    Returns:
        The exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What the terminal's encoding lacks, and lone surrogates, must not end a listing.
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")
    try:
        with _log_on_stderr():
            status = _invoke(group, args)
            _check_interrupt()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        discard_stdout()
        return 0
    except KeyboardInterrupt:
        discard_stdout()
        return _report_signal()
    except OSError as error:
        return _report_failure(error)
    return status


def _invoke(group: click.Group, args: Sequence[str]) -> int:
    # Not `group.main`, which handles closed pipes and interrupts in its own way.
    if instruction := os.environ.get(COMPLETE_VARIABLE):
        return shell_complete(group, {}, NAME, COMPLETE_VARIABLE, instruction)
    try:
        with group.make_context(NAME, list(args)) as context:
            try:
                group.invoke(context)
            except (click.ClickException, click.exceptions.Exit, BrokenPipeError, ModuleNotFoundError):
                raise
            except Exception as error:  # noqa: BLE001 - a bug of ours ends in one line too
                if context.meta.get(_DEBUG, False):
                    for line in "".join(traceback.format_exception(error)).splitlines():
                        report(line)
                status = _report_failure(error)
                return context.meta.get(_FAILURE_STATUS, FAILED) if status == FAILED else status
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        if isinstance(error, click.NoSuchOption) and error.option_name in _OTHER_NAMES:
            meant = _OTHER_NAMES[error.option_name]
            error = click.UsageError(
                f"No such option {error.option_name!r}. Did you mean {meant!r}?", error.ctx
            )
        # Not written by click itself: then a full standard error would change the exit status, and odd arguments would
        # reach a terminal raw.
        text = io.StringIO()
        error.show(file=text)
        for line in text.getvalue().rstrip("\n").split("\n"):
            report(line)
        return error.exit_code
    return 0


def _report_failure(error: Exception) -> int:
    """Report an error, and return its exit status."""
    match error:
        case PartialError() | aiozilliz.InventoryError():
            for name, failure in error.failures.items():
                print_error(f"account {name}: {error_text(failure)}")
            print_error(str(error.args[0]))
        case CommandError() | aiozilliz.ZillizError():
            print_error(error_text(error))
        case OSError():
            discard_stdout()
            print_error(f"the system refused: {error.strerror or error}")
        case _:
            print_error(f"this is a bug in aiozilliz: {error_text(error)}. --debug shows where.")
    return _status(error)


def _status(error: Exception) -> int:
    match error:
        case CommandError():
            return error.status
        case PartialError() | aiozilliz.InventoryError():
            statuses = {_status(failure) for failure in error.failures.values()}
            if statuses == {UNPROVEN}:
                return UNPROVEN
            if isinstance(error, PartialError):
                return SOME_FAILED
            return statuses.pop() if len(statuses) == 1 else FAILED
        case aiozilliz.IncompleteListingError():
            return UNPROVEN
        case aiozilliz.AuthenticationError():
            return REFUSED
        case aiozilliz.ConfigurationError():
            return MISUSED
        case _:
            return FAILED


def error_text(error: Exception) -> str:
    """Return the text of an error; an error of the library names options in its advice."""
    match error:
        case CommandError():
            return str(error)
        case aiozilliz.ZillizError():
            return error.describe(SETTINGS)
        case _:
            return f"{type(error).__name__}: {error}"


class _StderrHandler(logging.Handler):
    """Writes log records to standard error as the command writes its errors.

    What is no warning is for the line of progress, unless `--debug` asks for everything.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        debug = logging.getLogger("aiozilliz").isEnabledFor(logging.DEBUG)
        return debug or record.levelno >= logging.WARNING

    def emit(self, record: logging.LogRecord) -> None:
        if _process.timestamps:
            self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
        shown = copy.copy(record)  # other handlers get the record as it was logged
        if isinstance(record.args, tuple):
            shown.args = tuple(
                error_text(arg) if isinstance(arg, aiozilliz.ZillizError) else arg for arg in record.args
            )
        print_error(self.format(shown))


@contextmanager
def _log_on_stderr() -> Generator[None, None, None]:
    # If nobody has set up logging, each retry would write its bare event name to standard error.
    stamina = logging.getLogger("stamina")
    ours = logging.getLogger("aiozilliz")
    level, propagate = stamina.level, ours.propagate
    handler = _StderrHandler()
    stamina.setLevel(logging.ERROR)
    ours.addHandler(handler)
    ours.propagate = False
    try:
        yield
    finally:
        stamina.setLevel(level)
        ours.removeHandler(handler)
        ours.propagate = propagate


class _Process:
    """Whether the command has the process for itself, which signal ended it, and how to end what runs.

    With `timestamps`, messages of the library begin with their local time, as those of a command that runs for months.

    `cancel` is None while nothing is in an event loop: then a signal raises `KeyboardInterrupt`.
    """

    owned = False
    timestamps = False
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
        _check_interrupt()


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
            print_error(_SIGNAL_NAMES[_process.ended_by])
            die()


def _do_nothing() -> None:
    """Leave a signal to those who look for it later."""


def _interrupt(number: int, _frame: object) -> None:
    if _process.ended_by is not None:
        # Some send a signal to the process and to its group; but whoever sends one later has waited in vain.
        if time.monotonic() - _process.ended_at > _PATIENCE:
            die()
        return
    _process.ended_by = signal.Signals(number)
    _process.ended_at = time.monotonic()
    # A write that nobody reads would block what is to end; it continues into the null device.
    discard_stdout()
    if _process.cancel is None:
        raise KeyboardInterrupt
    _process.cancel()


def _check_interrupt() -> None:
    """Raise the interrupt that was left for later, or that something has swallowed."""
    if _process.ended_by is not None:
        raise KeyboardInterrupt


def _ignore_interrupts(unraisable: sys.UnraisableHookArgs) -> None:
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


def _has_threads() -> bool:
    # A host name is resolved in a thread, which can't be stopped and would be waited for.
    return any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread())


def _report_signal() -> int:
    """Report which signal ended the command, and return the exit status."""
    number = _process.ended_by or signal.SIGINT
    print_error(_SIGNAL_NAMES[number])
    return _SHELL_OFFSET + number
