"""`verify=True` and snapshots: where the proof comes, in how many requests, and where it does not."""

from __future__ import annotations

from tests.golden.conversation import Conversation, Iterate, Snapshots
from tests.golden.services import BEYOND_THE_END, Answer, Listing, Script, page, refusal

FIVE = "a b c d e"
VERIFY = Iterate(verify=True)
CACHED = Answer(page("a", 1).body, headers={"Age": "3"})

CONVERSATIONS = [
    Conversation("verified: one short page", Listing("a"), VERIFY),
    Conversation("verified: one full page", Listing("a b"), VERIFY),
    Conversation("verified: an empty list", Listing(""), VERIFY),
    Conversation("verified: two pages", Listing("a b c"), VERIFY),
    Conversation("verified: three pages", Listing(FIVE), VERIFY),
    Conversation("verified: no count", Listing(FIVE, count="absent"), VERIFY),
    Conversation("verified: bare arrays", Listing(FIVE, shape="array"), VERIFY),
    Conversation("verified: count on the first page only", Listing(FIVE, count="first page"), VERIFY),
    Conversation("verified: count too high", Listing(FIVE, count="over"), VERIFY),
    Conversation("verified: count too low", Listing(FIVE, count="under"), VERIFY),
    Conversation("verified: each page the first", Listing(FIVE, ignores_page=True), VERIFY),
    Conversation("verified: only one pass allowed", Listing(FIVE), Iterate(verify=True, max_passes=1)),
    Conversation(
        "verified: a smaller page size, not said",
        Listing(FIVE, cap=2, echo="asked"),
        Iterate(50, verify=True),
    ),
    Conversation(
        "verified: refused beyond the end",
        Listing("a b c d", count="over", past_the_end=BEYOND_THE_END),
        VERIFY,
    ),
    Conversation("snapshot: one short page", Listing("a"), Snapshots()),
    Conversation("snapshot: three pages", Listing(FIVE), Snapshots()),
    Conversation("snapshot: an empty list", Listing(""), Snapshots()),
    Conversation("snapshot: no count", Listing(FIVE, count="absent"), Snapshots()),
    Conversation("snapshot: count null", Listing(FIVE, count="null"), Snapshots()),
    Conversation("snapshot: count too high", Listing(FIVE, count="over"), Snapshots()),
    Conversation("snapshot: count too low", Listing(FIVE, count="under"), Snapshots()),
    Conversation("snapshot: deleted behind the cursor", Listing(FIVE, {2: "-a"}), Snapshots()),
    Conversation("snapshot: one deleted, another created", Listing(FIVE, {2: "-a; +x@0"}), Snapshots()),
    Conversation(
        "snapshot: it never rests",
        Listing(FIVE, {n: f"+x{n}@0" for n in range(2, 60)}),
        Snapshots(max_passes=3),
    ),
    Conversation("snapshot: one pass only", Listing(FIVE), Snapshots(max_passes=1)),
    Conversation("snapshot: a page fails", Listing(FIVE, instead={2: refusal(501, 501)}), Snapshots()),
    Conversation(
        "snapshot: a page is refused once", Listing(FIVE, instead={2: refusal(96009, 400)}), Snapshots()
    ),
    Conversation("verified: one page, out of a cache", Script((), then=CACHED), VERIFY),
    Conversation("snapshot: one page, out of a cache", Script((), then=CACHED), Snapshots()),
    Conversation("snapshots: what has changed", Listing("a b c d", {4: "-a; +x@1; ~c"}), Snapshots(number=2)),
    Conversation("snapshots: nothing has changed", Listing("a b c"), Snapshots(number=2)),
    Conversation(
        "snapshots: from an empty list and back", Listing("", {2: "=a b c", 5: "="}), Snapshots(number=3)
    ),
    Conversation(
        "snapshot: the order has changed", Script((page("abc", 3), page("cab", 3))), Snapshots(4, number=2)
    ),
]
