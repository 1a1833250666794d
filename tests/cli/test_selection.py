from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml
from hypothesis import given, strategies as st

from aiozilliz import Cluster
from aiozilliz.cli.input.filters import Selection, _Sorted as Sorted, parse_query, parse_sort
from aiozilliz.cli.output.columns import FIELDS, record_row
from aiozilliz.testing import Fault
from tests.support import strategies

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from aiozilliz.testing import FakeZillizCloud
    from tests.support.running import MakeCloud, Run

KINDS = {
    "id": "cluster_id",
    "name": "cluster_name",
    "plan": "plan",
    "region": "region_id",
    "status": "status",
    "project": "project_id",
}
WORDS = st.sampled_from(
    ["", "RUNNING", "Running", "STOPPED", "aws-us-west-2", "aws-eu", "proj-1", "[x]", "*"]
)
VALUES = (
    st.none()
    | st.just("")
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(-3, 3)
    | st.text("aAbB", max_size=3)
)


@st.composite
def made_clusters(draw: st.DrawFn) -> Cluster:
    texts: dict[str, Any] = {attribute: draw(WORDS) for attribute in KINDS.values()}
    texts["cluster_id"] = texts["cluster_id"] or "in01-x"
    return Cluster(**texts)


class Kept:
    """A writer that keeps what it is given."""

    streams = True

    def __init__(self) -> None:
        self.rows: list[Mapping[str, Any]] = []
        self.ended: list[bool] = []

    def write(self, row: Mapping[str, Any]) -> None:
        self.rows.append(row)

    def finish(self, *, complete: bool) -> None:
        self.ended.append(complete)


