"""The rules of the service: which requests are refused, with which error, and what a page looks like on the wire.

The sources are the service's documentation (List Clusters V2) and its list of error codes (Error Codes V2), which the
texts of refusals come from. A comment explains each choice that they leave open.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from attrs import define, field, frozen
from attrs.validators import in_, optional

from .samples import REGIONS
from .server import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from attrs import Attribute

    from .listing import Cut

    Validator: TypeAlias = Callable[[Any, Attribute[Any], Any], object]

Shape: TypeAlias = Literal["object", "array"]
Echo: TypeAlias = Literal["used", "asked"]
Order: TypeAlias = Literal["stable", "shuffled"]

PATH = "/v2/clusters"
DEFAULT_PAGE_SIZE = 10
MAX_PAGE_SIZE = 100
WINDOW = 1.0
"""Seconds of the rate limit's window."""

_LARGEST_INT = 2**31 - 1
# The scheme of `Authorization` has no case (RFC 9110, section 11.1).
_BEARER = re.compile(r"(?i:Bearer) ([\x21-\x7e]+)")

_MESSAGES = {
    21119: "The apikey is illegal.",
    96001: "Invalid RegionId. Please use the ListCloudRegions API to obtain a list of supported regionIds.",
    96008: "The parameter value for pageSize should be between 1 and 100.",
    96009: "The parameter currentPage should have a value between 1 and the maximum value of Int.",
}


def check_whole(name: str, value: object, low: int | None = None, high: int | None = None) -> int:
    """Check an argument that is an int.

    Returns:
        It.

    Raises:
        TypeError: It is none.
        ValueError: It is below `low` or above `high`.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}.")
    if (low is not None and value < low) or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ValueError(f"{name} must be {allowed}, not {value}.")
    return value


def check_seconds(name: str, value: float) -> None:
    """Check an argument in seconds.

    Raises:
        ValueError: It is negative or not finite.
    """
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be finite and not negative, not {value}.")


def _whole(low: int, high: int | None = None) -> Validator:
    return lambda _, attribute, value: check_whole(attribute.name, value, low, high)


def _check_key(_: Any, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str | None):
        raise TypeError(f"{attribute.name} must be a str or None, not {type(value).__name__}.")
    if value == "":
        raise ValueError(f"{attribute.name} must not be empty; None accepts any key.")


@frozen
class Asked:
    """A request for a page that the service accepts."""

    page: int
    size: int
    region: str | None


@define(slots=False)
class Service:
    """Validates requests and creates responses. It holds neither a clock nor the list.

    Its attributes are those arguments of `FakeZillizCloud` by which responses differ. They are checked when they are
    set, too. A rate limit of 20 is documented, but not how it counts and refuses: here a sliding window and HTTP 429,
    without a `Retry-After` unless one is asked for.
    """

    retry_after: int | str | None = None
    shape: Shape = field(default="object", validator=in_(get_args(Shape)))
    echo_page_size: Echo = field(default="used", validator=in_(get_args(Echo)))
    order: Order = field(default="stable", validator=in_(get_args(Order)))
    api_key: str | None = field(default=None, validator=_check_key)
    latency: float = field(default=0.0, validator=lambda _, a, value: check_seconds(a.name, value))
    max_page_size: int = field(default=MAX_PAGE_SIZE, validator=_whole(1, MAX_PAGE_SIZE))
    rate_limit: int | None = field(default=None, validator=optional(_whole(1)))
    # The arrivals of the latest second, by key. Refused ones do not count.
    _arrivals: defaultdict[str, deque[float]] = field(init=False, factory=lambda: defaultdict(deque))

    def examine(self, request: Request, now: float, regions: Container[str] = REGIONS) -> Asked | Answer:
        """Validate a request: first path and method, then the rate, the key and the parameters.

        Args:
            request: The request.
            now: Its time of arrival, in seconds of a monotonic clock.
            regions: The ids of the regions that there are.

        Returns:
            The requested page, or the response that refuses the request.
        """
        if request.path != PATH:
            return _refusal(404, f"There is nothing at {request.path}.", 404)
        if request.method != "GET":
            return _refusal(405, f"{request.method} is not allowed here.", 405, Allow="GET")
        if not self._within_rate(request, now):
            after = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
            return _refusal(429, "Too many requests: rate limit exceeded.", 429, **after)
        key = bearer(request)
        if key is None or self.api_key not in {None, key}:
            return _refusal(21119, status=401)  # the service was seen to use 401
        # The status of these is not documented; the service was seen to use 200 for errors of parameters.
        size = _number(request.query.get("pageSize"), DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        if size is None:
            return _refusal(96008)
        page = asked_page(request)
        if page is None:
            return _refusal(96009)
        region = request.query.get("region")
        if region is not None and region not in regions:
            return _refusal(96001)
        return Asked(page, size, region)

    def used_size(self, asked: Asked) -> int:
        """Return the page size for a request: the requested one, or `max_page_size`."""
        return min(asked.size, self.max_page_size)

    def answer(self, asked: Asked, cut: Cut) -> Answer:
        """Return the page `cut` as the response to `asked`."""
        data: Any = cut.records
        if self.shape == "object":
            size = asked.size if self.echo_page_size == "asked" else self.used_size(asked)
            data = {"count": cut.count, "currentPage": asked.page, "pageSize": size, "clusters": cut.records}
        return Answer.json({"code": 0, "data": data})

    def _within_rate(self, request: Request, now: float) -> bool:
        arrivals = self._arrivals[request.headers.get("Authorization", "")]
        while arrivals and arrivals[0] <= now - WINDOW:
            arrivals.popleft()
        if self.rate_limit is not None and len(arrivals) >= self.rate_limit:
            return False
        arrivals.append(now)
        return True


def asked_page(request: Request) -> int | None:
    """Return the number of the page that a request asks for, or None if it is out of range."""
    return _number(request.query.get("currentPage"), 1, _LARGEST_INT)


def bearer(request: Request) -> str | None:
    """Return the key of a request, or None if it has none or a malformed one."""
    found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    return found[1] if found else None


def _refusal(code: int, message: str = "", status: int = 200, **headers: str) -> Answer:
    return Answer.json({"code": code, "message": message or _MESSAGES[code]}, status, tuple(headers.items()))


def _number(text: str | None, default: int, limit: int) -> int | None:
    if text is None:
        return default
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(limit)) else 0
    return number if 1 <= number <= limit else None
