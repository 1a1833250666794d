from __future__ import annotations

import builtins
import gc
import string
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, strategies as st

from aiozilliz import APIError, DecodeError
from aiozilliz._settings import redaction
from aiozilliz._settings.credentials import Secret
from aiozilliz._settings.redaction import KNOWN_KEYS, KnownKeys, redact_error
from tests.support.detector import referents
from tests.support.echoes import ECHOES, LONGEST, new_key, remains

KEY = "d3adb33f0123456789abcdef"
ALPHANUMERIC = string.ascii_letters + string.digits
KEYS = st.lists(st.text(ALPHANUMERIC, min_size=20, max_size=80), min_size=1, max_size=5)


def knowing(*keys: str, limit: int = 100) -> KnownKeys:
    known = KnownKeys(limit)
    for key in keys:
        known.add(key)
    return known


def windows(text: str) -> set[str]:
    return {text[at : at + 8] for at in range(len(text) - 7)}


# What is found


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("", ""),
        ("nothing here", "nothing here"),
        (f"token {KEY} is not valid", "token <key> is not valid"),
        (KEY + KEY, "<key><key>"),
        (f"you sent {KEY[:-1]}…", "you sent <key>…"),
        (f"you sent {KEY[:6]}…", "you sent <key>…"),
        (f"{KEY} and {KEY[:9]}…", "<key> and <key>…"),
        (f"you sent {KEY[:5]}…", f"you sent {KEY[:5]}…"),
        ("cut elsewhere…", "cut elsewhere…"),
        (f"you sent {KEY.upper()}", "you sent <key>"),
        (f"x{KEY[3:11]}y", "x<key>y"),
        (f"x {KEY[3:10]} y", f"x {KEY[3:10]} y"),
        ("é" + KEY + "İ", "é<key>İ"),
        (f"İİ {KEY}", "İİ <key>"),
        ("d3ad-b33f 0123 is no key", "<key> is no key"),
        ("d3ad-b33f is no key", "d3ad-b33f is no key"),
        ("%64%33%61%64%62%33%33%66 %41", "<key> %41"),
        ("a ZDNhZGIzM2Y= b", "a <key>= b"),
        ("\\ud83d\\ude00 \\", "\\ud83d\\ude00 \\"),
        ("&#9999999; &amp; &lt", "&#9999999; &amp; &lt"),
        ("[100 51 97 100 98 51 51 102 999]", "[<key> 999]"),
    ],
)
def test_a_key_is_cut_out_of_a_text(text: str, redacted: str) -> None:
    assert knowing(KEY).redact(text) == redacted


def test_a_key_of_a_few_letters_is_taken_out_as_a_word_only() -> None:
    assert knowing("k").redact("the key k, [k]") == "the key <key>, [<key>]"
    assert knowing("abcde").redact("abcde") == "<key>"
    assert knowing("abcdefg").redact("xabcdefgx, abcdefg abcdef") == "xabcdefgx, <key> abcdef"
    assert knowing("a-b").redact("a-b, a-bc, ca-b, A-B") == "<key>, a-bc, ca-b, <key>"
    assert knowing("-k-").redact("(-k-)") == "(<key>)"
    assert knowing("key").redact("%6b%65%79 and aw== and 6b6579") == "<key> and aw== and 6b6579"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("a page is a page, or none: see page. A page; page", None),
        ("page", None),
        ("Set {page} or {page}, can't a's", None),
        ("not the text 'page'", "not the text '<key>'"),
        ("not the text 'Bearer page'", "not the text 'Bearer <key>'"),
        ("not the text 'page one'", "not the text '<key> one'"),
        ('not the text "page"', 'not the text "<key>"'),
        ("Record 0 (page) is wrong", "Record 0 (<key>) is wrong"),
        ("Record 0 (in01-page) is wrong", None),
        ("to https://a.example/page/x", "to https://<key>.example/<key>/x"),
        (f"the page is {KEY}", "the page is <key>"),
    ],
)
def test_a_key_that_is_a_word_leaves_sentences_of_ours_alone(text: str, redacted: str | None) -> None:
    assert knowing("page", "a", "can", KEY).redact(text, ours=True) == (redacted or text)


@pytest.mark.parametrize("key", ["a.b+c/d=e~f-g_h!", "q\"u'o`t\\e&<key>(x)", "-" * 20, "%41%42%43%44"])
def test_any_character_may_be_in_a_key(key: str) -> None:
    assert knowing(key).redact(f"you sent {key}, {key.upper()}") == "you sent <key>, <key>"
    assert knowing(key).redact(f"you sent {''.join(f'%{ord(c):02X}' for c in key)}") == "you sent <key>"


