"""Accounts of an inventory: what one is, and how the official command-line client's file becomes many."""

import configparser
import logging
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from attrs import field, frozen

from aiozilliz._errors import ConfigurationError
from aiozilliz._public import public
from aiozilliz._settings.checks import GLOBAL, check_base_url
from aiozilliz._settings.credentials import (
    ApiKey,
    KeySource,
    Secret,
    cli_base_url,
    cli_folder,
    find_key,
    read_ini,
    wrap_key,
)

logger = logging.getLogger("aiozilliz")

_ORGANISATION = "org."
_MASK = "****"
_SHOWN = 4  # characters at a key's end, enough to tell keys apart
_SHORTEST_SHOWN = 20  # of a shorter key they would be too large a part


def _check_name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"an account's name must be a str, not {type(name).__name__}")
    if not name:
        raise ValueError("an account's name must not be empty")
    return name


def _identity(source: KeySource) -> object:
    return source.fixed or source


@public
@frozen(init=False, repr=False)
class Account:
    """One API key of an inventory, and the site that it is for.

    Attributes:
        name: What failures and reports call it. Unique in an inventory.
        base_url: `GLOBAL`, `CHINA` or any other URL, as for the client.

    Args:
        name: See above.
        api_key: A key, or a plain or async callable that gives one and is asked before each attempt. It is not shown
            again.
        base_url: See above.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: The name is empty.
        ConfigurationError: The key or the base URL can't be used.
    """

    name: str = field(converter=_check_name)
    _api_key: KeySource = field(eq=_identity)
    base_url: str = field(converter=check_base_url)

    def __init__(self, name: str, api_key: "ApiKey | KeySource", *, base_url: str = GLOBAL) -> None:
        if api_key is None:
            raise TypeError("an account needs an api_key: a str or a callable")
        source = api_key if isinstance(api_key, KeySource) else find_key(api_key)[0]
        del api_key  # where another argument is refused, the error's traceback refers to this frame
        self.__attrs_init__(name, source, base_url)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # made by attrs

    def __repr__(self) -> str:
        # An account of which an argument was refused is half made, and tracebacks with locals show it.
        shown = {name: getattr(self, name, None) for name in ("name", "base_url")}
        return f"Account({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def key_source(self) -> KeySource:
        """Where the key comes from. It shows no key."""
        return self._api_key

    @property
    def masked_key(self) -> str:
        """The key for people to recognise: `****` and its last 4 characters, which give nothing away.

        A key of less than 20 characters is `****` alone, and a callable is `(callable)`: it is not asked.
        """
        key = self._api_key.fixed
        return "(callable)" if key is None else _masked(key)


def _masked(key: Secret) -> str:
    return _MASK + key.reveal()[-_SHOWN:] if len(key.reveal()) >= _SHORTEST_SHOWN else _MASK


def check_accounts(accounts: Iterable[Account]) -> tuple[Account, ...]:
    """Give the accounts of an inventory. The log is told of those that have the same key: they may share a rate limit.

    Raises:
        TypeError: One is no `Account`.
        ConfigurationError: Two have the same name.
    """
    checked: tuple[Account, ...] = tuple(accounts)
    names: set[str] = set()
    first_with: dict[tuple[Secret, str], str] = {}
    for account in checked:
        if not isinstance(account, Account):
            raise TypeError(f"accounts must be Account objects, not {type(account).__name__}")
        if account.name in names:
            raise ConfigurationError(
                f"Two accounts are named {account.name!r}", advice="Give each account a name of its own."
            )
        names.add(account.name)
        key = account.key_source.fixed
        if key is not None:
            first = first_with.setdefault((key, account.base_url), account.name)
            if first != account.name:
                logger.warning("the accounts %r and %r have the same key", first, account.name)
    return checked


@public
def load_accounts(*, base_url: str | None = None) -> list[Account]:
    """Read every organisation in the official command-line client's credentials file (zilliz-cli 1.0.2).

    Each key comes once. An account is named by its organisation, by the organisation's id where two share a name, and
    `default` where the file names none. For keys that are kept elsewhere, make the `Account` objects yourself.

    Args:
        base_url: The site of all of them. None takes the base URL of the client's `config` file where it has one, else
            `GLOBAL`.

    Raises:
        ConfigurationError: There is no file, it can't be read, it holds no key, or one that can't be used.
    """
    path = cli_folder() / "credentials"
    site = check_base_url(base_url) if base_url is not None else cli_base_url() or GLOBAL
    found, fault = _organisations(path)
    if found is None:
        raise ConfigurationError(
            fault,
            advice="Log in with the official command-line client (`zilliz login`).",
        )
    _warn_of_readers(path)
    times = Counter(name for name, _, _ in found)
    taken = {name for name, number in times.items() if name and number == 1}
    accounts: list[Account] = []
    for name, org_id, secret in found:
        unique = name
        if unique not in taken or times[name] > 1:
            unique = _not_in(taken, org_id or name or "default")
            taken.add(unique)
        accounts.append(Account(unique, KeySource(secret), base_url=site))
    return accounts


def _not_in(taken: set[str], wanted: str) -> str:
    unique = wanted
    number = 1
    while unique in taken:
        number += 1
        unique = f"{wanted} ({number})"
    return unique


def _organisations(path: Path) -> tuple[list[tuple[str, str, Secret]] | None, str]:
    """Give name, id and key of each organisation that has a key, or what is wrong. The keys are in clear only here."""
    credentials = read_ini(path)
    if credentials is None:
        return None, f"There is no file {path}"
    sections = [name for name in credentials.sections() if name.startswith(_ORGANISATION)]
    found: dict[Secret, tuple[str, str]] = {}
    for section in (*sections, "default"):
        if not credentials.get(section, "api_key", fallback=""):
            continue
        secret, fault = wrap_key(credentials.get(section, "api_key"))
        if secret is None:
            return None, f"The API key from section [{section}] of {path} can't be used: {fault}"
        found.setdefault(secret, _named(credentials, section))
    if not found:
        return None, f"{path} holds no api_key"
    return [(name, org_id, secret) for secret, (name, org_id) in found.items()], ""


def _named(credentials: configparser.RawConfigParser, section: str) -> tuple[str, str]:
    org_id = credentials.get(section, "org_id", fallback="")
    if section.startswith(_ORGANISATION):
        org_id = section.removeprefix(_ORGANISATION)
    return credentials.get(section, "org_name", fallback="") or org_id, org_id


def _warn_of_readers(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError:  # it was read a moment ago, and is being replaced
        return
    if os.name == "posix" and mode & 0o077:
        logger.warning("%s can be read or changed by others than its owner: chmod 600 it", path)
