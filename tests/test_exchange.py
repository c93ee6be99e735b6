from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from mockllm.exchange import (
    COMPLETE,
    PAUSE,
    DividedBody,
    Ending,
    EndingKind,
    LazySteps,
    Reply,
    Request,
    Step,
)

HEADERS = ((b"content-type", b"text/event-stream"),)
STEPS = (Step((b"a",)), Step((b"b",), 0.5), Step((b"c", b"d")))


class Source:
    """Generates STEPS and records each of them, once per generation."""

    def __init__(self) -> None:
        self.generated: list[Step] = []

    def __call__(self) -> Iterator[Step]:
        for step in STEPS:
            self.generated.append(step)
            yield step


# --- LazySteps ------------------------------------------------------------------------------------


def test_lazy_steps_generate_nothing_before_they_are_iterated() -> None:
    source = Source()

    steps = LazySteps(source)
    iter(steps)

    assert source.generated == []


def test_lazy_steps_generate_a_step_when_it_is_requested() -> None:
    source = Source()
    steps = iter(LazySteps(source))

    next(steps)

    assert source.generated == [*STEPS[:1]]


def test_lazy_steps_are_generated_anew_by_each_iteration() -> None:
    source = Source()
    steps = LazySteps(source)

    iterations = [tuple(steps), tuple(steps)]

    assert iterations == [STEPS, STEPS]
    assert source.generated == [*STEPS, *STEPS]


@pytest.mark.parametrize("count", [3, 4, 100])
def test_at_most_returns_all_steps_if_there_are_few_enough(count: int) -> None:
    assert LazySteps(Source()).at_most(count) == STEPS


@pytest.mark.parametrize("count", [0, 1, 2])
def test_at_most_returns_none_if_there_are_more(count: int) -> None:
    assert LazySteps(Source()).at_most(count) is None


@pytest.mark.parametrize("count", [0, 1])
def test_at_most_generates_one_step_more_than_the_count(count: int) -> None:
    source = Source()

    LazySteps(source).at_most(count)

    assert source.generated == [*STEPS[: count + 1]]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_iterating_after_at_most_gives_all_steps_and_generates_none_twice(count: int) -> None:
    source = Source()
    steps = LazySteps(source)
    steps.at_most(count)

    iterated = tuple(steps)

    assert iterated == STEPS
    assert source.generated == [*STEPS]


def test_a_second_iteration_after_at_most_gives_all_steps_again() -> None:
    steps = LazySteps(Source())
    steps.at_most(1)
    tuple(steps)

    assert tuple(steps) == STEPS


def test_at_most_may_be_repeated_with_any_count_before_the_steps_are_iterated() -> None:
    source = Source()
    steps = LazySteps(source)

    results = [steps.at_most(count) for count in (1, 0, 2)]

    assert results == [None, None, None]
    assert tuple(steps) == STEPS
    assert source.generated == [*STEPS]


# --- DividedBody ----------------------------------------------------------------------------------


def test_the_pieces_of_a_divided_body_are_made_one_by_one() -> None:
    source = iter([b"one", b"two", b"three"])
    body = DividedBody(source)

    making = body.make_pieces()
    made = [next(making), next(making)]

    assert made == [b"one", b"two"]
    assert next(source) == b"three"


@pytest.mark.parametrize("made", [0, 1, 2])
def test_what_is_left_of_a_divided_body_is_made_when_it_is_read(made: int) -> None:
    body = DividedBody(iter([b"one", b"two"]))
    for _ in zip(range(made), body.make_pieces(), strict=False):
        pass

    whole = Step((b"one", b"two"))
    assert (len(body), body[0], body[:], tuple(body)) == (1, whole, (whole,), (whole,))
    assert list(body.make_pieces()) == []


@pytest.mark.parametrize("made", [0, 1, 2])
def test_a_divided_body_is_edited_piece_by_piece(made: int) -> None:
    body = DividedBody(iter([b"one", b"two"]), tokens=3)
    for _ in zip(range(made), body.make_pieces(), strict=False):
        pass

    edited = body.edited(lambda piece: (piece, b"-"))

    assert tuple(edited) == (Step((b"one", b"-", b"two", b"-"), tokens=3),)


