"""What a test scripts: faults of responses, and callbacks between pages."""

import asyncio
import inspect
import json
import os
import reprlib
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping
from http import HTTPStatus
from http.client import responses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import define, frozen

from .samples import Draws
from .server import Answer
from .service import Asked, check_seconds, check_whole

if TYPE_CHECKING:
    from .log import RecordedRequest

Recording: TypeAlias = str | os.PathLike[str] | Iterable[Mapping[str, Any]]
FaultKind: TypeAlias = Literal["answer", "reset", "cut", "malformed", "delay", "repeat_page"]

_HTML = b"<!DOCTYPE html>\n<title>%(title)s</title>\n<h1>%(title)s</h1>\n"


_STEPS = 1 << 53  # of chance
# Headers that describe how a recorded body was sent, which is not how it is sent again.
_FRAMING = {"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"}


def _reason(status: int) -> str:
    return responses.get(status) or f"Status {status}"


def _checked(status: int) -> int:
    return check_whole("status", status, 200, 599)  # the final statuses of HTTP


def _header(name: str, value: str) -> tuple[str, str]:
    if not f"{name}{value}".isprintable() or not f"{name}{value}".isascii():
        raise ValueError(f"The header {name!r} must be printable ASCII.")
    return name, value


@frozen(repr=False)
class Fault:
    """One thing that goes wrong with one response. The class methods create faults for `cloud.fail_next()`.

    `status`, `code` and `html` replace the response, whatever the request and its key. The others spoil the regular
    response: a refused request stays refused.

    Attributes:
        kind: What happens.
        answer: The replacement, or None if the regular response is spoilt.
        seconds: How long the response is delayed.
        text: How the fault was created, for messages.
    """

    __module__ = "aiozilliz.testing"

    kind: FaultKind
    answer: Answer | None = None
    seconds: float = 0.0
    text: str = ""

    def __repr__(self) -> str:
        return f"Fault.{self.text or f'{self.kind}()'}"

    @classmethod
    def status(
        cls,
        status: int,
        *,
        retry_after: int | str | None = None,
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> "Fault":
        """Respond with an HTTP status.

        Args:
            status: 200 to 599. With 200 and a `body`, any response can be made up.
            retry_after: The header `Retry-After`: seconds, or any text (an HTTP date, or nonsense).
            body: The body, which may be empty. None is a JSON object with the status as its `code`. Its content type is
                JSON, unless `headers` has another.
            headers: Further headers, for instance `Location`, or another `Content-Type`.

        Returns:
            The fault.

        Raises:
            TypeError: `status` is not an int.
            ValueError: `status` is out of range, or a header is not printable ASCII.
        """
        _checked(status)
        if body is None:
            answer = Answer.json({"code": status, "message": _reason(status)}, status)
        else:
            answer = Answer(status, body.encode() if isinstance(body, str) else body)
        extra = dict(headers or {})
        if retry_after is not None:
            extra["Retry-After"] = str(retry_after)
        labelled = any(name.lower() == "content-type" for name in extra)
        pairs = tuple(_header(name, value) for name, value in extra.items())
        answer = Answer(status, answer.body, pairs if labelled else (*answer.headers, *pairs))
        given = {"retry_after": retry_after, "body": body, "headers": headers}
        options = "".join(
            f", {name}={reprlib.repr(value)}" for name, value in given.items() if value is not None
        )
        return cls("answer", answer, text=f"status({status}{options})")

    @classmethod
    def code(cls, code: int, message: str = "", *, status: int = 200) -> "Fault":
        """Respond with an error of the service: a body with a `code` that is not 0.

        Args:
            code: One of the service's error codes, or any other number except 0 and 200, which mean success.
            message: The message in the body.
            status: The HTTP status. The service is known to use 200 as well as 4xx.

        Returns:
            The fault.

        Raises:
            TypeError: `code` or `status` is not an int.
            ValueError: `code` means success, or `status` is not between 200 and 599.
        """
        check_whole("code", code)
        if code in {0, 200}:
            raise ValueError(f"The code {code} means success.")
        answer = Answer.json({"code": code, "message": message}, _checked(status))
        return cls("answer", answer, text=f"code({code}, {message!r}, status={status})")

    @classmethod
    def html(cls, *, status: int = 200) -> "Fault":
        """Respond with an HTML page, as load balancers do.

        Args:
            status: The HTTP status. The default is 200, which only the body shows to be an error.

        Returns:
            The fault.

        Raises:
            TypeError: `status` is not an int.
            ValueError: `status` is not between 200 and 599.
        """
        title = "Please wait" if status == HTTPStatus.OK else _reason(_checked(status))
        answer = Answer(status, _HTML % {b"title": title.encode()}, (("Content-Type", "text/html"),))
        return cls("answer", answer, text=f"html(status={status})")

    @classmethod
    def reset(cls) -> "Fault":
        """Reset the connection without a response (TCP RST)."""
        return cls("reset")

    @classmethod
    def cut(cls) -> "Fault":
        """Send the head and half of the body, less than `Content-Length`, and close the connection."""
        return cls("cut")

    @classmethod
    def malformed(cls) -> "Fault":
        """Send half of the JSON text as the whole body: valid HTTP, but invalid JSON."""
        return cls("malformed")

    @classmethod
    def delay(cls, seconds: float) -> "Fault":
        """Delay the regular response. It holds the page as of the time it is sent, not of the request.

        Args:
            seconds: How long to delay it. Leaving the fake does not wait for it.

        Returns:
            The fault.

        Raises:
            ValueError: `seconds` is negative or not finite.
        """
        check_seconds("seconds", seconds)
        return cls("delay", seconds=float(seconds), text=f"delay({seconds})")

    @classmethod
    def repeat_page(cls) -> "Fault":
        """Send the latest page again, byte for byte, as a broken cache does.

        Returns:
            The fault. If no page was sent before, the request gets the page that it requested.
        """
        return cls("repeat_page")


@define(eq=False)
class _Entry:
    fault: Fault
    left: int | None
    page: int | None = None
    share: float | None = None
    used: bool = False


class FaultScript:
    """Faults in the order in which requests use them. Those of a share of requests depend on the seed."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._entries: list[_Entry] = []
        self._counts: Counter[Hashable] = Counter()

    def add(self, fault: Fault, times: int | None, **options: Any) -> None:
        """Append a fault for a number of requests, or None for all.

        Args:
            fault: What goes wrong.
            times: The number, or None.
            options: `page`, the only one that it is for; `share`, of the requests that are for pages; `used`, if it is
                no mistake when it is never used.
        """
        self._entries.append(_Entry(fault, times, **options))

    def clear(self) -> None:
        """Remove the faults that have not been used."""
        self._entries.clear()

    def take(
        self, page: int | None = None, asked: Asked | None = None, key: str | None = None
    ) -> Fault | None:
        """Return the fault of the next request, or None.

        Args:
            page: The page that the request names.
            asked: What it asks for, or None if it is refused.
            key: Its key.

        Returns:
            The fault.
        """
        for entry in self._entries:
            if entry.page in {None, page} and (entry.share is None or self._chance(asked, key) < entry.share):
                entry.used = True
                entry.left = entry.left and entry.left - 1
                if entry.left == 0:
                    self._entries.remove(entry)
                return entry.fault
        return None

    def _chance(self, asked: Asked | None, key: str | None) -> float:
        # The requests of one key for one page are counted, so that neither the order in which requests for different
        # pages arrive nor the requests that are refused decide which of them fail.
        if asked is None:
            return 1.0
        self._counts[key, asked] += 1
        return Draws("fault", self._seed, asked, self._counts[key, asked]).below(_STEPS) / _STEPS

    @property
    def unused(self) -> list[str]:
        """The unused faults as text. A fault for all requests counts as used after the first one."""
        texts: list[str] = []
        for entry in self._entries:
            if entry.left or not entry.used:
                page = "" if entry.page is None else f" for page {entry.page}"
                times = f" ({entry.left} times)" if (entry.left or 0) > 1 else ""
                texts.append(f"{entry.fault!r}{page}{times}")
        return texts


def read_recording(recording: Recording) -> Iterator[tuple[Fault, int | None]]:
    """Read recorded responses: JSON, one a line in a file, or mappings.

    Yields:
        The fault that responds with it, and the page that it is for, or None.

    Raises:
        OSError: The file can't be read.
        ValueError: A response can't be read; the text has its number.
    """
    if isinstance(recording, str | os.PathLike):
        lines: Iterable[Any] = filter(str.strip, Path(recording).read_text("utf-8").split("\n"))
    else:
        lines = recording
    for number, line in enumerate(lines, 1):
        try:
            response = json.loads(line) if isinstance(line, str) else line
            body, page = response.get("body", ""), response.get("page")
            body = body if isinstance(body, str) else json.dumps(body)
            headers = {k: v for k, v in response.get("headers", {}).items() if k.lower() not in _FRAMING}
            yield Fault.status(response["status"], body=body, headers=headers), page and int(page)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"Recorded response {number} can't be read: {error!r}") from error


class Callbacks:
    """Functions of a test, plain or async, with or without a parameter.

    Attributes:
        error: The first error that one of them raised, or None. It is kept to fail the test instead of the request.
    """

    def __init__(self) -> None:
        self._callbacks: list[tuple[Callable[..., Any], bool]] = []
        self.error: BaseException | None = None

    def add(self, callback: Callable[..., Any]) -> None:
        """Add a function. It is called with the request only if it needs an argument; its defaults are kept.

        Raises:
            TypeError: It needs more than one argument.
        """
        wants_request = not _accepts(callback)
        if wants_request and not _accepts(callback, None):
            raise TypeError("A callback between pages takes the request, or nothing.")
        self._callbacks.append((callback, wants_request))

    async def run(self, recorded: "RecordedRequest") -> None:
        """Call all functions in order, until one fails."""
        try:
            for callback, wants_request in list(self._callbacks):
                result = callback(recorded) if wants_request else callback()
                if isinstance(result, Awaitable):
                    await result
        except BaseException as error:
            # Not `Exception`, because pytest.fail() raises a BaseException.
            task = asyncio.current_task()
            if isinstance(error, KeyboardInterrupt | SystemExit) or (task and task.cancelling()):
                raise
            self.error = self.error or error


def _accepts(callback: Callable[..., Any], *args: object) -> bool:
    try:
        inspect.signature(callback).bind(*args)
    except TypeError:
        return False
    except ValueError:  # some built-in functions have no signature
        return not args
    return True
