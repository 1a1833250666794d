"""What follows a failed attempt: whether there is another, after which wait, and the line that says so.

Which errors may be retried is said where they are made: in the table of `wire`, and in `aiohttp_errors`. Counting
attempts and waiting is stamina's part.
"""

from __future__ import annotations

import logging
import random
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import Attribute, field, frozen

from aiozilliz._errors import APIError, ResponseError, TransportError, ZillizError, printable
from aiozilliz._public import record
from aiozilliz._settings.checks import check_count, check_seconds
from aiozilliz._settings.tracebacks import bare

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_T = TypeVar("_T")

logger = logging.getLogger("aiozilliz")

MAX_SPREAD = 0.5
"""Seconds over which requests that a `Retry-After` held back are spread at most."""

_LOADED_ON_FIRST_USE = (
    "concurrent.futures.thread",
    *("encodings.idna", "encodings.unicode_escape", "encodings.utf_8_sig"),
)
"""Modules of Python that resolve host names, decompress large bodies, and read what is no proper response."""

_CAUSE = 300
"""Characters of a failure's text in the line of a retry, at most."""


def _count(_: object, attribute: Attribute[int], value: object) -> None:
    check_count(attribute.name, value)


def _positive(_: object, attribute: Attribute[float], value: object) -> None:
    check_seconds(attribute.name, value)


def _not_negative(_: object, attribute: Attribute[float], value: object) -> None:
    check_seconds(attribute.name, value, positive=False)


@record
@frozen
class RetryPolicy:
    """How often one page is requested, and how long that may take.

    Retried are refused and lost connections, responses that were cut short, timeouts, 408, 429, 500, 502, 503 and 504
    (as HTTP status or as the body's `code`), and responses that are not JSON at all; never a certificate that does not
    verify. Before attempt number n+1 it waits `min(wait_max, wait_initial * 2**(n-1) + random(0, wait_jitter))` seconds,
    or as long as a `Retry-After` says. A connection that is lost on the first attempt is most often a kept one that the
    service had just closed, so that wait has no jitter.

    While `stamina.set_testing(True)` or `stamina.set_active(False)` are in force, they hold here too.

    A `Retry-After` holds back every request of the client, but no response decides over a client's whole life: if it asks
    for more than `hold_back_max`, then after that time one request is sent as a probe, and the others follow when it is
    answered. If it is refused with a `Retry-After`, they are held back again; if there is no response, another request
    is the next probe.

    Attributes:
        attempts: Requests for one page at most; 1 means no retry.
        deadline: Seconds for one page at most: attempts, waits, the limiter and a key callable together.
        wait_initial: Seconds before the second attempt.
        wait_max: Seconds before any attempt at most, unless a `Retry-After` asks for more.
        wait_jitter: Upper bound of the random seconds that are added.
        hold_back_max: Seconds for which a `Retry-After` holds requests back at most. A call whose deadline is before what
            the service asked for still fails at once.

    Raises:
        TypeError: A value is of the wrong type.
        ValueError: A value is out of range.
    """

    attempts: int = field(default=5, validator=_count)
    deadline: float = field(default=60.0, validator=_positive)
    wait_initial: float = field(default=0.1, validator=_not_negative)
    wait_max: float = field(default=5.0, validator=_not_negative)
    wait_jitter: float = field(default=1.0, validator=_not_negative)
    hold_back_max: float = field(default=300.0, validator=_positive)


def retry_after(error: ZillizError) -> float | None:
    """Return the seconds that the service asks to wait, or None if it does not ask, or the error is not retried."""
    if not isinstance(error, (APIError, ResponseError)) or not error.retryable:
        return None
    return error.retry_after if error.retry_after is not None and error.retry_after > 0 else None


def load() -> None:
    """Load what a failure needs. It must be called before the first request is sent.

    Nothing can be loaded from files when the process has no descriptors left, or its disk is gone, and that is when
    requests fail. It is not done when the package is imported, as most of it takes longer than all else of ours.
    """
    for name in _LOADED_ON_FIRST_USE:
        import_module(name)
    import stamina.instrumentation  # noqa: PLC0415  # as above

    # Its default hooks look for structlog and Prometheus when the first retry is due.
    stamina.instrumentation.get_on_retry_hooks()


def waits_are_off() -> bool:
    """Return whether the process has switched stamina's waits off, for its tests: it wants none of ours either."""
    import stamina  # noqa: PLC0415  # see `load`

    return stamina.is_testing() or not stamina.is_active()