def test_a_key_with_dashes_is_found_with_others_between() -> None:
    assert knowing("0f1e2d3c-4b5a-6978").redact("a 0f1e 2d3c 4b5a 6978 b") == "a <key> b"


@pytest.mark.parametrize("echo", ECHOES)
def test_no_echo_gives_eight_characters_back(echo: str) -> None:
    for _ in range(20):
        key = new_key()
        text = f"the token {ECHOES[echo](key)} is unknown"
        assert len(remains(text, key)) > LONGEST, "an echo that is none"

        redacted = knowing(key, new_key()).redact(text)

        assert len(remains(redacted, key)) <= LONGEST, redacted
        assert redacted.startswith("the token ")
        assert redacted.endswith(" is unknown")


@given(KEYS, st.lists(st.text() | st.text(ALPHANUMERIC), max_size=6), st.randoms(use_true_random=False))
def test_no_eight_characters_of_any_key_remain(keys: list[str], others: list[str], random: Any) -> None:
    pieces = list(others)
    for key in keys:
        start = random.randrange(len(key) - 8)
        part = key[start : random.randrange(start + 8, len(key) + 1)]
        pieces.append(random.choice([str.upper, str.lower, str.swapcase, str])(part))
    random.shuffle(pieces)
    redacted = knowing(*keys).redact("".join(pieces))
    known = {window for key in keys for window in windows(key.lower())}
    assert not known & windows(redacted.lower())


@given(
    st.lists(st.text("abcdef0123456789", min_size=20, max_size=80), min_size=1, max_size=5),
    st.text('ghi jkl .:/_\n\\"u&#;x') | st.text(st.characters(exclude_characters=string.hexdigits)),
)
def test_a_text_without_keys_stays_as_it_is(keys: list[str], text: str) -> None:
    assert knowing(*keys).redact(text) == text
    assert KnownKeys().redact(text) == text


@given(st.text(), st.text(), st.text("0123456789abcdef", min_size=8), st.integers(1, 60))
def test_neither_the_key_nor_a_long_beginning_outlives_a_cut(
    before: str, after: str, key: str, limit: int
) -> None:
    text = before + key + after
    cut = text if len(text) <= limit else text[:limit] + "…"
    redacted = knowing(key).redact(cut)
    assert key not in redacted
    if len(before) + 8 <= limit < len(before) + len(key):
        assert not redacted.endswith(f"{key[: limit - len(before)]}…")


