"""Input for decoders: good texts, ways to spoil them, and shapes that make a careless decoder slow or deep."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

from hypothesis import strategies as st

from aiozilliz import InventoryReport, Snapshot, ZillizError
from tests.fuzz.decoders import NOW
from tests.support import strategies

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 2**53, 2**64, -(2**70), 1.5, 1e308, "", " ", "0", "\0", "é\ud800", [], {}),
    *([[]], [None], {"": None}, {"clusters": []}, "2024-06-30T16:49:50Z", "x" * 300),
)
odd_values = st.sampled_from(ODD) | strategies.json_values

_snapshots = st.builds(
    Snapshot,
    st.lists(strategies.clusters(), max_size=3, unique_by=lambda cluster: cluster.cluster_id),
    st.just(NOW),
    st.integers(0, 9),
    consistent=st.booleans(),
)
_reports = st.builds(
    InventoryReport,
    st.dictionaries(strategies.texts, _snapshots, max_size=2),
    st.dictionaries(strategies.texts, strategies.texts.map(ZillizError), max_size=2),
    st.just(NOW),
)


def mutate(draw: st.DrawFn, value: Any) -> Any:
    """Put something odd somewhere into a JSON value, or take something out."""
    deeper = draw(st.integers(0, 3)) > 0
    if deeper and isinstance(value, dict) and value:
        return _mutate_object(draw, cast("dict[str, Any]", value))
    if deeper and isinstance(value, list) and value:
        return _mutate_list(draw, list(cast("Sequence[Any]", value)))
    return draw(odd_values)


def _mutate_object(draw: st.DrawFn, value: dict[str, Any]) -> dict[str, Any]:
    name = draw(st.sampled_from(sorted(value)))
    changed = dict(value)
    match draw(st.integers(0, 4)):
        case 0:
            del changed[name]
        case 1:
            changed[draw(strategies.texts)] = changed.pop(name)
        case _:
            changed[name] = mutate(draw, value[name])
    return changed


def _mutate_list(draw: st.DrawFn, value: list[Any]) -> list[Any]:
    place = draw(st.integers(0, len(value) - 1))
    item = mutate(draw, value[place])
    return draw(st.sampled_from([[*value[:place], item, *value[place + 1 :]], [*value, item], [item] * 3]))


@st.composite
def mutated(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> bytes:
    """JSON values that were good before a few of their parts were changed, as text."""
    value = draw(values)
    for _ in range(draw(st.integers(1, 3))):
        value = mutate(draw, value)
    return json.dumps(value).encode()


@st.composite
def spoilt(draw: st.DrawFn, texts: st.SearchStrategy[bytes]) -> bytes:
    """Texts with some bytes cut out, changed, doubled or put in."""
    text = draw(texts)
    start = draw(st.integers(0, len(text)))
    stop = draw(st.integers(start, min(len(text), start + 30)))
    middle = draw(st.binary(max_size=8) | st.just(text[start:stop] * 2) | st.sampled_from(_TROUBLE))
    return text[:start] + middle + text[stop:]


_TROUBLE: Final = (
    *(
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\r",
        b"\n",
        b"\x85",
        b"\x0b",
        b"\x1c",
        b" " * 40,
    ),
    *(
        b"NaN",
        b"-Infinity",
        b"1" * 5_000,
        b"1e999",
        b"[" * 3_000,
        b'{"a":' * 3_000,
        b"\\ud83d",
        b"\\u0000",
        b"%(x)s",
    ),
)

_envelopes = strategies.envelopes()
_refusals = st.fixed_dictionaries(
    {"code": st.sampled_from([80001, 429, 503, 96008, 12345]) | odd_values, "message": odd_values},
    optional={"requestId": odd_values, "data": odd_values},
)


def _as_plain(snapshot: Snapshot | InventoryReport) -> Any:
    return json.loads(snapshot.to_json())


def _json_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


_names = st.sampled_from(
    ["default", "org.a", "org.b", "org.", "user", "orgs", "DEFAULT", "context", "", "\n", "a]b"]
)
_options = st.sampled_from(["api_key", "org_id", "org_name", "base_url", "API_KEY", "", " ", "x"])
_values = st.sampled_from(
    [
        *(
            "k" * 40,
            "",
            "a b",
            "%",
            "%(x)s",
            "ключ",
            "https://x.example/",
            "http://[::1",
            "http://x:99999",
            "https://é",
        ),
        *("https://[v1.x]", "https://\u2100.example", "https://x/?q#f", "https://a@b", "a\n  b", "\x00"),
    ]
) | st.text(max_size=12)
_delimiters = st.sampled_from([" = ", "=", ": ", " ", "==", "\t=\t"])


@st.composite
def ini_files(draw: st.DrawFn) -> bytes:
    """Files that look like the official command-line client's, with every line odd."""
    lines: list[str] = []
    for _ in range(draw(st.integers(0, 5))):
        lines.append(
            draw(st.sampled_from(["[{}]", " [{}]", "[{}", "[{}] ; x", "#[{}]"])).format(draw(_names))
        )
        for _ in range(draw(st.integers(0, 4))):
            indent = draw(st.sampled_from(["", "", "", "  ", "\t", "# ", ";", "\ufeff"]))
            lines.append(indent + draw(_options) + draw(_delimiters) + draw(_values))
    ends = draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
    return ends.join(lines).encode("utf-8", "surrogatepass")


