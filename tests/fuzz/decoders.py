"""Every decoder of the package as a function of bytes, and the errors that it may raise.

Anything else that one raises, and any warning, is a bug.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from attrs import frozen

from aiozilliz import (
    Cluster,
    ConfigurationError,
    DecodeError,
    InventoryReport,
    Snapshot,
    ZillizError,
    cli_base_url,
    load_accounts,
)
from aiozilliz._http.header_times import parse_retry_after
from aiozilliz._http.wire import read_answer
from aiozilliz._settings.credentials import find_key
from aiozilliz.cli.state.files import FileError, decode_document
from aiozilliz.testing.server import MAX_HEAD, BadRequestError, read_request

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@frozen
class Decoder:
    """One way into the package for what somebody else wrote.

    Attributes:
        name: What it is called in a test.
        read: Reads it, and does with the result what its users do.
        errors: What it may raise.
    """

    name: str
    read: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]

    def __call__(self, data: bytes) -> object:
        """Read, and give the result, or the documented error."""
        try:
            return self.read(data)
        except self.errors as error:
            check_text(error)
            return error


def check_text(error: Exception) -> None:
    """See that an error reads as one line, however large or odd the input was."""
    assert len(str(error)) < 5_000
    assert str(error).isprintable()


def read_body(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> object:
    """Read an answer, and write what was read as JSON once more."""
    page = read_answer(status, headers or {}, body, page=1, page_size=100, now=NOW, max_bytes=1 << 24)
    assert len(repr(page)) <= 500
    assert tuple(Cluster.from_dict(cluster.to_dict()) for cluster in page.clusters) == page.clusters
    return page


def read_snapshot(data: bytes) -> object:
    snapshot = Snapshot.from_json(data)
    assert Snapshot.from_json(snapshot.to_json()) == snapshot
    return snapshot


def read_report(data: bytes) -> object:
    report = InventoryReport.from_json(data)
    assert InventoryReport.from_json(report.to_json()) == report
    return report


def read_record(data: bytes) -> object:
    """Read a record out of what `json` makes of it, which knows numbers and depths that no service sends."""
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError):
        value = data
    cluster = Cluster.from_dict(value)
    assert Cluster.from_dict(cluster.to_dict()) == cluster
    return cluster


@contextmanager
def cli_files(**contents: bytes) -> Generator[Path]:
    """Lay these files into a folder that stands for the official command-line client's."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in contents.items():
            path = Path(folder, name)
            path.write_bytes(content)
            path.chmod(0o600)
        environment = {"ZILLIZ_CONFIG_DIR": folder, "ZILLIZ_API_KEY": ""}
        with mock.patch.dict(os.environ, environment):
            yield Path(folder)


def read_organisations(data: bytes) -> object:
    with cli_files(credentials=data):
        return load_accounts()


def read_base_url(data: bytes) -> object:
    with cli_files(config=data):
        return cli_base_url()


def read_key(data: bytes) -> object:
    with cli_files(credentials=data):
        return find_key(None)


def read_state(data: bytes) -> object:
    return decode_document(data, "state")


def read_wait(data: bytes) -> object:
    """Read a `Retry-After`, and behind the first NUL a `Date`."""
    value, _, date = data.decode("latin-1").partition("\0")
    seconds = parse_retry_after(value, date or None, NOW)
    assert seconds is None or 0 <= seconds <= 1e9
    return seconds


def read_http(data: bytes) -> object:
    loop = asyncio.new_event_loop()  # `asyncio.run` would take the place of the loop that a test runner keeps
    try:
        reader = asyncio.StreamReader(limit=MAX_HEAD, loop=loop)
        reader.feed_data(data)
        reader.feed_eof()
        return loop.run_until_complete(read_request(reader))
    finally:
        loop.close()


DECODERS: Final = (
    Decoder("answer", read_body, (ZillizError,)),
    Decoder("snapshot", read_snapshot, (ValueError,)),
    Decoder("report", read_report, (ValueError,)),
    Decoder("record", read_record, (DecodeError,)),
    Decoder("organisations", read_organisations, (ConfigurationError,)),
    Decoder("base url", read_base_url, (ConfigurationError,)),
    Decoder("key", read_key, (ConfigurationError,)),
    Decoder("state", read_state, (FileError,)),
    Decoder("retry after", read_wait, ()),
    Decoder("http request", read_http, (BadRequestError,)),
)
BY_NAME: Final = {decoder.name: decoder for decoder in DECODERS}
