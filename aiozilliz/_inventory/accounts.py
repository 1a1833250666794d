"""`Account`, and `load_accounts`, which reads accounts from the official command-line client's files."""

import configparser
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from attrs import field, frozen

from aiozilliz._errors import ConfigurationError, printable
from aiozilliz._public import public
from aiozilliz._settings.checks import GLOBAL, check_base_url
from aiozilliz._settings.credentials import (
    ApiKey,
    KeySource,
    Secret,
    check_key,
    cli_base_url,
    cli_folder,
    find_key,
    read_ini,
)
from aiozilliz._settings.permissions import warn_of_others
from aiozilliz._settings.tracebacks import hide_frames

logger = logging.getLogger("aiozilliz")

_ORGANISATION = "org."
_MASK = "****"
_SHOWN = 4  # characters at a key's end, enough to tell keys apart
_SHOWN_NAME = 100
_SHORTEST_SHOWN = 20  # of a shorter key, 4 characters are too many


def _check_name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"an account's name must be a str, not {type(name).__name__}")
    if not name:
        raise ValueError("an account's name must not be empty")
    return name


def _name_in(error: Exception, name: object) -> None:
    """Let an error say which account it is about: there may be hundreds. Its advice stays."""
    if isinstance(name, str) and name:
        error.args = (f"Account {printable(repr(name), _SHOWN_NAME)}: {error.args[0]}", *error.args[1:])


def _identity(source: KeySource) -> object:
    return source.fixed or source


@public
@frozen(init=False, repr=False)
class Account:
    """One API key of an inventory, and the site it belongs to.

    Attributes:
        name: The account's name in failures and reports. Unique in an inventory.
        base_url: `GLOBAL`, `CHINA` or any other URL, as for the client.

    Args:
        name: See above.
        api_key: A key, or a plain or async callable that returns one and is called before each attempt. It is never
            shown again.
        base_url: See above.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: The name is empty.
        ConfigurationError: The key or base URL can't be used. Like the others, it says of which account.
    """

    name: str = field(converter=_check_name)
    _api_key: KeySource = field(eq=_identity)
    base_url: str = field(converter=check_base_url)

    def __init__(self, name: str, api_key: "ApiKey", *, base_url: str = GLOBAL) -> None:
        try:
            try:
                if api_key is None:
                    raise TypeError("an account needs an api_key: a str or a callable")
                source, _ = find_key(api_key, account=str(name))
            finally:
                del api_key  # the traceback of an error refers to this frame
            self.__attrs_init__(name, source, base_url)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # made by attrs
        except (TypeError, ValueError) as error:
            _name_in(error, name)
            raise

    def __repr__(self) -> str:
        # Tracebacks with locals show the partly initialised account of a refused argument.
        shown = {name: getattr(self, name, None) for name in ("name", "base_url")}
        return f"Account({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def key_source(self) -> KeySource:
        """The source of the key. Its `repr` shows no key."""
        return self._api_key

    @property
    def masked_key(self) -> str:
        """The key in a form that people recognise: `****` and its last 4 characters.

        A key of less than 20 characters is `****` alone. A callable is `(callable)`, and is not called.
        """
        key = self._api_key.fixed
        return "(callable)" if key is None else _masked(key)


def _masked(key: Secret) -> str:
    return _MASK + key.reveal()[-_SHOWN:] if len(key.reveal()) >= _SHORTEST_SHOWN else _MASK


def check_accounts(accounts: Iterable[Account]) -> tuple[Account, ...]:
    """Check the accounts of an inventory. Log those that have the same key, because they may share a rate limit.

    Returns:
        The accounts, in their order.

    Raises:
        TypeError: One is not an `Account`.
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
                f"Two accounts are named {account.name!r}", advice="Give each account a unique name."
            )
        names.add(account.name)
        key = account.key_source.fixed
        if key is not None:
            first = first_with.setdefault((key, account.base_url), account.name)
            if first != account.name:
                logger.warning("the accounts %r and %r have the same key", first, account.name)
    return checked


@public
def load_accounts(
    *, base_url: str | None = None, organisations: Iterable[str] | None = None
) -> list[Account]:
    """Read all organisations from the official command-line client's credentials file (zilliz-cli 1.0.2).

    For keys that are stored elsewhere, create the `Account` objects yourself.

    Args:
        base_url: The site of all accounts. None is the base URL in that client's `config` file, or else `GLOBAL`.
        organisations: Names or ids of those to return, in any case. None is all.

    Returns:
        One account per key, in the order of the file. It is named after its organisation; after the organisation's id if
        two have the same name; `default` if the file has no name for it.

    Raises:
        ConfigurationError: The file does not exist, can't be read, holds no key, or holds one that can't be used; or it
            has none of an organisation that is asked for.
    """
    path = cli_folder() / "credentials"
    site = check_base_url(base_url) if base_url is not None else cli_base_url() or GLOBAL
    found = hide_frames(lambda: _organisations(path))
    warn_of_others(path, secret=True)
    times = Counter(name for name, _, _ in found)
    taken = {name for name, number in times.items() if name and number == 1}
    accounts: list[Account] = []
    wanted = None if organisations is None else {name.casefold(): name for name in organisations}
    known: set[str] = set()
    for name, org_id, source in found:
        unique = name
        if unique not in taken or times[name] > 1:
            unique = _not_in(taken, org_id or name or "default")
            taken.add(unique)
        names = {unique.casefold(), name.casefold(), org_id.casefold()}
        if wanted is None or names & wanted.keys():
            accounts.append(Account(unique, source, base_url=site))
            known |= names
    if wanted is not None and (missing := wanted.keys() - known):
        raise ConfigurationError(
            f"{path} has no organisation {', '.join(repr(wanted[name]) for name in missing)}",
            advice=f"It has {', '.join(repr(name) for name, _, _ in found)}.",
        )
    return accounts


def _not_in(taken: set[str], wanted: str) -> str:
    unique = wanted
    number = 1
    while unique in taken:
        number += 1
        unique = f"{wanted} ({number})"
    return unique


def _organisations(path: Path) -> list[tuple[str, str, KeySource]]:
    """Return name, id and key of each organisation. It must be called by `hide_frames`."""
    log_in = "Log in with the official command-line client (`zilliz login`)."
    credentials = read_ini(path)
    if credentials is None:
        raise ConfigurationError(f"There is no file {path}", advice=log_in)
    sections = [name for name in credentials.sections() if name.startswith(_ORGANISATION)]
    found: dict[Secret, tuple[str, str, KeySource]] = {}
    for section in (*sections, "default"):
        key = credentials.get(section, "api_key", fallback="")
        if key:
            origin = f"section [{printable(section, 100)}] of {printable(str(path))}"
            secret = check_key(key, origin)
            found.setdefault(secret, (*_named(credentials, section), KeySource(secret, origin=origin)))
    if not found:
        raise ConfigurationError(f"{path} holds no api_key", advice=log_in)
    return list(found.values())


def _named(credentials: configparser.RawConfigParser, section: str) -> tuple[str, str]:
    org_id = credentials.get(section, "org_id", fallback="")
    if section.startswith(_ORGANISATION):
        org_id = section.removeprefix(_ORGANISATION)
    return credentials.get(section, "org_name", fallback="") or org_id, org_id
