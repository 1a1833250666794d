"""Streaming a million clusters: memory at its highest, against a set of their ids alone.

An id that has been given must be remembered, so that none is given twice; nothing else should grow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.compare.report import Row, make_row
from benchmarks.compare.stand import Server, compare
from benchmarks.compare.works.allocation import measure

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDS: Final = 1_000_000
_MEGABYTE: Final = 1 / (1024 * 1024)


def run(_: int | None, records: int = RECORDS) -> Iterator[Row]:
    """Measure once: nothing in it is a matter of chance."""
    works = ("clusters", "ids", "ids", "dicts")
    with Server(records=records) as server:
        ours, ids, again, dicts = measure([(name, server.url, records) for name in works])
    name = f"stream {records:,} records"
    note = f"{ours / records:.0f} bytes a record"
    for subject, taken, label, control in (
        ("aiozilliz", ours, "a set of the ids", False),
        ("aiohttp + orjson, keeps none", dicts, "a set of the ids", False),
        ("control", again, "the same again", True),
    ):
        yield make_row(
            name,
            subject,
            label,
            compare([taken], [ids]),
            unit="MiB",
            scale=_MEGABYTE,
            note=note if subject == "aiozilliz" else "",
            control=control,
        )
