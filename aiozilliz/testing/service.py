"""The rules of the service: which requests are refused, with which error, and what a page looks like on the wire.

The sources are the service's documentation (List Clusters V2) and its list of error codes. A comment explains each
choice that they leave open.
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
"""Seconds of the rate limit's window."""

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
    """At most `limit` arrivals in any one second. Refused ones do not count."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._arrivals: deque[float] = deque()

    def admit(self, now: float) -> bool:
        """Return whether an arrival at `now`, in seconds of a monotonic clock, is within the limit."""
        while self._arrivals and self._arrivals[0] <= now - WINDOW:
            self._arrivals.popleft()
        if len(self._arrivals) >= self._limit:
            return False
        self._arrivals.append(now)
        return True


class Service:
    """Validates requests and creates responses. It holds neither a clock nor the list.

    Args:
        api_key: The only key that is accepted, or None for any.
        max_page_size: Maximum number of records on a page. Larger sizes in the documented range are reduced to it.
        echo_page_size: The value of `data.pageSize`: the page size used, or the one requested.
        shape: `data` as an object with `clusters` and `count`, or as the bare array of clusters.
        rate_limit: Requests per second and key, or None for no limit. A limit of 20 is documented, but not how it
            counts and refuses: here a sliding window and HTTP 429.
        retry_after: The header `Retry-After` of these refusals. None, the default, sends none, as none is documented.
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
        """Validate a request: first path and method, then the rate, the key and the parameters.

        Args:
            request: The request.
            now: Its time of arrival, in seconds of a monotonic clock.

        Returns:
            The requested page, or the response that refuses the request.
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
            # The service was seen to use 401.
            return _refusal(KEY_REFUSED, "The API key is invalid or was not given.", status=401)
        # The status of the next two is not documented; the service was seen to use 200 for errors of parameters.
        size = _whole(request.query.get("pageSize"), DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        if size is None:
            return _refusal(PAGE_SIZE_REFUSED, "pageSize must be between 1 and 100.")
        page = _whole(request.query.get("currentPage"), 1, _LARGEST_INT)
        if page is None:
            return _refusal(PAGE_REFUSED, "currentPage must be between 1 and the largest Int.")
        return Asked(page, size, request.query.get("region"))

    def used_size(self, asked: Asked) -> int:
        """Return the page size for a request: the requested one, or `max_page_size`."""
        return min(asked.size, self._max_page_size)

    def answer(self, asked: Asked, cut: Cut) -> Answer:
        """Return the page `cut` as the response to `asked`."""
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
    """Return the key of a request, or None if it has none or a malformed one."""
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
