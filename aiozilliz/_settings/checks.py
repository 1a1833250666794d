"""Checks of arguments (keys, base URLs, numbers), the sites' base URLs, and `ListQuery`.

Pure: it reads neither environment nor files. No message repeats a key, or a URL that may contain one.
"""

from __future__ import annotations

import ipaddress
import math
import re
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen
from yarl import URL

from aiozilliz._errors import ConfigurationError, printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

GLOBAL = "https://api.cloud.zilliz.com"
"""Base URL of the global site."""

CHINA = "https://api.cloud.zilliz.com.cn"
"""Base URL of the China site. Its keys and clusters are separate from the global ones."""

_URL_ADVICE = "Pass {site}, or a URL such as 'https://host/prefix' as {base_url}."

_SURROGATE = re.compile("[\ud800-\udfff]")
_QUOTES = (
    "\"'`\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\u300c\u300d\uff02\uff07"
)

_HOST = re.compile(r"(?=.{1,254}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE)


def key_fault(key: object) -> str | None:
    """Check an API key.

    A key is sent in an HTTP header, so it must be printable ASCII without white space. The service calls it an
    alphanumeric string (docs.zilliz.com, Manage API Keys); only what can't be sent is refused here, and quotation marks
    around it, which come from a file or a shell.

    Returns:
        What is wrong with the key, without repeating it, or None.
    """
    if not isinstance(key, str):
        return f"it is of type {type(key).__name__}, not str"
    if not key:
        return "it is empty"
    if key[0] in _QUOTES or key[-1] in _QUOTES:
        return "it is in quotation marks, which are no part of it"
    if any(c.isspace() for c in key):
        return "it contains white space, such as a trailing newline from a file"
    if not key.isascii():
        return "it contains non-ASCII characters"
    if not key.isprintable():
        return "it contains control characters"
    return None


def key_error(fault: str, source: str) -> ConfigurationError:
    """Return the error for a key that can't be used.

    Args:
        fault: What is wrong with it, from `key_fault`.
        source: Where it was found, for the advice. It may name a setting in braces, as `{api_key}`.
    """
    return ConfigurationError(
        f"The API key can't be used: {fault}",
        advice=f"It came from {source}. Pass it exactly as the Zilliz Cloud console shows it.",
    )


def is_loopback(host: str | None) -> bool:
    """Check whether the host of a URL is this machine: `localhost`, `127.0.0.0/8` or `::1`.

    Returns:
        True if it is. Names below `localhost` are not: some resolvers send them to other servers.
    """
    if host is None:
        return False
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_base_url(base_url: object) -> str:
    """Check a base URL.

    Args:
        base_url: `https://host[:port][/prefix]`, or `http://` to a loopback host.

    Returns:
        The base URL without trailing slashes.

    Raises:
        TypeError: It is not a string.
        ConfigurationError: It can't be used, or a key must not be sent there.
    """
    if not isinstance(base_url, str):
        raise TypeError(f"base_url must be a str, not {type(base_url).__name__}")
    fault = _url_fault(base_url)
    if fault is not None:
        raise ConfigurationError(f"The base URL can't be used: {fault}", advice=_URL_ADVICE)
    return base_url.rstrip("/")


def _url_fault(url: str) -> str | None:
    if not url:
        return "it is empty"
    if any(c.isspace() or not c.isprintable() for c in url) or "\\" in url:
        return "it contains white space, control characters or backslashes"
    try:
        parts = urlsplit(url)
    except ValueError:
        return "it is not a URL"
    if parts.scheme not in {"http", "https"}:
        return "it does not begin with https://"
    if "@" in parts.netloc:
        return "it contains user info (something before an '@'); the key is sent in a header"
    if "?" in url or "#" in url:
        return "it contains a query or a fragment"
    host = parts.hostname
    if not host or not _is_host(host):
        return "it has no host, or one that can't exist"
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        return "it has an invalid port"
    if parts.scheme == "http" and not is_loopback(host):
        return (
            f"http:// would send the key in clear to {printable(host, 100)}; "
            "only loopback hosts may be used without TLS"
        )
    return None


def _is_host(host: str) -> bool:
    try:
        if not host.isascii():  # the HTTP library encodes names in other scripts
            host = str(URL.build(scheme="https", host=host).raw_host)
        if ":" not in host and not host.replace(".", "").isdigit():
            return _HOST.fullmatch(host) is not None
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def check_count(name: str, value: object) -> int:
    """Check a count or page number, which must be at least 1.

    Returns:
        The number.

    Raises:
        TypeError: It is not an int, or a bool.
        ValueError: It is below 1.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, not {value}")
    return value


def is_elsewhere(region_id: str, region: str | None) -> bool:
    """Return whether a record is of another region than the one that was asked for.

    The service's ids are in lower case, and no two differ in case only. So case does not count: a service that takes
    `AWS-US-WEST-2` too has answered rightly.

    Args:
        region_id: The record's region; of an empty one nothing is known.
        region: The region that was asked for, or None for all.
    """
    return region is not None and bool(region_id) and region_id.casefold() != region.casefold()


def check_type(name: str, value: object, kind: type) -> None:
    """Check the type of an argument.

    Raises:
        TypeError: It is of another type.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, not {type(value).__name__}")


@asynccontextmanager
async def _entered_once() -> AsyncGenerator[None, None]:
    yield


ONE_SHOT = type(_entered_once())
"""The type of what a function with `@asynccontextmanager` returns, which can be entered only once."""


def check_limiter(subject: str, value: object, otherwise: str) -> AbstractAsyncContextManager[object]:
    """Check a limiter, which is entered for each attempt.

    Args:
        subject: What must be a limiter, for the error.
        value: What is one, or not.
        otherwise: What else it may be, for the error.

    Returns:
        The limiter.

    Raises:
        TypeError: It is no async context manager, or one that can be entered only once.
    """
    if isinstance(value, ONE_SHOT):
        raise TypeError(
            f"{subject} an async context manager that can be entered many times, and what a function with "
            f"@asynccontextmanager returns can be entered once: write a class with __aenter__ and __aexit__{otherwise}"
        )
    if isinstance(value, AbstractAsyncContextManager):
        return cast("AbstractAsyncContextManager[object]", value)
    what = type(value).__name__
    if isinstance(value, type):
        what = f"the class {value.__name__}"
    elif callable(value):
        what = f"{what} (pass what it returns)"
    raise TypeError(
        f"{subject} an async context manager such as RateLimiter(20) or asyncio.Semaphore(4), not {what}"
        f"{otherwise}"
    )


def check_flag(name: str, value: object) -> bool:
    """Check a flag, which must be a bool.

    Returns:
        The flag.

    Raises:
        TypeError: It is not a bool.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be a bool, not {type(value).__name__}")
    return value


def check_seconds(name: str, value: object, *, positive: bool = True) -> float:
    """Check a number of seconds, which must be finite and above 0 (with `positive=False`, at least 0).

    Returns:
        The seconds as a float.

    Raises:
        TypeError: It is not a number, or a bool.
        ValueError: It is out of range.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds) or seconds < 0 or (positive and seconds == 0):
        raise ValueError(
            f"{name} must be a finite number of seconds {'above' if positive else 'not below'} 0, not {seconds}"
        )
    return seconds


def _count(_: object, attribute: Attribute[int], value: object) -> None:
    check_count(attribute.name, value)


def _region(_: object, attribute: Attribute[str | None], value: object) -> None:
    if value is None:
        return
    check_type(attribute.name, value, str)
    if not str(value).strip():
        raise ValueError(f"{attribute.name} must not be empty; None is all regions")
    if _SURROGATE.search(str(value)):
        raise ValueError(f"{attribute.name} contains half of a character, which has no form in a URL")


@frozen
class ListQuery:
    """The query parameters of a listing, sent with each page's request.

    Attributes:
        page_size: Records to request per page. The service documents 1 to 100 (List Clusters V2).
        region: Id of the only region to list, such as `aws-us-west-2` (List Clusters V2). None lists all.

    Raises:
        TypeError: A value is of the wrong type.
        ValueError: A value is out of range.
    """

    page_size: int = field(default=100, validator=_count)
    region: str | None = field(default=None, validator=_region)
