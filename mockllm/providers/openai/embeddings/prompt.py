"""Decodes Embeddings requests, compiles matches, and normalises inputs for comparison."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.matching.part_predicates import MessageHasParts
from mockllm.matching.predicates import (
    ItemsEqual,
    LastMessagePredicate,
    MessageContains,
    Predicate,
    Relaxed,
)
from mockllm.prompt import Message, MessagePart, Prompt, ResponseOptions
from mockllm.providers import normalise, request_body
from mockllm.providers.api import CannotMatch
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
    message = Message("", texts, texts or ("",), (value,), canonical, _parts)
    return Prompt(NAME, model, (message,), options, members)


def compile_match(value: str | list[Any], contains: bool) -> Predicate:
    """Compile a mock's `input` to a predicate.

    Raises:
        CannotMatch: it is an empty list, which no request can have.
    """
    texts = _texts(value)
    parts = tuple(normalise.compile_part(part, lambda value: ()) for part in _parts(value))
    relaxed: LastMessagePredicate = MessageContains(texts[0] if texts else "")
    if parts or len(texts) > 1:
        relaxed = MessageHasParts(texts, parts)
    if contains:
        return relaxed
    if value == []:
        raise CannotMatch("can never match: a request has an input")
    return ItemsEqual.of((value,), canonical, texts, relaxed=Relaxed(relaxed))


def canonical(value: str | list[Any]) -> bytes:
    """Equal bytes for two inputs if and only if they mean the same: a string is a list of one."""
    return jsontext.canonical([value] if isinstance(value, str) else value)


def _parts(value: str | list[Any]) -> Iterator[MessagePart]:
    """The lists of tokens in an input. They are parts with one member, since tokens mean something
    in their order only."""
    if isinstance(value, list):
        lists = [value] if value and isinstance(value[0], int) else value
        for tokens in lists:
            if isinstance(tokens, list):
                yield MessagePart({"tokens": jsontext.canonical(tokens).decode()})


def _texts(value: str | list[Any]) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(entry for entry in value if isinstance(entry, str))
