"""Streams whose steps have tokens, held against the golden ones."""

from __future__ import annotations

from typing import Any

import orjson

from mockllm.exchange import Reply
from mockllm.providers.counts import count
from mockllm.providers.speech import UNCUT, Speaker, count_tokens, speak
from tests.support import goldens


def check_steps(speaker: Speaker, case: goldens.Case) -> None:
    """The steps of a case are its golden stream, and have the tokens of its usage."""
    options = case.options._replace(stream=True)

    steps = [*speak(speaker, case.response, options, case.chunk)]

    body = goldens.delivered(Reply(200, (), steps, streamed=True))
    assert body == (case.folder / "stream.txt").read_bytes()
    tokens = count_tokens(speaker, case.response)
    counted = count(_usage(case).get(speaker.output))
    assert tokens == counted or counted is None
    events = speaker.events(speaker.complete(case.response), options, UNCUT)
    if any(map(speaker.characters, events)):
        assert sum(step.tokens for step in steps) == max(tokens, 1)


def _usage(case: goldens.Case) -> dict[str, Any]:
    usage = orjson.loads((case.folder / "whole.json").read_bytes()).get("usage")
    return usage if isinstance(usage, dict) else {}
