"""Sources of API keys: an argument, a callable, the environment, the official command-line client's files.

A key is wrapped in a `Secret` as soon as it is read, and unwrapped only where a request's header is written.
"""

from __future__ import annotations

import configparser
import inspect
import os
import re
from collections.abc import Awaitable, Callable
from io import StringIO
from json import detect_encoding
from pathlib import Path
from typing import NoReturn, TypeAlias, cast

from aiozilliz._errors import ConfigurationError, printable
from aiozilliz._public import public
from aiozilliz._settings.checks import GLOBAL, check_base_url, key_error, key_fault
from aiozilliz._settings.redaction import KNOWN_KEYS

ApiKey: TypeAlias = str | Callable[[], str] | Callable[[], Awaitable[str]]
"""An API key, or a plain or async callable that returns one and is called before each attempt."""

ENVIRONMENT_KEY = "ZILLIZ_API_KEY"
_HOW_TO_GIVE_A_KEY = (
    f"Pass {{api_key}}, set {ENVIRONMENT_KEY}, "
    "or log in with the official command-line client (`zilliz login`)."
)


class Secret:
    """An API key that is not exposed by accident: not in a repr, a local, a pickle or an attribute.

    From now on it is cut out of the texts that errors quote, also once it is out of use.
    """

    __slots__ = ("reveal",)

    reveal: Callable[[], str]
    """Returns the plain key. Don't keep the result in a local: tracebacks refer to frames."""

    def __init__(self, value: str) -> None:
        self.reveal = lambda: value
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
    """A fixed key, or a callable that returns one before each attempt."""

    __slots__ = ("_ask", "fixed")

    def __init__(self, fixed: Secret | None, ask: Callable[[], object] | None = None) -> None:
        self.fixed = fixed
        self._ask = ask

    def __repr__(self) -> str:
        fixed = getattr(self, "fixed", None)  # tracebacks show a partly initialised copy
        return f"<KeySource {'fixed' if fixed else 'callable'}>"

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
        secret, fault = await self._answer()
        if secret is None:
            raise key_error(fault, "the api_key callable")
        return secret

    async def _answer(self) -> tuple[Secret | None, str]:
        # Only this frame holds the plain key, and it raises no error of ours.
        assert self._ask is not None
        key = self._ask()
        if inspect.isawaitable(key):
            key = await key
        return wrap_key(key)


def wrap_key(key: object) -> tuple[Secret | None, str]:
    """Return the key; or None and what is wrong with it, so that the frame that raises does not hold it."""
    fault = key_fault(key)
    if fault is not None:
        return None, fault
    return Secret(str.__str__(cast("str", key))), ""  # a subclass may mask itself in __str__


def find_key(api_key: ApiKey | None, *, read_site: bool = True) -> tuple[KeySource, str | None]:
    """Find the API key.

    Args:
        api_key: A key, a callable, or None for `ZILLIZ_API_KEY` (an empty one counts as unset), then the official
            command-line client's `credentials` file.
        read_site: Whether to read the base URL from that client's `config` file, if the key is from its files.

    Returns:
        The key to use, and the base URL that its source names, or None.

    Raises:
        TypeError: `api_key` is of another type.
        ConfigurationError: There is no key, or it can't be used.
    """
    if api_key is None:
        return _find_outside(read_site=read_site)
    if isinstance(api_key, str):
        return _fixed(wrap_key(api_key), "{api_key}"), None
    if callable(api_key):
        return KeySource(None, api_key), None
    raise TypeError(f"api_key must be a str, a callable or None, not {type(api_key).__name__}")


def _find_outside(*, read_site: bool) -> tuple[KeySource, str | None]:
    if os.environ.get(ENVIRONMENT_KEY):
        source = f"the environment variable {ENVIRONMENT_KEY}"
        return _fixed(wrap_key(os.environ[ENVIRONMENT_KEY]), source), None
    path = cli_folder() / "credentials"
    found = _key_in_file(path)
    if found is None:
        lack = f"section [default] of {path} has no api_key" if path.exists() else f"there is no file {path}"
        raise ConfigurationError(
            f"No API key: {ENVIRONMENT_KEY} is not set and {lack}", advice=_HOW_TO_GIVE_A_KEY
        )
    return _fixed(found, str(path)), cli_base_url() if read_site else None


def _key_in_file(path: Path) -> tuple[Secret | None, str] | None:
    credentials = read_ini(path)
    key = credentials.get("default", "api_key", fallback="") if credentials is not None else ""
    return wrap_key(key) if key else None


def _fixed(key: tuple[Secret | None, str], source: str) -> KeySource:
    secret, fault = key
    if secret is None:
        raise key_error(fault, source)
    return KeySource(secret)


def cli_folder() -> Path:
    """Return the folder of the official command-line client's files (zilliz-cli 1.0.2)."""
    folder = Path(os.environ.get("ZILLIZ_CONFIG_DIR") or "~/.zilliz")
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
