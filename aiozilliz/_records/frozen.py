"""What JSON becomes once frozen: a read-only mapping, and records that are decoded right into frozen classes."""

import linecache
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from operator import itemgetter
from typing import Any, Final, NoReturn, TypeVar, cast

from attrs import Attribute, fields, frozen

from aiozilliz._public import public
from aiozilliz._records.json import FINER_TIME, format_time, integer, mismatch, text, time

MAX_DEPTH: Final = 100
"""Lists and objects inside each other, at most. It keeps pickling, comparing and printing far from any stack limit."""

_T = TypeVar("_T")


class FrozenDict(Mapping[str, Any]):
    """A JSON object that can't be changed: lists in it are tuples, objects in it are frozen too.

    It equals any mapping of the same content, whether that one's lists are lists or tuples. It can be hashed, copied
    and pickled.

    Args:
        items: The mapping to freeze. It is copied.

    Raises:
        TypeError: A key is not a string, or a value is not a JSON value.
        ValueError: Values are nested more than `MAX_DEPTH` deep, or a number is not finite.
    """

    __slots__ = ("_items",)

    _items: dict[str, Any]

    def __init__(self, items: Mapping[str, Any] | None = None) -> None:
        if hasattr(self, "_items"):  # `__init__` called again, which would change what should be frozen
            raise AttributeError(f"{type(self).__name__} is read-only")
        frozen: dict[str, Any] = {} if items is None else _freeze_items(items, 2)
        object.__setattr__(self, "_items", frozen)

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FrozenDict):
            return self._items == other._items
        if not isinstance(other, Mapping):
            return NotImplemented
        try:
            return self._items == _freeze_items(cast("Mapping[str, Any]", other), 2)
        except (TypeError, ValueError):  # what can't be frozen is not in here
            return False

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({thaw(self)!r})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is read-only")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is read-only")

    def __copy__(self) -> "FrozenDict":
        return self

    def __deepcopy__(self, memo: object) -> "FrozenDict":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return frozen_mapping, (self._items,)


_new: Final = object.__new__
# Found once: `object.__setattr__` looks for it each time.
_set_items: Final = vars(FrozenDict)["_items"].__set__

EMPTY: Final = FrozenDict()
"""The one that everything without content shares."""


def frozen_mapping(items: Mapping[str, Any]) -> FrozenDict:
    """Freeze a mapping, to its depth.

    Returns:
        The frozen mapping: the same object if it is frozen already, and the shared `EMPTY` if it is empty.

    Raises:
        TypeError: A key is not a string, or a value is not a JSON value.
        ValueError: Values are nested more than `MAX_DEPTH` deep, or a number is not finite.
    """
    if isinstance(items, FrozenDict):
        return items
    return FrozenDict(items) if items else EMPTY


public(frozen_mapping)  # pickles name it


def freeze(value: Any, depth: int = 2) -> Any:
    """Return a JSON value with objects as `FrozenDict` and lists as tuples.

    Args:
        value: What a JSON decoder returns; tuples and any mapping are taken as well.
        depth: How deep the value itself stands: 2 is a value of a record's mapping.

    Raises:
        TypeError: A key is not a string, or a value is not a JSON value.
        ValueError: Values are nested more than `MAX_DEPTH` deep, or a number is not finite.
    """
    if value is None or isinstance(value, (str, int)):  # bool is an int
        return value
    if isinstance(value, float):
        # orjson reads no NaN, but `from_dict` and the constructor take what any caller has made up.
        if not isfinite(value):
            raise ValueError(f"{value} is no JSON number")
        return value
    if depth > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, (list, tuple)):
        return tuple([freeze(item, depth + 1) for item in cast("list[Any]", value)])
    if isinstance(value, (dict, Mapping)):  # of a dict the abstract class is not asked, which takes long
        return seal(_freeze_items(cast("Mapping[str, Any]", value), depth + 1))
    raise TypeError(f"{type(value).__name__} is no JSON value")


