"""The rules of the service: which requests are refused and how, and what a page looks like on the wire.

The facts are those of the service's page List Clusters V2 and its error codes. Where they are silent, the choice is
told at the place.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import frozen

from .server import Answer, Request

if TYPE_CHECKING:
    from .listing import Cut

Shape: TypeAlias = Literal["object", "array"]
Echo: TypeAlias = Literal["used", "asked"]

PATH = "/v2/clusters"
DEFAULT_PAGE_SIZE = 10
MAX_PAGE_SIZE = 100
WINDOW = 1.0
"""Seconds over which the rate limit counts."""

KEY_REFUSED = 21119
PAGE_SIZE_REFUSED = 96008
PAGE_REFUSED = 96009
_LARGEST_INT = 2**31 - 1
_BEARER = re.compile(r"Bearer ([\x21-\x7e]+)")


@frozen
class Asked:
    """A request for a page that the service accepts."""

    page: int
    size: int
    region: str | None


class SlidingWindow:
    """At most `limit` arrivals in any one second. Those refused do not count."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._arrivals: deque[float] = deque()

    def admit(self, now: float) -> bool:
        """Say whether an arrival at `now`, in seconds of a clock that never goes back, is within the limit."""
        while self._arrivals and self._arrivals[0] <= now - WINDOW:
            self._arrivals.popleft()
        if len(self._arrivals) >= self._limit:
            return False
        self._arrivals.append(now)
        return True


class Service:
    """Examines requests and writes answers. It has no clock and no list of its own.

    Args:
        api_key: The key that is taken, or None for any.
        max_page_size: Records on a page at most; larger requests that are in the documented range are cut to size.
        echo_page_size: What `data.pageSize` tells: the size used, or the one asked for.
        shape: `data` as an object with `clusters` and `count`, or as the bare array of clusters.
        rate_limit: Requests a second for each key, or None for no limit. A limit of 20 is documented, not how it
            counts and refuses: here by a sliding window, with HTTP 429.
        retry_after: The header `Retry-After` of these refusals, or None for none, as none is documented.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        max_page_size: int = MAX_PAGE_SIZE,
        echo_page_size: Echo = "used",
        shape: Shape = "object",
        rate_limit: int | None = None,
        retry_after: int | str | None = None,
    ) -> None:
        self._api_key = api_key
        self._max_page_size = max_page_size
        self._echo_page_size = echo_page_size
        self._shape = shape
        self._rate_limit = rate_limit
        self._retry_after = retry_after
        self._windows: dict[str, SlidingWindow] = {}

    def examine(self, request: Request, now: float) -> Asked | Answer:
        """Accept a request that arrived at `now` (seconds), or give the refusal.

        Path and method are looked at first, then the rate, the key and the arguments.
        """
        if request.path != PATH:
            return _refusal(404, f"There is nothing at {request.path}.", status=404)
        if request.method != "GET":
            return _refusal(
                405, f"{request.method} is not allowed here.", status=405, headers=(("Allow", "GET"),)
            )
        if not self._within_rate(request, now):
            after = () if self._retry_after is None else (("Retry-After", str(self._retry_after)),)
            return _refusal(429, "Too many requests: rate limit exceeded.", status=429, headers=after)
        key = bearer(request)
        if key is None or self._api_key not in {None, key}:
            # Recorded with 401.
            return _refusal(KEY_REFUSED, "The API key is invalid or was not given.", status=401)
        # The status of the next two is documented nowhere; recorded errors about arguments come under 200.
        size = _whole(request.query.get("pageSize"), DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        if size is None:
            return _refusal(PAGE_SIZE_REFUSED, "pageSize must be between 1 and 100.")
        page = _whole(request.query.get("currentPage"), 1, _LARGEST_INT)
        if page is None:
            return _refusal(PAGE_REFUSED, "currentPage must be between 1 and the largest Int.")
        return Asked(page, size, request.query.get("region"))

    def used_size(self, asked: Asked) -> int:
        """Give the page size that is used for a request: the one asked for, or the cap."""
        return min(asked.size, self._max_page_size)

    def answer(self, asked: Asked, cut: Cut) -> Answer:
        """Write the page `cut` as the answer to `asked`."""
        data: Any = cut.records
        if self._shape == "object":
            size = asked.size if self._echo_page_size == "asked" else self.used_size(asked)
            data = {
                "count": cut.count,
                "currentPage": asked.page,
                "pageSize": size,
                "clusters": cut.records,
            }
        return Answer.json({"code": 0, "data": data})

    def _within_rate(self, request: Request, now: float) -> bool:
        if self._rate_limit is None:
            return True
        key = request.headers.get("Authorization", "")
        return self._windows.setdefault(key, SlidingWindow(self._rate_limit)).admit(now)


def bearer(request: Request) -> str | None:
    """Give the key of a request, or None where it has none or a malformed one."""
    found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    return found[1] if found else None


def _refusal(
    code: int, message: str, *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()
) -> Answer:
    return Answer.json({"code": code, "message": message}, status, headers)


def _whole(text: str | None, default: int, limit: int) -> int | None:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(limit))):
        return None
    number = int(text)
    return number if 1 <= number <= limit else None
