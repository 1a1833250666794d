"""Long lists, changes, faults, cancellation and closing, in any order: what holds for each record holds in the end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aiozilliz import RetryPolicy, ZillizClient, ZillizError
from aiozilliz.testing import FakeZillizCloud, Fault
from tests.support.listing_server import quick_client

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from aiozilliz import ClusterIterator

FAULTS = {
    "503": Fault.status(503),
    "reset": Fault.reset(),
    "cut": Fault.cut(),
    "malformed": Fault.malformed(),
    "html": Fault.html(),
    "refused": Fault.status(400),
}


class Places:
    """A limiter that lets everybody through, and knows how many attempts are in flight."""

    def __init__(self) -> None:
        self.taken = 0
        self.peak = 0

    async def __aenter__(self) -> None:
        self.taken += 1
        self.peak = max(self.peak, self.taken)

    async def __aexit__(self, *details: object) -> None:
        self.taken -= 1


class Walking(RuleBasedStateMachine):
    """One walk over a fake cloud, while the list changes and the service fails."""

    client: ZillizClient
    clusters: ClusterIterator

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.seen: list[str] = []
        self.end: BaseException | None = None
        self.closed = False

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(30):
                return await coroutine

        return self.runner.run(bounded())

    @initialize(
        number=st.integers(0, 120),
        page_size=st.integers(1, 40),
        cap=st.integers(10, 100),
        concurrency=st.sampled_from([1, 2, 3, 8]),
        verify=st.booleans(),
        attempts=st.integers(1, 4),
    )
    def begin(
        self, number: int, page_size: int, cap: int, concurrency: int, attempts: int, *, verify: bool
    ) -> None:
        self.places = Places()
        self.concurrency, self.verify = concurrency, verify
        self.cloud = FakeZillizCloud(number, max_page_size=cap, echo_page_size="asked")
        self.stayed = {record["clusterId"] for record in self.cloud.clusters}
        self.ever = set(self.stayed)

        async def enter() -> None:
            await self.stack.enter_async_context(self.cloud)
            self.client = await self.stack.enter_async_context(
                quick_client(
                    self.cloud.url,
                    limiter=self.places,
                    retry=RetryPolicy(attempts=attempts, wait_initial=0, wait_max=0, wait_jitter=0),
                )
            )

        self.run(enter())
        self.clusters = self.client.iter_clusters(
            page_size=page_size, concurrency=concurrency, verify=verify, max_passes=6
        )

    @rule(number=st.integers(1, 60))
    def take(self, number: int) -> None:
        async def take() -> None:
            for _ in range(number):
                if not await self.step():
                    break

        self.run(take())

    @rule(turns=st.integers(0, 30), times=st.integers(1, 4))
    def cancel(self, turns: int, times: int) -> None:
        async def cancel() -> None:
            for _ in range(times):
                reading = asyncio.create_task(self.step())
                for _ in range(turns):
                    await asyncio.sleep(0)
                reading.cancel()
                await asyncio.wait([reading])
                assert reading.cancelled() or reading.exception() is None

        self.run(cancel())

    @rule(index=st.integers(0, 200))
    def create(self, index: int) -> None:
        self.ever.add(self.cloud.add(index=index))

    @precondition(lambda self: self.cloud.clusters)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from([record["clusterId"] for record in self.cloud.clusters]))
        self.cloud.remove(gone)
        self.stayed.discard(gone)

    @rule(fault=st.sampled_from(sorted(FAULTS)), times=st.integers(1, 3))
    def fail(self, fault: str, times: int) -> None:
        self.cloud.fail_next(FAULTS[fault], times)

    @rule(turns=st.integers(0, 30), reading=st.booleans())
    def close(self, turns: int, *, reading: bool) -> None:
        async def close() -> None:
            task = asyncio.create_task(self.step()) if reading else None
            for _ in range(turns):
                await asyncio.sleep(0)
            await self.clusters.aclose()
            assert self.places.taken == 0
            if task is not None:
                await task  # it waited, or had not begun

        self.closed = True
        self.run(close())

    async def step(self) -> bool:
        try:
            self.seen.append((await anext(self.clusters)).cluster_id)
            return True
        except asyncio.CancelledError:
            raise
        except (StopAsyncIteration, ZillizError, RuntimeError) as error:
            ended = error
        assert self.end is None or type(ended) is type(self.end)
        self.end = ended
        return False

    @invariant()
    def nobody_comes_twice(self) -> None:
        assert len(self.seen) == len(set(self.seen))

    @invariant()
    def nobody_is_made_up(self) -> None:
        assert set(self.seen) <= self.ever if hasattr(self, "ever") else not self.seen

    def teardown(self) -> None:
        try:
            if hasattr(self, "clusters"):
                self.run(self.finish())
        finally:
            self.runner.close()

    async def finish(self) -> None:
        stayed = set(self.stayed)
        self.cloud.clear_faults()
        while await self.step():
            pass
        for _ in range(2):
            assert not await self.step()
        assert len(self.seen) == len(set(self.seen))
        if self.closed:
            assert isinstance(self.end, (RuntimeError, StopAsyncIteration, ZillizError))
        elif isinstance(self.end, StopAsyncIteration):
            assert not self.verify or stayed <= set(self.seen)
        else:
            assert isinstance(self.end, ZillizError)
            assert self.end.attempts
        assert self.places.peak <= self.concurrency
        await self.stack.aclose()
        assert self.places.taken == 0
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left


TestWalking = Walking.TestCase
TestWalking.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