_good_files = st.just(b"[default]\napi_key = k1\norg_id = a\n[org.a]\norg_name = A\napi_key = k1\n")


def _request(method: str, target: str, version: str, lines: list[tuple[str, str]], body: str) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in lines)
    return f"{method} {target} {version}\r\n{head}\r\n{body}".encode("latin-1", "replace")


def _wait(value: str, date: str) -> bytes:
    return f"{value}\0{date}".encode("latin-1", "replace")


_heads = st.builds(
    _request,
    st.sampled_from(["GET", "HEAD", "POST", "", "G\tT"]),
    st.sampled_from(
        ["/v2/clusters?pageSize=1&pageSize=%ff", "http://[::1/", "//[x", "*", "/%", "?" * 50, "/\udcff"]
    ),
    st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/2", ""]),
    st.lists(
        st.tuples(
            st.sampled_from(
                ["Content-Length", "content-length", "Transfer-Encoding", "Connection", "Host", " x", ""]
            ),
            st.sampled_from(["0", "5", "-1", "²", "1" * 5_000, "close, x", "chunked", "", "é"])
            | st.text(max_size=5),
        ),
        max_size=4,
    ),
    st.sampled_from(["", "12345", "GET / HTTP/1.1\r\n\r\n"]),
)

_dates = st.datetimes().map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S GMT"))
_waits = st.builds(
    _wait,
    _dates
    | st.integers().map(str)
    | st.text(max_size=30)
    | st.from_regex(
        r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,5} \d\d:\d\d:\d\d [+-]?\w{1,12}", fullmatch=True
    )
    | st.sampled_from(
        [
            "9" * 400,
            "\N{ARABIC-INDIC DIGIT ONE}",
            "²",
            "1e9",
            "nan",
            "-0",
            "0" * 5_000 + "7",
            "Thu, 32 Foo -1 99:99:99 +9999999999",
        ]
    ),
    st.just("") | _dates | st.text(max_size=30),
)


def _all_kinds(
    texts: st.SearchStrategy[bytes], *others: st.SearchStrategy[bytes]
) -> st.SearchStrategy[bytes]:
    return st.one_of(texts, spoilt(texts), *others, st.binary(max_size=60))


_of_ini = _all_kinds(_good_files | ini_files())
INPUTS: Final[dict[str, st.SearchStrategy[bytes]]] = {
    "answer": _all_kinds(strategies.bodies(), mutated(_envelopes | _refusals)),
    "snapshot": _all_kinds(_snapshots.map(_as_plain).map(_json_bytes), mutated(_snapshots.map(_as_plain))),
    "report": _all_kinds(_reports.map(_as_plain).map(_json_bytes), mutated(_reports.map(_as_plain))),
    "record": _all_kinds(strategies.wire_records().map(_json_bytes), mutated(strategies.wire_records())),
    "organisations": _of_ini,
    "base url": _of_ini,
    "key": _of_ini,
    "state": _all_kinds(
        (_snapshots | _reports).map(_as_plain).map(_json_bytes),
        mutated((_snapshots | _reports).map(_as_plain)),
        mutated(st.lists(strategies.wire_records(), max_size=2)),
    ),
    "retry after": _all_kinds(_waits),
    "http request": _all_kinds(_heads),
}
"""What each decoder is given, by its name."""


def _made(
    value: Callable[[int], str], wrap: Callable[[str], str], finish: Callable[[str], bytes]
) -> Callable[[int], bytes]:
    return lambda n: finish(wrap(value(n)))


def _record(value: str) -> str:
    return '{"clusterId":"in01-a","extra":' + value + "}"


def _head(line: str) -> bytes:
    return f"GET / HTTP/1.1\r\n{line}\r\n\r\n".encode()


def _records(n: int) -> str:
    return ",".join(f'{{"clusterId":"in01-{i}"}}' for i in range(n))


def _listing(value: str) -> bytes:
    return ('{"code":0,"data":{"clusters":[' + value + "]}}").encode()


def _state(value: str) -> bytes:
    head = f'{{"version":1,"taken_at":"{NOW.isoformat()}","requests":1,"consistent":true,"clusters":['
    return (head + value + "]}").encode()