def seal(items: dict[str, Any]) -> FrozenDict:
    """Wrap a dict whose values are frozen already. It is not copied: the caller gives it up."""
    sealed = _new(FrozenDict)
    _set_items(sealed, items)
    return sealed


def thaw(value: Any) -> Any:
    """Undo `freeze`: plain dicts and lists, all of them new."""
    if isinstance(value, FrozenDict):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [thaw(item) for item in cast("Iterable[Any]", value)]
    return value


def is_same(one: Any, other: Any) -> bool:
    """Return whether two frozen JSON values say the same: null is nothing, and true is not 1."""
    if one is other:
        return True
    if isinstance(one, FrozenDict) and isinstance(other, FrozenDict):
        return all(is_same(one.get(name), other.get(name)) for name in {**one, **other})
    if isinstance(one, tuple) and isinstance(other, tuple):
        ones, others = cast("Sequence[Any]", one), cast("Sequence[Any]", other)
        return len(ones) == len(others) and all(map(is_same, ones, others))
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)


def _freeze_items(items: Mapping[str, Any], depth: int) -> dict[str, Any]:
    frozen_items: dict[str, Any] = {}
    for key, value in items.items():
        if not isinstance(key, str):
            raise TypeError(f"{type(key).__name__} is no key of a JSON object")
        frozen_items[key] = value if type(value) is str else freeze(value, depth)
    return frozen_items


# Records of frozen classes.


