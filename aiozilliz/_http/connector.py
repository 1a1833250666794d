"""The connections of our own sessions: `Connector` takes no stale one, and leaves none behind."""

from __future__ import annotations

import asyncio
import select
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import aiohttp

if TYPE_CHECKING:
    from aiohttp.connector import Connection

_KEPT: Final = 100
"""Kept connections that are looked at for one request, at most."""

_TURNS: Final = 20
"""Turns of the event loop in which it closes a connection that has ended, at most."""


class Connector(aiohttp.TCPConnector):
    """Takes no kept connection again on which anything has arrived since its last response.

    aiohttp takes that for the next response: if a server or proxy sends a response twice, each one comes one too late.
    It closes a connection that has unread bytes when it is given back, but does not look again when it is taken.

    What can't be had: a response that is still on its way when the next request goes out looks like the response to
    that. `wire` finds out if it is for another page; for the same page, of another account perhaps, nothing can tell.
    Nor can kept connections of a borrowed session be looked at: aiohttp shows a connection to its connector only.
    """

    def __init__(self, *, force_close: bool) -> None:
        made: WeakSet[socket.socket] = WeakSet()
        unused: set[int] = set()

        def make(address: Any) -> socket.socket:
            sock = socket.socket(*address[:3])
            made.add(sock)
            unused.add(sock.fileno())
            return sock

        # The connections are bounded by who asks, not by the pool.
        super().__init__(limit=0, force_close=force_close, socket_factory=make)  # pyright: ignore[reportUnknownMemberType]
        self._made = made
        self._unused = unused
        # By the number of a socket, as making one takes longer than asking it.
        self._polls: dict[int, select.poll] = {}

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections, also those of TLS that still wait for the other side to close them, for 30 s."""
        await super().close(abort_ssl=abort_ssl)
        for sock in list(self._made):
            with suppress(OSError):  # it is closed
                sock.shutdown(socket.SHUT_RDWR)  # the event loop reads the end, and closes it
        for _ in range(_TURNS):
            if all(sock.fileno() < 0 for sock in self._made):
                break
            await asyncio.sleep(0)

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Connection:  # noqa: ASYNC109  # aiohttp's own
        connection = await super().connect(req, traces, timeout)
        left = _KEPT
        while self._has_unread(connection) and left:
            left -= 1
            connection.close()
            connection = await super().connect(req, traces, timeout)
        return connection

    def _has_unread(self, connection: Connection) -> bool:
        """Return whether something has arrived that nobody has read, if only that the other side has closed."""
        protocol = connection.protocol
        if protocol is None or protocol.transport is None:
            return True
        number = protocol.transport.get_extra_info("socket").fileno()
        if number in self._unused:
            # A new connection has had no response. TLS may have sent something; what else speaks first is no HTTP, and
            # the request will say so.
            self._unused.remove(number)
            return False
        if protocol.should_close:
            return True
        # The event loop may not have read it yet.
        if sys.platform == "win32":
            return bool(select.select([number], [], [], 0)[0])
        poll = self._polls.get(number)
        if poll is None:
            poll = self._polls[number] = select.poll()
            poll.register(number, select.POLLIN)
        return bool(poll.poll(0))
