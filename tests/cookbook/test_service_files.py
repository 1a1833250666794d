"""The container's and the unit's commands run as they stand, as their supervisors run them."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aiozilliz.cli.app import group
from tests.cookbook.recipes import FILES
from tests.middleboxes.boxes import installed

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiozilliz.testing import FakeZillizCloud
    from tests.cookbook.conftest import StartRecipe

UNIT = configparser.ConfigParser(interpolation=None)
UNIT.optionxform = str  # type: ignore[assignment,method-assign]  # names of settings have capitals
UNIT.read_string(FILES["aiozilliz-watch.service"])
SERVICE = UNIT["Service"]
INSTALLED = "/opt/aiozilliz/bin/aiozilliz"


def dockerfile(instruction: str) -> list[str]:
    (value,) = re.findall(rf"^{instruction} (\[.*\])$", FILES["Dockerfile"], re.MULTILINE)
    return list(json.loads(value))


def unit_command(folder: Path) -> list[str]:
    command = shlex.split(SERVICE["ExecStart"])
    assert command[0] == INSTALLED
    return [part.replace("%d", str(folder)).replace("%S/aiozilliz", str(folder)) for part in command[1:]]


def container_command(folder: Path) -> list[str]:
    assert dockerfile("ENTRYPOINT") == ["aiozilliz"]
    command = dockerfile("CMD")
    return [re.sub("^(/run/secrets|/state)/", f"{folder}/", part) for part in command]


COMMANDS = [unit_command, container_command]


@pytest.fixture
def supervised(tmp_path: Path) -> Path:
    """Give the folder that a supervisor puts the key in; the state goes there as well."""
    folder = tmp_path / "service"
    folder.mkdir()
    (folder / "zilliz").write_text("any-key\n", "utf-8")
    (folder / "zilliz").chmod(0o400)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_takes_the_command(command: Callable[[Path], list[str]], supervised: Path) -> None:
    name, *arguments = command(supervised)
    watch = group.get_command(group.make_context("aiozilliz", [name]), name)
    assert watch is not None
    options = watch.make_context(name, arguments).params
    assert options["state"] == str(supervised / "known")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("first", [False, True], ids=["a process", "the first process"])
def test_it_reports_keeps_its_state_and_ends_at_sigterm(
    command: Callable[[Path], list[str]],
    first: bool,
    fake_zilliz_cloud: FakeZillizCloud,
    supervised: Path,
    start: StartRecipe,
) -> None:
    if first and not may_make_namespaces():
        pytest.skip("no right to make a PID namespace")
    whole = [sys.executable, "-m", "aiozilliz", *command(supervised), "--base-url", fake_zilliz_cloud.url]

    def run(until: str) -> list[str]:
        process = start(*(in_a_namespace(*whole) if first else whole))
        assert process.stdout is not None
        told: list[str] = []
        for line in process.stdout:
            told.append(json.loads(line)["cluster"]["clusterId"])
            if told[-1] == until:
                break
        stop(process, within=first)
        out, err = process.communicate(timeout=60)
        assert out == ""
        assert err in {"", "aiozilliz: terminated\n"}
        assert process.returncode in {-signal.SIGTERM, 128 + signal.SIGTERM}
        return told

    listed = [record["clusterId"] for record in fake_zilliz_cloud.clusters]
    assert run(listed[-1]) == listed
    new = fake_zilliz_cloud.add()
    # The event that was being printed may not have been kept.
    assert run(new) in ([new], [listed[-1], new])


def may_make_namespaces() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(in_a_namespace("true"), capture_output=True, check=False).returncode == 0


def in_a_namespace(*command: str) -> list[str]:
    """Return a command that runs another as process 1, to which the kernel sends no signal that it does not handle."""
    return ["unshare", "--pid", "--fork", "--kill-child", *command]


def stop(process: subprocess.Popen[str], *, within: bool) -> None:
    """Send SIGTERM to the process, or to the one within the namespace."""
    if not within:
        process.terminate()
        return
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()
    subprocess.run(["kill", "-TERM", *children], check=True)  # noqa: S607 - whichever kill there is


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    systemd_analyze = installed("systemd-analyze", "systemd")
    program = shutil.which("true")
    assert program is not None
    unit = tmp_path / "aiozilliz-watch.service"
    unit.write_text(FILES["aiozilliz-watch.service"].replace(INSTALLED, program), "utf-8")

    done = subprocess.run(
        [systemd_analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )

    if "Failed to" in done.stderr and str(unit) not in done.stderr and unit.name not in done.stderr:
        pytest.skip(f"systemd-analyze does not work here: {done.stderr}")
    assert unit.name not in done.stderr, done.stderr
    assert str(unit) not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr


def test_systemd_finds_faults_in_a_unit(tmp_path: Path) -> None:
    # Otherwise the test above would show nothing.
    systemd_analyze = installed("systemd-analyze", "systemd")
    unit = tmp_path / "aiozilliz-watch.service"
    unit.write_text(FILES["aiozilliz-watch.service"].replace("RestartSec=30", "RestartSeconds=soon"), "utf-8")

    done = subprocess.run(
        [systemd_analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )

    if "Failed to" in done.stderr and unit.name not in done.stderr:
        pytest.skip(f"systemd-analyze does not work here: {done.stderr}")
    assert "RestartSeconds" in done.stderr


def test_the_unit_restarts_after_failures_that_another_start_can_mend() -> None:
    assert SERVICE["Type"] == "exec"
    assert SERVICE["Restart"] == "on-failure"
    assert SERVICE["RestartPreventExitStatus"].split() == ["2", "3"]  # wrong usage, a refused key
