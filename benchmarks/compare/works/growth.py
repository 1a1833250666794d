"""How cost grows with the number of records and of accounts: `python -m benchmarks --growth`.

If the cost of each further one stays the same, growth is linear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from attrs import asdict, frozen

from aiozilliz import ZillizClient
from benchmarks.compare.peers.subject import make_accounts, walk_accounts, walk_clusters
from benchmarks.compare.report import describe_machine, draw_table
from benchmarks.compare.stand import Loop, Server, alternate
from benchmarks.compare.works.memory import RECORDS_OF_ACCOUNT, measure_peaks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

RECORDS: Final = (100, 1_000, 10_000, 100_000, 1_000_000)
ACCOUNTS: Final = (1, 10, 100, 1_000)

_AT_ONCE: Final = 64
_LONG_ENOUGH: Final = 10_000
"""The least number of records in one timed run, so that no run is too short for the clock."""


@frozen
class Growth:
    """What a number of things cost.

    Attributes:
        kind: What they are.
        number: How many.
        seconds: The median time to read them.
        bytes_at_most: Peak of allocated memory.
        further_seconds: Seconds of each one more than in the row before, or of each one in the first row.
        further_bytes: Bytes of each one more, in the same way.
    """

    kind: str
    number: int
    seconds: float
    bytes_at_most: int
    further_seconds: float
    further_bytes: float


def run(records: Sequence[int] = RECORDS, accounts: Sequence[int] = ACCOUNTS) -> Iterator[Growth]:
    """Measure time and memory for these numbers of records, and of accounts with 300 records each."""
    yield from _follow("record", records, _read_records)
    yield from _follow("account", accounts, _read_accounts)


def _follow(kind: str, numbers: Sequence[int], read: Callable[[int], tuple[float, int]]) -> Iterator[Growth]:
    before = (0, 0.0, 0)
    for number in numbers:
        seconds, taken = read(number)
        more = number - before[0]
        yield Growth(kind, number, seconds, taken, (seconds - before[1]) / more, (taken - before[2]) / more)
        before = (number, seconds, taken)


def _read_records(number: int) -> tuple[float, int]:
    with Server(records=number) as server:
        with Loop() as loop:
            client = loop.enter(lambda: ZillizClient("any-key", base_url=server.url, limiter=None))
            walk = loop.work(walk_clusters, client)
            assert walk() == number
            seconds = _time(walk, number)
        return seconds, measure_peaks([("clusters", server.url, number)])[0]


def _read_accounts(number: int) -> tuple[float, int]:
    with Server(records=RECORDS_OF_ACCOUNT) as server:
        with Loop() as loop:
            walk = loop.work(walk_accounts, make_accounts(server.url, number), 100, _AT_ONCE)
            assert walk() == number * RECORDS_OF_ACCOUNT
            seconds = _time(walk, number * RECORDS_OF_ACCOUNT)
        return seconds, measure_peaks([("accounts", server.url, number)])[0]


def _time(walk: Callable[[], object], records: int) -> float:
    repeat = max(1, _LONG_ENOUGH // records)

    def work() -> None:
        for _ in range(repeat):
            walk()

    return alternate({"walk": work}, 5, at_most=5.0).wall.median("walk") / repeat


def to_markdown(rows: Sequence[Growth], seconds: float) -> str:
    """Return the table, and below it the machine."""
    head = ("read", "time", "each", "each further one", "memory at most", "each", "each further one")
    cells = [
        (
            f"{row.number:,} {row.kind}{'s' if row.number > 1 else ''}",
            f"{row.seconds * 1000:,.1f} ms",
            f"{row.seconds / row.number * 1e6:,.1f} us",
            f"{row.further_seconds * 1e6:,.1f} us",
            f"{row.bytes_at_most / 1024:,.0f} KiB",
            f"{row.bytes_at_most / row.number:,.0f} bytes",
            f"{row.further_bytes:,.0f} bytes",
        )
        for row in rows
    ]
    note = f"An account has {RECORDS_OF_ACCOUNT} records on 3 pages; of many accounts {_AT_ONCE} requests are in flight."
    return "\n".join([draw_table([head, *cells]), "", f"{describe_machine()}. {seconds:.0f} s in all.", note])


def to_json(rows: Sequence[Growth], seconds: float) -> str:
    """Return the same as JSON."""
    content: dict[str, Any] = {
        "machine": describe_machine(),
        "seconds": seconds,
        "rows": [asdict(row) for row in rows],
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2).decode()
