"""What the newest known SDKs declare is accepted with whatever SDKs are installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from mockllm.providers.anthropic.messages import older as messages_older
from mockllm.providers.openai.chat import older as chat_older
from mockllm.providers.openai.responses import older as responses_older
from tests.support.confirming import APIS, CHAT, MESSAGES, RESPONSES, SDKS
from tests.support.old_sdks import skippable_tests
from tests.support.sdk_types import ANSWERS, EVENTS, MATCHES, REQUESTS, accusations
from tests.support.type_examples import FOLDER

ROOT = Path(__file__).parents[2]
MEMBERS = {
    CHAT: chat_older.MEMBERS,
    RESPONSES: responses_older.MEMBERS,
    MESSAGES: messages_older.MEMBERS,
}


def examples(api: str, kind: str) -> list[Any]:
    found: list[Any] = orjson.loads((FOLDER / f"{api}.json").read_bytes()).get(kind, [])
    return found


def tags(value: Any) -> Iterator[str]:
    """Each `type` in a JSON value."""
    if isinstance(value, dict):
        if isinstance(value.get("type"), str):
            yield value["type"]
        for member in value.values():
            yield from tags(member)
    elif isinstance(value, list):
        for entry in value:
            yield from tags(entry)


@pytest.mark.parametrize("kind", [REQUESTS, MATCHES, ANSWERS, EVENTS])
@pytest.mark.parametrize("api", APIS)
def test_nothing_that_a_newer_sdk_declares_is_accused(api: str, kind: str) -> None:
    accused = [
        (example, found)
        for example in examples(api, kind)
        if (found := accusations(api, kind, example))
    ]

    assert accused == []


@pytest.mark.parametrize("api", MEMBERS)
def test_examples_have_every_type_that_is_compared_by_its_members(api: str) -> None:
    shown = {tag for kind in (REQUESTS, MATCHES) for tag in tags(examples(api, kind))}

    assert shown >= MEMBERS[api].keys()


@pytest.mark.parametrize("api", MEMBERS)
def test_members_that_are_compared_do_not_depend_on_the_age_of_the_sdk(api: str) -> None:
    known = SDKS[api].known_members()

    for tag, members in MEMBERS[api].items():
        assert known[tag] >= members


@pytest.mark.parametrize("node", skippable_tests())
def test_a_test_that_old_sdks_skip_exists(node: str) -> None:
    file, _, test = node.partition("::")

    assert f"def {test.partition('[')[0]}(" in (ROOT / file).read_text("utf-8")
