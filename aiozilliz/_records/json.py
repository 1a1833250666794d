"""JSON texts and single values, read strictly, written, and described. The only user of orjson.

orjson is fast and strict. Where it refuses, the standard library is asked too: it takes a byte order mark and half of an
emoji that was cut, and one of these should stop no inventory.
"""

import codecs
import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from math import isinf
from typing import Any, Final, NoReturn, TypeAlias

import orjson
from attrs import frozen

from aiozilliz._errors import printable

Json: TypeAlias = dict[str, Any] | list[Any] | str | float | None
"""What a JSON text becomes."""

FINER_TIME: Final = len("20240630T164950.1234567Z")
"""A time in UTC that is as long as this may have digits beyond microseconds."""

_OPTIONS: Final = orjson.OPT_INDENT_2
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SHOWN: Final = 40
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FINER_DIGITS: Final = re.compile("[.,][0-9]{6}[0-9]*[1-9]")
_NAMES: Final[dict[type, str]] = {dict: "an object", list: "a list", type(None): "null"}


@frozen
class InvalidJSON:
    """A body that could not be read.

    Attributes:
        reason: Why, as the end of "it is ...".
        retryable: Whether the next response may be whole: true of what is no JSON at all.
    """

    reason: str
    retryable: bool


class WrongValue(ValueError):  # noqa: N818  # names what happened; it leaves the package in `make_converter()` only
    """A JSON value can't be used; mostly it is not of the type it should be.

    Attributes:
        field: The wire name of the field that holds it, or None if it stands alone.
        contrast: What it is and what it should be (`null, not a list`), or "" if the type is not what is wrong.
    """

    def __init__(self, message: str, field: str | None = None, contrast: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.contrast = contrast


class _NotFiniteError(Exception):
    """The text holds NaN or Infinity, which are not JSON."""


# Texts.


def parse(body: bytes) -> Json | InvalidJSON:
    """Read a JSON text as the service may send it.

    Returns:
        Its value, or an `InvalidJSON` that says why there is none.
    """
    try:
        value: Json = orjson.loads(body)
        return value
    except ValueError:
        pass
    start = body.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    if not start:
        return InvalidJSON("empty", retryable=True)
    if start == b"<":
        return InvalidJSON("HTML, not JSON", retryable=True)
    return _parse_slowly(body)


def _parse_slowly(body: bytes) -> Json | InvalidJSON:
    # orjson refuses a byte order mark and `\ud83d`, half of an emoji that was cut, and has one error for everything.
    # The standard library takes both, and its errors tell text that is not JSON from JSON that is too much.
    try:
        value: Json = json.loads(
            body.decode("utf-8-sig"),
            parse_int=_read_int,
            parse_float=_read_float,
            parse_constant=_refuse_constant,
        )
        return value
    except (json.JSONDecodeError, UnicodeDecodeError, _NotFiniteError):
        return InvalidJSON("not JSON", retryable=True)
    except (ValueError, RecursionError):
        return InvalidJSON("JSON that is nested too deep, or holds a number too large", retryable=False)


def _read_int(digits: str) -> float:
    # As orjson does: an integer beyond 64 bits becomes a float. The length is checked first because `int` refuses
    # thousands of digits (sys.set_int_max_str_digits).
    if len(digits) <= 20:  # noqa: PLR2004  # as many as -2**63 has
        number = int(digits)
        if -(2**63) <= number < 2**64:
            return number
    return _read_float(digits)


def _read_float(digits: str) -> float:
    number = float(digits)
    if isinf(number):
        raise ValueError("a number beyond all floats")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise _NotFiniteError(name)


def load(text: str | bytes | bytearray, where: str) -> Json:
    """Read JSON text that this package wrote.

    Args:
        text: The text, or its bytes, in UTF-8, UTF-16 or UTF-32. PowerShell's `>` writes UTF-16 with a byte order mark.
        where: What it is called in an error.

    Returns:
        The decoded JSON value.

    Raises:
        TypeError: It is neither text nor bytes.
        ValueError: It is no JSON that can be used; the message says why.
    """
    if not isinstance(text, (str, bytes, bytearray)):
        raise TypeError(f"{where} is read from str or bytes, not {type(text).__name__}")
    # A lone surrogate has no UTF-8 form. Passed on as it is, it makes the text "not JSON" instead of an encoding error.
    body = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
    value = _parse_marked(body)
    if isinstance(value, InvalidJSON):
        raise ValueError(f"{where} can't be read: it is {value.reason}")
    return value


def _parse_marked(body: bytes) -> Json | InvalidJSON:
    """Read a JSON text in UTF-8, or in UTF-16 or UTF-32 as its byte order mark says."""
    encoding = json.detect_encoding(body)
    if encoding.startswith("utf-8"):
        return parse(body)
    try:
        return parse(body.decode(encoding).encode())
    except UnicodeDecodeError:
        return InvalidJSON(f"{encoding.upper()} text that is cut or broken", retryable=False)


def dump(value: Any) -> str:
    """Return plain values as JSON text, indented by two, one value a line. It can be encoded as UTF-8."""
    try:
        return orjson.dumps(value, option=_OPTIONS).decode()
    except TypeError:  # half of an emoji, or an integer beyond 64 bits
        written = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):x}", written)


