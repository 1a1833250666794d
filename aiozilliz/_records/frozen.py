"""A read-only mapping for JSON, frozen to its depth, and the way into it and out of it."""

from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any, Final, NoReturn, cast

from aiozilliz._public import public

MAX_DEPTH: Final = 100
"""Lists and objects inside each other, at most. It keeps pickling, comparing and printing far from any stack limit."""

_SCALARS: Final = (str, int, float, type(None))


class FrozenDict(Mapping[str, Any]):
    """A JSON object that can't be changed: lists in it are tuples, objects in it are frozen too.

    It equals any mapping of the same content, whether that one's lists are lists or tuples. It can be hashed, copied
    and pickled.

    Args:
        items: The mapping to freeze. It is copied.

    Raises:
        TypeError: A key is no text, or a value is nothing that JSON knows.
        ValueError: Values are nested more than `MAX_DEPTH` deep, or a number is not finite.
    """

    __slots__ = ("_items",)

    _items: dict[str, Any]

    def __init__(self, items: Mapping[str, Any] | None = None) -> None:
        if hasattr(self, "_items"):  # a second call
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
    """Freeze a mapping: itself where it is frozen already, the shared `EMPTY` where there is nothing in it.

    Raises:
        TypeError: A key is no text, or a value is nothing that JSON knows.
        ValueError: Values are nested more than `MAX_DEPTH` deep, or a number is not finite.
    """
    if isinstance(items, FrozenDict):
        return items
    return FrozenDict(items) if items else EMPTY


public(frozen_mapping)  # pickles name it


def freeze(value: Any, depth: int = 2) -> Any:
    """Give a JSON value with objects as `FrozenDict` and lists as tuples.

    Args:
        value: What a JSON decoder gives; tuples and any mapping are taken as well.
        depth: How deep the value itself stands: 2 is a value of a record's mapping.

    Raises:
        TypeError: A key is no text, or a value is nothing that JSON knows.
        ValueError: Values are nested more than `MAX_DEPTH` deep, or a number is not finite.
    """
    if isinstance(value, _SCALARS):
        if isinstance(value, float) and not isfinite(value):
            raise ValueError(f"{value} is no JSON number")
        return value
    if depth > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, (list, tuple)):
        return tuple([freeze(item, depth + 1) for item in cast("list[Any]", value)])
    if isinstance(value, Mapping):
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


def _freeze_items(items: Mapping[str, Any], depth: int) -> dict[str, Any]:
    frozen_items: dict[str, Any] = {}
    for key, value in items.items():
        if not isinstance(key, str):
            raise TypeError(f"{type(key).__name__} is no key of a JSON object")
        frozen_items[key] = freeze(value, depth)
    return frozen_items
