from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from wcwidth import wcswidth

from aiozilliz.cli import main
from aiozilliz.testing import Fault
from tests.support.running import LONG, POSIX_ONLY, environment

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from aiozilliz.testing import FakeZillizCloud
    from tests.support.running import Capture, MakeCloud, Run

pytestmark = POSIX_ONLY

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
END = "--end--"
FULL = Path("/dev/full")
# Makes the terminal its own, so that Ctrl-C reaches it, and runs commands one after another.
PROGRAM = f"""
import fcntl, json, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from aiozilliz.cli import main
termios.tcsetwinsize(0, (24, int(sys.argv[1])))
for args in json.loads(sys.argv[2]):
    status = main(args)
    print("{END}", flush=True)
sys.exit(status)
"""


class Screen:
    """A real terminal with a process on it."""

    def __init__(self, child: subprocess.Popen[bytes], master: int) -> None:
        self.child = child
        self._master = master
        self._text = b""

    def type(self, text: bytes) -> None:
        os.write(self._master, text)

    def wait_for(self, text: bytes) -> None:
        while text not in self._text and self._read():
            pass
        assert text in self._text

    def text(self) -> str:
        """Wait for the end of the process, and give all that it has written to the terminal."""
        while self._read():
            pass
        self.child.wait(LONG)
        return self._text.decode()

    def _read(self) -> bool:
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux tells the end so
            return False
        self._text += data
        return bool(data)


@contextmanager
def screen(
    *commands: Sequence[str],
    columns: int = 80,
    variables: Mapping[str, str] | None = None,
    stderr: int | None = subprocess.DEVNULL,
) -> Generator[Screen, None, None]:
    """Run commands on a terminal, one after another.

    `stderr` is None if it goes to the terminal as well.
    """
    master, slave = os.openpty()
    try:
        inherited = environment(ZILLIZ_API_KEY="env-key", TERM="xterm-256color")
        for name in ("NO_COLOR", "FORCE_COLOR", "LC_ALL", "LANG", "PYTHONIOENCODING"):
            inherited.pop(name, None)
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(columns), json.dumps(commands)],
            stdin=slave,
            stdout=slave,
            stderr=slave if stderr is None else stderr,
            env=inherited | dict(variables or {}),
            start_new_session=True,
        ) as child:
            os.close(slave)
            slave = -1
            try:
                yield Screen(child, master)
            finally:
                child.kill()
    finally:
        os.close(master)
        if slave >= 0:
            os.close(slave)


ODD_NAMES = [
    "夜" * 30,
    "שלום עולם 123",
    "مرحبا",
    "e\u0301" * 20,
    "\U0001f469\u200d\U0001f680 rocket",
    "\x1b[2J\x1b]0;title\x07\r\n\x9b31m\u202e",
    "[red]brackets[/]",
]


@pytest.fixture
def odd_cloud(make_fake_zilliz_cloud: MakeCloud) -> FakeZillizCloud:
    cloud = make_fake_zilliz_cloud(clusters=3)
    for name in ODD_NAMES:
        cloud.add(clusterName=name, description=name, status=name[:8], projectId=name[:4])
    return cloud


DEMOS = [["list", "--demo"], ["summary", "--demo"], ["accounts", "--demo", "--check"]]


@pytest.mark.parametrize(
    ("columns", "variables"),
    [
        (80, {}),
        (40, {"LC_ALL": "C", "NO_COLOR": "1"}),
    ],
)
def test_tables_fit_a_real_terminal(
    columns: int, variables: dict[str, str], odd_cloud: FakeZillizCloud
) -> None:
    ids = [record["clusterId"] for record in odd_cloud.clusters]
    commands = [*DEMOS, ["list", "--base-url", odd_cloud.url], ["summary", "--base-url", odd_cloud.url]]
    with screen(*commands, columns=columns, variables=variables) as terminal:
        text = terminal.text()
    assert terminal.child.returncode == 0

    assert ("\x1b[32mRUNNING" in text) is (not variables)
    plain = COLOUR.sub("", text)
    assert plain.replace("\r\n", "").replace("\u2068", "").replace("\u2069", "").isprintable()
    demo, summary, accounts, odd, _ = plain.split(END)[:5]
    assert all(wcswidth(line) <= columns for line in plain.replace("\r\n", "\n").split("\n"))
    assert len(re.findall(r"^in0\d-[0-9a-f]{15}\s", demo, re.MULTILINE)) == 250
    assert re.search(r"Total +250 +100% ", summary)
    assert [
        line.split()[1] for line in accounts.splitlines() if re.match("production|staging|research", line)
    ] == ["ok"] * 3
    assert re.findall(r"^(in0\S+)", odd, re.MULTILINE) == ids
    assert "夜…" in odd
    assert f"\u2068{ODD_NAMES[1][:4]}" in odd


def test_a_difference_shows_each_change_on_a_terminal() -> None:
    with screen(["diff", "--demo"]) as terminal:
        text = terminal.text()

    lines = COLOUR.sub("", text).split("\r\n")
    assert [line[:1] for line in lines[:2]] == ["-", "+"]
    assert sum(line.startswith("~ in0") for line in lines) == 2
    assert "\x1b[32m+ in01-demo-added" in text


