"""Texts without keys: every key that this process was given is known here, as hashes, and cut out of what is quoted.

A service, a proxy or a cache may echo the key of a request, or of another one, in whatever form. A known key is found

- as it is, and any 8 or more of its characters in a row, in upper or lower case;
- so too in what percent-encoding, backslash escapes (JSON, Python), character references (HTML), base64 or hexadecimal
  digits stand for, also if they are nested;
- in pieces of any length with nothing but blanks and punctuation between them, if they have 12 characters together;
- as a whole word only, if it has fewer than 8 characters, as in tests: its letters occur everywhere. In sentences of
  ours, which quote a few words at most, one that stands like a word of the sentence is none.

A text is searched by its own windows of 8 characters, each looked up in one table, so its cost does not depend on how
many keys are known. The table holds hashes, which are salted for each process, and no key in clear.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections import OrderedDict
from string import ascii_lowercase, ascii_uppercase
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from aiozilliz._errors import APIError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Span: TypeAlias = tuple[int, int]
"""Start and end of a part of a text."""

HIDDEN: Final = "<key>"
"""What a text shows in place of a key."""

MAX_KEYS: Final = 10_000
"""Keys that a process knows at most; the one that was given the longest time ago is forgotten first."""

_MAX_WINDOWS: Final = 1_000_000
"""Bounds the memory, at about 100 bytes each, should keys have more than some 100 characters."""

_WINDOW: Final = 8
_IN_PIECES: Final = 12
_HEADS: Final = (6, 7)
_NESTED: Final = 3
_MAX_VALUE: Final = 2_000
"""Characters of an error's text or attribute at most; all but a hostile cluster id are much shorter."""

_OURS: Final = ("_advice", "_key_source")
"""Attributes of a refusal that hold no text of the service's."""

_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)
_CUT: Final = "…"

