"""The client under the agents that people run: `nox -s agents` installs them, each in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from tests.embedding.agents.agents import AGENTS
from tests.support.detector import has_key

REQUESTS = (1 + 3) + 2 + (1 + 1)
"""Three pages with a retry, one page of a service that is down, and one after a lost connection."""

NEEDS_A_LENT_SESSION = {"aws-xray-sdk"}


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("name", AGENTS)
def test_a_client_works_under_an_agent_and_tells_it_no_key(name: str, order: str) -> None:
    try:
        version(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed; `nox -s agents` installs it")

    done = subprocess.run(
        [sys.executable, "-m", "tests.embedding.agents.program", name, order],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)
    for way in ("own", "borrowed"):
        came = outcome[way]
        assert (came["listed"], came["failed"], came["again"]) == (250, "ServerError", 250)
        assert len(came["propagated"]) == REQUESTS
        if way == "borrowed" or name not in NEEDS_A_LENT_SESSION:
            assert None not in came["propagated"]
            assert len(set(came["propagated"])) == REQUESTS  # of each request what was written for it
            assert came["recorded"].count("/v2/clusters") >= REQUESTS
        else:
            assert set(came["propagated"]) == {None}
        assert not has_key(came["recorded"])
    assert not has_key(done.stderr)
    assert has_key(outcome["planted"])  # so that the silence means something
