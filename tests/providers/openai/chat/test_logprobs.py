"""The tokens of a chat completion, read as texts."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers.openai.chat.logprobs import spell


@pytest.mark.parametrize(
    ("tokens", "spelled"),
    [
        ([], []),
        ([{"token": "é"}], ["é".encode()]),
        ([{"token": "\\xc3", "bytes": [195]}, {"token": "a", "bytes": None}], [b"\xc3", b"a"]),
        ([{"token": "a", "bytes": [256]}], [b"a"]),
        ([{"token": "a"}, {"token": 5}], None),
        (["a"], None),
    ],
)
def test_tokens_are_spelled_by_their_bytes(tokens: list[Any], spelled: list[bytes] | None) -> None:
    assert spell(tokens) == spelled