def in_order(sort: str, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    kept = Kept()
    writer = Sorted(parse_sort(sort), kept, many=False)
    for row in rows:
        writer.write(row)
    writer.finish(complete=True)
    assert kept.ended == [True]
    return kept.rows


# Filters


@given(made_clusters(), st.dictionaries(st.sampled_from(list(KINDS)), st.lists(WORDS, max_size=3)))
def test_a_cluster_is_taken_where_each_kind_of_pattern_has_a_match(
    cluster: Cluster, patterns: dict[str, list[str]]
) -> None:
    def matches(pattern: str, text: str) -> bool:
        return pattern == "*" or pattern.lower() == text.lower() or (pattern == "[x]" and text == "x")

    expected = all(
        any(matches(pattern, str(getattr(cluster, KINDS[kind]))) for pattern in given)
        for kind, given in patterns.items()
        if given
    )

    selection = Selection(**{kind: tuple(given) for kind, given in patterns.items()})

    assert selection.takes(cluster) is expected


@given(strategies.clusters())
def test_the_exact_text_takes_any_cluster_in_any_case(cluster: Cluster) -> None:
    for change in (str, str.upper, str.lower, str.swapcase):
        selection = Selection(
            **{kind: (change(str(getattr(cluster, attribute))),) for kind, attribute in KINDS.items()}
        )
        # Some letters have no single other case: their upper case is two.
        if all(
            change(text).casefold() == text.casefold()
            for text in (str(getattr(cluster, attribute)) for attribute in KINDS.values())
        ):
            assert selection.takes(cluster)


@given(strategies.clusters())
def test_nothing_asked_for_takes_everything(cluster: Cluster) -> None:
    assert Selection().takes(cluster)
    assert Selection(plan=("*",), region=("*",), status=("*",), project=("*",)).takes(cluster)
    assert not Selection()


@pytest.mark.parametrize(
    ("pattern", "text", "taken"),
    [
        ("aws-*", "aws-us-west-2", True),
        ("AWS-*-2", "aws-us-west-2", True),
        ("aws", "aws-us-west-2", False),
        ("aws-us-west-?", "aws-us-west-2", True),
        ("aws-us-west-??", "aws-us-west-2", False),
        ("aws-us-west-[12]", "aws-us-west-2", True),
        ("[!a]*", "aws-us-west-2", False),
        ("*", "", True),
        ("", "", True),
        ("", "aws", False),
        ("aws\n*", "aws\nx", True),
        ("gcp-*, aws-*", "aws-us-west-2", True),
        ("gcp-*,az-*", "aws-us-west-2", False),
        ("a,b", "a,b", True),
    ],
)
def test_globs(pattern: str, text: str, taken: bool) -> None:
    assert Selection(region=(pattern,)).takes(Cluster("in01-x", region_id=text)) is taken


def test_options_of_one_kind_add_up_and_of_several_narrow_down(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=250)
    args = ("--status", "stopped", "--status", "*ING", "--region", "aws-*", "--region", "az-eastus")

    _, out, _ = run("list", *args, "--base-url", cloud.url)

    expected = [
        record
        for record in cloud.clusters
        if (record["status"] == "STOPPED" or record["status"].endswith("ING"))
        and (record["regionId"].startswith("aws-") or record["regionId"] == "az-eastus")
    ]
    assert 0 < len(expected) < 250
    assert [json.loads(line) for line in out.splitlines()] == expected


@pytest.mark.parametrize(
    ("command", "form", "out"),
    [
        ("list", "table", ""),
        ("list", "json", "[]\n"),
        ("list", "jsonl", ""),
        ("list", "yaml", "[]\n"),
        ("summary", "jsonl", '{"by":"total","value":"","clusters":0,"cuSize":0}\n'),
    ],
)
def test_where_nothing_matches_the_values_that_there_were_are_named(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run, command: str, form: str, out: str
) -> None:
    records = [{"clusterId": f"in01-{n}", "status": "RUNNING", "regionId": f"r{n}"} for n in range(12)]
    cloud = make_fake_zilliz_cloud(clusters=records)
    args = (command, "-o", form, "--status", "RUNING,nothing", "--region", "r9", "--base-url", cloud.url)

    assert run(*args) == (
        0,
        out,
        (
            "aiozilliz: no cluster matches --status RUNING,nothing --region r9. "
            "status: RUNNING; region: r0, r1, r2, r3, r4, r5, r6, r7 and 4 more\n"
        ),
    )


@pytest.mark.parametrize(
    ("fail_if", "status", "expected"),
    [("found", "*", 1), ("found", "nothing", 0), ("none", "*", 0), ("none", "nothing", 1)],
)
def test_a_list_can_be_a_check(run: Run, fail_if: str, status: str, expected: int) -> None:
    assert run("list", "--demo", "--fail-if", fail_if, "--status", status)[0] == expected


def test_the_failure_of_a_listing_comes_before_the_check_s(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(shape="array")

    assert run("list", "--verify", "--fail-if", "found", "--base-url", cloud.url)[0] == 5


def test_each_option_has_an_environment_variable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOZILLIZ_DEMO", "1")
    monkeypatch.setenv("AIOZILLIZ_OUTPUT", "json")
    monkeypatch.setenv("AIOZILLIZ_STATUS", "RUNNING,STOPPED")
    monkeypatch.setenv("AIOZILLIZ_ORG", "staging")
    monkeypatch.setenv("AIOZILLIZ_COLUMNS", "status")
    _, out, _ = run("list")
    _, more, _ = run("list", "--status", "*", "--org", "production")

    assert {row["status"] for row in json.loads(out)} == {"RUNNING", "STOPPED"}
    assert 0 < len(json.loads(out)) < 40
    assert len(json.loads(more)) == 250


def test_a_file_is_read_as_the_service_is(run: Run, tmp_path: Path) -> None:
    one, many = str(tmp_path / "one.json"), str(tmp_path / "many.json")
    run("snapshot", "--demo", one)
    run("snapshot", "--demo", "--all-orgs", many)

    for command in ("list", "summary"):
        assert run(command, "--from", one, "-o", "json") == run(command, "--demo", "-o", "json")
        live = run(command, "--demo", "--all-orgs", "-o", "json")
        assert run(command, "--from", many, "-o", "json") == live
    assert run("list", "--from", one, "--demo")[0] == 2
    assert run("list", "--from", str(tmp_path / "none"))[0] == 2


def test_a_file_that_is_not_proven_is_listed_with_status_5(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run, tmp_path: Path
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=3, shape="array")
    file = str(tmp_path / "file.json")
    assert run("snapshot", file, "--base-url", cloud.url)[0] == 5

    status, out, err = run("list", "--from", file, "-o", "json")

    assert (status, len(json.loads(out)), err.count("\n")) == (5, 3, 1)


# Order


@given(st.lists(st.fixed_dictionaries({"cuSize": VALUES, "clusterName": VALUES, "n": st.integers(0, 99)})))
def test_order_is_stable_and_what_is_absent_comes_last(rows: list[dict[str, Any]]) -> None:
    for sort, sign in (("cuSize", 1), ("-cuSize", -1)):
        result = in_order(sort, rows)

        values = [row["cuSize"] for row in result]
        there = [value for value in values if value not in (None, "")]
        assert sorted(map(id, result)) == sorted(map(id, rows))
        assert values[: len(there)] == there
        numbers = [value for value in there if not isinstance(value, str)]
        texts = [value for value in there if isinstance(value, str)]
        assert numbers == sorted(numbers, reverse=sign < 0)
        assert [text.lower() for text in texts] == sorted(map(str.lower, texts), reverse=sign < 0)
        assert there == (numbers + texts if sign > 0 else texts + numbers)
        for value in (0, "a", None, ""):
            same = [row for row in result if row["cuSize"] == value and type(row["cuSize"]) is type(value)]
            before = [row for row in rows if row["cuSize"] == value and type(row["cuSize"]) is type(value)]
            assert list(map(id, same)) == list(map(id, before))


@given(st.lists(st.fixed_dictionaries({"cuSize": st.integers(0, 2), "clusterName": st.sampled_from("abc")})))
def test_later_fields_order_what_earlier_ones_leave_equal(rows: list[dict[str, Any]]) -> None:
    result = in_order("-cuSize,name", rows)

    assert result == sorted(rows, key=lambda row: (-row["cuSize"], row["clusterName"]))


@given(st.lists(strategies.clusters(), max_size=6), st.sampled_from([*FIELDS, "extra", "extra.replica"]))
def test_any_records_can_be_ordered_by_any_field(clusters: list[Cluster], field: str) -> None:
    rows = [record_row(None, cluster) for cluster in clusters]

    assert sorted(map(id, in_order(f"-{field}", rows))) == sorted(map(id, rows))


def test_an_incomplete_listing_stays_incomplete_in_order() -> None:
    kept = Kept()
    writer = Sorted(parse_sort("cuSize"), kept, many=False)
    for size in (2, 1):
        writer.write({"cuSize": size})
    writer.finish(complete=False)

    assert (kept.rows, kept.ended) == ([{"cuSize": 1}, {"cuSize": 2}], [False])


def read_lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def read_csv(text: str) -> list[Any]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize(
    ("form", "read"),
    [("json", json.loads), ("jsonl", read_lines), ("yaml", yaml.safe_load), ("csv", read_csv)],
)
def test_the_order_is_that_of_every_format(
    form: str,
    read: Callable[[str], list[dict[str, Any]]],
    key: str,
    fake_zilliz_cloud: FakeZillizCloud,
    run: Run,
) -> None:
    _, out, _ = run("list", "-o", form, "--sort", "-cuSize,id", "--base-url", fake_zilliz_cloud.url)

    expected = sorted(fake_zilliz_cloud.clusters, key=lambda record: (-record["cuSize"], record["clusterId"]))
    assert [row["clusterId"] for row in read(out)] == [record["clusterId"] for record in expected]


def test_the_order_can_be_by_account(run: Run) -> None:
    _, out, _ = run("list", "--demo", "--all-orgs", "--sort", "-account,cuSize")

    accounts = [json.loads(line)["account"] for line in out.splitlines()]
    assert accounts == ["staging"] * 40 + ["research"] * 12 + ["production"] * 250


# Queries


@pytest.mark.parametrize(
    "query",
    ["[?", "", "a b", "[].clusterId[", "foo(", "nosuch(@)", "[].nosuch(@)", "[?a == `1`] | [nosuch(x)]"],
)
def test_an_invalid_query_is_status_2_before_any_request(
    query: str, key: str, fake_zilliz_cloud: FakeZillizCloud, run: Run
) -> None:
    status, out, err = run("list", "--query", query, "--base-url", fake_zilliz_cloud.url)

    assert (status, out, fake_zilliz_cloud.requests) == (2, "", [])
    assert "--query" in err
    assert "bug" not in err


@pytest.mark.parametrize(
    "query",
    [
        "abs(@)",
        "[].abs(clusterName)",
        "sort_by(@, &missing)",
        "sum([].clusterName)",
        "abs()",
        "[::0]",
        "[?cuSize > clusterName]",
    ],
)
def test_a_query_that_does_not_suit_is_status_2_and_repeats_no_record(query: str, run: Run) -> None:
    status, out, err = run("list", "--demo", "-o", "json", "--query", query)

    assert (status, out) == (2, "")
    assert query in err
    assert "bug" not in err
    assert "in01-" not in err


def test_what_the_service_sent_reaches_no_terminal_raw_by_a_failing_query(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=0)
    cloud.add(description="\x1b[2J\u202e")

    status, _, err = run("list", "--query", "[].abs(description)", "--base-url", cloud.url)

    assert status == 2
    assert err.replace("\n", "").isprintable()


QUERIES: list[tuple[str, Any]] = [
    ("[0:2].{id: clusterId, cu: cuSize}", [{"id": "in01-a", "cu": 1}, {"id": "in01-b", "cu": 2}]),
    ("[].cuSize", [1, 2, 3]),
    ("[].[clusterId, cuSize] | [2:]", [["in01-c", 3]]),
    ("length(@)", 3),
    ("[0].clusterId", "in01-a"),
    ("[?cuSize > `9`]", []),
    ("[9]", None),
    ("max_by(@, &cuSize).{id: clusterId}", {"id": "in01-c"}),
]


@pytest.mark.parametrize(("query", "expected"), QUERIES)
def test_a_query_in_every_format(
    query: str, expected: Any, key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(
        clusters=[{"clusterId": f"in01-{letter}", "cuSize": n} for n, letter in enumerate("abc", 1)]
    )
    written = {
        form: run("list", "-o", form, "--query", query, "--base-url", cloud.url)
        for form in ("json", "jsonl", "yaml", "csv", "table")
    }

    assert all((status, err) == (0, "") for status, _, err in written.values())
    assert json.loads(written["json"][1]) == expected
    assert yaml.safe_load(written["yaml"][1]) == expected
    assert read_lines(written["jsonl"][1]) == (expected if isinstance(expected, list) else [expected])
    for form in ("csv", "table"):
        for value in texts_in(expected):
            assert value in written[form][1]


def texts_in(value: Any) -> list[str]:
    match value:
        case None:
            return []
        case dict() | list():
            items: Any = value.values() if isinstance(value, dict) else value  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # any JSON
            return [text for item in items for text in texts_in(item)]
        case _:
            return [str(value)]


def test_a_query_of_a_failed_listing_gives_nothing(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=20)
    cloud.between_pages(lambda: cloud.fail_next(Fault.code(96008, "no")))

    status, out, _ = run("list", "--page-size", "10", "--query", "length(@)", "--base-url", cloud.url)

    assert (status, out) == (1, "")


def test_a_query_takes_what_filters_and_order_leave(run: Run) -> None:
    args = ("--status", "RUNNING", "--sort", "-cuSize", "--query", "[].[cuSize, status]", "-o", "json")
    _, out, _ = run("list", "--demo", *args)

    rows = json.loads(out)
    assert {status for _, status in rows} == {"RUNNING"}
    assert [size for size, _ in rows] == sorted((size for size, _ in rows), reverse=True)


def test_a_query_is_read_from_text_alone() -> None:
    assert parse_query(None) is None
    with pytest.raises(click.BadParameter, match="not a JMESPath expression"):
        parse_query("[?")
