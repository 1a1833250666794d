from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml
from hypothesis import given, strategies as st
from wcwidth import wcswidth

import aiozilliz
from aiozilliz.cli import main
from aiozilliz.cli.commands.summary import DIMENSIONS, Summary, parse_by, share
from aiozilliz.testing import FakeZillizCloud, Fault
from tests.support.running import open_terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.running import Capture, MakeCloud, Run

REFUSAL = Fault.code(80001, "no such key")
NUMBERS = ("clusters", "cuSize")


def cluster(**fields: Any) -> aiozilliz.Cluster:
    return aiozilliz.Cluster.from_dict({"clusterId": "in01-a", **fields})


def read_json(run: Run, *args: str) -> list[dict[str, Any]]:
    status, out, err = run("summary", "-o", "json", *args)
    assert (status, err) == (0, "")
    rows: list[dict[str, Any]] = json.loads(out)
    return rows


def many_accounts(monkeypatch: pytest.MonkeyPatch, *clouds: FakeZillizCloud) -> None:
    accounts = [
        aiozilliz.Account(name, "a-key", base_url=cloud.url)
        for name, cloud in zip("abcdef", clouds, strict=False)
    ]

    def load(*, base_url: str | None, organisations: object) -> list[aiozilliz.Account]:
        return accounts

    monkeypatch.setattr(aiozilliz, "load_accounts", load)


# Counting

counted = st.tuples(
    st.sampled_from(["a", "b", "c"]),
    st.builds(
        cluster,
        plan=st.sampled_from(["Free", "Standard", "New", ""]),
        regionId=st.sampled_from(["aws-us-west-2", "az-eastus"]),
        status=st.sampled_from(["RUNNING", "STOPPED"]),
        projectId=st.sampled_from(["p-1", "p-2"]),
        cuType=st.sampled_from(["Capacity-optimized", ""]),
        cuSize=st.integers(0, 8),
    ),
)


def summed(given: Sequence[tuple[str, aiozilliz.Cluster]], **options: Any) -> Summary:
    summary = Summary(**options)
    for account, each in given:
        summary.add(account, each)
    return summary


def test_each_usual_dimension_is_counted_by_itself_after_the_total() -> None:
    given = [
        ("x", cluster(plan="Standard", regionId="aws-us-west-2", status="RUNNING", cuSize=8)),
        ("x", cluster(plan="Standard", regionId="az-eastus", status="RUNNING", cuSize=4)),
        ("y", cluster(plan="Free", regionId="az-eastus", status="STOPPED")),
    ]

    assert summed(given).rows() == [
        {"by": "total", "value": "", "clusters": 3, "cuSize": 12},
        {"by": "plan", "value": "Standard", "clusters": 2, "cuSize": 12},
        {"by": "plan", "value": "Free", "clusters": 1, "cuSize": 0},
        {"by": "region", "value": "az-eastus", "clusters": 2, "cuSize": 4},
        {"by": "region", "value": "aws-us-west-2", "clusters": 1, "cuSize": 8},
        {"by": "status", "value": "RUNNING", "clusters": 2, "cuSize": 12},
        {"by": "status", "value": "STOPPED", "clusters": 1, "cuSize": 0},
    ]


def test_several_accounts_are_counted_too() -> None:
    rows = summed([("y", cluster(cuSize=1)), ("x", cluster()), ("y", cluster())], many=True).rows()

    assert rows[1:3] == [
        {"by": "account", "value": "y", "clusters": 2, "cuSize": 1},
        {"by": "account", "value": "x", "clusters": 1, "cuSize": 0},
    ]


def test_combinations_have_a_key_for_each_dimension_in_the_order_asked_for() -> None:
    given = [
        ("x", cluster(status="RUNNING", cuType="Tiered-storage", cuSize=2)),
        ("y", cluster(status="RUNNING", cuType="Tiered-storage", cuSize=3)),
        ("x", cluster(status="RUNNING")),
    ]

    rows = summed(given, by=["status", "cuType"]).rows()

    assert rows == [
        {"status": "RUNNING", "cuType": "Tiered-storage", "clusters": 2, "cuSize": 5},
        {"status": "RUNNING", "cuType": "", "clusters": 1, "cuSize": 0},
    ]
    assert [*rows[0]] == ["status", "cuType", *NUMBERS]


