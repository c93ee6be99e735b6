"""Faults as functions from reply to reply, in all APIs with words of a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import PAUSE, Ending, EndingKind, Reply, Step
from mockllm.pieces import Pieces, finish
from mockllm.prompt import NOT_STREAMED, STREAMED
from mockllm.providers.api import API
from mockllm.providers.reply import NeutralCall, NeutralReply
from mockllm.replies import anatomy
from mockllm.replies.anatomy import PIECE, Anatomy, KnownEvents, parse_event
from mockllm.replies.fault_places import FaultPlace, NoSuchPlaceError
from mockllm.replies.faults import Fault, apply_faults, apply_in_pieces
from mockllm.wire import jsontext, placeholders
from tests.support.neutral import APIS, respond

CUT, RESET, CLEAN, HANG = EndingKind.CUT, EndingKind.RESET, EndingKind.CLEAN, EndingKind.HANG
HEAD = FaultPlace("head")
OVERLOADED = {"error": {"type": "overloaded_error", "message": "Overloaded"}}

SAYS = NeutralReply(text="Hello world, how are you?")
CALLS = NeutralReply(text="Let me see.", calls=(NeutralCall("look", '{"city":"Paris","days":3}'),))


def anatomy_of(api: API) -> Anatomy:
    assert api.anatomy is not None
    return api.anatomy


def rendered(api: API, reply: NeutralReply, *, stream: bool) -> Reply:
    """What `api` sends, with the values of a request filled in."""
    options = STREAMED if stream else NOT_STREAMED
    made = api.render(respond(api, reply), options, "word")
    return placeholders.fill(made.at_once(10_000), model="m", input_tokens=1)


def faulty(api: API, reply: NeutralReply, *faults: Fault, stream: bool = True) -> Reply:
    return apply_faults(rendered(api, reply, stream=stream), faults, anatomy_of(api))


def sent(reply: Reply) -> bytes:
    """The bytes of the body that are sent."""
    return reply.body[: reply.ending.after]


def events(api: API, reply: Reply) -> list[Any]:
    """The events that are sent whole."""
    frames = sent(reply).split(b"\n\n")[:-1]
    return [parse_event(frame + b"\n\n") for frame in frames]


def words(api: API, reply: Reply) -> str:
    return "".join(anatomy_of(api).read_event(event).text for event in events(api, reply))


in_every_api = pytest.mark.parametrize("api", APIS, ids=lambda api: api.word)


@in_every_api
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_large_answer_is_cut_at_the_same_word_as_a_small_one(api: API, stream: bool) -> None:
    text = 'wörd "x" ' * 50_000

    cut = faulty(
        api, NeutralReply(text=text), Fault(FaultPlace("tokens", 100_000), CUT), stream=stream
    )

    if stream:
        said = words(api, cut)
        assert text.startswith(said)
        assert 400_000 <= len(said.encode()) < 400_100
    else:
        expected = text.encode()[:400_000].decode()
        assert sent(cut).endswith(jsontext.dumps(expected)[:-1])
    assert cut.body == rendered(api, NeutralReply(text=text), stream=stream).body


def pauses(pieces: Pieces[Reply]) -> tuple[Reply, int]:
    """The result of work, and how many pauses it makes."""
    number = 0
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            reply: Reply = end.value
            return reply, number
        number += 1


ANYWHERE = [
    FaultPlace("tokens", 10),
    FaultPlace("tokens", 10, total=2_000),
    FaultPlace("tool_arguments"),
    FaultPlace("before_finish"),
    FaultPlace("bytes", 90_000),
]


@in_every_api
@pytest.mark.parametrize("place", ANYWHERE, ids=lambda place: f"{place.word} {place.total}")
def test_a_long_stream_is_read_and_cut_with_pauses(
    api: API, place: FaultPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = rendered(
        api,
        NeutralReply(text="word " * 1_000, calls=(NeutralCall("f", json.dumps(["a"] * 1_000)),)),
        stream=True,
    )
    read, at_once = list[int](), list[int]()

    def note(frame: bytes) -> Any:
        read.append(len(frame))
        return parse_event(frame)

    monkeypatch.setattr(anatomy, "parse_event", note)
    pieces = apply_in_pieces(reply, [Fault(place, CUT)], anatomy_of(api))
    broken, number = pauses(at_each(pieces, lambda: at_once.append(len(read))))

    assert number >= len(tuple(reply.steps))
    assert max((after - before for before, after in pairwise([0, *at_once])), default=0) <= 1
    assert broken == apply_faults(reply, [Fault(place, CUT)], anatomy_of(api))


@in_every_api
@pytest.mark.parametrize("place", ANYWHERE, ids=lambda place: f"{place.word} {place.total}")
def test_a_stream_whose_events_are_known_is_cut_at_the_same_place(
    api: API, place: FaultPlace
) -> None:
    said = NeutralReply(text="word " * 1_000, calls=(NeutralCall("f", json.dumps(["a"] * 999)),))
    reply = rendered(api, said, stream=True)
    reply = replace(reply, steps=tuple(reply.steps))
    known = KnownEvents()

    found = [
        finish(apply_in_pieces(reply, [Fault(place, CUT)], anatomy_of(api), known=known))
        for _ in range(3)
    ]

    assert found == [apply_faults(reply, [Fault(place, CUT)], anatomy_of(api))] * 3
    shared = [step for step in reply.steps if known.get(step) is not None]
    assert shared or place.word == "bytes"


def at_each(pieces: Pieces[Reply], act: Callable[[], None]) -> Pieces[Reply]:
    """The same work, with an act in each pause."""
    while True:
        try:
            pause = next(pieces)
        except StopIteration as end:
            reply: Reply = end.value
            return reply
        act()
        yield pause


@in_every_api
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_large_text_is_measured_with_pauses(api: API, stream: bool) -> None:
    text = "wörd " * 500_000
    options = STREAMED if stream else NOT_STREAMED
    made = placeholders.fill(
        api.render(respond(api, NeutralReply(text=text)), options, 10_000_000),
        model="m",
        input_tokens=1,
    )
    large = replace(made, steps=tuple(step for step in made.steps if step != PAUSE))

    fault = Fault(FaultPlace("tokens", 700_000), CUT)
    broken, number = pauses(apply_in_pieces(large, [fault], anatomy_of(api)))

    assert number >= 2 * 3_000_000 // PIECE
    if stream:
        assert text in words(api, broken)
    else:
        cut = text.encode()[: 700_000 * 4].decode(errors="ignore")
        assert sent(broken).endswith(cut[-10:].encode())


# --- Before the head, and after it ----------------------------------------------------------------


def test_an_answer_ends_before_its_head() -> None:
    reply = Reply.whole(200, (), b"body")

    assert apply_faults(reply, [Fault(FaultPlace("start"), CUT)], None).ending == Ending(
        CUT, head=0
    )
    inside = Fault(FaultPlace("start"), RESET, inside=True)
    assert apply_faults(reply, [inside], None).ending == Ending(RESET, head=0.5)


def test_an_answer_waits_and_says_nonsense_before_its_head() -> None:
    faults = [Fault(FaultPlace("start"), pause=2.0), Fault(FaultPlace("start"), data=b"\0")]

    found = apply_faults(Reply.whole(200, (), b"body"), faults, None)

    assert (found.before_head, found.preface, found.body) == (2.0, b"\0", b"body")
    assert found.ending.kind is EndingKind.COMPLETE


@in_every_api
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", [CUT, RESET, CLEAN, HANG])
def test_an_answer_ends_after_its_head(api: API, stream: bool, kind: EndingKind) -> None:
    found = faulty(api, SAYS, Fault(HEAD, kind), stream=stream)

    assert found.ending == Ending(kind, after=0)
    assert found.body == rendered(api, SAYS, stream=stream).body


# --- The same moment in every API -----------------------------------------------------------------

PLACES = {
    "first_token": (FaultPlace("first_token"), "Hello"),
    "a word that ends with the token": (FaultPlace("tokens", 3), "Hello world,"),
    "a word in which the token ends": (FaultPlace("tokens", 1), "Hello"),
    "the last token": (FaultPlace("tokens", 7), SAYS.text),
    "before_finish": (FaultPlace("before_finish"), SAYS.text),
    "before_end": (FaultPlace("before_end"), SAYS.text),
}


@in_every_api
@pytest.mark.parametrize("name", PLACES)
def test_a_stream_is_cut_at_the_same_word_in_every_api(api: API, name: str) -> None:
    place, expected = PLACES[name]

    found = faulty(api, SAYS, Fault(place, CUT))

    assert words(api, found) == expected
    assert sent(found).endswith(b"\n\n")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(TEXTS, st.text(max_size=20, alphabet='aé {"\n'), st.integers(1, 20))
def test_tokens_end_at_the_same_text_in_every_api(text: str, reason: str, token: int) -> None:
    reply = NeutralReply(text=text, reasoning=reason or None)
    fault = Fault(FaultPlace("tokens", token), CUT)
    streams, wholes = [], []
    for api in APIS:
        try:
            streams.append(words(api, faulty(api, reply, fault)))
            wholes.append(sent(faulty(api, reply, fault, stream=False)))
        except NoSuchPlaceError as exc:
            streams.append(str(exc))

    assert len(set(streams)) == 1
    said = (reason + text).encode()
    if not wholes:
        assert streams[0].startswith(f"the answer has {-(-len(said) // 4)} token")
        return
    end = min(4 * token, len(said))
    while end < len(said) and said[end] & 0xC0 == 0x80:
        end += 1
    assert len(wholes) == len(APIS)
    assert streams[0].encode().startswith(said[:end])
    last = said[:end].decode()
    last = last if end <= len(reason.encode()) else last[len(reason) :]
    for whole in wholes:
        assert whole.endswith(jsontext.dumps(last)[1:-1])


@in_every_api
def test_a_place_of_arguments_is_in_the_middle_of_them(api: API) -> None:
    fault = Fault(FaultPlace("tool_arguments"), CUT)

    stream = words(api, faulty(api, CALLS, fault)).removeprefix("Let me see.")
    whole = sent(faulty(api, CALLS, fault, stream=False))

    assert CALLS.calls[0].arguments.startswith(stream)
    assert stream != CALLS.calls[0].arguments
    assert b"look" in sent(faulty(api, CALLS, fault))
    assert whole.replace(b"\\", b"").endswith(b'{"city":"Par')


@in_every_api
def test_the_end_is_behind_everything_else(api: API) -> None:
    stream = rendered(api, SAYS, stream=True)

    found = faulty(api, SAYS, Fault(FaultPlace("before_end"), CLEAN))

    assert sent(found) == b"".join(step.data for step in list(stream.steps)[:-1])
    whole = faulty(api, SAYS, Fault(FaultPlace("before_end"), CLEAN), stream=False)
    assert sent(whole) + b"}" == whole.body


@in_every_api
@pytest.mark.parametrize(
    ("place", "stream", "reason"),
    [
        (FaultPlace("tool_arguments"), True, "the answer has no tool call with arguments"),
        (FaultPlace("tool_arguments"), False, "the answer has no tool call with arguments"),
        (FaultPlace("tokens", 8), True, "the answer has 7 tokens"),
        (FaultPlace("tokens", 8), False, "the answer has 7 tokens"),
        (FaultPlace("events", 2), False, "the answer is not a stream and has no events"),
        (FaultPlace("event", 1, "nothing"), True, "of the events 'nothing' the answer has none"),
    ],
)
def test_a_place_may_be_missing(api: API, place: FaultPlace, stream: bool, reason: str) -> None:
    with pytest.raises(NoSuchPlaceError, match=reason):
        faulty(api, SAYS, Fault(place, CUT), stream=stream)


@in_every_api
def test_an_answer_without_words_has_no_token(api: API) -> None:
    for stream in (True, False):
        for word in ("first_token", "tokens"):
            with pytest.raises(NoSuchPlaceError, match="the answer has 0 tokens"):
                faulty(api, NeutralReply(text=""), Fault(FaultPlace(word, 1), CUT), stream=stream)


# --- Bytes and events -----------------------------------------------------------------------------


@given(st.sampled_from(APIS), st.booleans(), st.integers(1, 3000))
def test_an_answer_ends_after_so_many_bytes(api: API, stream: bool, count: int) -> None:
    size = len(rendered(api, SAYS, stream=stream).body)
    fault = Fault(FaultPlace("bytes", count), CUT)
    if count > size:
        with pytest.raises(NoSuchPlaceError, match=f"the answer has {size:,} bytes"):
            faulty(api, SAYS, fault, stream=stream)
        return

    found = faulty(api, SAYS, fault, stream=stream)

    assert len(sent(found)) == count
    assert found.body == rendered(api, SAYS, stream=stream).body


@in_every_api
def test_a_stream_ends_after_so_many_events(api: API) -> None:
    total = len(list(rendered(api, SAYS, stream=True).steps))

    for count in (1, 2, total):
        assert len(events(api, faulty(api, SAYS, Fault(FaultPlace("events", count), CUT)))) == count
    with pytest.raises(NoSuchPlaceError, match=f"the answer has {total} events"):
        faulty(api, SAYS, Fault(FaultPlace("events", total + 1), CUT))


@pytest.mark.parametrize(
    ("api", "kind"),
    [(APIS[1], "response.output_text.delta"), (APIS[2], "content_block_delta")],
    ids=["responses", "messages"],
)
def test_a_stream_ends_after_an_event_of_a_type(api: API, kind: str) -> None:
    found = events(api, faulty(api, SAYS, Fault(FaultPlace("event", 2, kind), CUT)))

    assert [event["type"] for event in found].count(kind) == 2
    assert found[-1]["type"] == kind
    with pytest.raises(NoSuchPlaceError, match="the answer has only 5"):
        faulty(api, SAYS, Fault(FaultPlace("event", 6, kind), CUT))


# --- What happens there ---------------------------------------------------------------------------


@in_every_api
def test_an_end_between_events_copies_none_of_them(api: API) -> None:
    stream = rendered(api, SAYS, stream=True)
    later = Fault(FaultPlace("before_end"), data=b"later")

    found = apply_faults(stream, [Fault(FaultPlace("first_token"), CUT), later], api.anatomy)

    assert found.steps == stream.steps
    assert all(one is other for one, other in zip(found.steps, stream.steps, strict=True))
    assert sent(found).endswith(b"\n\n")


@in_every_api
def test_an_end_inside_is_in_the_middle_of_the_next_event(api: API) -> None:
    outside = sent(faulty(api, SAYS, Fault(FaultPlace("first_token"), CUT)))

    inside = sent(faulty(api, SAYS, Fault(FaultPlace("first_token"), CUT, inside=True)))

    assert inside.startswith(outside)
    assert b"data: {" in inside[len(outside) :]
    assert not inside.endswith(b"\n\n")


@in_every_api
@pytest.mark.parametrize("stream", [True, False])
def test_an_end_inside_is_in_the_middle_of_a_character(api: API, stream: bool) -> None:
    reply = NeutralReply(text="Hello 日本")

    data = sent(
        faulty(api, reply, Fault(FaultPlace("first_token"), CUT, inside=True), stream=stream)
    )

    assert data.endswith("日".encode()[:1])


@in_every_api
def test_something_is_sent_and_a_pause_is_made_at_a_place(api: API) -> None:
    plain = list(rendered(api, SAYS, stream=True).steps)
    faults = [
        Fault(FaultPlace("before_end"), data=b"data: {broken\n\n"),
        Fault(FaultPlace("first_token"), pause=30.0),
    ]

    found = faulty(api, SAYS, *faults)

    steps = list(found.steps)
    at = steps.index(Step((b"",), 30.0))
    assert words(api, replace(found, steps=tuple(steps[:at]))) == "Hello"
    assert steps[-2] == Step((b"data: {broken\n\n",))
    assert [step for step in steps if step in plain] == plain
    assert found.ending.kind is EndingKind.COMPLETE


def test_what_is_sent_counts_in_the_length_of_a_whole_answer() -> None:
    reply = Reply.whole(200, (), b"12345")

    found = apply_faults(reply, [Fault(FaultPlace("bytes", 2), data=b"abc")], None)

    assert found.body == b"12abc345"
    assert found.has_length


def test_no_placeholder_is_divided() -> None:
    unique = placeholders.UNIQUE_ID
    reply = Reply.whole(200, (), b"a" + unique + b"b")

    found = apply_faults(reply, [Fault(FaultPlace("bytes", 3), pause=1.0)], None)

    assert [step.data for step in found.steps] == [b"a" + unique, b"", b"b"]


def test_faults_happen_in_the_order_of_their_places() -> None:
    reply = Reply.stream(200, (), [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"])
    faults = [
        Fault(FaultPlace("events", 2), data=b"b"),
        Fault(FaultPlace("events", 1), data=b"a"),
        Fault(FaultPlace("events", 1), pause=1.0),
        Fault(FaultPlace("events", 2), CUT),
        Fault(FaultPlace("events", 3), data=b"never"),
    ]

    found = apply_faults(reply, faults, APIS[0].anatomy)

    assert sent(found) == b"data: 1\n\nadata: 2\n\nb"
    assert b"never" not in found.body
    assert [step.pause for step in found.steps][:3] == [0, 0, 1.0]
    assert found.ending.kind is CUT


def test_an_end_at_a_time_is_left_to_the_player() -> None:
    reply = Reply.whole(200, (), b"12345")

    found = apply_faults(reply, [Fault(FaultPlace("time", 2.0), HANG)], None)

    assert found.ending == Ending(HANG, time=2.0)


# --- Errors in a stream ---------------------------------------------------------------------------


def test_chat_completions_report_an_error_as_an_event_without_a_type() -> None:
    api = APIS[0]

    found = faulty(api, SAYS, Fault(FaultPlace("first_token"), error=OVERLOADED))

    assert found.ending == Ending(CLEAN)
    assert words(api, found) == "Hello"
    assert list(found.steps)[-1].data == (
        b'data: {"error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    )


def test_messages_report_an_error_with_details() -> None:
    api = APIS[2]
    body = {"type": "error", **OVERLOADED, "request_id": "req_1"}

    found = faulty(api, SAYS, Fault(FaultPlace("first_token"), error=body))

    assert words(api, found) == "Hello"
    assert list(found.steps)[-1].data == (
        b'event: error\ndata: {"type":"error","error":{"details":null,"type":"overloaded_error",'
        b'"message":"Overloaded"},"request_id":"req_1"}\n\n'
    )


def test_responses_report_an_error_nested_and_then_fail() -> None:
    api = APIS[1]
    error = {"message": "Later", "type": "server_error", "param": None, "code": "overloaded"}

    found = faulty(api, SAYS, Fault(FaultPlace("first_token"), error={"error": error}))

    *said, reported, failed = events(api, found)
    assert said[-1]["type"] == "response.output_text.delta"
    assert reported == {"type": "error", "sequence_number": len(said), "error": error}
    assert list(reported["error"]) == ["type", "code", "message", "param"]
    assert failed["sequence_number"] == len(said) + 1
    assert failed["response"] == said[0]["response"] | {
        "status": "failed",
        "error": {"code": "overloaded", "message": "Later"},
    }
    assert placeholders.UNIQUE_ID in list(found.steps)[-1].data
    assert placeholders.SECONDS in list(found.steps)[-1].data


@pytest.mark.parametrize("at_time", [False, True], ids=["at a place", "at a time"])
def test_an_error_that_repeats_a_large_event_is_made_in_pieces(*, at_time: bool) -> None:
    """At a time, 10 MB were read and repeated at once, in 50 ms."""
    api = APIS[1]
    fault = Fault(FaultPlace("time", 2) if at_time else FaultPlace("first_token"), error=OVERLOADED)
    text = b'"note":"%b",' % (b"word " * 100_000)
    small = rendered(api, SAYS, stream=True)
    first, *others = small.steps
    data = first.data.replace(b'"object":"response"', text + b'"object":"response"')
    large = replace(small, steps=(Step((data,)), *others))

    def reported(reply: Reply) -> tuple[list[Step], int]:
        broken, number = pauses(apply_in_pieces(reply, [fault], anatomy_of(api)))
        if not at_time:
            return list(broken.steps)[-2:], number
        (interruption,) = broken.interruptions
        assert interruption.error is not None
        steps = list(interruption.error(4))
        return [step for step in steps if step != PAUSE], steps.count(PAUSE)

    plain, _ = reported(small)
    found, number = reported(large)

    assert text in found[1].data
    assert [step.data.replace(text, b"") for step in found] == [step.data for step in plain]
    assert number > 10


def test_a_large_first_event_is_not_read_where_no_error_repeats_it() -> None:
    api = APIS[0]
    first, *others = rendered(api, SAYS, stream=True).steps
    data = first.data.replace(b'"role":', b'"name":"%b","role":' % (b"word " * 100_000))
    reply = Reply(200, (), (Step((data,)), *others), streamed=True)

    _, number = pauses(apply_in_pieces(reply, [Fault(HEAD, error=OVERLOADED)], anatomy_of(api)))

    assert number < 10


@in_every_api
def test_an_error_may_be_the_first_event(api: API) -> None:
    found = faulty(api, SAYS, Fault(HEAD, error=OVERLOADED))

    assert "error" in events(api, found)[0]
    assert words(api, found) == ""


@in_every_api
@pytest.mark.parametrize("kind", [CUT, RESET, HANG])
def test_a_connection_may_end_behind_an_error(api: API, kind: EndingKind) -> None:
    place = FaultPlace("first_token")
    faults = [Fault(place, error=OVERLOADED), Fault(place, kind)]

    found = faulty(api, SAYS, *faults)

    assert found.ending == Ending(kind)
    assert b"Overloaded" in sent(found)
    assert faulty(api, SAYS, faults[0], Fault(FaultPlace("before_end"), kind)).ending == Ending(
        CLEAN
    )
