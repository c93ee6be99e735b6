from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import DividedBody, LazySteps, Reply, Step
from mockllm.http1.framing import MAX_READY
from mockllm.replies.prepared import MAX_VARIANTS, PreparedReply
from mockllm.replies.shared_stream import SharedBody, SharedStream, prepare
from mockllm.wire import placeholders, tokens
from mockllm.wire.placeholders import MAX_PIECE
from tests.replies.test_prepared import BODY, DATA, ECHOED, only, pieces_of

STEPS = st.lists(
    st.builds(
        lambda data, pause, count: Step((data,), pause, count),
        DATA,
        st.sampled_from([0.0, 0.5]),
        st.integers(0, 2),
    ),
    max_size=4,
)


class Rendering:
    """A stream of one step per letter, that notes which of them are rendered."""

    def __init__(self, text: str = "abc") -> None:
        self.text = text
        self.rendered = ""
        self.fails_at = ""

    def reply(self) -> Reply:
        return Reply.lazy_stream(200, (), self._frames)

    def _frames(self) -> Iterator[bytes]:
        for letter in self.text:
            if letter == self.fails_at:
                raise ValueError(letter)
            self.rendered += letter
            yield letter.encode()


def steps_of(stream: SharedStream, model: str = "m") -> Iterator[Step]:
    return iter(stream.for_request(model, BODY)[0].steps)


def text_of(steps: Iterator[Step]) -> str:
    return b"".join(step.data for step in steps).decode()


@given(STEPS, st.lists(st.tuples(st.sampled_from(["a", "b", "\u2028"]), ECHOED), min_size=1))
def test_a_shared_stream_is_filled_in_like_any_other(
    steps: list[Step], requests: list[tuple[str, dict[str, bytes]]]
) -> None:
    reply = Reply(200, (), LazySteps(lambda: iter(steps)), streamed=True)
    stream = SharedStream(reply, lambda body, _names: body["echoed"])

    for model, echoed in requests:
        expected = placeholders.fill(
            replace(reply, steps=tuple(steps)),
            model=model,
            input_tokens=tokens.estimate_prompt(BODY),
            echoed=echoed,
        )

        filled, ready = stream.for_request(model, BODY | {"echoed": echoed})

        assert replace(filled, steps=tuple(filled.steps)) == expected
        assert [step.tokens for step in filled.steps] == [step.tokens for step in steps]
        assert ready is None


@given(
    st.lists(DATA, max_size=4),
    st.lists(st.tuples(st.sampled_from(["a", "b", "\u2028"]), ECHOED), min_size=1),
    st.booleans(),
)
def test_a_shared_body_is_filled_in_like_any_other(
    pieces: list[bytes], requests: list[tuple[str, dict[str, bytes]]], made: bool
) -> None:
    shared = prepare(Reply.divided(200, (), pieces), lambda body, _names: body["echoed"])
    assert isinstance(shared, SharedBody)
    if made:
        shared.make()

    for model, echoed in requests:
        expected = placeholders.fill(
            Reply.divided(200, (), pieces),
            model=model,
            input_tokens=tokens.estimate_prompt(BODY),
            echoed=echoed,
        )

        filled, ready = shared.for_request(model, BODY | {"echoed": echoed})

        assert (filled.status, filled.body, ready) == (200, expected.body, None)
        assert filled.has_length


def test_a_body_is_made_piece_by_piece_and_then_shared() -> None:
    rendering = Rendering()
    shared = prepare(Reply(200, (), DividedBody(rendering._frames(), tokens=3)))
    one, two = (shared.for_request("m", BODY)[0].steps for _ in range(2))
    assert isinstance(one, DividedBody)
    assert isinstance(two, DividedBody)

    assert next(one.make_pieces()) == b"a"
    assert rendering.rendered == "a"
    assert [*two.make_pieces()] == [b"a", b"b", b"c"]
    assert [*one.make_pieces()] == [b"b", b"c"]
    assert (rendering.rendered, one[0].tokens) == ("abc", 3)


