"""JSON text to plain values and back. The only user of orjson.

orjson is fast and strict. Where it refuses, the standard library is asked too: it takes a byte order mark and half of an
emoji that was cut, and one of these should stop no inventory.
"""

import codecs
import json
import re
from math import isinf
from typing import Any, Final, NoReturn, TypeAlias

import orjson
from attrs import frozen

Json: TypeAlias = dict[str, Any] | list[Any] | str | float | None
"""What a JSON text becomes."""

_OPTIONS: Final = orjson.OPT_INDENT_2
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@frozen
class InvalidJSON:
    """A body that could not be read, and why. What is no JSON at all may be whole the next time."""

    reason: str
    retryable: bool


class _NotFiniteError(Exception):
    """The text holds NaN or Infinity, which JSON has not."""


def parse(body: bytes) -> Json | InvalidJSON:
    """Read a JSON text as the service may send it, or give an `InvalidJSON`."""
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
    return _load_slowly(body)


def _load_slowly(body: bytes) -> Json | InvalidJSON:
    # orjson refuses a byte order mark and `\ud83d`, half of an emoji that was cut. One of these stops no inventory. And
    # only the standard library tells bad JSON from JSON that is too much.
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
    # As orjson does it: what leaves 64 bits is a float.
    if len(digits) <= 20:  # noqa: PLR2004 - as many as -2**63 has
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
        text: The text, or its UTF-8 bytes.
        where: What it is called in an error.

    Raises:
        ValueError: It is no JSON that can be used; the text says why.
    """
    body = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
    value = parse(body)
    if isinstance(value, InvalidJSON):
        raise ValueError(f"{where} can't be read: it is {value.reason}")
    return value


def dump(value: Any) -> str:
    """Write plain values as JSON text, indented by two, one value a line. It can be encoded as UTF-8."""
    try:
        return orjson.dumps(value, option=_OPTIONS).decode()
    except TypeError:  # half of an emoji, or an integer beyond 64 bits
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):x}", text)
