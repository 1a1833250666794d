"""The error tree: what each error holds, its text, and its pickling.

```
ZillizError
├── ConfigurationError (also ValueError)
├── TransportError            no usable response arrived: refused, reset, timed out, cut short
├── ResponseError             a response that can't be used: not JSON, wrong shape, too large, a redirect
│   ├── DecodeError
│   └── IncompleteListingError
├── APIError                  the service refused the request
│   ├── AuthenticationError   the key is refused, or may not do this
│   ├── RateLimitError
│   └── ServerError
└── InventoryError (also ExceptionGroup)
```

Advice is data: a text that names settings in braces. The library and the command line each insert their own names.

Errors are plain data. None holds a live object of the HTTP library, because those hold request headers and so the key.
`type(error)(*error.args)`, which is how task queues restore an error from JSON, keeps the message alone; pickling and
copying keep everything.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Self, cast

from aiozilliz._public import new_object, public

MAX_TEXT = 500
"""Characters of the service's text that an error quotes at most, in its text or in an attribute."""

_MAX_WHOLE: Final = 5_000
"""Characters of the text of an error at most, and of each part of it. All but hostile ones are much shorter."""

_MAX_ACCOUNTS: Final = 20
_MAX_NAME: Final = 100

SETTINGS: Final = {
    "api_key": "the api_key argument",
    "base_url": "base_url",
    "site": "aiozilliz.GLOBAL or aiozilliz.CHINA",
    "page_size": "page_size",
    "max_passes": "max_passes",
    "verify": "verify",
    "timeout": "timeout=",
    "deadline": "retry=RetryPolicy(deadline=...)",
    "max_response_bytes": "max_response_bytes",
    "limiter": "a shared limiter",
    "session": "SSL_CERT_FILE or a session= of your own",
}
"""Settings that advice may name in braces, as in `{page_size}`, and their names in the library."""

_SETTING: Final = re.compile(rf"\{{({'|'.join(SETTINGS)})\}}")


def printable(text: str, limit: int = MAX_TEXT) -> str:
    """Return `text` on one line, with control and other unprintable characters escaped.

    Args:
        text: Any text, for instance a message of the service.
        limit: Maximum number of characters; a longer text is cut and ends in an ellipsis.
    """
    shown = _escaped(text[: limit + 1])  # escapes make it longer, never shorter
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _bounded(text: Any, limit: int) -> Any:
    """Return a text as it is if it is short enough when it is shown; else what is shown of it."""
    if not isinstance(text, str) or len(_escaped(text[: limit + 1])) <= limit:
        return text
    return printable(text, limit)


def _named(advice: str, settings: Mapping[str, str]) -> str:
    # Not `str.format`: users may set advice, and other braces in it are literal.
    named: str = _bounded(_SETTING.sub(lambda name: settings[name[1]], advice), _MAX_WHOLE)
    return named


_new = new_object  # pickles of version 0.1.0 name it


