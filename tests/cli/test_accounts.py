from __future__ import annotations

import asyncio
import csv
import io
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import aiozilliz
from aiozilliz.cli import main
from aiozilliz.cli.commands import accounts as accounts_module
from aiozilliz.cli.commands.accounts import AT_ONCE, Checked, _ask_all
from aiozilliz.testing import Fault
from tests.support.running import open_terminal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from aiozilliz.cli.output.progress import Progress
    from tests.support.running import MakeCloud, Run

    Write = Callable[[str], None]

PRODUCTION = "k3y0fProduction0000001234"
EUROPE = "k3y0fEurope00000000005678"
FILE = f"""\
[default]
api_key = {PRODUCTION}
org_id = org-1

[org.org-1]
org_name = Acme Production
api_key = {PRODUCTION}

[org.org-2]
org_name = Acme Europe
api_key = {EUROPE}

[org.org-3]
org_name = Acme Asia
api_key = short
"""
NAMES = ["Acme Production", "Acme Europe", "Acme Asia"]
MASKED = ["****1234", "****5678", "****"]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write the official client's credentials file."""
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(tmp_path))

    def write(text: str) -> None:
        path = tmp_path / "credentials"
        path.write_text(text, "utf-8")
        path.chmod(0o600)

    return write


@pytest.fixture
def three(write: Write) -> None:
    write(FILE)


def read_json(run: Run, *args: str) -> Any:
    status, out, _ = run("accounts", "-o", "json", *args)
    assert status == 0
    return json.loads(out)


@pytest.mark.usefixtures("three")
def test_it_shows_the_organisations_of_the_file_with_masked_keys(run: Run) -> None:
    assert read_json(run) == [
        {"account": name, "key": key, "baseUrl": aiozilliz.GLOBAL}
        for name, key in zip(NAMES, MASKED, strict=True)
    ]


@pytest.mark.usefixtures("three", "key")
@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "yaml"])
def test_no_format_shows_a_key(form: str, run: Run) -> None:
    status, out, err = run("accounts", "-o", form)

    assert (status, err) == (0, "")
    assert PRODUCTION[:-4] not in out
    assert "short" not in out
    assert "env-key" not in out


@pytest.mark.usefixtures("three")
def test_all_formats_give_the_same_rows(run: Run) -> None:
    rows = read_json(run)

    outs = {form: run("accounts", "-o", form)[1] for form in ("jsonl", "yaml", "csv")}

    assert [json.loads(line) for line in outs["jsonl"].splitlines()] == rows
    assert yaml.safe_load(outs["yaml"]) == rows
    assert [*csv.DictReader(io.StringIO(outs["csv"]))] == rows


@pytest.mark.usefixtures("three")
def test_a_table_is_the_default(run: Run) -> None:
    header, first, *_ = run("accounts")[1].splitlines()
    *bare, _last = run("accounts", "--no-header")[1].splitlines()

    assert header.split() == ["ACCOUNT", "KEY", "BASE", "URL"]
    assert first == f"Acme Production  ****1234  {aiozilliz.GLOBAL}"
    assert bare[0] == first


@pytest.mark.usefixtures("three")
def test_a_query_takes_the_rows(run: Run) -> None:
    assert read_json(run, "--query", "[].account") == NAMES


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("args", "site"),
    [(["--china"], aiozilliz.CHINA), (["--base-url", "https://proxy/x/"], "https://proxy/x")],
)
def test_the_site_can_be_given(args: list[str], site: str, run: Run) -> None:
    assert {row["baseUrl"] for row in read_json(run, *args)} == {site}


def test_without_a_file_it_is_wrong_set_up_that_names_the_file(run: Run, clean_environment: Path) -> None:
    status, out, err = run("accounts")

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert str(clean_environment / "credentials") in err


