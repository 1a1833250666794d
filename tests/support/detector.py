"""Looks for a key wherever people, logs and error trackers could come upon it.

`leaks` gives the places in which an error shows it. What the tests' own frames hold is left out: they know the key.
"""

from __future__ import annotations

import ast
import copy
import functools
import gc
import inspect
import logging
import pickle
import sys
import textwrap
import traceback
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType, FunctionType, MethodType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, cast

from rich.traceback import Traceback

from aiozilliz import ZillizError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

KEY = "canaryKey9d8f7e6c5b4a3928"

_TESTS = "/tests/"
_PASSED_OVER = (type, ModuleType, FrameType, TracebackType)
_LEVELS = 4
"""How deep the objects are followed that a local refers to."""
_NOISY = ("asyncio", "aiohttp", "aiohttp.client", "aiozilliz", "stamina", "opentelemetry")


def has_key(text: object) -> bool:
    """Tell whether a text, or what stands for one, holds the key, in capitals or not."""
    return KEY.lower() in str(text).lower()


def inside(value: Any) -> Iterator[Any]:
    """Give what a value holds: items and attributes."""
    kind = cast("type[object]", type(value))
    if issubclass(kind, Mapping):
        yield from value.keys()
        yield from value.values()
    elif issubclass(kind, list | tuple | set | frozenset):
        yield from value
    yield from getattr(value, "__dict__", {}).values()
    for base in kind.__mro__:
        for name in getattr(base, "__slots__", ()):
            if hasattr(value, name):
                yield getattr(value, name)


def shown(value: Any, depth: int = 2) -> Iterator[str]:
    """Give the `repr` of a value and of what it holds, so many levels deep."""
    with suppress(AttributeError):  # half made, as in the frames of a copy that failed
        yield repr(value)
    if depth:
        with suppress(AttributeError):  # likewise
            for part in inside(value):
                yield from shown(part, depth - 1)


def locals_of(frames: TracebackType | None, depth: int = 2) -> Iterator[tuple[str, str]]:
    """Give what the frames of a traceback hold, those of the tests aside."""
    for frame in frames_of(frames):
        for name, value in frame.f_locals.items():
            for text in shown(value, depth):
                yield f"{name} in {frame.f_code.co_qualname}", text


def frames_of(frames: TracebackType | None) -> Iterator[FrameType]:
    """Give the frames of a traceback, those of the tests aside."""
    while frames is not None:
        if _TESTS not in frames.tb_frame.f_code.co_filename:
            yield frames.tb_frame
        frames = frames.tb_next


def evaluated(frames: TracebackType | None) -> Iterator[tuple[str, str]]:
    """Give what the expressions of each frame's source say, as stackprinter evaluates them: names and their attributes.

    All of a function counts, and not only the lines around the current one.
    """
    for frame in frames_of(frames):
        for names in _dotted(frame.f_code):
            value: Any = frame.f_locals.get(names[0], frame.f_globals.get(names[0]))
            for number, name in enumerate(names):
                try:
                    value = getattr(value, name) if number else value
                    texts = [] if isinstance(value, ModuleType) else list(shown(value, 1))
                except Exception:  # noqa: BLE001 - it says nothing
                    break
                for text in texts:
                    yield f"{'.'.join(names[: number + 1])} in {frame.f_code.co_qualname}", text


@functools.cache
def _dotted(code: Any) -> list[list[str]]:
    """Give the dotted names in the source of a function."""
    try:
        source = textwrap.dedent(inspect.getsource(code))
        with suppress(
            SystemError
        ):  # of Python 3.11, now and then: "AST constructor recursion depth mismatch"
            ast.parse(source)
        tree = ast.parse(source)
    except (OSError, SyntaxError):  # no file, or a part of an expression
        return []
    found: list[list[str]] = []
    for node in ast.walk(tree):
        names: list[str] = []
        at: ast.AST = node
        while isinstance(at, ast.Attribute):
            names.insert(0, at.attr)
            at = at.value
        if isinstance(at, ast.Name):
            found.append([at.id, *names])
    return found


def followed(frames: TracebackType | None) -> Iterator[tuple[str, str]]:
    """Give what is reached from the locals of each frame: attributes, items and closures, some levels deep.

    What the tests themselves have made is left out. So is the one place in which a key has to be: below a `Secret`.
    """
    for frame in frames_of(frames):
        seen: set[int] = set()
        level = list(frame.f_locals.items())
        for _ in range(_LEVELS + 1):
            deeper: list[tuple[str, Any]] = []
            for path, value in level:
                if id(value) in seen or _is_apart(value):
                    continue
                seen.add(id(value))
                yield f"{path} in {frame.f_code.co_qualname}", _plain(value)
                deeper += [(f"{path}.{type(value).__name__}", part) for part in _parts(value)]
            level = deeper


def _is_apart(value: Any) -> bool:
    kind = value if isinstance(value, type) else type(value)
    code = getattr(value, "__code__", None)
    return (
        isinstance(value, _PASSED_OVER)
        or kind.__name__ == "Secret"
        or _TESTS in str(getattr(sys.modules.get(kind.__module__), "__file__", ""))
        or (code is not None and _TESTS in code.co_filename)
    )


