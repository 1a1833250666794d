"""One page, whatever it takes: its attempts, within its deadline and until its users end it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiozilliz._aio.cancel_scope import attach, detach
from aiozilliz._errors import ZillizError
from aiozilliz._http.request import NoTimeLeftError, PageRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiozilliz._aio.cancel_scope import CancelScope
    from aiozilliz._http.request import RequestContext
    from aiozilliz._records.cluster import ClusterPage


class PageFetcher:
    """Gives pages of one account.

    Attributes:
        access: What its pages are asked for with.
        pages: Pages received so far.
    """

    def __init__(self, access: RequestContext) -> None:
        self.access = access
        self.pages = 0

    async def fetch(
        self,
        page: int,
        page_size: int,
        *scopes: CancelScope,
        on_idle: Callable[[bool], None] | None = None,
    ) -> ClusterPage:
        """Give one page.

        Args:
            page: Page number, 1-based.
            page_size: Records to ask for.
            scopes: Each ends the request early.
            on_idle: Is told, in the task of this call, when it begins to wait for anything but a place or an answer,
                and when that is over.

        Raises:
            ZillizError: The page can't be had; the error says what was asked, how often and for how long.
            RuntimeError: An scope was fired, or there is no open session.
        """
        self._check(scopes)
        attempts = PageRequest(self.access, page, page_size, on_idle)
        received = None
        secret = self.access.key_at_hand
        if secret is not None:
            received = await self._within_bounds(attempts, attempts.send_at_once(secret), scopes)
        if received is None or (isinstance(received, ZillizError) and attempts.go_on_after(received)):
            received = await self._within_bounds(attempts, attempts.make_all(), scopes)
        if not isinstance(received, ZillizError):
            self.pages += 1
            return received
        try:
            raise attempts.complete(received)
        finally:
            del received, attempts  # they refer to this frame by its traceback

    async def _within_bounds(
        self, attempts: PageRequest, work: Awaitable[ClusterPage], scopes: tuple[CancelScope, ...]
    ) -> ClusterPage | ZillizError:
        """Do some work of these attempts, until it is to end or an scope ends it. Give what came, or what failed."""
        deadlines = self.access.deadlines
        block = attempts.block = asyncio.Timeout(None)
        failure: ZillizError | None = None
        try:
            async with block:
                deadlines.set(block, attempts.end)
                attach(block, scopes)
                received = await work
            # One that was fired in the turn in which the answer came has ended nothing.
            _check_all(scopes)
            return received
        except ZillizError as error:
            failure = error
        except NoTimeLeftError:
            pass
        except TimeoutError:
            if not block.expired():
                raise  # it came out of the key callable or the limiter
        finally:
            detach(block, scopes)
            deadlines.clear(block)
        self._check(scopes)
        return attempts.out_of_time() if failure is None else failure

    def _check(self, scopes: tuple[CancelScope, ...]) -> None:
        _check_all(scopes)
        self.access.transport.check()


def _check_all(scopes: tuple[CancelScope, ...]) -> None:
    for scope in scopes:
        if scope.reason is not None:  # a call of each would be for nothing
            scope.check()
