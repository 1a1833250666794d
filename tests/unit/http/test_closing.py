"""Closing while the other side of TLS says nothing, and not even goodbye: no socket is left, and nobody waits."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.middleboxes.certificates import Authority

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator


CLIENT = """
import asyncio, gc, os, sys, time
from aiozilliz import RetryPolicy, TransportError, ZillizClient

def sockets():
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            pass
    return {name for name in found if name.startswith("socket:")}

async def main(url):
    asyncio.get_running_loop().slow_callback_duration = 3600
    before = sockets()
    retry = RetryPolicy(attempts=3, wait_initial=0, wait_jitter=0)
    client = ZillizClient("k" * 20, base_url=url, timeout=1.5, retry=retry)
    async with client:
        try:
            await client.list_clusters()
        except TransportError as error:
            print(error.message)
        left = sockets()
        waiting = asyncio.create_task(client.list_clusters())
        while not sockets() - left:
            await asyncio.sleep(0)
        start = time.monotonic()
    print("at once" if time.monotonic() - start < 5 else "late", len(sockets() - before))
    await asyncio.wait([waiting])
    print(type(waiting.exception()).__name__)
    del waiting

if sys.argv[2] == "uvloop":
    import uvloop
    uvloop.run(main(sys.argv[1]))
else:
    asyncio.run(main(sys.argv[1]))
gc.collect()
"""


class SilentServer:
    """Accepts, shakes hands or does not, may begin a response, and then neither reads nor writes nor closes."""

    def __init__(self, context: ssl.SSLContext | None, says: bytes) -> None:
        self._context = context
        self._says = says
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._kept: list[socket.socket] = []
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def connections(self) -> int:
        return len(self._kept)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._kept.append(connection)
            if self._context is not None:
                threading.Thread(target=self._shake_hands, args=(connection,), daemon=True).start()

    def _shake_hands(self, connection: socket.socket) -> None:
        assert self._context is not None
        number = self._kept.index(connection)
        try:
            tls = self._context.wrap_socket(connection, server_side=True)
            self._kept[number] = tls
            if self._says:
                tls.recv(65536)
                tls.sendall(self._says)
        except OSError:  # the client has given up
            return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._kept:
            connection.close()


@contextmanager
def silent(context: ssl.SSLContext | None, says: bytes = b"") -> Generator[SilentServer]:
    with closing(SilentServer(context, says)) as server:
        yield server


@pytest.mark.skipif(sys.platform != "linux", reason="counts the sockets of a process in /proc")
@pytest.mark.parametrize(
    ("how", "loop"),
    [
        ("no handshake", "asyncio"),
        ("no response", "asyncio"),
        ("no response", "uvloop"),
        ("half a response", "asyncio"),
    ],
)
def test_a_silent_peer_of_tls_keeps_no_socket(how: str, loop: str, tmp_path: Path) -> None:
    pytest.importorskip(loop)
    authority = Authority(tmp_path)
    context = authority.issue("127.0.0.1").serve()
    says = b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n{" if how == "half a response" else b""
    with silent(None if how == "no handshake" else context, says) as server:
        done = subprocess.run(
            [
                sys.executable,
                "-X",
                "dev",
                "-W",
                "error",
                "-c",
                CLIENT,
                f"https://127.0.0.1:{server.port}",
                loop,
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[3],
            env=os.environ | {"SSL_CERT_FILE": str(authority.file)},
            timeout=60,
        )
        assert done.stdout.splitlines() == [
            "No complete response within 1.5 s",
            "at once 0",
            "RuntimeError",
        ], done
        assert done.returncode == 0
        for word in ("Warning", "Error", "never"):
            assert word not in done.stderr
        # A session ticket that TLS sends with the handshake is no reason to take another connection.
        assert 3 <= server.connections <= 4  # the last one may not have been made yet
