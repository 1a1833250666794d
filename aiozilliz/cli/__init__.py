"""The command line `aiozilliz`: where it begins, and what it says where its extra is missing."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "script"]

_EXTRA = {"click": "click", "jmespath": "jmespath", "rich": "rich", "yaml": "pyyaml"}
"""Module to the package that brings it."""

_ALLOCATIONS = 100_000
"""After so many the collector of cycles looks for some. Loading makes half as many, hardly any of them in a cycle."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: What stands after the command's name. None takes it from the process, which is then the command's own.

    Returns:
        The exit status: 0 all, 1 failed, 2 wrong usage or set-up, 3 key refused, 4 some accounts
        failed, 130 interrupted, 143 terminated.
    """
    try:
        # Here, so that a missing extra can be told in words.
        from aiozilliz.cli.app import group  # noqa: PLC0415
        from aiozilliz.cli.process import run  # noqa: PLC0415
        from aiozilliz.cli.signals import owned_process  # noqa: PLC0415

        if args is not None:
            return run(group, args)
        with owned_process():
            return run(group, sys.argv[1:])
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        sys.stderr.write(
            f"aiozilliz: the command line needs {_EXTRA[missing]}, which is not installed. "
            "Install it with: pip install 'aiozilliz[cli]'\n"
        )
        return 1
    except KeyboardInterrupt:
        return 130


def script() -> NoReturn:
    """Run the command line as a program of its own, and end the process.

    Nothing is left to be closed, so the interpreter is not taken down piece by piece, and no cycles are looked for in
    what was loaded: each is a tenth of a short command's time.
    """
    gc.set_threshold(_ALLOCATIONS)
    status = main()
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it may be full, closed, or not there
        sys.stderr.flush()
    os._exit(status)