def spread(policy: RetryPolicy, uniform: Callable[[float, float], float]) -> float:
    """Return random seconds, so that requests that were held back together don't all start at once.

    Args:
        policy: Its jitter bounds them, as does `MAX_SPREAD`.
        uniform: Returns a random number between two others.
    """
    return uniform(0.0, min(policy.wait_jitter, MAX_SPREAD))


def wait_before_retry(
    error: BaseException,
    *,
    failed: int,
    policy: RetryPolicy,
    time_left: float,
    uniform: Callable[[float, float], float],
) -> float | None:
    """Decide what follows a failed attempt.

    Args:
        error: What the attempt raised.
        failed: Attempts so far.
        policy: Bounds the waits.
        time_left: Seconds until the deadline.
        uniform: Returns a random number between two others.

    Returns:
        The seconds to wait before the next attempt, or None to give up.
    """
    if not isinstance(error, ZillizError) or not error.retryable or time_left <= 0:
        return None
    asked = retry_after(error)
    if asked is not None:
        if asked >= time_left:  # an attempt before that time would be refused again
            return None
        pause = min(asked, policy.hold_back_max)
        # If the spread leads past the deadline, do without it rather than give up.
        wait = pause + spread(policy, uniform)
        return wait if wait < time_left else pause
    wait = policy.wait_initial * 2.0 ** min(failed - 1, 1000)  # a larger one is no float
    # Most often a kept connection that the service had just closed: nothing is wrong, so no jitter.
    kept = failed == 1 and isinstance(error, TransportError) and error.lost_connection
    return min(policy.wait_max, wait if kept else wait + uniform(0.0, policy.wait_jitter))


class Retries:
    """The attempts that follow a failed one.

    Args:
        policy: How many there are, and when.
        what: What is requested, for log records.
        begin_wait: Called with each failure, before the wait that may follow; returns the seconds until the deadline.
    """

    def __init__(self, policy: RetryPolicy, what: str, begin_wait: Callable[[], float]) -> None:
        self._policy = policy
        self._what = what
        self._begin_wait = begin_wait
        self._failed = 0
        self._first: ZillizError | None = None
        self._first_wait: float | None = None
        self._line: tuple[object, ...] | None = None

    async def run(self, attempt: Callable[[], Coroutine[Any, Any, _T]], failure: ZillizError) -> _T:
        """Make the attempts that follow the first, or raise its failure.

        Args:
            attempt: Makes one.
            failure: What the first has raised.

        Returns:
            What an attempt returned.

        Raises:
            Exception: What the last one raised.
        """
        # An error that is not retried does not go through stamina, whose state would keep it, and so its frames, alive.
        self._first_wait = self._wait_after(failure)
        if self._first_wait is None:
            raise failure
        # stamina is entered only now: for a page that comes at once, it would cost more than all of ours. It counts the
        # first attempt, too, so that is repeated for it.
        import stamina  # noqa: PLC0415  # see `load`

        self._first = failure

        @wraps(attempt)  # stamina tells its hooks the name
        async def attempt_again() -> _T:
            if self._first is not None:
                error, self._first = self._first, None
                raise error
            self._log()
            return await attempt()

        return await stamina.retry(on=self._decide, attempts=self._policy.attempts, timeout=None)(
            attempt_again
        )()

    def _decide(self, error: Exception) -> bool | float:
        wait, self._first_wait = self._first_wait, None
        if wait is None:
            wait = self._wait_after(error)
        return False if wait is None else wait

    def _wait_after(self, error: Exception) -> float | None:
        self._failed += 1
        time_left = self._begin_wait()
        wait = wait_before_retry(
            bare(error),  # stamina hands it on, and its frames hold what the service sent
            failed=self._failed,
            policy=self._policy,
            time_left=time_left,
            uniform=random.uniform,  # noqa: S311  # to spread load
        )
        if wait is not None:
            self._line = (self._what, self._failed, self._policy.attempts, wait, _cause(error))
            # There is no line for a retry that will not come. If stamina is switched off, or for tests, that is known
            # only when it comes.
            if self._failed < self._policy.attempts and wait < time_left and not waits_are_off():
                self._log()
        return wait

    def _log(self) -> None:
        if self._line is not None:
            text = "%s: attempt %d of %d failed, retrying in %.1f s: %s"
            logger.warning(text, *self._line, extra={"transient": True})
            self._line = None


def _cause(error: Exception) -> str:
    # Without its advice, and what was requested is not in it yet.
    text = error._said() if isinstance(error, ZillizError) else ""  # noqa: SLF001  # of this package
    return printable(text, _CAUSE)
