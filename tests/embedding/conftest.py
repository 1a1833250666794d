from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from aiozilliz.testing import FakeZillizCloud


@pytest.fixture
def logged_in(fake_zilliz_cloud: FakeZillizCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the fake cloud and a key into the official command line's files, where `ZillizClient()` finds them."""
    folder = tmp_path / "zilliz"
    folder.mkdir()
    (folder / "credentials").write_text("[default]\napi_key = any-key\n", "utf-8")
    (folder / "credentials").chmod(0o600)
    (folder / "config").write_text(f"[default]\nbase_url = {fake_zilliz_cloud.url}\n", "utf-8")
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(folder))


@pytest.fixture
def strict_environment(logged_in: None) -> dict[str, str]:
    """Give the environment of a process that finds the package, and whose warnings are errors."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONWARNINGS": "error",
        "PYTHONDEVMODE": "1",
    }
