from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from attrs.exceptions import FrozenInstanceError

from aiozilliz.testing import Fault
from aiozilliz.testing.faults import FaultScript

if TYPE_CHECKING:
    from aiozilliz.testing.server import Answer

WRONG: Any = "503"


def answer_of(fault: Fault) -> Answer:
    assert fault.answer is not None
    return fault.answer


def test_a_status_has_a_json_body_unless_one_is_given() -> None:
    answer = answer_of(Fault.status(503))
    assert answer.status == 503
    assert json.loads(answer.body) == {"code": 503, "message": "Service Unavailable"}
    assert answer.headers == (("Content-Type", "application/json"),)
    assert json.loads(answer_of(Fault.status(520)).body) == {"code": 520, "message": "Status 520"}
    assert answer_of(Fault.status(503, body="")).body == b""
    assert answer_of(Fault.status(503, body="é")).body == "é".encode()
    assert answer_of(Fault.status(503, body=b"\xff")).body == b"\xff"


@pytest.mark.parametrize("after", [0, 120, "Wed, 21 Oct 2026 07:28:00 GMT", "soon"])
def test_retry_after_is_sent_as_given(after: int | str) -> None:
    assert dict(answer_of(Fault.status(429, retry_after=after)).headers)["Retry-After"] == str(after)


def test_headers_are_added_and_may_change_the_label_of_the_body() -> None:
    moved = answer_of(Fault.status(302, headers={"Location": "/elsewhere"}))
    assert moved.headers == (("Content-Type", "application/json"), ("Location", "/elsewhere"))
    labelled = answer_of(Fault.status(502, body="<p>", headers={"content-type": "text/html"}))
    assert labelled.headers == (("content-type", "text/html"),)


def test_a_code_comes_under_the_status_that_is_wanted() -> None:
    answer = answer_of(Fault.code(80001, "Bad token"))
    assert (answer.status, json.loads(answer.body)) == (200, {"code": 80001, "message": "Bad token"})
    assert answer_of(Fault.code(80001, status=403)).status == 403


def test_html_comes_under_200_unless_told_otherwise() -> None:
    answer = answer_of(Fault.html())
    assert (answer.status, answer.headers) == (200, (("Content-Type", "text/html"),))
    assert answer.body.startswith(b"<!DOCTYPE html>")
    gateway = answer_of(Fault.html(status=502))
    assert gateway.status == 502
    assert b"<h1>Bad Gateway</h1>" in gateway.body


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Fault.status(199), ValueError, "between 200 and 599"),
        (lambda: Fault.status(600), ValueError, "between 200 and 599"),
        (lambda: Fault.status(WRONG), TypeError, "must be an int, not str"),
        (lambda: Fault.status(True), TypeError, "must be an int, not bool"),
        (lambda: Fault.status(503, retry_after="1\r\nX: y"), ValueError, "printable ASCII"),
        (lambda: Fault.status(503, headers={"X": "é"}), ValueError, "printable ASCII"),
        (lambda: Fault.code(0), ValueError, "means success"),
        (lambda: Fault.code(200), ValueError, "means success"),
        (lambda: Fault.code(WRONG), TypeError, "must be an int, not str"),
        (lambda: Fault.code(False), TypeError, "must be an int, not bool"),
        (lambda: Fault.code(80001, status=99), ValueError, "between 200 and 599"),
        (lambda: Fault.html(status=1000), ValueError, "between 200 and 599"),
        (lambda: Fault.delay(-1), ValueError, "finite and not negative"),
        (lambda: Fault.delay(float("inf")), ValueError, "finite and not negative"),
        (lambda: Fault.delay(float("nan")), ValueError, "finite and not negative"),
    ],
)
def test_what_makes_no_sense_is_refused_where_the_fault_is_made(
    make: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault.status(503), "Fault.status(503)"),
        (Fault.status(503, retry_after=2, body=""), "Fault.status(503, retry_after=2, body='')"),
        (Fault.code(80001, "no"), "Fault.code(80001, 'no', status=200)"),
        (Fault.html(status=502), "Fault.html(status=502)"),
        (Fault.delay(1.5), "Fault.delay(1.5)"),
        (Fault.reset(), "Fault.reset()"),
        (Fault.cut(), "Fault.cut()"),
        (Fault.malformed(), "Fault.malformed()"),
        (Fault.repeat_page(), "Fault.repeat_page()"),
    ],
)
def test_a_fault_reads_as_it_was_made(fault: Fault, text: str) -> None:
    assert repr(fault) == text


def test_faults_are_values() -> None:
    assert Fault.status(503) == Fault.status(503)
    assert len({Fault.reset(), Fault.reset(), Fault.cut()}) == 2
    with pytest.raises(FrozenInstanceError):
        Fault.reset().kind = "cut"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue] - the point


def test_a_script_gives_faults_in_order_and_as_often_as_told() -> None:
    script = FaultScript()
    assert script.take() is None
    script.add(Fault.reset(), 2)
    script.add(Fault.cut(), 1)
    assert [script.take() for _ in range(4)] == [Fault.reset(), Fault.reset(), Fault.cut(), None]
    assert script.unused == []


def test_a_fault_without_end_is_used_once_it_was_taken() -> None:
    script = FaultScript()
    script.add(Fault.reset(), None)
    assert script.unused == ["Fault.reset()"]
    assert [script.take() for _ in range(3)] == [Fault.reset()] * 3
    assert script.unused == []


def test_what_is_left_is_told_with_its_number_until_it_is_cleared() -> None:
    script = FaultScript()
    script.add(Fault.reset(), 4)
    script.add(Fault.cut(), 1)
    script.take()
    assert script.unused == ["Fault.reset() (3 times)", "Fault.cut()"]
    script.clear()
    assert script.unused == []
    assert script.take() is None