def test_control_c_ends_a_request_that_hangs_and_leaves_the_terminal_as_it_was(
    make_fake_zilliz_cloud: MakeCloud,
) -> None:
    cloud = make_fake_zilliz_cloud()
    answered = threading.Event()

    @cloud.between_pages
    def hang() -> None:
        cloud.fail_next(Fault.delay(10 * LONG))
        answered.set()

    with screen(["list", "--timeout", "1000", "--base-url", cloud.url], stderr=None) as terminal:
        assert answered.wait(LONG)
        terminal.wait_for(b"pages 1")
        started = time.monotonic()
        terminal.type(b"\x03")
        text = terminal.text()
        assert time.monotonic() - started < LONG / 10
    cloud.clear_faults()

    assert terminal.child.returncode == 130
    assert "Traceback" not in text
    assert "\x1b[?25l" not in text
    shown = text.replace("^C", "").rpartition("\x1b[2K")[2]
    assert "aiozilliz: interrupted\r\n" in shown
    assert "pages" not in shown


def test_control_c_at_the_prompt_for_a_key_is_an_interrupt() -> None:
    with screen(["list", "--api-key-file", "-", "--base-url", "http://127.0.0.1:9"], stderr=None) as terminal:
        terminal.wait_for(b"API key: ")
        terminal.type(b"\x03")
        text = terminal.text()

    assert terminal.child.returncode == 130
    assert "Traceback" not in text


# Streams that can't be written


ALL = ["table", "json", "jsonl", "csv", "yaml"]
WRITING = [
    *(["list", "--demo", "-o", form] for form in ALL),
    ["list", "--demo", "-o", "json", "--query", "length(@)"],
    *(["summary", "--demo", "-o", form] for form in ALL),
    *(["accounts", "--demo", "-o", form] for form in ALL),
    *(["diff", "--demo", "-o", form] for form in ALL),
    *(["watch", "--demo", "-o", form] for form in ALL if form != "json"),
    ["snapshot", "--demo"],
]


@pytest.mark.skipif(not FULL.exists(), reason="there is no full device")
@pytest.mark.parametrize("args", WRITING)
def test_a_full_device_is_reported_in_one_line(
    args: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    with FULL.open("w", encoding="utf-8") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        status = main(args)

    assert status == (2 if args[0] == "diff" else 1)
    assert capsys.readouterr().err == "aiozilliz: the system refused: No space left on device\n"


@pytest.mark.parametrize("args", WRITING)
def test_a_pipe_that_nobody_reads_ends_it_quietly(
    args: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w", encoding="utf-8") as pipe, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", pipe)
        status = main(args)

    assert (status, capsys.readouterr().err) == (0, "")


@pytest.mark.parametrize("args", WRITING)
def test_a_missing_standard_output_is_reported_in_one_line(
    args: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        status = main(args)

    assert status in {1, 2}
    assert capsys.readouterr().err == "aiozilliz: the system refused: standard output is closed\n"


FAILING: list[tuple[list[str], int]] = [
    (["list", "--nosuch"], 2),
    (["nosuch"], 2),
    ([], 2),
    (["list", "--columns", "nosuch"], 2),
    (["list", "--base-url", "http://example.com"], 2),
    (["diff", "/no/such/file", "/no/such/file"], 2),
    (["list", "--demo", "-o", "json", "--query", "abs(@)"], 2),
]


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize(("args", "expected"), FAILING)
def test_the_exit_status_survives_a_standard_error_that_can_t_be_written(
    args: list[str], expected: int, missing: bool, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    if not missing and not FULL.exists():
        pytest.skip("there is no full device")
    with FULL.open("w", encoding="utf-8") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", None if missing else full)
        assert main(args) == expected


@pytest.mark.skipif(not FULL.exists(), reason="there is no full device")
@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_a_refusal_survives_a_standard_error_that_can_t_be_written(
    debug: list[str], key: str, make_fake_zilliz_cloud: MakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = make_fake_zilliz_cloud(api_key="another")
    with FULL.open("w", encoding="utf-8") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", full)
        assert main(["list", "--base-url", cloud.url, *debug]) == 3


@pytest.mark.parametrize(
    ("redirection", "args", "expected"),
    [
        ("2>/dev/full", ["list", "--nosuch"], 2),
        ("2>&-", ["list", "--nosuch"], 2),
        ("2>&-", ["list", "--demo"], 0),
        ("0<&-", ["list", "--demo"], 0),
        ("0<&-", ["list", "--api-key-file", "-"], 2),
        (">&-", ["list", "--demo"], 1),
        ("0<&- >&- 2>&-", ["list", "--demo"], 1),
    ],
)
def test_a_shell_can_close_or_redirect_any_stream(redirection: str, args: list[str], expected: int) -> None:
    if "full" in redirection and not FULL.exists():
        pytest.skip("there is no full device")
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -m aiozilliz "$@" {redirection}', sys.executable, *args],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )

    assert done.returncode == expected
    assert len(done.stdout.splitlines()) == (250 if expected == 0 else 0)
    assert "Traceback" not in done.stderr


def test_an_odd_argument_reaches_no_terminal_raw(run: Run) -> None:
    status, _, err = run("list", "--nosuch\x1b[2J\u202e")

    assert status == 2
    assert err.replace("\n", "").isprintable()


def test_a_watch_shows_that_it_goes_on_and_events_stand_on_lines_of_their_own() -> None:
    args = ("watch", "--demo", "--interval", "0.1", "--changes-only")
    with screen(args, columns=100, stderr=None) as shown:
        shown.wait_for(b"last reading ")
        shown.wait_for(b"+ in01-demo-1")
        shown.wait_for(b"251 clusters (0 s ago)")
        shown.type(b"\x03")
        text = shown.text()

    lines = [line.rpartition("\r\x1b[2K")[2] for line in text.split("\r\n")]
    assert not [line for line in lines if "last reading" in line]
    assert any("+ in01-demo-1" in line and "last" not in line for line in lines)
