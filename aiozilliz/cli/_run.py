"""One run of the command line: its exit status, its errors in one line, interrupts and closed pipes."""

from __future__ import annotations

import asyncio
import functools
import io
import logging
import os
import signal
import sys
import threading
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import shell_complete

import aiozilliz
from aiozilliz.cli._output import discard_stdout, printable

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator, Sequence

T = TypeVar("T")

NAME = "aiozilliz"
DEBUG = "aiozilliz.debug"

FAILED = 1
MISUSED = 2
REFUSED = 3
INTERRUPTED = 130


def call(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in a loop of its own. An interrupt ends it at once, also where nobody reads what it writes."""
    return asyncio.run(_interruptible(work))


def debug(context: click.Context) -> None:
    """Show tracebacks, and what the library logs, until the context is closed."""
    context.meta[DEBUG] = True
    logger = logging.getLogger("aiozilliz")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    context.call_on_close(functools.partial(logger.removeHandler, handler))
    context.call_on_close(functools.partial(logger.setLevel, logger.level))
    logger.addHandler(handler)
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
        with _quiet_retries():
            status = _invoke(group, args)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        discard_stdout()
        return 0
    except KeyboardInterrupt:
        discard_stdout()
        _say("interrupted")
        return INTERRUPTED
    except OSError as error:
        discard_stdout()
        return _say(f"the system refused: {error.strerror or error}")
    return status


def _invoke(group: click.Group, args: Sequence[str]) -> int:
    # Not `group.main`: it makes its own mind up about closed pipes and interrupts.
    if instruction := os.environ.get("_AIOZILLIZ_COMPLETE"):
        return shell_complete(group, {}, NAME, "_AIOZILLIZ_COMPLETE", instruction)
    try:
        with group.make_context(NAME, list(args)) as context:
            try:
                group.invoke(context)
            except aiozilliz.ZillizError as error:
                return _failed(error, debug=context.meta.get(DEBUG, False))
            except (click.ClickException, click.exceptions.Exit, OSError, ModuleNotFoundError):
                raise
            except Exception as error:  # noqa: BLE001 - a bug of ours ends in one line too
                return _broken(error, debug=context.meta.get(DEBUG, False))
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return 0


def _failed(error: aiozilliz.ZillizError, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    _say(str(error))
    if isinstance(error, aiozilliz.AuthenticationError):
        return REFUSED
    return MISUSED if isinstance(error, aiozilliz.ConfigurationError) else FAILED


def _broken(error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    return _say(f"this is a bug in aiozilliz: {type(error).__name__}: {error}. --debug shows where.")


def _say(text: str) -> int:
    if sys.stderr is not None:
        sys.stderr.write(f"{NAME}: {printable(text)}\n")
    return FAILED


@contextmanager
def _quiet_retries() -> Generator[None, None, None]:
    # Where nobody has set up logging, each retry would leave its bare event name on standard error.
    logger = logging.getLogger("stamina")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


async def _interruptible(work: Coroutine[Any, Any, T]) -> T:
    cancel = signal.getsignal(signal.SIGINT)  # asyncio's own: it cancels this task
    if not callable(cancel) or threading.current_thread() is not threading.main_thread():
        return await work

    def interrupted(number: int, frame: Any) -> None:
        # A write that nobody reads would hold the loop, and so the cancellation; it goes on into nothing.
        discard_stdout()
        cancel(number, frame)

    signal.signal(signal.SIGINT, interrupted)
    try:
        return await work
    finally:
        signal.signal(signal.SIGINT, cancel)
