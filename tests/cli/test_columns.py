from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml
from hypothesis import given, strategies as st

from aiozilliz import Cluster
from aiozilliz.cli.input.filters import parse_columns
from aiozilliz.cli.output.columns import (
    FIELDS,
    KNOWN,
    age_text,
    column_of,
    find_field,
    record_layout,
    record_row,
)
from tests.support import strategies

if TYPE_CHECKING:
    from pathlib import Path

    from aiozilliz.testing import FakeZillizCloud
    from tests.support.running import Capture, MakeCloud, Run

RECORD = {
    "clusterId": "in01-a",
    "clusterName": 'a, "b"\n',
    "cuSize": 2,
    "plan": "Standard",
    "replica": 3,
    "labels": {"team": "x"},
    "none": None,
}


@pytest.fixture
def cloud(key: str, make_fake_zilliz_cloud: MakeCloud) -> FakeZillizCloud:
    return make_fake_zilliz_cloud(clusters=[RECORD])


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_fields_are_those_of_a_record() -> None:
    assert tuple(Cluster("in01-x").to_dict()) == FIELDS
    assert frozenset(FIELDS) == KNOWN


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("clusterId", "clusterId"),
        ("cluster_id", "clusterId"),
        ("CLUSTERID", "clusterId"),
        ("id", "clusterId"),
        ("name", "clusterName"),
        ("region", "regionId"),
        ("cu", "cuSize"),
        ("cu_size", "cuSize"),
        ("address", "connectAddress"),
        ("created", "createTime"),
        ("project", "projectId"),
        ("private_link_address", "privateLinkAddress"),
        ("account", "account"),
        ("extra", "extra"),
        ("extra.deploymentOption", "deploymentOption"),
        ("extra.a.b", "a.b"),
        ("extra.snake_case", "snake_case"),
    ],
)
def test_a_field_is_found_by_any_of_its_names(name: str, found: str) -> None:
    assert find_field(name).name == found


@pytest.mark.parametrize("name", ["nosuch", "extra.", "Extra.x", "", " ", "id.x", "replica"])
def test_an_unknown_field_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(click.BadParameter, match=r"clusterId.*extra\.NAME"):
        find_field(name)


def test_the_same_field_by_two_names_is_one_column() -> None:
    assert [field.name for field in parse_columns("id, clusterId ,cu,,cluster_id")] == ["clusterId", "cuSize"]


@pytest.mark.parametrize("text", ["", " , ,"])
def test_no_field_at_all_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="at least one"):
        parse_columns(text)


@given(strategies.clusters(), st.none() | st.text(min_size=1))
def test_a_row_has_the_account_first_and_all_of_the_record(cluster: Cluster, account: str | None) -> None:
    many = account is not None
    row = record_row(account, cluster)

    record = cluster.to_dict()
    if account is None:
        assert row == record
    else:
        assert next(iter(row.items())) == ("account", account)
        assert row == {"account": account, **record}
    extra = {name: value for name, value in record.items() if name not in KNOWN}
    assert find_field("account").of(row, many=many) == account
    assert find_field("extra").of(row, many=many) == extra
    for name, value in extra.items():
        if name:
            assert find_field(f"extra.{name}").of(row, many=many) == value


# Fields of the service whose names the command line has taken itself.
TAKEN = {
    "account": "a",
    "extra.account": 2,
    "extra.extra.account": None,
    "extra": {"x": 1},
    "extra.extra": "e",
}


@pytest.mark.parametrize("names", [list(TAKEN), ["account"], ["extra.account"], ["extra"]])
@pytest.mark.parametrize("account", ["Acme", None])
def test_no_field_of_the_service_is_lost_by_its_name(account: str | None, names: list[str]) -> None:
    many = account is not None
    taken = {name: TAKEN[name] for name in names}
    row = record_row(account, Cluster.from_dict({"clusterId": "in01-x", **taken}))

    assert find_field("account").of(row, many=many) == account
    assert find_field("extra").of(row, many=many) == taken
    for name in TAKEN:
        assert find_field(f"extra.{name}").of(row, many=many) == taken.get(name)
    assert len(row) == len(FIELDS) + len(taken) + many


def test_columns_of_the_same_name_are_told_apart() -> None:
    fields = parse_columns("account,extra,id," + ",".join(f"extra.{name}" for name in TAKEN))

    assert [field.name for field in fields] == [
        "account",
        "extra",
        "clusterId",
        "extra.account",
        "extra.extra.account",
        "extra.extra.extra.account",
        "extra.extra",
        "extra.extra.extra",
    ]


