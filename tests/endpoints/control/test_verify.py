"""Assertions that are made where the calls are."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.endpoints.control import desk, mocks
from tests.support.control import Controlled, Told

CONFIG: dict[str, Any] = {
    "mocks": [
        {"name": "ask", "match": {"user": {"contains": "weather"}}, "reply": "Where?"},
        {"name": "tell", "match": {"user": "Paris"}, "sequence": ["Sunny", "Rain"]},
    ]
}
KEY = "sk-proj-abcdefghij0123456789ABCDEFGHIJ"


@pytest.fixture(params=["at once", "in a thread"])
def controlled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Controlled:
    """Few calls are judged at once, many in a thread, with the same results."""
    if request.param == "in a thread":
        monkeypatch.setattr(desk, "MAX_JUDGED", -1)
    return Controlled(CONFIG)


def verify(controlled: Controlled, query: str = "", **body: Any) -> Told:
    body["assert"] = body.pop("that")
    return controlled.ask("POST", f"verify{query}", body)


def failure(told: Told) -> list[str]:
    assert (told.status, told.code) == (409, "assertion_failed")
    return list(told.value["error"]["message"].splitlines())


def test_a_number_of_calls(controlled: Controlled) -> None:
    controlled.say("the weather")

    expected: list[dict[str, Any]] = [{}, {"times": 1}, {"at_least": 1, "at_most": 2}]
    for times in expected:
        verdict = verify(controlled, that="called", mock="ask", **times).value
        assert verdict == {"holds": True, "calls": 1, "requests": 1}
        assert verify(controlled, that="requested", mock="ask", **times).status == 200
    assert failure(verify(controlled, that="called", mock="ask", times=2)) == [
        "expected 2 calls of 'ask', found 1 call",
        "",
        "1 request so far:",
        "  1. 200  'ask'  gpt-4o  \"the weather\"",
    ]
    assert failure(verify(controlled, that="called", mock="tell"))[:2] == [
        "expected at least 1 call of 'tell', found no call",
        "'tell': no answer given, entry 1 of 2 is due",
    ]


def test_the_order_of_calls(controlled: Controlled) -> None:
    controlled.say("the weather")
    controlled.say("Paris")

    assert verify(controlled, that="order", mocks=["ask", "tell"]).status == 200
    text = failure(verify(controlled, that="order", mocks=["tell", "ask"]))
    assert text[0] == "expected calls in the order 'tell' -> 'ask', found 'ask' before 'tell'"


def test_no_unmatched_and_all_called(controlled: Controlled) -> None:
    controlled.say("Paris")
    assert verify(controlled, that="no_unmatched").status == 200
    controlled.say("nobody")

    assert failure(verify(controlled, that="no_unmatched"))[0].startswith("1 request was not")
    text = failure(verify(controlled, that="all_called"))
    assert text[1:3] == ["  'ask': no call", "  'tell': 1 answer given, entry 2 of 2 is due"]


def test_invalid_requests_count_if_wanted(controlled: Controlled) -> None:
    controlled.say(3)  # type: ignore[arg-type]  # invalid on purpose

    assert verify(controlled, that="no_unmatched").status == 200
    assert verify(controlled, that="no_unmatched", strict_requests=True).status == 409


def test_a_mock_that_was_added_is_told_from_others_of_its_name(controlled: Controlled) -> None:
    for user in ("a", "b"):
        controlled.ask("POST", "mocks", {"name": "same", "user": user, "reply": user})
    controlled.say("b")

    assert verify(controlled, that="called", mock="added[0]", times=0).status == 200
    assert verify(controlled, that="called", mock="added[1]", times=1).status == 200
    assert verify(controlled, that="called", mock="same", times=1).status == 200
    controlled.ask("DELETE", "mocks/added[1]")
    assert verify(controlled, that="called", mock="added[1]", times=1).status == 200
    assert verify(controlled, that="called", mock="added[7]").status == 404
    assert (
        "did you mean 'ask'"
        in verify(controlled, that="called", mock="aks").value["error"]["message"]
    )


def test_a_credential_is_compared_but_not_shown(controlled: Controlled) -> None:
    controlled.say("Paris", key=KEY)

    assert verify(controlled, that="credential", call=1, credential=KEY).status == 200
    told = verify(controlled, that="credential", call=1, credential="sk-other")
    assert failure(told) == ["call 1 was not sent with this credential"]
    assert verify(controlled, that="credential", call=9, credential=KEY).status == 404


def test_calls_are_waited_for(controlled: Controlled) -> None:
    controlled.say("Paris")

    assert verify(controlled, that="calls", count=1).status == 200
    text = failure(verify(controlled, "?session=", that="calls", count=2, timeout=3))
    assert text[0] == "expected 2 calls within 3 s, found 1 call"
    assert controlled.waits == [(None, 1, 5.0), ("", 2, 3.0)]


def test_answers_at_a_gate_are_waited_for(controlled: Controlled) -> None:
    controlled.gates.counts["g"] = 1

    assert verify(controlled, that="gate", gate="g").status == 200
    waited = {"that": "gate", "gate": "g", "count": 2, "timeout": 3}
    refused = verify(controlled, "?session=a", **waited)
    assert (refused.status, refused.code) == (404, "session_not_open")
    controlled.ask("PUT", "sessions/a", {})
    text = failure(verify(controlled, "?session=a", **waited))
    assert text[0] == "expected 2 answers at gate 'g' within 3 s, found 1 answer"
    assert controlled.waits == [(None, "g", 1, 5.0), ("a", "g", 2, 3.0)]


def test_without_a_journal_a_gate_can_be_waited_for() -> None:
    controlled = Controlled(CONFIG, journal=False)

    assert failure(verify(controlled, that="gate", gate="g"))[0].startswith("expected 1 answer")


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({}, ["assert"]),
        ({"assert": "caled", "x": 1}, ["assert", "x"]),
        ({"assert": "called"}, [""]),
        ({"assert": "called", "mock": 3, "times": -1}, ["mock", "times"]),
        ({"assert": "called", "mock": "a", "count": 1}, ["count"]),
        ({"assert": "called", "mock": "a", "times": 1, "at_most": 2}, ["times"]),
        ({"assert": "called", "mock": "a", "at_least": 3, "at_most": 2}, [""]),
        ({"assert": "order", "mocks": []}, ["mocks"]),
        ({"assert": "gate", "gate": "a b"}, ["gate"]),
        ({"assert": "calls", "count": 1, "timeout": 61}, ["timeout"]),
        ({"assert": "all_called", "mock": "a"}, ["mock"]),
    ],
)
def test_a_wrong_assertion_is_a_400(
    controlled: Controlled, body: dict[str, Any], places: list[str]
) -> None:
    told = controlled.ask("POST", "verify", body)

    assert (told.status, told.code) == (400, "invalid_body")
    assert [each["place"] for each in told.value["error"]["problems"]] == places


def test_an_assertion_may_be_about_a_session(controlled: Controlled) -> None:
    controlled.say("Paris", session="a")
    token = controlled.access.token_of("a")
    called = {"assert": "called", "mock": "tell", "times": 1}

    assert controlled.ask("POST", "verify", called, token=token).status == 200
    assert controlled.ask("POST", "verify?session=b", called).status == 409
    assert controlled.ask("POST", "verify?session=b", called, token=token).status == 403


def test_the_report_is_that_of_failures(controlled: Controlled) -> None:
    controlled.say("Paris")

    assert controlled.ask("GET", "report").value.splitlines() == [
        "1 request so far:",
        "  1. 200  'tell'  gpt-4o  \"Paris\"",
    ]


@pytest.mark.parametrize(
    ("asserted", "threads"),
    [
        ({"assert": "called", "mock": "ask"}, 0),
        ({"assert": "order", "mocks": ["ask"] * 2}, 1),
        ({"assert": "no_unmatched"}, 0),
        ({"assert": "all_called"}, 1),
    ],
)
def test_much_is_judged_in_a_thread(
    monkeypatch: pytest.MonkeyPatch, asserted: dict[str, Any], threads: int
) -> None:
    monkeypatch.setattr(desk, "MAX_JUDGED", 3)
    controlled = Controlled(CONFIG)
    for _ in range(2):
        controlled.say("the weather")

    for _ in range(2):
        controlled.ask("POST", "verify", asserted)
        assert controlled.threads == threads
        controlled.threads = 0

    controlled.say("the weather")
    controlled.say("the weather")
    controlled.ask("POST", "verify", asserted)
    controlled.ask("GET", "report")
    assert controlled.threads == 2


def test_many_mocks_are_looked_for_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mocks, "MAX_LOOKED_AT", 1)
    controlled = Controlled(CONFIG)
    controlled.say("the weather")

    assert verify(controlled, that="called", mock="ask", times=1).status == 200
    assert verify(controlled, that="called", mock="asc", times=1).status == 404
    assert controlled.threads == 4
