"""One run of the command line: its exit status, one line per error, closed pipes, and what it logs."""

from __future__ import annotations

import copy
import functools
import io
import logging
import os
import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import shell_complete

import aiozilliz
from aiozilliz.cli import signals
from aiozilliz.cli.output import console
from aiozilliz.cli.signals import check_interrupt, report_signal

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator, Mapping, Sequence

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
_OTHER_NAMES = {
    "--format": "--output",
    "--limit": "| head",
    "--key": "--api-key-file",
    "--api-key": "--api-key-file",
    "-o": "aiozilliz snapshot FILE",  # the only command with a file and no format
    "--output": "aiozilliz snapshot FILE",
}
"""Options of similar commands, to those that are meant."""


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


def timestamps() -> None:
    """Begin the messages of the library with their local time, for a command that runs for months."""
    _StderrHandler.timestamps = True


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
    console.hide_keys(args)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What the terminal's encoding lacks, and lone surrogates, must not end a listing.
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")
    try:
        with _log_on_stderr():
            status = _invoke(group, args)
            check_interrupt()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        console.discard_stdout()
        return 0
    except KeyboardInterrupt:
        console.discard_stdout()
        return report_signal()
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
                        console.report(line)
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
        if isinstance(error, click.BadParameter) and error.ctx is not None and error.param is not None:
            given = error.ctx.get_parameter_source(error.param.name or "")
            if given is ParameterSource.ENVIRONMENT:
                text = f"{error.message} (from the environment variable {error.param.envvar})"
                error = click.BadParameter(text, error.ctx, error.param)
        # Not written by click itself: then a full standard error would change the exit status, and odd arguments would
        # reach a terminal raw.
        shown = io.StringIO()
        error.show(file=shown)
        for line in shown.getvalue().rstrip("\n").split("\n"):
            console.report(line)
        return error.exit_code
    return 0


def _report_failure(error: Exception) -> int:
    """Report an error, and return its exit status."""
    match error:
        case PartialError() | aiozilliz.InventoryError():
            for name, failure in error.failures.items():
                console.print_error(f"account {name}: {error_text(failure)}")
            console.print_error(str(error.args[0]))
        case CommandError() | aiozilliz.ZillizError():
            console.print_error(error_text(error))
        case OSError():
            console.discard_stdout()
            console.print_error(f"the system refused: {error.strerror or error}")
        case _:
            console.print_error(f"this is a bug in aiozilliz: {error_text(error)}. --debug shows where.")
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

    What is no warning, or may pass by itself, is for the line of progress, unless `--debug` asks for everything.

    Attributes:
        timestamps: Whether a line begins with its local time.
    """

    timestamps = False

    def filter(self, record: logging.LogRecord) -> bool:
        debug = logging.getLogger("aiozilliz").isEnabledFor(logging.DEBUG)
        return debug or (record.levelno >= logging.WARNING and not getattr(record, "transient", False))

    def emit(self, record: logging.LogRecord) -> None:
        if _StderrHandler.timestamps:
            self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
        shown = copy.copy(record)  # other handlers get the record as it was logged
        if isinstance(record.args, tuple):
            shown.args = tuple(
                error_text(arg) if isinstance(arg, aiozilliz.ZillizError) else arg for arg in record.args
            )
        console.print_error(self.format(shown))


@contextmanager
def _without_retry_hooks() -> Generator[None, None, None]:
    """Let stamina tell nobody of retries: its default hook writes to standard output if structlog is installed."""
    import stamina.instrumentation  # noqa: PLC0415  # help and version need none

    # A process of our own has none set, and to ask for them would load the default ones.
    hooks = () if signals.owns_process() else stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([])
    try:
        yield
    finally:
        stamina.instrumentation.set_on_retry_hooks(hooks)


@contextmanager
def _log_on_stderr() -> Generator[None, None, None]:
    ours = logging.getLogger("aiozilliz")
    propagate = ours.propagate
    handler = _StderrHandler()
    _StderrHandler.timestamps = False
    ours.addHandler(handler)
    ours.propagate = False
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.propagate = propagate


def call(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in a loop of its own. A signal ends it at once, also while a write waits for a reader."""
    try:
        with _without_retry_hooks():
            return signals.call(work)
    finally:
        work.close()  # Python warns of one that a signal has kept from being run