def test_a_field_that_is_known_is_the_same_under_extra() -> None:
    assert [field.name for field in parse_columns("id,extra.clusterId,extra.clusterid")] == [
        "clusterId",
        "clusterid",
    ]


def test_a_field_of_the_service_named_account_is_in_the_extra_column(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=[{**RECORD, "account": "theirs"}])

    _, out, _ = run("list", "--columns", "id,extra,extra.account,account", "--base-url", cloud.url)
    _, table, _ = run("list", "-o", "csv", "--base-url", cloud.url)

    assert json.loads(out) == {
        "clusterId": "in01-a",
        "extra": {"replica": 3, "labels": {"team": "x"}, "none": None, "account": "theirs"},
        "extra.account": "theirs",
        "account": None,
    }
    assert json.loads(read_csv(table)[0]["extra"])["account"] == "theirs"


def test_with_all_organisations_a_field_of_the_service_named_account_is_not_lost(
    make_fake_zilliz_cloud: MakeCloud, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(tmp_path))
    file = tmp_path / "credentials"
    file.write_text("[org.org-1]\norg_name = Acme\napi_key = key-of-acme-1\n")
    file.chmod(0o600)
    records = [{"clusterId": "in01-a", "account": "z"}, {"clusterId": "in01-b", "account": "a"}]
    cloud = make_fake_zilliz_cloud(clusters=records)
    args = ("list", "--all-orgs", "--sort", "extra.account", "--base-url", cloud.url)

    _, out, _ = run(*args)
    _, table, _ = run(*args, "-o", "csv")
    _, chosen, _ = run(*args, "-o", "csv", "--columns", "id,account,extra,extra.account")

    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["account"], row["clusterId"], row["extra.account"]) for row in rows] == [
        ("Acme", "in01-b", "a"),
        ("Acme", "in01-a", "z"),
    ]
    first = read_csv(table)[0]
    assert (first["account"], json.loads(first["extra"])["account"]) == ("Acme", "a")
    assert chosen.splitlines()[0] == "clusterId,account,extra,extra.account"
    row = read_csv(chosen)[1]
    assert (row["account"], json.loads(row["extra"])["account"], row["extra.account"]) == ("Acme", "z", "z")


@pytest.mark.parametrize("many", [False, True])
def test_a_layout_names_the_account_only_where_there_are_many(many: bool, capsys: Capture) -> None:
    layout = record_layout(many=many)
    table = layout.table()
    table.write(record_row("prod" if many else None, Cluster("in01-a")))
    table.finish(complete=True)

    assert ("account" in layout.fields) is many
    assert capsys.readouterr().out.startswith("ACCOUNT  ID" if many else "ID")
    assert layout.fields[-1] == "extra"


def test_every_field_has_a_column() -> None:
    columns = {
        field: column_of(find_field(field)) for field in ("account", *FIELDS, "extra", "extra.replica")
    }

    assert {field: column.key for field, column in columns.items() if field != column.key} == {
        "extra.replica": "replica"
    }
    assert columns["clusterId"].kind == "id"
    assert columns["extra.replica"].title == "replica"


CHOSEN = "cu,extra.replica,name,extra.labels,extra.nosuch,extra.none"
VALUES = {
    "cuSize": 2,
    "replica": 3,
    "clusterName": 'a, "b"\n',
    "labels": {"team": "x"},
    "nosuch": None,
    "none": None,
}


def test_chosen_columns_in_json_json_lines_and_yaml(cloud: FakeZillizCloud, run: Run) -> None:
    def out(form: str) -> str:
        return run("list", "-o", form, "--columns", CHOSEN, "--base-url", cloud.url)[1]

    assert json.loads(out("json")) == [VALUES]
    assert list(json.loads(out("json"))[0]) == list(VALUES)
    assert json.loads(out("jsonl")) == VALUES
    assert yaml.safe_load(out("yaml")) == [VALUES]


def test_chosen_columns_in_csv(cloud: FakeZillizCloud, run: Run) -> None:
    _, out, _ = run("list", "-o", "csv", "--columns", CHOSEN, "--base-url", cloud.url)

    expected = {**VALUES, "cuSize": "2", "replica": "3", "labels": '{"team":"x"}', "nosuch": "", "none": ""}
    assert read_csv(out) == [expected]


