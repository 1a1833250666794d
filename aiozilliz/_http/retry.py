"""Whether an attempt is followed by another, and how long to wait before it.

Which errors may be retried is said where they are made: in the table of `wire`, and in `aiohttp_errors`.

Pure: the time that is left and random numbers are arguments. Counting attempts and waiting is stamina's part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import Attribute, field, frozen

from aiozilliz._errors import APIError, ResponseError, TransportError, ZillizError
from aiozilliz._public import record
from aiozilliz._settings.checks import check_count, check_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SPREAD = 0.5
"""Seconds over which requests that a `Retry-After` held back are spread at most."""


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
    verify. Before attempt number n+1 it waits `min(wait_max, wait_initial * 2**(n-1) + random(0, wait_jitter))` seconds, or as
    long as a `Retry-After` says. A connection that is lost on the first attempt is most often a kept one that the
    service had just closed, so that wait has no jitter.

    While `stamina.set_testing(True)` or `stamina.set_active(False)` are in force, they hold here too.

    Attributes:
        attempts: Requests for one page at most; 1 means no retry.
        deadline: Seconds for one page at most: attempts, waits, the limiter and a key callable together.
        wait_initial: Seconds before the second attempt.
        wait_max: Seconds before any attempt at most, unless a `Retry-After` asks for more.
        wait_jitter: Upper bound of the random seconds that are added.

    Raises:
        TypeError: A value is of the wrong type.
        ValueError: A value is out of range.
    """

    attempts: int = field(default=5, validator=_count)
    deadline: float = field(default=60.0, validator=_positive)
    wait_initial: float = field(default=0.1, validator=_not_negative)
    wait_max: float = field(default=5.0, validator=_not_negative)
    wait_jitter: float = field(default=1.0, validator=_not_negative)


def retry_after(error: ZillizError) -> float | None:
    """Return the seconds that the service asks to wait, or None if it does not ask, or the error is not retried."""
    if not isinstance(error, (APIError, ResponseError)) or not error.retryable:
        return None
    return error.retry_after if error.retry_after is not None and error.retry_after > 0 else None


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
    first: bool,
    policy: RetryPolicy,
    time_left: float,
    uniform: Callable[[float, float], float],
) -> bool | float:
    """Decide what follows a failed attempt.

    Args:
        error: What the attempt raised.
        first: Whether it was the first attempt.
        policy: Bounds the waits.
        time_left: Seconds until the deadline.
        uniform: Returns a random number between two others.

    Returns:
        False to give up, True to wait as the policy says, or the seconds to wait.
    """
    if not isinstance(error, ZillizError) or not error.retryable:
        return False
    asked = retry_after(error)
    if asked is not None:
        if asked >= time_left:  # an attempt before that time would be refused again
            return False
        # If the spread leads past the deadline, do without it rather than give up.
        wait = asked + spread(policy, uniform)
        return wait if wait < time_left else asked
    if first and isinstance(error, TransportError) and error.lost_connection:
        # Most often a kept connection that the service had just closed: nothing is wrong, so no jitter.
        return min(policy.wait_initial, policy.wait_max)
    return True
