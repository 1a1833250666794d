"""The log of the requests that the fake received."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import define, evolve, field, frozen

from .faults import Fault
from .server import Request
from .service import bearer


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


@define
class LogEntry:
    """A request in the log, of which more becomes known while it is served."""

    recorded: RecordedRequest

    def note(self, **what: Any) -> RecordedRequest:
        """Set attributes of the recorded request, and return it."""
        self.recorded = evolve(self.recorded, **what)
        return self.recorded


def log_entry(request: Request, connection: int, monotonic: float) -> LogEntry:
    """Return the entry for a request that has just arrived."""
    when, key = datetime.now(UTC), bearer(request)
    return LogEntry(
        RecordedRequest(
            request.method, request.path, request.query, request.headers, when, monotonic, connection, key
        )
    )
