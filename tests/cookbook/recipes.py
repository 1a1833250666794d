"""The recipes of the cookbook: each block is a file, named by its first line.

`python -m tests.cookbook.recipes FOLDER` writes the Python files of all recipes there, for linters and type checkers.
"""

from __future__ import annotations

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "COOKBOOK.md"

TEXT = PAGE.read_text("utf-8")

BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)

FILES = {text.partition("\n")[0].removeprefix("# "): text for _, text in BLOCKS}
"""Name of each file to its text."""


def write(folder: Path, *names: str) -> Path:
    """Write files of the cookbook into a folder, and return the path of the first."""
    for name in names:
        (folder / name).write_text(FILES[name], "utf-8")
    return folder / names[0]


def load(folder: Path, name: str) -> Any:
    """Write a Python file of the cookbook, and return it as a module."""
    path = write(folder, name)
    spec = spec_from_file_location(f"cookbook_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # where FastAPI and attrs look annotations up
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    write(Path(sys.argv[1]), *(name for name in FILES if name.endswith(".py")))
