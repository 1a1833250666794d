from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import aiozilliz
from tests.support.running import LONG, environment, process

if TYPE_CHECKING:
    from tests.support.running import Run


def test_help_shows_examples_and_the_exit_status(run: Run) -> None:
    status, out, _ = run("--help-all")

    assert status == 0
    assert "aiozilliz list --demo" in out
    assert "130 or 143" in out
    assert "ZILLIZ_API_KEY" in out


def test_the_list_command_s_help_shows_examples(run: Run) -> None:
    status, out, _ = run("list", "--help")

    assert status == 0
    assert "aiozilliz list -o json > clusters.json\n" in out
    assert "--api-key " not in out


def test_the_version_is_the_package_s(run: Run) -> None:
    assert run("--version") == (0, f"aiozilliz {aiozilliz.__version__}\n", "")


def test_python_dash_m_runs_it() -> None:
    with process("--version") as child:
        assert child.communicate(timeout=LONG) == (f"aiozilliz {aiozilliz.__version__}\n", "")


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_words_need_neither_aiohttp_nor_wcwidth(word: str) -> None:
    program = (
        f"import sys; from aiozilliz.cli import main; main([{word!r}]);"
        "sys.exit(bool({'aiohttp', 'wcwidth', 'stamina'} & sys.modules.keys()))"
    )

    subprocess.run([sys.executable, "-c", program], env=environment(), stdout=subprocess.DEVNULL, check=True)


@pytest.mark.parametrize(
    ("missing", "args"), [("click", ["--help"]), ("wcwidth", ["list", "--demo", "-o", "table"])]
)
def test_a_missing_extra_is_named(missing: str, args: list[str]) -> None:
    # In a process of its own: here, modules that are loaded anew would stay, with classes of the same names.
    program = f"import sys; sys.modules[{missing!r}] = None; from aiozilliz.cli import main; sys.exit(main({args!r}))"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'aiozilliz[cli]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_shell_can_complete(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setenv("_AIOZILLIZ_COMPLETE", "zsh_complete")
    monkeypatch.setenv("COMP_WORDS", "aiozilliz list --api")
    monkeypatch.setenv("COMP_CWORD", "2")

    status, out, _ = run()

    assert status == 0
    assert "--api-key-file" in out


@pytest.mark.parametrize(
    ("args", "status", "lines"),
    [(["list", "--demo", "-o", "csv"], 0, 251), (["list", "--no-such-option"], 2, 0)],
)
def test_the_script_writes_all_before_it_ends_the_process(args: list[str], status: int, lines: int) -> None:
    program = "from aiozilliz.cli import script; script(); print('the process goes on')"
    done = subprocess.run(
        [sys.executable, "-c", program, *args],
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert (done.returncode, len(done.stdout.splitlines())) == (status, lines)
    assert bool(done.stderr) is bool(status)
