"""Public classes are named `aiozilliz.X`, and pickles of records survive added and removed fields."""

import copyreg
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any, Final, TypeVar

from attrs import fields

_T = TypeVar("_T")

new_object: Final[Callable[..., Any]] = copyreg.__newobj__  # type: ignore[attr-defined]  # typeshed leaves it out
"""Create an object without calling its `__init__`. Pickle has an opcode for it, and stores only the class."""

_SNAPSHOT_IN_0_1_0: Final = ("clusters", "taken_at", "requests", "consistent")


def public(value: _T) -> _T:
    """Set `__module__` of a class or function to the package, so that pickles survive a move of its module.

    Type hints of a class are looked up in the module that it names. So a public class whose hints are more than
    built-in names must not be defined in a module with `from __future__ import annotations`. Names in the hints of its
    methods must exist at run time too, for `typing.get_type_hints`.

    Returns:
        The same object, so that this can be used as a decorator.
    """
    value.__module__ = "aiozilliz"
    return value


def returned(cls: type[_T]) -> type[_T]:
    """Make a class public that users do not create: `help`, editors and the reference show no constructor arguments.

    Returns:
        The same class, so that this can be used as a decorator.
    """
    init: Any = cls.__init__
    init.__signature__ = Signature([Parameter("self", Parameter.POSITIONAL_ONLY)])
    return public(cls)


def record(cls: type[_T]) -> type[_T]:
    """Make an attrs class public, and store its fields by name in pickles.

    The constructor restores them: a field that the writing version lacked gets its default, and one that the reading
    version lacks is ignored. So every field that is added later needs a default.

    Returns:
        The same class, so that this can be used as a decorator.
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
