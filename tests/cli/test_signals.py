from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from aiozilliz.testing import Fault
from tests.support.exhaustive import EXHAUSTIVE
from tests.support.running import LONG, POSIX_ONLY, ended, environment, process

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.support.running import MakeCloud

pytestmark = POSIX_ONLY

SIGNAL_TEXTS = {signal.SIGINT: "aiozilliz: interrupted\n", signal.SIGTERM: "aiozilliz: terminated\n"}
INTERRUPTED = (-signal.SIGINT, SIGNAL_TEXTS[signal.SIGINT])

SLOW_NAMES = """
import socket, sys, threading
from aiozilliz.cli import main
def resolve(*args, **options):
    print("resolving", file=sys.stderr, flush=True)
    threading.Event().wait()
socket.getaddrinfo = resolve
sys.exit(main())
"""


@pytest.fixture
def hanging(make_fake_zilliz_cloud: MakeCloud) -> Generator[tuple[str, threading.Event], None, None]:
    """Provide the URL of a service that answers once, and the event of that."""
    cloud = make_fake_zilliz_cloud()
    answered = threading.Event()

    @cloud.between_pages
    def hang() -> None:
        cloud.fail_next(Fault.delay(10 * LONG), times=9)
        answered.set()

    yield cloud.url, answered
    cloud.clear_faults()


@pytest.mark.parametrize("command", ["list", "snapshot", "watch"])
def test_an_interrupt_does_not_wait_for_a_name_that_is_being_resolved(command: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_NAMES, command, "--base-url", "https://slow.example.com"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(ZILLIZ_API_KEY="key"),
        encoding="utf-8",
    ) as child:
        assert child.stderr is not None
        assert child.stderr.readline() == "resolving\n"
        child.send_signal(signal.SIGINT)
        assert ended(child) == INTERRUPTED


@pytest.mark.parametrize("command", ["list", "snapshot"])
def test_many_interrupts_end_it_as_one_does(command: str, hanging: tuple[str, threading.Event]) -> None:
    url, answered = hanging
    with process(command, "--timeout", "1000", "--page-size", "10", "--base-url", url) as child:
        assert answered.wait(LONG)
        for _ in range(20):
            child.send_signal(signal.SIGINT)
        status, errors = ended(child)

    assert status == -signal.SIGINT
    assert set(errors.splitlines()) == {"aiozilliz: interrupted"}


AGAIN = """
import signal, sys
from aiozilliz.cli import script

place = int(sys.argv.pop(1))

def tracer(frame, event, arg):
    global place
    if frame.f_code.co_name != "_interrupt":
        return None
    if event == "line":
        place -= 1
        if place == 0:
            signal.raise_signal(signal.SIGINT)
    return tracer

sys.settrace(tracer)
script()
"""


