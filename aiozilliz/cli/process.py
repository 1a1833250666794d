"""One run of the command line: its exit status, its errors in one line each, and closed pipes."""

from __future__ import annotations

import copy
import functools
import io
import logging
import os
import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from click.shell_completion import shell_complete

import aiozilliz
from aiozilliz.cli.output.console import complain, discard_stdout, say
from aiozilliz.cli.signals import tell_end

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

NAME = "aiozilliz"
DEBUG = "aiozilliz.debug"

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


class CommandError(Exception):
    """What ends a command with one line on standard error.

    Args:
        text: The line.
        status: The exit status.
    """

    def __init__(self, text: str, status: int = FAILED) -> None:
        super().__init__(text)
        self.status = status


class PartialError(Exception):
    """Some accounts failed, but not all: what could be had of the others has been given.

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
    """Make the error for accounts that failed: a `PartialError` where others did not.

    Args:
        failures: Account name to its error.
        accounts: How many accounts there are.
    """
    if len(failures) < accounts:
        return PartialError(failures, accounts)
    return aiozilliz.InventoryError(f"{len(failures)} of {accounts} accounts failed", dict(failures))


def debug(context: click.Context) -> None:
    """Show tracebacks, and all that the library logs, until the context is closed."""
    context.meta[DEBUG] = True
    logger = logging.getLogger("aiozilliz")
    context.call_on_close(functools.partial(logger.setLevel, logger.level))
    logger.setLevel(logging.DEBUG)


def run(group: click.Group, args: Sequence[str]) -> int:
    """Run the command that `args` name, and give the exit status.

    Args:
        group: The commands.
        args: What stands after the command's name.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What the terminal's encoding lacks, and lone surrogates, must not end a listing.
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")
    try:
        with _told():
            status = _invoke(group, args)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        discard_stdout()
        return 0
    except KeyboardInterrupt:
        discard_stdout()
        return tell_end()
    except OSError as error:
        discard_stdout()
        complain(f"the system refused: {error.strerror or error}")
        return FAILED
    return status


def _invoke(group: click.Group, args: Sequence[str]) -> int:
    # Not `group.main`: it makes its own mind up about closed pipes and interrupts.
    if instruction := os.environ.get("_AIOZILLIZ_COMPLETE"):
        return shell_complete(group, {}, NAME, "_AIOZILLIZ_COMPLETE", instruction)
    try:
        with group.make_context(NAME, list(args)) as context:
            try:
                group.invoke(context)
            except (click.ClickException, click.exceptions.Exit, OSError, ModuleNotFoundError):
                raise
            except Exception as error:  # noqa: BLE001 - a bug of ours ends in one line too
                if context.meta.get(DEBUG, False):
                    for line in "".join(traceback.format_exception(error)).splitlines():
                        say(line)
                return _ended_by(error)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        _show(error)
        return error.exit_code
    return 0


def _show(error: click.ClickException) -> None:
    # Not where click would: there neither the exit status survives a full standard error, nor a terminal odd arguments.
    text = io.StringIO()
    error.show(file=text)
    for line in text.getvalue().rstrip("\n").split("\n"):
        say(line)


def _ended_by(error: Exception) -> int:
    """Tell an error, and give the exit status that it means."""
    match error:
        case CommandError():
            complain(str(error))
            return error.status
        case PartialError() | aiozilliz.InventoryError():
            for name, failure in error.failures.items():
                complain(f"account {name}: {error_text(failure)}")
            complain(str(error.args[0]))
        case aiozilliz.ZillizError():
            complain(error_text(error))
        case _:
            complain(f"this is a bug in aiozilliz: {type(error).__name__}: {error}. --debug shows where.")
    return _status(error)


def _status(error: Exception) -> int:
    match error:
        case PartialError():
            return SOME_FAILED
        case aiozilliz.InventoryError():
            statuses = {_status(failure) for failure in error.failures.values()}
            return statuses.pop() if len(statuses) == 1 else FAILED
        case aiozilliz.AuthenticationError():
            return REFUSED
        case aiozilliz.ConfigurationError():
            return MISUSED
        case _:
            return FAILED


def error_text(error: Exception) -> str:
    """Return the text of an error; an error of the library names options in its advice."""
    if isinstance(error, aiozilliz.ZillizError):
        return error.describe(SETTINGS)
    return f"{type(error).__name__}: {error}"


class _Teller(logging.Handler):
    """Tells on standard error what is logged, as the command tells its errors."""

    def emit(self, record: logging.LogRecord) -> None:
        shown = copy.copy(record)  # other handlers get the record as it was logged
        if isinstance(record.args, tuple):
            shown.args = tuple(
                error_text(arg) if isinstance(arg, aiozilliz.ZillizError) else arg for arg in record.args
            )
        complain(self.format(shown))


@contextmanager
def _told() -> Generator[None, None, None]:
    # Where nobody has set up logging, each retry would leave its bare event name on standard error.
    stamina = logging.getLogger("stamina")
    ours = logging.getLogger("aiozilliz")
    level, propagate = stamina.level, ours.propagate
    teller = _Teller()
    stamina.setLevel(logging.ERROR)
    ours.addHandler(teller)
    ours.propagate = False
    try:
        yield
    finally:
        stamina.setLevel(level)
        ours.removeHandler(teller)
        ours.propagate = propagate
