"""A request as the rules see it.

A prompt is a read-only view for matching, not a translation: responses stay in the API's own
format. APIs create prompts (`API.decode`), `matching` reads them.

The last messages of every request are decoded at once. The rest of the conversation is decoded on
first use and cached, because decoding 40 messages takes longer than everything else that is done
for a request. The result has the same form for all APIs, so one condition works with each of them.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar, cast

Body = Mapping[str, Any]
_T = TypeVar("_T")


class ResponseOptions(NamedTuple):
    """The form of response that a client requests. Options that an API lacks have their defaults.

    Hashable in little time, because a reply is rendered once for each combination in use.
    """

    stream: bool = False
    include_usage: bool = False
    """Chat: `stream_options.include_usage`."""
    include_obfuscation: bool = True
    """Chat and Responses: `stream_options.include_obfuscation`."""
    base64: bool = False
    """Embeddings: `encoding_format` is ``base64``."""


MESSAGES_AT_ONCE = 500
"""Messages that are read without a pause: 1 to 3 ms."""
CALLS_AT_ONCE = 5_000
"""Calls whose names are kept without a pause: 0.5 ms."""

NOT_STREAMED = ResponseOptions()
STREAMED = ResponseOptions(stream=True)


def slices(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Yield `values`, as many at a time as are read without a pause."""
    for start in range(0, len(values), MESSAGES_AT_ONCE):
        yield values[start : start + MESSAGES_AT_ONCE]


def tuple_or_list(values: list[_T]) -> Sequence[_T]:
    """Return `values` as a tuple, many as they are."""
    return values if len(values) > MESSAGES_AT_ONCE else tuple(values)


# --- The conversation ----------------------------------------------------------------------------


class ToolCall(NamedTuple):
    """A call of a tool by the model. `call_id` links it to its result."""

    call_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ConversationMessage:
    """A message of one side; `role` is ``user``, ``assistant`` or ``tool``.

    One answer of the model is one message, even where a request splits it into several messages or
    items. System and developer messages are not part of the conversation. Many texts or calls,
    which are read in pieces, are lists: a new tuple takes 10 ms to be looked at for garbage.
    """

    role: str
    texts: Sequence[str] = ()
    calls: Sequence[ToolCall] = ()

    @property
    def text(self) -> str:
        """All texts, joined by a newline."""
        return "\n".join(self.texts)


@dataclass(frozen=True, slots=True)
class ToolResult(ConversationMessage):
    """The result of one call. `name` is that of the tool, empty if the request does not contain the
    call; `error` is True if the tool failed."""

    role: str = "tool"
    call_id: str = ""
    name: str = ""
    error: bool = False


class Earlier(NamedTuple):
    """The part of a conversation that a request does not repeat, because the service stores it."""

    answers: int = 0
    """The number of the model's answers."""
    step: int = 0
    """The number of them since the user's last words."""
    last_user: tuple[str, ...] = ()
    """The user's last words."""
    calls: tuple[ToolCall, ...] = ()


def _nothing(body: Body) -> tuple[()]:
    return ()


def _no_name(body: Body) -> str:
    return ""


def _is_whole(body: Body) -> bool:
    return False


def _no_limit(body: Body) -> None:
    return None


class Readers(NamedTuple):
    """Functions of an API that read the conversation from a decoded body. They never raise, even if
    the body contains members that an SDK would reject."""

    messages: Callable[[Body], Iterable[ConversationMessage | None]] = _nothing
    """The messages in order, and None for each pause in reading a long one. An answer may be split
    as in the request; tool results have a name only where the request states it."""

    system: Callable[[Body], Iterable[str]] = _nothing
    """The texts of all system and developer messages, in order."""

    tools: Callable[[Body], Iterable[str]] = _nothing
    """The names of the available tools; the type of a tool that has no name."""

    schemas: Callable[[Body], Iterable[str]] = _nothing
    """The name of the output's schema, if there is one."""

    forced_tool: Callable[[Body], str] = _no_name
    """The name of the one tool that the model must call; empty if the model may choose."""

    continues: Callable[[Body], bool] = _is_whole
    """True if the request continues a conversation that the service stores (Responses)."""

    output_limit: Callable[[Body], int | None] = _no_limit
    """The number of tokens that the answer may have; None if there is no limit."""

    conversation: str | None = None
    """The member of the body that is the list of the conversation's messages or items, each of
    which can be read without the others; None if there is no such list."""


