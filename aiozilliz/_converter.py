"""Strict conversion between JSON and classes: a cattrs converter that never coerces, and what its hooks share.

Left to itself cattrs calls `str(12)` and `int(True)`. Here a value of the wrong type is a `WrongValue`.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, cast, get_args, get_origin

from cattrs import Converter

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


def make_converter() -> Converter:
    """Build a converter whose hooks check types and never coerce.

    It knows `str`, `int`, `float`, `bool`, aware `datetime` and `tuple[T, ...]`; lists are what tuples are in JSON.
    """
    converter = Converter(detailed_validation=False, unstruct_collection_overrides={tuple: list})
    for kind, expected in ((str, "a text"), (int, "an integer"), (bool, "true or false")):
        converter.register_structure_hook(kind, _exactly(kind, expected))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(datetime, _moment)
    converter.register_unstructure_hook(datetime, format_time)
    converter.register_structure_hook_factory(_is_uniform_tuple, _make_tuple_hook)
    return converter


def _exactly(kind: type, expected: str) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise mismatch(expected, value)
        return value

    return structure


def _number(value: Any, _: Any) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    raise mismatch("a number", value)


def _moment(value: Any, _: Any) -> datetime:
    moment = parse_time(value) if type(value) is str else None
    if moment is None:
        raise mismatch("an ISO 8601 time", value)
    return moment


def _is_uniform_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[1:] == (...,)


def _make_tuple_hook(kind: Any, converter: Converter) -> Callable[[Any, Any], tuple[Any, ...]]:
    item_kind = get_args(kind)[0]
    hook = converter.get_structure_hook(item_kind)

    def structure(value: Any, _: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise mismatch("a list", value)
        return tuple([hook(item, item_kind) for item in cast("Iterable[Any]", value)])

    return structure