_VALUES: Final[dict[str, Callable[[int], str]]] = {
    "deep lists": lambda n: "[" * n + "]" * n,
    "deep objects": lambda n: '{"a":' * n + "1" + "}" * n,
    "unclosed lists": lambda n: "[" * n,
    "many keys": lambda n: "{" + ",".join(f'"k{i}":{i}' for i in range(n)) + "}",
    "one key again": lambda n: "{" + ",".join('"k":1' for _ in range(n)) + "}",
    "escapes": lambda n: '"' + "\\u0041" * n + '"',
    "halves of emoji": lambda n: '"' + "\\ud83d" * n + '"',
    "control characters": lambda n: '"' + "\\u0007" * n + '"',
    "a long text": lambda n: '"' + "é" * n + '"',
    "a long number": lambda n: "1" * n,
    "a long fraction": lambda n: "0." + "1" * n,
    "a list": lambda n: "[" + "1," * n + "1]",
    "blanks": lambda n: " " * n + "1",
}

_INI: Final[dict[str, Callable[[int], str]]] = {
    "sections": lambda n: "".join(f"[org.{i}]\napi_key = k{i}\norg_name = same\n" for i in range(n)),
    "one section again": lambda n: "[org.a]\napi_key = k\n" * n,
    "options": lambda n: "[default]\n" + "".join(f"x{i} = {i}\n" for i in range(n)),
    "continued lines": lambda n: "[default]\napi_key = k\n" + "  more\n" * n,
    "empty lines": lambda n: "[default]\napi_key = k\n" + "\n" * n + "x = 1\n",
    "blanks in a line": lambda n: "[default]\nx" + " " * n + "y\n",
    "blanks before a value": lambda n: "[default]\nx =" + " " * n + "y\n",
    "tabs in a line": lambda n: "[default]\n" + "x\t" * n + "\n",
    "delimiters": lambda n: "[default]\nx " + "=" * n + "\n",
    "brackets": lambda n: "[" * n + "default]\n",
    "bad lines": lambda n: "[default]\n" + "nonsense\n" * n,
    "a long key": lambda n: "[default]\napi_key = " + "k" * n + "\n",
    "a long base url": lambda n: "[default]\nbase_url = https://" + "a." * n + "example\n",
    "slashes": lambda n: "[default]\nbase_url = https://x.example/" + "/" * n + "x\n",
    "names that collide": lambda n: (
        "".join(f"[org.{i}]\napi_key = k{i}\norg_name = x ({i})\n" for i in range(n))
        + "[org.x]\napi_key = a\n[org.y]\napi_key = b\norg_name = x\n"
    ),
}

_HEADS: Final[dict[str, Callable[[int], bytes]]] = {
    "headers": lambda n: _head("\r\n".join(f"x{i}: 1" for i in range(n))),
    "one header again": lambda n: _head("\r\n".join("x: 1" for _ in range(n))),
    "blanks in a header": lambda n: _head("x:" + " " * n + "1"),
    "a long length": lambda n: _head("Content-Length: " + "1" * n),
    "parameters": lambda n: f"GET /?{'a=b&' * n} HTTP/1.1\r\n\r\n".encode(),
    "escapes": lambda n: f"GET /{'%41' * n}?a={'%ff' * n} HTTP/1.1\r\n\r\n".encode(),
    "no end": lambda n: b"GET / HTTP/1.1\r\n" + b"x: 1\r\n" * n,
}

_WAITS: Final[dict[str, Callable[[int], bytes]]] = {
    "digits": lambda n: b"1" * n,
    "zeros": lambda n: b"0" * n,
    "blanks": lambda n: b"Thu, 01 Jan" + b" " * n + b"2026",
    "commas": lambda n: b"Thu" + b"," * n,
    "comments": lambda n: b"(" * n,
}

SLOW: Final[dict[tuple[str, str], Callable[[int], bytes]]] = {
    **{("answer", name): _made(value, _record, _listing) for name, value in _VALUES.items()},
    **{("snapshot", name): _made(value, _record, _state) for name, value in _VALUES.items()},
    **{("record", name): _made(value, _record, str.encode) for name, value in _VALUES.items()},
    **{("state", name): _made(value, str, str.encode) for name, value in _VALUES.items()},
    ("answer", "records"): lambda n: _listing(_records(n)),
    ("answer", "records, the last one wrong"): lambda n: _listing(_records(n) + ",1"),
    ("answer", "markup"): lambda n: b"<" * n,
    ("answer", "message"): lambda n: b'{"code":80001,"message":"' + b"\\u0007" * n + b'"}',
    ("snapshot", "records"): lambda n: _state(_records(n)),
    ("report", "failures"): lambda n: json.dumps(
        {
            "version": 1,
            "taken_at": NOW.isoformat(),
            "snapshots": {},
            "failures": {str(i): "x" for i in range(n)},
        }
    ).encode(),
    **{
        (decoder, name): _made(line, str, str.encode)
        for name, line in _INI.items()
        for decoder in ("organisations", "base url", "key")
    },
    **{("http request", name): head for name, head in _HEADS.items()},
    **{("retry after", name): wait for name, wait in _WAITS.items()},
}
"""Input of a size that is given, by the decoder's name and what is bad about it."""
