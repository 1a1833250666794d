from __future__ import annotations

import ast
import csv
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml

import aiozilliz.cli.commands
from aiozilliz.cli import main
from aiozilliz.cli.app import COMMANDS
from aiozilliz.cli.output.formats import GENERAL, Format
from aiozilliz.testing import Fault
from tests.support.running import open_terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiozilliz.testing import FakeZillizCloud
    from tests.support.running import MakeCloud, Run

ALL: set[Format] = set(GENERAL)
# A command is missing here if it can be called and this test does not know it.
FORMATS: dict[str, set[Format]] = {
    "list": ALL,
    "summary": set(Format),
    "diff": ALL,
    "accounts": ALL,
    "history": ALL,
    "describe": ALL,
    "watch": ALL - {Format.JSON},  # its array would never be closed
}
QUERIED = ("list", "summary", "diff", "accounts", "history", "describe")
ACCEPTED = [(name, form) for name, forms in FORMATS.items() for form in sorted(forms)]
REFUSED = [(name, form) for name, forms in FORMATS.items() for form in sorted(set(Format) - forms)]
CLUSTERS = 5
# What each command writes about the clusters of the fake: objects, and lines of a table below its heading.
OBJECTS = {
    "list": 5,
    "summary": 10,
    "diff": 3,
    "accounts": 2,
    "watch": 5,
    "history": 5,
    "describe": 1,
}
FLAT_ROWS = OBJECTS | {"diff": 4}
TABLE_LINES = OBJECTS | {"summary": 17, "diff": 8, "accounts": 3, "list": 6, "describe": 13}
KEYS = {
    "list": {"clusterId", "clusterName", "note"},
    "describe": {"clusterId", "clusterName", "note"},
    "summary": {"by", "value", "clusters", "cuSize"},
    "diff": {"kind", "cluster", "previous", "changed"},
    "accounts": {"account", "key", "baseUrl"},
    "watch": {"time", "kind", "cluster", "previous", "changed"},
    "history": {"time", "kind", "cluster", "previous", "changed"},
}
ODD = 'a, "b"\n\x1b[2J 夜'


@pytest.fixture
def cloud(
    key: str, make_fake_zilliz_cloud: MakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FakeZillizCloud:
    """Return a service of a few clusters, one of them with an odd name, which refuses a watch's second reading."""
    names = ["a", "b", "c", "d", ODD]
    records = [
        {
            "clusterId": f"in01-{number}",
            "clusterName": name,
            "status": "RUNNING" if number % 2 else "STOPPED",
            "plan": "Standard" if number < 3 else ["Free", "Enterprise"][number - 3],
            "regionId": f"aws-{number % 4}",
            "note": {"number": number},
        }
        for number, name in enumerate(names)
    ]
    folder = tmp_path / "zilliz"
    folder.mkdir()
    (folder / "credentials").write_text("[org.1]\norg_name = prod\napi_key = a-long-key-of-prod\n")
    (folder / "credentials").chmod(0o600)
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(folder))
    return make_fake_zilliz_cloud(clusters=records)


@pytest.fixture
def arguments(cloud: FakeZillizCloud, tmp_path: Path, run: Run) -> Callable[[str], list[str]]:
    """Return the arguments with which a command ends."""

    def arguments(name: str) -> list[str]:
        site = ["--base-url", cloud.url]
        watch = [*site, "--interval", "0.01", "--confirmations", "1"]
        if name in {"watch", "history"}:
            cloud.between_pages(lambda: cloud.fail_next(Fault.code(21119, "refused", status=401)))
        if name == "watch":
            return watch
        if name == "history":
            state = str(tmp_path / "state")
            assert run("watch", "--state", state, *watch)[0] == 3
            return ["--state", state]
        if name == "describe":
            return ["in01-4", *site]
        if name != "diff":
            return site
        old, new = str(tmp_path / "old.json"), str(tmp_path / "new.json")
        assert run("snapshot", old, *site)[0] == 0
        cloud.add(clusterId="in01-new")
        cloud.remove("in01-0")
        cloud.update("in01-4", status="RUNNING", note=None)
        assert run("snapshot", new, *site)[0] == 0
        return [old, new]

    return arguments


def objects(form: Format, text: str) -> list[dict[str, Any]]:
    if form is Format.JSONL:
        return [json.loads(line) for line in text.splitlines()]
    value: Any = json.loads(text) if form is Format.JSON else yaml.safe_load(text)
    return cast("list[dict[str, Any]]", value) if isinstance(value, list) else [value]


def test_every_command_is_tried_with_every_format() -> None:
    assert FORMATS.keys() == COMMANDS.keys() - {"completion", "report", "snapshot"}  # which write no rows
    assert len(ACCEPTED) + len(REFUSED) == len(FORMATS) * len(Format)


