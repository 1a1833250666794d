"""What all operations of a soak share: the services, the histories of their lists, clients, and the outcome."""

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
"""The clouds that send a `count`: without one no reading is consistent, and a watch has no events."""

KEY: Final = "good-key"
SLOTS: Final = 8
"""Slots of the limiter that half of the clients share."""

_RETRY: Final = RetryPolicy(attempts=3, deadline=20, wait_initial=0.002, wait_max=0.02, wait_jitter=0.005)
_KEPT_VIOLATIONS: Final = 20


class Walked(Protocol):
    """Wraps an iterator of clusters for its reader, so that a test can plant a bug."""

    def __call__(self, clusters: AsyncIterator[Cluster], /) -> AsyncIterator[Cluster]: ...


@define
class Ledger:
    """The outcome of a soak.

    Attributes:
        outcomes: How often each kind of operation ended in which way.
        violations: The first 20 violations.
        violated: How many violations there were.
    """

    outcomes: Counter[str] = field(factory=Counter[str])
    violations: list[str] = field(factory=list[str])
    violated: int = 0

    def report(self, what: str) -> None:
        """Record a violation."""
        self.violated += 1
        if len(self.violations) < _KEPT_VIOLATIONS:
            self.violations.append(what)


@define
class World:
    """All that operations share: the services, their histories, and clients that live as long as the soak.

    Attributes:
        calm: Set when the services must stop changing and failing.
        settle: Set when they have stopped, so that a watch can reach the final list.
    """

    seed: int
    services: Services
    ledger: Ledger
    walked: Walked
    histories: list[History] = field(factory=list[History])
    clients: list[ZillizClient] = field(factory=list[ZillizClient])
    limiter: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(SLOTS))
    calm: asyncio.Event = field(factory=asyncio.Event)
    settle: asyncio.Event = field(factory=asyncio.Event)

    async def begin(self) -> None:
        """Record the lists as they are at the start."""
        for place, setting in enumerate(CLOUDS):
            history = History(counted=setting.get("shape") != "array")
            history.begin(await self.services.do(place, "list"))
            self.histories.append(history)

    def client(self, cloud: int, *, limited: bool = False) -> ZillizClient:
        """Return a client of a cloud, which uses the shared limiter if `limited`."""
        limiter = self.limiter if limited else None
        return ZillizClient(KEY, base_url=self.services.urls[cloud], retry=_RETRY, limiter=limiter)

    def inventory(self, rng: Random, *, refused: bool) -> Inventory:
        """Return an inventory of all clouds.

        Args:
            rng: Decides how many requests it may have in flight.
            refused: Whether to add an account whose key is refused.
        """
        accounts = [Account(str(cloud), KEY, base_url=url) for cloud, url in enumerate(self.services.urls)]
        if refused:
            accounts.append(Account("refused", "bad-key", base_url=self.services.urls[0]))
        return Inventory(accounts, concurrency=rng.randint(1, 8), retry=_RETRY, limiter=None)

    def judge_error(self, error: Exception, history: History, span: Span, what: str) -> str:
        """Return how an operation ended, and report an error that has no reason."""
        incomplete = isinstance(error, IncompleteListingError)
        excused = history.was_troubled(span) or (
            incomplete and not (history.counted and history.was_quiet(span))
        )
        if not excused:
            self.ledger.report(f"{what}: an error without a reason: {error!r}")
        return type(error).__name__

    def report_all(self, what: str, wrong: list[str]) -> None:
        """Record the violations that an oracle has found."""
        for text in wrong:
            self.ledger.report(f"{what}: {text}")
