from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st
from wcwidth import wcswidth

from aiozilliz.cli.output import table as table_module
from aiozilliz.cli.output.table import GAP, Column, TableWriter
from tests.support.running import LONG, Terminal, environment, open_terminal
from tests.support.strategies import texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.running import Capture

COLUMNS = (
    Column("id", "ID", "id"),
    Column("name", "NAME", "cut"),
    Column("status", "STATUS", "whole", {"RUNNING": "green", "DELETED": "dim"}),
    Column("cu", "CU", "number"),
    Column("region", "REGION"),
)
ROW = {"id": "in01-1", "name": "a", "status": "RUNNING", "cu": 12, "region": "aws-us-west-2"}


def write(
    rows: Sequence[dict[str, Any]], columns: Sequence[Column] = COLUMNS, *, header: bool = True
) -> None:
    writer = TableWriter(columns, header=header)
    for row in rows:
        writer.write(row)
    writer.finish(complete=True)


def elsewhere(
    rows: Sequence[dict[str, Any]], columns: Sequence[Column] = COLUMNS, *, header: bool = True
) -> list[str]:
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        write(rows, columns, header=header)
    return stream.getvalue().splitlines()


def on_terminal(
    width: int, rows: Sequence[dict[str, Any]], columns: Sequence[Column] = COLUMNS
) -> tuple[list[str], str]:
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(Terminal()) as screen,
        contextlib.redirect_stderr(io.StringIO()) as errors,
    ):
        patch.setenv("COLUMNS", str(width))
        patch.setenv("TERM", "dumb")
        write(rows, columns)
    return screen.getvalue().split("\n")[:-1], errors.getvalue()


def cells_before(line: str, text: str) -> int:
    """Return the cells that stand to the left of `text`. Isolates take no room."""
    return wcswidth(line.partition(text)[0].replace("\u2068", "").replace("\u2069", ""))


# What is shown


def test_columns_are_as_wide_as_what_they_hold_and_numbers_stand_at_the_right() -> None:
    assert elsewhere([ROW, ROW | {"name": "longer", "cu": 3, "region": None}]) == [
        "ID      NAME    STATUS   CU  REGION",
        "in01-1  a       RUNNING  12  aws-us-west-2",
        "in01-1  longer  RUNNING   3",
    ]


def test_cells_of_all_kinds_of_json() -> None:
    columns = [Column(key, key.upper()) for key in "abcdefg"]
    row = {"a": None, "b": True, "c": 1.5, "d": ["x"], "e": {"y": None}, "f": 2**70}

    assert elsewhere([row], columns, header=False) == [
        '  true  1.5  ["x"]  {"y":null}  1180591620717411303424'
    ]


def test_elsewhere_than_on_a_terminal_nothing_is_cut_dropped_or_added(capsys: Capture) -> None:
    long = {"id": "i" * 90, "name": "שלום " * 60, "region": "r" * 99}

    line = elsewhere([long], header=False)[0]

    assert line == f"{long['id']}  {long['name']}      {long['region']}"
    assert capsys.readouterr().err == ""


def test_cells_take_markup_as_it_is_and_make_what_is_not_printable_visible() -> None:
    assert r"[red]:x:\x1b[2J\n\u202e" in elsewhere([ROW | {"name": "[red]:x:\x1b[2J\n\u202e"}])[1]


def test_a_table_of_nothing_says_what_it_is_reported_to(capsys: Capture) -> None:
    TableWriter(COLUMNS, empty="No clusters.").finish(complete=True)
    assert capsys.readouterr() == ("", "No clusters.\n")

    TableWriter(COLUMNS, empty="No clusters.").finish(complete=False)
    TableWriter(COLUMNS).finish(complete=True)
    assert capsys.readouterr() == ("", "")


def test_an_incomplete_table_is_written_too(capsys: Capture) -> None:
    writer = TableWriter(COLUMNS)
    writer.write(ROW)
    assert capsys.readouterr().out == ""

    writer.finish(complete=False)

    assert "in01-1" in capsys.readouterr().out


