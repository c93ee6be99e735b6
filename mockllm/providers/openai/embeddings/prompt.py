"""Decodes Embeddings requests, compiles matches, and normalises inputs for comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.matching.message_predicates import (
    ItemsEqual,
    LastMessagePredicate,
    MessageContains,
    Relaxed,
)
from mockllm.matching.part_predicates import MessageHasParts
from mockllm.matching.predicate import Predicate
from mockllm.prompt import (
    Body,
    ConversationMessage,
    Message,
    MessagePart,
    Prompt,
    Readers,
    ResponseOptions,
)
from mockllm.providers import compared_messages, message_matches, request_body
from mockllm.providers.api import CannotMatch
from mockllm.providers.routes import Values
from mockllm.wire import jsontext

NAME = "openai_embeddings"
ENCODINGS = ("float", "base64")
_INTEGERS = frozenset({int})
_TOKENS = "a token, which is an integer"
ENTRIES_AT_ONCE = 10_000  # that are checked without a pause: 0.2 to 1 ms
MAX_INPUTS = 2048  # texts in one request, as the service allows
MAX_DIMENSIONS = 4096  # of the largest models
MAX_NUMBERS = MAX_INPUTS * 3072  # in one answer; the largest models of the service have 3072


def decode(request: Request, values: Values) -> Prompt:
    """Decode a request into a prompt.

    Raises:
        RequestError: 400, naming the member that is missing or has a wrong type.
    """
    return read(request_body.read_members(request.body, values))


def read(members: dict[str, Any], prepared: compared_messages.Prepared | None = None) -> Prompt:
    """Read the decoded body of a request into a prompt, as `decode` does. What is `prepared` is not
    done again."""
    model = request_body.read_model(members)
    value = request_body.read_input(members)
    if isinstance(value, list):
        if not value:
            raise request_body.empty("input", "input")
        if prepared is None:
            _check_input(value)
        else:
            prepared.check()
    inputs = len(inputs_of(value))
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
    return Prompt(NAME, model, (message_of(value),), options, members, READERS, inputs=inputs)


def message_of(value: str | list[Any]) -> Message:
    """An input as rules see it. Tokens have no text that a rule could look for, and an empty one is
    in any input."""
    texts = _texts(value)
    return Message("", texts, texts or ("",), (value,), canonical, _parts, value)


def inputs_of(value: Any) -> list[Any]:
    """The inputs in an `input`, each a string or the tokens of a text. A list of numbers is one."""
    if isinstance(value, list) and value and not _is_token(value[0]):
        return value
    return [value]


def prepare(members: Mapping[str, Any]) -> compared_messages.Preparing:
    """Do what takes long in `read`, with pauses."""
    value = members.get("input")
    if isinstance(value, list) and value:
        yield from _check_inputs(value)
    return compared_messages.Prepared()


def _check_input(value: list[Any]) -> None:
    for _ in _check_inputs(value):
        pass


def _check_inputs(value: list[Any]) -> Iterator[None]:
    """Check that a list that is not empty consists of tokens, or of several inputs of one kind,
    with a pause after some of them."""
    first = value[0]
    if isinstance(first, str):
        yield from _check_entries("input", value, lambda each: isinstance(each, str), "a string")
    elif _is_token(first):
        yield from _check_entries("input", value, _is_token, _TOKENS)
    elif isinstance(first, list):
        yield from _check_entries(
            "input", value, lambda each: isinstance(each, list), "a list of tokens"
        )
        for at, tokens in enumerate(value):
            if not tokens:
                raise request_body.empty(f"input.{at}", "token")
            yield from _check_entries(f"input.{at}", tokens, _is_token, _TOKENS)
    else:
        raise request_body.bad("input.0", "a string, a token or a list of tokens", first)


def _check_entries(
    path: str, entries: list[Any], is_valid: Callable[[Any], bool], expected: str
) -> Iterator[None]:
    for start in range(0, len(entries), ENTRIES_AT_ONCE):
        some = entries[start : start + ENTRIES_AT_ONCE]
        if is_valid is _is_token and _INTEGERS.issuperset(map(type, some)):
            pass  # a shortcut: a request may have 300,000 tokens
        elif not all(map(is_valid, some)):
            at, wrong = next((at, each) for at, each in enumerate(some) if not is_valid(each))
            like = f"{expected} like the entries before it"
            raise request_body.bad(f"{path}.{start + at}", like, wrong)
        yield


def _is_token(value: Any) -> bool:
    """True for a whole number, also if it is written as 1.0."""
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def compile_match(value: str | list[Any], contains: bool) -> Predicate:
    """Compile a mock's `input` to a predicate.

    Raises:
        CannotMatch: it is an empty list, which no request can have.
    """
    texts = _texts(value)
    parts = tuple(message_matches.compile_part(part, lambda value: ()) for part in _parts(value))
    relaxed: LastMessagePredicate = MessageContains(texts[0] if texts else "")
    if parts or len(texts) > 1:
        relaxed = MessageHasParts(texts, parts)
    if contains:
        return relaxed
    if value == []:
        raise CannotMatch("can never match: a request has an input")
    return ItemsEqual.of((value,), canonical, texts, relaxed=Relaxed(relaxed))


def canonical(value: str | list[Any]) -> bytes:
    """Equal bytes for two inputs if and only if they mean the same: a string, or the tokens of a
    text, is a list of one."""
    return jsontext.canonical(inputs_of(value))


def _parts(value: str | list[Any]) -> Iterator[MessagePart]:
    """The lists of tokens in an input. They are parts with one member, since tokens mean something
    in their order only."""
    for tokens in inputs_of(value):
        if isinstance(tokens, list) and tokens:
            yield MessagePart({"tokens": jsontext.canonical(tokens).decode()})


def _read_messages(body: Body) -> Iterator[ConversationMessage]:
    """The input, as the words of a user."""
    yield ConversationMessage("user", _texts(body["input"]))


READERS = Readers(_read_messages)


def _texts(value: str | list[Any]) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if value and _is_token(value[0]):
        return ()  # nor has any other: a request may have 300,000 tokens
    return tuple(entry for entry in value if isinstance(entry, str))