def test_nothing_counted_is_a_total_of_nothing_and_no_combination() -> None:
    assert Summary().rows() == [{"by": "total", "value": "", "clusters": 0, "cuSize": 0}]
    assert Summary(["plan"]).rows() == []


@given(st.lists(counted), st.booleans())
def test_each_dimension_adds_up_to_the_total(given: list[tuple[str, aiozilliz.Cluster]], many: bool) -> None:
    total, *rows = summed(given, many=many).rows()

    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        for place, number in enumerate(NUMBERS):
            sums[row["by"]][place] += row[number]
    assert total["clusters"] == len(given)
    assert total["cuSize"] == sum(each.cu_size for _, each in given)
    assert all(tuple(sum_) == (total["clusters"], total["cuSize"]) for sum_ in sums.values())
    assert len(sums) == (3 + many if given else 0)


@given(st.lists(counted), st.lists(st.sampled_from(DIMENSIONS), unique=True))
def test_the_largest_come_first_then_the_smallest_value(
    given: list[tuple[str, aiozilliz.Cluster]], by: list[str]
) -> None:
    rows = summed(given, by=by).rows()[not by :]

    order = [
        (row.get("by") and DIMENSIONS.index(row["by"]), -row["clusters"], [row[k] for k in by or ["value"]])
        for row in rows
    ]
    assert order == sorted(order, key=lambda item: (item[0] or 0, *item[1:]))


@given(st.lists(counted), st.lists(st.sampled_from(DIMENSIONS), unique=True))
def test_what_is_dropped_was_never_counted(given: list[tuple[str, aiozilliz.Cluster]], by: list[str]) -> None:
    summary = summed(given, by=by, many=True)
    summary.drop("b")
    summary.drop("unknown")

    assert summary.rows() == summed([pair for pair in given if pair[0] != "b"], by=by, many=True).rows()


@pytest.mark.parametrize(
    ("part", "total", "text"),
    [
        (0, 0, ""),
        (0, 7, "0%"),
        (1, 250, "<1%"),
        (1, 3, "33%"),
        (249, 250, ">99%"),
        (250, 250, "100%"),
    ],
)
def test_only_nothing_is_0_per_cent_and_only_all_is_100(part: int, total: int, text: str) -> None:
    assert share(part, total) == text


def test_dimensions_are_found_by_any_spelling_and_taken_once() -> None:
    assert parse_by("Plan, cu_type,,cutype,PLAN") == ("plan", "cuType")
    assert parse_by(None) == ()


@pytest.mark.parametrize("text", ["", " , ", "plan,colour", "clusterId"])
def test_other_dimensions_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="cuType"):
        parse_by(text)


# The command


def test_the_demo_is_counted(run: Run) -> None:
    rows = read_json(run, "--demo")

    assert rows[0]["clusters"] == 250
    assert {row["by"] for row in rows} == {"total", "plan", "region", "status"}


def test_all_organisations_of_the_demo_are_counted(run: Run) -> None:
    rows = read_json(run, "--demo", "--all-orgs")

    assert [(row["value"], row["clusters"]) for row in rows if row["by"] == "account"] == [
        ("production", 250),
        ("staging", 40),
        ("research", 12),
    ]
    assert rows[0]["clusters"] == 302


def test_filters_choose_what_is_counted(run: Run) -> None:
    rows = read_json(run, "--demo", "--status", "RUN*", "--by", "status")

    assert [row["status"] for row in rows] == ["RUNNING"]


