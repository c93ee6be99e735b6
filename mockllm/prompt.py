"""A request as the rules see it.

A prompt is a read-only view made for matching and never a translation: what goes back on the wire
stays in the API's own format. APIs make prompts (`API.decode`), `matching` reads them.

The last messages are read from every request. The rest of the conversation is read when a rule asks
for it, and once at most: reading 40 messages takes longer than all else that is done for a request.
It is read into the same values whichever API it came in by, so that one condition serves them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

Body = Mapping[str, Any]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ResponseOptions:
    """The form in which the client wants its answer. Options that an API does not have keep their
    defaults.

    Hashable: a reply is rendered once for each combination in use.
    """

    stream: bool = False
    include_usage: bool = False
    """Chat: `stream_options.include_usage`."""
    include_obfuscation: bool = True
    """Chat and Responses: `stream_options.include_obfuscation`."""
    base64: bool = False
    """Embeddings: `encoding_format` is ``base64``."""


NOT_STREAMED = ResponseOptions()
STREAMED = ResponseOptions(stream=True)


# --- The conversation ----------------------------------------------------------------------------


class ToolCall(NamedTuple):
    """A tool that the model called, and the id that its result must name."""

    call_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ConversationMessage:
    """What one side said: `role` is ``user``, ``assistant`` or ``tool``.

    One answer of the model is one message, over however many messages or items a request spreads
    it. The instructions of the system and the developer are not part of the conversation.
    """

    role: str
    texts: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolResult(ConversationMessage):
    """The result of one call. `name` is the tool's, empty if the call is not in the request."""

    role: str = "tool"
    call_id: str = ""
    name: str = ""
    error: bool = False


def _nothing(body: Body) -> tuple[()]:
    return ()


class Readers(NamedTuple):
    """The functions by which an API reads the conversation from a body that it has decoded. They
    never raise, whatever is in it that an SDK would refuse."""

    messages: Callable[[Body], Iterable[ConversationMessage]] = _nothing
    """The messages in order, answers in as many as the request has; results without names, except
    where the request has them."""

    system: Callable[[Body], Iterable[str]] = _nothing
    """The texts of all instructions, in order."""

    tools: Callable[[Body], Iterable[str]] = _nothing
    """The names of the tools that are offered; of one without a name, its type."""


NO_CONVERSATION = Readers()


# --- The prompt ----------------------------------------------------------------------------------

# Messages and prompts are frozen in spirit only: one of each is made for every request, and being
# frozen would cost a microsecond each.


@dataclass(slots=True)
class Message:
    """The last message of a request, or the one before the system's notes.

    Chat and Messages: one message (`role`, its `texts`, `items` of one). Responses: the whole input
    (`items`) with the texts of its last item. Where only the texts may match, `items` is None and
    nothing is ever equal to it. `search_texts` are the texts in which a rule looks for its own: the
    message's, and in Responses the item's JSON too.
    """

    role: str
    texts: tuple[str, ...]
    search_texts: tuple[str, ...]
    items: Sequence[Any] | None
    canonical: Callable[[Any], bytes]
    """The canonical form of one item: equal bytes if and only if the items mean the same."""
    _tails: dict[int, bytes] = field(default_factory=dict, repr=False, compare=False)
    _keys: list[bytes] = field(default_factory=list, repr=False, compare=False)
    """The canonical forms of the last items, the last one first."""

    @property
    def size(self) -> int:
        """The number of items; -1 where only the texts may match."""
        return -1 if self.items is None else len(self.items)

    def key_of_last(self, size: int) -> bytes:
        """The canonical form of the last `size` items. Made on first use and remembered:
        a conversation is long, and most rules are about texts."""
        known = self._tails.get(size)
        if known is None:
            items, keys = self.items or (), self._keys
            while len(keys) < size:
                keys.append(self.canonical(items[-1 - len(keys)]))
            known = b",".join(reversed(keys[:size]))
            self._tails[size] = known
        return known


@dataclass(slots=True)
class Prompt:
    """A request as the rules see it.

    `endpoint` is the name of the API (``openai``), `last_messages` the one or two messages that a
    rule may match, the preferred one first, `body` the decoded request.
    """

    endpoint: str
    model: str
    last_messages: tuple[Message, ...]
    options: ResponseOptions
    body: Body
    readers: Readers = NO_CONVERSATION
    _readings: dict[Callable[[Prompt], Any], Any] | None = field(
        default=None, repr=False, compare=False
    )

    @property
    def text(self) -> str:
        """The last text of the last message (agents put their reminders first). Empty if there is
        none."""
        texts = self.last_messages[-1].texts
        return texts[-1] if texts else ""

    def messages(self) -> tuple[ConversationMessage, ...]:
        """The whole conversation in order, without instructions."""
        return self._once(_read_messages)

    def last_turn(self) -> tuple[ConversationMessage, ...]:
        """Everything after the model's last answer. Where a request ends in words that the model
        is to continue (a prefill), they belong to the answer to come."""
        return self._once(_read_last_turn)

    def tool_results(self) -> tuple[ToolResult, ...]:
        """The results of all calls, in order."""
        return self._once(_read_tool_results)

    def system(self) -> tuple[str, ...]:
        """The texts of all instructions: of the system and the developer, wherever they stand."""
        return self._once(_read_system)

    def tools(self) -> tuple[str, ...]:
        """The names of the tools that are offered."""
        return self._once(_read_tools)

    def _once(self, read: Callable[[Prompt], _T]) -> _T:
        if self._readings is None:
            self._readings = {}
        if read not in self._readings:
            self._readings[read] = read(self)
        reading: _T = self._readings[read]
        return reading


def _read_messages(prompt: Prompt) -> tuple[ConversationMessage, ...]:
    messages = _join_answers(prompt.readers.messages(prompt.body))
    names = {call.call_id: call.name for message in messages for call in message.calls}
    return tuple(
        replace(message, name=names.get(message.call_id, ""))
        if isinstance(message, ToolResult) and not message.name
        else message
        for message in messages
    )


def _join_answers(messages: Iterable[ConversationMessage]) -> list[ConversationMessage]:
    """The messages, each run of the assistant's as one."""
    joined: list[ConversationMessage] = []
    for message in messages:
        if message.role == "assistant" and joined and joined[-1].role == "assistant":
            last = joined[-1]
            joined[-1] = replace(
                last, texts=last.texts + message.texts, calls=last.calls + message.calls
            )
        else:
            joined.append(message)
    return joined


def _read_last_turn(prompt: Prompt) -> tuple[ConversationMessage, ...]:
    messages = prompt.messages()
    end = len(messages)
    if messages and _is_prefill(messages[-1]):
        end -= 1
    answers = (at for at in reversed(range(end)) if messages[at].role == "assistant")
    return messages[next(answers, -1) + 1 : end]


def _is_prefill(last: ConversationMessage) -> bool:
    return last.role == "assistant" and bool(last.texts) and not last.calls


def _read_tool_results(prompt: Prompt) -> tuple[ToolResult, ...]:
    return tuple(message for message in prompt.messages() if isinstance(message, ToolResult))


def _read_system(prompt: Prompt) -> tuple[str, ...]:
    return tuple(prompt.readers.system(prompt.body))


def _read_tools(prompt: Prompt) -> tuple[str, ...]:
    return tuple(prompt.readers.tools(prompt.body))
