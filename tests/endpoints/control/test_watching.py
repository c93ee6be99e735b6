"""What the live page reads: the latest calls in short, one call whole, and what came closest."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.endpoints.control import desk
from mockllm.endpoints.control.watching import LATE_BOUNDS, MAX_LATEST, MAX_MISSES, MAX_SHOWN
from tests.support.control import Controlled
from tests.support.observed import request

CONFIG: dict[str, Any] = {
    "mocks": [
        {"name": "weather", "match": {"user": "How is the weather in Rome?"}, "reply": "Sunny"},
        {"name": "flight", "match": {"user": {"contains": "flight"}, "model": "m"}, "reply": "ok"},
        {"name": "busy", "match": {"user": "busy"}, "error": "overloaded"},
        *({"match": {"user": f"number {number}"}, "reply": "ok"} for number in range(120)),
    ]
}


@pytest.fixture(params=["in pieces", "in a thread"])
def controlled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Controlled:
    """Small calls are read in pieces, large ones in a thread, with the same results."""
    if request.param == "in a thread":
        monkeypatch.setattr(desk, "MAX_SMALL", -1)
    return Controlled(CONFIG)


def watched(controlled: Controlled, query: str = "") -> Any:
    told = controlled.ask("GET", f"watch{query}")
    assert told.status == 200
    return told.value


def test_calls_are_shown_in_short(controlled: Controlled) -> None:
    controlled.say("How is the weather in Rome?", session="a")
    controlled.say("x" * 500)

    first, second = watched(controlled)["calls"]
    assert (first["number"], first["session"], first["mock"]) == (1, "a", "weather")
    assert (first["words"], first["status"]) == ("How is the weather in Rome?", 200)
    assert (len(second["words"]), second["is_unmatched"]) == (MAX_SHOWN, True)
    assert "body" not in first


def test_only_the_latest_calls_are_shown_and_the_others_are_counted(
    controlled: Controlled,
) -> None:
    for _ in range(30):
        controlled.say("number 7")
    found = watched(controlled, "?latest=5")

    assert [call["number"] for call in found["calls"]] == [26, 27, 28, 29, 30]
    assert (found["skipped"], found["next"], found["total"]) == (25, 30, 30)
    assert watched(controlled, "?after=28")["calls"][0]["number"] == 29
    assert watched(controlled, "?after=30")["calls"] == []
    assert watched(controlled, "?after=30")["next"] == 30


def test_calls_without_a_mock_are_not_passed_over(controlled: Controlled) -> None:
    controlled.say("nobody answers this")
    for _ in range(20):
        controlled.say("number 7")
    found = watched(controlled, "?latest=3")

    assert [call["number"] for call in found["calls"]] == [1, 19, 20, 21]
    assert found["skipped"] == 17


def test_an_answer_is_bounded_whatever_happened(controlled: Controlled) -> None:
    for number in range(3 * MAX_LATEST):
        controlled.say(f"number {number % 2}" if number % 3 else "nobody answers this")
    found = watched(controlled, f"?latest={MAX_LATEST}")

    assert len(found["calls"]) == 2 * MAX_LATEST
    assert found["skipped"] == MAX_LATEST


def test_a_session_sees_its_own_calls(controlled: Controlled) -> None:
    controlled.say("number 1", session="a")
    controlled.say("number 2", session="b")
    found = watched(controlled, "?session=a")

    assert [call["session"] for call in found["calls"]] == ["a"]
    assert found["total"] is None


def test_held_answers_and_late_steps_are_told(controlled: Controlled) -> None:
    controlled.gates.counts["approval"] = 2
    lateness = controlled.app.timing()
    lateness.add_all([0.0015, 0.0015], 2)
    lateness.add_all([0.3], 1)
    controlled.app.timing = lambda: lateness
    found = watched(controlled)

    assert found["held"] == {"approval": 2}
    timing = found["timing"]
    assert timing["late_up_to_ms"] == [bound * 1000 for bound in LATE_BOUNDS]
    counts = dict(zip(LATE_BOUNDS, timing["late_counts"], strict=True))
    assert (counts[0.001], counts[0.002], counts[0.2], counts[1.0]) == (0, 2, 2, 3)


# --- one call -------------------------------------------------------------------------------------


def test_a_call_is_read_with_what_its_answer_says(controlled: Controlled) -> None:
    controlled.say("How is the weather in Rome?")
    call = controlled.ask("GET", "calls/1").value

    assert call["messages"][0]["texts"] == ["How is the weather in Rome?"]
    assert call["reply"]["texts"] == ["Sunny"]
    assert call["reply"]["deltas"] == []


def test_a_stream_is_read_with_its_deltas() -> None:
    controlled = Controlled({"mocks": [{"match": {"user": "hi"}, "reply": "one two"}]})
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    controlled.observed.ask(request("/v1/chat/completions", body))

    assert controlled.ask("GET", "calls/1").value["reply"]["deltas"] == [["one", " two"]]


@pytest.mark.parametrize("text", ["busy", "nobody answers this"])
def test_an_error_says_nothing(controlled: Controlled, text: str) -> None:
    controlled.say(text)

    assert controlled.ask("GET", "calls/1").value["reply"] is None


def test_an_answer_that_repeats_a_credential_hides_it() -> None:
    reply = {"generate": "echo"}
    controlled = Controlled({"mocks": [{"reply": reply}]})
    controlled.say("my key is verysecretkey1", key="verysecretkey1")
    call = controlled.ask("GET", "calls/1")

    assert "verysecret" not in str(call.value)


@pytest.mark.parametrize("number", ["0", "2", "x", "-1", "9" * 30, "١"])
def test_a_call_that_is_not_there_is_an_error(controlled: Controlled, number: str) -> None:
    controlled.say("number 1")

    for path in (f"calls/{number}", f"calls/{number}/misses"):
        told = controlled.ask("GET", path.encode().decode("latin-1"))
        assert (told.status, told.code) == (404, "not_found")


def test_the_calls_of_other_sessions_are_not_there(controlled: Controlled) -> None:
    controlled.say("number 1", session="a")

    assert controlled.ask("GET", "calls/1?session=a").status == 200
    assert controlled.ask("GET", "calls/1?session=b").status == 404
    token = controlled.access.token_of("b")
    assert controlled.ask("GET", "calls/1", token=token).status == 404


# --- misses ---------------------------------------------------------------------------------------


def test_the_nearest_mocks_are_told_with_what_they_want(controlled: Controlled) -> None:
    controlled.say("How is the weather in Roma?")
    misses = controlled.ask("GET", "calls/1/misses").value["misses"]

    assert len(misses) == MAX_MISSES
    nearest = misses[0]
    assert (nearest["mock"], nearest["match"]) == (
        "weather",
        {"user": "How is the weather in Rome?"},
    )
    (reason,) = nearest["reasons"]
    assert "expected 'How is the weather in Rome?'" in reason


def test_every_condition_that_does_not_hold_is_told(controlled: Controlled) -> None:
    controlled.say("a flight")
    misses = controlled.ask("GET", "calls/1/misses").value["misses"]

    assert misses[0]["mock"] == "flight"
    assert len(misses[0]["reasons"]) == 1  # the model
    controlled.say("nothing like it")
    by_name = {
        each["mock"]: each for each in controlled.ask("GET", "calls/2/misses").value["misses"]
    }
    assert len(by_name.get("flight", {"reasons": [1, 2]})["reasons"]) == 2


def test_mocks_of_the_session_are_compared_too(controlled: Controlled) -> None:
    controlled.ask("PUT", "sessions/a", {})
    mock = {"name": "own", "user": "How is the weather in Romania?", "reply": "x"}
    controlled.ask("POST", "mocks?session=a", mock)
    controlled.say("How is the weather in Romani?", session="a")
    controlled.say("How is the weather in Romani?")

    first = controlled.ask("GET", "calls/1/misses").value["misses"][0]
    second = controlled.ask("GET", "calls/2/misses").value["misses"][0]
    assert (first["mock"], second["mock"]) == ("own", "weather")


def test_a_request_that_is_no_prompt_has_no_misses(controlled: Controlled) -> None:
    controlled.observed.ask(request("/v1/chat/completions", b"{"))
    controlled.observed.ask(request("/v1/nowhere", b"{}"))

    for number in (1, 2):
        assert controlled.ask("GET", f"calls/{number}/misses").value == {"misses": []}


def test_values_of_headers_are_not_told() -> None:
    mock = {
        "name": "h",
        "match": {"headers": [{"name": "x-tenant", "value": "secret-of-a"}]},
        "reply": "x",
    }
    controlled = Controlled({"mocks": [mock]})
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    asked = request("/v1/chat/completions", body, {"x-tenant": "secret-of-b"})
    controlled.observed.ask(asked)
    (miss,) = controlled.ask("GET", "calls/1/misses").value["misses"]

    assert "secret-of-b" not in str(miss["reasons"])


@pytest.mark.parametrize("path", ["calls", "watch", "calls/2", "calls/2/misses", "report"])
def test_what_is_large_is_read_in_a_thread(path: str) -> None:
    controlled = Controlled(CONFIG)
    controlled.say("Paris")
    controlled.ask("GET", path.replace("2", "1"))
    assert controlled.threads == 0

    controlled.say("Paris " * desk.MAX_SMALL)
    assert controlled.ask("GET", path).status == 200
    assert controlled.threads == 1
