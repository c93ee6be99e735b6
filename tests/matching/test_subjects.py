"""What the texts are that a condition is about."""

from __future__ import annotations

import pytest

from mockllm.matching.subjects import WORK_PER_TEXT, Subject
from tests.support.strategies import ask_chat

PROMPT = ask_chat(
    [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "No jokes."},
        {"role": "user", "content": "hi"},
    ],
    response_format={"type": "json_schema", "json_schema": {"name": "weather", "schema": {}}},
)


@pytest.mark.parametrize(
    ("subject", "texts"),
    [
        (Subject.USER, ("hi",)),
        (Subject.LAST_USER, ("hi",)),
        (Subject.SYSTEM, ("Be brief.", "No jokes.", "Be brief.\nNo jokes.")),
        (Subject.MODEL, ("m",)),
        (Subject.SCHEMA, ("weather",)),
    ],
)
def test_texts_are_tested_one_by_one_and_those_of_messages_joined(
    subject: Subject, texts: tuple[str, ...]
) -> None:
    assert PROMPT.once(subject.value.tested) == texts


def test_the_size_grows_with_the_number_of_texts_and_their_characters() -> None:
    assert PROMPT.once(Subject.USER.value.size) == 2 + WORK_PER_TEXT
    assert PROMPT.once(Subject.SYSTEM.value.size) == 37 + 3 * WORK_PER_TEXT
