"""Ending what runs: at once by a `CancelScope`, at a deadline by a `SharedTimer`, with its owner by a `Lifetime`."""

from __future__ import annotations

import asyncio
import math
import sys
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    from asyncio import Timeout
    from collections.abc import Awaitable, Callable, Coroutine
    from types import TracebackType

_T = TypeVar("_T")


class NoTimeLeftError(Exception):
    """A deadline has passed, or the pause that the service asked for outlasts it."""


class BlockBefore3113(asyncio.Timeout):  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]  # it is final
    """`asyncio.Timeout` of Python 3.11.3, for versions before.

    There, a block that expires in a task that was cancelled earlier, and is cleaning up, lets its `CancelledError` out.
    """

    async def __aenter__(self) -> Timeout:
        self._owner = asyncio.current_task()
        self._earlier = self._owner.cancelling() if self._owner else 0
        return await super().__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await super().__aexit__(exc_type, exc_val, exc_tb)
        if self.expired() and exc_type is asyncio.CancelledError:
            assert self._owner is not None
            if self._owner.cancelling() <= self._earlier:
                raise TimeoutError from exc_val


Block: type[Timeout] = asyncio.Timeout if sys.version_info >= (3, 11, 3) else BlockBefore3113


class CancelScope:
    """Ends blocks of `asyncio.timeout` at once, without cancelling the tasks that run them.

    Scopes nest: a client has one, each of its iterators has a child of it, and each request attaches its block to only
    one scope. A parent keeps no strong reference to its children.

    Args:
        parent: The scope that cancels this one, too.

    Attributes:
        reason: Why it was cancelled, or None if it was not.
        deadline: The deadline that has cancelled it, in seconds, or None.
    """

    __slots__ = ("__weakref__", "_blocks", "_children", "deadline", "reason")

    def __init__(self, parent: CancelScope | None = None) -> None:
        self._blocks: set[Timeout] = set()
        self._children: WeakSet[CancelScope] = WeakSet()
        self.reason: str | None = None
        self.deadline: float | None = None
        if parent is not None:
            parent._children.add(self)  # noqa: SLF001  # of the same class
            self.reason, self.deadline = parent.reason, parent.deadline

    def attach(self, block: Timeout) -> None:
        """Attach an entered block; end it now if the scope is already cancelled."""
        self._blocks.add(block)
        if self.reason is not None:
            expire(block)

    def detach(self, block: Timeout) -> None:
        """Detach a block. It must be called when the block is left."""
        self._blocks.discard(block)

    def cancel(self, reason: str, deadline: float | None = None) -> None:
        """End all attached blocks, and each that is attached later. The first reason is kept.

        Args:
            reason: Why.
            deadline: The deadline, in seconds, if that is why.
        """
        if self.reason is None:
            self.reason, self.deadline = reason, deadline
        for block in self._blocks:
            expire(block)
        for child in list(self._children):
            child.cancel(reason, deadline)

    def check(self) -> None:
        """Raise if the scope is cancelled.

        Raises:
            NoTimeLeftError: A deadline has cancelled it.
            RuntimeError: It is cancelled; the message is the reason.
        """
        if self.deadline is not None:
            raise NoTimeLeftError
        if self.reason is not None:
            raise RuntimeError(self.reason)


class SharedTimer:
    """Ends blocks of `asyncio.timeout(None)` at their deadlines. It belongs to one event loop.

    `asyncio.timeout` sets and cancels a timer for each block, which takes a tenth of the time of a request on a fast
    connection. Requests hardly ever reach their deadlines, so one timer is kept, and checks what is due when it fires.
    """

    __slots__ = ("_due", "_fires_at", "_handle")

    def __init__(self) -> None:
        self._due: dict[Timeout, float] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._fires_at = math.inf

    def set(self, block: Timeout, when: float) -> None:
        """End an entered block at the loop time `when`, which replaces any deadline set before."""
        self._due[block] = when
        if when < self._fires_at:
            self._arm(when)

    def clear(self, block: Timeout) -> None:
        """Remove the deadline of a block. It must be called when the block is left, at the latest."""
        # The timer stays armed: firing once in vain is cheaper than resetting it for each request.
        self._due.pop(block, None)

    def close(self) -> None:
        """Cancel the timer. A deadline that is set later arms it again."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None
        self._fires_at = math.inf

    def _arm(self, when: float) -> None:
        self.close()
        self._handle = asyncio.get_running_loop().call_at(when, self._fire)
        self._fires_at = when

    def _fire(self) -> None:
        self.close()
        now = asyncio.get_running_loop().time()
        for block in [block for block, when in self._due.items() if when <= now]:
            del self._due[block]
            expire(block)
        if self._due:  # deadlines that are not due yet
            self._arm(min(self._due.values()))


class Lifetime:
    """The lifetime of a client or an inventory: entered once, used in one event loop, closed with all its tasks.

    Args:
        name: The owner's name in errors, for instance `client`.
        usage: How it is entered, for errors.
        is_ready: Returns whether requests can be sent; raises `RuntimeError` if they can't be sent any more.
        release: Closes what the owner holds, after all its tasks have ended.

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
        """Whether the owner was closed."""
        return self.scope.reason is not None

    def enter(self) -> None:
        """Enter the owner, and bind it to the running event loop.

        Raises:
            RuntimeError: It was entered or closed before, or belongs to another event loop.
        """
        if self.closed:
            raise RuntimeError(f"{self.scope.reason}; create a new one")
        if self._entered:
            raise RuntimeError(f"the {self._name} is already entered")
        self._entered = True
        self._bind()

    def check_open(self) -> None:
        """Raise if no request can be sent.

        Raises:
            RuntimeError: The owner is closed, not entered, or belongs to another event loop; or its session is closed.
        """
        self._bind()
        self.scope.check()
        if not self._is_ready():
            raise RuntimeError(
                f"the {self._name} is not entered: use it inside '{self._usage}', or pass session="
            )

    def start(self, work: Coroutine[Any, Any, _T], name: str) -> asyncio.Task[_T]:
        """Run a coroutine in a new task, which is cancelled when the owner is closed."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    async def close(self) -> None:
        """End all tasks and blocks, wait for the tasks, and release what the owner holds. Closing twice is harmless."""
        self.scope.cancel(f"the {self._name} is closed")
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._release()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        # Nobody may await it any more, and asyncio logs exceptions that were never retrieved.
        if not task.cancelled():
            task.exception()

    def _bind(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError(f"the {self._name} belongs to another event loop; create one per loop")


async def sleep(seconds: float, scope: CancelScope) -> None:
    """Sleep until the time is over or the scope is cancelled.

    Args:
        seconds: How long to sleep.
        scope: Ends the sleep early.

    Raises:
        RuntimeError: The scope is cancelled; the message is the reason.
    """
    block = Block(None)
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
