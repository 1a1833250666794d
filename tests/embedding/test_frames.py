from __future__ import annotations

import ast
import inspect
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from aiozilliz import ZillizClient
from tests.embedding.examples import example

if TYPE_CHECKING:
    from aiozilliz.testing import FakeZillizCloud

WITHOUT = "the dependency group `frames` is not installed: it is larger than all else together"


async def test_records_become_rows_of_pandas_and_polars(
    fake_zilliz_cloud: FakeZillizCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    pandas: Any = pytest.importorskip("pandas", reason=WITHOUT)
    polars: Any = pytest.importorskip("polars", reason=WITHOUT)
    fake_zilliz_cloud.add(newField={"nested": [1, None]}, cuSize=None, description=None)
    records = fake_zilliz_cloud.clusters
    code = compile(example("pandas"), "frames.py", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async with ZillizClient("any-key", base_url=fake_zilliz_cloud.url) as client:
        names: dict[str, Any] = {"client": client}
        outcome = eval(code, names)  # noqa: S307 - the project's own example
        assert inspect.iscoroutine(outcome)
        await outcome

    sums: Counter[str] = Counter()
    for record in records:
        sums[record["plan"]] += record["cuSize"] or 0
    rows = names["rows"]
    assert pandas.DataFrame(rows).groupby("plan")["cuSize"].sum().to_dict() == sums
    table = polars.DataFrame(rows, infer_schema_length=None)
    grouped = table.group_by("plan").agg(polars.col("cuSize").sum())
    assert dict(grouped.iter_rows()) == sums
    assert table["clusterId"].to_list() == [record["clusterId"] for record in records]
    assert table["newField"].to_list()[-1] == {"nested": [1, None]}
    printed = capsys.readouterr().out
    assert all(plan in printed for plan in sums)
