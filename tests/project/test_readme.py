from __future__ import annotations

import ast
import asyncio
import functools
import inspect
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import aiozilliz
from aiozilliz import ZillizClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiozilliz.testing import FakeZillizCloud

README = Path(__file__).parents[2] / "README.md"


class Block(NamedTuple):
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"line-{self.line}"


def blocks() -> Iterator[Block]:
    text = README.read_text("utf-8")
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(text.count("\n", 0, found.start()) + 1, found[1], found[2])


BLOCKS = list(blocks())
PYTHON = [block for block in BLOCKS if block.language == "python"]
TESTS = [block for block in PYTHON if "def test_" in block.text]
PROGRAMS = [block for block in PYTHON if "asyncio.run(" in block.text and block not in TESTS]
FRAGMENTS = [block for block in PYTHON if block not in TESTS and block not in PROGRAMS]
COMMANDS = [
    (block.line, line.removeprefix("$ "))
    for block in BLOCKS
    if block.language == "console"
    for line in block.text.splitlines()
]


@pytest.fixture
def environment(
    clean_environment: Path,
    fake_zilliz_cloud: FakeZillizCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, str]:
    """Give the environment of somebody who has logged in, to the fake service, with the official command line."""
    folder = tmp_path / "zilliz"
    folder.mkdir()
    (folder / "credentials").write_text("[default]\napi_key = any-key\n", "utf-8")
    (folder / "credentials").chmod(0o600)
    (folder / "config").write_text(f"[default]\nbase_url = {fake_zilliz_cloud.url}\n", "utf-8")
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(folder))
    return os.environ | {
        "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONWARNINGS": "error",
    }


def run(*command: str, environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        command,
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def test_every_block_is_of_a_kind_that_is_run() -> None:
    assert {block.language for block in BLOCKS} == {"sh", "python", "console"}
    assert len(PROGRAMS) == 1
    assert len(TESTS) == 1
    assert len(FRAGMENTS) >= 6
    assert all(command for _, command in COMMANDS)


def test_one_command_shows_the_main_job_and_one_runs_the_tests() -> None:
    # .ci/run runs the second word by word, from a clean checkout.
    demo, tests = [block.text.strip() for block in BLOCKS if block.language == "sh"]
    venv, install = "python3 -m venv .venv", ".venv/bin/pip install -q"

    assert demo == f"{venv} && {install} '.[cli]' && .venv/bin/aiozilliz list --demo"
    # Python 3.11 comes with a pip that knows no dependency groups.
    assert tests == (
        f"{venv} && {install} 'pip>=25.1' && {install} -e '.[cli,testing]' --group dev && .venv/bin/pytest"
    )
    assert f"<!-- test-command -->\n\n```sh\n{tests}\n```\n" in README.read_text("utf-8")


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_a_program_runs(block: Block, environment: dict[str, str], tmp_path: Path) -> None:
    printed = run(sys.executable, "-c", block.text, environment=environment, folder=tmp_path)

    assert len(printed.splitlines()) == 250


@pytest.mark.parametrize("block", TESTS, ids=str)
def test_a_test_passes(block: Block, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    (tmp_path / "test_block.py").write_text(block.text, "utf-8")
    pytest_command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio"]

    printed = run(*pytest_command, str(tmp_path), environment=environment, folder=tmp_path)

    assert "1 passed" in printed


@pytest.mark.parametrize("block", FRAGMENTS, ids=str)
def test_a_fragment_runs_beside_an_open_client(
    block: Block,
    environment: dict[str, str],
    fake_zilliz_cloud: FakeZillizCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    key_file = tmp_path / "key"
    key_file.write_text("any-key\n", "utf-8")
    source = block.text.replace("/run/secrets/zilliz-api-key", str(key_file))
    code = compile(source, f"README.md:{block.line}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    connect = functools.partial(ZillizClient, base_url=fake_zilliz_cloud.url)

    async def run_fragment() -> None:
        async with connect("any-key") as client:
            names = {"client": client, "ZillizClient": connect, "aiozilliz": aiozilliz}
            outcome = eval(code, names)  # noqa: S307 - the project's own README
            assert inspect.iscoroutine(outcome)
            await outcome

    asyncio.run(run_fragment())

    assert fake_zilliz_cloud.requests
    assert "please" not in capsys.readouterr().out


@pytest.mark.parametrize(("line", "command"), COMMANDS, ids=str)
def test_a_command_works(
    line: int,
    command: str,
    environment: dict[str, str],
    fake_zilliz_cloud: FakeZillizCloud,
    tmp_path: Path,
) -> None:
    assert "aiozilliz" in re.split(r"[ )]", command)
    if "--api-key-file" in command:  # a key of one's own goes to the real service
        environment = environment | {"ZILLIZ_API_KEY": "any-key"}
        command = command.replace("--api-key-file", f"--base-url {fake_zilliz_cloud.url} --api-key-file")
    printed = run("bash", "-o", "pipefail", "-c", command, environment=environment, folder=tmp_path)

    assert printed.count("\n") == 1 if "head -1" in command else True
    assert printed or (tmp_path / "clusters.csv").stat().st_size > 1000
