"""Streams that are generated while they are sent: the echo of a long message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from anyio import fail_after
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm import Config
from mockllm.engine import rendering
from mockllm.engine.decision import Decision, Outcome
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.engine.rendering import MAX_STEPS_AT_ONCE
from mockllm.exchange import LazySteps
from mockllm.http1 import framing
from mockllm.serve.connections import Service
from mockllm.serve.phase import Phase
from mockllm.serve.protocol import HTTPProtocol
from mockllm.wire import chunking
from tests.support.apps import LoneApp
from tests.support.engines import ANTHROPIC, KEY, ask, echo
from tests.support.http.transport import Written
from tests.support.served import (
    PATIENCE,
    chat_mock,
    chat_request,
    chat_saying,
    http_request,
    messages_mock,
    messages_request,
    messages_saying,
    responses_mock,
    responses_request,
    responses_saying,
)

APIS: dict[str, tuple[dict[str, str], Callable[..., dict[str, Any]]]] = {
    "/v1/chat/completions": (KEY, chat_request),
    "/v1/responses": (KEY, responses_request),
    "/v1/messages": (ANTHROPIC, messages_request),
}
LONG = " ".join(f"wörd{number}" for number in range(1_000))

paths = pytest.mark.parametrize("path", APIS)


def echoing(*, reuse: bool = False) -> Engine:
    config = {"openai": [chat_mock("mocked", chat_saying(LONG))]}
    return Engine(load(Config.from_dict(config)), echo=echo, reuse=reuse)


def request_of(path: str, text: str, **members: Any) -> dict[str, Any]:
    return APIS[path][1](text, stream=True, **members)


def decide(engine: Engine, path: str, text: str, **members: Any) -> Decision:
    """The decision on a streamed request with the last message `text`."""
    headers, _ = APIS[path]
    return ask("POST", path, headers, request_of(path, text, **members), engine=LoneApp(engine))


def decide_at_once(path: str, text: str, **members: Any) -> Decision:
    """The same decision, all of whose steps are generated before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendering, "MAX_STEPS_AT_ONCE", 1_000_000)
        return decide(echoing(), path, text, **members)


