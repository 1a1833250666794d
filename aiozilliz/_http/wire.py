"""The wire: the URL of a page, and what a response means.

`read_answer` is the one function of status, headers and body that returns a `ClusterPage` or raises. It sends nothing,
waits for nothing and knows no clock; the caller adds to its errors what was requested and how often.

One table says what each code, HTTP status and unusable body becomes: the error, its advice, and whether the page is
requested again. Nothing that has no row with `retried` is.

Facts are from the service's documentation: List Clusters V2, and Error Codes V2 for the codes. "Official CLI" and
"Terraform provider" name what these clients do where the documentation is silent.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

from attrs import frozen

from aiozilliz._errors import (
    APIError,
    AuthenticationError,
    RateLimitError,
    ResponseError,
    ServerError,
    ZillizError,
    printable,
)
from aiozilliz._records.cluster import ClusterPage, structure_clusters
from aiozilliz._records.json import InvalidJSON, Json, describe, parse
from aiozilliz._settings.checks import ListQuery, is_elsewhere

PATH: Final = "/v2/clusters"
"""Path of List Clusters V2, below the base URL."""

REQUEST_ID: Final = "requestid"
"""Response header with what the service's support asks for (Terraform provider)."""

MAX_RETRY_AFTER: Final = 1e9
"""Seconds; a longer `Retry-After` is read as this."""

_AGE_DIGITS: Final = 10
_SUCCESS: Final = (0, 200)
_SHORT_TEXT: Final = 200

_Error_co = TypeVar("_Error_co", APIError, ResponseError, covariant=True)


@frozen
class _Meaning(Generic[_Error_co]):
    """A row of the table: the error to raise, what to do about it, and whether the page is requested again."""

    error: type[_Error_co]
    advice: str
    retried: bool = False


# Responses that are neither a page nor a refusal.
_NOT_JSON = _Meaning(
    ResponseError,
    "A proxy or load balancer may have responded in the service's place: check {base_url}, or try again later.",
    retried=True,
)
_WRONG_SHAPE = _Meaning(
    ResponseError,
    "Check that {base_url} is the service's own; if it is, look for a newer version of aiozilliz.",
)
_TOO_LARGE = _Meaning(
    ResponseError, "Ask for smaller pages ({page_size}); the limit is {max_response_bytes}."
)
_REDIRECT = _Meaning(
    ResponseError,
    "The key is sent nowhere else: set {base_url} to the final address, or pass {site}.",
)

_OTHER_PAGE = _Meaning(
    ResponseError,
    "If it lasts, something in between ignores the query: check {base_url}, proxies and caches.",
    retried=True,
)

_OTHER_REGION = _Meaning(
    ResponseError,
    "What answers at {base_url} does not know the parameter region: list all regions, and select by region_id.",
)

# Refusals, by what there is to do about them.
_KEY_REFUSED = _Meaning(
    AuthenticationError,
    "Check the key: {api_key}, ZILLIZ_API_KEY, the official CLI's credentials file. "
    "Keys of the China site and of the global site are separate: {base_url} must fit the key.",
)
_NO_PERMISSION = _Meaning(
    AuthenticationError,
    "Give the key a role that may see this project or cluster, or use a key that has one.",
)
_NOT_FOUND = _Meaning(APIError, "Check {base_url} and its path prefix.")
_TIMED_OUT = _Meaning(APIError, "Try again later, or ask for smaller pages ({page_size}).", retried=True)
_RATE_LIMITED = _Meaning(
    RateLimitError,
    "Ask less often, for instance with {limiter}: 20 requests a second are allowed per user, over all of the user's "
    "keys and clients.",
    retried=True,
)
_SERVER_FAILED = _Meaning(ServerError, "Try again later.")
_SERVER_UNAVAILABLE = _Meaning(ServerError, "Try again later.", retried=True)
_OTHER = _Meaning(APIError, "See the service's list of error codes.")