# Single values. Nothing is coerced: 12 is no text, and true is no integer.


def text(value: Any, field: str | None = None) -> str:
    """Return a text as plain `str`; null is the empty text.

    Raises:
        WrongValue: It is something else.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return str.__str__(value)
    raise mismatch("a text", value, field)


def integer(value: Any, field: str | None = None) -> int:
    """Return an integer; null is 0. Neither true nor 1.0 is one.

    Raises:
        WrongValue: It is something else.
    """
    if value is None:
        return 0
    if type(value) is int:
        return value
    raise mismatch("an integer", value, field)


def parse_time(value: str) -> datetime | None:
    """Read an ISO 8601 text.

    A text without an offset is in UTC: the service documents its times as "ISO 8601 in UTC" (List Clusters V2).

    Returns:
        An aware `datetime` in UTC, or None if the text is no date.
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


def time(value: Any, field: str | None = None) -> tuple[datetime | None, str | int | None]:
    """Read a time: an ISO 8601 text, or milliseconds since the epoch, as the service's on-demand list has it.

    Returns:
        An aware `datetime` in UTC, or None if there is none, and the value if the `datetime` is not all of it: if it is
        no date, or has digits beyond microseconds; else None.

    Raises:
        WrongValue: It is something else.
    """
    moment: datetime | None = None
    if type(value) is int:
        with suppress(OverflowError):  # beyond the years 1 to 9999
            moment = _EPOCH + timedelta(milliseconds=value)
        return moment, value if moment is None else None
    if value is not None and not isinstance(value, str):
        raise mismatch("a text or an integer", value, field)
    written = text(value)
    moment = parse_time(written)
    if moment is None:
        return None, written or None
    return moment, written if _FINER_DIGITS.search(written) else None


def format_time(moment: datetime) -> str:
    """Return an aware `datetime` as the service writes it, `2024-06-30T16:49:50Z`; microseconds only if there are any."""
    return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def mismatch(expected: str, value: object, field: str | None = None) -> WrongValue:
    """Return the error for a value of the wrong type.

    Args:
        expected: What it should be, with its article.
        value: What came. Of containers and long texts only the kind is shown.
        field: Its wire name, or None if it stands alone.
    """
    shown = describe(value)
    return WrongValue(f"{field or 'it'} must be {expected}, not {shown}", field, f"{shown}, not {expected}")


def describe(value: object) -> str:
    """Return what an error calls a JSON value: its kind, and the value itself if it is short."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {printable(repr(value), _SHOWN)}" if len(value) < _SHOWN else "a long text"
    if isinstance(value, int | float):
        # A huge integer has no decimal text: sys.set_int_max_str_digits.
        return f"the number {value}" if abs(value) < 2**64 else "a huge number"
    return _NAMES.get(type(value), type(value).__name__)
