"""Errors without the frames that may hold a key: error trackers show the locals of each frame of a traceback.

A key is a plain local only in the frames of HTTP library calls and of the functions that check and remember it. What
these raise passes one border, where it loses its frames: `Replacement` in the code of one request, `hide_frames` around
the reading of a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_E = TypeVar("_E", bound=BaseException)


def bare(error: _E) -> _E:
    """Return the error without its traceback, cause and context, which lead to frames that may hold a key."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


class Replacement:
    """An error that is raised in the place of a caught one, and does not lead back to it.

    An exception of the HTTP library holds the request's headers and so the key, as do the frames of its traceback.
    `raise ... from None` still keeps it in `__context__`; only what is raised after the `except` block has been left
    is free of it:

        try:
            return dangerous()
        except Exception as error:
            replacement = Replacement(failure_of(error))
        raise replacement.take()

    A `CancelledError`, a `KeyboardInterrupt` and the like stand for themselves. They are raised again as they were,
    without their frames, so that whoever has cancelled the task gets the same object and the same message.
    """

    __slots__ = ("_error",)

    def __init__(self, error: BaseException) -> None:
        self._error: BaseException | None = error

    @property
    def is_error(self) -> bool:
        """Whether it is an error, and not a cancellation or an interrupt."""
        return isinstance(self._error, Exception)

    def take(self) -> BaseException:
        """Return the error, once. Nothing but the caller's `raise` must keep it: it will refer to the caller's frame."""
        error, self._error = self._error, None
        assert error is not None
        return bare(error)


def hide_frames(read: Callable[[], _T]) -> _T:
    """Return what `read` returns. What it raises, whatever that is, loses the frames that it came through.

    Args:
        read: Reads a key. It must not hold one itself, as a default or in its closure.
    """
    try:
        return read()
    except BaseException as error:  # noqa: BLE001  # a full stack or an interrupt shows the same frames
        replacement = Replacement(error)
    raise replacement.take()
