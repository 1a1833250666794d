"""Sources of API keys: an argument, a callable, the environment, the official command-line client's files.

A key is wrapped in a `Secret` as soon as it is read, and unwrapped only where a request's header is written. Between the
two it is a local of functions that `hide_frames` runs, and of no others: whatever these raise, and on whichever line, no
frame that is left in the traceback shows it.
"""

from __future__ import annotations

import configparser
import inspect
import os
import re
from collections.abc import Awaitable, Callable
from functools import partial
from io import StringIO
from json import detect_encoding
from operator import attrgetter
from pathlib import Path
from types import CellType
from typing import Final, NoReturn, TypeAlias, cast

from aiozilliz._errors import ConfigurationError, printable
from aiozilliz._public import public
from aiozilliz._settings.checks import GLOBAL, check_base_url, key_error, key_fault
from aiozilliz._settings.permissions import warn_of_others
from aiozilliz._settings.redaction import KNOWN_KEYS
from aiozilliz._settings.tracebacks import hide_frames

ApiKey: TypeAlias = str | Callable[[], str] | Callable[[], Awaitable[str]]
"""An API key, or a plain or async callable that returns one and is called before each attempt."""

ENVIRONMENT_KEY = "ZILLIZ_API_KEY"
_HOW_TO_GIVE_A_KEY = (
    f"Pass {{api_key}}, set {ENVIRONMENT_KEY}, "
    "or log in with the official command-line client (`zilliz login`)."
)


_contents: Final = attrgetter("cell_contents")  # written as `cell.cell_contents`, trackers would evaluate it


class Secret:
    """An API key that is not exposed by accident: not in a repr, a local, a pickle or an attribute.

    From now on it is cut out of the texts that errors quote, also once it is out of use.
    """

    __slots__ = ("reveal",)

    reveal: Callable[[], str]
    """Returns the plain key. Don't keep the result in a local: tracebacks refer to frames."""

    def __init__(self, value: str) -> None:
        self.reveal = partial(
            _contents, CellType(value)
        )  # it shows no key, and has no frame when it is called
        KNOWN_KEYS.add(value)

    def __repr__(self) -> str:
        return "<Secret>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.reveal() == other.reveal()

    def __hash__(self) -> int:
        return hash(self.reveal())

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret can't be pickled or copied")


class KeySource:
    """A fixed key, or a callable that returns one before each attempt.

    Args:
        fixed: The key.
        ask: The callable, if there is no fixed key.
        origin: Where the key comes from, for errors. It may name a setting in braces, as `{api_key}`.
    """

    __slots__ = ("_ask", "fixed", "origin")

    def __init__(
        self, fixed: Secret | None, ask: Callable[[], object] | None = None, *, origin: str = "{api_key}"
    ) -> None:
        self.fixed = fixed
        self.origin = origin
        self._ask = ask

    def __repr__(self) -> str:
        fixed = getattr(self, "fixed", None)  # tracebacks show a partly initialised copy
        return f"<KeySource {'fixed' if fixed else 'callable'}>"

    async def __call__(self) -> str:
        """Return the current plain key: a source is an `ApiKey` too."""
        return (await self.get()).reveal()

    async def get(self) -> Secret:
        """Get the current key.

        Returns:
            The fixed key, or the one that the callable returns now.

        Raises:
            ConfigurationError: The callable returned something that can't be used as a key. Its own exceptions
                propagate.
        """
        if self.fixed is not None:
            return self.fixed
        assert self._ask is not None
        held = CellType(
            self._ask()
        )  # what it returns is never a plain local, and a cell does not show what it holds
        if not isinstance(_contents(held), str) and inspect.isawaitable(_contents(held)):
            held = CellType(await _contents(held))
        return hide_frames(lambda: check_key(_contents(held), self.origin))


def check_key(key: object, origin: str) -> Secret:
    """Return the key as a secret. It must be called by `hide_frames`.

    Raises:
        ConfigurationError: It can't be used.
    """
    fault = key_fault(key)
    if fault is not None:
        raise key_error(fault, origin)
    return Secret(str.__str__(cast("str", key)))  # a subclass may mask itself in __str__


def find_key(
    api_key: ApiKey | None, *, read_site: bool = True, account: str | None = None
) -> tuple[KeySource, str | None]:
    """Find the API key.

    Args:
        api_key: A key, a callable, or None for `ZILLIZ_API_KEY` (an empty one counts as unset), then the official
            command-line client's `credentials` file.
        read_site: Whether to read the base URL from that client's `config` file, if the key is from its files.
        account: The name of the account that it is for, for errors.

    Returns:
        The key to use, and the base URL that its source names, or None.

    Raises:
        TypeError: `api_key` is of another type.
        ConfigurationError: There is no key, or it can't be used.
    """
    try:
        whose = "" if account is None else f" of the account {printable(account, 100)!r}"
        if api_key is None:
            return _find_outside(read_site=read_site)
        if isinstance(api_key, KeySource):
            return api_key, None
        if isinstance(api_key, str):
            origin = f"the api_key argument{whose}" if whose else "{api_key}"
            held = CellType(api_key)
            return KeySource(hide_frames(lambda: check_key(_contents(held), origin)), origin=origin), None
        if callable(api_key):
            return KeySource(None, api_key, origin=f"the api_key callable{whose}"), None
        raise TypeError(f"api_key must be a str, a callable or None, not {type(api_key).__name__}")
    finally:
        del api_key  # a traceback refers to this frame


