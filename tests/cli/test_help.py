from __future__ import annotations

import subprocess
import sysconfig
from typing import TYPE_CHECKING

import pytest

from tests.support.running import environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.running import Run


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("lst",), "Did you mean 'list'?"),
        (("snapshots",), "Did you mean 'snapshot'?"),
        (("-o", "json", "list"), "Options come after it: aiozilliz list -o json"),
        (("list", "--format", "json"), "'--output'"),
        (("list", "--limit", "3"), "'| head'"),
        (("list", "--api-key", "secret-key-0123456789"), "'--api-key-file'"),
    ],
)
def test_a_mistake_is_told_what_was_meant(run: Run, args: tuple[str, ...], hint: str) -> None:
    status, out, err = run(*args)

    assert (status, out) == (2, "")
    assert hint in err
    assert "secret" not in err


def test_what_may_be_a_key_is_not_repeated(run: Run) -> None:
    status, _, err = run("0123456789abcdef0123456789abcdef")

    assert status == 2
    assert "0123456789" not in err
    assert "Commands are list, " in err


@pytest.mark.parametrize(
    "args",
    [
        ("list", "KEY"),
        ("list", "--page-size", "KEY"),
        ("list", "--page-size=KEY"),
        ("list", "-o", "KEY"),
        ("list", "--KEY"),
        ("list", "--org", "KEY"),
        ("list", "--demo", "--org", "KEY"),
        ("list", "--base-url", "KEY"),
        ("list", "--api-key-file", "KEY"),
        ("list", "--demo", "--status", "other,KEY"),
        ("list", "--demo", "--sort", "KEY"),
        ("list", "--demo", "--columns", "id,KEY"),
        ("list", "--from", "KEY"),
        ("summary", "--demo", "--by", "KEY"),
        ("diff", "KEY", "KEY"),
        ("watch", "--demo", "--interval", "KEY"),
        ("history", "--state", "KEY"),
        ("history", "--state", "KEY", "--since", "KEY"),
        ("describe", "--demo", "KEY"),
        ("completion", "KEY"),
        ("KEY",),
        ("--KEY", "list"),
        ("accounts", "KEY"),
    ],
)
def test_no_argument_that_looks_like_a_key_is_repeated(
    args: tuple[str, ...], key: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(tmp_path))
    secret = "0a1b2c3d4e5f0a1b2c3d4e5f0a1b2c3d4e5f"
    status, out, err = run(*(arg.replace("KEY", secret) for arg in args))

    assert status in ({0} if "--status" in args else {1, 2})
    assert err
    assert secret not in out + err
    assert secret[:10] not in err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(run: Run, shell: str) -> None:
    status, out, err = run("completion", shell)

    assert (status, err) == (0, "")
    assert f"_AIOZILLIZ_COMPLETE={shell}_complete" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("aiozilliz de", ["describe"]),
        ("aiozilliz list --status RUN", ["RUNNING"]),
        ("aiozilliz list -o js", ["json", "jsonl"]),
    ],
)
def test_the_script_s_completions_are_commands_options_and_known_values(
    words: str, expected: list[str]
) -> None:
    done = subprocess.run(
        [f"{sysconfig.get_path('scripts')}/aiozilliz"],
        env=environment(
            _AIOZILLIZ_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1)
        ),
        capture_output=True,
        text=True,
        check=False,
    )

    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == expected
    assert done.stderr == ""


def test_colour_can_be_forced_and_forbidden(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    args = ("list", "--demo", "-o", "table")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in run(*args)[1]
    monkeypatch.setenv("FORCE_COLOR", "0")
    assert "\x1b[" not in run(*args)[1]
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in run(*args)[1]
