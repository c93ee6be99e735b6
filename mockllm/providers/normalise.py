"""Normalises messages for comparison, by rules that all APIs share.

Two messages are equal if they are the same JSON after normalisation. It removes members that the
API does not declare, null members and `cache_control`, replaces a list of one text part by its
text, and parses arguments that are JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard, TypeVar

from mockllm.errors import RequestError
from mockllm.limits import KIB
from mockllm.matching.effort import Effort
from mockllm.matching.message_predicates import (
    ItemsEqual,
    LastMessagePredicate,
    MessageContains,
    Relaxed,
)
from mockllm.matching.part_predicates import MessageHasParts
from mockllm.matching.parts import PER_PART, Part, TextNames, mark_texts
from mockllm.matching.predicate import Predicate
from mockllm.prompt import Message, MessagePart
from mockllm.prompt.message import ItemSizes
from mockllm.wire import json_encoding, jsontext

Members = Mapping[str, Any]
KnownMembers = Mapping[str, Collection[str]]
"""For each `type` of part, block or item, the members that the API declares."""

IGNORED = frozenset({"cache_control"})
MAX_ARGUMENTS = 128 * KIB  # characters of arguments that are compared as JSON: 2 ms
MAX_VALUES = 2_000  # of a message that is compared in detail
_LISTS = ("content", "output", "tool_calls")  # whose entries are normalised one by one
TEXT_TYPES = frozenset({"text", "input_text", "output_text"})


def known_members(value: Members, names: Collection[str] | None) -> dict[str, Any]:
    """The members in `names` (None: all members) that are neither null nor ignored."""
    return {
        name: member
        for name, member in value.items()
        if member is not None and name not in IGNORED and (names is None or name in names)
    }


def known_part(value: Any, known: KnownMembers) -> Any:
    """Reduce a part, block or item to the members that its type declares. An unknown type keeps all
    members."""
    if not isinstance(value, dict):
        return value
    return known_members(value, known.get(value.get("type", "")) if _is_tagged(value) else None)


def content(value: Any, part: Callable[[Any], Any]) -> Any:
    """Normalise a content: to its text if it is a string or one text part, else to its parts, each
    normalised by `part`."""
    if not isinstance(value, list):
        return value
    text = only_text(value)
    return [part(entry) for entry in value] if text is None else text


def only_text(value: Any) -> str | None:
    """The text of a content that is a string or a list of one text part, else None."""
    if isinstance(value, str):
        return value
    match value:
        case [{"type": str() as kind, "text": str() as text}] if kind in TEXT_TYPES:
            return text
        case _:
            return None


def arguments(value: Any) -> Any:
    """The value of a call's arguments if they are JSON, wrapped so that no other text equals it;
    else, and if they have more than `MAX_ARGUMENTS` characters, the arguments unchanged."""
    if not isinstance(value, str) or len(value) > MAX_ARGUMENTS:
        return value
    try:
        return {"json": jsontext.loads(value.encode("utf-8", "replace"))}
    except ValueError:
        return value


def sizes_of(normalise: Callable[[dict[str, Any]], Any]) -> ItemSizes:
    """Return the functions that tell how large an item is. `normalise` returns what its canonical
    form is made of."""

    def is_long(entries: Any, size: int) -> bool:
        if not isinstance(entries, list):
            return False
        return 2 * len(entries) > size or any(
            isinstance(each, dict)
            and each.get("type") == "tool_result"
            and is_long(each.get("content"), size)
            for each in entries
        )

    def is_longer(item: dict[str, Any], size: int) -> bool:
        long = {name: [None] for name in _LISTS if is_long(item.get(name), size)}
        compared = normalise(item | long)
        return any(name in compared for name in long) or jsontext.is_longer(compared, size)

    def has_many(item: dict[str, Any]) -> bool:
        return jsontext.has_many_values(item, MAX_VALUES)

    def without_lists(item: dict[str, Any]) -> dict[str, Any]:
        return item | {name: [] for name in _LISTS if isinstance(item.get(name), list)}

    return ItemSizes(is_longer, has_many, without_lists)


def texts(value: Any) -> Iterator[str]:
    """The texts of a content: the string itself, or those of its text parts and refusals."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            match part:
                case {"type": "refusal", "refusal": str() as text}:
                    yield text
                case {"type": str() as kind, "text": str() as text} if kind in TEXT_TYPES:
                    yield text


PARTS_AT_ONCE = 1_000  # of one content, that are read without a pause: 0.5 to 2 ms

MAX_FREED = 20  # normalised parts within a part, which are let go of at once

_Made = list[Any] | None

_JOINED_AT_ONCE = 256 * KIB  # characters; each time, they are added to those before
_T = TypeVar("_T")


def is_long(value: Any) -> TypeGuard[list[Any]]:
    """True for a list that is read in pieces."""
    return isinstance(value, list) and len(value) > PARTS_AT_ONCE