def test_all_formats_give_the_same_rows(key: str, make_fake_zilliz_cloud: MakeCloud, run: Run) -> None:
    cloud = make_fake_zilliz_cloud(clusters=40)
    cloud.add(plan='a "new", plan', regionId="", status="1e3")
    site = ("--base-url", cloud.url)
    rows = read_json(run, *site)

    outs = {form: run("summary", "-o", form, *site)[1] for form in ("jsonl", "yaml", "csv")}

    assert [json.loads(line) for line in outs["jsonl"].splitlines()] == rows
    assert yaml.safe_load(outs["yaml"]) == rows
    assert [
        {**row, "clusters": int(row["clusters"]), "cuSize": int(row["cuSize"])}
        for row in csv.DictReader(io.StringIO(outs["csv"]))
    ] == rows


def test_csv_has_a_column_for_each_dimension_and_can_do_without_a_header(run: Run) -> None:
    status, out, _ = run("summary", "--demo", "--by", "plan,region", "-o", "csv")
    _, bare, _ = run("summary", "--demo", "--by", "plan,region", "-o", "csv", "--no-header")

    assert status == 0
    assert out.splitlines()[0] == "plan,region,clusters,cuSize"
    assert bare.splitlines() == out.splitlines()[1:]


def test_a_query_takes_the_rows(run: Run) -> None:
    status, out, _ = run("summary", "--demo", "-o", "json", "--query", "[?by=='total'].clusters | [0]")

    assert (status, out) == (0, "250\n")


def test_the_table_has_a_block_a_dimension(key: str, make_fake_zilliz_cloud: MakeCloud, run: Run) -> None:
    cloud = make_fake_zilliz_cloud(clusters=0)
    cloud.add(plan="Standard", regionId="aws-us-west-2", status="RUNNING", cuSize=1200)
    cloud.add(plan="", regionId="aws-us-west-2", status="\x1b[2J", cuSize=0)

    status, out, err = run("summary", "--base-url", cloud.url)

    assert (status, err) == (0, "")
    assert out == (
        "               CLUSTERS  SHARE     CU\n"
        "Total                 2   100%  1,200\n"
        "\n"
        "PLAN\n"
        "(none)                1    50%      0\n"
        "Standard              1    50%  1,200\n"
        "\n"
        "REGION\n"
        "aws-us-west-2         2   100%  1,200\n"
        "\n"
        "STATUS\n"
        "\\x1b[2J               1    50%      0\n"
        "RUNNING               1    50%  1,200\n"
    )


def test_the_table_can_do_without_headings(run: Run) -> None:
    _, out, _ = run("summary", "--demo", "--no-header")

    blocks = [block.splitlines() for block in out.split("\n\n")]
    assert len(blocks) == 4
    assert blocks[0] == ["Total              250  100%  1,462"]
    assert all(line.split()[-2].endswith("%") for block in blocks for line in block)


def test_headings_are_bold_and_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = open_terminal(monkeypatch, "xterm-256color")

    assert main(["summary", "--demo"]) == 0

    bold = re.findall(r"\x1b\[1m(.*?)\x1b\[0m", terminal.getvalue())
    assert bold == ["CLUSTERS", "SHARE", "CU", "PLAN", "REGION", "STATUS"]
    assert terminal.getvalue().count("\x1b") == 2 * len(bold)


@pytest.mark.parametrize("args", [[], ["--all-orgs"], ["--by", "plan,region"]])
def test_a_table_fits_40_columns(args: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch, columns=40)

    assert main(["summary", "--demo", *args]) == 0

    lines = terminal.getvalue().splitlines()
    assert all(wcswidth(line) <= 40 for line in lines)
    assert "100%" in lines[1] or args == ["--by", "plan,region"]


def test_a_long_name_is_cut_and_its_numbers_are_not(
    key: str, monkeypatch: pytest.MonkeyPatch, make_fake_zilliz_cloud: MakeCloud
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=0)
    cloud.add(plan="夜" * 40, cuSize=7)
    terminal = open_terminal(monkeypatch, columns=40)

    assert main(["summary", "--base-url", cloud.url]) == 0

    [line] = [line for line in terminal.getvalue().splitlines() if "夜" in line]
    assert "…" in line
    assert line.split()[1:] == ["1", "100%", "7"]