def test_chosen_columns_in_a_table(cloud: FakeZillizCloud, run: Run) -> None:
    args = ("list", "-o", "table", "--columns", "cu,extra.labels,id,extra", "--base-url", cloud.url)
    _, out, _ = run(*args)
    _, bare, _ = run(*args, "--no-header")

    header, row = out.splitlines()
    assert header.split() == ["CU", "labels", "ID", "EXTRA"]
    assert row.split()[:3] == ["2", '{"team":"x"}', "in01-a"]
    assert bare.split() == row.split()


@pytest.mark.parametrize("form", ["json", "jsonl", "yaml", "csv"])
def test_extra_is_all_that_this_version_does_not_know(form: str, cloud: FakeZillizCloud, run: Run) -> None:
    _, out, _ = run("list", "-o", form, "--columns", "extra,id", "--base-url", cloud.url)

    extra: dict[str, Any] = {"replica": 3, "labels": {"team": "x"}, "none": None}
    if form == "csv":
        (row,) = read_csv(out)
        found = {**row, "extra": json.loads(row["extra"])}
    else:
        (found,) = [json.loads(out)] if form == "jsonl" else yaml.safe_load(out)
    assert found == {"extra": extra, "clusterId": "in01-a"}


def test_columns_nobody_chose_are_all_of_csv(cloud: FakeZillizCloud, run: Run) -> None:
    _, out, _ = run("list", "-o", "csv", "--base-url", cloud.url)

    (row,) = read_csv(out)
    assert list(row) == [*FIELDS, "extra"]
    assert json.loads(row["extra"]) == {"replica": 3, "labels": {"team": "x"}, "none": None}


def test_the_account_can_be_chosen_and_is_empty_where_there_is_one(run: Run) -> None:
    args = ("list", "--demo", "--columns", "account,id")
    _, many, _ = run(*args, "--all-orgs")
    _, one, _ = run(*args)

    accounts = {json.loads(line)["account"] for line in many.splitlines()}
    assert accounts == {"production", "staging", "research"}
    assert {json.loads(line)["account"] for line in one.splitlines()} == {None}


def test_a_listing_of_nothing_has_the_chosen_header_alone(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=0)

    _, out, _ = run("list", "-o", "csv", "--columns", "id,extra.x", "--base-url", cloud.url)

    assert out == "clusterId,x\n"


@pytest.mark.parametrize(
    "args",
    [
        ["--columns", "nosuch"],
        ["--columns", ""],
        ["--sort", "nosuch"],
        ["--sort", "--id"],
        ["--columns", "id", "--query", "[]"],
    ],
)
def test_wrong_columns_are_status_2_before_any_request(
    args: list[str], cloud: FakeZillizCloud, run: Run
) -> None:
    status, out, err = run("list", *args, "--base-url", cloud.url)

    assert (status, out, cloud.requests) == (2, "", [])
    assert "Error: " in err


def test_a_name_from_the_command_line_reaches_no_terminal_raw(run: Run) -> None:
    _, out, _ = run("list", "--demo", "-o", "table", "--columns", "extra.\x1b[31m,id")
    status, _, err = run("list", "--demo", "--columns", "\x1b[31m")

    assert (out + err).replace("\n", "").isprintable()
    assert status == 2


@pytest.mark.parametrize(
    ("created", "age"),
    [
        ("2026-01-01T11:59:59Z", "1s"),
        ("2026-01-01T12:00:30Z", "0s"),
        ("2026-01-01T11:00:01Z", "59m"),
        ("2026-01-01T11:00:00Z", "1h"),
        ("2025-12-31T12:00:00Z", "1d"),
        ("2025-01-01T12:00:00Z", "1y"),
        ("2025-01-02T12:00:00Z", "364d"),
        ("yesterday", "yesterday"),
        ("2026-01-01T11:00:00", "2026-01-01T11:00:00"),  # no offset, so it can't be said
    ],
)
def test_an_age_is_in_its_largest_unit(created: str, age: str) -> None:
    assert age_text(created, datetime(2026, 1, 1, 12, tzinfo=UTC)) == age


def test_a_column_without_any_text_gives_up_its_place(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(
        clusters=[{"clusterId": "in01-a", "cuType": None, "createTime": None, "projectId": ""}]
    )

    _, out, _ = run("list", "-o", "table", "--base-url", cloud.url)

    assert not {"TYPE", "AGE", "PROJECT"} & set(out.split())
    assert "CU TYPE" in run("list", "-o", "table", "--columns", "id,cuType", "--base-url", cloud.url)[1]
