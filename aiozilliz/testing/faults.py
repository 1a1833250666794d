"""What a test scripts: faults of responses, and callbacks between pages."""

import asyncio
import inspect
import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from attrs import define, frozen

from .server import Answer

if TYPE_CHECKING:
    from .log import RecordedRequest

_T = TypeVar("_T")

FaultKind: TypeAlias = Literal["answer", "reset", "cut", "malformed", "delay", "repeat_page"]

_HTML = (
    b"<!DOCTYPE html>\n<html><head><title>%(title)s</title></head><body><h1>%(title)s</h1></body></html>\n"
)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


def _checked(status: int) -> int:
    if isinstance(status, bool) or not isinstance(status, int):
        raise TypeError(f"status must be an int, not {type(status).__name__}.")
    if not 200 <= status <= 599:  # noqa: PLR2004  # the final statuses of HTTP
        raise ValueError(f"status must be between 200 and 599, not {status}.")
    return status


def _header(name: str, value: str) -> tuple[str, str]:
    if not f"{name}{value}".isprintable() or not f"{name}{value}".isascii():
        raise ValueError(f"The header {name!r} must be printable ASCII.")
    return name, value


def returned(cls: type[_T]) -> type[_T]:
    """Hide the arguments of a constructor that users do not call from `help`, editors and the reference.

    Returns:
        The same class, so that this can be used as a decorator.
    """
    init: Any = cls.__init__
    init.__signature__ = inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)])
    return cls


@returned
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
        options = "".join(f", {name}={value!r}" for name, value in given.items() if value is not None)
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
        if isinstance(code, bool) or not isinstance(code, int):
            raise TypeError(f"code must be an int, not {type(code).__name__}.")
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
        body = _HTML % {b"title": title.encode()}
        return cls(
            "answer", Answer(status, body, (("Content-Type", "text/html"),)), text=f"html(status={status})"
        )

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
        if not 0 <= seconds < math.inf:
            raise ValueError(f"seconds must be finite and not negative, not {seconds}.")
        return cls("delay", seconds=float(seconds), text=f"delay({seconds})")

    @classmethod
    def repeat_page(cls) -> "Fault":
        """Send the latest page again, byte for byte, as a broken cache does.

        Returns:
            The fault. If no page was sent before, the request gets the page that it requested.
        """
        return cls("repeat_page")


@define
class _Entry:
    fault: Fault
    left: int | None
    taken: bool = False


class FaultScript:
    """Faults in the order in which requests use them."""

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque()

    def add(self, fault: Fault, times: int | None) -> None:
        """Append a fault for a number of requests; None for all."""
        self._entries.append(_Entry(fault, times))

    def clear(self) -> None:
        """Remove the faults that have not been used."""
        self._entries.clear()

    def take(self) -> Fault | None:
        """Return the fault of the next request, or None."""
        if not self._entries:
            return None
        entry = self._entries[0]
        entry.taken = True
        if entry.left is not None:
            entry.left -= 1
            if not entry.left:
                self._entries.popleft()
        return entry.fault

    @property
    def unused(self) -> list[str]:
        """The unused faults as text. A fault for all requests counts as used after the first one."""
        texts: list[str] = []
        for entry in self._entries:
            if entry.left is not None and entry.left > 1:
                texts.append(f"{entry.fault!r} ({entry.left} times)")
            elif entry.left is not None or not entry.taken:
                texts.append(repr(entry.fault))
        return texts


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
