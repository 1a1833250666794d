"""A Redis of one test, on a socket in a folder of its own: no port that another process could take first."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.middleboxes.boxes import Box, installed

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType


class RedisServer(Box):
    """redis-server without files.

    Attributes:
        redis_url: Its URL, before it is started and after it has ended, too.
    """

    def __init__(self) -> None:
        self._binary = installed("redis-server", "redis-server")
        # The name of a socket must be short; that of a test's folder is not.
        self._folder = tempfile.TemporaryDirectory(prefix="redis")
        self._socket = Path(self._folder.name, "s")
        self.redis_url = f"unix://{self._socket}"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = ("--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no")
        command = [self._binary, *options, "--unixsocket", str(self._socket), "--dir", self._folder.name]
        self._start(command, subprocess.PIPE)
        output = self._process.stdout
        assert output is not None
        said = b""
        for line in output:
            said += line
            if b"ready to accept connections" in line.lower():
                return
        raise RuntimeError(f"redis does not run: {said.decode()}")

    def stop(self) -> None:
        if self._process.returncode is None:
            super().stop()
        if self._process.stdout is not None:
            self._process.stdout.close()

    @contextmanager
    def ended(self) -> Generator[None, None, None]:
        """End it."""
        self.stop()
        yield

    @contextmanager
    def hanging(self) -> Generator[None, None, None]:
        """Let it answer nothing, though it takes connections, while the block runs."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        self._folder.cleanup()
