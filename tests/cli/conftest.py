from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiozilliz.cli import main

if TYPE_CHECKING:
    from tests.support.running import Capture, Run


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ZILLIZ_API_KEY", "env-key")
    return "env-key"


@pytest.fixture
def run(capsys: Capture) -> Run:
    def run_here(*args: str) -> tuple[int, str, str]:
        status = main(args)
        out, err = capsys.readouterr()
        return status, out, err

    return run_here
