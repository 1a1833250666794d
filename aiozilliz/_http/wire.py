"""The wire: the URL of a page, and what an answer means.

`read_answer` is the one function of status, headers and body that gives a `ClusterPage` or raises. It sends nothing,
waits for nothing and knows no clock; who calls it adds to its errors what was asked and how often.

Facts are from the service's documentation: List Clusters V2, and Error Codes V2 for the codes. "Official CLI" and
"Terraform provider" name what these clients do where the documentation is silent.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, cast

from attrs import frozen

from aiozilliz._errors import (
    APIError,
    AuthenticationError,
    RateLimitError,
    ResponseError,
    ServerError,
    printable,
)
from aiozilliz._records.cluster import ClusterPage, structure_clusters
from aiozilliz._records.json import InvalidJSON, Json, parse
from aiozilliz._records.values import describe

PATH: Final = "/v2/clusters"
"""Path of List Clusters V2, below the base URL."""

REQUEST_ID: Final = "requestid"
"""Response header with what the service's support asks for (Terraform provider)."""

MAX_RETRY_AFTER: Final = 1e9
"""Seconds; a longer `Retry-After` is read as this."""

_RETRYABLE: Final = frozenset({408, 429, 500, 502, 503, 504})
_SUCCESS: Final = (0, 200)
_SHORT_TEXT: Final = 200

_SHAPE_ADVICE: Final = (
    "Check that base_url is the service's own; if it is, look for a newer version of aiozilliz."
)
_NOT_JSON_ADVICE: Final = (
    "A proxy or load balancer may have answered in the service's place: check base_url, or try again later."
)
_REDIRECT_ADVICE: Final = (
    "The key is sent nowhere else: set base_url to the final address, aiozilliz.GLOBAL or aiozilliz.CHINA."
)


@frozen
class _Refusal:
    """What a code, or an HTTP status, says: the error that it becomes, and what to do about it."""

    error: type[APIError]
    advice: str


_KEY_REFUSED = _Refusal(
    AuthenticationError,
    "Check the key: the api_key argument, ZILLIZ_API_KEY, the official CLI's credentials file. "
    "Keys of the China site and of the global site are separate: base_url must fit the key.",
)
_NO_PERMISSION = _Refusal(
    AuthenticationError,
    "Give the key a role that may see this project or cluster, or use a key that has one.",
)
_NOT_FOUND = _Refusal(APIError, "Check base_url and its path prefix.")
_TIMED_OUT = _Refusal(APIError, "Try again later, or ask for smaller pages (page_size).")
_RATE_LIMITED = _Refusal(
    RateLimitError,
    "Ask less often: 20 requests a second are allowed per user, so clients whose keys are of one user should share "
    "one limiter.",
)
_SERVER_FAILED = _Refusal(ServerError, "Try again later.")
_OTHER = _Refusal(APIError, "See the service's list of error codes.")

_MEANINGS: Final[dict[int, _Refusal]] = {
    **dict.fromkeys((401, 1800, 21119, 80001, 80002), _KEY_REFUSED),
    **dict.fromkeys((403, 96012, 96013, 96014, 96015, 96016, 96027), _NO_PERMISSION),
    404: _NOT_FOUND,
    408: _TIMED_OUT,
    429: _RATE_LIMITED,
    **dict.fromkeys(range(500, 600), _SERVER_FAILED),
    96001: _Refusal(APIError, "Check the region id."),
    96008: _Refusal(APIError, "The service takes a page_size of 1 to 100."),
    96009: _Refusal(APIError, "Pages are counted from 1."),
    **dict.fromkeys((96018, 96036), _Refusal(APIError, "Check the cluster id.")),
    **dict.fromkeys((40013, 63104, 96017), _OTHER),  # a name that is taken, a plan that can't be lowered
}
"""Codes of a body that are known, and HTTP statuses, which the service uses as codes too."""