def read_in_slices(
    values: Any, read: Callable[[Any], Iterable[_T]]
) -> Generator[None, None, Sequence[_T]]:
    """Return what `read` gives of a value; of a long list, of which it reads each entry on its own,
    with pauses, as a list that has grown meanwhile. A string, which most contents are, is better
    read at once: this takes 0.2 µs."""
    if not is_long(values):
        return tuple(read(values))
    found: list[_T] = []
    for start in range(0, len(values), PARTS_AT_ONCE):
        found += read(values[start : start + PARTS_AT_ONCE])
        yield
    return found


def gather(found: Iterable[_T | None]) -> Generator[None, None, list[_T]]:
    """Return what is found, with a pause at each None."""
    gathered: list[_T] = []
    for each in found:
        if each is None:
            yield
        else:
            gathered.append(each)
    return gathered


def write_in_pieces(members: Members) -> Generator[None, None, str]:
    """The compact JSON of a large object, with pauses."""
    written, pieces, size = "", [], 0
    for piece in json_encoding.dumps_in_pieces(members):
        pieces.append(piece.decode())
        size += len(piece)
        if size > _JOINED_AT_ONCE:
            written += "".join(pieces)  # grows in place; to join 60 MB at once takes 40 ms
            pieces, size = [], 0
        yield
    written += "".join(pieces)
    return written


def text(value: Any) -> str:
    """`value` if it is a string, else the empty string."""
    return value if isinstance(value, str) else ""


def objects(value: Any) -> Iterable[dict[str, Any]]:
    """The objects in a list, in order; none if `value` is not a list."""
    if is_long(value):
        return (entry for entry in value if isinstance(entry, dict))
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def tool_names(tools: Any) -> Iterator[str]:
    """The names of a request's tools; of a tool without a name, its type. Those of a namespace and
    the allowed ones of an MCP server are offered too."""
    for tool in objects(tools):
        yield text(tool.get("name")) or text(tool.get("type"))
        for inner in objects(tool.get("tools")):
            yield text(inner.get("name")) or text(inner.get("type"))
        allowed = tool.get("allowed_tools")
        if isinstance(allowed, dict):
            allowed = allowed.get("tool_names")
        if isinstance(allowed, list):
            yield from (name for name in allowed if isinstance(name, str))


_MUST_CALL = frozenset({"required", "any"})
"""The choices by which the model must call some tool: of OpenAI and of Anthropic."""


def forced_tool(choice: Any, name_of: Callable[[Members], str], offered: Iterable[str]) -> str:
    """The name of the one tool that a request's `tool_choice` makes the model call; empty if the
    model may choose. `name_of` reads it from a choice that names a tool."""
    if isinstance(choice, dict):
        if name := name_of(choice):
            return name
        inner = choice.get("allowed_tools")  # Chat nests it
        allowed = inner if isinstance(inner, dict) else choice
        if isinstance(allowed.get("tools"), list):
            offered = [name_of(tool) for tool in objects(allowed["tools"])]
        choice = allowed.get("mode") or choice.get("type")
    if not (isinstance(choice, str) and choice in _MUST_CALL):
        return ""
    names = list(offered)
    return names[0] if len(names) == 1 else ""


def schema_names(output: Any) -> Iterator[str]:
    """The name of the schema in the format that a request asks for, else the schema's title."""
    if not isinstance(output, dict):
        return
    inner = output.get("json_schema")  # Chat nests it
    described = inner if isinstance(inner, dict) else output
    schema = described.get("schema")
    title = schema.get("title") if isinstance(schema, dict) else None
    name = text(described.get("name")) or text(title)
    if name:
        yield name


def check_role(message: Members, roles: Collection[str]) -> None:
    """Check the role of a mock's message.

    Raises:
        ValueError: the role is not one of `roles`.
    """
    role = message.get("role")
    if not isinstance(role, str) or role not in roles:
        found = jsontext.describe(role) if "role" in message else "nothing"
        raise ValueError(f"role: expected one of {', '.join(roles)}, found {found}")


def compile_exact(
    message: dict[str, Any],
    canonical: Callable[[Any], bytes],
    texts: tuple[str, ...],
    relaxed: LastMessagePredicate | None = None,
) -> Predicate:
    """Compile a mock's message, whose role is valid, to the condition that a request's is equal.
    `texts` are those of its content; `relaxed` is the condition with ``contains``, for a remedy."""
    remedy = None if relaxed is None else Relaxed(relaxed)
    return ItemsEqual.of(
        (message,),
        canonical,
        texts,
        message["role"],
        relaxed=remedy,
        named_calls=() if relaxed is None else relaxed.named_calls,
    )