def test_a_divided_body_gets_tokens() -> None:
    body = DividedBody(iter([b"one", b"two"])).with_tokens(7)

    assert tuple(body) == (Step((b"one", b"two"), tokens=7),)


def test_a_divided_reply_has_a_length() -> None:
    reply = Reply.divided(200, HEADERS, iter([b"one", b"two"]))

    assert reply.has_length
    assert reply.body == b"onetwo"


# --- Reply ----------------------------------------------------------------------------------------


def test_a_lazy_stream_equals_a_stream_of_the_same_frames() -> None:
    frames = [b"one", b"two"]

    lazy = Reply.lazy_stream(200, HEADERS, lambda: frames)
    eager = Reply.stream(200, HEADERS, frames)

    assert isinstance(lazy.steps, LazySteps)
    assert replace(lazy, steps=tuple(lazy.steps)) == eager
    assert eager == Reply(200, HEADERS, (Step((b"one",)), Step((b"two",))), streamed=True)


def test_a_large_frame_of_a_lazy_stream_is_one_step_after_pauses() -> None:
    reply = Reply.lazy_stream(200, HEADERS, lambda: [b"one", iter([b"tw", b"o"]), b"three"])

    large = Step((b"tw", b"o"))
    assert tuple(reply.steps) == (Step((b"one",)), PAUSE, PAUSE, large, Step((b"three",)))


def test_at_once_generates_the_steps_of_a_short_stream_only() -> None:
    frames = [b"one", b"two"]
    lazy = Reply.lazy_stream(200, (), lambda: frames)

    assert lazy.at_once(2) == Reply.stream(200, (), frames)
    assert lazy.at_once(1) is lazy


def test_at_once_leaves_other_replies_as_they_are() -> None:
    lazy = Reply.lazy_whole(200, (), lambda: [b"one"])

    for reply in (lazy, Reply.whole(200, (), b"one"), Reply.stream(200, (), [b"one"])):
        assert reply.at_once(9) is reply


def test_a_lazy_stream_requests_no_frame_before_it_is_sent() -> None:
    calls = []

    def frames() -> Iterator[bytes]:
        calls.append(1)
        yield b"frame"

    reply = Reply.lazy_stream(200, HEADERS, frames)
    before = len(calls)
    body = reply.body

    assert (before, body, len(calls)) == (0, b"frame", 1)


def test_the_body_of_a_lazy_stream_may_be_read_repeatedly() -> None:
    reply = Reply.lazy_stream(200, HEADERS, lambda: iter([b"one", b"two"]))

    assert [reply.body, reply.body] == [b"onetwo", b"onetwo"]


def test_a_whole_reply_has_one_step_without_a_pause() -> None:
    reply = Reply.whole(404, HEADERS, b"gone")

    assert reply == Reply(404, HEADERS, (Step((b"gone",), 0.0),), COMPLETE, streamed=False)


def test_a_step_joins_its_pieces() -> None:
    step = Step((b"ab", b"", b"cde"))

    assert (step.data, step.size) == (b"abcde", 5)


# --- Ending ---------------------------------------------------------------------------------------


def test_a_reply_ends_complete_after_its_last_step_by_default() -> None:
    assert Reply.stream(200, HEADERS, []).ending == Ending(EndingKind.COMPLETE, after=None)


def test_endings_differ_by_kind_and_by_the_byte_they_follow() -> None:
    endings = {Ending(kind, after) for kind in EndingKind for after in (None, 0, 1)}

    assert len(endings) == 3 * len(EndingKind) == 15


# --- Request --------------------------------------------------------------------------------------


def test_a_request_maps_each_header_to_its_first_value() -> None:
    headers = ((b"a", b"1"), (b"b", b"2"), (b"a", b"3"))

    request = Request.of("POST", "/v1/messages", headers, b"{}", query="beta=true")

    assert request.first_values == {b"a": b"1", b"b": b"2"}
    assert request.headers == headers
    assert (request.path, request.query, request.body) == ("/v1/messages", "beta=true", b"{}")
