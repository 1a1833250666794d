"""What every test gets: an environment without the developer's own keys, and hypothesis without a clock.

`AIOZILLIZ_UVLOOP=1` runs the suite under uvloop, but for tests that bring a loop of their own. `AIOZILLIZ_EXHAUSTIVE=1`
runs every case, and ten times as many examples of hypothesis.
"""

from __future__ import annotations

import asyncio
import gc
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from aiozilliz._settings.redaction import KNOWN_KEYS
from tests.support.exhaustive import EXHAUSTIVE

if TYPE_CHECKING:
    from pathlib import Path

settings.register_profile(
    "aiozilliz", max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("exhaustive", settings.get_profile("aiozilliz"), max_examples=300)
settings.load_profile("exhaustive" if EXHAUSTIVE else "aiozilliz")

if os.environ.get("AIOZILLIZ_UVLOOP") == "1":
    import uvloop

    # Deprecated, but nothing else reaches the loops that tests and fakes make themselves.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # pyright: ignore[reportDeprecated]


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return one worker more than there are processors: some tests wait, for a timeout or another process."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish() -> None:
    """Let no garbage collection walk over the thousands of tests that were collected: many tests ask for one."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def forget_keys() -> None:
    """Let no key of an earlier test in this process, where it is a word such as "a", be cut out of a text."""
    for table in (KNOWN_KEYS._keys, KNOWN_KEYS._windows, KNOWN_KEYS._words):
        table.clear()


_FOREIGN = ("ZILLIZ_API_KEY", "NETRC", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hide the machine's keys and proxies; give the folder, not there yet, of the official CLI's files."""
    for name in _FOREIGN:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    folder = tmp_path_factory.getbasetemp() / "no-zilliz-files"
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(folder))
    return folder
