"""Which mocks the sessions of a server see, in which order, while some are added and removed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.engine.added import AddedMock, compile_added
from mockllm.errors import RequestError
from tests.support.goldens import delivered
from tests.support.observed import PATHS, Observed, request
from tests.support.served import chat_request

CONFIG: dict[str, Any] = {
    "openai": [{"name": "own", "match": {"user": "a"}, "reply": "own"}],
    "mocks": [{"name": "shared", "match": {"user": {"contains": "a"}}, "reply": "shared"}],
}


def add(observed: Observed, session: str | None, **words: Any) -> AddedMock:
    added = compile_added(words, next(observed.app.views.numbers))
    observed.app.add(added, session)
    return added


def said(observed: Observed, text: str, session: str | None = None, api: str = "chat") -> str:
    """What a session is answered; the code of an error."""
    prefix = "" if session is None else f"/session/{session}"
    asked = request(prefix + PATHS[api], chat_request(text, max_tokens=9))
    decision = observed.ask(asked)
    told = orjson.loads(delivered(decision.reply))
    if decision.reply.status != 200:
        return str(decision.reply.status)
    return str(
        told["choices"][0]["message"]["content"] if api == "chat" else told["content"][0]["text"]
    )


def test_mocks_are_searched_from_the_session_to_those_of_every_api() -> None:
    observed = Observed(CONFIG)
    assert said(observed, "a") == "own"

    add(observed, None, user="a", reply="server")
    assert [said(observed, "a", session) for session in (None, "x", "y")] == ["server"] * 3

    add(observed, "x", user="a", reply="session")
    assert [said(observed, "a", session) for session in (None, "x", "y")] == [
        "server",
        "session",
        "server",
    ]
    assert said(observed, "ab", "x") == "shared"


def test_of_several_that_were_added_the_first_answers_unless_one_goes_before() -> None:
    observed = Observed({})
    for session in (None, "x"):
        for reply in ("1", "2"):
            add(observed, session, reply=f"{session}{reply}")
    assert [said(observed, "a", session) for session in (None, "x")] == ["None1", "x1"]

    for session in (None, "x"):
        for reply in ("3", "4"):
            add(observed, session, reply=f"{session}{reply}", first=True)
    assert [said(observed, "a", session) for session in (None, "x")] == ["None4", "x4"]


def test_a_removed_mock_answers_no_more() -> None:
    observed = Observed({})
    for session in (None, "x"):
        added = add(observed, session, reply="added")
        assert said(observed, "a", session) == "added"

        for _ in range(2):
            observed.app.remove(added)
            assert said(observed, "a", session) == "404"
            assert not observed.app.views.has(added)


def test_mocks_of_a_session_end_with_it() -> None:
    observed = Observed({})
    add(observed, "x", reply="added")
    assert said(observed, "a", "x") == "added"

    observed.app.own_store.sessions.end("x", 0.0)
    observed.app.own_store.sessions.begin("x", 0.0)

    assert said(observed, "a", "x") == "404"
    assert not observed.app.views.count
    assert observed.app.engine.renderer._prepared == {}


def test_added_mocks_survive_a_reload() -> None:
    observed = Observed(CONFIG)
    add(observed, None, user="a", reply="server")
    add(observed, "x", user="a", reply="session")

    observed.app.use(Observed({"mocks": [{"reply": "new"}]}).app.engine)

    assert [said(observed, "a", session) for session in (None, "x")] == ["server", "session"]
    assert [said(observed, "b", session) for session in (None, "x")] == ["new", "new"]


def test_a_default_that_was_added_covers_the_configuration_in_every_api() -> None:
    observed = Observed(CONFIG)
    add(observed, None, reply="added")

    assert [said(observed, "a", api=api) for api in ("chat", "messages")] == ["added"] * 2


def test_the_nearest_miss_may_be_an_added_mock() -> None:
    observed = Observed({"mocks": [{"match": {"user": "quite another"}, "reply": "x"}]})
    add(observed, "x", name="near", user="weather", reply="y")
    said(observed, "weathe", "x")

    near_miss = observed.journal.read().calls[-1].near_miss
    assert near_miss is not None
    assert near_miss.startswith("closest mock: added[0] 'near'")


def test_an_added_mock_with_several_answers_gives_them_in_each_session() -> None:
    observed = Observed({"mocks": [{"reply": "after"}]})
    added = add(observed, None, sequence=["1", "2"], at_end="pass")
    assert [said(observed, "a", session) for session in (None, "x", None, None)] == [
        *("1", "1", "2", "after")
    ]

    observed.app.remove(added)
    observed.app.add(added, None)
    assert said(observed, "a") == "1"


def test_endpoints_answer_from_added_mocks_too() -> None:
    observed = Observed({})
    add(observed, "x", reply="added")
    asked = request("/session/x/v1/completions", {"model": "m", "prompt": "hi"})

    told = orjson.loads(delivered(observed.ask(asked).reply))

    assert told["choices"][0]["text"] == "added"


def test_requests_are_validated_once_there_is_a_mock() -> None:
    observed = Observed({})
    add(observed, None, reply="added")
    asked = request(PATHS["chat"], chat_request("hi", temperature="warm"))

    assert observed.ask(asked).reply.status == 400
    table = next(each for each in observed.app.tables() if each.api.name == "openai")
    with pytest.raises(RequestError):
        table.validate(table.decode(asked.body))


SESSIONS = st.sampled_from([None, "x", "y"])
STEPS = st.one_of(
    st.tuples(st.just("add"), SESSIONS, st.sampled_from(["a", "ab", None]), st.booleans()),
    st.tuples(st.just("remove"), st.integers(0, 5)),
    st.tuples(st.just("end"), st.sampled_from(["x", "y"])),
    st.tuples(st.just("ask"), SESSIONS, st.sampled_from(["a", "ab", "c"])),
)


@settings(max_examples=60)
@given(st.lists(STEPS, min_size=1, max_size=25))
def test_reuse_changes_no_answer_while_mocks_come_and_go(steps: list[Any]) -> None:
    """Beside an engine with the cache and one without, a list of mocks is gone through by hand."""
    both = [Observed(CONFIG), Observed(CONFIG, reuse=False)]
    lists: dict[str | None, list[tuple[str, str | None, AddedMock]]] = {None: [], "x": [], "y": []}
    added: list[AddedMock] = []
    for step in steps:
        match step:
            case "add", session, text, first:
                words = {"reply": str(len(added)), "first": first} | (
                    {"user": text} if text else {}
                )
                mock = compile_added(words, len(added))
                for observed in both:
                    observed.app.add(mock, session)
                lists[session].insert(
                    0 if first else len(lists[session]), (words["reply"], text, mock)
                )
                added.append(mock)
            case "remove", place if place < len(added):
                for observed in both:
                    observed.app.remove(added[place])
                for mocks in lists.values():
                    mocks[:] = [each for each in mocks if each[2] is not added[place]]
            case "end", session:
                for observed in both:
                    observed.app.own_store.sessions.end(session, 0.0)
                    observed.app.own_store.sessions.begin(session, 0.0)
                lists[session].clear()
            case "ask", session, text:
                known = lists[session] + (lists[None] if session is not None else [])
                answers = [reply for reply, wanted, _ in known if wanted in (None, text)]
                configured = {"a": "own", "ab": "shared", "c": "404"}[text]
                expected = answers[0] if answers else configured
                assert [said(each, text, session) for each in both] == [expected] * 2


def test_added_mocks_are_found_by_their_number_and_owner() -> None:
    observed = Observed(CONFIG)
    first = add(observed, None, user="a", reply="x")
    second = add(observed, "s", user="a", reply="y")
    views = observed.app.views

    assert (views.find(first.number), views.find(second.number)) == ((None, first), ("s", second))
    assert (views.added(None), views.added("s"), views.added("t")) == ((first,), (second,), ())
    assert (views.count, views.highest) == (2, second.number)
    observed.app.remove(second)
    assert (views.find(second.number), views.count, views.highest) == (None, 1, second.number)


def test_a_404_names_the_apis_of_a_mock_elsewhere_also_after_others_were_added() -> None:
    observed = Observed({"mocks": [{"match": {"user": "a", "api": "messages"}, "reply": "x"}]})
    add(observed, None, user="another", reply="y")

    told = delivered(observed.ask(request(PATHS["chat"], chat_request("a"))).reply)

    assert b"the request is to 'chat', expected 'api' 'messages'" in told
