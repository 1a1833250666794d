from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.cookbook.recipes import FILES

if TYPE_CHECKING:
    from aiozilliz.testing import FakeZillizCloud

WITHOUT = "the dependency group `frames` is not installed: it is larger than all else together"


def test_records_become_rows_of_pandas_and_polars(
    fake_zilliz_cloud: FakeZillizCloud, strict_environment: dict[str, str]
) -> None:
    pytest.importorskip("pandas", reason=WITHOUT)
    pytest.importorskip("polars", reason=WITHOUT)
    fake_zilliz_cloud.add(newField={"nested": [1, None]}, cuSize=None, description=None)

    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", FILES["frames.py"]],
        env={**strict_environment, "PYTHONWARNINGS": "", "PYTHONDEVMODE": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    sums: Counter[str] = Counter()
    for record in fake_zilliz_cloud.clusters:
        sums[record["plan"]] += record["cuSize"] or 0
    assert done.returncode == 0, done.stderr
    of_pandas, of_polars = map(json.loads, done.stdout.splitlines())
    assert of_pandas == sums
    assert {row["plan"]: row["cuSize"] for row in of_polars} == sums