def sent(decision: Decision) -> bytes:
    """The bytes on the wire, before the values of the delivery are filled in."""
    return b"".join(frame.data for frame in framing.frames(decision.reply))


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pieces of texts that have been generated for streams."""
    pieces: list[str] = []
    split = chunking.split

    def recorded(text: str, chunk: chunking.Chunk = "word") -> Iterator[str]:
        for piece in split(text, chunk):
            pieces.append(piece)
            yield piece

    monkeypatch.setattr(chunking, "split", recorded)
    return pieces


# --- Its bytes ------------------------------------------------------------------------------------


def many_words() -> st.SearchStrategy[str]:
    """Texts of more deltas than a stream that is generated at once."""
    words = st.lists(st.text(max_size=4), min_size=MAX_STEPS_AT_ONCE, max_size=80)
    return words.map(lambda each: " ".join(f"w{word}" for word in each))


@paths
@settings(max_examples=30)  # of 64 words and more: each takes milliseconds
@given(text=many_words(), model=st.text(min_size=1, max_size=8))
def test_a_lazy_stream_is_byte_for_byte_the_stream_rendered_at_once(
    path: str, text: str, model: str
) -> None:
    lazy = decide(echoing(), path, text, model=model)
    at_once = decide_at_once(path, text, model=model)

    assert isinstance(lazy.reply.steps, LazySteps)
    assert isinstance(at_once.reply.steps, tuple)
    assert [step.data for step in lazy.reply.steps] == [step.data for step in at_once.reply.steps]
    assert sent(lazy) == sent(at_once)


@paths
def test_a_lazy_stream_may_be_generated_again(path: str) -> None:
    decision = decide(echoing(), path, LONG)

    assert [sent(decision)] * 2 == [sent(decision), sent(decide_at_once(path, LONG))]


@paths
def test_a_stream_is_lazy_if_it_has_more_steps_than_are_generated_at_once(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = len(tuple(decide_at_once(path, LONG).reply.steps))

    monkeypatch.setattr(rendering, "MAX_STEPS_AT_ONCE", count)
    few = decide(echoing(), path, LONG)
    monkeypatch.setattr(rendering, "MAX_STEPS_AT_ONCE", count - 1)
    many = decide(echoing(), path, LONG)

    assert not isinstance(few.reply.steps, LazySteps)
    assert isinstance(many.reply.steps, LazySteps)
    assert many.ready is None


# --- The cache ------------------------------------------------------------------------------------


@paths
def test_a_lazy_stream_is_never_in_the_match_cache(path: str) -> None:
    engine = echoing(reuse=True)
    assert engine.match_cache is not None

    decisions = [decide(engine, path, LONG) for _ in range(3)]

    assert [decision.match.outcome for decision in decisions] == [Outcome.ECHO] * 3
    assert not any(decision.match.reusable for decision in decisions)
    assert (len(engine.match_cache), engine.match_cache.hits) == (0, 0)


@paths
def test_a_short_echo_is_in_the_match_cache(path: str) -> None:
    engine = echoing(reuse=True)
    assert engine.match_cache is not None

    decisions = [decide(engine, path, "short") for _ in range(3)]

    assert all(decision.match.reusable for decision in decisions)
    assert (len(engine.match_cache), engine.match_cache.hits) == (1, 1)


# --- Configured streams ---------------------------------------------------------------------------

CONFIGURED = {
    "/v1/chat/completions": ("openai", chat_mock, chat_saying),
    "/v1/responses": ("openai_response", responses_mock, responses_saying),
    "/v1/messages": ("anthropic", messages_mock, messages_saying),
}


def configured(path: str, text: str) -> Engine:
    """An engine with one mock, which says `text`."""
    name, mock, saying = CONFIGURED[path]
    return Engine(load(Config.from_dict({name: [mock("mocked", saying(text))]})))


@paths
def test_a_configured_stream_is_rendered_while_it_is_first_sent(
    path: str, generated: list[str]
) -> None:
    text = LONG * 10
    engine = configured(path, text)

    first = decide(engine, path, "mocked")
    at_first = len(generated)
    body = sent(first)
    again = sent(decide(engine, path, "mocked", temperature=0.5))

    assert isinstance(first.reply.steps, LazySteps)
    assert first.ready is None
    assert at_first < len(generated) / 5
    assert "".join(generated) == text  # once for both
    assert body.count(b"rd999") == again.count(b"rd999") > 0


@paths
def test_a_configured_stream_that_is_sent_in_one_write_is_prepared_at_once(path: str) -> None:
    engine = configured(path, "w " * 100)

    decision = decide(engine, path, "mocked")

    assert not isinstance(decision.reply.steps, LazySteps)
    assert decision.ready is not None
    assert decision.match.reusable


# --- Its memory -----------------------------------------------------------------------------------


@paths
def test_deciding_generates_no_more_than_shows_that_the_stream_is_long(
    path: str, generated: list[str]
) -> None:
    decide(echoing(), path, LONG)

    assert 0 < len(generated) <= MAX_STEPS_AT_ONCE + 1


@paths
def test_each_frame_is_generated_when_it_is_requested(path: str, generated: list[str]) -> None:
    frames = framing.frames(decide(echoing(), path, LONG).reply)
    before = len(generated)

    for _ in range(MAX_STEPS_AT_ONCE + 2):  # the head and the steps generated to decide
        next(frames)
    at_first = len(generated)
    next(frames)

    assert at_first == before
    assert len(generated) == before + 1


class Unread(Written):
    """A transport whose peer reads nothing: it is full with the first byte."""

    protocol: HTTPProtocol
    is_full = True

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.is_full:
            self.protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return len(self.data)


@paths
@pytest.mark.anyio
async def test_no_step_is_generated_while_the_peer_reads_nothing(
    path: str, generated: list[str]
) -> None:
    transport = Unread()
    protocol = transport.protocol = HTTPProtocol(Service(LoneApp(echoing())))
    protocol.connection_made(cast("Any", transport))
    protocol.data_received(http_request(path, request_of(path, LONG), APIS[path][0]))
    decided = len(generated)

    for _ in range(2 * len(LONG.split())):  # rounds of the loop, each enough for a frame
        await checkpoint()
    unread = len(generated)
    transport.is_full = False
    protocol.resume_writing()
    with fail_after(PATIENCE):
        while protocol.phase is Phase.ANSWERING:
            await checkpoint()
    protocol.connection_lost(None)

    assert unread == decided <= MAX_STEPS_AT_ONCE + 1
    assert "".join(generated) == f"<{LONG}>"
    assert transport.data.endswith(b"0\r\n\r\n")
