"""Answers that are no page: each class of error with its numbers, what is tried again, and keys that change."""

from __future__ import annotations

from typing import Any

from tests.golden.conversation import Conversation, Iterate, OnePage
from tests.golden.services import CLOSE, CUT, HANG, RESET, Answer, Listing, Script, html, page, refusal

ONE = page("a", 1)


def ends(name: str, answer: Answer, **options: Any) -> Conversation:
    """The service gives this answer again and again."""
    return Conversation(f"answer: {name}", Script((), then=answer), OnePage(), **options)


def then_well(name: str, *answers: Answer, **options: Any) -> Conversation:
    """The service gives these answers, and then a page."""
    return Conversation(f"retry: {name}", Script((*answers, ONE)), **options)


def data(value: Any) -> Answer:
    return Answer({"code": 0, "data": value})


SHAPES: dict[str, Answer] = {
    "no data": Answer({"code": 0}),
    "data null": data(None),
    "data is text": data("x"),
    "no clusters": data({"count": 0}),
    "clusters is an object": data({"clusters": {}, "count": 0}),
    "count negative": data({"clusters": [], "count": -1}),
    "count is text": data({"clusters": [], "count": "1"}),
    "count is a boolean": data({"clusters": [], "count": True}),
    "code is text": Answer({"code": "0", "data": []}),
    "a list": Answer([]),
    "a number": Answer(1),
}

REFUSALS: dict[str, Answer] = {
    "401 with code": refusal(80001, 401, requestid="r-1"),
    "80001 under 200": refusal(80001, 200),
    "80002": refusal(80002, 200),
    "403 HTML": html(403),
    "401 empty": Answer(status=401),
    "96012": refusal(96012, 400),
    "404": refusal(404, 404),
    "404 HTML": html(404),
    "407": Answer(status=407),
    "408": Answer(status=408),
    "413": html(413),
    "429": refusal(429, 429),
    "429 under 200": refusal(429, 200),
    "rate limit in the text": Answer({"code": 12345, "message": "Rate limit exceeded"}),
    "500": refusal(500, 500),
    "501": refusal(501, 501),
    "502 HTML": html(502),
    "503 under 200": refusal(503, 200),
    "504": Answer(status=504),
    "511": Answer(status=511),
    "500 with a page": Answer(ONE.body, 500),
    "400 with code 0": Answer(ONE.body, 400),
    "96001": refusal(96001, 400, requestid="r-2"),
    "96008": refusal(96008, 400),
    "an unknown code": refusal(31337, 200),
    "an unknown code under 503": refusal(31337, 503),
    "600": Answer(status=600),
}

CONVERSATIONS = [
    *(ends(name, answer) for name, answer in SHAPES.items()),
    *(ends(name, answer) for name, answer in REFUSALS.items()),
    ends("clusters null", data({"clusters": None, "count": 0})),
    ends("HTML under 200", html(200)),
    ends("empty under 200", Answer()),
    ends("half of JSON", Answer(b'{"code": 0, "data": {"clus')),
    ends("not UTF-8", Answer(b'{"code": 0, "data": "\xff"}')),
    ends("NaN", Answer(b'{"code": 0, "data": {"count": NaN}}')),
    ends("another page", page("a", 3, currentPage=2)),
    ends("redirect", Answer(status=302, headers={"Location": "https://example.com/v2/clusters"})),
    ends("redirect without a target", Answer(status=307)),
    ends("204", Answer(status=204)),
    ends("reset", RESET),
    ends("closed", CLOSE),
    ends("cut", CUT),
    ends("hangs", HANG, attempts=1, read_timeout=0.25),
    ends("one attempt only", refusal(503, 503), attempts=1),
    ends("too large", page("abcdefghij", 10), max_response_bytes=100),
    ends("too large and refused", Answer(b"x" * 500, 401), max_response_bytes=100),
    ends("as large as allowed", Answer(b'{"data":[]}'), max_response_bytes=11),
    ends("Retry-After beyond the deadline", refusal(429, 429, Retry_After="120")),
    ends("Retry-After, one attempt", refusal(429, 429, Retry_After="7"), attempts=1),
    ends("Retry-After 0", refusal(429, 429, Retry_After="0")),
    ends(
        "Retry-After of a 503, one attempt", refusal(503, 503, Retry_After="9", requestid="r-3"), attempts=1
    ),
    ends("Retry-After is no number", refusal(429, 429, Retry_After="soon")),
    ends(
        "Retry-After is a date",
        Answer(
            status=429,
            headers={"Date": "Mon, 06 May 2024 07:08:09 GMT", "Retry-After": "Mon, 06 May 2024 07:08:16 GMT"},
        ),
        attempts=1,
    ),
    then_well("503", refusal(503, 503)),
    then_well("503 twice", refusal(503, 503), refusal(503, 503)),
    then_well("503 three times", *[refusal(503, 503)] * 3, attempts=4),
    then_well("reset", RESET),
    then_well("closed", CLOSE),
    then_well("cut", CUT),
    then_well("HTML under 200", html(200)),
    then_well("502 HTML", html(502)),
    then_well("429 with Retry-After 0", refusal(429, 429, Retry_After="0")),
    then_well("another page", page("a", 3, currentPage=2)),
    then_well("408 under 200", refusal(408, 200)),
    then_well("one of each", refusal(500, 500), RESET, CUT, html(200), attempts=5),
    Conversation("retry: on the second page", Listing("a b c", instead={2: RESET, 3: refusal(503, 503)})),
    Conversation(
        "retry: on every page", Listing("a b c d e", instead={n: refusal(502, 502) for n in (1, 3, 5)})
    ),
    Conversation("failed on the second page", Listing("a b c d e", instead={2: refusal(80001, 401)})),
    Conversation(
        "failed on the third page, tried again", Listing("a b c d e", instead=dict.fromkeys((3, 4, 5), RESET))
    ),
    Conversation("failed in the second pass", Listing("a b c d e", {2: "-a"}, {4: refusal(501, 501)})),
    Conversation("key: rotated", Listing("a b c", instead={1: refusal(80001, 401)}), keys=("old", "new")),
    Conversation(
        "key: rotated, async",
        Listing("a b c", instead={1: refusal(80001, 401)}),
        keys=("old", "new"),
        async_key=True,
    ),
    Conversation(
        "key: rotated, one attempt",
        Listing("a", instead={1: refusal(80001)}),
        keys=("old", "new"),
        attempts=1,
    ),
    Conversation(
        "key: rotated on the second page",
        Listing("a b c", instead={2: refusal(80001, 401)}),
        keys=("k1", "k1", "k2"),
    ),
    Conversation("key: both refused", Script((), then=refusal(80001, 401)), keys=("old", "new")),
    Conversation("key: the same again", Script((), then=refusal(80001, 401)), keys=("same", "same")),
    Conversation("key: another each time", Listing("a b c d e"), keys=("k1", "k2", "k3")),
    Conversation(
        "key: another at each attempt", Listing("a", instead={1: refusal(503, 503)}), keys=("k1", "k2")
    ),
    Conversation(
        "headers: an own session",
        Listing("a b c"),
        headers=("authorization", "accept", "cache-control", "cookie", "x-lender"),
    ),
    Conversation(
        "headers: a lent session", Listing("a b c"), lent=True, headers=("authorization", "accept", "cookie")
    ),
    Conversation("a lent session, one retry", Listing("a b c", instead={2: RESET}), Iterate(), lent=True),
]