def _parts(value: Any) -> Iterator[Any]:
    with suppress(Exception):
        yield from inside(value)
    if isinstance(value, FunctionType):
        for cell in value.__closure__ or ():
            with suppress(ValueError):  # it is empty
                yield cell.cell_contents
    elif isinstance(value, MethodType | functools.partial):
        value = cast("Any", value)
        yield from (getattr(value, name, None) for name in ("__self__", "func", "args", "keywords"))


def _plain(value: Any) -> str:
    with suppress(Exception):
        return repr(value)
    return ""


def without_tests(frames: TracebackType | None) -> TracebackType | None:
    """Give the same traceback without the frames of the tests."""
    kept: list[TracebackType] = []
    while frames is not None:
        if _TESTS not in frames.tb_frame.f_code.co_filename:
            kept.append(frames)
        frames = frames.tb_next
    made: TracebackType | None = None
    for one in reversed(kept):
        made = TracebackType(made, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return made


def tracebacks(error: BaseException) -> Iterator[tuple[str, str]]:
    """Give what error trackers and rich make of an error's traceback, with the locals of its frames."""
    frames = without_tests(error.__traceback__)
    kept = traceback.TracebackException(type(error), error, frames, capture_locals=True)
    yield "traceback with locals", "".join(kept.format(chain=False))
    trace = Traceback.extract(
        type(error), error, frames, show_locals=True, locals_max_length=1000, locals_max_string=100_000
    )
    for stack in trace.stacks[:1]:
        yield "rich traceback", f"{stack.exc_value} {stack.notes}"
        for frame in stack.frames:
            for name, node in (frame.locals or {}).items():
                yield f"rich's local {name} in {frame.name}", str(node)


def referents(start: object) -> Iterator[str]:
    """Give each text that the collector can reach from an object: through attributes, closures and slots, not globals."""
    seen: set[int] = set()
    kept: list[object] = [start]  # what is looked at stays alive, so that no id comes twice
    for value in kept:
        if isinstance(value, str):
            yield value
        elif isinstance(value, bytes | bytearray):
            yield value.decode("latin-1")
        parts: list[object] = gc.get_referents(value)
        if isinstance(value, FunctionType):
            parts = [value.__closure__, value.__defaults__, value.__kwdefaults__, value.__dict__]
        for part in parts:
            if id(part) not in seen and not isinstance(part, _PASSED_OVER):
                seen.add(id(part))
                kept.append(part)


def traces(error: BaseException, *, frames: bool = True) -> Iterator[tuple[str, str]]:
    """Give all texts that an error, or what it refers to, shows: where, and the text.

    Args:
        error: The error.
        frames: Whether the locals of its frames count.
    """
    yield "str", str(error)
    yield "repr", repr(error)
    yield from (("args", text) for text in shown(error.args))
    yield from (("vars", text) for text in shown(vars(error)))
    yield "notes", repr(getattr(error, "__notes__", None))
    if isinstance(error, ZillizError):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            yield "pickle", pickle.dumps(error, protocol).decode("latin-1")
        yield from (("copy", text) for text in shown(vars(copy.deepcopy(error))))
        yield from (("copy", text) for text in shown(vars(copy.copy(error))))
        assert error.__cause__ is None
        assert error.__context__ is None
    yield from (("referents", text) for text in referents(_bare(error)))
    if frames:
        yield from locals_of(error.__traceback__)
        yield from evaluated(error.__traceback__)
        yield from followed(error.__traceback__)
        yield from tracebacks(error)
    parts = cast("tuple[BaseException, ...]", getattr(error, "exceptions", ()))
    for other in (error.__cause__, error.__context__, *parts):
        if other is not None:
            yield from traces(other, frames=frames)


def _bare(error: BaseException) -> list[object]:
    # Without its cause, context and traceback, which are looked at by themselves.
    return [error.args, vars(error), getattr(error, "__notes__", None), str(error)]


def leaks(error: BaseException, *, frames: bool = True) -> set[str]:
    """Give the places in which an error shows the key."""
    return {where for where, text in traces(error, frames=frames) if has_key(text)}


def assert_silent(error: BaseException, *, frames: bool = True) -> None:
    """Show that an error does not tell the key."""
    found = leaks(error, frames=frames)
    assert not found, found


def log_everything(caplog: pytest.LogCaptureFixture) -> None:
    """Put all loggers at their most talkative."""
    caplog.set_level(logging.DEBUG)
    for name in _NOISY:
        caplog.set_level(logging.DEBUG, logger=name)


def told_by_logs(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Give the log records that show the key, in their text or in what comes with it."""
    return [
        record.name
        for record in caplog.records
        if has_key(record.getMessage()) or has_key(vars(record)) or has_key(record.exc_text)
    ]


def told_by_warnings(warned: pytest.WarningsRecorder) -> list[str]:
    """Give the warnings that show the key."""
    return [str(warning.message) for warning in warned if has_key(warning.message) or has_key(warning.source)]


def told_by_files(folder: Path) -> list[Path]:
    """Give the files below a folder that hold the key, in their name or in themselves."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if has_key(path) or has_key(path.read_bytes().decode("latin-1"))]
