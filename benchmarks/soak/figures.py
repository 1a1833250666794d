"""What this process holds at a moment: memory, file descriptors, connections, tasks. Read from Linux's `/proc/self`."""

from __future__ import annotations

import asyncio
import gc
import os
import tracemalloc
from pathlib import Path

from attrs import frozen


@frozen
class Figures:
    """What a process holds.

    Attributes:
        allocated: Bytes that Python has allocated, as tracemalloc counts them.
        resident: Bytes of the process in memory, from `/proc/self/statm`.
        descriptors: Open file descriptors.
        connections: Those among them that are sockets.
        tasks: Tasks of the loop.
    """

    allocated: int
    resident: int
    descriptors: int
    connections: int
    tasks: int

    @classmethod
    def now(cls) -> Figures:
        """Return the figures of now, after garbage collection."""
        for _ in range(3):
            gc.collect()
        links = _links()
        return cls(
            tracemalloc.get_traced_memory()[0],
            _resident(),
            len(links),
            sum(map(_is_socket, links)),
            len(asyncio.all_tasks()),
        )


def connections() -> int:
    """Return the number of sockets that this process has open."""
    return sum(map(_is_socket, _links()))


def _is_socket(link: str) -> bool:
    return link.startswith("socket:")


def _links() -> list[str]:
    links: list[str] = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # the listing's own descriptor is among them
        try:
            links.append(os.readlink(f"/proc/self/fd/{name}"))  # noqa: PTH115  # no path that could be made
        except FileNotFoundError:
            continue
    return links


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