def compile_contains(
    value: Any, role: str, parts: Iterable[MessagePart], text_names: TextNames
) -> MessageContains | MessageHasParts:
    """Compile a mock's content to the condition that a message of this `role` contains it: one text
    or, compared part by part, several texts and other parts. `parts` are those of the content.

    Raises:
        ValueError: the content is neither a string nor a list.
    """
    text = "" if value is None or value == [] else only_text(value)
    if text is not None:
        return MessageContains(text, role)
    if not isinstance(value, list):
        found = jsontext.json_type(value)
        raise ValueError(f"content: expected a string or a list of parts, found {found}")
    texts, others = [], []
    for part in parts:
        text = only_text([part.value])
        if text is None:
            others.append(compile_part(part, text_names))
        else:
            texts.append(text)
    return MessageHasParts(tuple(dict.fromkeys(texts)), tuple(others), role)


def compile_part(part: MessagePart, text_names: TextNames) -> Part:
    """Compile a part of a mock's message, in normalised form."""
    wanted = mark_texts(part.value, text_names)
    return Part(b"%b" % jsontext.canonical(wanted), wanted, part.call_id)


def spread_lazily(value: Any, part: Callable[[Any], Any]) -> Iterator[Any]:
    """What `spread` returns, one part after the other."""
    return map(part, value) if isinstance(value, list) else iter(spread(value))


def spread_in_pieces(
    value: Any, part: Callable[[Any, Effort], Generator[_Made, None, Any]], effort: Effort
) -> Generator[_Made, None, list[Any]]:
    """Return a list of parts, each normalised by `part`, with pauses (`Message.parts_of`)."""
    parts = []
    for each in value:
        parts.append((yield from part(each, effort)))
        if effort.is_much(PER_PART):
            yield None
    if len(parts) > MAX_FREED:
        yield parts
    return parts


def spread(value: Any, part: Callable[[Any], Any] = lambda part: part) -> list[Any]:
    """A content as a list of parts, each normalised by `part`: a string is one text part, unless it
    is empty."""
    if isinstance(value, str):
        return [{"type": "text", "text": value}] if value else []
    return [part(each) for each in value] if isinstance(value, list) else []


def last_and_turn(
    messages: list[Any], read: Callable[[Any], Message], prepared: Prepared | None = None
) -> tuple[Message, ...]:
    """The messages that rules compare: the last one and, if that is a system note, the turn
    before. Those that are `prepared` are not read again."""
    if prepared is not None:
        read = prepared.reader(read)
    elif not is_system_note(messages[-1]):
        return (read(messages[-1]),)
    last = read(messages[-1])
    turn = turn_before(messages, prepared)
    return (last,) if turn is None else (last, read(turn))


class Prepared(NamedTuple):
    """What has been done in pieces before a request is read: the `error` of its entries, and the
    messages that rules compare, by the `id` of their entry, as far as they are long. If the turn
    before system notes `is_known`, it is `turn`."""

    error: RequestError | None = None
    messages: Mapping[int, Message] = {}
    is_known: bool = False
    turn: Any | None = None

    def check(self) -> None:
        """Raise the error of the entries, if there is one."""
        if self.error is not None:
            raise self.error

    def reader(self, read: Callable[[Any], Message]) -> Callable[[Any], Message]:
        """Return `read`, but for the messages that are made."""

        def read_other(entry: Any) -> Message:
            message = self.messages.get(id(entry))
            return read(entry) if message is None else message

        return read_other


Preparing = Generator[None, None, Prepared]
"""Checks the entries of a request, and makes the messages of `Prepared`, with pauses."""


def last_in_pieces(
    entries: Any, read: Callable[[Any], Generator[None, None, Message | None]]
) -> Preparing:
    """Make the messages of `last_and_turn` that are long, with pauses; `read` makes one, None if it
    is not long. `entries` are valid."""
    if not isinstance(entries, list) or not entries:
        return Prepared()
    turn = yield from _after_system_notes(entries)
    messages: dict[int, Message] = {}
    for entry in (entries[-1], turn):
        message = None if entry is None else (yield from read(entry))
        if message is not None:
            messages[id(entry)] = message
    return Prepared(None, messages, is_known=True, turn=turn)


def turn_before(entries: list[Any], prepared: Prepared | None) -> Any | None:
    """The last entry that is not a system note, if a note follows it; else None. Agents append
    notes of their own after the user's turn. It is not looked for if it is `prepared`."""
    if prepared is not None and prepared.is_known:
        return prepared.turn
    if not is_system_note(entries[-1]):
        return None
    turns = (message for message in reversed(entries) if not is_system_note(message))
    return next(turns, None)


def _after_system_notes(entries: list[Any]) -> Generator[None, None, Any | None]:
    """Return what `turn_before` does, with pauses."""
    if not is_system_note(entries[-1]):
        return None
    for back, entry in enumerate(reversed(entries), 1):
        if not is_system_note(entry):
            return entry
        if not back % PARTS_AT_ONCE:
            yield
    return None


def is_system_note(message: Any) -> bool:
    """True for a system or developer message: instructions are not turns of the conversation."""
    return isinstance(message, dict) and message.get("role") in ("system", "developer")


def _is_tagged(value: Members) -> bool:
    return isinstance(value.get("type"), str)
