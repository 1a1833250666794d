"""`CancelScope` ends what runs, at once and from any task; `Lifetime` is what a client and an inventory end with it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    from asyncio import Timeout
    from collections.abc import Awaitable, Callable, Coroutine

_T = TypeVar("_T")


class CancelScope:
    """Ends blocks of `asyncio.timeout` at once, without cancelling the tasks that run them.

    Scopes nest: a client has one, each of its iterators has a child of it, and each request attaches its block to one
    scope only. A child that is left behind is forgotten.

    Args:
        parent: The scope whose end is the end of this one, too.

    Attributes:
        reason: Why it was cancelled, or None.
    """

    __slots__ = ("__weakref__", "_blocks", "_children", "reason")

    def __init__(self, parent: CancelScope | None = None) -> None:
        self._blocks: set[Timeout] = set()
        self._children: WeakSet[CancelScope] = WeakSet()
        self.reason: str | None = None
        if parent is not None:
            parent._children.add(self)  # noqa: SLF001  # of the same class
            self.reason = parent.reason

    def attach(self, block: Timeout) -> None:
        """Attach an entered block; end it now if the scope is already cancelled."""
        self._blocks.add(block)
        if self.reason is not None:
            expire(block)

    def detach(self, block: Timeout) -> None:
        """Let the block go. It must be called when the block is left."""
        self._blocks.discard(block)

    def cancel(self, reason: str) -> None:
        """End the blocks that run, and each that is attached later. The first reason stays."""
        if self.reason is None:
            self.reason = reason
        for block in self._blocks:
            expire(block)
        for child in list(self._children):
            child.cancel(reason)

    def check(self) -> None:
        """Raise if the scope is cancelled.

        Raises:
            RuntimeError: It is; the text is the reason.
        """
        if self.reason is not None:
            raise RuntimeError(self.reason)


class Lifetime:
    """The life of a client or an inventory: entered once, used in one event loop, closed with all that it started.

    Args:
        name: What the owner is called in errors, for instance `client`.
        usage: How it is entered.
        is_ready: Returns whether requests can be sent; it may raise a `RuntimeError` that says why never again.
        release: Closes what the owner holds, once nothing of it runs any more.

    Attributes:
        scope: Cancelled on closing; the parent of all scopes below the owner.
    """

    __slots__ = ("_entered", "_is_ready", "_loop", "_name", "_release", "_tasks", "_usage", "scope")

    def __init__(
        self, name: str, usage: str, is_ready: Callable[[], bool], release: Callable[[], Awaitable[None]]
    ) -> None:
        self.scope = CancelScope()
        self._name = name
        self._usage = usage
        self._is_ready = is_ready
        self._release = release
        self._loop: asyncio.AbstractEventLoop | None = None
        self._entered = False
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self.scope.reason is not None

    def enter(self) -> None:
        """Begin.

        Raises:
            RuntimeError: It has begun or ended already, or in another event loop.
        """
        self.scope.check()
        if self._entered:
            raise RuntimeError(f"the {self._name} is entered already")
        self._entered = True
        self._bind()

    def check_open(self) -> None:
        """Raise if nothing can be sent.

        Raises:
            RuntimeError: The owner is closed, not entered, or belongs to another event loop; or its session is closed.
        """
        self._bind()
        self.scope.check()
        if not self._is_ready():
            raise RuntimeError(
                f"the {self._name} is not entered: use it inside '{self._usage}', or give it a session="
            )

    def start(self, work: Coroutine[Any, Any, _T], name: str) -> asyncio.Task[_T]:
        """Run a coroutine in a task of its own, which ends with the owner at the latest."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    async def close(self) -> None:
        """End all that runs, wait for it, and release what the owner holds. It may be called twice."""
        self.scope.cancel(f"the {self._name} is closed")
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._release()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        # An iterator that is left behind never asks; asyncio would complain of an exception that nobody took.
        if not task.cancelled():
            task.exception()

    def _bind(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError(f"the {self._name} belongs to another event loop; make one for each loop")


async def sleep(seconds: float, scope: CancelScope) -> None:
    """Sleep until the time is over or the scope is cancelled.

    Args:
        seconds: How long.
        scope: Ends it early.

    Raises:
        RuntimeError: The scope is cancelled; the text is the reason.
    """
    block = asyncio.Timeout(None)
    try:
        async with block:
            scope.attach(block)
            await asyncio.sleep(seconds)
    except TimeoutError:
        pass
    finally:
        scope.detach(block)
    scope.check()


def expire(block: Timeout) -> None:
    """End a block of `asyncio.timeout` now."""
    if not block.expired():  # an expired one can't be rescheduled
        block.reschedule(0.0)
