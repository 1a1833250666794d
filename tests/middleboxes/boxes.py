"""nginx, varnish and tinyproxy as they are installed, each run for one test, on a loopback port, with files in a folder of its own."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import IO, TYPE_CHECKING, Self
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

PATIENCE = 20.0
"""Seconds after which a box that does not start, reload or end fails the test."""


def installed(binary: str, package: str) -> str:
    """Give the path of a binary, or skip the test."""
    # System daemons are often not on a user's PATH.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    found = shutil.which(binary, path=path)
    if found is None:
        pytest.skip(f"{binary} is not installed (Debian package {package})")
    return found


class Box:
    """A program that runs in the foreground until it is left."""

    _process: subprocess.Popen[bytes]
    port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _start(
        self,
        command: Sequence[str],
        output: int | IO[bytes],
        *,
        pass_fds: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
            env=environment,
            start_new_session=True,
        )

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class Nginx(Box):
    """nginx with one server.

    What it passes on tells the upstream in `X-Connection` and `X-Worker` over which of its connections a request came,
    and which process took it.

    Args:
        folder: Where its files go.
        server: Directives of the server.
        http: Directives around it.
        tls: Whether it speaks TLS; the server's directives have to name the certificate.

    Attributes:
        worker: Id of the process that takes new connections.
    """

    def __init__(self, folder: Path, server: str, *, http: str = "", tls: bool = False) -> None:
        binary = installed("nginx", "nginx-light")
        self._folder = folder
        self._tls = tls
        with _listening() as service, _listening() as status:
            # nginx takes over sockets that are bound already, so no other process can come by its ports first.
            self.port, self._status_port = (taken.getsockname()[1] for taken in (service, status))
            (folder / "nginx.conf").write_text(self._config(server, http))
            with (folder / "output").open("wb") as output:
                self._start(
                    [binary, "-p", str(folder), "-c", "nginx.conf"],
                    output,
                    pass_fds=[service.fileno(), status.fileno()],
                    environment={"NGINX": f"{service.fileno()};{status.fileno()};"},
                )
        try:
            self.worker = self._ask_worker()
        except (OSError, HTTPException) as error:
            self.stop()
            raise RuntimeError(f"nginx does not run: {self._said()}") from error

    @property
    def url(self) -> str:
        return super().url.replace("http", "https") if self._tls else super().url

    def reload(self) -> None:
        """Let it read its configuration again, and wait until a new process takes the connections.

        The old one goes on with the requests that it has, and closes what is idle.
        """
        old = self.worker
        self._process.send_signal(signal.SIGHUP)
        give_up = time.monotonic() + PATIENCE
        while self.worker == old or f"{old}#{old}: gracefully shutting down" not in self._said():
            self.worker = self._ask_worker()
            assert time.monotonic() < give_up, self._said()

    def _ask_worker(self) -> int:
        with closing(HTTPConnection("127.0.0.1", self._status_port, timeout=PATIENCE)) as connection:
            connection.request("GET", "/")
            return int(connection.getresponse().read())

    def _config(self, server: str, http: str) -> str:
        user = ""
        if os.geteuid() == 0:  # its workers would give up the right to the folder
            user = f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};"
        places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "\n".join(f"{place}_temp_path {place};" for place in places)
        return f"""
            {user}
            daemon off;
            worker_processes 1;
            pid nginx.pid;
            error_log error.log notice;
            events {{ worker_connections 256; }}
            http {{
                access_log off;
                default_type text/plain;
                {temporary}
                {http}
                server {{
                    listen 127.0.0.1:{self.port} {"ssl" if self._tls else ""};
                    proxy_set_header X-Connection $connection;
                    proxy_set_header X-Worker $pid;
                    {server}
                }}
                server {{
                    listen 127.0.0.1:{self._status_port};
                    return 200 $pid;
                }}
            }}
        """

    def _said(self) -> str:
        files = (self._folder / "output", self._folder / "error.log")
        return "\n".join(file.read_text() for file in files if file.exists())


def _listening() -> socket.socket:
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    listening.setblocking(False)  # nginx leaves it as it is
    return listening


class Varnish(Box):
    """varnish in front of one server.

    Args:
        folder: Where its files go.
        backend: The server's URL.
        recv: What `vcl_recv` does.
    """

    def __init__(self, folder: Path, backend: str, recv: str) -> None:
        binary = installed("varnishd", "varnish")
        parts = urlsplit(backend)
        (folder / "default.vcl").write_text(
            f"""
            vcl 4.1;
            backend default {{ .host = "{parts.hostname}"; .port = "{parts.port}"; }}
            sub vcl_recv {{ {recv} return (hash); }}
            sub vcl_backend_response {{ set beresp.ttl = 60s; return (deliver); }}
            """
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [binary, "-F", "-j", "none", "-n", str(folder), "-f", str(folder / "default.vcl")]
        with (folder / "output").open("wb") as output:
            self._start([*command, "-a", f"127.0.0.1:{self.port}", "-s", "malloc,8m"], output)
        give_up = time.monotonic() + PATIENCE
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.stop()
                pytest.skip(f"varnish does not run: {(folder / 'output').read_text()}")
            time.sleep(0.05)

    def _accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()
        except ConnectionRefusedError:
            return False
        return True


class Tinyproxy(Box):
    """tinyproxy for clients on this machine.

    Args:
        folder: Where its files go.
        directives: What its configuration has besides.

    Attributes:
        log: What it says of itself, by lines. It is whole once it has been stopped.
    """

    def __init__(self, folder: Path, directives: str = "") -> None:
        self._binary = installed("tinyproxy", "tinyproxy")
        self._folder = folder
        self._directives = directives
        self.log: list[str] = []
        # It can't be given a socket: another process may take the port before it does.
        for _ in range(5):
            if self._started():
                return
        raise RuntimeError(f"tinyproxy does not run: {''.join(self.log)}")

    def stop(self) -> None:
        super().stop()
        self._reader.join(PATIENCE)

    def _started(self) -> bool:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        config = self._folder / "tinyproxy.conf"
        config.write_text(
            f"Port {self.port}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 60\nMaxClients 50\nLogLevel Info\n"
            f"{self._directives}\n"
        )
        self._start([self._binary, "-d", "-c", str(config)], subprocess.PIPE)
        output = self._process.stdout
        assert output is not None
        ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(output, ready), daemon=True)
        self._reader.start()
        if not ready.wait(PATIENCE) or self._process.poll() is not None:
            self.stop()
            return False
        return True

    def _read(self, output: IO[bytes], ready: threading.Event) -> None:
        with output:
            for line in output:
                self.log.append(line.decode())
                if b"Accepting connections" in line:
                    ready.set()
        ready.set()
