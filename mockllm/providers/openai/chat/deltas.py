"""Splits a chat message into the deltas of a stream (openai 3.54.0: `ChoiceDelta`).

Each member of OpenAI's that is streamed in pieces has a function in `MEMBERS`. Members that other
services add come before them, as their reasoning does: texts in pieces, all others whole in one
delta after the opening, so that a stream loses nothing of a message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple

from mockllm.providers.openai.chat.logprobs import spell
from mockllm.wire import chunking
from mockllm.wire.chunking import Chunk

AUDIO_PIECE = 8192  # base64 characters; a multiple of 4, so that each piece can be decoded alone

_TEXTS = ("content", "refusal")  # members of a message, and of logprobs
_TOOL_CALL = ("index", "id", "type")
_NAMES = ("id", "type", "name", "index")
_OBJECTS = frozenset({dict})
_TEXTS_OF_ENTRIES = ("text", "summary", "thinking", "content")


class Piece(NamedTuple):
    """A delta, and the logprobs that its choice has in the same chunk."""

    delta: dict[str, Any]
    logprobs: Any = None


def pieces(message: Mapping[str, Any], logprobs: Any, chunk: Chunk) -> Iterator[Piece]:
    """The opening of a message and its pieces, without the final chunk.

    `logprobs` is the choice's: ``{"content": [token, ...], "refusal": null}``. Each token is sent
    with the text that it spells, and text that has tokens is cut at their boundaries.
    """
    yield Piece(_opening(message), _without_tokens(logprobs))
    added = {name: message[name] for name in message if name not in MEMBERS and name != "role"}
    streamed = {name: value for name, value in added.items() if _is_streamed(name, value)}
    whole = {name: value for name, value in added.items() if name not in streamed}
    if whole:
        yield Piece(whole)
    for name, value in streamed.items():
        yield from _added_member(name, value, chunk)
    for name, stream in MEMBERS.items():
        value = message.get(name)
        if value is not None:
            tokens = logprobs.get(name) if isinstance(logprobs, dict) else None
            yield from stream(value, tokens, chunk)


def tokens_without_text(message: Mapping[str, Any], logprobs: Any) -> dict[str, Any] | None:
    """The logprobs sent with no piece of the message, because their member is not a text; or
    None."""
    if not isinstance(logprobs, dict):
        return None
    unsent = {name: None if _is_text(message.get(name)) else logprobs.get(name) for name in _TEXTS}
    return (
        unsent if any(isinstance(tokens, list) and tokens for tokens in unsent.values()) else None
    )


def in_order(members: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """`members`, reordered: those in `names` come first, in that order."""
    return {name: members[name] for name in names if name in members} | dict(members)


def _opening(message: Mapping[str, Any]) -> dict[str, Any]:
    """The role, sent once because clients concatenate repeated values, and an empty string for each
    text that follows."""
    empty = {name: "" if isinstance(message.get(name), str) else None for name in _TEXTS}
    return {"role": message.get("role")} | empty


def _without_tokens(logprobs: Any) -> Any:
    """The logprobs of an opening, with empty lists: in any choice but the first, the SDK's
    accumulator would count tokens in them twice."""
    if not isinstance(logprobs, dict):
        return logprobs
    lists = [name for name in _TEXTS if isinstance(logprobs.get(name), list)]
    return {name: [] if name in lists else value for name, value in logprobs.items()}


# --- members that other services add ------------------------------------------------------------


def _is_streamed(name: str, value: Any) -> bool:
    """True if a member is a text, or a list of objects with texts, numbered by their `index`:
    clients join its pieces. A name or an id would be useless in pieces."""
    if isinstance(value, list):
        numbered = all(
            isinstance(entry, dict) and entry.get("index") == at for at, entry in enumerate(value)
        )
        return numbered and any(any(_texts_of(entry)) for entry in value)
    return _is_text(value) and name not in _NAMES and not name.endswith("_id")


def _added_member(name: str, value: Any, chunk: Chunk) -> Iterator[Piece]:
    if isinstance(value, str):
        yield from (Piece({name: text}) for text in chunking.split(value, chunk))
        return
    for entry in value:
        yield from (Piece({name: [part]}) for part in _detail(entry, chunk))


def _detail(entry: dict[str, Any], chunk: Chunk) -> Iterator[dict[str, Any]]:
    """An entry such as OpenRouter's `reasoning_details` has, with empty texts, then these in
    pieces. Each has the type, because clients choose by it."""
    texts = _texts_of(entry)
    yield entry | dict.fromkeys(texts, "")
    same = {name: entry[name] for name in ("type", "index") if name in entry}
    for name in texts:
        yield from (same | {name: text} for text in chunking.split(entry[name], chunk))


def _texts_of(entry: dict[str, Any]) -> list[str]:
    return [name for name in _TEXTS_OF_ENTRIES if _is_text(entry.get(name))]


# --- text ---------------------------------------------------------------------------------------


def _text_member(name: str, value: Any, tokens: Any, chunk: Chunk) -> Iterator[Piece]:
    """The member `name`, which is `content` or `refusal`."""
    if not isinstance(value, str):
        yield Piece({name: value})
        return
    for text, covered in _cut(value, tokens, chunk):
        logprobs = None if covered is None else dict.fromkeys(_TEXTS) | {name: covered}
        yield Piece({name: text}, logprobs)


def _cut(text: str, tokens: Any, chunk: Chunk) -> Iterator[tuple[str, list[Any] | None]]:
    """The pieces of `text`, each with its tokens. Tokens that do not spell the text are all sent
    with the first piece."""
    if not isinstance(tokens, list) or not tokens:
        yield from ((piece, None) for piece in chunking.split(text, chunk))
    elif (spelled := spell(tokens)) is not None and b"".join(spelled) == text.encode():
        yield from _cut_at_tokens(text, tokens, spelled)
    else:
        for number, piece in enumerate(chunking.split(text, chunk)):
            yield piece, None if number else tokens


def _cut_at_tokens(
    text: str, tokens: list[Any], spelled: list[bytes]
) -> Iterator[tuple[str, list[Any]]]:
    """A piece for each token, or for several tokens that share a grapheme. A token without text
    goes with the next piece, or with the last one."""
    data = text.encode()
    ends = set(accumulate(len(grapheme.encode()) for grapheme in chunking.split(text, "char")))
    found: list[tuple[str, list[Any]]] = []
    start = end = 0
    covered: list[Any] = []
    for token, size in zip(tokens, map(len, spelled), strict=True):
        end += size
        covered.append(token)
        if end > start and end in ends:
            found.append((data[start:end].decode(), covered))
            start, covered = end, []
    if covered and found:
        found[-1][1].extend(covered)
    yield from found


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


# --- other members ------------------------------------------------------------------------------


def _annotations(annotations: Any, _tokens: Any, _chunk: Chunk) -> Iterator[Piece]:
    """All annotations in one delta, after their text: the SDK's accumulator cannot join two lists
    of them. An empty list is not sent."""
    if annotations != []:
        yield Piece({"annotations": annotations})


def _audio(audio: Any, _tokens: Any, chunk: Chunk) -> Iterator[Piece]:
    """The id, then transcript and data in pieces, then the expiry (`ChoiceDeltaAudio`)."""
    if not isinstance(audio, dict):
        yield Piece({"audio": audio})
        return
    texts = [name for name in ("transcript", "data") if _is_text(audio.get(name))]
    later = (*texts, "expires_at")
    opening = {name: value for name, value in audio.items() if name not in later}
    if opening:
        yield Piece({"audio": opening})
    for name in texts:
        pieces = _cut_data(audio[name]) if name == "data" else chunking.split(audio[name], chunk)
        yield from (Piece({"audio": {name: piece}}) for piece in pieces)
    if "expires_at" in audio:
        yield Piece({"audio": {"expires_at": audio["expires_at"]}})


def _cut_data(data: str) -> Iterator[str]:
    return (data[at : at + AUDIO_PIECE] for at in range(0, len(data), AUDIO_PIECE))


def _function_call(call: Any, _tokens: Any, chunk: Chunk) -> Iterator[Piece]:
    if not isinstance(call, dict):
        yield Piece({"function_call": call})
        return
    for part in _body(call, "arguments", chunk):
        yield Piece({"function_call": part})


def _tool_calls(calls: Any, _tokens: Any, chunk: Chunk) -> Iterator[Piece]:
    """The calls in order, numbered from 0 regardless of their own `index`."""
    if not isinstance(calls, list) or not are_objects(calls):
        yield Piece({"tool_calls": calls})
        return
    for index, call in enumerate(calls):
        for part in _tool_call(call, chunk):
            yield Piece({"tool_calls": [in_order({**part, "index": index}, _TOOL_CALL)]})


def are_objects(values: list[Any]) -> bool:
    """True if all values are objects. The types of 100,000 take a fifth of the time."""
    return _OBJECTS.issuperset(map(type, values)) or all(isinstance(each, dict) for each in values)


def _tool_call(call: dict[str, Any], chunk: Chunk) -> Iterator[dict[str, Any]]:
    """An opening with id, type and name, then fragments of the arguments. A call of any other type
    than `function` and `custom` is sent whole.

    A custom call is sent without its `type`, because the SDK's `ChoiceDeltaToolCall` does not
    declare ``custom``: with it, a strict client rejects the chunk and `get_final_completion()`
    raises AttributeError; with ``function``, clients would treat the call as a function call.
    Without it, every client reads the whole stream and finds name and input under `custom`.
    """
    match call:
        case {"type": "function", "function": dict(body)}:
            yield from _call(call, "function", _body(body, "arguments", chunk))
        case {"type": "custom", "custom": dict(body)}:
            untyped = {name: value for name, value in call.items() if name != "type"}
            yield from _call(untyped, "custom", _body(body, "input", chunk))
        case _:
            yield call


def _call(
    call: dict[str, Any], member: str, parts: Iterator[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    yield call | {member: next(parts)}
    yield from ({member: part} for part in parts)


def _body(body: dict[str, Any], member: str, chunk: Chunk) -> Iterator[dict[str, Any]]:
    """`body` with the text of `member` empty, then that text in fragments."""
    text = body.get(member)
    if not isinstance(text, str):
        yield body
        return
    yield body | {member: ""}
    yield from ({member: fragment} for fragment in chunking.split(text, chunk))


Streamer = Callable[[Any, Any, Chunk], Iterator[Piece]]
"""`streamer(value, tokens, chunk)`: the pieces of a member; `tokens` are its logprobs, or None."""

MEMBERS: dict[str, Streamer] = {
    "content": partial(_text_member, "content"),
    "refusal": partial(_text_member, "refusal"),
    "annotations": _annotations,
    "audio": _audio,
    "function_call": _function_call,
    "tool_calls": _tool_calls,
}
"""The members that are streamed in pieces, in the order of sending. Nulls are not sent."""
