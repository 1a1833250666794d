from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from aiozilliz.testing import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from aiozilliz.testing import FakeZillizCloud
    from tests.support.running import MakeCloud, Run

KEYS = {
    "Acme": "k3y0fAcme000000000001234",
    "Bee": "k3y0fBee0000000000005678",
    "Cat": "k3y0fCat0000000000009012",
    "Dog": "k3y0fDog0000000000003456",
}
NO_PERMISSION = Fault.code(96012, "no permission")
FORMATS = ["json", "jsonl", "csv", "yaml", "table"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(tmp_path))
    text = "".join(f"[org.org-{name}]\norg_name = {name}\napi_key = {key}\n" for name, key in KEYS.items())
    file = tmp_path / "credentials"
    file.write_text(text, "utf-8")
    file.chmod(0o600)
    return tmp_path


@pytest.fixture
def cloud(folder: Path, make_fake_zilliz_cloud: MakeCloud) -> FakeZillizCloud:
    """Serve all organisations the same three clusters."""
    cloud = make_fake_zilliz_cloud(clusters=3)
    (folder / "config").write_text(f"[default]\nbase_url = {cloud.url}\n", "utf-8")
    return cloud


def rows_of(form: str, text: str) -> list[dict[str, Any]]:
    match form:
        case "json":
            return json.loads(text)  # type: ignore[no-any-return]  # any JSON
        case "jsonl":
            return [json.loads(line) for line in text.splitlines()]
        case "yaml":
            return yaml.safe_load(text)  # type: ignore[no-any-return]  # any JSON
        case "csv":
            return list(csv.DictReader(io.StringIO(text, newline="")))
        case _:
            header, *lines = text.splitlines()
            assert header.split()[:2] == ["ACCOUNT", "ID"]
            return [dict(zip(("account", "clusterId"), line.split(), strict=False)) for line in lines]


def found(form: str, text: str) -> list[tuple[str, str]]:
    return sorted((row["account"], row["clusterId"]) for row in rows_of(form, text))


def expected(cloud: FakeZillizCloud, names: set[str]) -> list[tuple[str, str]]:
    return sorted((name, record["clusterId"]) for name in names for record in cloud.clusters)


def failed(err: str) -> set[str]:
    return set(re.findall(r"^aiozilliz: account (\w+): ", err, re.MULTILINE))


@pytest.mark.parametrize("form", FORMATS)
def test_each_record_has_its_account_first(form: str, cloud: FakeZillizCloud, run: Run) -> None:
    status, out, err = run("list", "--all-orgs", "-o", form)

    assert (status, err) == (0, "")
    assert found(form, out) == expected(cloud, set(KEYS))
    assert all(next(iter(row)) == "account" for row in rows_of(form, out))
    assert {request.headers["Authorization"] for request in cloud.requests} == {
        f"Bearer {key}" for key in KEYS.values()
    }


@pytest.mark.parametrize("form", FORMATS)
def test_failures_of_half_of_them_cost_the_others_nothing(
    form: str, cloud: FakeZillizCloud, run: Run
) -> None:
    cloud.fail_next(NO_PERMISSION)
    cloud.fail_next(Fault.code(96001, "unknown\nregion"))

    status, out, err = run("list", "--all-orgs", "-o", form)

    names = failed(err)
    assert (status, len(names)) == (4, 2)
    assert found(form, out) == expected(cloud, set(KEYS) - names)
    *each, last = err.splitlines()
    assert len(each) == 2
    assert last == "aiozilliz: 2 of 4 accounts failed"
    assert r"unknown\nregion" in err


def test_what_an_organisation_gave_before_it_failed_stands(
    folder: Path, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=3)
    seen: set[str] = set()

    @cloud.between_pages
    def fail_the_next_second_page() -> None:
        before = len(seen)
        seen.update(request.headers["Authorization"] for request in cloud.requests)
        if before < len(seen) == len(KEYS):
            cloud.fail_next(NO_PERMISSION)

    status, out, err = run(
        "list", "--all-orgs", "--page-size", "2", "--concurrency", "1", "--base-url", cloud.url
    )

    rows = found("jsonl", out)
    (name,) = failed(err)
    assert status == 4
    assert sum(account == name for account, _ in rows) == 2
    assert [row for row in rows if row[0] != name] == expected(cloud, set(KEYS) - {name})


