"""The journal: which entries it has, and what it has no room for."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm import Call
from mockllm.engine.decision import Decision, Delivery, Exchange, Match, Outcome
from mockllm.exchange import Reply
from mockllm.matching.rule import Rule
from mockllm.observers.entries import Kept, get_number
from mockllm.observers.journal import PER_ENTRY, Journal, Record
from tests.support.observed import PATHS, Observed, request
from tests.support.served import chat_request, embeddings_request, messages_request

CHAT = PATHS["chat"]

FIELDS = (
    *("method", "path", "headers", "body", "is_body_cut", "attempt", "session", "api", "model"),
    *("stream", "user", "text", "system", "tools", "messages", "turn", "step", "input_tokens"),
    *("mock", "status", "outcome", "output_tokens", "delivery", "ttft"),
)


def everything(call: Call) -> dict[str, Any]:
    return {name: getattr(call, name) for name in FIELDS}


def said(observed: Observed, session: str | None = None) -> list[str]:
    return [call.user for call in observed.journal.read(session).calls]


def test_a_server_without_requests_has_no_calls() -> None:
    assert Journal().read() == Record([])


def test_there_is_a_call_for_every_request() -> None:
    observed = Observed()
    for asked in (
        request(CHAT, chat_request("the weather")),
        request(CHAT, chat_request("nothing")),
        request(CHAT, b"{"),
        request(CHAT, chat_request("busy")),
        request("/v1/models", b"", method="GET"),
        request("/v1/nothing", b"", method="GET"),
        request("/health", b"", method="GET"),
    ):
        observed.ask(asked)

    calls = observed.journal.read().calls

    assert [(call.status, call.mock, call.outcome) for call in calls] == [
        (200, "weather", "matched"),
        (404, None, "no match"),
        (400, None, "refused"),
        (503, "busy", "matched"),
        (200, None, "endpoint"),
        (404, None, "not found"),
        (200, None, "health"),
    ]


def test_calls_are_in_the_order_in_which_they_began() -> None:
    observed = Observed()
    decision = observed.app.decide(request(CHAT, chat_request("slow")))
    observed.ask(request(CHAT, chat_request("fast")))
    slow = Delivery(0.1, 0.1, 9.0, started=0.0)
    observed.journal.observe(Exchange(request(CHAT, chat_request("slow")), decision, slow))

    assert said(observed) == ["slow", "fast"]


def test_the_oldest_entries_go_first_and_are_counted() -> None:
    observed = Observed(journal=Journal(max_entries=3))
    for number in range(5):
        observed.ask(request(CHAT, chat_request(f"{number}")))

    assert said(observed) == ["2", "3", "4"]
    assert observed.journal.read().lost == 2


def test_bodies_are_bounded_in_all() -> None:
    observed = Observed(journal=Journal(max_bytes=3 * (PER_ENTRY + 1_000)))
    for number in range(5):
        observed.ask(request(CHAT, chat_request(f"{number}" * 900)))

    assert len(observed.journal) == 3


@pytest.mark.parametrize("stream", [False, True])
def test_answers_that_are_made_for_one_request_are_bounded_in_all(stream: bool) -> None:
    made = {"mocks": [{"reply": {"generate": {"tokens": 20_000}}}]}  # about 100 kB
    observed = Observed(made, journal=Journal(max_bytes=250_000))
    for number in range(5):
        observed.ask(request(CHAT, chat_request(f"{number}", stream=stream)))

    assert len(observed.journal) == 2


def test_the_last_entry_is_there_however_large() -> None:
    observed = Observed(journal=Journal(max_bytes=1))
    observed.ask(request(CHAT, chat_request("a")))
    observed.ask(request(CHAT, chat_request("b")))

    assert said(observed) == ["b"]


def test_a_large_body_is_cut_and_says_so() -> None:
    observed = Observed(journal=Journal(max_body=50))
    call = observed.call(CHAT, chat_request("weather " * 100))

    assert call.is_body_cut
    assert (call.mock, call.model, call.status) == ("weather", "mock-model", 200)
    with pytest.raises(ValueError, match=r"the journal has only the first 50 of the 8\d\d bytes"):
        _ = call.body
    with pytest.raises(ValueError, match="has only the first 50"):
        _ = call.user


def test_a_body_that_just_fits_is_whole() -> None:
    asked = request(CHAT, chat_request("weather"))
    observed = Observed(journal=Journal(max_body=len(asked.body)))
    observed.ask(asked)

    assert said(observed) == ["weather"]


def test_a_session_has_its_own_calls() -> None:
    observed = Observed(journal=Journal(max_entries=3))
    for session in ("a", "b", "a", "a"):
        observed.ask(request(f"/session/{session}{CHAT}", chat_request(session)))

    assert said(observed, "a") == ["a", "a"]
    assert said(observed, "b") == ["b"]
    assert said(observed, "c") == []
    assert [observed.journal.read(name).lost for name in ("a", "b", None)] == [1, 0, 1]


def test_clearing_one_session_leaves_the_others() -> None:
    observed = Observed(journal=Journal(max_entries=2))
    for session in ("a", "b", "a"):
        observed.ask(request(f"/session/{session}{CHAT}", chat_request(session)))

    observed.journal.clear("a")

    assert (said(observed), observed.journal.read("a").lost) == (["b"], 0)
    observed.journal.clear()
    assert observed.journal.read() == Record([])


@given(
    st.lists(st.sampled_from(["a", "b", "c", "clear a", "clear"]), max_size=12), st.integers(1, 6)
)
def test_a_session_has_those_of_all_calls_that_are_its_own(
    history: list[str], max_entries: int
) -> None:
    observed = Observed(journal=Journal(max_entries=max_entries))
    journal = observed.journal
    for each in history:
        match each.split():
            case ["clear", *session]:
                journal.clear(session[0] if session else None)
            case [session]:
                observed.ask(request(f"/session/{session}{CHAT}", chat_request(each)))

    everything = journal.read().calls
    for session in "abc":
        own = [call.number for call in everything if call.session == session]
        assert [call.number for call in journal.read(session).calls] == own
        assert journal.count(session) == len(own)
    assert len(journal) == len(everything)
    for session in "abc":
        journal.clear(session)
    assert (len(journal), journal._bytes) == (0, 0)


def test_sessions_that_lost_calls_are_bounded() -> None:
    observed = Observed(journal=Journal(max_entries=1))
    for session in "abc":
        observed.ask(request(f"/session/{session}{CHAT}", chat_request("hi")))

    assert [observed.journal.read(name).lost for name in "abc"] == [0, 1, 0]


def test_counting_leaves_out_retries_probes_and_preflights() -> None:
    observed = Observed()
    hi = chat_request("hi")
    observed.ask(request(CHAT, hi))
    observed.ask(request(CHAT, hi, {"x-stainless-retry-count": "1"}))
    observed.ask(request(f"/session/a{CHAT}", hi))
    observed.ask(request("/health", b"", method="GET"))
    observed.ask(request(CHAT, b"", method="OPTIONS"))

    assert [observed.journal.count(session) for session in (None, "a", "b")] == [2, 1, 0]


def test_listeners_hear_of_each_new_entry() -> None:
    observed = Observed()
    lengths: list[int] = []
    observed.journal.listeners.add(lambda: lengths.append(len(observed.journal)))
    for _ in range(2):
        observed.ask(request(CHAT, chat_request("hi")))

    assert lengths == [1, 2]


def test_generated_vectors_are_not_kept() -> None:
    observed = Observed({})
    call = observed.call(PATHS["embeddings"], embeddings_request("hi"))

    assert (call.outcome, call.output_tokens) == ("generated", 0)
    assert call.input_tokens > 0


ASKED = st.builds(
    lambda path, text, headers: request(path, messages_request(text), headers),
    st.sampled_from([PATHS["chat"], PATHS["messages"], "/session/a/v1/messages"]),
    st.sampled_from(["the weather", "anonymous", "busy", "unknown"]),
    st.sampled_from([{}, {"x-stainless-retry-count": "1"}]),
)


@given(st.lists(ASKED, min_size=1, max_size=12))
def test_a_reused_match_gives_as_full_a_call_as_a_new_one(history: list[Any]) -> None:
    reusing, anew = Observed(), Observed(reuse=False)
    for asked in history * 3:
        reusing.ask(asked)
        anew.ask(asked)

    first, second = (each.journal.read().calls for each in (reusing, anew))

    assert list(map(everything, first)) == list(map(everything, second))


def test_calls_are_read_after_the_last_one_seen() -> None:
    observed = Observed(journal=Journal(max_entries=3))
    for number in range(5):
        observed.ask(request(CHAT, chat_request(f"{number}")))

    assert [call.number for call in observed.journal.read().calls] == [3, 4, 5]
    assert [call.text for call in observed.journal.read_after(3)] == ["3", "4"]
    assert [*observed.journal.read_after(5)] == []
    assert [*observed.journal.read_after(0, "other")] == []
    assert observed.journal.read_lost() == 2


def test_numbers_are_never_given_twice() -> None:
    observed = Observed()
    observed.ask(request(CHAT, chat_request("a")))
    observed.journal.clear()
    observed.ask(request(CHAT, chat_request("b")))

    assert [call.number for call in observed.journal.read().calls] == [2]


def test_requests_are_counted_by_mock() -> None:
    observed = Observed()
    for session in ("", "/session/a"):
        observed.ask(request(session + CHAT, chat_request("the weather")))
    observed.ask(request(CHAT, chat_request("nobody")))

    assert observed.journal.count_by_mock() == {"mocks[0] 'weather'": 2}
    assert observed.journal.count_by_mock("a") == {"mocks[0] 'weather'": 1}


def test_retries_are_not_counted_however_their_entries_are_kept() -> None:
    observed = Observed()
    journal = Journal()
    for retries in range(2):
        headers = {"x-stainless-retry-count": f"{retries}"}
        asked = request(CHAT, chat_request("the weather"), headers)
        decided = observed.app.decide(asked)
        assert isinstance(decided, Decision)
        journal.note(asked, decided, 1.0, 0.0)
        journal.observe_again(journal.prepare(asked, decided), 2.0)
        journal.insert([journal.prepare(asked, decided)._replace(number=10 + retries)])

    assert (journal.count(), len(journal)) == (3, 6)
    assert journal.count_since(0, None) == (11, 3)
    assert journal.count_since(10, None) == (11, 0)
    assert journal.count_since(11, None) == (11, 0)


def test_what_is_dropped_together_is_let_go_of() -> None:
    gone: list[list[int]] = []
    journal = Journal(let_go=lambda entries: gone.append([*map(get_number, entries)]))
    observed = Observed(journal=journal)
    for session in ("/session/a", "", "/session/a"):
        observed.ask(request(session + CHAT, chat_request("hi")))

    journal.clear("a")
    assert (gone, kept(journal)) == ([[1, 3]], [2])
    journal.drop([2])
    assert (gone[1:], kept(journal)) == ([[2]], [])
    observed.ask(request(CHAT, chat_request("hi")))
    journal.clear()
    assert (gone[2:], kept(journal)) == ([[4]], [])


def test_requests_are_counted_by_mock_however_their_entries_are_kept() -> None:
    observed = Observed()
    asked = request(CHAT, chat_request("the weather"))
    observed.ask(asked)
    (kept,) = observed.journal.since(0, None)
    journal = Journal()
    decided = observed.app.decide(asked)
    assert isinstance(decided, Decision)
    journal.insert([kept])
    journal.note(asked, decided, 1.0, 0.0)
    journal.observe_again(journal.prepare(asked, decided), 2.0)

    assert journal.count_by_mock() == {"mocks[0] 'weather'": 3}


def test_requests_to_the_control_api_are_no_entries() -> None:
    observed = Observed()
    asked = request("/__mockllm/calls", b"", method="GET")
    decision = Decision.by(Match(Outcome.CONTROL, Reply(204, (), ())))

    observed.journal.observe(Exchange(asked, decision, Delivery(0, 0, 0)))

    assert len(observed.journal) == 0


def kept(journal: Journal) -> list[int]:
    return [each.number for each in journal.between(0, 1_000)]


def test_entries_of_another_journal_come_to_their_places() -> None:
    numbers = count(1)
    first, second = (Observed(journal=Journal(next_number=numbers.__next__)) for _ in range(2))
    for observed in (first, second, second, first, second):
        observed.ask(request(CHAT, chat_request("hi")))
    others = second.journal.between(0, 1_000)

    first.journal.insert(others[:1])
    first.journal.insert(others)

    assert kept(first.journal) == [1, 2, 3, 4, 5]
    assert [each.number for each in first.journal.between(2, 4)] == [3, 4]
    assert first.journal.between(5, 9) == []
    assert first.journal.between(4, 2) == []


def test_what_is_inserted_is_bounded_too() -> None:
    many, few = Observed(), Observed(journal=Journal(max_entries=2))
    for _ in range(4):
        many.ask(request(CHAT, chat_request("hi")))

    few.journal.insert(many.journal.between(1, 3))
    few.journal.insert(many.journal.between(0, 4))

    assert kept(few.journal) == [3, 4]


def test_calls_are_dropped_up_to_a_number() -> None:
    observed = Observed()
    for session in ("a", "b", "a", "a", "b"):
        observed.ask(request(f"/session/{session}{CHAT}", chat_request("hi")))

    observed.journal.clear("a", 3)
    assert kept(observed.journal) == [2, 4, 5]
    observed.journal.clear(upto=4)
    assert kept(observed.journal) == [5]


def test_all_are_counted_up_to_a_number() -> None:
    observed = Observed(journal=Journal(max_entries=3))
    for session in ("a", "b", "a", "a"):
        observed.ask(request(f"/session/{session}{CHAT}", chat_request("hi")))
    counts = [
        observed.journal.count_all(session, upto) for session in ("a", None) for upto in (3, 4)
    ]

    assert counts == [2, 3, 3, 4]


# --- What is made when somebody asks --------------------------------------------------------------


def test_the_entry_of_a_repeated_request_is_that_of_a_new_one() -> None:
    observed = Observed()
    for body in (chat_request("the weather"), chat_request("nobody"), chat_request("busy")):
        asked = request(CHAT, body)
        decision = observed.ask(asked)
        delivery = Delivery(0.0, 0.0, 0.0, started=7.5)
        observed.journal.observe(Exchange(asked, decision, delivery))
        observed.journal.observe_again(observed.journal.prepare(asked, decision), 7.5)

        new, again = observed.journal.since(0, None)[-2:]

        assert again == (new.entry, new.cost, new.number + 1)
        assert again.entry.delivery.started == 7.5


ANSWERED_AT_ONCE: dict[str, Any] = {
    "mocks": [
        {"name": "weather", "match": {"user": {"contains": "weather"}}, "reply": "Sunny"},
        {"name": "busy", "match": {"user": "busy"}, "error": "overloaded"},
        {"name": "next", "match": {"user": "next"}, "sequence": ["one", {"error": "timeout"}]},
        {"match": {"user": "made"}, "reply": {"template": "{{ turn }}"}},
        {
            "match": {"user": "broken"},
            "reply": "a b",
            "fault": {"after": {"tokens": 1}, "send": "x"},
        },
    ],
    "traffic": [{"match": {"user": "next"}, "rate_limit": {"rpm": 1_000}}],
}


@given(
    st.lists(
        st.tuples(
            st.sampled_from([CHAT, PATHS["messages"], "/session/a/v1/chat/completions", "/health"]),
            st.sampled_from(
                ["weather", "busy", "next", "made", "broken", "nobody", "weather" * 99]
            ),
            st.booleans(),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_what_was_noted_is_as_full_as_what_was_observed(asked: list[tuple[str, str, bool]]) -> None:
    noting, observing = Journal(max_body=500), Observed(ANSWERED_AT_ONCE)
    observing.journal = Journal(max_body=500)
    for number, (path, text, stream) in enumerate(asked):
        each = request(path, messages_request(text, stream=stream))
        decision = observing.app.decide(each)
        assert isinstance(decision, Decision)
        delivery = Delivery(0.25, 0.25, 0.25, started=number)
        observing.journal.observe(Exchange(each, decision, delivery))
        noting.note(each, decision, number, 0.25)

    assert noting.since(0, None) == observing.journal.since(0, None)
    assert noting.since(0, "a") == observing.journal.since(0, "a")
    assert noting.count_by_mock() == observing.journal.count_by_mock()
    assert noting.count("a") == observing.journal.count("a")
    assert noting.last_number == len(asked)


def test_an_answer_of_the_control_api_is_not_noted() -> None:
    journal = Journal()
    asked = request("/__mockllm/calls", b"", method="GET")

    journal.note(asked, Decision.by(Match(Outcome.CONTROL, Reply(204, (), ()))), 0.0, 0.0)

    assert (len(journal), journal.last_number) == (0, 0)


def test_listeners_hear_of_what_was_noted() -> None:
    observed = Observed()
    asked = request(CHAT, chat_request("the weather"))
    lengths: list[int] = []
    observed.journal.listeners.add(lambda: lengths.append(len(observed.journal)))
    observed.journal.note(asked, observed.app.decide(asked), 0.0, 0.0)

    assert lengths == [1]


def test_entries_that_come_back_are_known_of_their_session() -> None:
    observed = Observed()
    journal = observed.journal
    for _ in range(3):
        observed.ask(request(f"/session/a{CHAT}", chat_request("hi")))
    found = journal.since(0, "a")

    journal.clear("a", 1)
    assert journal.since(0, "a") == found[1:]
    journal.clear()
    journal.insert(found[:2])
    assert journal.since(0, "a") == found[:2]


class PlainJournal:
    """What a journal has, said without what makes it fast."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.max_entries, self.max_bytes = max_entries, max_bytes
        self.kept: list[Kept] = []
        self.lost = Counter[str]()

    def add(self, found: list[Kept]) -> None:
        for each in sorted(found, key=get_number):
            if each.number not in {kept.number for kept in self.kept}:
                self.kept = sorted([*self.kept, each], key=get_number)
        while len(self.kept) > self.max_entries or (
            len(self.kept) > 1 and sum(each.cost for each in self.kept) > self.max_bytes
        ):
            self.lost[self.kept.pop(0).entry.session] += 1

    def of(self, session: str | None) -> list[Kept]:
        return [each for each in self.kept if session in (None, each.entry.session)]

    def clear(self, session: str | None, upto: int) -> None:
        for name in [*self.lost] if session is None else [session]:
            del self.lost[name]
        own = [each for each in self.of(session) if each.number <= upto]
        self.kept = [each for each in self.kept if each not in own]


