"""Decodes Embeddings requests, compiles matches, and normalises inputs for comparison."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.matching.predicates import ItemsEqual, MessageContains, Predicate
from mockllm.prompt import Body, ConversationMessage, Message, Prompt, Readers, ResponseOptions
from mockllm.providers import request_body
from mockllm.providers.routes import Values
from mockllm.wire import jsontext

NAME = "openai_embeddings"
ENCODINGS = ("float", "base64")
MAX_INPUTS = 2048  # texts in one request, as the service allows
MAX_DIMENSIONS = 4096  # of the largest models
MAX_NUMBERS = MAX_INPUTS * 3072  # in one answer; the largest models of the service have 3072


def decode(request: Request, values: Values) -> Prompt:
    """Decode a request into a prompt.

    Raises:
        RequestError: 400, naming the member that is missing or has a wrong type.
    """
    members = request_body.read_members(request.body, values)
    model = request_body.read_model(members)
    value = request_body.read_input(members)
    if isinstance(value, list) and not value:
        raise request_body.bad("input", "a non-empty list", value)
    inputs = len(value) if isinstance(value, list) and not isinstance(value[0], int) else 1
    if inputs > MAX_INPUTS:
        raise RequestError(400, f"input: expected at most {MAX_INPUTS} texts", param="input")
    encoding = members.get("encoding_format")
    if encoding is not None and encoding not in ENCODINGS:
        raise request_body.bad("encoding_format", "one of " + ", ".join(ENCODINGS), encoding)
    request_body.check_minimums(members, {"dimensions": 1})
    dimensions = members.get("dimensions") or 1
    if dimensions > MAX_DIMENSIONS:
        raise request_body.bad("dimensions", f"at most {MAX_DIMENSIONS}", dimensions)
    if inputs * dimensions > MAX_NUMBERS:
        expected = f"at most {MAX_NUMBERS:,} numbers for all inputs"
        raise request_body.bad("dimensions", expected, dimensions)
    options = ResponseOptions(base64=encoding == "base64")
    texts = _texts(value)
    # Tokens have no text that a rule could look for, and an empty one is in any input.
    message = Message("", texts, texts or ("",), (value,), canonical)
    return Prompt(NAME, model, (message,), options, members, READERS)


def compile_match(value: str | list[Any], contains: bool) -> Predicate:
    """Compile a mock's `input` to a predicate.

    Raises:
        ValueError: there is not exactly one text to look for.
    """
    texts = _texts(value)
    if not contains:
        return ItemsEqual.of((value,), canonical, texts)
    if len(texts) != 1:
        raise ValueError("'contains' looks for one text: expected a string")
    return MessageContains(texts[0])


def canonical(value: str | list[Any]) -> bytes:
    """Equal bytes for two inputs if and only if they mean the same: a string is a list of one."""
    return jsontext.canonical([value] if isinstance(value, str) else value)


def _read_messages(body: Body) -> Iterator[ConversationMessage]:
    """The input, as the words of a user."""
    yield ConversationMessage("user", _texts(body["input"]))


READERS = Readers(_read_messages)


def _texts(value: str | list[Any]) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(entry for entry in value if isinstance(entry, str))
