"""The page itself: its list, its blocks, and that linters and type checkers take what it shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cookbook.recipes import BLOCKS, FILES, TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
HEADINGS = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
MODULES = sorted(name for name in FILES if name.endswith(".py"))


def run(folder: Path, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def anchors() -> Iterator[str]:
    for heading in HEADINGS:
        yield re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_the_list_at_the_top_has_each_recipe() -> None:
    listed = re.findall(r"^\d+\. \[(.+?)\]\(#(.+?)\): .+\.$", TEXT, re.MULTILINE)

    assert [f"{number}. {title}" for number, (title, _) in enumerate(listed, 1)] == HEADINGS
    assert [anchor for _, anchor in listed] == list(anchors())


def test_each_block_is_a_file_that_some_test_runs() -> None:
    folders = (Path(__file__).parent, ROOT / "tests" / "embedding")
    tests = "".join(path.read_text("utf-8") for folder in folders for path in folder.glob("*.py"))

    assert len(FILES) == len(BLOCKS)
    for name in FILES:
        assert re.fullmatch(r"[\w-]+(\.\w+)?", name)
        assert f'"{name}"' in tests, name


def test_it_stays_readable() -> None:
    assert TEXT.count("\n") < 720
    assert max(text.count("\n") for _, text in BLOCKS) <= 60


def test_the_files_are_formatted_and_clean(folder: Path) -> None:
    config = ["--no-cache", "--config", str(ROOT / "pyproject.toml")]
    ours = ["--config", "lint.isort.known-first-party = ['aiozilliz']"]
    # Annotations of tests, docstrings, print and assert are not what examples are about; nor is short blocking of a loop
    # that has nothing else to do, or the wait that Redis asks for.
    ignored = "ANN,ASYNC110,ASYNC240,D,INP,PLR2004,S101,SIM117,T201"
    run(folder, "ruff", "format", "--check", *config, ".")
    run(folder, "ruff", "check", *config, *ours, "--ignore", ignored, ".")


def test_the_files_have_right_types(folder: Path) -> None:
    pytest.importorskip("redis", reason="redis, which a recipe uses, is not installed")
    pytest.importorskip(
        "prometheus_client", reason="prometheus-client, which a recipe uses, is not installed"
    )
    # What `frames.py` uses is not installed, or has no types.
    checked = [name for name in MODULES if not name.startswith("test_") and name != "frames.py"]

    run(folder, "mypy", "--strict", "--config-file=", f"--cache-dir={folder / 'cache'}", *checked)
