from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, strategies as st

from aiozilliz.cli.output.formats import Format, Layout, Writer, make_writer, write_value
from aiozilliz.cli.output.table import Column, TableWriter
from tests.support.running import open_terminal
from tests.support.strategies import json_values, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.support.running import Capture

    Rows = Sequence[Mapping[str, Any]]

FIELDS = ("account", "clusterId", "clusterName", "cuSize")
COLUMNS = (Column("clusterId", "ID", "id"), Column("clusterName", "NAME", "cut"))
LAYOUT = Layout(
    table=partial(TableWriter, COLUMNS, empty="No clusters."),
    fields=(*FIELDS, "extra"),
    flat=lambda row: [{**row, "extra": {key: row[key] for key in row if key not in FIELDS}}],
)
ROW = {"clusterId": "in01-1", "clusterName": "späte 夜"}
ODD: dict[str, Any] = {
    "clusterId": "no",
    "clusterName": '1e3,"\r',
    "cuSize": 2**70,
    "description": "a\nb \x1b[31m\x85\u2028\u202e\t\x7f\x00",
    "": "2024-06-30T16:49:50Z",
    "long": "word " * 200,
    "numbers": [1e20, -0.5, 10**30, 1e-7],
    "nested": {"<<": "=", "é": [True, None, {}, [], ""], "0o17": "~", "k" * 200: "\U0001f600 \xa0"},
    "extra": "named as the column",
}

rows_of_any_json = st.lists(
    st.fixed_dictionaries({"clusterId": texts}, optional={"account": texts, "cuSize": st.integers()}).flatmap(
        lambda row: st.dictionaries(texts, json_values, max_size=4).map(lambda rest: {**rest, **row})
    ),
    max_size=4,
)


def plain(value: Any) -> Any:
    """Return a value as JSON holds it: two lone surrogates that meet are one character."""
    return json.loads(json.dumps(value))


def readable(value: Any) -> Any:
    """Return what can be read back if lone surrogates are replaced."""
    return json.loads(re.sub("[\ud800-\udfff]", "\ufffd", json.dumps(value, ensure_ascii=False)))


def output_of(action: Callable[[], None], encoding: str = "utf-8") -> bytes:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding) as stream, contextlib.redirect_stdout(stream):
        action()
        return raw.getvalue()


def write_rows(writer: Writer, rows: Rows, *, complete: bool = True) -> None:
    for row in rows:
        writer.write(row)
    writer.finish(complete=complete)


def written(
    form: Format, rows: Rows, *, header: bool = True, complete: bool = True, encoding: str = "utf-8"
) -> bytes:
    def write() -> None:
        write_rows(make_writer(form, LAYOUT, header=header), rows, complete=complete)

    return output_of(write, encoding)


def value_written(form: Format, value: Any, *, header: bool = True) -> str:
    return output_of(lambda: write_value(form, value, header=header)).decode()


