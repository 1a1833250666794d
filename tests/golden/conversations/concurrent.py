"""Several requests in flight. The waves say how many; the server answers each wave together, so the order is fixed."""

from __future__ import annotations

from tests.golden.conversation import Conversation, Iterate, Snapshots
from tests.golden.services import BEYOND_THE_END, CUT, RESET, Listing, refusal

NINE = "a b c d e f g h i"
TEN = "a b c d e f g h i j"


def many(number: int) -> str:
    return " ".join(f"c{n:02}" for n in range(number))


CONVERSATIONS = [
    Conversation("two at once, one page", Listing("a"), Iterate(concurrency=2)),
    Conversation("two at once, two pages", Listing("a b c"), Iterate(concurrency=2)),
    Conversation("two at once, five pages", Listing(NINE), Iterate(concurrency=2), (1, 2, 2)),
    Conversation("four at once, five pages", Listing(NINE), Iterate(concurrency=4), (1, 4)),
    Conversation("four at once, nine pages", Listing(many(17)), Iterate(concurrency=4), (1, 4, 4)),
    Conversation("eight at once, nine pages", Listing(many(17)), Iterate(concurrency=8), (1, 8)),
    Conversation("eight at once, three pages", Listing("a b c d e"), Iterate(concurrency=8), (1, 2)),
    Conversation("four at once, a smaller page size", Listing(NINE, cap=2), Iterate(100, 4), (1, 4)),
    Conversation("four at once, no count", Listing("a b c d e", count="absent"), Iterate(concurrency=4)),
    Conversation("four at once, bare arrays", Listing("a b c", shape="array"), Iterate(concurrency=4)),
    Conversation(
        "four at once, count too high",
        Listing("a b c d e f", count="over"),
        Iterate(concurrency=4),
        (1, 3, 1, 3),
    ),
    Conversation(
        "four at once, refused beyond the end",
        Listing("a b c d e f", count="over", past_the_end=BEYOND_THE_END),
        Iterate(concurrency=4),
        (1, 3, 1, 1, 3, 1),
    ),
    Conversation(
        "four at once, deleted behind the cursor",
        Listing(NINE, {2: "-a"}),
        Iterate(concurrency=4),
        (1, 4, 1, 3),
    ),
    Conversation(
        "four at once, created behind the cursor",
        Listing(NINE, {2: "+x@0"}),
        Iterate(concurrency=4),
        (1, 4, 1, 1, 4),
    ),
    Conversation(
        "four at once, each page the first",
        Listing(NINE, ignores_page=True),
        Iterate(concurrency=4),
        (1, 4, 1, 4),
    ),
    Conversation(
        "four at once, one is refused once",
        Listing(NINE, instead={3: refusal(96009, 400)}),
        Iterate(concurrency=4),
        (1, 4, 1),
    ),
    Conversation(
        "four at once, one is refused twice",
        Listing(NINE, instead=dict.fromkeys((3, 6), refusal(96009, 400))),
        Iterate(concurrency=4),
        (1, 4, 1, 1, 4),
    ),
    Conversation(
        "four at once, one fails for good",
        Listing(NINE, instead={3: refusal(501, 501)}),
        Iterate(concurrency=4),
        (1, 4),
    ),
    Conversation(
        "four at once, one is answered at the second attempt",
        Listing(NINE, instead={3: refusal(500, 503)}),
        Iterate(concurrency=4),
        (1, 4),
    ),
    Conversation(
        "four at once, one is lost", Listing(NINE, instead={4: RESET}), Iterate(concurrency=4), (1, 4)
    ),
    Conversation(
        "four at once, the first is cut", Listing(NINE, instead={1: CUT}), Iterate(concurrency=4), (1, 1, 4)
    ),
    Conversation(
        "four at once, all are refused the key",
        Listing(NINE, instead=dict.fromkeys(range(2, 9), refusal(80001, 401))),
        Iterate(concurrency=4),
        (1, 4),
    ),
    Conversation("four at once, left after one record", Listing("a b c"), Iterate(concurrency=4, take=1)),
    Conversation("four at once, verified", Listing(NINE), Iterate(concurrency=4, verify=True), (1, 3, 1, 4)),
    Conversation(
        "two at once, verified", Listing(NINE), Iterate(concurrency=2, verify=True), (1, 2, 1, 1, 2, 2)
    ),
    Conversation(
        "eight at once, verified", Listing(many(17)), Iterate(concurrency=8, verify=True), (1, 7, 1, 8)
    ),
    Conversation("four at once, verified, two pages", Listing("a b c"), Iterate(concurrency=4, verify=True)),
    Conversation("four at once, snapshot", Listing(TEN), Snapshots(concurrency=4), (1, 3, 1, 4)),
    Conversation("eight at once, snapshot", Listing(many(17)), Snapshots(concurrency=8), (1, 7, 1, 8)),
    Conversation(
        "four at once, snapshot, one deleted and another created",
        Listing(NINE, {2: "-a; +x@0"}),
        Snapshots(concurrency=4),
        (1, 3, 1, 4, 1, 3, 1),
    ),
]
