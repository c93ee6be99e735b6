"""What is said in the events of a stream: every golden one, with the tokens of its usage."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mockllm.exchange import PAUSE, Reply, Step
from mockllm.http1.framing import frames
from mockllm.prompt import STREAMED
from mockllm.providers.openai.responses.speech import SPEAKER
from mockllm.providers.openai.responses.stream import frame
from mockllm.providers.speech import speak
from mockllm.wire import json_encoding
from tests.support import goldens
from tests.support.speeches import check_steps


@pytest.mark.parametrize(
    "case", goldens.cases("openai/responses"), ids=lambda case: case.folder.name
)
def test_the_steps_are_the_golden_stream(case: goldens.Case) -> None:
    check_steps(SPEAKER, case)


@pytest.mark.parametrize("words", [1, 200_000])
def test_large_events_are_the_same_bytes_with_pauses_between_their_pieces(words: int) -> None:
    text = "wörd " * words
    content = [{"type": "output_text", "text": text, "annotations": []}]
    item = {"type": "message", "role": "assistant", "content": content}
    response = {"output": [item], "output_text": text}

    steps = [*speak(SPEAKER, response, STREAMED, "word")]
    plain = [*speak(replace(SPEAKER, frame=frame), response, STREAMED, "word")]

    def joined(step: Step) -> Step:
        return step._replace(pieces=(step.data,))

    assert [joined(step) for step in steps if step != PAUSE] == plain
    assert _on_the_wire(steps) == _on_the_wire(plain)
    large = [step for step in steps if step.size > json_encoding.MAX_TEXT]
    assert steps.count(PAUSE) == sum(len(step.pieces) for step in large)
    assert all(len(piece) <= json_encoding.MAX_TEXT for step in large for piece in step.pieces)
    assert len(large) == (4 if words > 1 else 0)


def _on_the_wire(steps: list[Step]) -> bytes:
    return b"".join(sent.data for sent in frames(Reply(200, (), steps, streamed=True)))
