"""What a server of a conversation answers, as plain data: a script by request order, or a list cut into pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Count: TypeAlias = Literal["true", "absent", "null", "first page", "odd pages", "over", "under", "page"]


@frozen
class Answer:
    """One HTTP response.

    Attributes:
        body: Bytes as they are, or what is sent as JSON.
        status: HTTP status.
        headers: Headers besides Content-Length.
        ending: "whole"; "cut" closes the connection in the middle of the body; "reset" and "close" end the connection
            without a byte; "hang" sends nothing.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(factory=dict[str, str])
    ending: Literal["whole", "cut", "reset", "close", "hang"] = "whole"


Reply: TypeAlias = "Callable[[int, int, int], Answer]"
"""Returns the answer to request number n (from 1) for a page of a size."""


class Service(Protocol):
    """Immutable description of a server; `start` returns a fresh run of it."""

    def start(self) -> Reply: ...


def record(cluster_id: str, **fields: Any) -> dict[str, Any]:
    return {"clusterId": cluster_id, **fields}


def page(ids: Iterable[str], count: Any = ..., **data: Any) -> Answer:
    """A page in the shape with a count, which is left out unless it is given."""
    content: dict[str, Any] = {"clusters": [record(i) for i in ids], **data}
    if count is not ...:
        content["count"] = count
    return Answer({"code": 0, "data": content})


def records(*given: Any, **data: Any) -> Answer:
    """A page of these records, just as they are."""
    return Answer({"code": 0, "data": {"clusters": list(given), "count": len(given), **data}})


def refusal(code: int, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer({"code": code, "message": "no"}, status, named)


def html(status: int) -> Answer:
    return Answer(b"<html><body>Sorry</body></html>", status, {"Content-Type": "text/html"})


RESET = Answer(ending="reset")
CLOSE = Answer(ending="close")
HANG = Answer(ending="hang")
CUT = Answer({"code": 0, "data": {"clusters": [], "count": 0}}, ending="cut")
BEYOND_THE_END = refusal(96009)


@frozen
class Script:
    """Answers in the order of the requests, whatever page they ask for.

    Attributes:
        answers: The first ones.
        then: All others; None makes the conversation fail when one is needed.
    """

    answers: tuple[Answer, ...]
    then: Answer | None = None

    def start(self) -> Reply:
        def reply(number: int, _page: int, _size: int) -> Answer:
            if number <= len(self.answers):
                return self.answers[number - 1]
            if self.then is None:
                raise LookupError(f"the script has no answer to request {number}")
            return self.then

        return reply


@frozen
class Listing:
    """A list of clusters that is cut into pages by offset, and may change.

    Attributes:
        ids: Ids separated by spaces.
        changes: Number of a request to the changes just before it: "+x@0" creates x at index 0, "+x" at the end, "-a"
            deletes a, "~a" changes the status of a, "=a b" makes the list anew; separated by "; ".
        instead: Number of a request to another answer than a page.
        cap: Records on a page at most.
        echo: The page size that the answer claims: the one used, or the one asked for.
        count: What the answer's `count` is.
        shape: "object", or "array", which has no count.
        code: The `code` of the body; None leaves it out.
        ignores_page: Whether each page is the first one.
        past_the_end: The answer to a page without records, other than the first; None is an empty page.
    """

    ids: str
    changes: Mapping[int, str] = field(factory=dict[int, str])
    instead: Mapping[int, Answer] = field(factory=dict[int, Answer])
    cap: int | None = None
    echo: Literal["used", "asked"] = "used"
    count: Count = "true"
    shape: Literal["object", "array"] = "object"
    code: int | None = 0
    ignores_page: bool = False
    past_the_end: Answer | None = None

    def start(self) -> Reply:
        statuses = dict.fromkeys(self.ids.split(), "RUNNING")
        listed = list(statuses)

        def reply(number: int, page_number: int, size: int) -> Answer:
            if number in self.changes:
                for change in self.changes[number].split("; "):
                    _apply(change, listed, statuses)
            if number in self.instead:
                return self.instead[number]
            used = min(size, self.cap or size)
            start = 0 if self.ignores_page else (page_number - 1) * used
            found = [record(i, status=statuses[i]) for i in listed[start : start + used]]
            if not found and page_number > 1 and self.past_the_end is not None:
                return self.past_the_end
            content: Any = found
            if self.shape == "object":
                echoed = used if self.echo == "used" else size
                content = {"clusters": found, "currentPage": page_number, "pageSize": echoed}
                content.update(self._count_of(page_number, len(found), len(listed)))
            return Answer({"data": content} if self.code is None else {"code": self.code, "data": content})

        return reply

    def _count_of(self, page_number: int, on_page: int, total: int) -> dict[str, int | None]:
        if (
            self.count == "absent"
            or (self.count == "first page" and page_number > 1)
            or (self.count == "odd pages" and page_number % 2 == 0)
        ):
            return {}
        odd: dict[str, int | None] = {
            "null": None,
            "over": total + 1,
            "under": max(0, total - 1),
            "page": on_page,
        }
        return {"count": odd.get(self.count, total)}


def _apply(change: str, listed: list[str], statuses: dict[str, str]) -> None:
    kind, (subject, _, place) = change[0], change[1:].partition("@")
    if kind == "=":
        listed[:] = subject.split()
        statuses.update(dict.fromkeys(listed, "RUNNING"))
    elif kind == "+":
        listed.insert(int(place or len(listed)), subject)
        statuses[subject] = "RUNNING"
    elif kind == "-":
        listed.remove(subject)
    else:
        statuses[subject] = "SUSPENDED"
