"""The public API, pinned in `tests/api.txt`: a change of a name or a signature is a decision."""

from __future__ import annotations

import dataclasses
import difflib
import enum
import inspect
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest

import aiozilliz
import aiozilliz.testing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

PINNED = Path(__file__).with_name("api.txt")
RENEW = "AIOZILLIZ_RENEW_API"
OPERATORS = {
    *("__aenter__", "__aexit__", "__aiter__", "__anext__", "__enter__", "__exit__"),
    *("__bool__", "__call__", "__contains__", "__getitem__", "__iter__", "__len__"),
}
"""Methods with such names that a user calls by an operator or a statement."""


MADE_BY_METHODS = (
    *(aiozilliz.ClusterIterator, aiozilliz.PageIterator, aiozilliz.InventoryIterator),
    *(aiozilliz.ClusterWatcher, aiozilliz.InventoryWatcher),
    *(aiozilliz.testing.Fault, aiozilliz.testing.RecordedRequest),
)
"""Nobody else calls their constructors."""

REFUSED = {"message": "", "status": 400}
ASKED: dict[str, Any] = {"message": ""}
ARGUMENTS: dict[type, dict[str, Any]] = {
    aiozilliz.APIError: REFUSED,
    aiozilliz.AuthenticationError: REFUSED,
    aiozilliz.RateLimitError: REFUSED,
    aiozilliz.ServerError: REFUSED,
    aiozilliz.DecodeError: {"message": "", "index": 0},
    aiozilliz.InventoryError: {"message": "", "failures": {"a": ValueError()}},
}


def describe() -> str:
    lines = ["# Written by tests/project/test_api.py.", ""]
    for package in (aiozilliz, aiozilliz.testing):
        for name in sorted(package.__all__):
            lines += [*describe_name(package, name), ""]
    return "\n".join(lines)


def describe_name(package: ModuleType, name: str) -> Iterator[str]:
    value: Any = getattr(package, name)
    full = f"{package.__name__}.{name}"
    if not isinstance(value, type):
        yield f"{full}{signature(value)}" if callable(value) else f"{full} = {value!r}"
        return
    bases = ", ".join(told(base) for base in value.__bases__ if base is not object)
    if issubclass(value, enum.Enum):
        yield f"enum {full}({bases})"
        yield from (f"    {member.name} = {member.value!r}" for member in value)
        return
    yield f"class {full}({bases})"
    yield from describe_class(cast("type[Any]", value))


def describe_class(value: type[Any]) -> Iterator[str]:
    if not issubclass(value, MADE_BY_METHODS):
        yield f"    __init__{signature(value.__init__)}"
    if issubclass(value, aiozilliz.ZillizError):
        names = vars(value(**ARGUMENTS.get(value, ASKED)))
        yield from (f"    {name}: attribute" for name in sorted(names) if not name.startswith("_"))
    fields = [field.name for field in attrs.fields(value)] if attrs.has(value) else []
    yield from (f"    {field}: field" for field in fields if not field.startswith("_"))
    for member in sorted(set(public_members(value)) - set(fields)):
        yield f"    {describe_member(value, member)}"


def public_members(cls: type) -> Iterator[str]:
    """Names that a user may use, inherited ones from our own classes included."""
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] == "aiozilliz":
            yield from (
                name
                for name in [*vars(base), *inspect.get_annotations(base)]
                if name in OPERATORS or not name.startswith("_")
            )


def describe_member(cls: type, name: str) -> str:
    found: Any = inspect.getattr_static(cls, name, None)
    match found:
        case property():
            result = inspect.signature(found.fget).return_annotation if found.fget else ""
            return f"{name}: property -> {told(result)}"
        case classmethod():
            return f"classmethod {name}{signature(getattr(cls, name).__func__)}"
        case staticmethod():
            return f"staticmethod {name}{signature(getattr(cls, name))}"
        case _ if inspect.isfunction(found):
            prefix = "async " if inspect.iscoroutinefunction(found) else ""
            return f"{prefix}{name}{signature(found)}"
        case _:
            return f"{name}: attribute"


def signature(function: Any) -> str:
    """Tell a signature as it is written, with names of types that are the same under every Python."""
    given = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=annotation_of(parameter), default=default_of(parameter))
        for parameter in given.parameters.values()
    ]
    result = given.return_annotation
    arrow = "" if result is inspect.Signature.empty else f" -> {told(result)}"
    return f"{given.replace(parameters=parameters, return_annotation=inspect.Signature.empty)}{arrow}"


class Told:
    """Prints as it is told."""

    def __init__(self, annotation: object) -> None:
        self._text = told(annotation)

    def __repr__(self) -> str:
        return self._text


def annotation_of(parameter: inspect.Parameter) -> object:
    empty = parameter.annotation is inspect.Parameter.empty
    return parameter.annotation if empty else Told(parameter.annotation)


def default_of(parameter: inspect.Parameter) -> object:
    if parameter.default is inspect.Parameter.empty or isinstance(
        parameter.default, (int, float, str, type(None))
    ):
        return parameter.default
    return Told(re.sub(r" at 0x[0-9a-f]+", "", repr(parameter.default)))


def told(annotation: object) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(
        r"\b(typing|collections\.abc|contextlib|builtins|datetime|aiozilliz(\.testing|\._\w+)?(\.\w+)?)\.",
        "",
        text.strip("'\""),
    )


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="pinned as the oldest Python tells it")
def test_names_and_signatures_are_those_that_were_agreed() -> None:
    found = describe()
    if os.environ.get(RENEW) == "1":
        PINNED.write_text(found, encoding="utf-8")
    pinned = PINNED.read_text(encoding="utf-8")

    differences = "\n".join(
        difflib.unified_diff(pinned.splitlines(), found.splitlines(), "pinned", "found", lineterm="", n=1)
    )
    assert not differences, (
        f"The public API has changed:\n{differences}\nIf that is meant, write it into CHANGELOG.md and renew the file: "
        f"{RENEW}=1 python -m pytest -n 0 tests/project/test_api.py"
    )


def test_a_removed_argument_a_new_member_and_another_default_are_told() -> None:
    class Before:
        def call(self, a: int, *, b: str = "x") -> None: ...

    class After:
        def call(self, a: int, *, b: str = "y") -> None: ...

        def more(self) -> int:
            return 0

    Before.__module__ = After.__module__ = "aiozilliz"

    assert describe_member(Before, "call") == "call(self, a: int, *, b: str = 'x') -> None"
    assert describe_member(After, "call") == "call(self, a: int, *, b: str = 'y') -> None"
    assert set(public_members(After)) - set(public_members(Before)) == {"more"}


def test_nothing_that_is_public_is_a_dataclass() -> None:
    for package in (aiozilliz, aiozilliz.testing):
        assert not [name for name in package.__all__ if dataclasses.is_dataclass(getattr(package, name))]
