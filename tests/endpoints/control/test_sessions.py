"""Sessions that are begun and ended over the control API."""

from __future__ import annotations

import pytest

from mockllm.state import sessions as state
from tests.support.control import Begin, Controlled

CONFIG = {"mocks": [{"name": "steps", "match": {"user": "s"}, "sequence": ["one", "two"]}]}


@pytest.fixture
def controlled(begin: Begin) -> Controlled:
    return begin(CONFIG)


def test_a_session_has_a_token_and_base_urls(controlled: Controlled) -> None:
    told = controlled.ask("POST", "sessions", {"name": "a"}, headers={"host": "mock.internal:80"})

    assert told.status == 201
    assert told.value == {
        "name": "a",
        "token": controlled.access.token_of("a"),
        "base_url": "http://mock.internal:80/session/a",
        "openai_base_url": "http://mock.internal:80/session/a/v1",
        "anthropic_base_url": "http://mock.internal:80/session/a",
    }


def test_a_session_without_a_name_gets_one(controlled: Controlled) -> None:
    first = controlled.ask("POST", "sessions", {}).value["name"]
    second = controlled.ask("POST", "sessions").value["name"]

    assert first != second
    listed = controlled.ask("GET", "sessions").value
    assert [each["name"] for each in listed["sessions"]] == [first, second]


def test_an_open_session_keeps_its_state(controlled: Controlled) -> None:
    assert controlled.ask("PUT", "sessions/a", {}).status == 201
    assert controlled.text("s", session="a") == "one"
    assert controlled.ask("PUT", "sessions/a").status == 200
    assert controlled.ask("POST", "sessions", {"name": "a"}).status == 200

    assert controlled.text("s", session="a") == "two"
    assert controlled.ask("GET", "sessions/a").value["name"] == "a"
    assert len(controlled.ask("GET", "calls?session=a").value["calls"]) == 2


def test_an_ended_session_has_stragglers_until_it_begins_anew(controlled: Controlled) -> None:
    controlled.ask("PUT", "sessions/a", {})
    controlled.ask("POST", "mocks?session=a", {"reply": "x"})
    assert controlled.ask("DELETE", "sessions/a").status == 204
    assert controlled.ask("GET", "sessions/a").status == 404
    assert controlled.say("late", session="a")["error"]["code"] == "session_ended"

    (late,) = controlled.ask("GET", "calls?session=a&unmatched=true").value["calls"]

    assert (late["is_late"], late["text"]) == (True, "late")
    assert controlled.ask("PUT", "sessions/a", {}).status == 201
    assert controlled.ask("GET", "calls?session=a").value["calls"] == []
    assert controlled.text("x", session="a") is None


def test_a_session_may_be_that_of_requests_that_name_none(controlled: Controlled) -> None:
    controlled.ask("PUT", "sessions", {"current": "a"})
    controlled.say("x")
    assert controlled.ask("GET", "sessions").value["current"] == "a"
    controlled.ask("PUT", "sessions", {"current": None})
    controlled.say("y")
    controlled.ask("PUT", "sessions/b", {"current": True})
    controlled.say("z")
    controlled.ask("POST", "sessions", {"name": "c", "current": True})

    found = controlled.ask("GET", "calls").value["calls"]
    assert [each["session"] for each in found] == ["a", None, "b"]
    assert controlled.ask("GET", "sessions").value["current"] == "c"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "sessions", {"name": "a/b"}),
        ("POST", "sessions", {"name": ""}),
        ("POST", "sessions", {"name": 3, "current": "x"}),
        ("POST", "sessions", {"nam": "a"}),
        ("POST", "sessions", {"name": "a", "current": "yes"}),
        ("PUT", "sessions/a", {"current": 1}),
        ("PUT", "sessions", {}),
        ("PUT", "sessions", {"current": ".."}),
        ("PUT", "sessions/..", {}),
        ("PUT", "sessions/a%2Fb", {}),
        ("PUT", "sessions/a", {"curent": True}),
        ("DELETE", "sessions/%00", None),
    ],
)
def test_a_wrong_name_or_body_is_a_400(
    controlled: Controlled, method: str, path: str, body: object
) -> None:
    assert controlled.ask(method, path, body).status == 400
    assert controlled.ask("GET", "sessions").value["sessions"] == []


def test_all_mistakes_of_a_body_are_told(controlled: Controlled) -> None:
    told = controlled.ask("POST", "sessions", {"name": 3, "current": 0.5, "x": 1})

    assert [each.partition(":")[0] for each in told.problems] == ["name", "current", "x"]


def test_sessions_are_bounded(controlled: Controlled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MAX_PINNED", 1)
    controlled.ask("PUT", "sessions/a", {})

    assert controlled.ask("PUT", "sessions/b", {}).code == "too_many_sessions"
    assert controlled.ask("PUT", "sessions", {"current": "b"}).code == "too_many_sessions"


def test_a_token_of_a_session_reaches_that_one_alone(controlled: Controlled) -> None:
    token = controlled.ask("PUT", "sessions/a", {}).value["token"]
    controlled.ask("PUT", "sessions/b", {"current": True})

    listed = controlled.ask("GET", "sessions", token=token).value
    assert ([each["name"] for each in listed["sessions"]], listed["current"]) == (["a"], None)
    for method, path, body in (
        ("GET", "sessions/b", None),
        ("PUT", "sessions/b", {}),
        ("DELETE", "sessions/b", None),
        ("POST", "sessions", {}),
        ("PUT", "sessions", {"current": "a"}),
        ("PUT", "sessions/a", {"current": True}),
        ("POST", "reset?session=b", {}),
        ("PUT", "speed", {"speed": 2}),
    ):
        assert controlled.ask(method, path, body, token=token).status == 403
    assert controlled.ask("GET", "sessions/a", token=token).status == 200
    assert controlled.ask("DELETE", "sessions/a", token=token).status == 204
    assert controlled.ask("GET", "sessions", token=token).value["sessions"] == []


def test_a_list_is_read_page_by_page(controlled: Controlled) -> None:
    for name in "abc":
        controlled.ask("PUT", f"sessions/{name}", {})
    first = controlled.ask("GET", "sessions?limit=2").value
    second = controlled.ask("GET", f"sessions?after={first['next']}").value

    assert [each["name"] for each in first["sessions"]] == ["a", "b"]
    assert [each["name"] for each in second["sessions"]] == ["c"]
    assert (first["more"], second["more"]) == (True, False)


def test_a_session_may_be_that_of_an_api_key() -> None:
    controlled = Controlled({"session": "credential", "mocks": [{"reply": "x"}]})
    begun = controlled.ask("POST", "sessions", {"credential": "sk-a"})
    assert begun.status == 201
    name = begun.value["name"]
    for key in ("sk-a", "sk-b"):
        controlled.say("hi", key=key)

    assert [call.session for call in controlled.journal.read(name).calls] == [name]
    assert controlled.ask("POST", "sessions", {"credential": "sk-a"}).status == 200
    both = controlled.ask("POST", "sessions", {"credential": "sk-a", "name": "a"})
    assert both.problems == ["credential: cannot be combined with 'name'"]
    assert controlled.ask("POST", "sessions", {"credential": ""}).status == 400


def test_a_session_of_an_api_key_needs_the_configuration(controlled: Controlled) -> None:
    refused = controlled.ask("POST", "sessions", {"credential": "sk-a"})

    assert (refused.status, refused.code) == (409, "no_sessions_of_credentials")
    assert "sk-a" not in str(refused.value)