_ALPHANUMERIC: Final = re.compile("[0-9a-z]+")
_BEFORE_WORD: Final = re.compile(r"(?<![0-9a-z_-])(?=\S)")
_WORD_GOES_ON: Final = re.compile("[0-9a-z_-]")  # `in01-a` is one word
_IN_SENTENCE_BEFORE: Final = re.compile(r"[\s{]|\Z")  # a brace stands before the name of a setting
_IN_SENTENCE_AFTER: Final = re.compile(r"[\s.,:;!?}]|'[0-9a-z]|\Z")
_ESCAPE: Final = re.compile(
    r"""
      (?: [%=] | \\+x ) ([0-9A-Fa-f]{2})        # percent-encoding, quoted-printable, a byte
    | (?: % | \\+ ) u ([0-9A-Fa-f]{4})
    | \\+u \{ ([0-9A-Fa-f]{1,6}) \}
    | \\+U ([0-9A-Fa-f]{8})
    | &\#[xX] 0* ([0-9A-Fa-f]{1,6}) ;?
    | &\# 0* ([0-9]{1,7}) ;?
    | \\+ ([0-7]{3})
    | & ([A-Za-z]{2,8}) ;
    | \\+ (.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BASES: Final = (16, 16, 16, 16, 16, 10, 8)  # of the numbers above, in their order
_NAMED_GROUP: Final = len(_BASES) + 1
_NAMED: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_BLANKS: Final = "bfnrtv"  # letters that mean one after a backslash
_BASE64: Final = re.compile(r"[0-9A-Za-z+/_-]{11,}")
_STANDARD: Final = str.maketrans("-_", "+/")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{16,}")
# A list of bytes, as `63:61:6e`, `6361 6e61`, `0x63, 0x61` or `[99 97 110]`.
_LISTS: Final = (
    (
        re.compile(r"(?:0x)?[0-9A-Fa-f]{2}(?:[ :,-]{0,2}(?:0x)?[0-9A-Fa-f]{2}){7,}"),
        "(?:0x)?([0-9A-Fa-f]{2})",
        16,
    ),
    (re.compile(r"[0-9]{2,3}(?:[ :,-]{1,2}[0-9]{2,3}){7,}"), "([0-9]+)", 10),
)


class KnownKeys:
    """The latest keys of a process.

    Args:
        limit: Keys that are known at most.
    """

    __slots__ = ("_keys", "_limit", "_lock", "_windows", "_words")

    def __init__(self, limit: int = MAX_KEYS) -> None:
        self._limit = limit
        self._lock = Lock()  # clients may be made in several threads
        # A key's hash, and those of its windows or of itself as a word; the last one given is the last.
        self._keys: OrderedDict[int, tuple[int, ...]] = OrderedDict()
        # Hashes, and how many keys have each.
        self._windows: dict[int, int] = {}
        self._words: dict[int, int] = {}

    def add(self, key: str) -> None:
        """Know a key from now on, and forget the oldest if there are too many."""
        key = key.lower()
        own = hash(key)
        with self._lock:
            if own in self._keys:
                self._keys.move_to_end(own)
                return
            table = self._words if len(key) < _WINDOW else self._windows
            self._keys[own] = parts = tuple({hash(part) for part in _parts(key)})
            for part in parts:
                table[part] = table.get(part, 0) + 1
            while len(self._keys) > self._limit or (
                len(self._windows) > _MAX_WINDOWS and len(self._keys) > 1
            ):
                self._forget(*self._keys.popitem(last=False))

    def _forget(self, own: int, parts: tuple[int, ...]) -> None:
        table = self._words if parts == (own,) else self._windows
        for part in parts:
            if table[part] == 1:
                del table[part]
            else:
                table[part] -= 1

    def redact(self, text: str, *, ours: bool = False) -> str:
        """Replace all known keys in a text.

        A text that was cut, and so has an ellipsis, may be cut within a key; from 6 characters on, that part is
        replaced as well.

        Args:
            text: Any text.
            ours: Whether it is a sentence of ours, which must not change because "a" or "page" was a key in some test.

        Returns:
            The text, with `<key>` for each part that is of a key.
        """
        found = sorted(self._spans(text, ours=ours)) if self._keys else []
        if not found:
            return text
        parts: list[str] = []
        shown = 0  # up to here
        for start, end in found:
            if start >= shown:
                parts += text[shown:start], HIDDEN
            shown = max(shown, end)
        return "".join((*parts, text[shown:]))

    def _spans(
        self, text: str, *, ours: bool | None, in_pieces: int = _IN_PIECES, depth: int = _NESTED
    ) -> Iterator[Span]:
        """Yield where keys are, in no order; spans may overlap. With `ours=None` there are no words."""
        low = text.lower() if text.isascii() else text.translate(_LOWER)  # of the same length
        found = [*self._runs(low, _WINDOW), *self._heads(low)]
        if ours is not None and self._words:
            found += self._whole_words(low, ours=ours)
        yield from found
        # In pieces: what is neither letter nor digit does not count. The end of a word next to a key may happen to
        # continue it, so it takes as many characters that are not found yet as may not be shown.
        kept = [at for piece in _ALPHANUMERIC.finditer(low) for at in range(*piece.span())]
        if in_pieces <= len(kept) < len(low):
            hidden = {at for span in found for at in range(*span)}
            for start, end in self._runs("".join([low[at] for at in kept]), in_pieces):
                if sum(at not in hidden for at in kept[start:end]) >= _WINDOW:
                    yield kept[start], kept[end - 1] + 1
        if depth:
            unescaped = _unescaped(text)
            if unescaped is not None:
                yield from self._mapped(unescaped, ours=ours, in_pieces=in_pieces, depth=depth - 1)
            for decoded in _decoded(text):
                # Most of these are no words of anybody's, but noise.
                yield from self._mapped(decoded, ours=None, in_pieces=_WINDOW, depth=depth - 1)

    def _mapped(self, decoded: _Decoded, *, ours: bool | None, in_pieces: int, depth: int) -> Iterator[Span]:
        text, starts, ends = decoded
        for start, end in self._spans(text, ours=ours, in_pieces=in_pieces, depth=depth):
            yield starts[start], ends[end - 1]

    def _runs(self, low: str, shortest: int) -> Iterator[Span]:
        """Yield the longest parts that consist of windows of keys."""
        windows = self._windows
        start = end = 0
        for at in [at for at in range(len(low) - _WINDOW + 1) if hash(low[at : at + _WINDOW]) in windows]:
            if at >= end:  # two keys in a row do not overlap
                if end - start >= shortest:
                    yield start, end
                start = at
            end = at + _WINDOW
        if end - start >= shortest:
            yield start, end

    def _heads(self, low: str) -> Iterator[Span]:
        at = low.find(_CUT)
        while at >= 0:
            for length in _HEADS:
                if at >= length and hash(low[at - length : at + 1]) in self._windows:
                    yield at - length, at
            at = low.find(_CUT, at + 1)

    def _whole_words(self, low: str, *, ours: bool) -> Iterator[Span]:
        for before in _BEFORE_WORD.finditer(low):
            start = before.start()
            begins = ours and _IN_SENTENCE_BEFORE.match(low, max(start - 1, 0), start)
            for end in range(start + 1, min(start + _WINDOW, len(low) + 1)):
                if hash(low[start:end]) in self._words and not (
                    _WORD_GOES_ON.match(low, end) or (begins and _IN_SENTENCE_AFTER.match(low, end))
                ):
                    yield start, end


def _parts(key: str) -> Iterator[str]:
    """Yield what of a key, in lower case, is looked for: its windows, and its head before an ellipsis; or itself."""
    if len(key) < _WINDOW:
        yield key
        return
    for text in {key, "".join(_ALPHANUMERIC.findall(key))}:
        for at in range(len(text) - _WINDOW + 1):
            yield text[at : at + _WINDOW]
    for length in _HEADS:
        yield key[:length] + _CUT


_Decoded: TypeAlias = tuple[str, list[int], list[int]]
"""A text, and where in the original each of its characters starts and ends."""


def _decoded(text: str) -> Iterator[_Decoded]:
    """Yield what parts of a text may stand for: digits of base64, hexadecimal ones, and lists of bytes."""
    for run in _BASE64.finditer(text):
        yield from _from_base64(run[0].translate(_STANDARD), run.start())
    for run in _HEX.finditer(text):
        for first in (0, 1):  # a digit may stand before it
            digits = run[0][first:]
            size = len(digits) // 2
            starts = list(range(run.start() + first, run.start() + first + 2 * size, 2))
            decoded = bytes.fromhex(digits[: 2 * size]).decode("latin-1")
            yield decoded, starts, [start + 2 for start in starts]
    for pattern, item, base in _LISTS:
        for run in pattern.finditer(text):
            numbers = list(re.compile(item).finditer(text, *run.span()))
            decoded = "".join(_character(int(number[1], base)) for number in numbers)
            yield decoded, [one.start() for one in numbers], [one.end() for one in numbers]


def _unescaped(text: str) -> _Decoded | None:
    """Return a text with its escapes resolved, or None if it has none."""
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    shown = 0
    for escape in _ESCAPE.finditer(text):
        start, end = escape.span()
        parts += text[shown:start], _meaning(escape)
        starts += range(shown, start + 1)
        ends += (*range(shown + 1, start + 1), end)
        shown = end
    if not parts:
        return None
    parts.append(text[shown:])
    starts += range(shown, len(text))
    ends += range(shown + 1, len(text) + 1)
    return "".join(parts), starts, ends


def _meaning(escape: re.Match[str]) -> str:
    group = cast("int", escape.lastindex)
    value: str = escape[group]
    if group <= len(_BASES):
        return _character(int(value, _BASES[group - 1]))
    if group == _NAMED_GROUP:
        return _NAMED.get(value, " ")  # what it stands for, a soft hyphen say, is no character of a key
    return " " if value in _BLANKS else value


def _character(number: int) -> str:
    return chr(number) if number < 128 else "\ufffd"  # noqa: PLR2004  # keys are ASCII


def _from_base64(digits: str, offset: int) -> Iterator[_Decoded]:
    # Other characters may be glued to its start, so that it is not known where a group of 4 begins.
    for first in range(4):
        rest = digits[first:]
        if len(rest) % 4 == 1:  # no byte ends in it
            rest = rest[:-1]
        decoded = a2b_base64(rest + "=" * (-len(rest) % 4)).decode("latin-1")
        # A byte is 8 bits of some 6 of which each digit holds.
        starts = [offset + first + 8 * at // 6 for at in range(len(decoded))]
        ends = [offset + first + (8 * at + 7) // 6 + 1 for at in range(len(decoded))]
        yield decoded, starts, ends


KNOWN_KEYS: Final = KnownKeys()
"""Those of this process: `Secret` adds each key, and none is removed when its client is closed."""


def redact_error(error: BaseException) -> None:
    """Replace the known keys in the arguments, attributes and notes of an error, and bound their length."""
    # The texts of a refusal are the service's, those of other errors are ours and quote it.
    ours = not isinstance(error, APIError)
    error.args = tuple(_redacted(value, ours=ours) for value in error.args)
    for name, value in vars(error).items():
        setattr(error, name, _redacted(value, ours=ours or name in _OURS))


def _redacted(value: object, *, ours: bool) -> object:
    if isinstance(value, str):
        text = value if len(value) <= _MAX_VALUE else value[: _MAX_VALUE - 1] + _CUT
        return KNOWN_KEYS.redact(text, ours=ours)
    if isinstance(value, list):  # `__notes__`
        return [_redacted(item, ours=ours) for item in cast("Iterable[object]", value)]
    return value
