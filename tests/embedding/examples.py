"""The examples for applications, as the documentation shows them: all Python under one heading."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "README.md"

HEADING = "## In an application"

_SECTION = re.split(
    r"^## ", PAGE.read_text("utf-8").partition(f"{HEADING}\n")[2], maxsplit=1, flags=re.MULTILINE
)[0]

BLOCKS: list[str] = re.findall(r"^```python\n(.*?)^```$", _SECTION, re.MULTILINE | re.DOTALL)


def example(of: str) -> str:
    """Give the one example that contains a text."""
    (found,) = [block for block in BLOCKS if of in block]
    return found
