"""Text and JSON that a terminal can show raw: control characters, surrogates and odd numbers are dealt with here."""

from __future__ import annotations

import functools
import re
from math import isfinite
from typing import Any, Final, cast

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    """Return text on one line, with control and format characters and lone surrogates escaped."""
    # The library escapes the text of its errors in the same way, but has no public name for it.
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def without_surrogates(text: str) -> str:
    """Return text with U+FFFD in place of lone surrogates, which no encoding accepts."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def json_text(value: Any, *, ascii_only: bool = False) -> str:
    """Return a value as JSON on one line that a terminal can show raw.

    Args:
        value: Anything that JSON can hold. Lone surrogates are escaped: JSON can hold them, though no encoding can. A
            number that is not finite becomes null.
        ascii_only: Whether everything but ASCII is escaped.
    """
    return escape_json(_dump(value), ascii_only=ascii_only)


def escape_json(text: str, *, ascii_only: bool) -> str:
    """Return one line of JSON with all that is not printable escaped.

    Such characters occur in JSON strings only, where an escape means the same.

    Args:
        text: The line.
        ascii_only: Whether everything but ASCII is escaped.
    """
    if text.isprintable() and (text.isascii() or not ascii_only):
        return text
    import json  # noqa: PLC0415  # most texts need no escape

    return "".join(
        c if c.isprintable() and (c.isascii() or not ascii_only) else json.dumps(c)[1:-1] for c in text
    )


def _dump(value: Any) -> str:
    import orjson  # noqa: PLC0415  # help and version need no JSON

    try:
        return orjson.dumps(value).decode()
    except TypeError:  # a lone surrogate, an integer beyond 64 bits, or nested too deep for it
        pass
    import json  # noqa: PLC0415  # most values are written already

    write = functools.partial(json.dumps, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return write(value)
    except ValueError:
        return write(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in cast("Any", value).items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in cast("Any", value)]
    return value
