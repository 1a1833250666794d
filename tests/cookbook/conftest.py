"""What recipes find in their environment: a user who has logged in to the fake cloud."""

from __future__ import annotations

from contextlib import suppress
from subprocess import DEVNULL, PIPE, Popen
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.cookbook import recipes
from tests.embedding.conftest import logged_in, strict_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["logged_in", "strict_environment"]

PATIENCE = 60.0
"""Seconds after which a process that does not end fails the test."""


class StartRecipe(Protocol):
    def __call__(self, *command: str, **environment: str) -> Popen[str]: ...


@pytest.fixture
def start(strict_environment: dict[str, str], tmp_path: Path) -> Iterator[StartRecipe]:
    """Start a command beside the recipes' files, in the environment of somebody who has logged in. Kill it in the end."""
    started: list[Popen[str]] = []

    def start_one(*command: str, **environment: str) -> Popen[str]:
        process = Popen(
            command,
            cwd=tmp_path,
            # Development mode would log each callback that a slow machine makes slow.
            env={**strict_environment, "PYTHONDEVMODE": "", **environment},
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        with suppress(ValueError):  # its output was read to the end
            process.communicate(timeout=PATIENCE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with all Python files of the cookbook."""
    recipes.write(tmp_path, *(name for name in recipes.FILES if name.endswith(".py")))
    return tmp_path
