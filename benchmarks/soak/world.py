"""What all operations of a soak share: the services, the histories of their lists, clients, and what has come of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import define, field

from aiozilliz import Account, Cluster, IncompleteListingError, Inventory, RetryPolicy, ZillizClient
from benchmarks.soak.oracle import History

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from random import Random

    from benchmarks.soak.oracle import Span
    from benchmarks.soak.service import Services

CLOUDS: Final[tuple[dict[str, Any], ...]] = (
    {"clusters": 40, "api_key": "good-key", "seed": 1},
    {"clusters": 30, "api_key": "good-key", "seed": 2, "max_page_size": 8, "echo_page_size": "asked"},
    {"clusters": 3, "api_key": "good-key", "seed": 3},
    {"clusters": 25, "api_key": "good-key", "seed": 4, "shape": "array"},
)
WATCHED: Final = range(3)
"""The clouds that give a `count`: without one no reading is consistent, and a watch has nothing to tell."""

KEY: Final = "good-key"
PLACES: Final = 8
"""Requests in flight at once that go through the limiter which half of the clients share."""

_RETRY: Final = RetryPolicy(attempts=3, deadline=20, wait_initial=0.002, wait_max=0.02, wait_jitter=0.005)
_KEPT_VIOLATIONS: Final = 20


class Walked(Protocol):
    """Stands between an iterator of clusters and who reads it: a place for a test to plant a bug in."""

    def __call__(self, clusters: AsyncIterator[Cluster], /) -> AsyncIterator[Cluster]: ...


@define
class Ledger:
    """What has come of it.

    Attributes:
        outcomes: How often each kind of operation ended in which way.
        violations: What must not be, the first 20; `violated` is how many there were.
    """

    outcomes: Counter[str] = field(factory=Counter[str])
    violations: list[str] = field(factory=list[str])
    violated: int = 0

    def accuse(self, what: str) -> None:
        """Note a violation."""
        self.violated += 1
        if len(self.violations) < _KEPT_VIOLATIONS:
            self.violations.append(what)


@define
class World:
    """All that operations share: the services, their histories, and clients that live as long as the soak.

    Attributes:
        calm: Set when the services are to change and fail no more.
        settle: Set when they do so no more, so that a watch can come to the final list.
    """

    seed: int
    services: Services
    ledger: Ledger
    walked: Walked
    histories: list[History] = field(factory=list[History])
    clients: list[ZillizClient] = field(factory=list[ZillizClient])
    limiter: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(PLACES))
    calm: asyncio.Event = field(factory=asyncio.Event)
    settle: asyncio.Event = field(factory=asyncio.Event)

    async def begin(self) -> None:
        """Read the lists as they are in the beginning."""
        for place, setting in enumerate(CLOUDS):
            history = History(counted=setting.get("shape") != "array")
            history.begin(await self.services.do(place, "list"))
            self.histories.append(history)

    def client(self, cloud: int, *, limited: bool = False) -> ZillizClient:
        """Make a client of a cloud."""
        limiter = self.limiter if limited else None
        return ZillizClient(KEY, base_url=self.services.urls[cloud], retry=_RETRY, limiter=limiter)

    def inventory(self, rng: Random, *, refused: bool) -> Inventory:
        """Make an inventory of all clouds, and where wanted of an account whose key is refused."""
        accounts = [Account(str(cloud), KEY, base_url=url) for cloud, url in enumerate(self.services.urls)]
        if refused:
            accounts.append(Account("refused", "bad-key", base_url=self.services.urls[0]))
        return Inventory(accounts, concurrency=rng.randint(1, 8), retry=_RETRY, limiter=None)

    def judge_error(self, error: Exception, history: History, span: Span, what: str) -> str:
        """Say how an operation ended, and complain of an error for which there was no reason."""
        incomplete = isinstance(error, IncompleteListingError)
        excused = history.was_troubled(span) or (
            incomplete and not (history.counted and history.was_quiet(span))
        )
        if not excused:
            self.ledger.accuse(f"{what}: an error without a reason: {error!r}")
        return type(error).__name__

    def accuse_all(self, what: str, wrong: list[str]) -> None:
        """Note what an oracle has found."""
        for text in wrong:
            self.ledger.accuse(f"{what}: {text}")