def test_a_body_that_cannot_be_made_is_not_sent_in_part() -> None:
    rendering = Rendering()
    rendering.fails_at = "b"
    shared = prepare(Reply(200, (), DividedBody(rendering._frames())))

    for error in (ValueError, RuntimeError, RuntimeError):
        with pytest.raises(error):
            _ = shared.for_request("m", BODY)[0].body


def test_steps_are_rendered_when_they_are_first_read_and_then_shared() -> None:
    rendering = Rendering()
    stream = SharedStream(rendering.reply())

    first, second = steps_of(stream), steps_of(stream)
    assert rendering.rendered == ""
    a = next(first)
    assert rendering.rendered == "a"
    assert next(second) is a
    assert next(second).data == b"b"
    assert rendering.rendered == "ab"

    assert text_of(first) == "bc"
    assert text_of(second) == "c"
    assert text_of(steps_of(stream)) == "abc"
    assert rendering.rendered == "abc"


def test_a_stream_that_cannot_be_rendered_fails_for_each_reader_until_it_can() -> None:
    rendering = Rendering()
    stream = SharedStream(rendering.reply())
    rendering.fails_at = "b"

    for _ in range(2):
        steps = steps_of(stream)
        assert next(steps).data == b"a"
        with pytest.raises(ValueError, match="b"):
            next(steps)
    rendering.fails_at = ""

    assert text_of(steps_of(stream)) == "abc"


def test_a_client_that_invents_models_uses_bounded_memory() -> None:
    rendering = Rendering()
    stream = SharedStream(Reply.lazy_stream(200, (), lambda: [b"\xfc", rendering.text.encode()]))

    texts = [text_of(steps_of(stream, f"m{n}")) for n in range(2 * MAX_VARIANTS)] * 2

    assert texts == [f'"m{n}"abc' for n in range(2 * MAX_VARIANTS)] * 2
    assert len(stream._by_model) == MAX_VARIANTS


def test_large_pieces_are_shared_between_requests() -> None:
    text = b"x" * MAX_PIECE
    stream = SharedStream(Reply.lazy_stream(200, (), lambda: [b"\xfb1\xfb" + text + text]))

    one, other = (replace(stream.for_request("m", BODY)[0]) for _ in range(2))

    large, others = pieces_of(one), pieces_of(other)
    assert [id(piece) for piece in large] == [id(piece) for piece in others]
    assert len(large) == 2


# --- Which streams are shared ---------------------------------------------------------------------


def frames_of(size: int) -> Reply:
    return Reply.lazy_stream(200, (), lambda: [b"x" * (size - 1), b"y", b""])


def test_a_stream_that_may_be_sent_in_one_write_is_prepared_at_once() -> None:
    prepared = prepare(frames_of(MAX_READY))

    assert isinstance(prepared, PreparedReply)
    assert prepared.for_request("m", BODY)[1] is not None


def test_a_longer_stream_is_prepared_while_it_is_sent() -> None:
    rendering = Rendering("x" * 2 * MAX_READY)
    prepared = prepare(rendering.reply())

    assert isinstance(prepared, SharedStream)
    assert len(rendering.rendered) == MAX_READY + 1


@pytest.mark.parametrize("streamed", [False, True])
def test_a_reply_with_all_its_steps_is_prepared_at_once(streamed: bool) -> None:
    body = b"x" * 2 * MAX_READY
    prepared = prepare(Reply(200, (), (Step((body,)),), streamed=streamed))

    assert isinstance(prepared, PreparedReply)
    assert prepared.for_request("m", BODY)[0].body == body


@pytest.mark.parametrize("size", [1, MAX_READY])
def test_the_members_that_a_reply_repeats_are_read_whatever_its_length(size: int) -> None:
    reply = Reply.lazy_stream(200, (), lambda: [b"\xf9user:null\xf9", b"x" * size])
    prepared = prepare(
        reply, lambda body, names: only(names or frozenset({"user"}), body["echoed"])
    )

    filled, _ = prepared.for_request("m", BODY | {"echoed": {"user": b'"a"', "other": b"1"}})

    assert filled.body == b'"a"' + b"x" * size