@pytest.mark.parametrize("place", range(1, 8))
def test_an_interrupt_while_one_is_handled_changes_nothing(
    place: int, hanging: tuple[str, threading.Event]
) -> None:
    url, answered = hanging
    with subprocess.Popen(
        [sys.executable, "-c", AGAIN, str(place), "list", "--timeout", "1000", "--base-url", url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(ZILLIZ_API_KEY="key"),
        encoding="utf-8",
    ) as child:
        assert answered.wait(LONG)
        child.send_signal(signal.SIGINT)
        assert ended(child) == INTERRUPTED


def test_an_interrupt_after_the_data_leaves_no_traceback() -> None:
    for _ in range(5):
        with process("list", "--demo") as child:
            assert child.stdout is not None
            for _ in range(250):
                child.stdout.readline()
            child.send_signal(signal.SIGINT)
            status, errors = ended(child)
        assert (status, errors) in {(0, ""), INTERRUPTED, (-signal.SIGINT, "")}


def test_sigterm_ends_it_in_order(hanging: tuple[str, threading.Event]) -> None:
    url, answered = hanging
    with process("list", "--timeout", "1000", "--base-url", url) as child:
        assert answered.wait(LONG)
        child.terminate()
        assert ended(child) == (-signal.SIGTERM, "aiozilliz: terminated\n")


def test_a_command_within_a_program_leaves_the_program_s_signals_alone() -> None:
    program = (
        "import signal; from aiozilliz.cli import main; before = [signal.getsignal(n) for n in (2, 15)];"
        "main(['list', '--demo']); assert [signal.getsignal(n) for n in (2, 15)] == before"
    )
    subprocess.run([sys.executable, "-c", program], env=environment(), stdout=subprocess.DEVNULL, check=True)


WHILE_STAMINA_IS_LOADED = """
import signal, sys
from aiozilliz.cli import main

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "stamina":
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)

assert "stamina" not in sys.modules
sys.meta_path.insert(0, Finder())
sys.exit(main())
"""


@pytest.mark.parametrize("command", ["list", "summary", "snapshot", "watch", "accounts"])
def test_an_interrupt_before_the_event_loop_leaves_no_warning(command: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WHILE_STAMINA_IS_LOADED, command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(ZILLIZ_API_KEY="key"),
        encoding="utf-8",
    ) as child:
        assert ended(child) == INTERRUPTED


def test_sigterm_during_a_write_leaves_no_file_behind(tmp_path: object) -> None:
    program = (
        "import os, signal, sys; from aiozilliz.cli import main;"
        "os.fsync = lambda _: signal.raise_signal(signal.SIGTERM); sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "snapshot", "--demo", "known.json"],
        env=environment(),
        cwd=str(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "aiozilliz: terminated\n")
    assert os.listdir(str(tmp_path)) == []  # noqa: PTH208  # names are enough


def test_sigterm_ends_it_also_where_interrupts_are_ignored(hanging: tuple[str, threading.Event]) -> None:
    url, answered = hanging
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN);"
        "from aiozilliz.cli import main; sys.exit(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, "list", "--timeout", "1000", "--base-url", url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(ZILLIZ_API_KEY="key"),
        encoding="utf-8",
    ) as child:
        assert answered.wait(LONG)
        child.terminate()
        assert ended(child) == (-signal.SIGTERM, "aiozilliz: terminated\n")


def test_it_dies_of_the_signal_so_that_a_shell_s_loop_ends(hanging: tuple[str, threading.Event]) -> None:
    url, answered = hanging
    loop = f"for turn in 1 2 3; do {sys.executable} -m aiozilliz summary --timeout 1000 --base-url {url}; done; echo on"
    with subprocess.Popen(
        ["/bin/sh", "-c", loop],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(ZILLIZ_API_KEY="key"),
        encoding="utf-8",
        start_new_session=True,
    ) as shell:
        assert answered.wait(LONG)
        os.killpg(shell.pid, signal.SIGINT)  # as a terminal does
        assert shell.stdout is not None
        assert shell.stdout.read() == ""
        assert ended(shell) == INTERRUPTED


PLACES = """
import signal, sys
from aiozilliz.cli import script

place, number = int(sys.argv.pop(1)), getattr(signal, sys.argv.pop(1))
calls = 0

def tracer(frame, event, arg):
    global calls
    if "aiozilliz" in frame.f_code.co_filename or "click" in frame.f_code.co_filename:
        calls += 1
        if calls == place:
            signal.raise_signal(number)

sys.setprofile(tracer)
script()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_at_any_moment_after_the_start_it_ends_without_a_traceback(
    number: signal.Signals, tmp_path: object
) -> None:
    def run(place: int) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-c", PLACES, str(place), number.name, "summary", "--demo"],
            env=environment(),
            cwd=str(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    said = {SIGNAL_TEXTS[number], ""}  # while modules are loaded it says nothing
    # Each is a process of its own. Both signals together try every 1000th place, one after the other.
    first, step = (300, 500) if EXHAUSTIVE else (300 + 1000 * (number is signal.SIGTERM), 2000)
    places = [3, 10, 100, *range(first, 12_000, step)]
    for status, _, err in map(run, places):
        assert (status, err) in {(-number, text) for text in said} | {(0, "")}, err
