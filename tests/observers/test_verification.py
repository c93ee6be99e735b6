"""Verification: what fails, and what the failure says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.engine.decision import End
from mockllm.observers import verification
from mockllm.observers.journal import Journal
from mockllm.observers.subjects import subjects_of
from mockllm.observers.verification import (
    MAX_LISTED,
    ScriptProgress,
    Subject,
    Times,
    calls_among,
    counted,
)
from tests.support.observed import PATHS, Observed, request
from tests.support.served import chat_request

CHAT = PATHS["chat"]
MOCKS = {
    "mocks": [
        {"name": "ask", "match": {"user": {"contains": "weather"}}, "reply": "Where?"},
        {"name": "tell", "match": {"user": "Paris"}, "reply": "Sunny"},
        {"name": "busy", "match": {"user": "busy"}, "error": "overloaded"},
    ]
}


def after(*texts: str, journal: Journal | None = None) -> Observed:
    """An app that was asked these texts; one that ends with a number is that attempt."""
    observed = Observed(MOCKS, journal=journal)
    for text in texts:
        words, _, attempt = text.partition("#")
        retry = {"x-stainless-retry-count": f"{int(attempt) - 1}"} if attempt else {}
        observed.ask(request(CHAT, chat_request(words), retry))
    return observed


def subject(observed: Observed, name: str) -> Subject:
    return subjects_of(observed.app.seen(), observed.app.own_store.answered)[name]


def wrong_number(observed: Observed, name: str, times: Times, *, requests: bool = False) -> str:
    mock = subject(observed, name)
    return verification.wrong_number(observed.journal.read(), mock, times, requests=requests) or ""


def order(observed: Observed, *names: str) -> str:
    subjects = [subject(observed, name) for name in names]
    return verification.wrong_order(observed.journal.read(), subjects) or ""


# --- Counting -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "calls"),
    [
        ((), 0),
        (("Paris",), 1),
        (("busy", "busy#2", "busy#3"), 1),
        (("busy", "busy#2", "busy", "busy#2"), 2),
        (("busy#2", "busy#3"), 1),  # the first attempt was before the journal's beginning
        (("busy", "Paris", "busy#2", "Paris"), 3),
    ],
)
def test_a_call_and_its_retries_are_one_call(asked: tuple[str, ...], calls: int) -> None:
    assert len(calls_among(after(*asked).journal.read().calls)) == calls


def test_a_retry_that_another_mock_answers_is_a_call_of_that_mock() -> None:
    observed = after("busy", "busy#2")
    first, second = observed.journal.read().calls

    assert calls_among([first, second], lambda call: call is second) == [second]


def test_probes_and_preflights_are_no_calls() -> None:
    observed = Observed()
    observed.ask(request("/health", b"", method="GET"))
    observed.ask(request(CHAT, b"", method="OPTIONS"))

    assert calls_among(observed.journal.read().calls) == []


@pytest.mark.parametrize(
    ("times", "accepted", "words"),
    [
        (Times(exactly=1), [1], "1 call"),
        (Times(exactly=0), [0], "no call"),
        (Times(at_least=2), [2, 3], "at least 2 calls"),
        (Times(at_most=1), [0, 1], "at most 1 call"),
        (Times(at_least=1, at_most=2), [1, 2], "1 to 2 calls"),
    ],
)
def test_expectations_are_numbers_or_bounds(times: Times, accepted: list[int], words: str) -> None:
    assert [count for count in range(4) if times.accepts(count)] == accepted
    assert times.describe("call") == words


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "no entry"), (1, "1 entry"), (2, "2 entries"), (1234, "1,234 entries")],
)
def test_numbers_agree_with_their_nouns(number: int, words: str) -> None:
    assert counted(number, "entry") == words


# --- How often ------------------------------------------------------------------------------------


def test_what_is_as_expected_does_not_fail() -> None:
    observed = after("Paris", "busy", "busy#2")

    assert wrong_number(observed, "tell", Times(exactly=1)) == ""
    assert wrong_number(observed, "busy", Times(exactly=1)) == ""
    assert wrong_number(observed, "busy", Times(exactly=2), requests=True) == ""


def test_a_failure_lists_the_calls_and_the_nearest_miss() -> None:
    failure = wrong_number(after("Paris", "Wether in Paris"), "ask", Times(at_least=1))

    assert failure.splitlines() == [
        "expected at least 1 call of 'ask', found no call",
        "",
        "2 requests so far:",
        "  1. 200  'tell'      mock-model  \"Paris\"",
        '  2. 404  [no match]  mock-model  "Wether in Paris"',
        (
            "closest to 'ask': request 2: the user's last turn is 'Wether in Paris', expected a "
            "text that contains 'weather'"
        ),
    ]


def test_a_failure_shows_calls_and_requests_where_they_differ() -> None:
    failure = wrong_number(after("busy", "busy#2", "busy#3"), "busy", Times(exactly=2))

    assert failure.splitlines() == [
        "expected 2 calls of 'busy', found 1 call, 3 requests",
        "",
        "3 requests so far:",
        "  1. 503  'busy'             mock-model  \"busy\"",
        "  2. 503  'busy'  attempt 2  mock-model  \"busy\"",
        "  3. 503  'busy'  attempt 3  mock-model  \"busy\"",
    ]


def test_a_failure_to_count_requests_says_so() -> None:
    failure = wrong_number(after("Paris"), "tell", Times(exactly=3), requests=True)

    assert failure.splitlines()[0] == "expected 3 requests of 'tell', found 1 call, 1 request"


def test_without_any_request_there_is_nothing_to_list() -> None:
    failure = wrong_number(after(), "ask", Times(at_least=1))

    assert failure.splitlines() == [
        "expected at least 1 call of 'ask', found no call",
        "",
        "there was no request",
    ]


def test_a_request_that_matches_too_names_the_mock_that_was_first() -> None:
    observed = Observed({"mocks": [{"name": "all", "reply": "a"}, {"name": "late", "reply": "b"}]})
    observed.ask(request(CHAT, chat_request("hi")))

    failure = wrong_number(observed, "late", Times(at_least=1))

    assert failure.endswith("request 1 matches 'late' too, but 'all' answered")


def test_a_script_says_which_entry_is_due() -> None:
    observed = after()
    script = subject(observed, "ask")._replace(progress=ScriptProgress(2, 2, 3, used_up=False))

    failure = verification.wrong_number(observed.journal.read(), script, Times(exactly=3))

    assert failure is not None
    assert failure.splitlines()[1] == "'ask': 2 answers given, entry 2 of 3 is due"


def test_many_requests_are_listed_from_the_end() -> None:
    failure = wrong_number(after(*["Paris"] * (MAX_LISTED + 5)), "tell", Times(exactly=1))

    lines = failure.splitlines()
    assert lines[2] == "25 requests so far, the last 20 of them:"
    assert [line[:4] for line in (lines[3], lines[-1])] == ["  6.", " 25."]
    assert len(lines) == 3 + MAX_LISTED


def test_a_line_has_no_line_break_and_no_secret_and_an_end() -> None:
    observed = after()
    observed.ask(request(f"/session/a{CHAT}", chat_request("a\nb " + "x" * 100)), End.CLIENT_GONE)
    observed.ask(request("/v1/moderations", {"input": "hi"}))
    observed.ask(request(CHAT, b"{"))

    lines = wrong_number(observed, "ask", Times(exactly=1)).splitlines()[3:6]
    alone = verification.report(observed.journal.read("a"))

    words = '"a\\nb ' + "x" * 55 + '…"'
    assert lines == [
        f"  1. 404  [no match]  mock-model  {words} (client gone) session=a",
        "  2. 200  [endpoint]              POST /v1/moderations",
        "  3. 400  [refused]               chat, without words",
    ]
    assert "session=" not in alone


def test_a_refused_request_has_its_reason() -> None:
    observed = after()
    observed.ask(request(CHAT, {"model": "m", "messages": "Hi"}))
    observed.ask(request(CHAT, chat_request("hi"), {"authorization": ""}))
    observed.ask(request("/v1/moderations", {"input": {"api_key": "hunter2"}}))
    reason = "refused: messages: expected a list, found 'Hi'"

    strict, report = unmatched(observed, strict=True), verification.report(observed.journal.read())

    assert strict.splitlines()[:3] == [
        "2 requests were not answered by a mock:",
        "  - 400  [refused]  chat, without words",
        f"       {reason}",
    ]
    assert [line.partition(": refused: ")[0] for line in report.splitlines()[4:]] == [
        f"request {number}" for number in (1, 2, 3)
    ]
    assert f"request 1: {reason}" in report
    assert "hunter2" not in report


def test_a_long_path_is_cut() -> None:
    observed = after()
    observed.ask(request("/v1/" + "x/" * 100, b""))

    assert verification.report(observed.journal.read()).endswith("x/x/…")


def test_a_body_that_was_cut_is_listed() -> None:
    observed = after("Paris", journal=Journal(max_body=10))

    failure = wrong_number(observed, "ask", Times(exactly=1))

    assert failure.splitlines()[-1].endswith("[body cut by the journal]")


@pytest.mark.parametrize("times", [Times(exactly=1), Times(at_most=1)])
def test_what_was_lost_is_not_taken_for_what_never_happened(times: Times) -> None:
    observed = after("Paris", "Paris", journal=Journal(max_entries=1))

    failure = wrong_number(observed, "tell", times)

    assert failure == (
        "cannot be told: the journal had no room for 1 request before the 1 that it has. Let it "
        "keep more ('journal=' of the server), or call clear_calls() between tests"
    )
    assert wrong_number(observed, "tell", Times(at_least=1)) == ""


def test_a_failure_says_that_lost_calls_do_not_count() -> None:
    observed = after("Paris", "unknown", "Paris", journal=Journal(max_entries=2))

    assert wrong_number(observed, "tell", Times(at_least=2)).splitlines() == [
        "expected at least 2 calls of 'tell', found 1 call",
        "",
        "3 requests so far, the last 2 of them:",
        '  2. 404  [no match]  mock-model  "unknown"',
        "  3. 200  'tell'      mock-model  \"Paris\"",
        (
            "the others do not count: the journal had no room for 1 request before the 2 that it "
            "has. Let it keep more ('journal=' of the server), or call clear_calls() between tests"
        ),
    ]
    assert (
        wrong_number(observed, "ask", Times(at_least=1))
        .splitlines()[-1]
        .startswith("closest to 'ask': request 2: ")
    )
    assert verification.report(observed.journal.read()).splitlines()[-1].startswith("request 2: ")


# --- Unmatched ------------------------------------------------------------------------------------


def unmatched(observed: Observed, *, strict: bool = False) -> str:
    return verification.unmatched(observed.journal.read(), strict=strict) or ""


def test_answered_and_refused_requests_are_not_unmatched() -> None:
    observed = after("Paris", "busy")
    observed.ask(request(CHAT, b"{"))
    observed.ask(request(CHAT, chat_request("hi"), {"authorization": ""}))
    observed.ask(request("/v1/nothing", b""))
    observed.ask(request("/health", b"", method="GET"))

    assert unmatched(observed) == ""
    assert unmatched(observed, strict=True).splitlines()[0].startswith("1 request was not")


def test_an_unmatched_request_names_the_closest_mock() -> None:
    assert unmatched(after("Paris", "Paris!")).splitlines() == [
        "1 request was not answered by a mock:",
        '  - 404  [no match]  mock-model  "Paris!"',
        (
            "       closest mock: mocks[1] 'tell': the user's last turn is 'Paris!', expected "
            """'Paris'; write {"contains": "..."} to find it within a text"""
        ),
        "",
        "2 requests so far:",
        "  1. 200  'tell'      mock-model  \"Paris\"",
        '  2. 404  [no match]  mock-model  "Paris!"',
    ]


def test_a_straggler_is_unmatched() -> None:
    observed = after()
    path = f"/session/a{CHAT}"
    observed.ask(request(path, chat_request("Paris")))
    observed.app.own_store.sessions.end("a", 0.0)
    observed.ask(request(path, chat_request("Paris")))

    assert "a straggler: it came after the end of its session" in unmatched(observed)


def test_many_unmatched_requests_are_cut() -> None:
    failure = unmatched(after(*["unknown"] * (MAX_LISTED + 2)))

    assert failure.splitlines()[0] == "22 requests were not answered by a mock:"
    assert failure.splitlines()[-1] == "  ... and 2 more"


def test_a_journal_that_lost_requests_cannot_tell_that_none_was_unmatched() -> None:
    assert unmatched(after("Paris", "Paris", journal=Journal(max_entries=1))).startswith("cannot")


# --- All of them ----------------------------------------------------------------------------------


def test_all_called_names_the_mocks_without_a_call() -> None:
    observed = after("Paris")
    mocks = [subject(observed, name) for name in ("ask", "tell", "busy")]
    half = mocks[1]._replace(progress=ScriptProgress(1, 2, 3, used_up=False))

    failure = verification.not_called(observed.journal.read(), [mocks[0], half, mocks[2]])

    assert failure is not None
    assert failure.splitlines()[:5] == [
        "expected every mock to be called and used up, which 3 of 3 mocks were not:",
        "  'ask': no call",
        "  'tell': 1 answer given, entry 2 of 3 is due",
        "  'busy': no call",
        "",
    ]
    assert verification.not_called(observed.journal.read(), [mocks[1]]) is None


def test_one_mock_without_a_call_is_one() -> None:
    observed = after("Paris")
    failure = verification.not_called(observed.journal.read(), [subject(observed, "ask")])

    assert failure is not None
    assert "which 1 of 1 mock was not:" in failure


# --- Order ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", [(), ("ask",), ("ask", "tell"), ("ask", "tell", "ask"), ("ask", "ask", "busy")]
)
def test_calls_in_this_order_may_have_others_in_between(names: tuple[str, ...]) -> None:
    observed = after("weather", "unknown", "Paris", "Paris", "the weather", "busy", "busy#2")

    assert order(observed, *names) == ""


def test_the_wrong_order_says_which_came_before_which() -> None:
    failure = order(after("Paris", "weather", "Paris"), "ask", "tell")

    assert failure.splitlines()[:3] == [
        "expected calls in the order 'ask' -> 'tell', found 'tell' before 'ask'",
        "",
        "3 requests so far:",
    ]


def test_the_second_call_of_a_mock_may_be_the_one_out_of_order() -> None:
    failure = order(after("weather", "weather", "Paris"), "ask", "tell", "ask")

    assert failure.splitlines()[0].endswith("found call 2 of 'ask' before 'tell'")


def test_a_retry_is_no_second_call_in_an_order() -> None:
    failure = order(after("busy", "busy#2"), "busy", "busy")

    assert failure.splitlines()[0].endswith("found only 1 call of 'busy'")


def test_a_call_that_is_missing_in_an_order_has_its_nearest_miss() -> None:
    failure = order(after("weather", "Pari"), "ask", "tell")

    assert failure.splitlines()[0].endswith("found no call of 'tell'")
    assert failure.splitlines()[-1].startswith("closest to 'tell': request 2: ")


# --- Waiting, reporting ---------------------------------------------------------------------------


def test_waiting_in_vain_says_what_came() -> None:
    failure = verification.too_few(after("busy", "busy#2").journal.read(), 2, 0.5)

    assert failure.splitlines()[0] == "expected 2 calls within 0.5 s, found 1 call, 2 requests"


def test_a_report_lists_the_calls_and_why_some_were_unmatched() -> None:
    lines = verification.report(after("Paris", "nothing").journal.read()).splitlines()

    assert lines[:3] == [
        "2 requests so far:",
        "  1. 200  'tell'      mock-model  \"Paris\"",
        '  2. 404  [no match]  mock-model  "nothing"',
    ]
    assert lines[3].startswith("request 2: closest mock: mocks[")


def test_a_list_of_calls_names_the_traffic_that_answered() -> None:
    entries = [
        {"name": "out\nage", "match": {"user": "weather"}, "error": "overloaded"},
        {"match": {"user": "Paris"}, "error": {"status": 502}},
    ]
    observed = Observed(MOCKS | {"traffic": entries})
    for text in ("weather", "Paris"):
        observed.ask(request(CHAT, chat_request(text)))

    report = verification.report(observed.journal.read())

    assert "503  [traffic 'out\\nage']" in report
    assert "502  [traffic 'traffic[1]']" in report


@given(st.lists(st.sampled_from(["the weather", "Paris", "hurry", "zz"]), max_size=6))
def test_named_mocks_are_called_as_their_calls_say(texts: list[str]) -> None:
    observed = after(*texts)
    named = [*subjects_of(observed.app.seen(), observed.app.own_store.answered).values()]
    told = [each._replace(is_named=False) for each in named]
    record = observed.journal.read()

    assert all(each.is_named for each in named)
    assert verification.not_called(record, named) == verification.not_called(record, told)
