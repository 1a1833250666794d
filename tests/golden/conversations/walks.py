"""Quiet lists, one page after another, and services with odd habits of paging and counting."""

from __future__ import annotations

from tests.golden.conversation import Conversation, Iterate, OnePage, Pages
from tests.golden.services import BEYOND_THE_END, Listing, Script, page, refusal

FIVE = "a b c d e"

CONVERSATIONS = [
    Conversation("one page", Listing("a b c"), Iterate(page_size=5)),
    Conversation("three pages", Listing(FIVE)),
    Conversation("an empty list", Listing("")),
    Conversation("one page that is just full", Listing("a b")),
    Conversation("two pages that are just full", Listing("a b c d")),
    Conversation("pages of one", Listing("a b c"), Iterate(page_size=1)),
    Conversation(
        "a hundred and one of a hundred", Listing(" ".join(f"c{n}" for n in range(101))), Iterate(100)
    ),
    Conversation("left after three records", Listing(FIVE), Iterate(take=3)),
    Conversation("left at the end of a page", Listing(FIVE), Iterate(take=2)),
    Conversation("a path prefix", Listing("a b c"), prefix="/some/prefix"),
    Conversation("a smaller page size, said", Listing(FIVE, cap=2), Iterate(100)),
    Conversation("a smaller page size, not said", Listing(FIVE, cap=2, echo="asked"), Iterate(100)),
    Conversation("pages of one, not said", Listing("a b c", cap=1, echo="asked"), Iterate(3)),
    Conversation("no count", Listing(FIVE, count="absent")),
    Conversation("no count, last page full", Listing("a b c d", count="absent")),
    Conversation("no count, one short page", Listing("a", count="absent")),
    Conversation(
        "no count, refused beyond the end", Listing(FIVE, count="absent", past_the_end=BEYOND_THE_END)
    ),
    Conversation("count null", Listing("a b c", count="null")),
    Conversation("bare arrays", Listing(FIVE, shape="array")),
    Conversation("bare arrays, each the first page", Listing("a b c", shape="array", ignores_page=True)),
    Conversation("count on the first page only", Listing(FIVE, count="first page")),
    Conversation("count on odd pages only", Listing(FIVE, count="odd pages")),
    Conversation("count too high", Listing(FIVE, count="over")),
    Conversation(
        "count too high, refused beyond the end",
        Listing("a b c d", count="over", past_the_end=BEYOND_THE_END),
    ),
    Conversation(
        "count too high, not found beyond the end",
        Listing("a b c d", count="over", past_the_end=refusal(404, 404)),
    ),
    Conversation("count too low", Listing(FIVE, count="under")),
    Conversation("count too low, and passed", Listing(FIVE, count="under"), Iterate(3)),
    Conversation(
        "count too low, and passed, in the only pass", Listing(FIVE, count="under"), Iterate(3, max_passes=1)
    ),
    Conversation("count of the page alone", Listing(FIVE, count="page")),
    Conversation("count of the page alone, one full page", Listing("a b", count="page")),
    Conversation(
        "count of the page alone, refused beyond", Listing("a b", count="page", past_the_end=BEYOND_THE_END)
    ),
    Conversation("each page the first", Listing(FIVE, ignores_page=True)),
    Conversation("each page the first, and said to be", Script((), then=page("ab", 5, currentPage=1))),
    Conversation(
        "a page repeated once",
        Script((page("ab", 4), page("ab", 4), page("", 4), page("ab", 4), page("cd", 4))),
    ),
    Conversation(
        "an empty page in the middle",
        Script((page("ab", 5), page("", 5), page("ab", 5), page("cd", 5), page("e", 5))),
    ),
    Conversation("empty pages for ever", Script((), then=page("", 7))),
    Conversation(
        "a record twice on a page", Script((page("aba", 3), page("c", 3), page("ab", 3), page("c", 3)))
    ),
    Conversation(
        "a count that grows for ever",
        Script(tuple(page([f"r{n}"], n + 5) for n in range(4)), then=page("", 9)),
    ),
    Conversation(
        "a count that never rests",
        Script(tuple(page(("ab", "c")[n % 2], 3 + (n // 2 + n) % 2) for n in range(20))),
    ),
    Conversation("unclean in the only pass", Script((page("ab", 4), page("c", 3))), Iterate(max_passes=1)),
    Conversation("code 200", Listing("a b c", code=200)),
    Conversation("no code", Listing("a b c", code=None)),
    Conversation("page one is refused", Script((BEYOND_THE_END,))),
    Conversation("pages: three", Listing(FIVE), Pages()),
    Conversation("pages: from the second", Listing(FIVE), Pages(start_page=2)),
    Conversation("pages: from one that is empty", Listing(FIVE), Pages(start_page=9)),
    Conversation("pages: no count", Listing("a b c d", count="absent"), Pages()),
    Conversation("pages: the same again", Listing(FIVE, count="absent", ignores_page=True), Pages()),
    Conversation("pages: count too high", Listing(FIVE, count="over"), Pages()),
    Conversation("pages: refused in the middle", Listing(FIVE, instead={2: refusal(96009)}), Pages()),
    Conversation("pages: a smaller size than asked", Listing(FIVE, cap=2), Pages(page_size=50)),
    Conversation("one page: the second", Listing(FIVE), OnePage(2)),
    Conversation("one page: beyond the end", Listing(FIVE), OnePage(7)),
    Conversation("one page: refused", Listing(FIVE, past_the_end=BEYOND_THE_END), OnePage(7)),
    Conversation("one page: nothing echoed", Script((page("ab", 3),)), OnePage(4, 6)),
]