@given(st.text("%=\\xu0046aAbB{}&#;+/-_ 9…", max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    known = knowing("z" * 20, "zz")
    assert known.redact(text) == text
    assert known.redact(f"{text} {'Z' * 20}").endswith(" <key>")


# What is known


def test_the_oldest_key_is_forgotten() -> None:
    keys = [new_key() for _ in range(redaction.MAX_KEYS + 1)]
    known = KnownKeys()
    for key in keys[:-1]:
        known.add(key)
    assert known.redact(f"{keys[0]} {keys[1]}") == "<key> <key>"

    known.add(keys[-1])

    assert known.redact(f"{keys[0]} {keys[1]} {keys[-1]}") == f"{keys[0]} <key> <key>"


def test_a_key_that_is_given_again_is_the_latest() -> None:
    first, second, third = (new_key() for _ in range(3))
    known = knowing(first, second, first, third, limit=2)
    assert known.redact(f"{first} {second} {third}") == f"<key> {second} <key>"


@pytest.mark.parametrize("length", range(1, 20))
def test_a_key_of_any_length_is_known_and_forgotten(length: int) -> None:
    key, other = new_key()[:length], new_key()
    known = knowing(key, limit=1)
    assert known.redact(f"({key})") == "(<key>)"
    known.add(other)
    assert known.redact(f"({key}) {other}") == f"({key}) <key>"
    known.add(key)
    assert known.redact(f"({key}) {other}") == f"(<key>) {other}"


def test_what_two_keys_share_stays_known_with_one_of_them() -> None:
    head = new_key()
    known = knowing(f"{head}-first", f"{head}-second", "short", "word", limit=4)
    assert known.redact(f"{head} short word") == "<key> <key> <key>"
    known.add("a")
    assert known.redact(f"{head} short word a") == "<key> <key> <key> <key>"
    known.add("b")
    assert known.redact(f"{head} short word a b") == f"{head} <key> <key> <key> <key>"
    known.add("c")
    assert known.redact("short word a b c") == "short <key> <key> <key> <key>"


def test_forgotten_keys_leave_nothing_behind() -> None:
    known = knowing(*(new_key() for _ in range(50)), limit=50)
    before = held(known)
    for _ in range(200):
        known.add(new_key())
    assert held(known) <= before * 1.01


def held(known: KnownKeys) -> int:
    """Count the numbers that are reachable."""
    numbers: set[int] = set()
    pending: list[object] = [getattr(known, name) for name in KnownKeys.__slots__]
    while pending:
        value = pending.pop()
        if isinstance(value, int):
            numbers.add(value)
        else:
            pending += gc.get_referents(value) if not isinstance(value, type) else []
    return len(numbers)


def test_keys_of_any_length_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_MAX_WINDOWS", 1000)
    known = KnownKeys()
    keys = [new_key() * 20 for _ in range(9)]
    for key in keys:
        known.add(key)
    assert held(known) < 1500
    assert known.redact(keys[-1]) == "<key>"
    known.add("".join(new_key() for _ in range(100)))  # one alone is known, however long
    assert held(known) > 3000


def test_no_key_is_held_in_clear() -> None:
    known = knowing(KEY, "short")
    texts = list(referents([getattr(known, name) for name in KnownKeys.__slots__]))
    assert not [text for text in texts if windows(text) & windows(KEY) or text == "short"]


def test_more_keys_make_no_more_work(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"{' '.join(ECHOES[echo](KEY) for echo in ('percent-encoded', 'base64 behind 1', 'hex'))} not found, page 7"
    counts: list[int] = []
    for number in (1, 1000):
        known = knowing(*(f"{KEY[:-4]}{new_key()}" for _ in range(number)), limit=number)
        looked_up: list[object] = []

        def count(value: object, looked_up: list[object] = looked_up) -> int:
            looked_up.append(value)
            return builtins.hash(value)

        monkeypatch.setattr(redaction, "hash", count, raising=False)
        assert "not found, page 7" in known.redact(text)
        monkeypatch.undo()
        counts.append(len(looked_up))
    assert counts[0] == counts[1] > len(text) / 2


def test_keys_may_be_added_in_several_threads() -> None:
    keys = [[f"{n}-{new_key()}" for _ in range(200)] for n in range(4)]
    known = KnownKeys(100)

    def add(own: list[str]) -> None:
        for key in own:
            known.add(key)

    threads = [Thread(target=add, args=(own,)) for own in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held(known) < 100 * 45


def test_each_secret_is_known_also_when_it_is_gone() -> None:
    key = new_key()
    assert KNOWN_KEYS.redact(key) == key
    Secret(key)
    assert KNOWN_KEYS.redact(key) == "<key>"


# Errors


def test_an_error_is_redacted_everywhere() -> None:
    key = new_key()
    error = RuntimeError(f"a {key}", 7, key.upper())
    error.add_note(f"note {key}")
    error.__dict__.update(name=f"{key}!", number=1, nothing=None, _advice=f"Check {key}")
    Secret(key)

    redact_error(error)

    assert error.args == ("a <key>", 7, "<key>")
    assert vars(error) == {
        "__notes__": ["note <key>"],
        "name": "<key>!",
        "number": 1,
        "nothing": None,
        "_advice": "Check <key>",
    }


def test_a_key_that_is_a_word_is_taken_out_of_what_is_the_service_s() -> None:
    Secret("wurd")
    refusal = APIError("the wurd is wrong", status=400, request_id="r-7, wurd", advice="Check the wurd")
    decode = DecodeError(
        "The wurd must be 1, not 'wurd'", index=1, cluster_id="wurd", advice="Check the wurd"
    )
    for error in (refusal, decode):
        redact_error(error)
    assert (refusal.message, refusal.request_id, refusal.advice) == (
        "the <key> is wrong",
        "r-7, <key>",
        "Check the wurd",
    )
    assert (decode.message, decode.cluster_id) == ("The wurd must be 1, not '<key>'", "wurd")
    assert decode.advice == "Check the wurd"


def test_a_huge_text_is_cut_before_it_is_searched() -> None:
    error = RuntimeError("x" * 10_000_000)
    redact_error(error)
    assert 500 < len(error.args[0]) <= 2_000
    assert error.args[0].endswith("…")
