"""The log of the requests that the fake received."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import evolve, field, frozen

from .faults import Fault, returned
from .server import Request
from .service import bearer


@returned
@frozen
class RecordedRequest:
    """A request that the fake received, and its outcome.

    Attributes:
        method: The HTTP method.
        path: The path, decoded, without the query.
        query: All query parameters as text.
        headers: The headers, with case-insensitive names. The `repr` omits them, because they hold the key.
        when: The time of arrival, an aware UTC `datetime`.
        monotonic: The same time in seconds of `time.monotonic()`, to measure intervals.
        connection: Number of the TCP connection that it arrived on, from 1.
        api_key: The key after `Bearer`, or None if there was none. The `repr` omits it, too.
        page: The requested page number, or the default; None if the request was refused.
        page_size: The requested page size, or the default; None if the request was refused.
        fault: The scripted fault that the request used, or None.
        status: The HTTP status of the response; None if none was sent, or not yet.
    """

    __module__ = "aiozilliz.testing"

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    when: datetime
    monotonic: float
    connection: int
    api_key: str | None = field(repr=False)
    page: int | None = None
    page_size: int | None = None
    fault: Fault | None = None
    status: int | None = None


class RequestLog:
    """Recorded requests in order of arrival. It is not thread-safe."""

    def __init__(self) -> None:
        self._entries: list[RecordedRequest] = []

    @property
    def entries(self) -> list[RecordedRequest]:
        """A copy of the log."""
        return list(self._entries)

    def add(self, request: Request, connection: int, monotonic: float) -> int:
        """Record a request that has just arrived, and return its index in the log."""
        recorded = RecordedRequest(
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            when=datetime.now(UTC),
            monotonic=monotonic,
            connection=connection,
            api_key=bearer(request),
        )
        self._entries.append(recorded)
        return len(self._entries) - 1

    def note(self, index: int, **what: Any) -> RecordedRequest:
        """Set attributes of the request at an index in the log, and return it."""
        self._entries[index] = evolve(self._entries[index], **what)
        return self._entries[index]
