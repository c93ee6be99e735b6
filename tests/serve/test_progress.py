"""How much of a limited answer was sent."""

from __future__ import annotations

import pytest

from mockllm.exchange import Ending, EndingKind, Reply, Step
from mockllm.http1.framing import frames
from mockllm.serve.progress import Progress

HEADERS = ((b"content-type", b"text/plain"),)
PARTS = [b"a" * 100, b"b" * 300, b"c" * 600]
STREAM = Reply.stream(200, HEADERS, PARTS)
WHOLE = Reply(200, HEADERS, (Step(tuple(PARTS)),))


def share(reply: Reply, taken: int, unsent: int = 0) -> float:
    """The share of a reply when so many of its frames were taken."""
    progress = Progress(frames(reply))
    for _ in range(taken):
        next(progress)
    return progress.share(reply, unsent)


@pytest.mark.parametrize(
    ("taken", "expected"), [(0, 0.0), (1, 0.0), (2, 0.1), (3, 0.4), (4, 1.0), (5, 1.0)]
)
def test_the_share_of_a_stream_is_that_of_its_chunks(taken: int, expected: float) -> None:
    assert share(STREAM, taken) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("taken", "expected"), [(1, 0.0), (2, 0.1), (3, 0.4), (4, 1.0)])
def test_the_share_of_a_whole_answer_is_that_of_its_bytes(taken: int, expected: float) -> None:
    assert share(WHOLE, taken) == expected


def test_what_was_taken_but_not_sent_does_not_count() -> None:
    assert share(WHOLE, 3, unsent=300) == 0.1
    assert share(WHOLE, 1, unsent=80) == 0.0


def test_an_answer_that_is_cut_has_the_share_before_the_cut() -> None:
    cut = Reply(200, HEADERS, WHOLE.steps, Ending(EndingKind.CUT, 250))
    progress = Progress(frames(cut))

    assert len(list(progress)) == 3
    assert progress.share(cut, 0) == 0.25


def test_an_answer_without_a_known_size_counts_as_whole() -> None:
    lazy = Reply.lazy_stream(200, HEADERS, lambda: iter(PARTS))

    assert share(lazy, 2) == 1.0
    assert share(Reply(204, (), ()), 1) == 1.0