def test_a_missing_standard_output_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = TableWriter(COLUMNS)
    writer.write(ROW)
    monkeypatch.setattr(sys, "stdout", None)

    with pytest.raises(OSError, match="closed"):
        writer.finish(complete=True)


# What fits


def test_a_terminal_of_40_cells_shows_id_name_and_status() -> None:
    rows = [ROW | {"id": f"in01-{number:015x}", "name": "a-name-of-some-length"} for number in range(3)]

    lines, errors = on_terminal(40, rows)

    assert lines[1] == "in01-000000000000000  a-name-o…  RUNNING"
    assert errors == "No room for CU, REGION; -o json shows all.\n"


def test_beyond_the_first_columns_a_name_is_not_cut_below_16_cells() -> None:
    columns = [*COLUMNS[:3], Column("plan", "PLAN", "cut")]

    lines, _ = on_terminal(52, [ROW | {"id": "i" * 20, "name": "n" * 20, "plan": "p" * 20}], columns)

    assert lines[1] == "i" * 20 + "  " + "n" * 20 + "  RUNNING"


def test_columns_before_the_id_are_cut_as_well() -> None:
    columns = [Column("account", "ACCOUNT", "cut"), *COLUMNS]

    lines, errors = on_terminal(50, [ROW | {"account": "a" * 20, "id": "i" * 20, "name": "n" * 20}], columns)

    assert lines[1] == "aaaaaaaa…  " + "i" * 20 + "  nnnnnnn…  RUNNING"
    assert errors == "No room for CU, REGION; -o json shows all.\n"


def test_a_command_that_has_it_names_the_option_for_columns() -> None:
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(Terminal()),
        contextlib.redirect_stderr(io.StringIO()) as errors,
    ):
        patch.setenv("COLUMNS", "9")
        writer = TableWriter(COLUMNS[:2], choosable=True)
        writer.write(ROW)
        writer.finish(complete=True)

    assert errors.getvalue() == "No room for NAME; --columns chooses others, -o json shows all.\n"


def test_columns_go_from_the_right_though_a_later_one_would_fit() -> None:
    columns = [Column("a", "A"), Column("b", "B"), Column("c", "C")]

    lines, errors = on_terminal(10, [{"a": "xxx", "b": "y" * 20, "c": "z"}], columns)

    assert lines == ["A", "xxx"]
    assert errors == "No room for B, C; -o json shows all.\n"


def test_what_room_is_left_goes_to_the_columns_that_are_cut() -> None:
    columns = [Column("a", "A", "cut"), Column("b", "B", "cut")]

    lines, _ = on_terminal(50, [{"a": "x" * 20, "b": "y" * 60}], columns)

    assert lines[1] == "x" * 20 + "  " + "y" * 27 + "…"


def test_wide_characters_are_cut_between_two_of_them() -> None:
    lines, _ = on_terminal(20, [{"id": "a", "name": "夜" * 20}], COLUMNS[:2])

    assert lines[1] == "a   " + "夜" * 7 + "…"
    assert wcswidth(lines[1]) == 19


def test_a_long_id_moves_the_rest_of_its_row_and_costs_the_other_rows_nothing() -> None:
    long = ROW | {"id": "in01-" + "9" * 50}

    assert on_terminal(60, [ROW, long, ROW]) == (
        [
            "ID      NAME  STATUS   CU  REGION",
            "in01-1  a     RUNNING  12  aws-us-west-2",
            f"{long['id']}  a     RUNNING  12  aws-us-west-2",
            "in01-1  a     RUNNING  12  aws-us-west-2",
        ],
        "",
    )


def test_an_id_of_40_cells_stands_in_its_column() -> None:
    long = ROW | {"id": "i" * 40}

    assert on_terminal(100, [ROW, long])[0][2] == f"{long['id']}  a     RUNNING  12  aws-us-west-2"


def test_a_title_and_ids_that_are_longer_than_40_cells_are_a_column() -> None:
    columns = [Column("id", "I" * 50, "id")]

    assert on_terminal(80, [{"id": "i" * 60}], columns)[0] == ["I" * 50, "i" * 60]