def test_combinations_are_a_table_with_the_numbers_first(run: Run) -> None:
    status, out, _ = run("summary", "--demo", "--by", "cuType")

    first, second, *_ = out.splitlines()
    assert status == 0
    assert first == "CLUSTERS  SHARE   CU  CU TYPE"
    assert second.split()[1].endswith("%")
    assert "(none)" in out


def test_no_cluster_is_said_where_there_is_nothing_to_count(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    site = make_fake_zilliz_cloud(clusters=0).url

    assert run("summary", "--by", "plan", "--base-url", site) == (0, "", "No cluster to count.\n")
    assert "Total" in run("summary", "--base-url", site)[1]
    assert run("summary", "--by", "plan", "-o", "json", "--base-url", site) == (0, "[]\n", "")


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "yaml"])
def test_a_listing_that_fails_half_way_gives_nothing(
    form: str, key: str, fake_zilliz_cloud: FakeZillizCloud, run: Run
) -> None:
    fake_zilliz_cloud.between_pages(lambda: fake_zilliz_cloud.fail_next(REFUSAL))

    status, out, err = run("summary", "-o", form, "--base-url", fake_zilliz_cloud.url)

    assert (status, out, err.count("\n")) == (3, "", 1)
    assert len(fake_zilliz_cloud.requests) == 2


def test_an_organisation_that_fails_half_way_is_left_out_wholly(
    monkeypatch: pytest.MonkeyPatch, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    good, bad, empty = (make_fake_zilliz_cloud(clusters=number) for number in (5, 250, 0))
    bad.between_pages(lambda: bad.fail_next(REFUSAL, times=None))
    many_accounts(monkeypatch, good, bad, empty)

    status, out, err = run("summary", "--all-orgs", "-o", "json")

    rows = json.loads(out)
    assert status == 4
    assert len(bad.requests) >= 2
    assert rows[0]["clusters"] == 5
    assert [row["value"] for row in rows if row["by"] == "account"] == ["a"]
    assert err.splitlines()[-1] == "aiozilliz: 1 of 3 accounts failed"
    assert "account b: no such key" in err


def test_where_all_organisations_fail_nothing_is_printed(
    monkeypatch: pytest.MonkeyPatch, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    clouds = [make_fake_zilliz_cloud(clusters=5) for _ in range(2)]
    for cloud in clouds:
        cloud.fail_next(REFUSAL)
    many_accounts(monkeypatch, *clouds)

    status, out, err = run("summary", "--all-orgs")

    assert (status, out) == (3, "")
    assert err.splitlines()[-1] == "aiozilliz: 2 of 2 accounts failed"


def test_an_unknown_dimension_is_wrong_usage(run: Run) -> None:
    status, out, err = run("summary", "--demo", "--by", "colour")

    assert (status, out) == (2, "")
    assert "account, plan, region, status, project, cuType" in err


def test_the_help_shows_examples(run: Run) -> None:
    status, out, _ = run("summary", "--help")

    assert status == 0
    assert "aiozilliz summary --by plan,region -o csv > summary.csv\n" in out


def test_closed_output_is_reported(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)

    assert main(["summary", "--demo"]) == 1
    assert "standard output is closed" in capsys.readouterr().err


def test_prometheus_reads_the_text_format(key: str, make_fake_zilliz_cloud: MakeCloud, run: Run) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    odd = 'a"\\b\n'
    cloud = make_fake_zilliz_cloud(
        clusters=[{"clusterId": "in01-a", "plan": odd, "cuSize": 4}, {"clusterId": "in01-b", "cuSize": 2}]
    )

    status, out, err = run("summary", "-o", "prometheus", "--base-url", cloud.url)

    families = {family.name: family for family in parser.text_string_to_metric_families(out)}
    assert (status, err) == (0, "")
    assert families.keys() == {"zilliz_clusters", "zilliz_cu_size"}
    assert {family.type for family in families.values()} == {"gauge"}
    values = {
        (sample.labels["by"], sample.labels["value"]): sample.value
        for sample in families["zilliz_cu_size"].samples
    }
    assert values["total", ""] == 6
    assert values["plan", odd] == 4
