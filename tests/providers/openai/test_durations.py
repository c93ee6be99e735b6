"""Durations as OpenAI spells them: the recorded ones."""

from __future__ import annotations

import pytest

from mockllm.providers.openai.durations import spell


@pytest.mark.parametrize(
    ("milliseconds", "spelled"),
    [
        (0, "0s"),
        (2, "2ms"),
        (644, "644ms"),
        (1000, "1s"),
        (8640, "8.64s"),
        (13065, "13.065s"),
        (59999, "59.999s"),
        (60000, "1m0s"),
        (73588, "1m13.588s"),
        (127930, "2m7.93s"),
        (360000, "6m0s"),
        (3600000, "1h0m0s"),
        (86399001, "23h59m59.001s"),
    ],
)
def test_a_duration_is_spelled_as_go_does(milliseconds: int, spelled: str) -> None:
    assert spell(milliseconds) == spelled
