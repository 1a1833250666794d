"""Lists that change between the requests of one walk, plain and with the proof."""

from __future__ import annotations

from tests.golden.conversation import Conversation, Iterate
from tests.golden.services import BEYOND_THE_END, Listing

FIVE = "a b c d e"
VERIFY = Iterate(verify=True)

CONVERSATIONS = [
    Conversation("deleted behind the cursor", Listing(FIVE, {2: "-a"})),
    Conversation("deleted before the cursor", Listing(FIVE, {2: "-e"})),
    Conversation("deleted, so that the last page is gone", Listing(FIVE, {3: "-a"})),
    Conversation(
        "deleted, and refused beyond the end", Listing(FIVE, {3: "-a"}, past_the_end=BEYOND_THE_END)
    ),
    Conversation("created behind the cursor", Listing(FIVE, {2: "+x@0"})),
    Conversation("created before the cursor", Listing(FIVE, {2: "+x"})),
    Conversation("created on the page in hand", Listing(FIVE, {3: "+x@2"})),
    Conversation("one deleted, another created: not seen", Listing(FIVE, {2: "-a; +x@0"})),
    Conversation("one deleted, another created at the end", Listing(FIVE, {2: "-a; +x"})),
    Conversation("changed in two passes", Listing("a b c d e f", {2: "-a", 5: "-b"})),
    Conversation("changed in every pass", Listing(FIVE, {n: f"+x{n}@0" for n in range(2, 30)})),
    Conversation("all deleted", Listing(FIVE, {2: "="})),
    Conversation("another list", Listing(FIVE, {2: "=p q r s t"})),
    Conversation("no count, deleted behind the cursor", Listing(FIVE, {2: "-a"}, count="absent")),
    Conversation("no count, created behind the cursor", Listing(FIVE, {2: "+x@0"}, count="absent")),
    Conversation("verified: deleted behind the cursor", Listing(FIVE, {2: "-a"}), VERIFY),
    Conversation("verified: created behind the cursor", Listing(FIVE, {2: "+x@0"}), VERIFY),
    Conversation("verified: one deleted, another created", Listing(FIVE, {2: "-a; +x@0"}), VERIFY),
    Conversation("verified: changed on the way back", Listing(FIVE, {4: "-e; +x@0"}), VERIFY),
    Conversation("verified: changed after the proof began", Listing("a b c d e f g", {5: "-a"}), VERIFY),
    Conversation("verified: status changes are no moves", Listing(FIVE, {2: "~a", 4: "~e"}), VERIFY),
    Conversation(
        "verified: changed in every pass", Listing(FIVE, {n: f"+x{n}@0" for n in range(2, 60)}), VERIFY
    ),
    Conversation(
        "verified: changed twice, three passes at most",
        Listing(FIVE, {2: "-a; +x@0", 4: "-b; +y@0"}),
        Iterate(verify=True, max_passes=3),
    ),
]