NO_CONVERSATION = Readers()


# --- The prompt ----------------------------------------------------------------------------------

# Messages and prompts are not to be modified, but are not frozen dataclasses: those take a
# microsecond longer to create, and each request needs one of each.


class MessagePart(NamedTuple):
    """A part, block or item in a normalised form. `call_id` is that of the call whose result it is;
    empty if it is none."""

    value: Any
    call_id: str = ""


def _no_parts(item: Any) -> tuple[()]:
    return ()


@dataclass(slots=True)
class Message:
    """The last message of a request, or the one before trailing system messages.

    Chat and Messages: a single message, which is the only one of its `items`. Responses: the whole
    input as `items`, with the role and the texts of the last one. `items` is None if a message can
    be matched by its texts only; no rule equals it then. `texts` are its words; `search_texts` are
    all texts that ``contains`` searches, also those of documents, calls and the like, and for
    Responses the JSON of the last item.
    """

    role: str
    texts: Sequence[str]
    search_texts: Sequence[str]
    items: Sequence[Any] | None
    canonical: Callable[[Any], bytes]
    """Returns the canonical form of one item: equal bytes if and only if the items are equivalent.
    """
    parts_of: Callable[[Any], Iterable[MessagePart]] = _no_parts
    """Returns the parts of one item."""
    content: str | Sequence[Any] = field(default="", repr=False, compare=False)
    """The content of the last item, if it is one text, or entries that are read in pieces."""
    _keys_by_size: dict[int, bytes] | None = field(default=None, repr=False, compare=False)
    _item_keys: list[bytes] | None = field(default=None, repr=False, compare=False)
    """The canonical forms of the last items, in reverse order."""
    _parts: tuple[MessagePart, ...] | None = field(default=None, repr=False, compare=False)

    @property
    def size(self) -> int:
        """The number of items; -1 if `items` is None."""
        return -1 if self.items is None else len(self.items)

    @property
    def entries(self) -> int:
        """The number of entries in `content`. Each takes 2 to 4 µs in the canonical form."""
        return 0 if isinstance(self.content, str) else len(self.content)

    @property
    def least_size(self) -> int:
        """Bytes that the canonical form of the last item has at least: to make that of a large
        message takes long, and is no use where it is longer than what it is compared with."""
        if isinstance(self.content, str):
            return len(self.content)
        return 2 * len(self.content)  # a byte for each entry, and one between two

    def is_longer(self, size: int, longest: int) -> bool:
        """Return True if `key_of_last` has certainly more than `longest` bytes."""
        return self.least_size > longest and size > 0

    def key_of_last(self, size: int) -> bytes:
        """Return the canonical form of the last `size` items. Computed on first use and cached,
        because conversations are long and most rules compare texts only."""
        if self._keys_by_size is None or self._item_keys is None:
            self._keys_by_size, self._item_keys = {}, []
            if self.items is not None and size == len(self.items) == 1:  # as nearly always
                only = self.canonical(self.items[0])
                self._keys_by_size[1] = only
                self._item_keys.append(only)
                return only
        key = self._keys_by_size.get(size)
        if key is None:
            items, keys = self.items or (), self._item_keys
            while len(keys) < size:
                keys.append(self.canonical(items[-1 - len(keys)]))
            key = b",".join(reversed(keys[:size]))
            self._keys_by_size[size] = key
        return key

    def parts(self) -> tuple[MessagePart, ...]:
        """Return the parts of the last item. Computed on first use and cached, because most rules
        do not look at them."""
        if self._parts is None:
            self._parts = tuple(self.parts_of(self.items[-1])) if self.items else ()
        return self._parts

    def call_ids(self) -> tuple[str, ...]:
        """Return the ids of the calls whose results are in the last item."""
        return tuple(part.call_id for part in self.parts() if part.call_id)