def _find_outside(*, read_site: bool) -> tuple[KeySource, str | None]:
    origin = f"the environment variable {ENVIRONMENT_KEY}"
    found = hide_frames(lambda: _key_in_environment(origin))
    if found is not None:
        return KeySource(found, origin=origin), None
    path = cli_folder() / "credentials"
    origin = f"section [default] of {printable(str(path))}"
    found = hide_frames(lambda: _key_in_file(path, origin))
    if found is None:
        lack = f"{origin} has no api_key" if path.exists() else f"there is no file {path}"
        unset = "is not set" if hide_frames(lambda: os.getenv(ENVIRONMENT_KEY)) is None else "is empty"
        raise ConfigurationError(
            f"No API key: {ENVIRONMENT_KEY} {unset} and {lack}", advice=_HOW_TO_GIVE_A_KEY
        )
    warn_of_others(path, secret=True)
    return KeySource(found, origin=origin), cli_base_url() if read_site else None


def _key_in_environment(origin: str) -> Secret | None:
    key = os.getenv(ENVIRONMENT_KEY)
    return check_key(key, origin) if key else None


def _key_in_file(path: Path, origin: str) -> Secret | None:
    credentials = read_ini(path)
    key = credentials.get("default", "api_key", fallback="") if credentials is not None else ""
    return check_key(key, origin) if key else None


def cli_folder() -> Path:
    """Return the folder of the official command-line client's files (zilliz-cli 1.0.2)."""
    # A frame of the environment's shows all variables.
    folder = Path(hide_frames(lambda: os.getenv("ZILLIZ_CONFIG_DIR")) or "~/.zilliz")
    try:
        return folder.expanduser()
    except RuntimeError:  # the user has no home directory, as in some containers
        return folder


@public
def cli_base_url() -> str | None:
    """Read the base URL from the official command-line client's `config` file.

    A `ZillizClient` that finds its key in the same folder uses it by default.

    Returns:
        The base URL, or None if there is no such file or it names none.

    Raises:
        ConfigurationError: The file can't be read, or its base URL can't be used.
    """
    path = cli_folder() / "config"
    config = read_ini(path)
    base_url = config.get("default", "base_url", fallback="") if config is not None else ""
    if base_url or config is None:
        warn_of_others(path, secret=False)
    if not base_url:
        return None
    try:
        return check_base_url(base_url)
    except ConfigurationError as error:
        fault = error.message
    raise ConfigurationError(
        f"{fault} (base_url in {path})", advice=f"Correct it there; the default is {GLOBAL}."
    )


def read_ini(path: Path) -> configparser.RawConfigParser | None:
    """Read one of the official command-line client's INI files.

    That client writes them with `configparser`; `[default]` is an ordinary section, and `%` in a value is literal.

    Returns:
        The parsed file, or None if it does not exist.

    Raises:
        ConfigurationError: The file can't be read. The message does not repeat its contents.
    """
    parser, fault = _parse(path)
    if fault:
        raise ConfigurationError(
            f"{printable(str(path))} can't be read: {fault}",
            advice="Correct it, or log in again with the official command-line client.",
        )
    return parser


class _Parser(configparser.RawConfigParser):
    # The base class's pattern takes quadratic time for blanks in a line without a delimiter. This one matches the same;
    # the parser strips trailing blanks from the name of an option.
    OPTCRE = re.compile(r"(?P<option>[^=:]*)(?P<vi>[=:])\s*(?P<value>.*)$")


def _parse(path: Path) -> tuple[configparser.RawConfigParser | None, str]:
    # The parser holds keys, so a frame that refers to it raises no error of ours.
    # Its section of defaults gets a name that no file can contain.
    parser = _Parser(default_section="\n", strict=False)
    try:
        content = path.read_bytes()
        # UTF-8, or what PowerShell's `>` writes: UTF-16 with a byte order mark.
        parser.read_file(StringIO(content.decode(detect_encoding(content)), newline=None))
    except (FileNotFoundError, NotADirectoryError):
        return None, ""
    except OSError as error:
        return None, error.strerror or type(error).__name__
    except UnicodeDecodeError as error:
        return None, f"it is not {error.encoding.upper()} text"
    except configparser.Error as error:  # its text quotes the lines
        bad_lines = [number for number, _ in getattr(error, "errors", ())] or [getattr(error, "lineno", "?")]
        return None, f"it is not an INI file, see line {bad_lines[0]}"
    return parser, ""
