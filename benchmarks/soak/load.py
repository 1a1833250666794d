"""One process that reads very many accounts at once, a tenth of which fail: time, memory and connections."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import time
from collections import defaultdict
from typing import Any, Final

from aiozilliz import Account, AuthenticationError, Inventory, InventoryError, RetryPolicy, TransportError
from benchmarks.compare.report import describe_machine, draw_table
from benchmarks.soak.figures import connections
from benchmarks.soak.service import Services

CLUSTERS: Final = 250
"""Of each account, on 3 pages."""

AT_ONCE: Final = 64
_TENTH: Final = 10
_RETRY: Final = RetryPolicy(attempts=3, wait_initial=0.01, wait_max=0.05, wait_jitter=0.01)


def run(accounts: int) -> tuple[str, list[str]]:
    """Read this many accounts, and return a table and what was wrong."""
    logging.getLogger("stamina").addHandler(logging.NullHandler())  # every retry would be logged
    return asyncio.run(_measure(accounts))


def _make_accounts(number: int, url: str, strict: str, closed: str) -> list[Account]:
    """Return accounts of which a tenth fails, by a refused key and by a port without a server in turns."""
    accounts: list[Account] = []
    for place in range(number):
        kind, site = ("account", url)
        if place % _TENTH == 0:
            kind, site = ("refused", strict) if place // _TENTH % 2 else ("closed", closed)
        accounts.append(Account(f"{kind}-{place}", f"key-{place}", base_url=site))
    return accounts


async def _measure(number: int) -> tuple[str, list[str]]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # without listening
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}"
        clouds: list[dict[str, Any]] = [{"clusters": CLUSTERS}, {"clusters": 1, "api_key": "good-key"}]
        async with Services(clouds) as services:
            url, strict = services.urls
            return await _read(_make_accounts(number, url, strict, closed), services)


async def _read(accounts: list[Account], services: Services) -> tuple[str, list[str]]:
    wrong: list[str] = []
    bits = {record["clusterId"]: 1 << place for place, record in enumerate(await services.do(0, "list"))}
    seen: defaultdict[str, int] = defaultdict(int)  # a bit for each cluster, to use little memory
    failures: dict[str, Exception] = {}
    open_before, memory_before = connections(), _peak()
    began = time.perf_counter()
    async with Inventory(accounts, concurrency=AT_ONCE, retry=_RETRY) as inventory:
        counting = asyncio.create_task(_count_connections())
        try:
            async for account, cluster in inventory.iter_clusters():
                bit = bits[cluster.cluster_id]
                if seen[account.name] & bit:
                    wrong.append(f"{account.name}: {cluster.cluster_id} came twice")
                seen[account.name] |= bit
        except InventoryError as error:
            failures = error.failures
        seconds = time.perf_counter() - began
        counting.cancel()
        most = await counting - open_before
        requests = inventory.progress.requests
    taken, left = _peak() - memory_before, connections() - open_before
    wrong += _judge(accounts, {name: mask.bit_count() for name, mask in seen.items()}, failures)
    if left:
        wrong.append(f"{left} connections are left")
    if most > AT_ONCE * 2:  # kept connections to the one host, and requests in flight to the other
        wrong.append(f"{most} connections were open at once, and {AT_ONCE} requests were allowed")
    rows = [
        ("accounts", f"{len(accounts):,}"),
        ("of which failed", f"{len(failures):,}"),
        ("records", f"{sum(mask.bit_count() for mask in seen.values()):,}"),
        ("pages", f"{requests:,}"),
        ("time", f"{seconds:.1f} s"),
        ("memory at most, beyond what it was before", f"{taken / 1024:,.0f} KiB"),
        ("connections at most", f"{most}"),
        ("connections left", f"{left}"),
    ]
    return f"{draw_table([('load', ''), *rows])}\n\n{describe_machine()}.", wrong


def _judge(accounts: list[Account], numbers: dict[str, int], failures: dict[str, Exception]) -> list[str]:
    wrong: list[str] = []
    kinds = {"refused": AuthenticationError, "closed": TransportError}
    for account in accounts:
        kind = kinds.get(account.name.partition("-")[0])
        number, failure = numbers.get(account.name, 0), failures.get(account.name)
        fits = number == CLUSTERS and failure is None if kind is None else type(failure) is kind
        if not fits:
            wrong.append(f"{account.name}: {number} records, {failure!r}")
    return wrong


async def _count_connections() -> int:
    most = 0
    try:
        while True:
            most = max(most, connections())
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        return most


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
