"""`Lifetime`: what a client and an inventory have in common, without either."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from aiozilliz._aio.cancel_scope import CancelScope, Lifetime, sleep
from tests.support.fake_time import run_in_fake_time

USAGE = "async with Owner() as owner:"


class Owner:
    """Holds something, and notes when it is released."""

    def __init__(self) -> None:
        self.ready = True
        self.steps: list[str] = []
        self.life = Lifetime("owner", USAGE, self.is_ready, self.release)

    def is_ready(self) -> bool:
        return self.ready

    async def release(self) -> None:
        await asyncio.sleep(0)
        self.steps.append("released")

    async def work(self, name: str = "work", *, tidy_up: float = 0.0) -> str:
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(tidy_up)
            self.steps.append(name)
        return name


async def fail() -> None:
    await asyncio.sleep(1)
    raise LookupError("lost")


def test_it_is_entered_once() -> None:
    async def main() -> None:
        life = Owner().life
        life.enter()
        life.check_open()
        with pytest.raises(RuntimeError, match=r"^the owner is already entered$"):
            life.enter()
        life.check_open()

    run_in_fake_time(main())


def test_it_is_not_entered_after_it_was_closed() -> None:
    async def main() -> None:
        for entered in (False, True):
            life = Owner().life
            if entered:
                life.enter()
            assert not life.closed
            await life.close()
            assert life.closed
            with pytest.raises(RuntimeError, match=r"^the owner is closed; create a new one$"):
                life.enter()
            with pytest.raises(RuntimeError, match=r"^the owner is closed$"):
                life.check_open()

    run_in_fake_time(main())


def test_what_can_not_send_says_how_it_is_used() -> None:
    async def main() -> None:
        owner = Owner()
        owner.ready = False
        with pytest.raises(RuntimeError, match="the owner is not entered") as caught:
            owner.life.check_open()
        assert USAGE in str(caught.value)
        owner.ready = True
        owner.life.check_open()

    run_in_fake_time(main())


def test_what_can_never_send_again_says_so() -> None:
    def shut() -> bool:
        raise RuntimeError("the session is closed")

    async def main() -> None:
        life = Lifetime("owner", USAGE, shut, Owner().release)
        with pytest.raises(RuntimeError, match=r"^the session is closed$"):
            life.check_open()
        await life.close()
        with pytest.raises(RuntimeError, match=r"^the owner is closed$"):
            life.check_open()

    run_in_fake_time(main())


@pytest.mark.parametrize("first", ["enter", "check_open"])
def test_it_belongs_to_the_loop_in_which_it_was_used_first(first: str) -> None:
    owner = Owner()

    async def call(name: str) -> None:
        getattr(owner.life, name)()

    asyncio.run(call(first))
    with pytest.raises(RuntimeError, match="the owner belongs to another event loop"):
        asyncio.run(call("check_open"))
    if first == "check_open":
        with pytest.raises(RuntimeError, match="the owner belongs to another event loop"):
            asyncio.run(call("enter"))


def test_a_task_that_ends_by_itself_has_its_result_or_its_error() -> None:
    async def main() -> None:
        owner = Owner()
        task = owner.life.start(owner.work(), name="a name")
        assert task.get_name() == "a name"
        assert await task == "work"
        with pytest.raises(LookupError, match="lost"):
            await owner.life.start(fail(), name="failing")
        await owner.life.close()
        assert owner.steps == ["work", "released"]

    run_in_fake_time(main())


def test_closing_ends_the_tasks_and_waits_for_them_and_releases_last() -> None:
    async def main() -> None:
        owner = Owner()
        owner.life.enter()
        tasks = [
            owner.life.start(owner.work(f"after {seconds} s", tidy_up=seconds), name="work")
            for seconds in (3.0, 1.0)
        ]
        now = asyncio.get_running_loop().time
        await asyncio.sleep(1)
        began = now()
        await owner.life.close()
        assert now() - began == 3
        assert all(task.cancelled() for task in tasks)
        assert owner.steps == ["after 1.0 s", "after 3.0 s", "released"]

    run_in_fake_time(main())


def test_closing_ends_what_waits_under_its_scope_without_cancelling_it() -> None:
    async def main() -> None:
        owner = Owner()
        task = asyncio.create_task(sleep(30, CancelScope(owner.life.scope)))
        await asyncio.sleep(1)
        await owner.life.close()
        with pytest.raises(RuntimeError, match=r"^the owner is closed$"):
            await task
        assert task.cancelling() == 0

    run_in_fake_time(main())


def test_it_may_be_closed_twice_and_by_two_tasks() -> None:
    async def main() -> None:
        owner = Owner()
        owner.life.start(owner.work(tidy_up=2.0), name="work")
        await asyncio.sleep(1)
        await asyncio.gather(owner.life.close(), owner.life.close())
        assert owner.steps == ["work", "released", "released"]
        await owner.life.close()

    run_in_fake_time(main())


def test_a_task_of_its_own_may_close_it() -> None:
    async def main() -> None:
        owner = Owner()
        other = owner.life.start(owner.work(), name="work")

        async def close() -> str:
            await owner.life.close()
            return "closed"

        assert await owner.life.start(close(), name="closing") == "closed"
        assert other.cancelled()
        assert owner.steps == ["work", "released"]

    run_in_fake_time(main())


@pytest.mark.parametrize("ended", [True, False])
def test_nobody_hears_of_the_error_of_a_task_that_is_forgotten(*, ended: bool) -> None:
    async def fail_when_cancelled() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            raise LookupError("lost")

    async def main() -> None:
        life = Owner().life
        # `run_in_fake_time` fails if asyncio complains of an exception that nobody took.
        life.start(fail() if ended else fail_when_cancelled(), name="forgotten")
        await asyncio.sleep(2)
        gc.collect()
        await life.close()
        gc.collect()

    run_in_fake_time(main())


def test_it_keeps_no_task_that_has_ended() -> None:
    async def main() -> None:
        life = Owner().life
        task = life.start(asyncio.sleep(1), name="short")
        await task
        ended = weakref.ref(task)
        del task
        await asyncio.sleep(0)
        gc.collect()
        assert ended() is None
        await life.close()

    run_in_fake_time(main())
