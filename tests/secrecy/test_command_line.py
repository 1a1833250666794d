"""No command tells the key: not its output, its errors, its tracebacks, its log, its files, nor its process."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import InventoryReport, Snapshot
from aiozilliz.cli import main
from aiozilliz.testing import FakeZillizCloud, Fault
from tests.secrecy.test_failures import FAULTS
from tests.support.detector import KEY, has_key, told_by_files, told_by_logs, told_by_warnings
from tests.support.running import LONG, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SNAPSHOT = Snapshot(clusters=(), taken_at=NOW, requests=1, consistent=True)
REPORT = InventoryReport(snapshots={"1": SNAPSHOT}, failures={}, taken_at=NOW)

COMMANDS = {
    "list": ["list"],
    "list as a table": ["list", "-o", "table", "--verify"],
    "list as CSV": ["list", "-o", "csv"],
    "summary": ["summary"],
    "snapshot": ["snapshot", "new.json"],
    "diff": ["diff", "old.json", "--live"],
    "watch": ["watch", "--state", "kept.json", "--interval", "0.001"],
    "accounts": ["accounts", "--check"],
}
SOURCES = ["environment", "file", "standard input", "credentials", "all organisations"]
SPOILT = [
    "400",
    "401",
    "403 in HTML",
    "a wrong record",
    "a record that is none",
    f"302 to https://elsewhere.example/{KEY}",
]


PAIRS = [
    (command, source)
    for command in COMMANDS
    for source in SOURCES
    if command != "accounts" or source in {"credentials", "all organisations"}
]
"""Commands and where their keys come from; `accounts` knows the credentials file only."""


@pytest.fixture
def cloud() -> Generator[FakeZillizCloud, None, None]:
    with FakeZillizCloud(clusters=3, api_key=KEY) as cloud:
        yield cloud


@pytest.fixture
def give_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Give the key by a source, and what the command line is to be told of it. The folder of work is another one."""
    work, keys = tmp_path / "work", tmp_path / "keys"
    work.mkdir()
    keys.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(keys))

    def write(name: str, text: str) -> None:
        (keys / name).write_text(text, "utf-8")
        (keys / name).chmod(0o600)

    def give(source: str, key: str = KEY) -> list[str]:
        match source:
            case "environment":
                monkeypatch.setenv("ZILLIZ_API_KEY", key)
            case "file":
                write("key", f"{key}\n")
                return ["--api-key-file", str(keys / "key")]
            case "standard input":
                monkeypatch.setattr(sys, "stdin", io.StringIO(f"{key}\n"))
                return ["--api-key-file", "-"]
            case "credentials":
                write("credentials", f"[default]\napi_key = {key}\n")
            case _:
                write("credentials", f"[org.1]\napi_key = {key}\n")
                return ["--all-orgs"]
        return []

    return give


def write_old(source: str) -> None:
    old = REPORT if source == "all organisations" else SNAPSHOT
    Path("old.json").write_text(old.to_json(), "utf-8")


