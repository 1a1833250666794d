"""Watches: several readings, what they tell, confirmations, outages, and what ends them. Each short list is one request."""

from __future__ import annotations

from tests.golden.conversation import Conversation, Watch
from tests.golden.services import RESET, Answer, Listing, Script, html, page, refusal

REFUSED = refusal(80001, 401)


def until(*answers: Answer) -> Script:
    """These answers; then the key is refused."""
    return Script(answers, then=REFUSED)


def watch(name: str, service: Listing | Script, *, attempts: int = 1, **call: int | bool) -> Conversation:
    return Conversation(f"watch: {name}", service, Watch(**call), attempts=attempts)  # type: ignore[arg-type]


CONVERSATIONS = [
    watch("the first reading", Listing("a b c"), events=3),
    watch("left in the middle of a reading", Listing("a b c"), events=2),
    watch("refused at once", until()),
    watch("created", until(page("ab", 2), page("abc", 3))),
    watch("nothing happens", until(page("ab", 2), page("ab", 2), page("ab", 2))),
    watch("modified", Listing("a b", {2: "~a", 4: "~b"}, {5: REFUSED, 6: REFUSED})),
    watch("all kinds in one reading", Listing("a b c", {2: "-a; ~b; +x"}, {4: REFUSED, 5: REFUSED})),
    watch("removed, confirmed", until(page("ab", 2), page("a", 1), page("a", 1))),
    watch("removed, at once", until(page("ab", 2), page("a", 1)), confirmations=1),
    watch("removed, after four", until(page("ab", 2), *[page("a", 1)] * 4), confirmations=4),
    watch("removed, not yet confirmed", until(page("ab", 2), page("a", 1))),
    watch(
        "removed and back again",
        until(page("ab", 2), page("a", 1), page("ab", 2), page("a", 1), page("ab", 2)),
    ),
    watch("an empty answer between", until(page("ab", 2), page("", 0), page("ab", 2))),
    watch("empty for good", until(page("ab", 2), page("", 0), page("", 0))),
    watch("an outage at the beginning", until(refusal(503, 503), refusal(503, 503), page("ab", 2))),
    watch("an outage between", until(page("ab", 2), refusal(503, 503), RESET, html(200), page("abc", 3))),
    watch(
        "an outage between two that miss one",
        until(page("ab", 2), page("a", 1), refusal(500, 500), page("a", 1)),
    ),
    watch("a retry is no outage", until(page("a", 1), refusal(503, 503), page("ab", 2)), attempts=2),
    watch("an API error is an outage", until(page("a", 1), refusal(96001, 400), page("ab", 2))),
    watch("an undecodable record is an outage", until(page("a", 1), page([""], 1), page("ab", 2))),
    watch("an unproven reading tells nothing", until(page("ab", 2), *[page("a", None)] * 2, page("abc", 3))),
    watch(
        "an unproven reading that shows the missing one",
        until(page("ab", 2), page("a", 1), page("ab", None), page("", None), page("a", 1)),
    ),
    watch("no count at the first reading", until(page("ab", None))),
    watch("a count that vanishes", until(page("ab", 2), page("ab", None), page("abc", 3))),
    watch(
        "403 and 401 that the service did not write", until(page("a", 1), html(403), html(401), page("ab", 2))
    ),
    watch("refused once", until(page("a", 1), REFUSED, page("ab", 2))),
    watch("refused, an outage, refused", Script((page("a", 1), REFUSED, html(403), REFUSED))),
    watch("since: nothing new", until(page("ab", 2), page("ab", 2)), since=True),
    watch("since: changed", Listing("a b c", {2: "-a; ~b; +x"}, {4: REFUSED, 5: REFUSED}), since=True),
    watch("since: removed at once", until(page("ab", 2), page("b", 1)), since=True, confirmations=1),
    Conversation(
        "watch: pages that the service cuts",
        Listing("a b c d e", {6: "+x"}, {14: REFUSED, 15: REFUSED}, cap=2),
        Watch(),
        waves=(1, 1, 1, 2) * 2,  # the third reading is quiet: one request a page
        attempts=1,
    ),
    Conversation(
        "watch: a callable's key is refused",
        Script((page("a", 1), REFUSED, REFUSED, REFUSED, page("ab", 2))),
        Watch(events=2),
        keys=("key-1", "key-2"),
        attempts=1,
    ),
    Conversation(
        "watch: 403 of the service",
        Script((page("a", 1),), then=refusal(96012, 403)),
        Watch(),
        attempts=1,
    ),
]
