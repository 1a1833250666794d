"""Which proxy a session of our own uses: the one that the environment names, or none; never one that is ignored.

A proxy may be the only way that is allowed, so one that can't be used is an error that names its variable. No text
repeats the proxy, which may hold a password.
"""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from aiozilliz._errors import ConfigurationError
from aiozilliz._settings.checks import is_loopback

_ADVICE: Final = "Name an HTTP proxy there, or unset it, or name the service's host in NO_PROXY."
_SOCKS: Final = "it is SOCKS, which takes a session= of your own, with the ProxyConnector of aiohttp-socks"
_ENCODE: Final = "'#', '/' and '?' in a user name or password must be percent-encoded"


def environment_proxy(base_url: str) -> str | None:
    """Return the proxy that the environment names for this URL, as `urllib` reads it, or None.

    `ALL_PROXY` counts if there is none for the URL's scheme, and `NO_PROXY` before both. A service on this machine is
    asked directly if its proxy is on another one: the key would go there in clear.

    Raises:
        ConfigurationError: A proxy is named that can't be used.
    """
    proxy, fault = _find(base_url)
    if fault:
        raise ConfigurationError(
            f"The proxy from {_variable(base_url)} can't be used: {fault}", advice=_ADVICE
        )
    return proxy


def _find(base_url: str) -> tuple[str | None, str]:
    """Return the proxy; or what is wrong with it, so that the frame that raises does not hold it."""
    parts = urlsplit(base_url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme, "").strip() or proxies.get("all", "").strip()
    if not proxy or not parts.hostname or proxy_bypass(parts.hostname) or proxy_bypass(parts.netloc):
        return None, ""
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if proxy.lower().startswith("socks"):
        return None, _SOCKS
    fault = _fault(proxy)
    if fault:
        return None, fault
    if parts.scheme == "http" and not is_loopback(urlsplit(proxy).hostname):
        return None, ""
    return proxy, ""


def _fault(proxy: str) -> str:
    if any(c.isspace() or not c.isprintable() for c in proxy) or "\\" in proxy:
        return "it contains white space, control characters or backslashes"
    try:
        parts = urlsplit(proxy)
        port, url = parts.port, URL(proxy)
    except ValueError:  # a `/` in a password ends the host, and leaves a port that is none
        return f"it has an invalid host or port; {_ENCODE}"
    if parts.scheme not in {"http", "https"}:
        return "it does not begin with http:// or https://"
    if "#" in proxy or "?" in proxy or "@" in parts.path:
        return f"it contains a query or a fragment; {_ENCODE}"
    if not parts.hostname or port == 0:
        return "it has no host, or an invalid port"
    try:
        f"{url.user}:{url.password}".encode("latin-1")  # as it is sent
    except UnicodeEncodeError:
        return "its user name or password has characters that can't be sent"
    return ""


def _variable(base_url: str) -> str:
    """Return the environment variable that names the proxy, or what else does."""
    for wanted in (f"{urlsplit(base_url).scheme}_proxy", "all_proxy"):
        # Of two that differ in case only, `urllib` takes the one in lower case.
        names = sorted((name for name in os.environ if name.lower() == wanted), reverse=True)
        if names and os.environ[names[0]].strip():
            return f"the environment variable {names[0]}"
    return "the system's settings"
