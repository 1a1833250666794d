from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import stamina.instrumentation

import aiozilliz
from aiozilliz.testing import FakeZillizCloud, Fault
from tests.support.running import LONG, POSIX_ONLY, ended, environment, process

if TYPE_CHECKING:
    from tests.support.running import MakeCloud, Run


def test_a_refused_key_is_status_3_in_one_line(key: str, make_fake_zilliz_cloud: MakeCloud, run: Run) -> None:
    cloud = make_fake_zilliz_cloud(api_key="another")

    status, out, err = run("list", "--base-url", cloud.url)

    assert (status, out, err.count("\n")) == (3, "", 1)
    assert err.startswith("aiozilliz: ")
    assert key not in err


def test_debug_shows_the_traceback_and_not_the_key(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(api_key="another")

    status, _, err = run("list", "--debug", "--base-url", cloud.url)

    assert status == 3
    assert "Traceback" in err
    assert "AuthenticationError" in err
    assert key not in err


@pytest.mark.parametrize(("form", "lines"), [("jsonl", 10), ("table", 11)])
def test_what_came_before_a_failure_stands(
    form: str,
    lines: int,
    key: str,
    make_fake_zilliz_cloud: MakeCloud,
    run: Run,
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=20)
    cloud.between_pages(lambda: cloud.fail_next(Fault.code(96008, "no\nsuch page")))

    status, out, err = run("list", "-o", form, "--page-size", "10", "--base-url", cloud.url)

    assert status == 1
    assert len(out.splitlines()) == lines
    assert err.count("\n") == 1
    assert "no such page" in err.replace(r"\n", " ")


def test_the_array_of_a_failed_listing_stays_open(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=20)
    cloud.between_pages(lambda: cloud.fail_next(Fault.code(96008, "no")))

    status, out, _ = run("list", "-o", "json", "--page-size", "10", "--base-url", cloud.url)

    assert status == 1
    assert out.count("clusterId") == 10
    with pytest.raises(json.JSONDecodeError):
        json.loads(out)
    assert len(json.loads(out + "]")) == 10


def test_a_listing_that_fails_at_once_writes_no_data(
    key: str, fake_zilliz_cloud: FakeZillizCloud, run: Run
) -> None:
    fake_zilliz_cloud.fail_next(Fault.code(96008, "no"))

    assert run("list", "-o", "json", "--base-url", fake_zilliz_cloud.url)[:2] == (1, "")


def test_a_retry_is_reported_in_the_debug_log_only(
    key: str, fake_zilliz_cloud: FakeZillizCloud, run: Run
) -> None:
    fake_zilliz_cloud.fail_next(Fault.reset(), times=2)

    quiet = run("list", "--base-url", fake_zilliz_cloud.url)
    fake_zilliz_cloud.fail_next(Fault.reset())
    _, _, err = run("list", "--debug", "--base-url", fake_zilliz_cloud.url)

    assert (quiet[0], quiet[2]) == (0, "")
    assert "aiozilliz: " in err
    assert key not in err
    assert not logging.getLogger("aiozilliz").handlers


_STRUCTLOG = """
class Logger:
    def warning(self, *args, **kwargs):
        print("structlog writes this", args, kwargs)

def get_logger(*args):
    return Logger()
"""


def test_nothing_but_data_is_on_standard_output_whatever_is_installed(
    tmp_path: Path, fake_zilliz_cloud: FakeZillizCloud
) -> None:
    (tmp_path / "structlog.py").write_text(_STRUCTLOG)
    path = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
    fake_zilliz_cloud.fail_next(Fault.status(503), times=2)

    with process("list", "-o", "json", "--base-url", fake_zilliz_cloud.url, PYTHONPATH=path) as child:
        out, err = child.communicate(timeout=LONG)

    assert len(json.loads(out)) == 250
    assert (child.returncode, err) == (0, "")


def test_hooks_that_an_application_has_set_are_left_to_it(
    key: str, fake_zilliz_cloud: FakeZillizCloud, run: Run
) -> None:
    def hook(details: object) -> None:
        raise AssertionError(f"the command line has no hooks: {details}")

    stamina.instrumentation.set_on_retry_hooks([hook])
    try:
        fake_zilliz_cloud.fail_next(Fault.status(503))
        assert run("list", "--base-url", fake_zilliz_cloud.url)[0] == 0
        assert stamina.instrumentation.get_on_retry_hooks() == (hook,)
    finally:
        stamina.instrumentation.set_on_retry_hooks(None)


@pytest.mark.parametrize("debug", [False, True])
def test_a_bug_is_reported_in_one_line_and_debug_shows_where(
    debug: bool, key: str, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    def broken(*args: Any, **options: Any) -> Any:
        raise KeyError("surprise")

    monkeypatch.setattr(aiozilliz, "ZillizClient", broken)

    status, _, err = run("list", *(["--debug"] if debug else []))

    assert status == 1
    assert err.splitlines()[-1].startswith("aiozilliz: this is a bug in aiozilliz: KeyError: 'surprise'")
    assert ("Traceback" in err) is debug


@POSIX_ONLY
@pytest.mark.parametrize("form", ["jsonl", "json", "table"])
def test_a_closed_pipe_ends_it_quietly(form: str) -> None:
    with process("list", "--demo", "-o", form, pipesize=4096) as child:
        assert child.stdout is not None
        first = os.read(child.stdout.fileno(), 1)
        child.stdout.close()
        status, errors = ended(child)

    assert first
    assert (status, errors) == (0, "")


@POSIX_ONLY
@pytest.mark.parametrize("form", ["jsonl", "table"])
def test_an_interrupt_ends_it_though_nobody_reads(form: str) -> None:
    with process("list", "--demo", "-o", form, pipesize=4096) as child:
        assert child.stdout is not None
        os.read(child.stdout.fileno(), 1)  # it is writing, and what is left does not fit into the pipe
        child.send_signal(signal.SIGINT)
        status, errors = ended(child)

    assert (status, errors) == (-signal.SIGINT, "aiozilliz: interrupted\n")


@POSIX_ONLY
def test_an_interrupt_ends_a_wait_for_the_service(
    make_fake_zilliz_cloud: MakeCloud,
) -> None:
    cloud = make_fake_zilliz_cloud()
    answered = threading.Event()

    @cloud.between_pages
    def hang() -> None:
        cloud.fail_next(Fault.delay(10 * LONG))
        answered.set()

    with process("list", "-o", "table", "--timeout", "1000", "--base-url", cloud.url) as child:
        assert answered.wait(LONG)
        child.send_signal(signal.SIGINT)
        status, errors = ended(child)
    cloud.clear_faults()

    assert (status, errors) == (-signal.SIGINT, "aiozilliz: interrupted\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
@pytest.mark.parametrize("form", ["jsonl", "json", "table"])
def test_a_full_device_is_a_failure_in_one_line(form: str) -> None:
    with Path("/dev/full").open("w") as full, process("list", "--demo", "-o", form, stdout=full) as child:
        status, errors = ended(child)

    assert status == 1
    assert errors == "aiozilliz: the system refused: No space left on device\n"


@POSIX_ONLY
def test_a_closed_standard_output_is_a_failure_in_one_line() -> None:
    program = (
        "import sys; sys.stdout = None; from aiozilliz.cli import main; sys.exit(main(['list', '--demo']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "standard output is closed" in done.stderr


@POSIX_ONLY
@pytest.mark.parametrize(
    "args",
    [
        ["list", "-o", "table"],
        ["list", "-o", "json"],
        ["summary"],
        ["snapshot"],
        ["report", "-o", "-"],
        ["describe", "in01-x"],
        ["diff", "OLD", "--live"],
        ["accounts", "--check"],
        ["watch"],
    ],
    ids=lambda args: args[0],
)
def test_a_closed_pipe_ends_a_wait_for_the_service(
    args: list[str], make_fake_zilliz_cloud: MakeCloud, tmp_path: Path
) -> None:
    old = tmp_path / "old.json"
    old.write_text(aiozilliz.Snapshot((), datetime.now(UTC)).to_json())
    cloud = make_fake_zilliz_cloud()
    cloud.fail_next(Fault.delay(10 * LONG), times=9)
    args = [str(old) if arg == "OLD" else arg for arg in args]
    site = ("--timeout", "1000", "--base-url", cloud.url)
    with process(*args, *site, ZILLIZ_CONFIG_DIR=str(tmp_path)) as child:
        assert child.stdout is not None
        child.stdout.close()
        status, errors = ended(child)
    cloud.clear_faults()

    assert status == 0
    assert [line for line in errors.splitlines() if "not proven complete" not in line] == []


@POSIX_ONLY
def test_a_closed_pipe_does_not_keep_a_snapshot_from_its_file(
    fake_zilliz_cloud: FakeZillizCloud, tmp_path: Path
) -> None:
    file = tmp_path / "new.json"
    with process("snapshot", str(file), "--base-url", fake_zilliz_cloud.url) as child:
        assert child.stdout is not None
        child.stdout.close()
        assert ended(child) == (0, "")

    assert len(aiozilliz.Snapshot.from_json(file.read_bytes())) == 250
