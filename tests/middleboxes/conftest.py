"""Boxes and certificates for one test."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.middleboxes.boxes import Nginx, Tinyproxy, Varnish
from tests.middleboxes.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class StartNginx(Protocol):
    def __call__(self, server: str, *, http: str = "", tls: bool = False) -> Nginx: ...


class StartTinyproxy(Protocol):
    def __call__(self, directives: str = "") -> Tinyproxy: ...


class StartVarnish(Protocol):
    def __call__(self, backend: str, recv: str = "") -> Varnish: ...


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[StartNginx]:
    with ExitStack() as running:

        def start(server: str, *, http: str = "", tls: bool = False) -> Nginx:
            folder = tmp_path / "nginx"
            folder.mkdir()
            return running.enter_context(Nginx(folder, server, http=http, tls=tls))

        yield start


@pytest.fixture
def varnish(tmp_path: Path) -> Iterator[StartVarnish]:
    with ExitStack() as running:

        def start(backend: str, recv: str = "") -> Varnish:
            folder = tmp_path / "varnish"
            folder.mkdir()
            return running.enter_context(Varnish(folder, backend, recv))

        yield start


@pytest.fixture
def tinyproxy(tmp_path: Path) -> Iterator[StartTinyproxy]:
    with ExitStack() as running:

        def start(directives: str = "") -> Tinyproxy:
            folder = tmp_path / "tinyproxy"
            folder.mkdir()
            return running.enter_context(Tinyproxy(folder, directives))

        yield start


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    folder = tmp_path / "certificates"
    folder.mkdir()
    return Authority(folder)
