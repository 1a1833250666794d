"""The log of the requests that reached the fake."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import evolve, field, frozen

from .faults import Fault
from .server import Request
from .service import bearer


@frozen
class RecordedRequest:
    """A request as it reached the fake, and what became of it.

    Attributes:
        method: The HTTP method.
        path: The path, decoded, without the query.
        query: The query's parameters as text, those that the fake does not know too.
        headers: The headers; names are looked up in any case. They are left out of the `repr`, as they hold the key.
        when: When it arrived, an aware UTC `datetime`.
        monotonic: The same moment in seconds of `time.monotonic()`, to measure intervals.
        connection: Number of the TCP connection that it came on, from 1.
        api_key: The key after `Bearer`, or None where there was none. Left out of the `repr` too.
        page: The page number asked for, its default included; None where the request was refused.
        page_size: The page size asked for, likewise.
        fault: The scripted fault that the request took, or None.
        status: The HTTP status answered; None where nothing was answered, or not yet.
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
    """Recorded requests in order of arrival. Not safe for use by several threads at once."""

    def __init__(self) -> None:
        self._entries: list[RecordedRequest] = []

    @property
    def entries(self) -> list[RecordedRequest]:
        """A copy of the log."""
        return list(self._entries)

    def add(self, request: Request, connection: int, monotonic: float) -> int:
        """Record a request that has just arrived, and give its place in the log."""
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

    def note(self, place: int, **what: Any) -> RecordedRequest:
        """Fill in what is known by now about the request at `place`, and give it."""
        self._entries[place] = evolve(self._entries[place], **what)
        return self._entries[place]
