"""What public classes are called outside, `aiozilliz.X`, and record pickles that survive a field more or less."""

import copyreg
from collections.abc import Callable
from typing import Any, Final, TypeVar

from attrs import fields

_T = TypeVar("_T")

new_object: Final[Callable[..., Any]] = copyreg.__newobj__  # type: ignore[attr-defined]  # typeshed leaves it out
"""Return an object of a class without calling its `__init__`. Pickle knows this function, and writes only the class's name."""

_SNAPSHOT_IN_0_1_0: Final = ("clusters", "taken_at", "requests", "consistent")


def public(value: _T) -> _T:
    """Name a class or function after the package, so that pickles and tracebacks outlive a move of its module.

    Type hints of a class are looked up in the module that it names. So a public class whose hints are more than
    built-in names must not stand in a module with `from __future__ import annotations`.
    """
    value.__module__ = "aiozilliz"
    return value


def record(cls: type[_T]) -> type[_T]:
    """Make an attrs class public, and let its pickles hold its fields by name.

    They are read by the constructor: a field that the writing version did not have gets its default, and one that the
    reading version does not have is ignored. So every field that is added later needs a default.
    """
    arguments = {field.name: field.alias for field in fields(cls) if field.init}  # type: ignore[arg-type]  # an attrs class

    def __getstate__(self: _T) -> dict[str, Any]:  # noqa: N807
        return {name: getattr(self, name) for name in arguments}

    def __setstate__(self: _T, state: dict[str, Any] | tuple[Any, ...]) -> None:  # noqa: N807
        if isinstance(state, tuple):
            state = dict(zip(_SNAPSHOT_IN_0_1_0, state, strict=True))
        init: Any = cls.__init__
        init(self, **{arguments[name]: value for name, value in state.items() if name in arguments})

    # Set here because attrs, which writes its own pair for a class with slots, does not look at base classes.
    for method in (__getstate__, __setstate__):
        method.__qualname__ = f"{cls.__qualname__}.{method.__name__}"
        setattr(cls, method.__name__, method)
    return public(cls)
