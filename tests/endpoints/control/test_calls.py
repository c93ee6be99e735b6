"""The calls of a server, page by page, and who sees which."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from mockllm.endpoints.control import calls, desk
from mockllm.observers.journal import Journal
from mockllm.observers.reading import Reading
from mockllm.observers.selection import CallSelection
from mockllm.serve.own_calls import OwnCalls
from tests.support.control import Controlled
from tests.support.observed import request

CONFIG: dict[str, Any] = {
    "mocks": [
        {"name": "greet", "match": {"user": "Hello"}, "reply": "Hi"},
        {"name": "tell", "match": {"tool_result": "15"}, "reply": "It is 15."},
    ]
}
KEY = "sk-proj-abcdefghij0123456789ABCDEFGHIJ"


@pytest.fixture(params=["in pieces", "in a thread"])
def controlled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Controlled:
    """Small calls are read in pieces, large ones in a thread, with the same results."""
    if request.param == "in a thread":
        monkeypatch.setattr(desk, "MAX_SMALL", -1)
    return Controlled(CONFIG)


def texts(controlled: Controlled, query: str = "", **given: Any) -> list[str]:
    return [each["text"] for each in controlled.ask("GET", f"calls{query}", **given).value["calls"]]


def test_a_call_is_shown_as_python_shows_it(controlled: Controlled) -> None:
    controlled.say("Hello")
    (call,) = controlled.journal.read().calls

    (shown,) = controlled.ask("GET", "calls").value["calls"]

    for name, value in shown.items():
        if name not in ("messages", "mock_id", "tools", "headers", "traffic", "asked_for"):
            assert value == getattr(call, name), name
    assert shown["headers"] == dict(call.headers)
    assert shown["messages"] == [{"role": "user", "texts": ["Hello"], "calls": []}]
    assert shown["mock_id"] == "mocks[0] 'greet'"


def test_results_of_tools_have_their_call(controlled: Controlled) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "15"},
    ]
    body = {"model": "m", "messages": messages}
    controlled.observed.ask(request("/v1/chat/completions", body))

    (shown,) = controlled.ask("GET", "calls").value["calls"]

    assert shown["mock"] == "tell"
    assert shown["messages"][1:] == [
        {"role": "assistant", "texts": [], "calls": [{"id": "c1", "name": "f"}]},
        {
            "role": "tool",
            "texts": ["15"],
            "calls": [],
            "result": {"call_id": "c1", "name": "f", "error": False},
        },
    ]


def test_credentials_are_never_shown(controlled: Controlled) -> None:
    controlled.say(f"my key is {KEY}", key=KEY)

    assert KEY not in str(controlled.ask("GET", "calls").value)


def test_calls_are_read_after_the_last_one_seen(controlled: Controlled) -> None:
    for text in ("one", "two", "three"):
        controlled.say(text)
    first = controlled.ask("GET", "calls?limit=2").value
    controlled.say("four")
    second = controlled.ask("GET", f"calls?after={first['next']}").value
    third = controlled.ask("GET", f"calls?after={second['next']}").value

    assert [each["text"] for each in first["calls"]] == ["one", "two"]
    assert [each["text"] for each in second["calls"]] == ["three", "four"]
    assert (third["calls"], third["next"]) == ([], second["next"])
    assert (first["more"], second["more"], third["more"]) == (True, False, False)


def test_a_page_is_bounded_by_bytes(
    controlled: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MAX_PAGE", 100)
    for text in ("one", "two"):
        controlled.say(text)

    page = controlled.ask("GET", "calls").value

    assert (len(page["calls"]), page["more"], page["next"]) == (1, True, 1)


def test_calls_are_selected(controlled: Controlled) -> None:
    controlled.say("Hello")
    controlled.say("nobody")
    controlled.say("of a", session="a")
    body = {"model": "m", "input": "Hello"}
    controlled.observed.ask(request("/v1/responses", body))
    controlled.observed.ask(request("/health", b"", method="GET"))

    assert texts(controlled, "?mock=greet") == ["Hello", "Hello"]
    assert texts(controlled, "?api=responses") == ["Hello"]
    assert texts(controlled, "?unmatched=true") == ["nobody", "of a"]
    assert texts(controlled, "?unmatched=false&api=chat") == ["Hello"]
    assert texts(controlled, "?session=a") == ["of a"]
    assert texts(controlled, "?session=&api=chat") == ["Hello", "nobody"]
    skipped = controlled.ask("GET", "calls?mock=none").value
    assert skipped["next"] == 5


@pytest.mark.parametrize(
    "query",
    [
        "after=-1",
        "after=x",
        "after=٣",
        "limit=1001",
        "unmatched=1",
        "session=a/b",
        "sesion=a",
        "after=1&after=2",
        "after=" + "9" * 19,
    ],
)
def test_a_wrong_query_is_a_400(controlled: Controlled, query: str) -> None:
    assert controlled.ask("GET", f"calls?{query}").code in ("bad_parameter", "invalid_session")


def test_what_was_lost_is_told(controlled: Controlled) -> None:
    controlled.observed.journal.__init__(max_entries=1)  # type: ignore[misc]  # as if begun so
    for text in ("one", "two"):
        controlled.say(text)

    assert controlled.ask("GET", "calls").value["lost"] == 1


def test_a_body_that_was_cut_is_told() -> None:
    controlled = Controlled(CONFIG)
    controlled.journal.__init__(max_body=10)  # type: ignore[misc]  # as if begun so
    controlled.say("Hello")

    (shown,) = controlled.ask("GET", "calls").value["calls"]

    assert (shown["is_body_cut"], shown["body"], shown["mock"]) == (True, None, "greet")
    assert isinstance(controlled.journal, Journal)


def test_requests_to_the_control_api_are_no_calls(controlled: Controlled) -> None:
    told = controlled.ask("GET", "mocks")
    controlled.observed.ask(request("/__mockllm/mocks", b"", method="GET"))

    assert told.decision.match.outcome.value == "control"
    assert len(controlled.journal) == 0


def test_calls_are_dropped_of_a_session_or_all(controlled: Controlled) -> None:
    for session in ("a", "b", None):
        controlled.say("x", session=session)
    token = controlled.access.token_of("a")

    assert controlled.ask("DELETE", "calls", token=token).status == 204
    assert len(controlled.journal) == 2
    assert controlled.ask("DELETE", "calls?session=").status == 204
    assert [each.session for each in controlled.journal.read().calls] == ["b"]
    assert controlled.ask("DELETE", "calls").status == 204
    assert len(controlled.journal) == 0
    assert controlled.ask("DELETE", "calls?mok=x").status == 400


def test_calls_that_are_selected_are_dropped(controlled: Controlled) -> None:
    controlled.say("Hello")
    controlled.say("nobody", session="a")
    controlled.say("nobody")
    controlled.observed.ask(request("/v1/responses", {"model": "m", "input": "Hello"}))

    for query, left in (
        ("session=a&unmatched=false", ["Hello", "nobody", "nobody", "Hello"]),
        ("session=a&unmatched=true", ["Hello", "nobody", "Hello"]),
        ("mock=greet&api=responses", ["Hello", "nobody"]),
        ("mock=greet", ["nobody"]),
        ("unmatched=true", []),
    ):
        assert controlled.ask("DELETE", f"calls?{query}").status == 204
        assert texts(controlled) == left


def test_many_calls_are_dropped_with_pauses(controlled: Controlled) -> None:
    for number in range(5):
        controlled.say(f"{number}")
    pauses = CallSelection(api="chat").drop_from(controlled.journal)
    with mock.patch("mockllm.observers.selection.CALLS_AT_ONCE", 2):
        assert next(pauses) is None
        controlled.say("meanwhile")
        assert len([*pauses]) == 1

    assert texts(controlled) == ["meanwhile"]


def test_an_unknown_api_is_a_400(controlled: Controlled) -> None:
    for method in ("GET", "DELETE"):
        refused = controlled.ask(method, "calls?api=chats")
        assert (refused.status, refused.code) == (400, "bad_parameter")
        assert "chat, responses, messages, embeddings" in refused.value["error"]["message"]


def test_a_token_of_a_session_sees_that_one(controlled: Controlled) -> None:
    for session in ("a", "b", None):
        controlled.say(f"of {session}", session=session)
    token = controlled.access.token_of("a")

    assert texts(controlled, token=token) == ["of a"]
    assert controlled.ask("GET", "calls?session=b", token=token).status == 403
    assert controlled.ask("GET", "calls?session=", token=token).status == 403


def test_without_a_journal_there_are_no_calls() -> None:
    controlled = Controlled(CONFIG, journal=False)

    for method, path, body in (
        ("GET", "calls", None),
        ("DELETE", "calls", None),
        ("POST", "verify", {"assert": "all_called"}),
        ("GET", "report", None),
    ):
        assert controlled.ask(method, path, body).code == "no_journal"
    assert controlled.ask("GET", "mocks").status == 200
    assert controlled.ask("POST", "sessions", {}).status == 201


class MissingCalls(OwnCalls):
    """The calls of a process, while another one does not answer."""

    def read(self, session: str | None) -> Reading:
        return Reading.of(self._journal, session)._replace(missing="one is busy", known_upto=2)


def test_what_is_missing_is_told_and_read_later(
    controlled: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("one", "two", "three", "four"):
        controlled.say(text)
    assert controlled.ask("GET", "calls").value["missing"] is None
    monkeypatch.setattr(OwnCalls, "read", MissingCalls.read)

    first = controlled.ask("GET", "calls?limit=3").value
    last = controlled.ask("GET", f"calls?after={first['next']}").value

    assert [(page["next"], page["more"]) for page in (first, last)] == [(3, True), (2, False)]
    assert first["missing"] == last["missing"] == "one is busy"
    refused = controlled.ask("POST", "verify", {"assert": "called", "mock": "greet", "times": 0})
    assert refused.value["error"]["message"] == "cannot be told: one is busy"
