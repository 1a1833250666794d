"""The entry points of the command line `aiozilliz`, and the error for a missing extra."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "script"]

_EXTRA = {
    "click": ("click", "cli"),
    "jmespath": ("jmespath", "cli"),
    "wcwidth": ("wcwidth", "cli"),
    "yaml": ("pyyaml", "cli"),
    "jinja2": ("jinja2", "report"),
    "markupsafe": ("jinja2", "report"),
}
"""Module to the package that provides it, and the extra that installs that."""

_ALLOCATIONS = 100_000
"""Allocations between two runs of the garbage collector. Loading makes half as many, hardly any of them in a cycle."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: The arguments after the command's name. None takes those of the process, which then belongs to the
            command: it handles signals, which end the process, and nothing must follow it.

    Returns:
        The exit status: 0 success, 1 failed, 2 wrong usage or configuration, 3 key refused, 4 some accounts failed,
        130 interrupted, 143 terminated.
    """
    try:
        # Imported here, so that a missing extra is an error message and not a traceback.
        from aiozilliz.cli.app import group  # noqa: PLC0415
        from aiozilliz.cli.process import run  # noqa: PLC0415
        from aiozilliz.cli.signals import own_process  # noqa: PLC0415

        if args is not None:
            return run(group, args)
        own_process()
        status = run(group, sys.argv[1:])
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        package, extra = _EXTRA[missing]
        sys.stderr.write(
            f"aiozilliz: the command line needs {package}, which is not installed. "
            f"Install it with: pip install 'aiozilliz[{extra}]'\n"
        )
        return 1
    except KeyboardInterrupt:
        status = 130
    if (signals := sys.modules.get("aiozilliz.cli.signals")) is not None:
        signals.die()
    return status


def script() -> NoReturn:
    """Run the command line as a program, and end the process.

    Nothing is left to be closed then, so the interpreter's own exit is skipped, as is garbage collection while modules
    are loaded: each takes a tenth of a short command's time.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # while modules are loaded there is nothing to clean up
    gc.set_threshold(_ALLOCATIONS)
    status = main()
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it may be full, closed, or not there
        sys.stderr.flush()
    os._exit(status)