@pytest.mark.parametrize(("command", "source"), PAIRS)
def test_nothing_that_fails_tells_the_key(
    command: str,
    source: str,
    cloud: FakeZillizCloud,
    give_key: Callable[[str], list[str]],
    capsys: pytest.CaptureFixture[str],
    everything_logged: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    for fault in SPOILT:
        for debug in (False, True):
            given = give_key(source)
            if command == "accounts":
                given = []
            write_old(source)
            if command == "watch" and FAULTS[fault][0] is not FAULTS["401"][0]:
                cloud.fail_next(FAULTS[fault][0], times=1)
                cloud.fail_next(FAULTS["401"][0], times=None)
            else:
                cloud.fail_next(FAULTS[fault][0], times=None)
            args = [*COMMANDS[command], *given, "--base-url", cloud.url, *(["--debug"] if debug else [])]
            asked = len(cloud.requests)

            status = main(args)

            out, err = capsys.readouterr()
            assert status in ({2, 3} if command == "diff" else {1, 3}), err
            assert len(cloud.requests) > asked
            assert err
            assert ("Traceback" in err) == debug or command == "accounts"
            assert not has_key(out)
            assert not has_key(err)
            cloud.clear_faults()
    assert not told_by_files(Path.cwd())
    assert not told_by_logs(everything_logged)
    assert not told_by_warnings(recwarn)


@pytest.mark.parametrize(("command", "source"), [pair for pair in PAIRS if pair[0] != "watch"])
def test_nothing_that_works_tells_the_key(
    command: str,
    source: str,
    cloud: FakeZillizCloud,
    give_key: Callable[[str], list[str]],
    capsys: pytest.CaptureFixture[str],
    everything_logged: pytest.LogCaptureFixture,
) -> None:
    given = give_key(source)
    if command == "accounts":
        given = []
    write_old(source)
    args = [*COMMANDS[command], *given, "--base-url", cloud.url, "--debug"]

    assert main(args) == 0

    out, err = capsys.readouterr()
    assert cloud.requests
    assert {request.status for request in cloud.requests} == {200}
    assert not has_key(out + err)
    assert not told_by_files(Path.cwd())
    assert not told_by_logs(everything_logged)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "bad", [f"Bearer {KEY}", f"{KEY}é", f"{KEY}\x7f"], ids=["blank", "letter", "control"]
)
def test_a_bad_key_is_not_repeated(
    source: str, bad: str, give_key: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    given = give_key(source, bad)
    for debug in ([], ["--debug"]):
        if source == "standard input":
            given = give_key(source, bad)
        assert main(["list", *given, *debug]) == 2
        out, err = capsys.readouterr()
        assert err
        assert not has_key(out + err)


@pytest.mark.parametrize(
    "args",
    [
        ["--api-key-file", KEY],
        [f"--api-key-file={KEY}"],
        ["--api-key", KEY],
        [f"--api-key={KEY}"],
        ["--base-url", f"https://{KEY}@host"],
        ["--base-url", f"https://host/?key={KEY}"],
    ],
    ids=repr,
)
def test_a_key_that_was_given_as_an_argument_is_not_repeated(
    args: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZILLIZ_API_KEY", "another-key")
    for debug in ([], ["--debug"]):
        assert main(["list", *args, *debug]) == 2
        out, err = capsys.readouterr()
        assert err
        assert not has_key(out + err)


SPY = """
import sys
from pathlib import Path

STARTS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn")
started = []
sys.addaudithook(lambda event, args: started.append(event) if event in STARTS else None)

from aiozilliz.cli import main

status = main(sys.argv[1:])
print("started:", started, file=sys.stderr)
for name in ("cmdline", "environ"):
    print(name, Path("/proc/self", name).read_bytes(), file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="/proc is Linux's")
@pytest.mark.parametrize(
    ("command", "source"), [pair for pair in PAIRS if "list" in pair or "credentials" in pair]
)
def test_the_process_shows_no_key_and_starts_no_other(
    command: str, source: str, cloud: FakeZillizCloud, give_key: Callable[[str], list[str]]
) -> None:
    given = give_key(source)
    if command == "accounts":
        given = []
    write_old(source)
    if command == "watch":
        cloud.fail_next(FAULTS["401"][0], times=None)
    done = subprocess.run(
        [sys.executable, "-c", SPY, *COMMANDS[command], *given, "--base-url", cloud.url],
        env=environment(),
        input=f"{KEY}\n" if source == "standard input" else "",
        capture_output=True,
        text=True,
        check=False,
        timeout=LONG,
    )
    assert "started: []" in done.stderr
    lines = dict(line.split(" ", 1) for line in done.stderr.splitlines() if line.startswith(("cmd", "env")))
    assert "--base-url" in lines["cmdline"]
    assert not has_key(lines["cmdline"])
    # What a process was started with stays visible to its own user: SECURITY.md says so.
    assert has_key(lines["environ"]) == (source == "environment")
    assert not has_key(done.stdout)


def test_the_spy_sees_a_process_that_is_started() -> None:
    planted = SPY.replace("status = main(sys.argv[1:])", "import os; status = os.system('true')")
    done = subprocess.run(
        [sys.executable, "-c", planted, KEY], capture_output=True, text=True, check=False, timeout=LONG
    )
    assert "started: ['os.system']" in done.stderr
    assert has_key(done.stderr)


def test_a_fault_that_tells_is_one() -> None:
    told: list[Any] = [FAULTS[name][0] for name in SPOILT]
    assert all(
        isinstance(fault, Fault) and has_key((fault.answer.body, fault.answer.headers))
        for fault in told
        if fault.answer
    )
    assert os.environ.get("ZILLIZ_API_KEY") is None
