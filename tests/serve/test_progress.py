"""How much of a limited answer was sent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mockllm.engine.limiting import ALL, Sent
from mockllm.exchange import Ending, EndingKind, Reply, Step
from mockllm.http1.framing import frames
from mockllm.serve.progress import BodyProgress
from tests.support.manual_time import pacing

HEADERS = ((b"content-type", b"text/plain"),)
PARTS = [b"a" * 100, b"b" * 300, b"c" * 600]
STREAM = Reply.stream(200, HEADERS, PARTS)
WHOLE = Reply(200, HEADERS, (Step(tuple(PARTS)),))


def sent(reply: Reply, taken: int) -> Sent:
    """What was sent of a reply when so many of its frames were taken, all but the last of them."""
    progress = BodyProgress(frames(reply))
    upcoming = None
    for _ in range(taken + 1):
        upcoming = next(progress, None)
    return progress.sent(reply, () if upcoming is None else (upcoming,))


@pytest.mark.parametrize(
    ("taken", "expected"), [(0, 0.0), (1, 0.0), (2, 0.1), (3, 0.4), (4, 1.0), (5, 1.0)]
)
def test_the_share_of_a_stream_is_that_of_its_chunks(taken: int, expected: float) -> None:
    assert sent(STREAM, taken).share == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("taken", "expected"), [(1, 0.0), (2, 0.1), (3, 0.4), (4, 1.0)])
def test_the_share_of_a_whole_answer_is_that_of_its_bytes(taken: int, expected: float) -> None:
    assert sent(WHOLE, taken) == Sent(expected)


@pytest.mark.parametrize(("taken", "tokens"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 4), (5, 4)])
def test_the_tokens_of_a_paced_stream_are_those_of_its_frames(taken: int, tokens: int) -> None:
    steps = tuple(
        step._replace(tokens=number) for step, number in zip(STREAM.steps, [1, 0, 3], strict=True)
    )

    assert sent(replace(STREAM, steps=steps, pacing=pacing()), taken) == Sent(tokens=tokens)


def test_an_answer_that_is_cut_has_the_share_before_the_cut() -> None:
    cut = Reply(200, HEADERS, WHOLE.steps, Ending(EndingKind.CUT, 250))
    progress = BodyProgress(frames(cut))

    assert len(list(progress)) == 3
    assert progress.sent(cut, ()) == Sent(0.25)


@pytest.mark.parametrize(("taken", "tokens"), [(0, 0), (1, 0), (2, 1), (4, 3)])
def test_each_event_of_a_stream_of_unknown_size_is_a_token(taken: int, tokens: int) -> None:
    lazy = Reply.lazy_stream(200, HEADERS, lambda: iter(PARTS))

    assert sent(lazy, taken) == Sent(tokens=tokens)


def test_a_pause_in_a_stream_is_no_token() -> None:
    lazy = Reply.lazy_stream(200, HEADERS, lambda: [b"one", iter([b"two"])])

    progress = BodyProgress(frames(lazy))
    taken = [next(progress).data for _ in range(3)]

    assert taken[1:] == [b"3\r\none\r\n", b""]
    assert progress.sent(lazy, ()).tokens == 1


def test_an_answer_without_a_body_is_whole() -> None:
    assert sent(Reply(204, (), ()), 1) == ALL
