"""Ways in which a careless service, proxy or log may repeat a key, and a reader who would get it back from them.

Nothing here is shared with the package.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST = 7
"""Characters of a key in a row that may be shown."""

IN_PIECES = 12
"""Characters of a key, with others between them, that may not."""

_numbers = count()


def new_key() -> str:
    """Give a key that nobody has been given before: 32 letters and digits, in both cases."""
    digest = base64.b64encode(hashlib.sha512(b"canary %d" % next(_numbers)).digest(), b"xY").decode()
    return digest[:32]


def in_pieces(key: str, size: int, between: str) -> str:
    return between.join(key[at : at + size] for at in range(0, len(key), size))


def each(key: str, form: str) -> str:
    return "".join(form.format(ord(c)) for c in key)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def url_safe(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


ECHOES: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: key,
    "upper": str.upper,
    "lower": str.lower,
    "title": str.title,
    "swapped": str.swapcase,
    "capitalised": str.capitalize,
    "with Bearer": lambda key: f"Bearer {key}",
    "in quotes": repr,
    "in brackets": lambda key: f"[{key}]",
    "in words": lambda key: f"xx{key}yy",
    "within digits": lambda key: f"00{key}11",
    "after an underscore": lambda key: f"key_{key}_end",
    "twice": lambda key: key + key,
    "twice, with a blank": lambda key: f"{key} {key.upper()}",
    "an e-mail": lambda key: f"{key}@example.com",
    "a query": lambda key: f"/v2?token={key}&x=1",
    **{
        f"{cut} off the end": (lambda key, cut=cut: key[:-cut])  # type: ignore[misc]
        for cut in (1, 2, 3, 8, 16, 20, 24)
    },
    **{
        f"{cut} off the start": (lambda key, cut=cut: key[cut:])  # type: ignore[misc]
        for cut in (1, 2, 3, 8, 16, 20, 24)
    },
    "the middle": lambda key: key[9:21],
    "eight in capitals": lambda key: f"..{key[5:13].upper()}..",
    "cut with an ellipsis": lambda key: f"{key[:12]}…",
    "cut with dots": lambda key: f"{key[:12]}...{key[-10:]}",
    "masked in the middle": lambda key: f"{key[:8]}****{key[-8:]}",
    "one wrong": lambda key: f"{key[:15]}#{key[16:]}",
    "half in capitals": lambda key: key[:16].upper() + key[16:].lower(),
    "two halves": lambda key: f"{key[:16]} {key[16:]}",
    "two lines": lambda key: f"{key[:16]}\n{key[16:]}",
    "folded": lambda key: f"{key[:5]}\r\n\t{key[5:]}",
    "in fours": lambda key: in_pieces(key, 4, " "),
    "in fours with dashes": lambda key: in_pieces(key, 4, "-"),
    "in threes on lines": lambda key: in_pieces(key, 3, "\n"),
    "letter by letter": lambda key: in_pieces(key, 1, " "),
    "a list of pieces": lambda key: str([key[:6], key[6:12], key[12:]]),
    "percent-encoded": lambda key: each(key, "%{:02x}"),
    "percent-encoded in capitals": lambda key: each(key, "%{:02X}"),
    "percent-encoded in part": lambda key: "".join(
        c if n % 3 else f"%{ord(c):02X}" for n, c in enumerate(key)
    ),
    "percent-encoded with Bearer": lambda key: quote(f"Bearer {key}"),
    "percent-encoded twice": lambda key: quote(each(key, "%{:02x}")),
    "percent-encoded thrice": lambda key: quote(quote(each(key, "%{:02x}"))),
    "percent-encoded capitals": lambda key: each(key.upper(), "%{:02x}"),
    "IIS percent-encoding": lambda key: each(key, "%u{:04x}"),
    "JSON escapes": lambda key: each(key, "\\u{:04x}"),
    "JSON escapes in capitals": lambda key: each(key, "\\u{:04X}"),
    "JSON in JSON": lambda key: each(key, "\\\\u{:04x}"),
    "code points": lambda key: each(key, "\\u{{{:x}}}"),
    "long escapes": lambda key: each(key, "\\U{:08x}"),
    "bytes escaped": lambda key: each(key, "\\x{:02x}"),
    "octal escapes": lambda key: each(key, "\\{:03o}"),
    "references": lambda key: each(key, "&#{};"),
    "hexadecimal references": lambda key: each(key, "&#x{:X};"),
    "quoted-printable": lambda key: each(key, "={:02X}"),
    **{
        f"base64 behind {n}": (lambda key, n=n: encoded("!" * n + key))  # type: ignore[misc]
        for n in range(4)
    },
    "base64 of Bearer": lambda key: encoded(f"Bearer {key}"),
    "base64 of a user": lambda key: encoded(f"user:{key}"),
    "base64 of a password": lambda key: f"Basic {encoded(f'{key}:x-oauth')}",
    "base64 in capitals of the key": lambda key: encoded(key.upper()),
    "base64 of a part": lambda key: encoded(key[3:19]),
    "base64 cut at its start": lambda key: encoded(key)[5:],
    "base64 cut at its end": lambda key: encoded(key)[:-7],
    "base64 with a word before": lambda key: f"token{encoded(key)}",
    "base64 for URLs": lambda key: url_safe(f"~~?>{key}?>~~"),
    "base64 for URLs, cut": lambda key: url_safe(f"ÿþ{key}")[1:],
    "base64 of base64": lambda key: encoded(encoded(key)),
    "base64 of JSON": lambda key: encoded(f'{{"authorization":"Bearer {key}"}}'),
    "base64 of UTF-16": lambda key: base64.b64encode(key.encode("utf-16")).decode(),
    "base64 with escaped slashes": lambda key: encoded(f"???{key}???").replace("/", "\\/"),
    "base64 percent-encoded": lambda key: quote(encoded(f"???{key}"), safe=""),
    "hex": lambda key: key.encode().hex(),
    "hex in capitals": lambda key: key.encode().hex().upper(),
    "hex behind a digit": lambda key: f"0{key.encode().hex()}",
    "hex with 0x": lambda key: f"0x{key.encode().hex()}",
    "hex with colons": lambda key: key.encode().hex(":"),
    "hex with blanks": lambda key: key.encode().hex(" "),
    "hex in groups of 2": lambda key: key.encode().hex(" ", 2),
    "hex in groups of 4": lambda key: key.encode().hex(" ", 4),
    "soft hyphens": lambda key: in_pieces(key, 4, "&shy;"),
    "blanks of HTML": lambda key: in_pieces(key, 3, "&nbsp;"),
    "hex of each": lambda key: ", ".join(f"0x{byte:02x}" for byte in key.encode()),
    "numbers": lambda key: str(list(key.encode())),
    "base64 of hex": lambda key: encoded(key.encode().hex()),
    "hex of base64": lambda key: encoded(key).encode().hex(),
}


def remains(text: str, key: str) -> str:
    """Give the longest run of characters of a key, in either case, that a reader gets out of a text.

    One that stands in pieces has to be longer: a few letters follow each other by chance.
    """
    key = key.lower()
    whole = max((_common(shown, key) for shown in readings(text)), key=len)
    pieces = max((_common(shown, key) for shown in joined(text)), key=len)
    return max(whole, pieces if len(pieces) >= IN_PIECES else "", key=len)


def _common(text: str, key: str) -> str:
    best = ""
    for start in range(len(key)):
        while start + len(best) < len(key) and key[start : start + len(best) + 1] in text:
            best = key[start : start + len(best) + 1]
    return best


@lru_cache(5000)
def readings(text: str) -> frozenset[str]:
    """Give what a text says, in lower case, to somebody who tries each encoding."""
    return frozenset(shown.lower() for shown in _read(text))


@lru_cache(5000)
def joined(text: str) -> frozenset[str]:
    """Give the same without what is neither letter nor digit."""
    forms = ("[^0-9a-z]", r"\\[nrt]|[^0-9a-z]")
    return frozenset(re.sub(form, "", shown) for form in forms for shown in readings(text))


def _read(text: str, depth: int = 3) -> Iterator[str]:
    yield text
    if not depth:
        return
    variants = {re.sub(r"[%=]([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text)}
    variants.add(re.sub(r"%u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text))
    variants.add(html.unescape(text))
    variants.add(re.sub(r"\\+u\{?([0-9a-fA-F]{2,4})\}?", lambda found: chr(int(found[1], 16)), text))
    variants.add(re.sub(r"\\+(?:x|U000000)([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text))
    variants.add(re.sub(r"\\+([0-7]{3})", lambda found: chr(int(found[1], 8) % 256), text))
    variants.add(text.replace("\\/", "/"))
    variants.add(re.sub(r"\b\d{2,3}\b", lambda found: chr(int(found[0])), text).replace(", ", ""))
    for found in re.findall(r"[0-9a-fA-F]{16,}", re.sub(r"[ :,]|0x", "", text)):
        for first in (0, 1):
            digits = found[first:]
            variants.add(bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("latin-1"))
    for found in re.findall(r"[0-9a-zA-Z+/_-]{11,}", text):
        for first in range(4):
            part = found[first:].replace("-", "+").replace("_", "/")
            part = part[: len(part) - (len(part) % 4 == 1)]
            decoded = base64.b64decode(part + "=" * (-len(part) % 4))
            variants |= {decoded.decode("latin-1"), decoded.replace(b"\0", b"").decode("latin-1")}
    for variant in variants - {text}:
        yield from _read(variant, depth - 1)
