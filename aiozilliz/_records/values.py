"""JSON values of the wire, read strictly: 12 is no text, and true is no integer."""

from datetime import UTC, datetime
from typing import Any

from aiozilliz._errors import printable

_SHOWN = 40
_NAMES: dict[type, str] = {dict: "an object", list: "a list", type(None): "null"}


class WrongValue(ValueError):  # noqa: N818 - says what it is; it is an error only inside this package
    """A JSON value can't be used: mostly it is not of the type it should be.

    Attributes:
        field: The wire name of the field that holds it, or None where it stands alone.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


def mismatch(expected: str, value: object, field: str | None = None) -> WrongValue:
    """Make the error for a value of the wrong type.

    Args:
        expected: What it should be, with its article.
        value: What came. Of containers and long texts only the kind is told.
        field: Its wire name, or None where it stands alone.
    """
    return WrongValue(f"{field or 'it'} must be {expected}, not {describe(value)}", field)


def describe(value: object) -> str:
    """Name a JSON value in an error: its kind, and the value where it is short."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {printable(repr(value), _SHOWN)}" if len(value) < _SHOWN else "a long text"
    if isinstance(value, int | float):
        # A huge integer has no decimal text: sys.set_int_max_str_digits.
        return f"the number {value}" if abs(value) < 2**64 else "a huge number"
    return _NAMES.get(type(value), type(value).__name__)


def text(value: Any, field: str | None = None) -> str:
    """Give a text as plain `str`; null is the empty text.

    Raises:
        WrongValue: It is something else.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return str.__str__(value)
    raise mismatch("a text", value, field)


def integer(value: Any, field: str | None = None) -> int:
    """Give an integer; null is 0. True is none, and neither is 1.0.

    Raises:
        WrongValue: It is something else.
    """
    if value is None:
        return 0
    if type(value) is int:
        return value
    raise mismatch("an integer", value, field)


def parse_time(value: str) -> datetime | None:
    """Read an ISO 8601 text as an aware `datetime` in UTC, or give None where it is no such text.

    A text without an offset is in UTC: the service documents its times as "ISO 8601 in UTC" (List Clusters V2).
    """
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is UTC:
            return moment
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # OverflowError: an offset that leaves the years 1 to 9999
        return None


def format_time(moment: datetime) -> str:
    """Write an aware `datetime` as the service does, `2024-06-30T16:49:50Z`; microseconds only where it has any."""
    return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