@frozen(eq=False)
class _Answer:
    """What arrived, with its body read: `envelope` is empty where that is no JSON object."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    envelope: dict[str, Any]
    now: datetime


def page_url(base_url: str, page: int, page_size: int) -> str:
    """Give the URL of a page. Every page's URL is built here.

    Args:
        base_url: With a path prefix or without, no query.
        page: Page number, 1-based.
        page_size: Clusters per page; the service documents 1 to 100.
    """
    return f"{base_url.rstrip('/')}{PATH}?pageSize={page_size}&currentPage={page}"


def read_answer(
    status: int,
    headers: Mapping[str, str],
    body: bytes | None,
    *,
    page: int,
    page_size: int,
    now: datetime,
    max_bytes: int,
) -> ClusterPage:
    """Say what an answer means.

    A `code` that is known decides, whatever the HTTP status; else the HTTP status does; under 2xx any other code but
    0 and 200 is a refusal too. 200 is a success in the English edition of List Clusters V2, and a missing code is
    one for the official CLI and the Terraform provider.

    Args:
        status: HTTP status.
        headers: Response headers, by name in any case.
        body: The body as decompressed, or None where it is larger than `max_bytes` and was not read.
        page: The page number that was asked for; used where the service echoes none.
        page_size: The page size that was asked for; used where the service echoes none.
        now: The time, aware; a `Retry-After` date is counted from it where the answer has no `Date`.
        max_bytes: The bound on the body, in bytes.

    Raises:
        AuthenticationError: The key is refused, or may not do this.
        RateLimitError: The service was asked too often.
        ServerError: The service failed.
        APIError: The service said no for another reason.
        DecodeError: A record can't be decoded.
        ResponseError: The answer is no success and no refusal: not JSON, of the wrong shape, too large, a redirect.
    """
    if body is None and status < HTTPStatus.BAD_REQUEST:
        raise ResponseError(
            f"The answer is larger than max_response_bytes ({max_bytes} bytes)",
            advice="Ask for smaller pages (page_size), or raise max_response_bytes.",
        )
    content = parse(body or b"")
    envelope: dict[str, Any] = {}
    if isinstance(content, dict):
        envelope = content
        if status // 100 == 2 and _is_success(envelope):  # noqa: PLR2004
            return _read_page(envelope, page, page_size)
    code = envelope.get("code")
    answer = _Answer(status, headers, body or b"", envelope, now)
    known = _MEANINGS.get(code) if type(code) is int else None
    if known is not None:
        raise _refused(answer, known, cast("int", code))
    match status // 100:
        case 2:
            raise _no_success(answer, content)
        case 3:
            raise _redirected(status, headers)
        case 4 | 5:
            raise _refused(answer, _MEANINGS.get(status, _OTHER), status)
        case _:
            raise ResponseError(f"An HTTP status {status} has no meaning", advice=_SHAPE_ADVICE)


def parse_retry_after(value: str | None, date: str | None, now: datetime) -> float | None:
    """Read a `Retry-After` header: seconds, or an HTTP date (RFC 9110, section 10.2.3).

    Args:
        value: The header, or None. What is neither form counts as absent.
        date: The `Date` header of the same answer, or None. A date is counted from it: the clocks may differ.
        now: The time, aware; stands in where there is no such `Date`.

    Returns:
        Seconds, not negative and at most `MAX_RETRY_AFTER`, or None.
    """
    value = (value or "").strip()
    if value.isascii() and value.isdigit():
        digits = value.lstrip("0")
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


def _no_success(answer: _Answer, content: Json | InvalidJSON) -> APIError | ResponseError:
    """Say why an answer under 2xx is no page."""
    if isinstance(content, InvalidJSON):
        error = ResponseError(
            f"The answer (HTTP {answer.status}) is {content.reason}",
            advice=_NOT_JSON_ADVICE if content.retryable else _SHAPE_ADVICE,
            retryable=content.retryable,
        )
        error.retry_after = _retry_after(answer)
        return error
    if not isinstance(content, dict):
        return _misshapen("the body", "an object", content)
    code = content["code"]
    if type(code) is not int:
        return _misshapen("code", "an integer", code)
    limited = "rate limit" in _text_of(content, "message").lower()  # so does the official CLI read it
    meaning = _RATE_LIMITED if limited else _OTHER
    return _refused(answer, meaning, HTTPStatus.TOO_MANY_REQUESTS if limited else answer.status)


def _read_page(envelope: dict[str, Any], page: int, page_size: int) -> ClusterPage:
    data: Json = envelope.get("data")
    if isinstance(data, list):  # the schema printed in List Clusters V2; its example has the object
        return ClusterPage(structure_clusters(data), None, page, page_size)
    if not isinstance(data, dict):
        raise _misshapen("data", "an object or a list", data)
    if "clusters" not in data:
        raise ResponseError("The answer can't be used: data holds no clusters", advice=_SHAPE_ADVICE)
    clusters: Json = data["clusters"]
    if clusters is not None and not isinstance(clusters, list):
        raise _misshapen("clusters", "a list", clusters)
    count = data.get("count")
    if count is not None and (type(count) is not int or count < 0):
        raise _misshapen("count", "an integer, 0 or more", count)
    return ClusterPage(
        structure_clusters(clusters or ()),
        count,
        _echoed(data, "currentPage", page),
        _echoed(data, "pageSize", page_size),
    )


def _echoed(listing: dict[str, Any], name: str, asked: int) -> int:
    value = listing.get(name)
    return value if type(value) is int and value >= 1 else asked


def _misshapen(subject: str, expected: str, value: object) -> ResponseError:
    return ResponseError(
        f"The answer can't be used: {subject} must be {expected}, not {describe(value)}",
        advice=_SHAPE_ADVICE,
    )


def _refused(answer: _Answer, refusal: _Refusal, number: int) -> APIError:
    """Make the error for a refusal. `number`, a code or HTTP status, decides whether to try again."""
    code = answer.envelope.get("code")
    request_id = answer.headers.get(REQUEST_ID) or _text_of(answer.envelope, "requestId")
    retry_after = _retry_after(answer)
    when = f"The service asks to come back in {retry_after:.0f} s. " if retry_after else ""
    return refusal.error(
        printable(_text_of(answer.envelope, "message") or _plain_text(answer)),
        status=answer.status,
        code=code if type(code) is int else None,
        request_id=printable(request_id, _SHORT_TEXT) or None,
        retry_after=retry_after,
        advice=when + refusal.advice,
        retryable=number in _RETRYABLE,
    )


def _retry_after(answer: _Answer) -> float | None:
    return parse_retry_after(answer.headers.get("Retry-After"), answer.headers.get("Date"), answer.now)


def _text_of(envelope: dict[str, Any], name: str) -> str:
    value = envelope.get(name)
    return value.strip() if isinstance(value, str) else ""


def _plain_text(answer: _Answer) -> str:
    """Say what came instead of a message: the text itself where it is short and for people."""
    body = answer.body.strip()
    if not body or body.startswith((b"{", b"[")):
        return ""
    if body.startswith(b"<") or "html" in answer.headers.get("Content-Type", "").lower():
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
    return ResponseError(f"The answer is a redirect (HTTP {status}) {where}", advice=_REDIRECT_ADVICE)


def _bare_address(url: str) -> str:
    """Give a URL without query, fragment and user info, which may hold secrets. It may be relative, or garbage."""
    bare = re.split(r"[?#]", url.strip(), maxsplit=1)[0]
    scheme, slashes, rest = bare.partition("//")
    authority, slash, path = rest.partition("/")
    bare = f"{scheme}{slashes}{authority.rpartition('@')[2]}{slash}{path}"
    if "@" in bare:  # no URL has user info here, but what a careless server writes may
        bare = f"…{bare.rpartition('@')[2]}"
    return printable(bare, _SHORT_TEXT)