def test_a_query_takes_what_there_is_of_the_others(cloud: FakeZillizCloud, run: Run) -> None:
    cloud.fail_next(NO_PERMISSION)

    status, out, err = run("list", "--all-orgs", "-o", "json", "--query", "length(@)")

    assert (status, out, len(failed(err))) == (4, "9\n", 1)


@pytest.mark.parametrize("command", ["list", "summary", "snapshot"])
@pytest.mark.parametrize(
    ("faults", "expected_status"),
    [
        ([NO_PERMISSION] * 4, 3),
        ([NO_PERMISSION] * 3 + [Fault.code(96001, "no")], 1),
        ([Fault.code(96001)] * 4, 1),
    ],
)
def test_where_all_fail_it_is_refused_or_failed(
    faults: list[Fault], expected_status: int, command: str, cloud: FakeZillizCloud, run: Run
) -> None:
    for fault in faults:
        cloud.fail_next(fault)

    status, out, err = run(command, "--all-orgs")

    assert (status, out) == (expected_status, "")
    assert failed(err) == set(KEYS)
    assert err.splitlines()[-1] == "aiozilliz: 4 of 4 accounts failed"


@pytest.mark.parametrize("command", ["list", "summary", "snapshot", "watch"])
def test_without_a_credentials_file_it_is_wrong_set_up_that_names_the_file(
    command: str, clean_environment: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setenv("ZILLIZ_API_KEY", "a-key-without-a-name")

    status, out, err = run(command, "--all-orgs")

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert str(clean_environment / "credentials") in err
    assert "zilliz login" in err
    assert "make the accounts yourself" not in err


def test_a_given_base_url_overrides_that_of_the_file(folder: Path, cloud: FakeZillizCloud, run: Run) -> None:
    (folder / "config").write_text("[default]\nbase_url = http://127.0.0.1:9\n", "utf-8")

    status, out, _ = run("list", "--all-orgs", "--base-url", f"{cloud.url}/")

    assert (status, len(out.splitlines())) == (0, 12)


def test_the_environment_key_is_not_asked_with(
    cloud: FakeZillizCloud, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setenv("ZILLIZ_API_KEY", "env-key")

    assert run("list", "--all-orgs")[0] == 0
    assert not any("env-key" in request.headers["Authorization"] for request in cloud.requests)


COMMANDS = [
    ["list"],
    ["list", "-o", "table"],
    ["summary"],
    ["snapshot"],
    ["watch", "--interval", "0.01"],  # which ends only when it is refused twice
    ["accounts", "--check"],
]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_key_is_in_the_output_of_a_run_that_is_refused(
    command: list[str], cloud: FakeZillizCloud, run: Run
) -> None:
    cloud.fail_next(Fault.code(80001, "not yours"), times=len(KEYS) * (1 + (command[0] == "watch")))
    all_orgs = ["--all-orgs"] if command[0] != "accounts" else []

    status, out, err = run(*command, *all_orgs, "--debug")

    assert status == 3
    assert failed(err) == set(KEYS)
    assert "Traceback" in err
    assert "AuthenticationError" in err
    assert not any(key in out + err for key in KEYS.values())


@pytest.mark.parametrize("command", COMMANDS[:-1])
def test_a_key_that_the_service_repeats_is_not_shown(
    command: list[str], folder: Path, cloud: FakeZillizCloud, run: Run
) -> None:
    key = KEYS["Acme"]
    (folder / "credentials").write_text(f"[default]\napi_key = {key}\n", "utf-8")
    cloud.fail_next(Fault.code(80001, f"the key {key} is refused"), times=1 + (command[0] == "watch"))

    status, out, err = run(*command, "--debug")

    assert status == 3
    assert "the key <key> is refused" in err
    assert key not in out + err


def test_the_debug_log_of_a_good_run_has_no_key(cloud: FakeZillizCloud, run: Run) -> None:
    status, out, err = run("list", "--all-orgs", "--debug")

    assert (status, len(out.splitlines())) == (0, 12)
    assert err.count("&currentPage=1: 200, ") == len(KEYS)
    assert not any(key in out + err for key in KEYS.values())
