from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import Snapshot
from aiozilliz.testing import Fault
from tests.cookbook.recipes import FILES
from tests.support.running import complaints

if TYPE_CHECKING:
    from pathlib import Path

    from aiozilliz.testing import FakeZillizCloud

JOB = FILES["watch.py"]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def start(folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", JOB.replace("interval=60.0", "interval=0.05")],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def events_of(job: subprocess.Popen[str], number: int) -> list[str]:
    assert job.stdout is not None
    return [job.stdout.readline().strip() for _ in range(number)]


def test_sigterm_ends_it_in_order_and_a_restart_goes_on(
    fake_zilliz_cloud: FakeZillizCloud, strict_environment: dict[str, str], tmp_path: Path
) -> None:
    listed = [record["clusterId"] for record in fake_zilliz_cloud.clusters]

    with start(tmp_path, strict_environment) as job:
        assert events_of(job, 250) == [f"added {cluster_id}" for cluster_id in listed]
        new = fake_zilliz_cloud.add()
        assert events_of(job, 1) == [f"added {new}"]
        job.send_signal(signal.SIGTERM)
        out, err = job.communicate(timeout=60)
    assert (job.returncode, out, complaints(err)) == (0, "", "")
    known = Snapshot.from_json((tmp_path / "known.json").read_bytes())
    assert [cluster.cluster_id for cluster in known] == [*listed, new]
    assert not (tmp_path / "known.new").exists()

    newer = fake_zilliz_cloud.add()
    with start(tmp_path, strict_environment) as job:
        assert events_of(job, 1) == [f"added {newer}"]
        job.send_signal(signal.SIGTERM)
        out, err = job.communicate(timeout=60)
    assert (job.returncode, out, complaints(err)) == (0, "", "")


def test_sigterm_in_the_middle_of_a_reading_ends_it_as_well(
    fake_zilliz_cloud: FakeZillizCloud, strict_environment: dict[str, str], tmp_path: Path
) -> None:
    answered = threading.Event()

    @fake_zilliz_cloud.between_pages
    def leave_the_rest_unanswered() -> None:
        fake_zilliz_cloud.fail_next(Fault.delay(3600), times=None)
        answered.set()

    with start(tmp_path, strict_environment) as job:
        assert answered.wait(60)
        job.send_signal(signal.SIGTERM)
        out, err = job.communicate(timeout=60)
    fake_zilliz_cloud.clear_faults()
    assert (job.returncode, out, complaints(err)) == (0, "", "")
    assert not (tmp_path / "known.json").exists()


def test_a_failed_write_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(JOB.partition("asyncio.run(")[0], names)  # noqa: S102 - the project's own example
    (tmp_path / "known.json").write_text("old", "utf-8")

    def refuse(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    text = '{"version": 1, "taken_at": "2026-01-01T00:00:00Z", "requests": 1, "consistent": true, "clusters": []}'
    with pytest.raises(OSError, match="No space"):
        names["store"](Snapshot.from_json(text))

    assert (tmp_path / "known.json").read_text("utf-8") == "old"
