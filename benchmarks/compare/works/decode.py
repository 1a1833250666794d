"""Decoding a page of 100 clusters, without a network.

Only this work uses a private name of the package, as no public one decodes the bytes of a page.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from aiozilliz._http.wire import read_answer
from benchmarks.compare.peers.handwritten import decode_by_hand
from benchmarks.compare.records import make_body, make_odd_record, make_record
from benchmarks.compare.report import Row, make_row
from benchmarks.compare.stand import alternate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiozilliz import ClusterPage

RECORDS = 100
REPEAT = 100
"""Pages decoded in one timed run."""


def measure_decode(rounds: int | None) -> Iterator[Row]:
    """Measure a page of known fields, and one whose records have newer fields, most of them with a null."""
    plain = make_body([make_record(i) for i in range(RECORDS)], count=RECORDS)
    odd = make_body([make_odd_record(i) for i in range(RECORDS)], count=RECORDS)
    assert len(_decode(plain).clusters) == len(_decode(odd).clusters) == len(decode_by_hand(plain)) == RECORDS
    timing = alternate(
        {
            "aiozilliz": _repeat(_decode, plain),
            "odd": _repeat(_decode, odd),
            "hand": _repeat(decode_by_hand, plain),
            "copy": _repeat(decode_by_hand, plain),
            "orjson": _repeat(orjson.loads, plain),
        },
        rounds or 30,
        at_most=15.0,
    )
    times = timing.cpu  # nothing waits here
    name = f"decode a page of {RECORDS}"
    page = 1000.0 / REPEAT
    hand = times.ratio("aiozilliz", "hand")
    odd_ratio = times.ratio("odd", "aiozilliz")
    yield make_row(name, "aiozilliz", "orjson + frozen attrs by hand", hand, scale=page)
    yield make_row(name, "aiozilliz", "orjson alone, dicts", times.ratio("aiozilliz", "orjson"), scale=page)
    yield make_row(f"{name}, newer fields and nulls", "aiozilliz", "itself without", odd_ratio, scale=page)
    yield make_row(name, "control", "the same again", times.ratio("copy", "hand"), scale=page, control=True)


def _decode(body: bytes) -> ClusterPage:
    return read_answer(
        200, {}, body, page=1, page_size=RECORDS, now=datetime.now(UTC), max_bytes=16 * 1024 * 1024
    )


def _repeat(decode: Callable[[bytes], object], body: bytes) -> Callable[[], None]:
    def work() -> None:
        for _ in range(REPEAT):
            decode(body)

    return work