@pytest.mark.parametrize(
    "args",
    [["--china", "--base-url", "https://x"], ["--demo", "--china"], ["--demo", "--base-url", "https://x"]],
)
def test_options_that_exclude_each_other_are_wrong_usage(args: list[str], run: Run) -> None:
    status, out, _ = run("accounts", *args)

    assert (status, out) == (2, "")


def test_the_demo_has_three_organisations(run: Run) -> None:
    rows = read_json(run, "--demo")

    assert [row["account"] for row in rows] == ["production", "staging", "research"]
    assert all(row["key"].startswith("****") for row in rows)


def test_the_demo_can_be_checked_behind_any_proxy(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    rows = read_json(run, "--demo", "--check")

    assert [(row["status"], row["clusters"], row["error"]) for row in rows] == [
        ("ok", 250, ""),
        ("ok", 40, ""),
        ("ok", 12, ""),
    ]


@pytest.mark.usefixtures("three")
def test_a_check_asks_each_with_its_own_key_for_one_cluster(
    make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=7)

    rows = read_json(run, "--check", "--base-url", cloud.url)

    assert {request.headers["Authorization"] for request in cloud.requests} == {
        f"Bearer {key}" for key in (PRODUCTION, EUROPE, "short")
    }
    assert [request.query["pageSize"] for request in cloud.requests] == ["1"] * 3
    assert [(row["account"], row["status"], row["clusters"]) for row in rows] == [
        (name, "ok", 7) for name in NAMES
    ]


@pytest.mark.usefixtures("three")
def test_a_total_that_the_service_does_not_tell_is_null(make_fake_zilliz_cloud: MakeCloud, run: Run) -> None:
    cloud = make_fake_zilliz_cloud(clusters=7, shape="array")

    rows = read_json(run, "--check", "--base-url", cloud.url)

    assert [(row["status"], row["clusters"]) for row in rows] == [("ok", None)] * 3


@pytest.mark.usefixtures("three")
def test_a_refused_key_costs_the_others_nothing(make_fake_zilliz_cloud: MakeCloud, run: Run) -> None:
    cloud = make_fake_zilliz_cloud(clusters=7, api_key=EUROPE)

    status, out, err = run("accounts", "--check", "-o", "json", "--base-url", cloud.url)

    rows = {row["account"]: row for row in json.loads(out)}
    assert status == 4
    assert [rows[name]["status"] for name in NAMES] == ["refused", "ok", "refused"]
    assert rows["Acme Asia"]["clusters"] is None
    assert "HTTP 401" in rows["Acme Asia"]["error"]
    assert rows["Acme Europe"]["error"] == ""
    assert "account Acme Asia: " in err
    assert PRODUCTION not in out + err


@pytest.mark.usefixtures("three")
def test_where_all_keys_are_refused_the_status_says_so(make_fake_zilliz_cloud: MakeCloud, run: Run) -> None:
    cloud = make_fake_zilliz_cloud(api_key="another")

    status, out, _ = run("accounts", "--check", "--base-url", cloud.url)

    assert status == 3
    assert out.count("refused") >= 3


def test_where_all_fail_the_status_is_1(write: Write, make_fake_zilliz_cloud: MakeCloud, run: Run) -> None:
    write(f"[default]\napi_key = {PRODUCTION}\n")
    cloud = make_fake_zilliz_cloud()
    cloud.fail_next(Fault.code(96008, f"bad page size, said {PRODUCTION}\x1b[2J", status=400))

    status, out, err = run("accounts", "--check", "-o", "json", "--base-url", cloud.url)

    [row] = json.loads(out)
    assert status == 1
    assert row["status"] == "failed"
    assert row["error"].startswith("bad page size")
    assert row["error"].endswith("(HTTP 400, code 96008)")
    assert PRODUCTION not in out + err
    assert "\x1b" not in row["error"] + err


@pytest.mark.usefixtures("three")
def test_the_table_shows_errors_only_where_there_are_any(
    monkeypatch: pytest.MonkeyPatch, make_fake_zilliz_cloud: MakeCloud
) -> None:
    cloud = make_fake_zilliz_cloud(api_key=EUROPE)
    terminal = open_terminal(monkeypatch, "xterm-256color", columns=120)
    monkeypatch.delenv("NO_COLOR", raising=False)
    main(["accounts", "--demo", "--check"])
    good = terminal.getvalue()
    main(["accounts", "--check", "--base-url", cloud.url])
    bad = terminal.getvalue().removeprefix(good)

    assert "ERROR" not in good
    assert "ERROR" in bad
    assert "\x1b[32mok\x1b[0m" in bad
    assert "\x1b[31mrefused\x1b[0m" in bad


@pytest.mark.usefixtures("three")
def test_the_timeout_reaches_the_client(
    monkeypatch: pytest.MonkeyPatch, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    given: list[float] = []
    client = aiozilliz.ZillizClient

    def make(*args: Any, timeout: float, **options: Any) -> aiozilliz.ZillizClient:
        given.append(timeout)
        return client(*args, timeout=timeout, **options)

    monkeypatch.setattr(aiozilliz, "ZillizClient", make)
    read_json(run, "--check", "--timeout", "7", "--base-url", make_fake_zilliz_cloud().url)

    assert given == [7.0] * 3


@pytest.mark.usefixtures("three")
def test_debug_logs_the_requests_without_a_key(make_fake_zilliz_cloud: MakeCloud, run: Run) -> None:
    status, _, err = run("accounts", "--check", "--debug", "--base-url", make_fake_zilliz_cloud().url)

    assert status == 0
    assert err.count("&currentPage=1: 200, ") == 3
    assert PRODUCTION not in err


async def test_many_are_asked_at_once_but_not_all(monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = [aiozilliz.Account(str(number), "a-key") for number in range(3 * AT_ONCE)]
    under_way: set[str] = set()
    most = 0

    async def ask(account: aiozilliz.Account) -> Checked:
        nonlocal most
        under_way.add(account.name)
        most = max(most, len(under_way))
        await asyncio.sleep(0)  # long enough for whoever may begin
        under_way.remove(account.name)
        return Checked(int(account.name))

    looks: list[Callable[[], Progress]] = []

    @asynccontextmanager
    async def keep(look: Callable[[], Progress]) -> AsyncGenerator[None, None]:
        looks.append(look)
        yield

    monkeypatch.setattr(accounts_module, "show_progress", keep)
    results = await _ask_all(accounts, ask)

    assert [result.count for result in results] == [*range(3 * AT_ONCE)]
    assert most == AT_ONCE
    assert [str(look()) for look in looks] == ["accounts 48/48"]


def test_the_environment_s_key_is_listed_and_checked_too(
    write: Write, make_fake_zilliz_cloud: MakeCloud, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=7, api_key="the-key-of-the-environment")
    site = ("--base-url", cloud.url)
    monkeypatch.setenv("ZILLIZ_API_KEY", "the-key-of-the-environment")

    status, out, _ = run("accounts", "--check", "-o", "json", *site)
    assert status == 0
    (row,) = json.loads(out)
    assert (row["account"], row["key"], row["status"], row["clusters"]) == (
        "$ZILLIZ_API_KEY",
        "****ment",
        "ok",
        7,
    )

    write(FILE)
    status, out, err = run("accounts", "--check", "-o", "json", *site)
    assert [row["account"] for row in json.loads(out)] == [*NAMES, "$ZILLIZ_API_KEY"]
    assert (status, json.loads(out)[-1]["status"]) == (4, "ok")
    assert "3 of 4 accounts failed" in err


def test_a_credentials_file_that_is_damaged_is_an_error_beside_the_environment_s_key_too(
    write: Write, key: str, run: Run
) -> None:
    write("no section")
    status, out, err = run("accounts")
    assert (status, out) == (2, "")
    assert "can't be read" in err


def test_the_help_shows_examples(run: Run) -> None:
    status, out, _ = run("accounts", "--help")

    assert status == 0
    assert "aiozilliz accounts --check\n" in out
