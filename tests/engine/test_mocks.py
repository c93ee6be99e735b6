"""The table of one API by itself: validation and decoding."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import orjson
import pytest

from mockllm.engine.mocks import Table
from mockllm.errors import RequestError
from mockllm.matching.index import RuleIndex
from mockllm.pieces import finish
from mockllm.prompt import Prompt
from mockllm.providers import APIS
from mockllm.validation.findings import Confirm, Finding, Kind
from tests.support.strategies import ask_chat

CHAT = APIS[0]
HELLO = [{"role": "user", "content": "hi"}]
PATH = ("messages", 0, "content")


def table(confirm: Confirm | None) -> Table:
    """A table of Chat Completions without mocks."""
    return Table(CHAT, (), RuleIndex(()), confirm)


class Finds(Confirm):
    """Has the same finding in any value, and remembers the values."""

    def __init__(self, finding: Finding | None) -> None:
        self.finding = finding
        self.seen: list[Any] = []

    def __call__(self, value: Any) -> Finding | None:
        self.seen.append(value)
        return self.finding

    def in_pieces(self, value: Any) -> Generator[bool, None, Finding | None]:
        yield False
        return self(value)


def refusal(finding: Finding) -> RequestError:
    """The error of a request in which there is this finding, in pieces or not."""
    with pytest.raises(RequestError) as caught:
        table(Finds(finding)).validate(ask_chat(HELLO))
    with pytest.raises(RequestError) as in_pieces:
        finish(table(Finds(finding)).validate_in_pieces(ask_chat(HELLO)))
    assert in_pieces.value.message == caught.value.message
    return caught.value


# -- Validation --


def test_the_whole_body_is_validated() -> None:
    confirm = Finds(None)
    prompt = ask_chat(HELLO, seed=1)
    table(confirm).validate(prompt)
    finish(table(confirm).validate_in_pieces(prompt))
    body = confirm.seen.pop()
    assert confirm.seen == [body]
    assert body == {"model": "m", "messages": HELLO, "seed": 1}


def test_a_missing_member_is_named_as_the_service_does() -> None:
    error = refusal(Finding(PATH, "required, but missing", Kind.MISSING))
    assert (error.status, error.param) == (400, "messages.0.content")
    assert error.code == "missing_required_parameter"
    assert "messages.0.content" in error.message


@pytest.mark.parametrize("kind", [Kind.WRONG, Kind.UNKNOWN])
def test_any_other_finding_is_an_invalid_type(kind: Kind) -> None:
    error = refusal(Finding(PATH, "expected a string, found 5", kind))
    assert (error.status, error.param) == (400, "messages.0.content")
    assert error.code == "invalid_type"
    assert error.message == "messages.0.content: expected a string, found 5"


def test_plain_messages_are_not_validated() -> None:
    finds = Finds(None)
    named = [{"role": "user", "content": "hi", "name": "n"}, *HELLO]

    known = ask_chat(HELLO, user="u", stream=True, n=1, temperature=0)
    asked = [ask_chat(HELLO), known, ask_chat(HELLO, store=True), ask_chat(named)]
    assert all(map(table(finds).accepts, asked))

    assert finds.seen == [
        {"model": "m", "messages": [], "store": True},
        {"model": "m", "messages": named},
    ]


# -- Decoding --


@pytest.mark.parametrize("api", APIS, ids=lambda api: str(api.name))
def test_a_body_is_decoded_by_its_api(api: Any) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": HELLO, "input": "hi"}
    prompt = Table(api, (), RuleIndex(()), None).decode(orjson.dumps(body))
    assert isinstance(prompt, Prompt)
    assert (prompt.endpoint, prompt.model, prompt.text) == (api.name, "m", "hi")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": "m"}', b'{"messages": []}'])
def test_a_body_that_is_no_request_is_an_error(body: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        table(None).decode(body)
    assert caught.value.status == 400
