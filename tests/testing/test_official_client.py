"""The official command-line client takes the fake for the service. It runs where `nox -s bench` has installed it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from aiozilliz.testing import FakeZillizCloud, Fault
from benchmarks.compare.peers.zilliz_cli import VERSION, cache_folder

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = cache_folder() / f"zilliz-cli-{VERSION}-{sys.implementation.cache_tag}"

pytestmark = pytest.mark.skipif(
    not (FOLDER / "installed").exists(), reason="the official client is not installed: nox -s bench"
)


def run(cloud: FakeZillizCloud, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "credentials").write_text("[default]\napi_key = k\n", encoding="utf-8")
    (folder / "config").write_text(f"[default]\nbase_url = {cloud.url}\n", encoding="utf-8")
    environment = {"ZILLIZ_CONFIG_DIR": str(folder), "ZILLIZ_API_KEY": "", "HOME": str(folder)}
    return subprocess.run(
        [FOLDER / "bin" / "zilliz", "cluster", "list", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_it_lists_all_clusters_with_all_their_fields(tmp_path: Path) -> None:
    with FakeZillizCloud(250, api_key="k") as cloud:
        done = run(cloud, tmp_path, "--all", "-o", "json")
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout) == list(cloud.clusters)
        assert len(cloud.requests) == 3


def test_it_shows_one_page_and_takes_what_was_changed(tmp_path: Path) -> None:
    with FakeZillizCloud(25, api_key="k") as cloud:
        added = cloud.add(index=0, deployment_option="Dedicated", cluster_name="newcomer")
        done = run(cloud, tmp_path, "--page-size", "10", "--page", "1", "-o", "json")
        assert done.returncode == 0, done.stderr
        assert added in done.stdout
        assert "newcomer" in done.stdout


def test_it_tells_the_refusals_that_it_knows(tmp_path: Path) -> None:
    with FakeZillizCloud(3, api_key="other") as cloud:
        refused = run(cloud, tmp_path, "-o", "json")
        assert refused.returncode != 0
        cloud.api_key = "k"
        wrong = run(cloud, tmp_path, "--page-size", "101")
        assert wrong.returncode != 0
        assert "The parameter value for pageSize should be between 1 and 100." in wrong.stdout + wrong.stderr


def test_it_tries_again_what_it_should(tmp_path: Path) -> None:
    with FakeZillizCloud(3, api_key="k") as cloud:
        cloud.fail_next(Fault.status(503))
        done = run(cloud, tmp_path, "-o", "json")
        assert done.returncode == 0, done.stderr
        assert [request.status for request in cloud.requests] == [503, 200]
