"""Many walks within one bound, on a clock that jumps: a page takes a second, so seconds are rounds of requests."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import weakref

import pytest
from hypothesis import example, given, strategies as st

from aiozilliz import InventoryError, TransportError
from tests.support.fake_time import run_in_fake_time
from tests.support.many_accounts import EVER, SIZE, Read, Wait, World, idling, instantly, many, read, running


def last_of(pairs: Read, *names: str) -> int:
    """Give the place of the last record of these accounts."""
    return max(place for place, (name, _) in enumerate(pairs) if name in names)


# the bound, and the rounds that it needs


@pytest.mark.parametrize("verify", [False, True])
def test_three_hundred_accounts_take_the_rounds_that_the_bound_needs(*, verify: bool) -> None:
    world = World(many(300, 3), 64, verify=verify)
    pairs, rounds, error = world.read()
    assert error is None
    assert len(pairs) == len(set(pairs)) == 300 * (3 * SIZE - 1)
    assert world.peak == 64
    assert len(world.requests) == (1500 if verify else 900)
    assert rounds <= math.ceil(len(world.requests) / 64) * (1.1 if verify else 1)


@pytest.mark.parametrize("first", [True, False])
def test_a_large_account_has_all_places_when_it_is_the_last(*, first: bool) -> None:
    small, large = many(50, 1), {"large": 100}
    world = World(large | small if first else small | large, 8)
    pairs, rounds, _ = world.read()
    assert set(pairs) == world.everything
    assert world.peak == 8
    assert rounds <= math.ceil(150 / 8) + 1


@pytest.mark.parametrize("first", [True, False])
def test_small_accounts_are_not_the_last(*, first: bool) -> None:
    small, large = many(50, 1), {"large": 100}
    world = World(large | small if first else small | large, 8)
    pairs, _, _ = world.read()
    assert last_of(pairs, *small) < len(pairs) / 2
    assert last_of(pairs, "large") == len(pairs) - 1


def test_one_account_alone_has_all_places() -> None:
    world = World({"only": 33}, 16)
    pairs, rounds, _ = world.read()
    assert pairs == [("only", cluster_id) for cluster_id in world.ids("only")]
    assert rounds == 3  # the first page, then twice sixteen


def test_large_accounts_share_the_places_evenly() -> None:
    world = World({"a": 60, "b": 60, "c": 60}, 12)
    pairs, rounds, _ = world.read()
    assert rounds <= 180 / 12 + 2
    for name in world.pages:
        assert last_of(pairs, name) > len(pairs) * 0.8


def test_one_place_is_enough() -> None:
    world = World({"a": 3, "b": 1, "c": 0, "d": 2}, 1)
    pairs, rounds, _ = world.read()
    assert world.peak == 1
    assert rounds == len(world.requests)
    assert pairs == [(name, i) for name in "abcd" for i in world.ids(name)]
    assert world.requests[:3] == [("a", 1), ("a", 2), ("a", 3)]  # a listing has little time to change


@given(
    st.lists(st.integers(0, 7), max_size=12),
    st.integers(1, 9),
    st.booleans(),
    st.randoms(use_true_random=False),
)
@example([7, 7, 7], 2, True, random.Random(1))
def test_every_record_comes_once_in_its_accounts_order_within_the_bound(
    sizes: list[int], concurrency: int, verify: bool, chance: random.Random
) -> None:
    def wait(name: str, page: int) -> Wait:
        return idling(chance.choice([0.5, 5.0])) if chance.random() < 0.1 else instantly

    world = World(
        {f"a{n}": pages for n, pages in enumerate(sizes)},
        concurrency,
        verify=verify,
        takes=lambda _name, _page: chance.choice([0.0, 1.0, 3.0]),
    )
    pairs, _, error = world.read()
    assert error is None
    assert world.peak <= concurrency
    for name in world.pages:
        assert [i for account, i in pairs if account == name] == world.ids(name)
    world.before = wait
    again, _, error = world.read()
    assert error is None
    assert sorted(again) == sorted(pairs)


# accounts in trouble


@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_request_that_only_waits_gives_its_place_to_others(page: int, concurrency: int) -> None:
    world = World({"late": 3, **many(20, 2)}, concurrency)
    world.before = lambda name, number: idling(EVER) if (name, number) == ("late", page) else instantly
    came: dict[str, float] = {}

    async def main() -> None:
        now = asyncio.get_running_loop().time
        began = now()
        async for account, _ in world.iterate():
            came[account.name] = now() - began

    run_in_fake_time(main())
    assert set(came) == set(world.pages)
    assert max(came[name] for name in many(20, 2)) <= math.ceil(40 / concurrency) + 3
    assert came["late"] > EVER


def test_an_account_that_waits_asks_for_nothing_more() -> None:
    world = World({"late": 30}, 8)
    world.before = lambda _, page: idling(EVER) if page == 2 else instantly
    asked: list[int] = []

    async def main() -> None:
        task = asyncio.create_task(read(world.iterate()))
        await asyncio.sleep(EVER / 2)
        asked.append(len(world.requests))
        await task

    run_in_fake_time(main())
    assert asked == [8]  # the first page, and seven that went out together with the second
    assert len(world.requests) == 30


def test_a_wait_that_is_over_lets_the_account_go_on_at_once() -> None:
    world = World({"late": 9}, 8, takes=lambda _, page: 100.0 if page == 2 else 1.0)
    world.before = lambda _, page: idling(5.0) if page == 2 else instantly
    _, took, _ = world.read()
    assert took == 1 + 5 + 100


@pytest.mark.parametrize("answered", [0, 1])
def test_an_account_that_does_not_answer_has_one_place_and_no_more(answered: int) -> None:
    world = World({"stuck": 50, **many(60, 3)}, 6)
    world.takes = lambda name, page: EVER if name == "stuck" and page > answered else 1.0
    taken: list[int] = []

    async def main() -> float:
        now = asyncio.get_running_loop().time
        began = took = now()
        async for account, _ in world.iterate():
            if account.name != "stuck":
                took = now()
                taken.append(world.in_flight["stuck"])
        return took - began

    took = run_in_fake_time(main())
    assert len(taken) == 60 * (3 * SIZE - 1)
    assert set(taken[: len(taken) * 9 // 10]) <= {0, 1}
    assert took <= 180 / 5 + 3


def test_a_page_that_is_late_does_not_fill_all_places_with_those_behind_it() -> None:
    world = World({"late": 100, "other": 40}, 8)
    world.takes = lambda name, page: 1000.0 if (name, page) == ("late", 2) else 1.0
    pairs, _, _ = world.read()
    assert set(pairs) == world.everything
    other = last_of(pairs, "other")
    assert other == 41 * SIZE - 2  # all of it came before the late page


def test_a_failure_costs_nobody_else_anything() -> None:
    world = World({"a": 3, "broken": 5, "b": 3, "dead": 1, "c": 0}, 3)
    world.fails = lambda name, page: (name, page) in {("broken", 3), ("dead", 1)}
    pairs, _, error = world.read()
    assert error is not None
    assert list(error.failures) == ["broken", "dead"]
    assert all(type(failure) is TransportError for failure in error.failures.values())
    assert str(error).startswith("2 of 5 accounts failed")
    lost_with_them = {("broken", f"broken-{n}") for n in range(4, 9)} | {("dead", "dead-0")}
    assert set(pairs) == world.everything - lost_with_them
    assert len(pairs) == len(set(pairs))


def test_an_account_that_can_not_be_opened_is_a_failure_like_others() -> None:
    def opens(name: str) -> None:
        if name == "b":
            raise LookupError("no limiter")

    world = World({"a": 1, "b": 1, "c": 1}, 2, opens=opens)
    pairs, _, error = world.read()
    assert {name for name, _ in pairs} == {"a", "c"}
    assert error is not None
    assert list(error.failures) == ["b"]
    assert type(error.failures["b"]) is LookupError


def test_nothing_of_a_failed_account_is_under_way_when_the_end_is_told() -> None:
    world = World({"broken": 9}, 4)
    world.fails = lambda _, page: page == 2
    world.takes = lambda _, page: EVER if page > 2 else 1.0

    async def main() -> None:
        with pytest.raises(InventoryError):
            async for _ in world.iterate():
                pass
        assert not running()
        assert world.in_flight.total() == 0

    run_in_fake_time(main())


# what a slow consumer keeps waiting


@pytest.mark.parametrize("pages", [1, 3])
def test_a_slow_consumer_has_a_bounded_number_of_pages_ahead(pages: int) -> None:
    world = World(many(1000, pages), 16)
    ahead: list[int] = []

    async def main() -> None:
        async with world.iterate() as clusters:
            given: set[tuple[str, int]] = set()
            for _ in range(100):
                account, cluster = await anext(clusters)
                given.add((account.name, int(cluster.cluster_id.rpartition("-")[2]) // SIZE))
                await asyncio.sleep(100.0)
                ahead.append(len(world.requests) - len(given))
                assert not running()
            assert len(world.opened) <= len(world.requests)

    run_in_fake_time(main())
    assert max(ahead) <= 16


def test_nothing_is_asked_before_the_first_record_is_wanted_and_nothing_opened_before_its_turn() -> None:
    world = World(many(1000, 1), 4)

    async def main() -> None:
        async with world.iterate() as clusters:
            await asyncio.sleep(10.0)
            assert not world.opened
            await anext(clusters)
            assert len(world.opened) <= 8

    run_in_fake_time(main())


# its life


def test_no_accounts_are_a_normal_case() -> None:
    world = World({}, 4)
    assert world.read() == ([], 0.0, None)


def test_the_end_comes_again() -> None:
    async def main() -> None:
        clusters = World({"a": 1}, 2).iterate()
        assert len([pair async for pair in clusters]) == 1
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await anext(clusters)
            with pytest.raises(RuntimeError, match="exhausted"):
                [pair async for pair in clusters]
            await clusters.aclose()

    run_in_fake_time(main())


def test_an_error_comes_again_and_never_looks_finished() -> None:
    async def main() -> None:
        world = World({"a": 1, "dead": 1}, 2, fails=lambda name, _: name == "dead")
        clusters = world.iterate()
        for _ in range(3):
            _, _, error = await read(clusters)
            assert error is not None
            assert list(error.failures) == ["dead"]

    run_in_fake_time(main())


def test_closing_ends_all_requests_and_the_task_that_waits() -> None:
    async def main() -> None:
        world = World(many(10, 3), 4, takes=lambda _name, _page: EVER)
        clusters = world.iterate()
        waiting = asyncio.create_task(anext(clusters))
        await asyncio.sleep(1.0)
        assert world.in_flight.total() == 4
        await clusters.aclose()
        assert world.in_flight.total() == 0
        assert not running()
        with pytest.raises(RuntimeError, match="closed"):
            await waiting
        await clusters.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await anext(clusters)

    run_in_fake_time(main())


@pytest.mark.parametrize("ending", ["break", "raise", "cancel"])
def test_as_a_context_manager_it_leaves_nothing(ending: str) -> None:
    async def leave(world: World) -> None:
        async with world.iterate() as clusters:
            seen = 0
            async for _ in clusters:
                seen += 1
                if seen == 3:
                    break
            if ending == "raise":
                raise LookupError
            if ending == "cancel":
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)

    async def main() -> None:
        world = World(many(10, 3), 4)
        await asyncio.gather(asyncio.create_task(leave(world)), return_exceptions=True)
        assert not running()
        assert world.in_flight.total() == 0

    run_in_fake_time(main())


def test_a_second_task_is_refused_and_the_first_goes_on() -> None:
    async def main() -> None:
        world = World(many(3, 2), 2)
        clusters = world.iterate()
        pairs: Read = []
        first = asyncio.create_task(read(clusters, pairs))
        await asyncio.sleep(0.5)
        with pytest.raises(RuntimeError, match="another task"):
            await anext(clusters)
        await first
        assert set(pairs) == world.everything

    run_in_fake_time(main())


def test_after_a_cancelled_wait_it_can_be_read_on() -> None:
    async def main() -> None:
        world = World(many(5, 3), 4)
        clusters = world.iterate()
        pairs: Read = []
        for _ in range(4):
            task = asyncio.create_task(read(clusters, pairs))
            await asyncio.sleep(1.25)
            task.cancel()
            await asyncio.wait([task])
        await read(clusters, pairs)
        assert len(pairs) == len(set(pairs))
        assert set(pairs) == world.everything

    run_in_fake_time(main())


def test_where_nothing_can_be_asked_any_more_it_says_so() -> None:
    shut: list[int] = []

    def check_open() -> None:
        if shut:
            raise RuntimeError("the inventory is closed")

    async def main() -> None:
        world = World(many(5, 2), 2, check_open=check_open)
        clusters = world.iterate()
        await anext(clusters)
        shut.append(1)
        await world.life.close()
        with pytest.raises(RuntimeError, match="the inventory is closed"):
            await read(clusters)

    run_in_fake_time(main())


@pytest.mark.parametrize("landed", [False, True])
def test_one_that_is_forgotten_asks_for_nothing_more_and_ends_with_its_inventory(*, landed: bool) -> None:
    async def main() -> None:
        world = World(many(10, 5), 4)
        world.takes = lambda _, page: EVER if page > (2 if landed else 1) else 1.0 + page
        clusters = world.iterate()
        await anext(clusters)
        task = asyncio.create_task(read(clusters))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(50.0)  # what has landed lies there, and nobody has looked at it
        assert running() or landed
        asked = len(world.requests)
        forgotten = weakref.ref(clusters)
        del clusters, task
        gc.collect()
        await asyncio.sleep(100.0)
        assert running() <= 4
        assert len(world.requests) == asked
        await world.life.close()
        assert not running()
        assert world.in_flight.total() == 0
        gc.collect()
        assert forgotten() is None

    run_in_fake_time(main())


def test_the_requests_of_one_that_is_forgotten_end_by_themselves() -> None:
    async def main() -> None:
        world = World(many(10, 5), 4, takes=lambda _, page: 1.0 if page == 1 else 20.0)
        clusters = world.iterate()
        async for _ in clusters:
            if world.in_flight.total() == 4:
                break
        asked = len(world.requests)
        forgotten = weakref.ref(clusters)
        del clusters
        await asyncio.sleep(30.0)
        assert not running()
        assert len(world.requests) == asked
        gc.collect()
        assert forgotten() is None

    run_in_fake_time(main())


def test_repr_tells_how_far_it_is() -> None:
    async def main() -> None:
        async with World(many(9, 2), 2).iterate() as clusters:
            assert repr(clusters) == "<InventoryIterator: 0 accounts open, 9 to come>"
            await anext(clusters)
            assert "2 accounts open, 7 to come" in repr(clusters)

    run_in_fake_time(main())