def test_an_id_that_is_wider_than_the_terminal_is_whole() -> None:
    long = ROW | {"id": "i" * 35}

    lines, _ = on_terminal(30, [ROW, long], COLUMNS[:2])

    assert lines == ["ID", "in01-1", long["id"]]


def test_a_long_id_that_stands_alone_leaves_no_empty_row() -> None:
    long = ROW | {"id": "i" * 35}

    assert on_terminal(10, [long, ROW, long | {"name": None}], COLUMNS[:1])[0] == [
        "ID",
        long["id"],
        "in01-1",
        long["id"],
    ]


def test_a_long_id_that_is_not_the_first_column_moves_the_rest_of_its_row() -> None:
    columns = [Column("account", "ACCOUNT", "cut"), *COLUMNS[:2]]
    rows = [ROW | {"account": "prod"}, ROW | {"account": "cn", "id": "i" * 41}]

    assert on_terminal(50, rows, columns)[0] == [
        "ACCOUNT  ID      NAME",
        "prod     in01-1  a",
        f"cn       {'i' * 41}  a",
    ]


@pytest.mark.parametrize("width", [1, 2, 5])
def test_a_very_narrow_terminal_still_shows_the_first_column(width: int) -> None:
    columns = [Column("name", "NAME"), Column("id", "ID", "id")]

    lines, errors = on_terminal(width, [ROW | {"name": "夜a-long-name"}], columns)

    assert all(wcswidth(line) <= width for line in lines)
    assert lines[0].endswith("…") is (width < 4)
    assert lines[1].endswith("…")
    assert errors == "No room for ID; -o json shows all.\n"