@dataclass(slots=True)
class Prompt:
    """A request as the rules see it.

    `endpoint` is the name of the API (``openai``) and `body` the decoded request. `last_messages`
    are the one or two messages that a rule may match, in order of preference.
    """

    endpoint: str
    model: str
    last_messages: tuple[Message, ...]
    options: ResponseOptions
    body: Body
    readers: Readers = NO_CONVERSATION
    earlier: Earlier | None = None
    """The part of the conversation that is not in `body`; None if it is not known or there is none.
    """
    inputs: int = 1
    """The number of inputs that are answered one by one: more than one in Embeddings only."""
    verdicts: dict[Any, Any] | None = field(default=None, repr=False, compare=False)
    """What was decided in pieces: conditions, each with whether it holds, and look-ups, with what
    they have found; None if nothing was."""
    leftovers: list[Any] | None = field(default=None, repr=False, compare=False)
    """Where what is read of a large request is kept in small parts, too, to be let go of one by one
    (`engine.decision.DividedWork`); None for other requests."""
    _readings: dict[Callable[[Prompt], Any], Any] | None = field(
        default=None, repr=False, compare=False
    )

    @property
    def text(self) -> str:
        """The last text of the last message, because agents put reminders before the user's text.
        Empty if there is none."""
        texts = self.last_messages[-1].texts
        return texts[-1] if texts else ""

    def messages(self) -> Sequence[ConversationMessage]:
        """Return the whole conversation in order, without system and developer messages."""
        return self.once(read_messages)

    def last_turn(self) -> Sequence[ConversationMessage]:
        """Return the messages after the model's last answer. A prefill, the start of an answer that
        the model is to continue, is neither part of the turn nor an answer."""
        return self.once(_read_last_turn)

    def turns(self) -> Sequence[Sequence[ConversationMessage]]:
        """Return the messages before each of the model's answers, the requested one included: at
        least one turn, of which the last is `last_turn`. A turn may be empty."""
        return self.once(read_turns)

    def system(self) -> Sequence[str]:
        """Return the texts of all system and developer messages, in order."""
        return self.once(read_system)

    def tools(self) -> Sequence[str]:
        """Return the names of the available tools; the type of a tool that has no name."""
        return self.once(read_tools)

    def is_known(self) -> bool:
        """Return False if the request continues a conversation that is not known here."""
        return self.earlier is not None or not self.readers.continues(self.body)

    def schemas(self) -> tuple[str, ...]:
        """Return the name of the output's schema and that of the tool which the model must call,
        as far as there are any: clients ask for structured output in either way."""
        return self.once(_read_schemas)

    def forced_tool(self) -> str:
        """Return the name of the one tool that the model must call; empty if it may choose."""
        return self.readers.forced_tool(self.body)

    def output_limit(self) -> int | None:
        """Return the number of tokens that the answer may have; None if there is no limit."""
        return self.readers.output_limit(self.body)

    def keep_verdict(self, condition: Any, holds: Any) -> None:
        """Remember whether a condition holds, so that it need not be decided again."""
        if self.verdicts is None:
            self.verdicts = {}
        self.verdicts[condition] = holds

    def let_go_later(self, values: Iterable[Sequence[Any]]) -> None:
        """Add those of `values` that are lists, which are long, to the leftovers of a large
        request."""
        if self.leftovers is not None:
            self.leftovers += (each for each in values if isinstance(each, list))

    def has_read(self, read: Callable[[Prompt], Any]) -> bool:
        """Return True if `once` has the result of `read`."""
        return self._readings is not None and read in self._readings

    def keep(self, read: Callable[[Prompt], _T], result: _T) -> None:
        """Keep the result of `read`, which `once` then returns."""
        if self._readings is None:
            self._readings = {}
        self._readings[read] = result

    def once(self, read: Callable[[Prompt], _T]) -> _T:
        """Return `read` of this prompt, computed at the first call and cached."""
        if self._readings is None:
            self._readings = {}
        if read not in self._readings:
            self._readings[read] = read(self)
        reading: _T = self._readings[read]
        return reading


def read_messages(prompt: Prompt) -> Sequence[ConversationMessage]:
    pieces = read_messages_in_pieces(prompt)
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            messages: list[ConversationMessage] = end.value
            return tuple(messages)


def bodies_in_slices(prompt: Prompt) -> Iterator[Body]:
    """Yield the body of a request, which is read in one piece; of a long conversation, the body
    with its first `MESSAGES_AT_ONCE` entries, then as many of the others at a time alone."""
    member = prompt.readers.conversation
    entries = prompt.body.get(member or "")
    if member is None or not isinstance(entries, list) or len(entries) <= MESSAGES_AT_ONCE:
        yield prompt.body
        return
    others: Body = prompt.body
    for entries_at_once in slices(entries):
        yield ChainMap({member: entries_at_once}, cast("dict[str, Any]", others))
        others = {}