@public
class ZillizError(Exception):
    """Base of all errors that this package raises about the service, its responses, or its own configuration.

    Attributes:
        method: The HTTP method of the request, or None if there was no request.
        url: The URL of the request, or None. It never contains a key.
        page: The requested page number, 1-based, or None.
        attempts: Requests sent for this page before the error was raised.
        elapsed: Seconds from the start of the call until the error was raised, or None.
        retryable: Whether the same request may succeed later. The client has already used up its `RetryPolicy`.
    """

    def __init__(
        self,
        message: str,
        *,
        advice: str = "",
        method: str | None = None,
        url: str | None = None,
        page: int | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(_bounded(message, _MAX_WHOLE))
        self._advice = _bounded(advice, _MAX_WHOLE)
        self.method: str | None = _bounded(method, MAX_TEXT)
        self.url: str | None = _bounded(url, _MAX_WHOLE)
        self.page = page
        self.retryable = retryable
        self.attempts = 0
        self.elapsed: float | None = None

    @property
    def message(self) -> str:
        """What went wrong, without the request and the advice. Of an `APIError`, the service's own text."""
        return str(self.args[0]) if self.args else ""

    @property
    def advice(self) -> str:
        """What to do about it, with the library's names of the settings."""
        return self._advice_with(SETTINGS)

    @advice.setter
    def advice(self, advice: str) -> None:
        self._advice = advice

    def describe(self, settings: Mapping[str, str]) -> str:
        """Return the text of the error as `str` does, with other names for the settings in its advice.

        The message, which may quote the service, stays as it is.

        Args:
            settings: Setting to the reader's name of it, for instance `{"page_size": "--page-size"}`. The settings are
                `api_key`, `base_url`, `site`, `page_size`, `max_passes`, `verify`, `timeout`, `deadline`,
                `max_response_bytes`, `limiter` and `session`; one that is missing keeps the library's name.
        """
        parts = (self._said(), self._asked(), self._advice_with({**SETTINGS, **settings}))
        return printable(" ".join(part for part in parts if part), _MAX_WHOLE)

    def _advice_with(self, settings: Mapping[str, str]) -> str:
        return _named(self._advice, settings)

    def __str__(self) -> str:
        return self.describe(SETTINGS)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def _said(self) -> str:
        text = self.message.rstrip()
        return text if not text or text.endswith((".", "!", "?", "…")) else f"{text}."

    def _asked(self) -> str:
        if self.url is None:
            return ""
        page = f", page {self.page}" if self.page is not None else ""
        tried = ""
        if self.attempts or self.elapsed is not None:
            count = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
            tried = f"; {count} in {self.elapsed or 0.0:.1f} s"
        return f"[{self.method} {self.url}{page}{tried}]"

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with `args`, which lacks the keyword-only arguments.
        return new_object, (type(self), *self._new_args()), {"args": self.args, **vars(self)}

    def __setstate__(self, state: dict[str, Any] | None) -> None:
        """Restore the state from `__reduce__` of this or another version; missing attributes get their defaults."""
        held: dict[str, Any] = {"attempts": 0, "elapsed": None}
        for cls in reversed(type(self).__mro__):
            if cls.__module__ == ZillizError.__module__:
                held |= getattr(vars(cls).get("__init__"), "__kwdefaults__", None) or {}
        held |= state or {}
        self.args = held.pop("args", self.args)
        held.setdefault("_advice", held.pop("advice"))  # `advice` is its name in 0.1.0, and in the defaults
        vars(self).update(held)

    def _new_args(self) -> tuple[object, ...]:
        """Return the arguments of `__new__`."""
        return self.args


@public
class ConfigurationError(ZillizError, ValueError):
    """The configuration can't work: no key, a malformed key or base URL, an unreadable file."""


@public
class TransportError(ZillizError):
    """No usable response arrived: the connection was refused, reset, timed out or cut short.

    It is raised when the attempts of the `RetryPolicy` are used up or its deadline has passed. A certificate that can't
    be verified is never retried.

    Attributes:
        lost_connection: Whether an established connection was lost before a response arrived.
    """

    lost_connection = False


@public
class ResponseError(ZillizError):
    """A response arrived that can't be used: not JSON, the wrong shape, too large, or a redirect.

    Attributes:
        retry_after: Seconds that the service asks to wait before the next request, or None.
        echoed_page: The page number that the response said it was for, if that was not the one requested; else None.
    """

    retry_after: float | None = None
    echoed_page: int | None = None


@public
class DecodeError(ResponseError):
    """A record can't be decoded: a known field has a value of the wrong type, or the record has no id.

    Attributes:
        index: Position of the record on its page, 0-based.
        cluster_id: The record's id, or None if it has none.
        field: The field's wire name, for instance `cuSize`, or None if the record is not an object.
    """

    def __init__(
        self,
        message: str,
        *,
        index: int = 0,
        cluster_id: str | None = None,
        field: str | None = None,
        **asked: Any,
    ) -> None:
        super().__init__(message, **asked)
        self.index = index
        self.cluster_id: str | None = _bounded(cluster_id, MAX_TEXT)
        self.field: str | None = _bounded(field, MAX_TEXT)


@public
class IncompleteListingError(ResponseError):
    """The responses do not show that the listing is complete. It is raised after every record seen was yielded.

    Attributes:
        expected: The `count` of the latest response, or None if it had none.
        received: Distinct ids in the last pass.
        passes: Passes made over the pages.
    """

    def __init__(
        self, message: str, *, expected: int | None = None, received: int = 0, passes: int = 0, **asked: Any
    ) -> None:
        super().__init__(message, **asked)
        self.expected = expected
        self.received = received
        self.passes = passes


@public
class APIError(ZillizError):
    """The service refused the request.

    Attributes:
        status: The HTTP status, or 0 in an error that was created without one, for instance from `args` alone.
        code: The `code` of the body, or None if the body has none.
        request_id: The response header `requestid`, which the service's support needs, or None.
        retry_after: Seconds that the service asks to wait before the next request, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        **asked: Any,
    ) -> None:
        super().__init__(message, **asked)
        self.status = status
        self.code = code
        self.request_id: str | None = _bounded(request_id, MAX_TEXT)
        self.retry_after = retry_after

    def _said(self) -> str:
        facts = [f"HTTP {self.status}"] if self.status else []
        if self.code is not None:
            facts.append(f"code {self.code}")
        if self.request_id:
            facts.append(f"request id {self.request_id}")
        text = self.message.rstrip(" .") or "The service gave no reason"
        return f"{text} ({', '.join(facts)})." if facts else f"{text}."


@public
class AuthenticationError(APIError):
    """The key is refused, or lacks the permission. Its advice says where the key came from."""

    _key_source = ""

    @property
    def key_source(self) -> str:
        """Where the key came from: an argument, a callable, a variable, a file and section; or "" if it is unknown."""
        return _named(self._key_source, SETTINGS)

    @key_source.setter
    def key_source(self, source: str) -> None:
        self._key_source = source

    def _advice_with(self, settings: Mapping[str, str]) -> str:
        source = f"The key came from {_named(self._key_source, settings)}." if self._key_source else ""
        return " ".join(part for part in (source, super()._advice_with(settings)) if part)


@public
class RateLimitError(APIError):
    """Too many requests were sent. `retry_after` is in seconds, or None."""


@public
class ServerError(APIError):
    """The service failed: HTTP status, or `code`, 500 to 599."""


@public
class InventoryError(ZillizError, ExceptionGroup[Exception]):
    """Some accounts of an inventory failed. It is raised after all records that could be read were yielded.

    Attributes:
        failures: Account name to error. A part that `except*` splits off keeps the failures of its own errors. An error
            that was created from `args` alone has none of them.
        retryable: Whether all failures are retryable.

    Raises:
        ValueError: `failures` is empty.
    """

    def __new__(cls, message: str, failures: dict[str, Exception] | None = None) -> Self:
        """Create the group of the errors in `failures`, which must not be empty."""
        # A group can't be empty.
        errors = [ZillizError(message)] if failures is None else list(failures.values())
        return super().__new__(cls, _bounded(message, _MAX_WHOLE), errors)

    def __init__(self, message: str, failures: dict[str, Exception] | None = None) -> None:
        self.failures: dict[str, Exception] = dict(failures or {})
        errors = self.failures.values()
        # As one refused key makes each run fail, it takes all of them.
        retryable = bool(errors) and all(
            isinstance(error, ZillizError) and error.retryable for error in errors
        )
        ZillizError.__init__(self, message, retryable=retryable)

    def _said(self) -> str:
        if not self.failures:
            return super()._said()
        names = [printable(name, _MAX_NAME) for name in islice(self.failures, _MAX_ACCOUNTS)]
        more = len(self.failures) - len(names)
        return f"{super()._said()} Failed: {', '.join(names)}{f' and {more} more' if more else ''}."

    def _new_args(self) -> tuple[object, ...]:
        return self.message, self.failures or None

    def derive(self, excs: Sequence[Exception], /) -> ExceptionGroup[Exception]:  # type: ignore[override]  # of Exception only, as the class
        """Return the group that `split` and `except*` create for a part of the errors, in their order.

        Args:
            excs: Errors of this group, or parts of those that are groups themselves. Other errors belong to no account,
                and result in a plain `ExceptionGroup`.
        """
        parts = list(excs)
        failures: dict[str, Exception] = {}
        for name, error in self.failures.items():
            if parts and set(_leaves(parts[0])) <= set(_leaves(error)):
                failures[name] = parts.pop(0)
        return ExceptionGroup(self.message, excs) if parts else InventoryError(self.message, failures)


def _leaves(error: Exception) -> Iterator[int]:
    if isinstance(error, ExceptionGroup):
        for part in cast("ExceptionGroup[Exception]", error).exceptions:
            yield from _leaves(part)
    else:
        yield id(error)
