"""What a test runs between two pages, and the errors of that."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .log import RecordedRequest


class Callbacks:
    """Functions of a test, plain or async, with and without an argument.

    Attributes:
        error: The first error that one of them raised, or None. It is kept here, so that it fails the test and not
            the request.
    """

    def __init__(self) -> None:
        self._callbacks: list[tuple[Callable[..., Any], bool]] = []
        self.error: BaseException | None = None

    def add(self, callback: Callable[..., Any]) -> None:
        """Add one more. It gets the request only where it can't be called without, so that defaults stay its own.

        Raises:
            TypeError: It needs more than one argument.
        """
        wants_request = not _accepts(callback)
        if wants_request and not _accepts(callback, None):
            raise TypeError("A callback between pages takes the request, or nothing.")
        self._callbacks.append((callback, wants_request))

    async def run(self, recorded: RecordedRequest) -> None:
        """Call all, one after another, until one fails."""
        try:
            for callback, wants_request in list(self._callbacks):
                result = callback(recorded) if wants_request else callback()
                if isinstance(result, Awaitable):
                    await result
        except BaseException as error:
            # Not `Exception`: what pytest.fail() raises is none.
            task = asyncio.current_task()
            if isinstance(error, KeyboardInterrupt | SystemExit) or (task and task.cancelling()):
                raise
            self.error = self.error or error


def _accepts(callback: Callable[..., Any], *args: object) -> bool:
    try:
        inspect.signature(callback).bind(*args)
    except TypeError:
        return False
    except ValueError:  # some built-in functions have no signature
        return not args
    return True