_REFUSALS: Final[dict[int, _Meaning[APIError]]] = {
    **dict.fromkeys((401, 1800, 21119, 80001, 80002), _KEY_REFUSED),
    **dict.fromkeys((403, 96012, 96013, 96014, 96015, 96016, 96027), _NO_PERMISSION),
    404: _NOT_FOUND,
    408: _TIMED_OUT,
    429: _RATE_LIMITED,
    **dict.fromkeys(range(500, 600), _SERVER_FAILED),
    **dict.fromkeys((500, 502, 503, 504), _SERVER_UNAVAILABLE),
    96001: _Meaning(APIError, "Check the region id."),
    96008: _Meaning(APIError, "The service takes a {page_size} of 1 to 100."),
    96009: _Meaning(APIError, "Pages are counted from 1."),
    **dict.fromkeys((96018, 96036), _Meaning(APIError, "Check the cluster id.")),
    **dict.fromkeys((40013, 63104, 96017), _OTHER),  # a name that is taken, a plan that can't be lowered
}
"""Codes of a body that are known, and HTTP statuses, which the service uses as codes too. Others mean `_OTHER`."""


@frozen(eq=False)
class _Response:
    """What arrived, with its body read: `envelope` is empty if that is no JSON object."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    envelope: dict[str, Any]
    now: datetime


def page_url(base_url: str, query: ListQuery, page: int) -> str:
    """Return the URL of a page. Every page's URL is built here.

    Args:
        base_url: With a path prefix or without, no query.
        query: What to ask.
        page: Page number, 1-based.

    Returns:
        An absolute URL with path and query. It holds no key.
    """
    url = f"{base_url.rstrip('/')}{PATH}?pageSize={query.page_size}&currentPage={page}"
    return url if query.region is None else f"{url}&region={quote(query.region, safe='')}"


def read_answer(
    status: int,
    headers: Mapping[str, str],
    body: bytes | None,
    *,
    page: int,
    page_size: int,
    now: datetime,
    max_bytes: int,
    region: str | None = None,
) -> ClusterPage:
    """Return the page that a response holds, or raise what the response means.

    A known `code` decides, whatever the HTTP status; else the HTTP status does. With a 2xx status any other code but 0
    and 200 is a refusal too. 200 is a success in the English edition of List Clusters V2, and a missing code is one for
    the official CLI and the Terraform provider.

    Args:
        status: HTTP status.
        headers: Response headers, by name in any case.
        body: The decompressed body, or None if it is larger than `max_bytes` and was not read.
        page: The page number that was requested.
        page_size: The page size that was requested; used if the service echoes none.
        now: The time, aware; a `Retry-After` date is counted from it if the response has no `Date`.
        max_bytes: The limit on the body, in bytes.
        region: The region that was requested, or None for all.

    Returns:
        The page, with records in the order of the response.

    Raises:
        AuthenticationError: The key is refused, or may not do this.
        RateLimitError: Too many requests were sent.
        ServerError: The service failed.
        APIError: The service refused for another reason.
        DecodeError: A record can't be decoded.
        ResponseError: The response is neither this page nor a refusal: not JSON, of the wrong shape, for another page,
            for another region, too large, a redirect, or of a status that HTTP does not define.
    """
    if body is None and status < HTTPStatus.BAD_REQUEST:
        # A refusal goes on without its body: its status says enough.
        raise _unusable(_TOO_LARGE, f"The response is larger than the limit of {max_bytes} bytes")
    content = parse(body or b"")
    envelope: dict[str, Any] = {}
    if isinstance(content, dict):
        envelope = content
        if status // 100 == 2 and _is_success(envelope):  # noqa: PLR2004
            answer = _read_page(envelope, page, page_size, _age(headers))
            for cluster in answer.clusters if region is not None else ():
                if is_elsewhere(cluster.region_id, region):
                    where = printable(cluster.region_id, _SHORT_TEXT)
                    raise _unusable(_OTHER_REGION, f"The response holds clusters of another region, {where}")
            return answer
    code = envelope.get("code")
    response = _Response(status, headers, body or b"", envelope, now)
    # `type`, as `True` would be found as 1 and 80001.0 as 80001.
    known = _REFUSALS.get(code) if type(code) is int else None
    if known is not None:
        raise _refused(response, known)
    match status // 100:
        case 2:
            raise _no_success(response, content)
        case 3:
            raise _redirected(status, headers)
        case 4 | 5:
            raise _refused(response, _REFUSALS.get(status, _OTHER))
        case _:
            raise _unusable(_WRONG_SHAPE, f"Unexpected HTTP status {status}")


def is_refusal_by_service(error: ZillizError) -> bool:
    """Return whether an error says that the key is refused, and the service said it: in JSON, with a code that means it.

    An HTTP status alone, or a code that says something else, may be from whatever stands between.
    """
    return isinstance(error, AuthenticationError) and error.code in _REFUSALS


def parse_retry_after(value: str | None, date: str | None, now: datetime) -> float | None:
    """Read a `Retry-After` header: seconds, or an HTTP date (RFC 9110, section 10.2.3).

    Args:
        value: The header, or None. What has neither form counts as absent.
        date: The `Date` header of the same response, or None. A date is counted from it: the clocks may differ.
        now: The time, aware; used if there is no such `Date`.

    Returns:
        Seconds, not negative and at most `MAX_RETRY_AFTER`, or None if nothing usable was sent.
    """
    value = (value or "").strip()
    if value.isascii() and value.isdigit():
        digits = value.lstrip("0")
        # The length first: a header of thousands of digits is no work for `float`.
        return min(float(digits or 0), MAX_RETRY_AFTER) if len(digits) <= 10 else MAX_RETRY_AFTER  # noqa: PLR2004
    until = _http_date(value)
    if until is None:
        return None
    since = _http_date((date or "").strip()) or now
    return min(max((until - since).total_seconds(), 0.0), MAX_RETRY_AFTER)


def _http_date(value: str) -> datetime | None:
    if not value or len(value) > _SHORT_TEXT:
        return None
    try:
        moment = parsedate_to_datetime(value)
        # A date that ends in -0000, or has no zone, comes back naive; HTTP dates are in UTC.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _is_success(envelope: dict[str, Any]) -> bool:
    code = envelope.get("code")
    return code is None or (type(code) is int and code in _SUCCESS)


def _no_success(response: _Response, content: Json | InvalidJSON) -> APIError | ResponseError:
    """Return the error for a response with a 2xx status that is no page and has no known code."""
    if isinstance(content, InvalidJSON):
        # JSON that is nested too deep, or holds a number too large, is the same the next time.
        meaning = _NOT_JSON if content.retryable else _WRONG_SHAPE
        error = _unusable(meaning, f"The response (HTTP {response.status}) is {content.reason}")
        error.retry_after = _retry_after(response)
        return error
    if not isinstance(content, dict):
        return _misshapen("the body", "an object", content)
    code = content["code"]
    if type(code) is not int:
        return _misshapen("code", "an integer", code)
    # The official CLI reads it so too. Only here: a known code, or a status of its own, says it better than a text.
    limited = "rate limit" in _text_of(content, "message").lower()
    return _refused(response, _RATE_LIMITED if limited else _OTHER)


def _age(headers: Mapping[str, str]) -> int:
    """Return the seconds for which a cache has kept the response; 0 if it came from the service."""
    value = headers.get("Age")
    if value is None:
        return 0
    value = value.split(",", 1)[0].strip()
    # What is no number of seconds was still written by a cache.
    return int(value[:_AGE_DIGITS]) if value.isascii() and value.isdigit() else 1


def _read_page(envelope: dict[str, Any], page: int, page_size: int, age: int) -> ClusterPage:
    data: Json = envelope.get("data")
    if isinstance(data, list):  # the schema printed in List Clusters V2; its example has the object
        return ClusterPage(structure_clusters(data), None, page, page_size, age)
    if not isinstance(data, dict):
        raise _misshapen("data", "an object or a list", data)
    if "clusters" not in data:
        raise _unusable(_WRONG_SHAPE, "The response can't be used: data holds no clusters")
    clusters: Json = data["clusters"]
    if clusters is not None and not isinstance(clusters, list):
        raise _misshapen("clusters", "a list", clusters)
    count = data.get("count")
    if count is not None and (type(count) is not int or count < 0):
        raise _misshapen("count", "an integer, 0 or more", count)
    echoed = _echoed(data, "currentPage", page)
    if echoed != page:
        # It may respond to an earlier request: a connection that spoke while it was idle gives each response one too
        # late. Only if every connection says the same, it is not the connection.
        error = _unusable(_OTHER_PAGE, f"The response is for page {echoed}, not for page {page}")
        error.echoed_page = echoed
        raise error
    return ClusterPage(
        structure_clusters(clusters or ()), count, page, _echoed(data, "pageSize", page_size), age
    )


def _echoed(listing: dict[str, Any], name: str, asked: int) -> int:
    value = listing.get(name)
    return value if type(value) is int and value >= 1 else asked


def _misshapen(subject: str, expected: str, value: object) -> ResponseError:
    return _unusable(
        _WRONG_SHAPE, f"The response can't be used: {subject} must be {expected}, not {describe(value)}"
    )


def _unusable(meaning: _Meaning[ResponseError], message: str) -> ResponseError:
    """Return the error for a response that is neither a page nor a refusal."""
    return meaning.error(message, advice=meaning.advice, retryable=meaning.retried)


def _refused(response: _Response, meaning: _Meaning[APIError]) -> APIError:
    """Return the error for a refusal, with what the service wrote."""
    code = response.envelope.get("code")
    request_id = response.headers.get(REQUEST_ID) or _text_of(response.envelope, "requestId")
    retry_after = _retry_after(response)
    when = f"The service asks to come back in {retry_after:.0f} s. " if retry_after else ""
    return meaning.error(
        printable(_text_of(response.envelope, "message") or _plain_text(response)),
        status=response.status,
        code=code if type(code) is int else None,
        request_id=printable(request_id, _SHORT_TEXT) or None,
        retry_after=retry_after,
        advice=when + meaning.advice,
        retryable=meaning.retried,
    )


def _retry_after(response: _Response) -> float | None:
    return parse_retry_after(response.headers.get("Retry-After"), response.headers.get("Date"), response.now)


def _text_of(envelope: dict[str, Any], name: str) -> str:
    value = envelope.get(name)
    return value.strip() if isinstance(value, str) else ""


def _plain_text(response: _Response) -> str:
    """Return what to show if there is no message: a short plain text as it is, an empty text if there is nothing fit."""
    body = response.body.strip()
    if not body or body.startswith((b"{", b"[")):
        return ""
    if body.startswith(b"<") or "html" in response.headers.get("Content-Type", "").lower():
        return "No message, but an HTML page"
    if len(body) > _SHORT_TEXT:
        return ""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return ""


def _redirected(status: int, headers: Mapping[str, str]) -> ResponseError:
    target = _bare_address(headers.get("Location") or "")
    where = f"to {target}" if target else "that names no target"
    return _unusable(_REDIRECT, f"The response is a redirect (HTTP {status}) {where}")


def _bare_address(url: str) -> str:
    """Return a URL without query, fragment and user info, which may hold secrets. It may be relative, or garbage."""
    bare = re.split(r"[?#]", url.strip(), maxsplit=1)[0]
    scheme, slashes, rest = bare.partition("//")
    authority, slash, path = rest.partition("/")
    bare = f"{scheme}{slashes}{authority.rpartition('@')[2]}{slash}{path}"
    if "@" in bare:  # not in the authority, but a careless server may write anything
        bare = f"…{bare.rpartition('@')[2]}"
    return printable(bare, _SHORT_TEXT)