@pytest.mark.parametrize(("name", "form"), ACCEPTED)
def test_a_command_writes_a_format(
    name: str, form: Format, arguments: Callable[[str], list[str]], run: Run
) -> None:
    given = arguments(name)

    status, out, err = run(name, "-o", form.value, *given)

    assert status == (3 if name == "watch" else 0)
    assert err.count("\n") == (1 if name == "watch" else 0)
    if form is Format.TABLE:
        assert len(out.splitlines()) == TABLE_LINES[name]
        assert out.replace("\n", "").isprintable()
    elif form is Format.CSV:
        header, *rows = csv.reader(io.StringIO(out, newline=""))
        assert len(rows) == FLAT_ROWS[name]
        assert {len(row) for row in rows} == {len(header)}
    elif form is Format.PROMETHEUS:
        assert len([line for line in out.splitlines() if not line.startswith("#")]) == 2 * OBJECTS[name]
    else:
        found = objects(form, out)
        assert len(found) == OBJECTS[name]
        assert KEYS[name] <= found[0].keys()


@pytest.mark.parametrize("name", [name for name, forms in FORMATS.items() if len(forms) > 1])
def test_all_formats_of_objects_say_the_same(
    name: str, arguments: Callable[[str], list[str]], run: Run
) -> None:
    given = arguments(name)
    forms = sorted(FORMATS[name] - {Format.TABLE, Format.CSV, Format.PROMETHEUS})

    found = [objects(form, run(name, "-o", form.value, *given)[1]) for form in forms]

    for rows in found:
        for row in rows:
            row.pop("time", None)
    assert len(forms) >= 2
    assert all(rows == found[0] for rows in found)


@pytest.mark.parametrize(("name", "form"), ACCEPTED)
def test_a_terminal_gets_nothing_raw_in_any_format(
    name: str, form: Format, arguments: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = arguments(name)
    screen = open_terminal(monkeypatch, columns=200)

    assert main([name, "-o", form.value, *given]) == (3 if name == "watch" else 0)

    assert screen.getvalue()
    assert screen.getvalue().replace("\n", "").isprintable()


@pytest.mark.parametrize("name", [name for name, forms in FORMATS.items() if len(forms) > 1])
@pytest.mark.parametrize("form", [Format.TABLE, Format.CSV])
def test_headings_can_be_left_out(
    name: str, form: Format, arguments: Callable[[str], list[str]], run: Run
) -> None:
    given = arguments(name)

    def words(*options: str) -> list[list[str]]:
        # Columns may be narrower without their headings, and a watch tells the time.
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME", run(name, "-o", form.value, *options, *given)[1])
        return [line.split() for line in text.splitlines()]

    named, bare = words(), words("--no-header")

    if form is Format.CSV or name in {"list", "accounts"}:
        assert bare == named[1:]
    elif name == "summary":  # each block has a heading
        assert bare == [line for line in named[1:] if line not in [["PLAN"], ["REGION"], ["STATUS"]]]
    else:  # lines of text have none
        assert bare == named
    assert bare


@pytest.mark.parametrize("form", list(GENERAL))
@pytest.mark.parametrize("name", QUERIED)
def test_a_query_has_every_format(
    name: str, form: Format, arguments: Callable[[str], list[str]], run: Run
) -> None:
    given = arguments(name)

    status, out, err = run(name, "-o", form.value, "--no-header", "--query", "length(@)", *given)

    assert (status, out, err) == (0, f"{OBJECTS[name]}\n", "")


@pytest.mark.parametrize(("name", "form"), REFUSED)
def test_a_format_that_a_command_does_not_have_is_refused_with_those_that_it_has(
    name: str, form: Format, cloud: FakeZillizCloud, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIOZILLIZ_BASE_URL", cloud.url)
    status, out, err = run(name, "-o", form.value)

    assert (status, out, cloud.requests) == (2, "", [])
    message = err.splitlines()[-1]
    assert message.startswith("Error: Invalid value for '-o' / '--output': ")
    assert repr(form.value) in message
    assert all(other.value in message for other in FORMATS[name])


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_command_decides_by_the_format(name: str) -> None:
    tree = ast.parse(Path(aiozilliz.cli.commands.__path__[0], f"{name}.py").read_text("utf-8"))
    decisions = [
        part
        for node in ast.walk(tree)
        for part in (
            [node.test]
            if isinstance(node, (ast.If, ast.IfExp))
            else [node]
            if isinstance(node, (ast.Compare, ast.Match))
            else []
        )
    ]

    names = {
        found.id if isinstance(found, ast.Name) else found.attr
        for decision in decisions
        for found in ast.walk(decision)
        if isinstance(found, (ast.Name, ast.Attribute))
    }

    assert not names & {"Format", "form"}