def wire(name: str, kind: str = "text", known: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the metadata of an attrs field that the wire has.

    Args:
        name: What the service calls it.
        kind: How it is decoded: `id`, `text`, `enum`, `integer` or `time`.
        known: Text to member, if it is an open enum.
    """
    return {"wire_name": name, "kind": kind, "known": known}


# The decoder runs for every record there is. So it is one loop, without a call for each record or field, written out of
# the table of fields when the class is made, as attrs writes its methods. It fills drafts: filling an object of a frozen
# class costs a third of a record's decoding, as each attribute goes through `object.__setattr__`. A draft has the slots
# of the class but nothing that forbids assignment, and becomes an object of the class by taking it as its own.
_DECODER: Final = """\
def structure_into(results, records):
    append = results.append
    for raw in records:
        if type(raw) is not dict:  # JSON may hold anything
            raise mismatch("an object", raw)
        record = raw
        try:
            columns = columns_of(record)
        except KeyError:
            record = {{**ABSENT, **raw}}
            columns = columns_of(record)
        (
{names}        ) = columns
{checks}
        draft = Draft()
{assignments}        # Every known name is there, so the number of names alone tells whether there are others.
        extra = EMPTY if len(record) == {count} else structure_extra(record)
{leftovers}        draft.extra = extra
        draft.__class__ = Made
        append(draft)
"""


@frozen
class _Kind:
    """The code for a field of this kind. In the decoder the field stands in a variable of its attribute's name.

    Attributes:
        check: Lines that see to it that the value is of the right type.
        value: What the attribute gets.
        leftover: Lines that put into `extra` what the attribute can't hold.
        written: What `to_dict` makes of the attribute.
    """

    check: str
    value: str = "{name}"
    leftover: str = ""
    written: str = "made.{name}"


# A null that is looked for here, and not only in `text`, costs a record that has some no call.
_TEXT_CHECK: Final = """\
        if type({name}) is not str:
            {name} = "" if {name} is None else text({name}, "{wire}")
"""

_KINDS: Final = {
    "id": _Kind(
        check="""\
        if type({name}) is not str or not {name}:
            raise mismatch("a text that is not empty", {name}, "{wire}")
"""
    ),
    "text": _Kind(_TEXT_CHECK),
    "enum": _Kind(_TEXT_CHECK, value="known_{name}({name}, {name})", written="str(made.{name})"),
    "integer": _Kind(
        check="""\
        if type({name}) is not int:
            {name} = integer({name}, "{wire}")
"""
    ),
    "time": _Kind(
        # Most times end in Z, and are read by one call. `time` takes the others, what is more than a `datetime` can
        # hold, and what is no date.
        check="""\
        try:
            {name}_utc = read_time({name})
            {name}_left = None if {name}_utc.tzinfo is UTC and len({name}) < {finer} else {name}
        except (TypeError, ValueError):
            {name}_utc, {name}_left = None, {name}
        if {name}_left is not None:
            {name}_utc, {name}_left = time({name}, "{wire}")
""",
        value="{name}_utc",
        leftover="""\
        if {name}_left is not None:
            extra = seal({{**extra, "{wire}": {name}_left}})
""",
        written="made.{name} and format_time(made.{name})",
    ),
}


def make_decoder(
    made: type[_T], absent: dict[str, None], structure_extra: Callable[[dict[str, Any]], FrozenDict]
) -> Callable[[list[_T], Iterable[Any]], None]:
    """Write the decoder of a frozen class out of the table of its fields.

    Args:
        made: An attrs class with slots. Its last attribute is `extra`; the others have metadata by `wire`.
        absent: The wire names of these, each with None.
        structure_extra: Called with a record that holds more names than these. Returns what goes to `extra`.

    Returns:
        A function that decodes the records of its second argument and appends them to the list that is its first, one
        by one, so that after a `WrongValue` their number tells which one it was.
    """
    columns = wire_fields(made)
    source = _DECODER.format(
        names=_code(columns, lambda _: "            {name},\n"),
        checks=_code(columns, lambda kind: kind.check),
        assignments=_code(columns, lambda kind: f"        draft.{{name}} = {kind.value}\n"),
        leftovers=_code(columns, lambda kind: kind.leftover),
        count=len(columns),
    )
    scope = {
        **{used.__name__: used for used in (integer, mismatch, seal, text, time)},
        "ABSENT": absent,
        "EMPTY": EMPTY,
        "UTC": UTC,
        "Draft": type("Draft", (), {"__slots__": vars(made)["__slots__"]}),
        "Made": made,
        # CPython calls a method of a global by way of a bound method, made anew for each call; these are made once.
        "columns_of": itemgetter(*absent),
        "read_time": datetime.fromisoformat,
        "structure_extra": structure_extra,
        **{f"known_{one.name}": known.get for one in columns if (known := one.metadata["known"])},
    }
    return cast("Callable[[list[_T], Iterable[Any]], None]", _compile(made, "structure_into", source, scope))


def make_writer(made: type[_T]) -> Callable[[_T], dict[str, Any]]:
    """Write, out of the table of a class's fields, the function that returns them as JSON-ready values by wire name."""
    items = _code(wire_fields(made), lambda kind: f'        "{{wire}}": {kind.written},\n')
    source = f"def to_dict(made):\n    return {{\n{items}    }}\n"
    writer = _compile(made, "to_dict", source, {"format_time": format_time})
    return cast("Callable[[_T], dict[str, Any]]", writer)


def wire_fields(made: type) -> "tuple[Attribute[Any], ...]":
    """Return the fields of an attrs class that have metadata by `wire`, in order."""
    return tuple(one for one in fields(made) if "wire_name" in one.metadata)


def _code(columns: "Iterable[Attribute[Any]]", part: Callable[[_Kind], str]) -> str:
    """Return a part of the code of each field's kind, with the names of the field."""
    return "".join(
        part(_KINDS[one.metadata["kind"]]).format(
            name=one.name, wire=one.metadata["wire_name"], finer=FINER_TIME
        )
        for one in columns
    )


def _compile(made: type, name: str, source: str, scope: dict[str, Any]) -> Any:
    file = f"<{name} of {made.__module__}.{made.__qualname__}>"
    exec(compile(source, file, "exec"), scope)  # noqa: S102  # nothing in it comes from outside of this package
    # Tracebacks, debuggers and `inspect` find the lines here, as those of methods that attrs wrote.
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    return scope[name]