SESSIONS = ("", "a", "b")
SOME_SESSION = st.sampled_from([None, *SESSIONS])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("new"), st.sampled_from(SESSIONS), st.integers(0, 3)),
        st.tuples(st.just("noted"), st.sampled_from(SESSIONS), st.integers(0, 3)),
        st.tuples(st.just("again"), st.integers(0, 9), st.integers(1, 12)),
        st.tuples(st.just("elsewhere"), st.sampled_from(SESSIONS)),
        st.tuples(st.just("insert"), st.sets(st.integers(0, 9), max_size=4)),
        st.tuples(st.just("drop"), st.sets(st.integers(1, 40), max_size=5)),
        st.tuples(st.just("clear"), SOME_SESSION, st.integers(0, 40) | st.none()),
        st.tuples(st.just("read"), SOME_SESSION),
    ),
    max_size=25,
)


@given(STEPS, st.integers(len(SESSIONS), 30), st.sampled_from([3, 10, 1_000]))
def test_a_journal_has_what_a_plain_one_has(
    steps: list[Any], max_entries: int, thousands: int
) -> None:
    numbers = count(1)
    journal = Journal(
        max_entries=max_entries, max_bytes=thousands * 1_000, next_number=numbers.__next__
    )
    plain = PlainJournal(max_entries, thousands * 1_000)
    decision = Decision.by(Match(Outcome.NOT_FOUND, Reply(404, (), ())))
    answered = Decision.by(Match(Outcome.MOCK, Reply(200, (), ()), rule=Rule(0, "mocks[0]")))
    prepared: list[Kept] = []
    elsewhere: list[Kept] = []
    for step in steps:
        match step:
            case ["new", session, size]:
                asked = request("/", b"x" * 1_000 * size)
                own = decision._replace(session=session)
                journal.observe(Exchange(asked, own, Delivery(0, 0, 0, started=1)))
                first = journal.prepare(asked, own)
                prepared.append(first)
                entry = first.entry._replace(delivery=Delivery(0, 0, 0, started=1))
                plain.add([Kept(entry, first.cost, journal.last_number)])
            case ["noted", session, size]:
                asked = request("/", b"x" * 1_000 * size)
                own = answered._replace(session=session)
                journal.note(asked, own, 1.0, 0.0)
                entry = journal.prepare(asked, own).entry
                entry = entry._replace(delivery=Delivery(0, 0, 0, started=1))
                plain.add([Kept(entry, PER_ENTRY + 1_000 * size, journal.last_number)])
            case ["again", which, times] if prepared:
                first = prepared[which % len(prepared)]
                for _ in range(times):
                    journal.observe_again(first, 2.0)
                    entry = first.entry._replace(delivery=Delivery(0, 0, 0, started=2.0))
                    plain.add([Kept(entry, first.cost, journal.last_number)])
            case ["elsewhere", session] if prepared:
                entry = prepared[0].entry._replace(session=session)
                elsewhere.append(Kept(entry, 2_048, next(numbers)))
            case ["insert", places]:
                found = [elsewhere[place] for place in places if place < len(elsewhere)]
                if max_entries > 20 and thousands == 1_000:  # else those that went come back
                    journal.insert(found)
                    plain.add(found)
            case ["drop", dropped]:
                journal.drop(dropped)
                plain.kept = [each for each in plain.kept if each.number not in dropped]
            case ["clear", session, upto]:
                journal.clear(session, upto)
                plain.clear(session, 1_000 if upto is None else upto)
            case ["read", session]:
                assert journal.since(0, session) == plain.of(session)
    for each in (None, *SESSIONS):
        of_each = plain.of(each)
        assert journal.since(3, each) == [kept for kept in of_each if kept.number > 3]
        among = [kept for kept in plain.kept if 3 < kept.number <= 9]
        assert journal.between(3, 9) == among
        assert journal.between(3, 9, 2) == among[:2]
        assert journal.numbers_between(3, 9) == {kept.number for kept in among}
        assert journal.size(each, 9) == sum(kept.number <= 9 for kept in of_each)
        assert journal.read_lost(each) == (plain.lost.total() if each is None else plain.lost[each])
        assert len(journal.read(each).calls) == journal.count(each) == len(of_each)
    assert journal.lost_by_session() == {name: lost for name, lost in plain.lost.items() if lost}
    assert journal._bytes == sum(kept.cost for kept in plain.kept)
