"""What response headers say of time: `Retry-After`, with the `Date` that it counts from, and `Age`.

Servers and caches of all kinds write them, and anything may stand in them. Pure: the time is an argument.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MAX_RETRY_AFTER: Final = 1e9
"""Seconds; a longer `Retry-After` is read as this."""

_DIGITS: Final = 10
_LONGEST_DATE: Final = 200


def parse_retry_after(value: str | None, date: str | None, now: datetime) -> float | None:
    """Read a `Retry-After` header: seconds, or an HTTP date (RFC 9110, section 10.2.3).

    Args:
        value: The header, or None. What has neither form counts as absent.
        date: The `Date` header of the same response, or None. A date is counted from it: the clocks may differ.
        now: The time, aware; used if there is no such `Date`.

    Returns:
        Seconds, not negative and at most `MAX_RETRY_AFTER`, or None if nothing usable was sent.
    """
    value = (value or "").strip()
    if value.isascii() and value.isdigit():
        digits = value.lstrip("0")
        # The length first: a header of thousands of digits is no work for `float`.
        return min(float(digits or 0), MAX_RETRY_AFTER) if len(digits) <= _DIGITS else MAX_RETRY_AFTER
    until = _http_date(value)
    if until is None:
        return None
    since = _http_date((date or "").strip()) or now
    return min(max((until - since).total_seconds(), 0.0), MAX_RETRY_AFTER)


def _http_date(value: str) -> datetime | None:
    if not value or len(value) > _LONGEST_DATE:
        return None
    try:
        moment = parsedate_to_datetime(value)
        # A date that ends in -0000, or has no zone, comes back naive; HTTP dates are in UTC.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def parse_age(value: str | None) -> int:
    """Read an `Age` header (RFC 9111, section 5.1).

    Args:
        value: The header, or None.

    Returns:
        Seconds for which a cache has kept the response; 0 if it came from the service.
    """
    if value is None:
        return 0
    value = value.split(",", 1)[0].strip()
    # What is no number of seconds was still written by a cache.
    return int(value[:_DIGITS]) if value.isascii() and value.isdigit() else 1