def read_messages_in_pieces(
    prompt: Prompt,
) -> Generator[bool, None, list[ConversationMessage]]:
    """Return the messages, with those of one answer merged, and with pauses."""
    joined: list[ConversationMessage] = []
    answer: _Answer | None = None  # the last message, if it is several in the request
    names = {call.call_id: call.name for call in prompt.earlier.calls} if prompt.earlier else {}
    unnamed = False
    read = 0
    for number, body in enumerate(bodies_in_slices(prompt)):
        if number:
            yield False
        for message in prompt.readers.messages(body):
            if message is None:
                yield False
                continue
            read += 1
            if not read % MESSAGES_AT_ONCE:
                yield False
            prompt.let_go_later((message.texts, message.calls))
            if message.calls:
                yield from _keep_names(message.calls, names)
            if message.role == "assistant" and joined and joined[-1].role == "assistant":
                answer = answer or _Answer(joined[-1])
                answer.add(message)
                continue
            if answer is not None:
                joined[-1], answer = answer.message(), None
            unnamed = unnamed or (isinstance(message, ToolResult) and not message.name)
            joined.append(message)
    if answer is not None:
        joined[-1] = answer.message()
    if unnamed:
        yield from _name_results(joined, names)
    return joined


class _Answer:
    """The messages of one answer, which are merged when all of them are known: each time, it would
    take as long as there are messages before."""

    def __init__(self, first: ConversationMessage) -> None:
        self._first = first
        self._texts = [*first.texts]
        self._calls = [*first.calls]

    def add(self, message: ConversationMessage) -> None:
        self._texts += message.texts
        self._calls += message.calls

    def message(self) -> ConversationMessage:
        texts, calls = tuple_or_list(self._texts), tuple_or_list(self._calls)
        return replace(self._first, texts=texts, calls=calls)


def _keep_names(calls: Sequence[ToolCall], names: dict[str, str]) -> Iterator[bool]:
    """Add the names of calls by their ids, with pauses."""
    for start in range(0, len(calls), CALLS_AT_ONCE):
        if start:
            yield False
        names.update(calls[start : start + CALLS_AT_ONCE])


def _name_results(
    joined: Iterable[ConversationMessage], names: Mapping[str, str]
) -> Iterator[bool]:
    """Give the results without a name that of their call, with pauses. They are made for this
    prompt and nobody else has seen them, so they are changed: as many new ones would all be young
    garbage at once."""
    for place, message in enumerate(joined, 1):
        if isinstance(message, ToolResult) and not message.name:
            object.__setattr__(message, "name", names.get(message.call_id, ""))
        if not place % MESSAGES_AT_ONCE:
            yield False


def _read_last_turn(prompt: Prompt) -> Sequence[ConversationMessage]:
    return prompt.turns()[-1]


def read_turns(prompt: Prompt) -> Sequence[Sequence[ConversationMessage]]:
    """The reading of `Prompt.turns`."""
    turns = Turns()
    turns.add(messages_of_turns(prompt))
    return tuple(map(tuple, turns.result()))


def messages_of_turns(prompt: Prompt) -> Sequence[ConversationMessage]:
    """Return the messages without a prefill."""
    messages = prompt.messages()
    return messages[:-1] if messages and _is_prefill(messages[-1]) else messages


class Turns:
    """Divides messages, which are added in order, into the turns before and between answers."""

    def __init__(self) -> None:
        self._over: list[Sequence[ConversationMessage]] = []
        self._open: list[ConversationMessage] = []

    def add(self, messages: Iterable[ConversationMessage]) -> None:
        """Add further messages."""
        over, turn = self._over, self._open
        for message in messages:
            if message.role == "assistant":
                over.append(tuple(turn))
                turn.clear()
            else:
                turn.append(message)

    def result(self) -> list[Sequence[ConversationMessage]]:
        """Return all turns, of which the last one is over with that; no more can be added."""
        self._over.append(self._open)
        return self._over


def _is_prefill(last: ConversationMessage) -> bool:
    return last.role == "assistant" and bool(last.texts) and not last.calls


def read_system(prompt: Prompt) -> Sequence[str]:
    return tuple(prompt.readers.system(prompt.body))


def read_tools(prompt: Prompt) -> Sequence[str]:
    return tuple(prompt.readers.tools(prompt.body))


def _read_schemas(prompt: Prompt) -> tuple[str, ...]:
    forced = prompt.forced_tool()
    schemas = tuple(prompt.readers.schemas(prompt.body))
    return (*schemas, forced) if forced else schemas
