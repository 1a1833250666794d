"""How many pages an inventory holds, whatever its requests waited for, and that what is held never holds up everything."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st

from tests.support.exhaustive import EXHAUSTIVE
from tests.support.fake_time import run_in_fake_time
from tests.support.many_accounts import EVER, SIZE, Read, World, idling, instantly, many, read, running

if TYPE_CHECKING:
    import random
    from collections.abc import Coroutine
    from typing import Any

    from aiozilliz import InventoryIterator
    from tests.support.many_accounts import Wait

LONG = 1000.0
"""Seconds for which a consumer stands: more than all that a request waits for, but for `EVER`."""

both_kinds_of_tasks = pytest.mark.parametrize(
    "eager",
    [
        False,
        pytest.param(
            True,
            marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12"),
        ),
    ],
)


def run(main: Coroutine[Any, Any, None], *, eager: bool) -> None:
    async def with_factory() -> None:
        if eager:
            factory = getattr(asyncio, "eager_task_factory")  # noqa: B009  # mypy knows the oldest Python only
            asyncio.get_running_loop().set_task_factory(factory)
        await main

    run_in_fake_time(with_factory())


def given_of(pairs: Read) -> set[tuple[str, int]]:
    """Return the pages of which at least one record was handed on."""
    return {(name, int(cluster_id.rpartition("-")[2]) // SIZE + 1) for name, cluster_id in pairs}


def in_memory(world: World, pairs: Read) -> int:
    """Return how many pages have arrived and wait, apart from the one whose records are being handed on."""
    return len(set(world.arrived) - given_of(pairs))


async def take(clusters: InventoryIterator, number: int, pairs: Read) -> None:
    for _ in range(number):
        account, cluster = await anext(clusters)
        pairs.append((account.name, cluster.cluster_id))


# a consumer that stands


@both_kinds_of_tasks
@pytest.mark.parametrize("apart", [0.0, 0.1])
@pytest.mark.parametrize("pages", [1, 3])
def test_requests_that_waited_for_their_keys_bring_no_more_pages_than_others(
    pages: int, apart: float, *, eager: bool
) -> None:
    world = World(many(300, pages), 4)
    world.before = lambda name, _: idling(5.0 + apart * int(name[1:]))

    async def main() -> None:
        pairs: Read = []
        async with world.iterate() as clusters:
            for _ in range(3):
                await take(clusters, 1, pairs)
                await asyncio.sleep(LONG)
                assert in_memory(world, pairs) <= 4
                assert running() > 200 or pages == 1
            await read(clusters, pairs)
            assert set(pairs) == world.everything
            assert len(pairs) == len(world.everything)

    run(main(), eager=eager)


@both_kinds_of_tasks
@pytest.mark.parametrize("pages", [1, 3])
def test_requests_that_failed_once_bring_no_more_pages_than_others(pages: int, *, eager: bool) -> None:
    world = World(many(40, pages), 4, losses=lambda _, page: page == 1)

    async def main() -> None:
        pairs: Read = []
        async with world.iterate() as clusters:
            for _ in range(5):
                await take(clusters, 1, pairs)
                await asyncio.sleep(LONG)
                assert in_memory(world, pairs) <= 4
            await read(clusters, pairs)
            assert set(pairs) == world.everything

    run(main(), eager=eager)


def test_what_waits_for_room_goes_on_in_the_order_in_which_it_came() -> None:
    world = World(many(30, 1), 2)
    world.before = lambda name, _: idling(5.0 + int(name[1:]))

    async def main() -> None:
        pairs: Read = []
        async with world.iterate() as clusters:
            await take(clusters, 1, pairs)
            await asyncio.sleep(LONG)
            await read(clusters, pairs)
        assert pairs == sorted(world.everything)

    run_in_fake_time(main())


# nothing deadlocks


@both_kinds_of_tasks
@pytest.mark.parametrize("accounts", [1, 2, 4, 9])
@pytest.mark.parametrize("trouble", ["key", "retry", "refused"])
def test_pages_that_wait_for_one_before_them_never_keep_it_from_coming(
    trouble: str, accounts: int, *, eager: bool
) -> None:
    world = World(many(accounts, 6), 4)
    if trouble == "key":
        world.before = lambda _, page: idling(50.0) if page in {2, 4} else instantly
    elif trouble == "retry":
        world.losses = lambda _, page: 2 * (page in {2, 4})
    else:
        world.refusals = {(name, page): 1 for name in world.pages for page in (2, 4)}
    most = 0

    async def main() -> None:
        nonlocal most
        pairs: Read = []
        async with world.iterate() as clusters:
            while len(pairs) < len(world.everything):
                await take(clusters, 1, pairs)
                most = max(most, in_memory(world, pairs))
        assert set(pairs) == world.everything

    run(main(), eager=eager)
    assert most <= 2 * 4


def until(time: float) -> Wait:
    return idling(time - asyncio.get_running_loop().time() % LONG)


@pytest.mark.parametrize("concurrency", [4, 6])
def test_room_that_is_full_of_pages_that_wait_for_others_does_not_stay_full(concurrency: int) -> None:
    # One account after the other asks for its pages 2 and on, which wait for their keys. Those of the pages 2 come last.
    world = World(many(4, 6), concurrency, takes=lambda name, page: 1.0 + 3.0 * int(name[1:]) * (page == 1))
    world.before = lambda _, page: instantly if page == 1 else until(200.0 if page == 2 else 100.0)

    async def main() -> None:
        pairs: Read = []
        async with world.iterate() as clusters:
            await take(clusters, 4 * SIZE, pairs)
            assert given_of(pairs) == {(name, 1) for name in world.pages}
            reading = asyncio.create_task(read(clusters, pairs))
            await asyncio.sleep(150.0)
            assert in_memory(world, pairs) == concurrency
            await reading
        assert set(pairs) == world.everything

    run_in_fake_time(main())


def test_pages_that_others_wait_for_come_although_there_is_no_room() -> None:
    # The first attempts for the pages 2 are lost one after the other, and each makes room for the page 3 of the next
    # account. Then the pages 2 can be had again, all together.
    world = World(many(5, 3), 4, losses=lambda _, page: page == 2)
    tried: set[str] = set()

    def before(name: str, page: int) -> Wait:
        again = page == 2 and name in tried
        tried.update([name] if page == 2 else [])
        return until(100.0) if again else instantly

    world.before = before
    world.takes = lambda name, page: 1.0 + int(name[1:]) * (page == 2)

    async def main() -> None:
        pairs: Read = []
        async with world.iterate() as clusters:
            await take(clusters, 5 * SIZE, pairs)
            assert given_of(pairs) == {(name, 1) for name in world.pages}
            await take(clusters, 1, pairs)
            await asyncio.sleep(LONG)
            assert 4 < in_memory(world, pairs) <= 2 * 4
            await read(clusters, pairs)
        assert set(pairs) == world.everything

    run_in_fake_time(main())


page_numbers = st.lists(st.integers(0, 7), max_size=10)
chances = st.randoms(use_true_random=False)


@both_kinds_of_tasks
@settings(max_examples=1500 if EXHAUSTIVE else 50)
@given(sizes=page_numbers, concurrency=st.integers(1, 6), verify=st.booleans(), chance=chances)
def test_whatever_happens_the_bound_holds_and_everything_comes_and_no_room_is_lost(
    sizes: list[int], concurrency: int, verify: bool, chance: random.Random, *, eager: bool
) -> None:
    share = chance.choice([0.1, 0.5, 0.9])

    def before(_name: str, _page: int) -> Wait:
        return idling(chance.choice([0.0, 0.5, 5.0, 40.0])) if chance.random() < share else instantly

    world = World({f"a{n}": pages for n, pages in enumerate(sizes)}, concurrency, verify, before=before)
    world.takes = lambda _name, _page: chance.choice([0.0, 1.0, 3.0])
    world.losses = lambda _name, _page: chance.choice([0, 0, 0, 0, 1, 3])
    world.refusals = {
        (name, page): 1
        for name, pages in world.pages.items()
        for page in range(2, pages + 1)
        if chance.random() < 0.2
    }
    empty = {
        (name, page)
        for name, pages in world.pages.items()
        for page in (pages + 1, 1)
        if not pages or page > pages
    }

    async def main() -> None:
        pairs: Read = []
        clusters = world.iterate()
        while True:
            reading = asyncio.create_task(take(clusters, 1, pairs))
            if chance.random() < 0.1:  # the consumer is cancelled, and reads on
                await asyncio.wait([reading], timeout=chance.choice([0.0, 0.5]))
                reading.cancel()
            [result] = await asyncio.gather(reading, return_exceptions=True)
            if isinstance(result, StopAsyncIteration | RuntimeError):
                break
            if chance.random() < 0.2:
                await asyncio.sleep(chance.choice([0.5, 3.0, LONG]))
            assert len(set(world.arrived) - given_of(pairs) - empty) <= 2 * concurrency
        assert sorted(pairs) == sorted(world.everything)
        assert world.scheduler.pages_held == 0
        assert not running()

    run(main(), eager=eager)


@both_kinds_of_tasks
@settings(max_examples=1000 if EXHAUSTIVE else 40)
@given(sizes=page_numbers, concurrency=st.integers(1, 6), chance=chances)
def test_accounts_that_fail_keep_no_room(
    sizes: list[int], concurrency: int, chance: random.Random, *, eager: bool
) -> None:
    def before(_name: str, _page: int) -> Wait:
        return idling(chance.choice([0.0, 0.5, 5.0])) if chance.random() < 0.3 else instantly

    world = World({f"a{n}": pages for n, pages in enumerate(sizes)}, concurrency, before=before)
    world.takes = lambda _name, _page: chance.choice([0.0, 1.0, 3.0])
    world.refusals = {(name, 2): 1 for name in world.pages if chance.random() < 0.3}
    failing = {(name, chance.randint(1, 7)) for name in world.pages if chance.random() < 0.5}
    world.fails = lambda name, page: (name, page) in failing
    first = {name: page for name, page in failing if page <= max(1, world.pages[name])}

    async def main() -> None:
        pairs, _, error = await read(world.iterate())
        assert (set(error.failures) if error is not None else set()) == set(first)
        for name in world.pages:
            ids = world.ids(name)[: SIZE * (first[name] - 1) if name in first else None]
            assert [i for account, i in pairs if account == name] == ids
        assert world.scheduler.pages_held == 0
        assert not running()

    run(main(), eager=eager)


@pytest.mark.parametrize("page_2_takes", [1.0, 3.0])
def test_a_page_before_the_one_that_fails_is_still_asked_for_again(page_2_takes: float) -> None:
    world = World(many(1, 4), 4, refusals={("a000", 2): 1}, fails=lambda _, page: page == 3)
    world.takes = lambda _, page: {2: page_2_takes, 3: 2.0}.get(page, 1.0)
    pairs, _, error = world.read()
    assert error is not None
    assert given_of(pairs) == {("a000", 1), ("a000", 2)}


# healthy accounts, and iterators that end early


@both_kinds_of_tasks
def test_accounts_in_trouble_hold_nobody_back(*, eager: bool) -> None:
    world = World({**many(30, 2, "bad"), **many(30, 2, "good")}, 4)
    world.before = lambda name, _: idling(EVER) if name.startswith("bad") else instantly

    async def main() -> None:
        now = asyncio.get_running_loop().time
        began = now()
        pairs: Read = []
        async with world.iterate() as clusters:
            await take(clusters, 30 * (2 * SIZE - 1), pairs)
            assert now() - began <= 60 / 4 + 1
            assert {name[:4] for name, _ in pairs} == {"good"}

    run(main(), eager=eager)


@both_kinds_of_tasks
@pytest.mark.parametrize("ending", ["aclose", "forgotten", "the inventory is closed"])
def test_what_waits_for_room_ends_with_its_iterator(ending: str, *, eager: bool) -> None:
    world = World(many(100, 2), 4, before=lambda _name, _page: idling(5.0))

    async def main() -> None:
        clusters = world.iterate()
        await anext(clusters)
        await asyncio.sleep(LONG)
        assert running() >= 90
        sent = len(world.requests)
        if ending == "aclose":
            await clusters.aclose()
        elif ending == "forgotten":
            forgotten = weakref.ref(clusters)
            del clusters
            gc.collect()
            assert forgotten() is None
            await asyncio.sleep(0.1)
        else:
            await world.life.close()
        assert not running()
        assert len(world.requests) == sent

    run(main(), eager=eager)


def test_a_request_that_has_to_wait_for_room_once_its_iterator_is_forgotten_ends() -> None:
    world = World(many(100, 2), 4, before=lambda name, _: idling(5.0 if name < "a050" else 50.0))

    async def main() -> None:
        clusters = world.iterate()
        await anext(clusters)
        del clusters
        gc.collect()
        await asyncio.sleep(60.0)
        assert not running()
        assert len(world.requests) <= 2 * 4

    run_in_fake_time(main())