def read_csv(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


def as_csv(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as CSV holds it, with JSON read."""
    cells = {name: "" if row.get(name) is None else row[name] for name in FIELDS}
    read = {name: readable(cell) if isinstance(cell, str) else plain(cell) for name, cell in cells.items()}
    return read | {"extra": plain({key: row[key] for key in row if key not in FIELDS})}


# Reading back


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@given(rows=rows_of_any_json)
def test_json_is_read_back_exactly(encoding: str, rows: Rows) -> None:
    assert json.loads(written(Format.JSON, rows, encoding=encoding)) == plain(list(rows))


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@given(rows=rows_of_any_json)
def test_json_lines_are_read_back_exactly(encoding: str, rows: Rows) -> None:
    lines = written(Format.JSONL, rows, encoding=encoding).decode().splitlines()

    assert [json.loads(line) for line in lines] == plain(list(rows))


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@given(rows=rows_of_any_json)
def test_yaml_is_read_back_exactly(encoding: str, rows: Rows) -> None:
    text = written(Format.YAML, rows, encoding=encoding)

    assert yaml.safe_load(text.decode()) == readable(list(rows))
    assert text.decode().replace("\n", "").isprintable()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@given(rows=rows_of_any_json)
def test_csv_is_read_back_exactly(encoding: str, rows: Rows) -> None:
    read: list[dict[str, Any]] = [*read_csv(written(Format.CSV, rows, encoding=encoding))]
    for cells, row in zip(read, rows, strict=True):
        for name in FIELDS:
            if not isinstance(row.get(name), str | None):
                cells[name] = json.loads(cells[name])
        cells["extra"] = json.loads(cells["extra"])

    assert read == [as_csv(row) for row in rows]


@pytest.mark.parametrize("form", list(Format))
def test_odd_values_reach_no_terminal_raw(form: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = open_terminal(monkeypatch, columns=1000)

    write_rows(make_writer(form, LAYOUT), [ODD, ROW])
    write_value(form, [ODD])
    write_value(form, "\x1b[2J")
    write_value(form, [["\x1b[2J"], [["\x9b"]]])

    assert screen.getvalue().count("no") >= 2
    assert screen.getvalue().replace("\n", "").isprintable()


@pytest.mark.parametrize("form", [Format.JSON, Format.YAML])
def test_odd_values_are_read_back_exactly(form: Format) -> None:
    load = json.loads if form is Format.JSON else yaml.safe_load

    assert load(written(form, [ODD, ROW]).decode()) == [ODD, ROW]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_yaml_without_the_c_library_is_the_same_to_a_reader(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiozilliz.cli.output import formats as formats_module

    monkeypatch.delattr(yaml, "CSafeDumper", raising=False)
    monkeypatch.setattr(formats_module, "_yaml_dump", formats_module._yaml_dump.__wrapped__)

    text = written(Format.YAML, [ODD, ROW], encoding=encoding).decode()

    assert yaml.safe_load(text) == [ODD, ROW]
    assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize("text", ["1e3", "1.5E-7", "0o17", "089", ".5", "5.", "no", "12", "2024-06-30", "~"])
def test_text_that_looks_like_something_else_is_quoted_in_yaml(text: str) -> None:
    assert value_written(Format.YAML, [{"name": text}]) == f"- name: '{text}'\n"


def test_numbers_are_not_quoted_in_yaml() -> None:
    assert value_written(Format.YAML, [[1, -2, 0.5, 1e20, 2**70]]) == (
        "- - 1\n  - -2\n  - 0.5\n  - 1.0e+20\n  - 1180591620717411303424\n"
    )


def test_the_same_object_twice_makes_no_alias_in_yaml() -> None:
    shared = {"a": [1]}

    assert "&" not in value_written(Format.YAML, [{"x": shared, "y": shared}])


def test_yaml_shows_what_is_printable_as_it_is_and_folds_no_line() -> None:
    text = written(Format.YAML, [ROW, {"clusterId": "word " * 100 + "end"}]).decode()

    assert "clusterName: späte 夜\n" in text
    assert text.count("\n") == 3


def test_odd_characters_are_escaped_in_yaml_where_they_are_and_nowhere_else() -> None:
    row = {"name": "späte 夜", "note": '夜\u200d日 \\\u202e\U000e0001\x1b"', "\u200d": 1}

    text = written(Format.YAML, [row]).decode()

    assert text == ('- name: späte 夜\n  note: "夜\\u200d日 \\\\\\u202e\\U000E0001\\e\\""\n  "\\u200d": 1\n')
    assert yaml.safe_load(text) == [row]


# Streaming


@pytest.mark.parametrize(
    ("form", "first"),
    [
        (Format.JSON, '[\n{"clusterId":"a"}'),
        (Format.JSONL, '{"clusterId":"a"}\n'),
        (Format.CSV, "account,clusterId,clusterName,cuSize,extra\n,a,,,{}\n"),
        (Format.YAML, "- clusterId: a\n"),
    ],
)
def test_a_row_is_written_at_once(form: Format, first: str, capsys: Capture) -> None:
    writer = make_writer(form, LAYOUT)
    assert capsys.readouterr().out == ""

    writer.write({"clusterId": "a"})

    assert capsys.readouterr().out == first


async def test_a_row_of_a_watch_is_written_before_it_is_kept_as_reported(capsys: Capture) -> None:
    for form in (Format.JSON, Format.JSONL, Format.CSV, Format.YAML):
        writer = make_writer(form, LAYOUT)
        writer.write({"clusterId": "a"})
        assert capsys.readouterr().out


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (Format.TABLE, ""),
        (Format.JSON, "[]\n"),
        (Format.JSONL, ""),
        (Format.CSV, "account,clusterId,clusterName,cuSize,extra\n"),
        (Format.YAML, "[]\n"),
    ],
)
def test_a_complete_listing_of_nothing(form: Format, text: str) -> None:
    assert written(form, []).decode() == text
    assert written(form, [], complete=False) == b""


def test_the_array_of_an_incomplete_listing_stays_open() -> None:
    text = written(Format.JSON, [ROW], complete=False).decode()

    assert text.endswith("}\n")
    assert json.loads(text + "]") == [ROW]


@pytest.mark.parametrize("form", [Format.CSV, Format.TABLE])
def test_no_header_is_no_header(form: Format) -> None:
    assert b"in01-1" in written(form, [ROW], header=False)
    assert len(written(form, [ROW], header=False).splitlines()) == 1
    assert written(form, [], header=False) == b""


# CSV


def test_cells_of_csv() -> None:
    text = written(
        Format.CSV,
        [
            {
                "account": None,
                "clusterId": 'a,"b"',
                "clusterName": True,
                "cuSize": 2**70,
                "labels": {"a": None},
            }
        ],
    ).decode()

    assert text == (
        "account,clusterId,clusterName,cuSize,extra\n"
        ',"a,""b""",true,1180591620717411303424,"{""labels"":{""a"":null}}"\n'
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
def test_csv_is_utf_8_with_line_feeds_whatever_the_locale_says(encoding: str) -> None:
    text = written(Format.CSV, [{"clusterId": "夜\r\n\ud83d", "clusterName": "a\rb"}], encoding=encoding)

    assert text == 'account,clusterId,clusterName,cuSize,extra\n,"夜\r\n\ufffd","a\rb",,{}\n'.encode()


def test_csv_on_a_terminal_is_printable(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = open_terminal(monkeypatch)

    write_rows(make_writer(Format.CSV, LAYOUT, header=False), [{"clusterId": "a\nb\x1b", "x": "\x9b"}])

    assert screen.getvalue() == ',a\\nb\\x1b,,,"{""x"":""\\u009b""}"\n'


# Results of queries


@given(json_values)
def test_any_value_can_be_written_and_read_back(value: Any) -> None:
    assert json.loads(value_written(Format.JSON, value)) == plain(value)
    assert yaml.safe_load(value_written(Format.YAML, value)) == readable(value)
    lines = value_written(Format.JSONL, value).splitlines()
    assert [json.loads(line) for line in lines] == (
        plain(value) if isinstance(value, list) else [plain(value)]
    )


@given(json_values)
def test_any_value_has_a_table_and_csv(value: Any) -> None:
    value_written(Format.TABLE, value).encode()
    list(csv.reader(io.StringIO(value_written(Format.CSV, value), newline="")))


VALUES_IN_CSV: list[tuple[Any, str]] = [
    ([{"b": 1, "a": "x"}, {"c": [None], "a": "y,"}], 'b,a,c\n1,x,\n,"y,",[null]\n'),
    ([["a", 1], ["b"]], "1,2\na,1\nb,\n"),
    (["a", None, 3], 'value\na\n""\n3\n'),
    ([1, [2], {"a": 3}], 'value\n1\n[2]\n"{""a"":3}"\n'),
    ({"name": "a", "extra": {"b": 1}, "ok": False}, 'name,extra,ok\na,"{""b"":1}",false\n'),
    ("a\r,b", "a\r,b\n"),
    (17, "17\n"),
    (True, "true\n"),
    (None, "\n"),
    ([], ""),
    ({}, ""),
    ([[], {}], "value\n[]\n{}\n"),
]


@pytest.mark.parametrize(("value", "text"), VALUES_IN_CSV)
def test_values_in_csv(value: Any, text: str) -> None:
    assert value_written(Format.CSV, value) == text


def test_a_bare_value_in_csv_is_utf_8_too() -> None:
    assert output_of(lambda: write_value(Format.CSV, "夜"), "latin-1") == "夜\n".encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            [{"status": "RUNNING", "n": 12}, {"status": "x", "n": 3}],
            "status    n\nRUNNING  12\nx         3\n",
        ),
        ([["a", True], ["b", None]], "1  2\na  true\nb\n"),
        (["a"], "value\na\n"),
        ({"a": "\x1b"}, "a\n\\x1b\n"),
        ("\x1b", "\\x1b\n"),
        ([], ""),
    ],
)
def test_values_in_a_table(value: Any, text: str) -> None:
    assert value_written(Format.TABLE, value) == text


def test_values_without_a_header() -> None:
    assert value_written(Format.CSV, [["a", 1]], header=False) == "a,1\n"
    assert value_written(Format.TABLE, [["a", 1]], header=False) == "a  1\n"


def test_ids_in_the_table_of_a_query_are_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = open_terminal(monkeypatch, columns=60)

    write_value(Format.TABLE, [{"name": "n" * 25, "clusterId": "i" * 20, "note": "o" * 60}])

    assert screen.getvalue().splitlines()[1].split() == ["n" * 25, "i" * 20, "o" * 10 + "…"]


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a\n"), (None, "null\n"), (5, "5\n"), ("...", "'...'\n"), ({"a": 1}, "a: 1\n"), ([], "[]\n")],
)
def test_values_in_yaml(value: Any, text: str) -> None:
    assert value_written(Format.YAML, value) == text