@given(
    st.lists(
        st.fixed_dictionaries(
            {}, optional={"id": texts, "name": texts | st.text(max_size=99), "cu": st.integers()}
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 120),
)
def test_no_line_is_wider_than_the_terminal_but_for_ids(rows: list[dict[str, Any]], width: int) -> None:
    ids = tuple(filter(None, (table_module.cell_text(row.get("id")) for row in rows)))

    lines, _ = on_terminal(width, rows)

    plain = [line.replace("\u2068", "").replace("\u2069", "") for line in lines]
    assert all(wcswidth(line) <= width or line.startswith(ids) for line in plain)
    assert "".join(plain).isprintable()


@given(
    st.lists(
        st.tuples(st.sampled_from(["whole", "cut", "number", "id"]), st.integers(0, 60)),
        min_size=1,
        max_size=9,
    ),
    st.integers(1, 400),
)
def test_columns_are_shown_whole_or_not_at_all_but_for_those_that_are_cut(
    columns: list[tuple[str, int]], room: int
) -> None:
    kinds, natural = [kind for kind, _ in columns], [width for _, width in columns]

    widths = table_module.layout(kinds, natural, room)

    assert sum(widths) + GAP * (len(widths) - 1) <= room
    first = 3 + (kinds.index("id") if "id" in kinds else 0)
    for index, width in enumerate(widths[1:], 1):
        cut_at_least = 8 if len(widths) <= first else 16
        least = min(natural[index], cut_at_least) if kinds[index] == "cut" else natural[index]
        assert least <= width <= natural[index]
    if sum(natural) + GAP * (len(natural) - 1) <= room:
        assert widths == natural
    assert table_module.layout(kinds, natural, None) == natural


# Where the columns stand


@pytest.mark.parametrize(
    "name",
    [
        "夜間",
        "e\u0301\u0323" * 4,
        "\u0301leading",
        "👩\u200d💻",
        "❤\ufe0f 👍🏽 🇩🇪",
        "שלום",
        "مرحبا ١٢٣",
        "क्षि",
        "\u1100\u1161",
        "\u202eabc",
        "夜" * 60,
        "שלום" * 30,
    ],
)
def test_no_name_shifts_the_columns_after_it(name: str) -> None:
    lines, _ = on_terminal(80, [ROW, ROW | {"name": name}, ROW])

    assert {cells_before(line, "RUNNING") for line in lines[1:]} == {cells_before(lines[0], "STATUS")}
    assert {cells_before(line, "aws-us") for line in lines[1:]} == {cells_before(lines[0], "REGION")}


@pytest.mark.parametrize("name", ["שלום", "مرحبا", "١٢٣", "a שלום" * 20])
def test_right_to_left_text_is_isolated_from_its_neighbours_on_a_terminal(name: str) -> None:
    lines, _ = on_terminal(60, [{"id": "1", "name": name, "cu": 7}], (COLUMNS[0], COLUMNS[1], COLUMNS[3]))

    before, _, rest = lines[1].partition("\u2068")
    inside, _, after = rest.partition("\u2069")
    assert before == "1   "
    assert inside.rstrip("…") in name
    assert after.strip() == "7"


def test_a_long_id_that_runs_from_right_to_left_is_isolated_too() -> None:
    assert on_terminal(60, [ROW | {"id": "ש" * 50}])[0][1].startswith("\u2068" + "ש" * 50 + "\u2069  ")


def test_what_runs_from_left_to_right_is_not_isolated() -> None:
    assert "\u2068" not in "".join(on_terminal(80, [ROW | {"name": "späte 夜 👍"}])[0])


# Colour and cost


def test_colour_does_not_move_the_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = open_terminal(monkeypatch, "xterm-256color")

    write([ROW, ROW | {"status": "DELETED", "cu": 3}, ROW | {"status": "OTHER"}], COLUMNS[:4])

    assert screen.getvalue().splitlines() == [
        "\x1b[1mID\x1b[0m      \x1b[1mNAME\x1b[0m  \x1b[1mSTATUS\x1b[0m   \x1b[1mCU\x1b[0m",
        "in01-1  a     \x1b[32mRUNNING\x1b[0m  12",
        "in01-1  a     \x1b[2mDELETED\x1b[0m   3",
        "in01-1  a     OTHER    12",
    ]


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_there_is_no_colour_where_it_is_not_wanted(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = open_terminal(monkeypatch, "xterm-256color")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    write([ROW])

    assert "\x1b" not in screen.getvalue()


def test_a_missing_wcwidth_is_an_error_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in list(sys.modules):
        if module == "wcwidth" or module.startswith("wcwidth."):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "wcwidth", None)

    with pytest.raises(ModuleNotFoundError):
        TableWriter(COLUMNS)


def test_a_table_of_ascii_loads_nothing_that_is_slow() -> None:
    program = (
        "import os, sys; from aiozilliz.cli.output.table import Column, TableWriter;"
        "slow = {'wcwidth', 'yaml', 'jmespath', 'aiohttp'};"
        "assert not slow & sys.modules.keys(), 'at import';"
        "sys.stdout.isatty = lambda: True; os.environ['TERM'] = 'xterm'; os.environ.pop('NO_COLOR', 0);"
        "column = Column('a', 'A', 'cut', {'x': 'green'});"
        "writer = TableWriter((column,)); writer.write({'a': 'x'}); writer.finish(complete=True);"
        "assert not slow & sys.modules.keys(), 'for ASCII';"
        "writer = TableWriter((column,)); writer.write({'a': 'x'}); writer.write({'a': '夜'}); writer.finish(complete=True);"
        "assert not (slow - {'wcwidth'}) & sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        env=environment(PYTHONIOENCODING="utf-8"),
        capture_output=True,
        encoding="utf-8",
        timeout=LONG,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b[32mx\x1b[0m\n夜\n" in done.stdout


def test_what_the_terminal_s_encoding_lacks_does_not_shift_the_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="iso8859-1", errors="replace"))
    writer = TableWriter((Column("name", "NAME", "cut"), Column("status", "STATUS")), header=False)
    for name in ("plain", "夜の歌", "é"):
        writer.write({"name": name, "status": "RUNNING"})
    writer.finish(complete=True)

    lines = raw.getvalue().decode("iso8859-1").splitlines()
    assert lines == ["plain  RUNNING", "???    RUNNING", "é      RUNNING"]
