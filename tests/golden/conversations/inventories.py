"""Inventories: failures apart, reports and what has changed, and watches of several accounts."""

from __future__ import annotations

from tests.golden.conversation import Collect, InventoryConversation, IterateAll, WatchAll
from tests.golden.services import CUT, RESET, Answer, Listing, Script, html, page, refusal

REFUSED = refusal(80001, 401, requestid="r-1")
FIVE = Listing("a b c d e")
DOWN = Script((), then=refusal(503, 503))
LOCKED = Script((), then=REFUSED)


def until(*answers: Answer) -> Script:
    """These answers; then the key is refused."""
    return Script(answers, then=REFUSED)


CONVERSATIONS = [
    InventoryConversation("inventory: no accounts", {}),
    InventoryConversation("inventory: one account", {"prod": FIVE}),
    InventoryConversation(
        "inventory: three accounts", {"prod": FIVE, "test": Listing("a x"), "none": Listing("")}
    ),
    InventoryConversation(
        "inventory: one at a time", {"prod": FIVE, "test": Listing("a x y z")}, concurrency=1
    ),
    InventoryConversation("inventory: one is refused", {"prod": FIVE, "locked": LOCKED}),
    InventoryConversation(
        "inventory: all fail", {"down": DOWN, "locked": LOCKED, "html": Script((), then=html(200))}
    ),
    InventoryConversation(
        "inventory: one fails on its second page",
        {"prod": Listing("a b c", instead={2: refusal(501, 501)}), "test": FIVE},
    ),
    InventoryConversation(
        "inventory: one is refused its second page once",
        {"prod": Listing("a b c", instead={2: refusal(96009, 400)}), "test": FIVE},
    ),
    InventoryConversation(
        "inventory: one is incomplete", {"odd": Listing("a b c", count="over"), "test": FIVE}
    ),
    InventoryConversation(
        "inventory: retries", {"prod": Listing("a b c", instead={1: RESET, 3: CUT}), "test": FIVE}
    ),
    InventoryConversation(
        "inventory: an undecodable record", {"prod": Script((page(["a", ""], 2),)), "test": Listing("a")}
    ),
    InventoryConversation(
        "inventory: moving", {"prod": Listing("a b c", {2: "-a"}), "test": Listing("a b c", {2: "+x@0"})}
    ),
    InventoryConversation("inventory: no count", {"prod": Listing("a b c", shape="array"), "test": FIVE}),
    InventoryConversation(
        "inventory: verified", {"prod": FIVE, "test": Listing("a")}, IterateAll(verify=True)
    ),
    InventoryConversation(
        "inventory: verified, one gives no count",
        {"prod": FIVE, "odd": Listing("a b c", count="absent")},
        IterateAll(verify=True),
    ),
    InventoryConversation("collect: two accounts", {"prod": FIVE, "test": Listing("a")}, Collect()),
    InventoryConversation("collect: no accounts", {}, Collect()),
    InventoryConversation("collect: failures", {"prod": FIVE, "down": DOWN, "locked": LOCKED}, Collect()),
    InventoryConversation("collect: all fail", {"down": DOWN, "locked": LOCKED}, Collect()),
    InventoryConversation(
        "collect: unproven",
        {"odd": Listing("a b c", count="absent"), "over": Listing("a", count="over")},
        Collect(),
    ),
    InventoryConversation(
        "collect: what has changed",
        {
            "prod": Listing("a b c", {4: "-a; +x; ~b"}),
            "gone": Script((page("a", 1),), then=REFUSED),
            "back": Script((refusal(96001, 400), page("z", 1))),
            "same": Script((), then=page("s", 1)),
        },
        Collect(number=2),
    ),
    InventoryConversation("watch all: no accounts", {}, WatchAll()),
    InventoryConversation("watch all: one", {"prod": until(page("ab", 2), page("abc", 3))}, WatchAll()),
    InventoryConversation(
        "watch all: one has an outage, one is refused",
        {
            "prod": until(page("ab", 2), page("a", 1), page("a", 1)),
            "down": until(refusal(96001, 400), RESET, RESET, page("d", 1)),
            "locked": LOCKED,
        },
        WatchAll(),
    ),
    InventoryConversation(
        "watch all: since",
        {"prod": until(page("ab", 2), page("abc", 3)), "test": until(page("t", 1), page("", 0))},
        WatchAll(since=True, confirmations=1),
    ),
]
