"""Many accounts, read by one iterator on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

from attrs import define, field

from aiozilliz import (
    Account,
    APIError,
    Cluster,
    ClusterPage,
    InventoryError,
    InventoryIterator,
    TransportError,
)
from aiozilliz._aio.cancel_scope import CancelScope, Lifetime
from aiozilliz._inventory.results import Results
from aiozilliz._inventory.scheduler import Scheduler
from aiozilliz._iteration.runner import PlanRunner
from aiozilliz._pagination.planner import PagePlanner
from tests.support.fake_time import run_in_fake_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiozilliz._aio.limiter import PageRoom

SIZE = 2
EVER = 10_000.0
"""Seconds that no test waits for to the end."""

Read = list[tuple[str, str]]
Wait: TypeAlias = "Callable[[PageRoom], Awaitable[None]]"


def lost() -> TransportError:
    return TransportError("The connection was lost")


def refused() -> APIError:
    return APIError("there is no such page", status=200, code=96009)


def idling(seconds: float) -> Wait:
    async def wait(room: PageRoom) -> None:
        room.set_idle(True)
        await asyncio.sleep(seconds)

    return wait


async def instantly(_: PageRoom) -> None:
    """Send at once."""


async def nothing() -> None:
    """Have nothing to release."""


def running() -> int:
    """Give how many requests are under way, if only those that still wait before they are sent."""
    return sum(task.get_name().startswith("aiozilliz") for task in asyncio.all_tasks())


@define
class World:
    """Accounts with so many pages each, read by one iterator.

    Attributes:
        pages: Account name to the number of its pages.
        concurrency: The bound.
        takes: Seconds that an answer takes.
        before: What a request waits for before it is sent, by account and page.
        losses: How many attempts are lost before one succeeds, each followed by a wait, by account and page.
        refusals: How often a page is refused before it comes, by account and page; it is counted down.
        fails: Whether a page can't be had.
        opens: Called before an account is opened.
    """

    pages: dict[str, int]
    concurrency: int
    verify: bool = False
    takes: Callable[[str, int], float] = lambda _name, _page: 1.0
    before: Callable[[str, int], Wait] = lambda _name, _page: instantly
    losses: Callable[[str, int], int] = lambda _name, _page: 0
    refusals: dict[tuple[str, int], int] = field(factory=dict[tuple[str, int], int])
    fails: Callable[[str, int], bool] = lambda _name, _page: False
    opens: Callable[[str], None] = lambda _: None
    check_open: Callable[[], None] = lambda: None
    requests: list[tuple[str, int]] = field(factory=list[tuple[str, int]], init=False)
    arrived: list[tuple[str, int]] = field(factory=list[tuple[str, int]], init=False)
    opened: list[str] = field(factory=list[str], init=False)
    in_flight: Counter[str] = field(factory=Counter[str], init=False)
    peak: int = field(default=0, init=False)
    scheduler: Scheduler = field(init=False)
    life: Lifetime = field(factory=lambda: Lifetime("inventory", "", lambda: True, nothing), init=False)

    def ids(self, name: str) -> list[str]:
        # The last page is not full: after a full first page that is all, another one is asked.
        return [f"{name}-{n}" for n in range(self.pages[name] * SIZE - 1)]

    @property
    def everything(self) -> set[tuple[str, str]]:
        return {(name, cluster_id) for name in self.pages for cluster_id in self.ids(name)}

    async def get(self, name: str, page: int, room: PageRoom) -> ClusterPage:
        try:
            for _ in range(self.losses(name, page)):
                await self.attempt(name, page, room)
                await idling(1.0)(room)
            await self.attempt(name, page, room)
        finally:
            room.set_idle(False)
        if self.refusals.get((name, page), 0):
            self.refusals[name, page] -= 1
            raise refused()
        if self.fails(name, page):
            raise lost()
        self.arrived.append((name, page))
        ids = self.ids(name)
        records = [Cluster(cluster_id) for cluster_id in ids[(page - 1) * SIZE : page * SIZE]]
        return ClusterPage(records, len(ids), page, SIZE)

    async def attempt(self, name: str, page: int, room: PageRoom) -> None:
        await self.before(name, page)(room)
        while not room.is_free():
            await room.wait()
        room.set_idle(False)
        self.requests.append((name, page))
        self.in_flight[name] += 1
        self.peak = max(self.peak, self.in_flight.total())
        try:
            await asyncio.sleep(self.takes(name, page))
        finally:
            self.in_flight[name] -= 1

    def start_reading(self, account: Account, on_done: Callable[[], None]) -> PlanRunner:
        self.opens(account.name)
        self.opened.append(account.name)
        planner = PagePlanner[Cluster](
            page_size=SIZE, key=attrgetter("cluster_id"), window=self.concurrency, verify=self.verify
        )

        async def fetch(page: int, _: CancelScope, room: PageRoom | None = None) -> ClusterPage:
            assert room is not None
            return await self.get(account.name, page, room)

        return PlanRunner(
            fetch,
            planner,
            name=account.name,
            url="https://x",
            scope=self.life.scope,
            life=self.life,
            on_done=on_done,
        )

    def iterate(self) -> InventoryIterator:
        accounts = [Account(name, "k") for name in self.pages]
        results = Results(accounts)
        scheduler = self.scheduler = Scheduler(results, self.start_reading, concurrency=self.concurrency)
        return InventoryIterator(scheduler, results, self.check_open, CancelScope(self.life.scope))

    def read(self) -> tuple[Read, float, InventoryError | None]:
        """Read all, and give what came, the seconds it took, and the error at the end."""
        return run_in_fake_time(read(self.iterate()))


async def read(
    clusters: InventoryIterator, pairs: Read | None = None
) -> tuple[Read, float, InventoryError | None]:
    pairs = [] if pairs is None else pairs
    now = asyncio.get_running_loop().time
    began, end = now(), None
    try:
        async for account, cluster in clusters:
            pairs.append((account.name, cluster.cluster_id))  # what came before an error counts
    except InventoryError as error:
        end = error
    return pairs, now() - began, end


def many(number: int, pages: int, prefix: str = "a") -> dict[str, int]:
    return {f"{prefix}{n:03}": pages for n in range(number)}
