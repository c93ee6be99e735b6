"""Reading mocks, and changing them: whole or not at all, with every mistake, at a version."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from mockllm import Config, ConfigError, Server
from mockllm.endpoints.control import changes, mocks
from mockllm.endpoints.control.refusals import MAX_PROBLEMS, ControlError
from mockllm.endpoints.control.state import operations_of, settle
from mockllm.engine.added import compile_added
from mockllm.engine.changes import AddMock, Change, CloseSession
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.errors import MAX_DESCRIBED
from mockllm.state.operations import EndSession, IsOpen, Reset
from tests.support.control import TOKEN, Begin, Controlled

CONFIG: dict[str, Any] = {
    "openai": [{"name": "own", "match": {"user": "own"}, "reply": "of chat"}],
    "mocks": [
        {"name": "greet", "match": {"user": "Hello"}, "reply": "Hi"},
        {"match": {"user": "steps"}, "sequence": ["one", "two"]},
    ],
}


@pytest.fixture
def controlled(begin: Begin) -> Controlled:
    return begin(CONFIG)


def names(controlled: Controlled, query: str = "", token: str | None = None) -> list[str]:
    told = controlled.ask("GET", f"mocks{query}", token=token or TOKEN)
    return [each["name"] for each in told.value["mocks"]]


# --- Reading --------------------------------------------------------------------------------------


def test_mocks_are_listed_in_order_of_precedence(controlled: Controlled) -> None:
    controlled.ask("PUT", "sessions/a", {})
    controlled.ask("POST", "mocks", {"name": "for all", "reply": "x"})
    controlled.ask("POST", "mocks?session=a", {"name": "of a", "reply": "y"})

    assert names(controlled) == ["for all", "own", "greet", "mocks[1]"]
    assert names(controlled, "?session=a") == ["of a", "for all", "own", "greet", "mocks[1]"]


def test_a_mock_is_shown_with_its_requests_and_progress(controlled: Controlled) -> None:
    assert controlled.text("steps") == "one"

    shown = controlled.ask("GET", "mocks/mocks[1]").value

    assert shown == {
        "id": "mocks[1]",
        "name": "mocks[1]",
        "session": None,
        "is_added": False,
        "apis": ["chat", "responses", "messages"],
        "mock": {
            "match": {"user": "steps"},
            "sequence": [{"reply": {"text": "one"}}, {"reply": {"text": "two"}}],
        },
        "requests": 1,
        "progress": {"given": 1, "due": 2, "entries": 2, "is_used_up": False},
    }


def test_a_list_is_read_page_by_page(controlled: Controlled) -> None:
    first = controlled.ask("GET", "mocks?limit=2").value
    second = controlled.ask("GET", f"mocks?limit=2&after={first['next']}").value

    assert [each["name"] for each in first["mocks"] + second["mocks"]] == names(controlled)
    assert (first["more"], second["more"]) == (True, False)


def test_a_misspelt_name_is_a_404_with_a_hint(controlled: Controlled) -> None:
    told = controlled.ask("GET", "mocks/gret")

    assert told.status == 404
    assert "did you mean 'greet'?" in told.value["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("mocks", {"reply": "x"}),
        ("mocks", {"mocks": [{"reply": "x"}]}),
        ("traffic", {"traffic": []}),
    ],
)
def test_of_so_many_unknown_keys_the_rest_is_counted(
    controlled: Controlled, path: str, body: dict[str, Any]
) -> None:
    unknown = {f"key{number}": 1 for number in range(MAX_DESCRIBED + 2)}

    told = controlled.ask("POST" if path == "mocks" else "PUT", path, body | unknown)

    problems = [each["message"] for each in told.value["error"]["problems"]]
    assert told.status == 400
    assert len(problems) == MAX_DESCRIBED + 1
    assert problems[-1] == "2 more mistakes are not described"


def test_mocks_behind_so_many_mistakes_are_not_compiled(controlled: Controlled) -> None:
    told = controlled.ask("POST", "mocks", {"mocks": [{"repl": "x"}] * (MAX_PROBLEMS + 5)})

    problems = told.value["error"]["problems"]
    assert len(problems) == MAX_PROBLEMS
    assert problems[-2]["place"] == f"mocks[{MAX_PROBLEMS - 2}]: repl"
    assert problems[-1]["message"] == "the mocks behind are not checked"


def test_a_name_in_a_path_is_decoded(controlled: Controlled) -> None:
    controlled.ask("PUT", "mocks/a%2Fb%20%C3%A9", {"reply": "x"})

    assert controlled.ask("GET", "mocks/a%2Fb%20%C3%A9").value["name"] == "a/b é"


def test_functions_of_python_are_named() -> None:
    def answer(prompt: object) -> str:
        return "x"

    with Server({"mocks": []}) as server:
        handle = server.add(reply=answer)
        assert server._app is not None
        controlled = Controlled({})
        controlled.app.add(next(iter(server._app.views.added(None))), None)
    assert "answer" in controlled.ask("GET", f"mocks/{handle.name}").value["mock"]["reply"]


# --- Adding ---------------------------------------------------------------------------------------


def test_a_mock_is_added_in_the_words_of_add(controlled: Controlled) -> None:
    told = controlled.ask("POST", "mocks", {"user": {"contains": "wea"}, "reply": "Sunny"})

    assert (told.status, told.value["id"], told.value["warnings"]) == (201, "added[0]", [])
    assert controlled.text("the weather") == "Sunny"


def test_several_are_added_as_in_a_file(controlled: Controlled) -> None:
    response = {"choices": [{"message": {"content": "vendor"}}]}
    body = {
        "mocks": [{"name": "a", "match": {"user": "a"}, "reply": "A"}],
        "openai": [{"match": {"message": {"role": "user", "content": "b"}}, "response": response}],
        "_comment": "the author's own",
    }

    told = controlled.ask("POST", "mocks", body)

    assert [each["id"] for each in told.value["mocks"]] == ["added[0]", "added[1]"]
    assert (controlled.text("a"), controlled.text("b")) == ("A", "vendor")


def test_first_comes_before_those_that_were_added_earlier(controlled: Controlled) -> None:
    controlled.ask("POST", "mocks", {"reply": "earlier"})
    controlled.ask("POST", "mocks", {"reply": "first", "first": True})

    assert controlled.text("x") == "first"


def test_every_mistake_is_told_and_nothing_is_added(controlled: Controlled) -> None:
    body = {
        "mocks": [
            {"name": "good", "reply": "x"},
            {"name": "bad", "match": {"user": 3}, "reply": "x"},
            {"nam": "x", "reply": "x"},
            "no mock",
        ],
        "openai": {},
        "latency": "1s",
    }

    told = controlled.ask("POST", "mocks", body)

    assert (told.status, told.code) == (400, "invalid_mock")
    places = {each.partition(": ")[0] for each in told.problems}
    assert places == {"mocks[1] 'bad'", "mocks[2]", "mocks[3]", "openai", "latency"}
    assert controlled.app.views.count == 0


def test_the_mistakes_are_those_of_a_file(controlled: Controlled) -> None:
    bad = {"name": "bad", "match": {"user": {"contain": "x"}}, "reply": {"txt": "x"}}
    with pytest.raises(ConfigError) as caught:
        Config.from_dict({"mocks": [bad]})

    told = controlled.ask("POST", "mocks", {"mocks": [bad]})

    assert told.problems == [str(each) for each in caught.value.problems]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"[]", "invalid_body"),
        (b'"x"', "invalid_body"),
        (b'{"reply": "a", "reply": "b"}', "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b"", "invalid_mock"),
        (b"{}", "invalid_mock"),
        (b'{"mocks": []}', "invalid_mock"),
        (b'{"mocks": null}', "invalid_mock"),
        (b"[" * 100_000, "invalid_json"),
        (b'{"reply": "x", "match": {"user": "a"}, "user": "b"}', "invalid_mock"),
        (b'{"reply": "x", "api": 5}', "invalid_mock"),
    ],
)
def test_a_body_that_is_no_mock_is_a_400(controlled: Controlled, body: bytes, code: str) -> None:
    told = controlled.ask("POST", "mocks", body)

    assert (told.status, told.code) == (400, code)
    assert controlled.app.views.count == 0


def test_a_body_is_bounded(controlled: Controlled) -> None:
    told = controlled.ask("POST", "mocks", b'{"reply": "' + b"x" * (4 << 20) + b'"}')

    assert (told.status, told.code) == (413, "too_large")


def test_the_number_of_mocks_is_bounded(
    controlled: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MAX_ADDED", 1)
    controlled.ask("POST", "mocks", {"reply": "x"})

    assert controlled.ask("POST", "mocks", {"reply": "x"}).code == "too_many_mocks"


@pytest.mark.parametrize(
    "body",
    [
        {"reply": {"template": "{{ user }}"}},
        {"sequence": ["x", {"reply": {"text": {"template": "{{ user }}"}}}]},
        {"reply": {"tool_calls": [{"name": "f", "arguments": {"a": {"template": "{{ user }}"}}}]}},
        {"reply": {"json": {"a": [{"template": "{{ user }}"}]}}},
        {"reply": "x", "first": [{"reply": {"reasoning": {"template": "x"}, "text": "a"}}]},
        {"mocks": [{"reply": {"template": "{{ user }}"}}]},
    ],
)
def test_templates_need_permission(body: Any) -> None:
    told = Controlled().ask("POST", "mocks", body)
    allowed = Controlled(templates=True).ask("POST", "mocks", body)

    assert (told.status, allowed.status) == (400, 201)
    assert any("--control-templates" in each for each in told.problems)


def test_warnings_are_told_or_refused_if_strict() -> None:
    doubtful = {"name": "a", "reply": {"tool_calls": [{"name": "f", "arguments": "no object"}]}}
    body = {"openai": [doubtful]}

    told = Controlled().ask("POST", "mocks", body)

    assert told.status == 201
    assert "not a JSON object" in told.value["warnings"][0]["message"]
    assert Controlled(strict=True).ask("POST", "mocks", body).status == 400


# --- Replacing and removing -----------------------------------------------------------------------


def test_put_adds_and_replaces(controlled: Controlled) -> None:
    added = controlled.ask("PUT", "mocks/x", {"user": "a", "reply": "one"})
    assert controlled.text("a") == "one"
    replaced = controlled.ask("PUT", "mocks/x", {"name": "x", "user": "a", "reply": "two"})

    assert (added.status, replaced.status) == (201, 200)
    assert controlled.text("a") == "two"
    assert names(controlled).count("x") == 1


def test_put_by_an_id_replaces_that_one(controlled: Controlled) -> None:
    for reply in ("one", "two"):
        controlled.ask("POST", "mocks", {"name": "same", "user": reply, "reply": reply})

    assert controlled.ask("PUT", "mocks/same", {"reply": "x"}).code == "ambiguous"
    assert controlled.ask("GET", "mocks/same").code == "ambiguous"
    assert controlled.ask("DELETE", "mocks/same").code == "ambiguous"
    assert controlled.ask("PUT", "mocks/added[1]", {"user": "two", "reply": "new"}).status == 200
    assert (controlled.text("one"), controlled.text("two")) == ("one", "new")
    assert controlled.ask("PUT", "mocks/added[99]", {"reply": "x"}).status == 404


def test_a_name_means_the_mock_that_is_searched_first(controlled: Controlled) -> None:
    controlled.ask("PUT", "sessions/s", {})
    for session in ("", "?session=s"):
        told = controlled.ask("PUT", f"mocks/greet{session}", {"user": "Hello", "reply": "own"})
        assert told.status == 201

    def owners(session: str) -> list[tuple[bool, str | None] | int]:
        """Whose mock is meant, before and after each removal."""
        found: list[tuple[bool, str | None] | int] = []
        for _ in range(2):
            shown = controlled.ask("GET", f"mocks/greet{session}").value
            found.append((shown["is_added"], shown["session"]))
            found.append(controlled.ask("DELETE", f"mocks/greet{session}").status)
        return found

    assert owners("?session=s") == [(True, "s"), 204, (True, None), 204]
    assert owners("") == [(False, None), 409] * 2


def test_the_token_of_a_session_removes_its_own_mock_of_a_name(controlled: Controlled) -> None:
    token = controlled.ask("PUT", "sessions/s", {}).value["token"]
    controlled.ask("PUT", "mocks/x", {"user": "a", "reply": "for all"})
    controlled.ask("PUT", "mocks/x", {"user": "a", "reply": "own"}, token=token)

    assert controlled.ask("DELETE", "mocks/x", token=token).status == 204
    assert controlled.ask("DELETE", "mocks/x", token=token).code == "forbidden"
    assert controlled.text("a") == "for all"


def test_a_bad_replacement_leaves_the_mock(controlled: Controlled) -> None:
    controlled.ask("PUT", "mocks/x", {"user": "a", "reply": "one"})

    for body in ({"reply": 3}, {"name": "y", "reply": "x"}, {"mocks": [{"reply": "x"}]}):
        assert controlled.ask("PUT", "mocks/x", body).status == 400
    assert controlled.text("a") == "one"


def test_a_mock_is_removed_and_its_calls_stay(controlled: Controlled) -> None:
    controlled.ask("PUT", "mocks/x", {"user": "a", "reply": "one"})
    controlled.text("a")

    assert controlled.ask("DELETE", "mocks/x").status == 204
    assert controlled.text("a") is None
    assert controlled.ask("DELETE", "mocks/x").status == 404
    assert controlled.ask("GET", "calls?mock=added[0]").value["calls"][0]["mock"] == "x"


def test_a_configured_mock_is_not_removed(controlled: Controlled) -> None:
    told = controlled.ask("DELETE", "mocks/greet")

    assert (told.status, told.code) == (409, "configured")
    assert controlled.text("Hello") == "Hi"


# --- Versions -------------------------------------------------------------------------------------


def test_a_change_can_be_bound_to_a_version(controlled: Controlled) -> None:
    controlled.ask("PUT", "mocks/x", {"reply": "one"})
    seen = controlled.ask("GET", "mocks/x").headers["etag"]
    controlled.ask("PUT", "mocks/x", {"reply": "two"}, headers={"if-match": seen})

    for method, body in (("PUT", {"reply": "three"}), ("DELETE", None)):
        told = controlled.ask(method, "mocks/x", body, headers={"if-match": seen})
        assert (told.status, told.code) == (412, "changed_meanwhile")
    assert controlled.text("a") == "two"
    now = controlled.ask("GET", "mocks/x").headers["etag"]
    assert controlled.ask("DELETE", "mocks/x", headers={"if-match": f'"a", {now}'}).status == 204


def test_additions_can_be_bound_to_the_version_of_the_list(controlled: Controlled) -> None:
    seen = controlled.ask("GET", "mocks?limit=1").headers["etag"]
    assert controlled.ask("POST", "mocks", {"reply": "a"}, headers={"if-match": seen}).status == 201

    assert controlled.ask("POST", "mocks", {"reply": "b"}, headers={"if-match": seen}).status == 412
    assert controlled.app.views.count == 1


def test_a_version_does_not_change_with_requests(controlled: Controlled) -> None:
    before = controlled.ask("GET", "mocks").headers["etag"]
    controlled.text("steps")

    assert controlled.ask("GET", "mocks").headers["etag"] == before


def test_a_star_means_that_it_exists(controlled: Controlled) -> None:
    star = {"if-match": "*"}
    assert controlled.ask("PUT", "mocks/x", {"reply": "a"}, headers=star).status == 412
    controlled.ask("PUT", "mocks/x", {"reply": "a"})
    assert controlled.ask("PUT", "mocks/x", {"reply": "b"}, headers=star).status == 200


# --- Sessions -------------------------------------------------------------------------------------


@pytest.fixture
def token(controlled: Controlled) -> str:
    controlled.ask("PUT", "sessions/b", {})
    token: str = controlled.ask("PUT", "sessions/a", {}).value["token"]
    return token


def test_a_token_of_a_session_adds_to_that_one(controlled: Controlled, token: str) -> None:
    controlled.ask("POST", "mocks", {"user": "x", "reply": "of a"}, token=token)

    assert controlled.text("x", session="a") == "of a"
    assert controlled.text("x", session="b") is None
    assert controlled.text("x") is None


def test_a_token_of_a_session_changes_no_other(controlled: Controlled, token: str) -> None:
    controlled.ask("POST", "mocks", {"name": "for all", "reply": "x"})
    controlled.ask("POST", "mocks?session=b", {"name": "of b", "reply": "y"})

    assert names(controlled, token=token)[0] == "for all"
    for name, status in (("for all", 403), ("of b", 404), ("added[1]", 404), ("added[0]", 403)):
        assert (
            controlled.ask("DELETE", f"mocks/{name.replace(' ', '%20')}", token=token).status
            == status
        )
    assert controlled.ask("POST", "mocks?session=b", {"reply": "x"}, token=token).status == 403
    assert controlled.ask("GET", "mocks?session=b", token=token).status == 403
    assert controlled.ask("PUT", "mocks/for%20all", {"reply": "z"}, token=token).status == 201
    assert controlled.text("q") == "x"


def test_a_session_that_is_not_open_gets_no_mocks(controlled: Controlled, token: str) -> None:
    controlled.ask("DELETE", "sessions/a", token=token)

    told = controlled.ask("POST", "mocks", {"reply": "x"}, token=token)

    assert (told.status, told.code) == (404, "session_not_open")
    assert controlled.ask("POST", "mocks?session=new", {"reply": "x"}).status == 404
    assert controlled.app.views.count == 0


def test_a_mock_that_takes_long_to_validate_is_validated_in_a_thread(
    controlled: Controlled,
) -> None:
    assert controlled.ask("POST", "mocks", {"user": "u", "reply": "x"}).status == 201
    assert controlled.threads == 0
    assert controlled.ask("POST", "mocks", {"user": "u", "sequence": ["x"] * 200}).status == 201
    assert controlled.threads == 2  # it is read, then compiled


LONG = "word " * 10_000


def test_a_large_body_is_validated_in_a_thread(controlled: Controlled) -> None:
    added = controlled.ask("POST", "mocks", {"mocks": [{"name": "long", "reply": LONG}]})
    assert (added.status, controlled.threads) == (201, 2)
    assert controlled.text("anything new") == LONG

    put = controlled.ask("PUT", "mocks/long", {"user": "u", "reply": LONG})
    assert (put.status, put.value["id"], controlled.threads) == (200, "added[1]", 4)
    assert controlled.ask("PUT", "mocks/added[9]", {"reply": LONG}).status == 404


def test_mistakes_of_a_large_body_are_told_at_once(controlled: Controlled) -> None:
    wrong = controlled.ask("POST", "mocks", {"mocks": [{"reply": LONG, "user": 3}, {"nam": "x"}]})
    assert wrong.status == 400
    assert {each.partition(":")[0] for each in wrong.problems} == {"mocks[0]", "mocks[1]"}
    assert controlled.ask("POST", "mocks", b"{" + b" " * 20_000).code == "invalid_json"
    assert controlled.ask("GET", "mocks").value["mocks"][0]["is_added"] is False


@pytest.mark.parametrize(
    ("method", "path", "size"),
    [("POST", "mocks", 4 << 20), ("POST", "verify", 128 << 10), ("PUT", "speed", 128 << 10)],
)
def test_a_body_has_a_size_that_is_told(
    controlled: Controlled, method: str, path: str, size: int
) -> None:
    told = controlled.ask(method, path, b"{" + b" " * size + b"}")

    assert (told.status, told.code) == (413, "too_large")
    assert f"at most {size:,} bytes" in told.value["error"]["message"]


def test_mocks_without_a_name_are_numbered_by_session(controlled: Controlled) -> None:
    added: dict[str, Any] = {}
    for session in ("a", "b", "a", "b"):
        controlled.ask("PUT", f"sessions/{session}", {})
        told = controlled.ask("POST", f"mocks?session={session}", {"user": "x", "reply": session})
        added.setdefault(session, []).append((told.value["name"], told.value["id"]))
    assert added == {
        "a": [("added[0]", "added[0]"), ("added[1]", "added[2]")],
        "b": [("added[0]", "added[1]"), ("added[1]", "added[3]")],
    }
    assert controlled.text("x", session="b") == "b"
    assert "closest mock" not in str(controlled.say("x", session="b"))

    shown = controlled.ask("GET", "mocks?session=b").value["mocks"]
    assert [(each["name"], each["id"], each["requests"]) for each in shown[:2]] == [
        ("added[0]", "added[1]", 2),
        ("added[1]", "added[3]", 0),
    ]
    refused = controlled.ask("POST", "verify?session=b", {"assert": "all_called"})
    assert "'added[1]': no call" in refused.value["error"]["message"]
    by_id = {"assert": "called", "mock": "added[3]", "times": 0}
    assert controlled.ask("POST", "verify?session=b", by_id).status == 200
    by_name = {"assert": "called", "mock": "added[0]", "times": 2}
    assert controlled.ask("POST", "verify?session=b", by_name).status == 200
    assert controlled.ask("POST", "verify?session=b", {**by_id, "mock": "added[2]"}).status == 404
    assert controlled.ask("GET", "mocks/added[0]?session=b").value["id"] == "added[1]"

    everybody = controlled.ask("POST", "mocks", {"user": "all", "reply": "x"}).value
    assert (everybody["name"], everybody["id"]) == ("added[2]", "added[4]")
    controlled.ask("DELETE", "mocks/added[3]")
    again = controlled.ask("POST", "mocks?session=b", {"user": "x", "reply": "y"}).value
    assert (again["name"], again["id"]) == ("added[3]", "added[5]")


def test_a_session_that_begins_anew_numbers_anew(controlled: Controlled) -> None:
    for _ in range(2):
        controlled.ask("PUT", "sessions/a", {})
        added = controlled.ask("POST", "mocks?session=a", {"sequence": ["one"], "user": "s"})
        assert added.value["name"] == "added[0]"
        assert controlled.text("s", session="a") == "one"
        controlled.ask("DELETE", "sessions/a")


@pytest.mark.parametrize("path", ["mocks", "mocks?after=1&limit=1", "mocks/b", "mocks/zz"])
def test_many_mocks_are_looked_at_in_a_thread(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    config = {"mocks": [{"name": name, "reply": name} for name in "abc"]}
    few = Controlled(config).ask("GET", path)
    monkeypatch.setattr(mocks, "MAX_LOOKED_AT", 2)
    controlled = Controlled(config)
    many = controlled.ask("GET", path)

    assert (many.status, many.value, many.headers.get("etag")) == (
        few.status,
        few.value,
        few.headers.get("etag"),
    )
    assert controlled.threads == 1


def test_a_misspelt_name_among_many_gets_no_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"mocks": [{"name": name, "reply": "x"} for name in ("weather", "tell")]}
    found = [Controlled(config).ask("GET", "mocks/wether").value["error"]["message"]]
    monkeypatch.setattr(mocks, "MAX_LOOKED_AT", 1)
    found.append(Controlled(config).ask("GET", "mocks/wether").value["error"]["message"])

    assert ["did you mean 'weather'" in each for each in found] == [True, False]


def test_the_mocks_of_a_configuration_that_was_replaced_are_freed() -> None:
    controlled = Controlled({"mocks": [{"name": "a", "reply": "x"}]})
    assert [each["name"] for each in controlled.ask("GET", "mocks").value["mocks"]] == ["a"]
    replaced = weakref.ref(controlled.app.engine)
    engine = Engine(load(Config.from_dict({"mocks": [{"name": "b", "reply": "x"}]})))
    controlled.reload(engine)

    gc.collect()
    assert replaced() is None
    assert [each["name"] for each in controlled.ask("GET", "mocks").value["mocks"]] == ["b"]


def test_many_mocks_are_looked_at_in_a_thread_before_one_is_removed_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mocks, "MAX_LOOKED_AT", 1)
    controlled = Controlled({"mocks": [{"name": name, "reply": "x"} for name in "abc"]})
    for name in ("first", "second"):
        controlled.ask("POST", "mocks", {"name": name, "reply": "y"})

    assert controlled.ask("DELETE", "mocks/added[0]").status == 204
    assert controlled.threads == 0
    assert controlled.ask("DELETE", "mocks/a").status == 409
    assert controlled.ask("DELETE", "mocks/second").status == 204
    assert (controlled.threads, controlled.app.views.count) == (1, 0)


@pytest.mark.parametrize("is_changed", [False, True])
def test_the_version_of_many_mocks_is_found_in_a_thread_before_some_are_added(
    is_changed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mocks, "MAX_LOOKED_AT", 1)
    controlled = Controlled({"mocks": [{"name": name, "reply": "x"} for name in "abc"]})
    etag = controlled.ask("GET", "mocks").headers["etag"]
    threads = controlled.threads
    if is_changed:
        controlled.ask("POST", "mocks", {"reply": "y"})

    added = controlled.ask("POST", "mocks", {"reply": "z"}, headers={"if-match": etag})

    assert (added.status, controlled.threads - threads) == (412 if is_changed else 201, 1)


def test_of_a_mock_without_state_none_is_reset_when_it_is_removed() -> None:
    controlled = Controlled({"mocks": []})
    controlled.ask("POST", "mocks", {"reply": "x"})
    controlled.ask("POST", "mocks", {"sequence": ["x", "y"]})
    performed: list[Any] = []
    perform = controlled.app.own_store.perform_at_once

    def recorded(operations: Any, now: float) -> Any:
        performed.extend(operations)
        return perform(operations, now)

    controlled.app.own_store.perform_at_once = recorded  # type: ignore[method-assign]  # recorded
    for number in range(2):
        assert controlled.ask("DELETE", f"mocks/added[{number}]").status == 204

    assert performed == [Reset(keys=frozenset({"added[1]"}))]


def test_mocks_that_are_added_to_one_session_are_settled_together() -> None:
    added = [compile_added({"reply": "x"}, number) for number in range(3)]
    changes: list[Change] = [
        *(AddMock(each, "a") for each in added[:2]),
        AddMock(added[2], "b"),
        CloseSession("c"),
    ]
    operations = [IsOpen("a"), IsOpen("b"), EndSession("c")]

    assert operations_of(changes) == operations
    assert settle(changes, [True, True, None]) == changes
    with pytest.raises(ControlError):
        settle(changes, [True, False, None])
    with pytest.raises(ControlError):
        settle(changes, [False, True, None])
