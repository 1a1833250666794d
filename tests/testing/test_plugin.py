from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aiozilliz.testing import FakeZillizCloud

PLUGIN = "aiozilliz.testing._pytest_plugin"

HELPERS = """
import http.client, json, threading
from urllib.parse import urlsplit
from aiozilliz.testing import Fault

def count(cloud, key="any"):
    connection = http.client.HTTPConnection(urlsplit(cloud.url).netloc)
    connection.request("GET", "/v2/clusters", headers={"Authorization": f"Bearer {key}"})
    response = connection.getresponse()
    body = json.loads(response.read())
    connection.close()
    return body["data"]["count"] if response.status == 200 else response.status
"""


def run(folder: Path, text: str) -> tuple[int, str]:
    (folder / "test_users.py").write_text(HELPERS + text)
    # Alone, to show that it needs no other plugin.
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "dev",
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            "-p",
            PLUGIN,
            "-p",
            "no:cacheprovider",
        ],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_fixtures_are_here_too(
    fake_zilliz_cloud: FakeZillizCloud, make_fake_zilliz_cloud: Callable[..., FakeZillizCloud]
) -> None:
    other = make_fake_zilliz_cloud(3, seed=1)
    assert len(fake_zilliz_cloud.clusters) == 250
    assert len(other.clusters) == 3
    assert other.url != fake_zilliz_cloud.url


def test_the_fixtures_run_and_end_without_another_plugin(tmp_path: Path) -> None:
    code, output = run(
        tmp_path,
        """
import pytest

def test_one(fake_zilliz_cloud):
    assert count(fake_zilliz_cloud) == 250

def test_many(make_fake_zilliz_cloud):
    first, second = make_fake_zilliz_cloud(3, api_key="a"), make_fake_zilliz_cloud(clusters=4, api_key="b")
    assert [count(first, "a"), count(second, "b"), count(second, "a")] == [3, 4, 401]
    assert threading.active_count() == 3

def test_nothing_is_left():
    assert threading.active_count() == 1
""",
    )
    assert code == 0, output
    assert "3 passed" in output


def test_unused_faults_and_bugs_in_callbacks_fail_the_test(tmp_path: Path) -> None:
    code, output = run(
        tmp_path,
        """
def test_fault(fake_zilliz_cloud):
    fake_zilliz_cloud.fail_next(Fault.reset())

def test_callback(make_fake_zilliz_cloud):
    cloud = make_fake_zilliz_cloud(1)
    cloud.between_pages(lambda: {}["bug"])
    assert count(cloud) == 1
""",
    )
    assert code == 1, output
    assert "2 passed, 2 errors" in output
    assert "were not used: Fault.reset()" in output
    assert "KeyError: 'bug'" in output


def test_the_plugin_loads_nothing_where_it_is_not_used() -> None:
    script = (
        f"import pytest, sys\nbefore = set(sys.modules)\nimport {PLUGIN}\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))\n"
        "print(*sorted({module.__name__ for name, module in sys.modules.items() if name.startswith('aiozilliz.')}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split("\n")[:2] == ["aiozilliz", f"aiozilliz aiozilliz.testing {PLUGIN}"]


def test_pytest_finds_the_plugin_where_the_package_is_installed() -> None:
    assert [entry.value for entry in entry_points(group="pytest11", name="aiozilliz")] == [PLUGIN]
