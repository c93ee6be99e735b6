"""Reads an answer as a person does: texts, reasoning and calls, in the same form for all APIs. It
does not know what was sent of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from mockllm.engine.decision import Answer
from mockllm.wire import jsontext
from mockllm.wire.chunking import Chunk, split

MAX_TEXT = 100_000  # characters of one text that are shown
MAX_DELTAS = 2_000  # of one text
MAX_PARTS = 200  # texts and calls of one answer


class SaidCall(NamedTuple):
    """A call of a tool: its name, and its arguments as JSON text."""

    name: str
    arguments: str


class Said(NamedTuple):
    """An answer. `deltas` are those of its texts, as a stream of it has them. `vectors` is the
    number of embeddings; `is_cut` if there is more than is shown."""

    texts: tuple[str, ...] = ()
    deltas: tuple[tuple[str, ...], ...] = ()
    reasoning: tuple[str, ...] = ()
    calls: tuple[SaidCall, ...] = ()
    vectors: int = 0
    is_cut: bool = False

    def hiding(self, hide: Callable[[str], str]) -> Said:
        """Return the same without what `hide` hides in a text. A text with something that is hidden
        is one delta."""
        return self._replace(
            texts=tuple(map(hide, self.texts)),
            deltas=tuple(_hide_in(each, hide) for each in self.deltas),
            reasoning=tuple(map(hide, self.reasoning)),
            calls=tuple(call._replace(arguments=hide(call.arguments)) for call in self.calls),
        )


def _hide_in(deltas: tuple[str, ...], hide: Callable[[str], str]) -> tuple[str, ...]:
    text = "".join(deltas)
    hidden = hide(text)
    return deltas if hidden == text else (hidden,)


class _Part(NamedTuple):
    kind: str  # "text", "reasoning" or "call"
    text: str
    name: str = ""


def read_said(answer: Answer) -> Said:
    """Return what the response of `answer` says. Members that are not as their API has them say
    nothing."""
    response = answer.response
    data = response.get("data")
    parts = [*islice(_parts(response), MAX_PARTS + 1)]
    is_cut = len(parts) > MAX_PARTS or any(len(part.text) > MAX_TEXT for part in parts)
    shown = [part._replace(text=part.text[:MAX_TEXT]) for part in parts[:MAX_PARTS]]
    texts = tuple(part.text for part in shown if part.kind == "text")
    return Said(
        texts,
        tuple(_deltas(text, answer.chunk) for text in texts),
        tuple(part.text for part in shown if part.kind == "reasoning"),
        tuple(SaidCall(part.name, part.text) for part in shown if part.kind == "call"),
        len(data) if isinstance(data, list) else 0,
        is_cut,
    )


def _deltas(text: str, chunk: Chunk) -> tuple[str, ...]:
    """Return the deltas of a text; all after the first ones are one."""
    deltas = (*islice(split(text, chunk), MAX_DELTAS),)
    rest = text[sum(map(len, deltas)) :]
    return (*deltas, rest) if rest else deltas


def _parts(response: Mapping[str, Any]) -> Iterator[_Part]:
    for choice in _objects(response.get("choices")):  # Chat Completions
        message = choice.get("message")
        if isinstance(message, dict):
            yield from _of_chat(message)
    for block in _objects(response.get("content")):  # Messages
        yield from _of_block(block)
    for item in _objects(response.get("output")):  # Responses
        yield from _of_item(item)


def _of_chat(message: Mapping[str, Any]) -> Iterator[_Part]:
    yield from _text("reasoning", message.get("reasoning_content", message.get("reasoning")))
    yield from _text("text", message.get("content"))
    yield from _text("text", message.get("refusal"))
    for call in _objects(message.get("tool_calls")):
        for member in ("function", "custom"):
            called = call.get(member)
            if isinstance(called, dict):
                yield _call(called.get("name"), called.get("arguments", called.get("input")))


def _of_block(block: Mapping[str, Any]) -> Iterator[_Part]:
    kind = block.get("type")
    if kind == "tool_use" or "input" in block:
        yield _call(block.get("name"), block.get("input", {}))
    yield from _text("reasoning", block.get("thinking"))
    yield from _text("text", block.get("text"))


def _of_item(item: Mapping[str, Any]) -> Iterator[_Part]:
    kind = item.get("type")
    if kind == "reasoning":
        for part in (*_objects(item.get("summary")), *_objects(item.get("content"))):
            yield from _text("reasoning", part.get("text"))
        return
    if "arguments" in item or "input" in item:
        yield _call(item.get("name", kind), item.get("arguments", item.get("input")))
    for part in _objects(item.get("content")):
        yield from _text("text", part.get("text", part.get("refusal")))


def _text(kind: str, value: Any) -> Iterable[_Part]:
    return (_Part(kind, value),) if isinstance(value, str) and value else ()


def _call(name: Any, arguments: Any) -> _Part:
    said = arguments if isinstance(arguments, str) else jsontext.dumps(arguments).decode()
    return _Part("call", said, name if isinstance(name, str) else "")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    return (
        (each for each in value if isinstance(each, dict)) if isinstance(value, list) else iter(())
    )
