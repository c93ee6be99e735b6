"""A request as the rules see it, and the ways in which its response may be requested."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from mockllm.pieces import Pieces, finish
from mockllm.prompt.conversation import (
    NO_CONVERSATION,
    Body,
    ConversationMessage,
    Earlier,
    Readers,
    TurnDivider,
    is_prefill,
    read_in_pieces,
)
from mockllm.prompt.message import Message

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


NOT_STREAMED = ResponseOptions()
STREAMED = ResponseOptions(stream=True)


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
    is_plain: bool = field(default=False, repr=False, compare=False)
    """True if each message of the conversation is known to be a `role` and a text, its `content`,
    alone, which every type of an SDK allows, as it does the model. They are not many, and the last
    one is the user's."""
    is_valid: bool = field(default=False, repr=False, compare=False)
    """True if it is known that the SDK's type allows all of the request."""
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
    """The reading of `Prompt.messages`."""
    return tuple(finish(read_messages_in_pieces(prompt)))


def read_messages_in_pieces(prompt: Prompt) -> Pieces[list[ConversationMessage]]:
    """Do what `read_messages` does, with pauses."""
    return read_in_pieces(prompt.readers, prompt.body, prompt.earlier, prompt.let_go_later)


def _read_last_turn(prompt: Prompt) -> Sequence[ConversationMessage]:
    return prompt.turns()[-1]


def read_turns(prompt: Prompt) -> Sequence[Sequence[ConversationMessage]]:
    """The reading of `Prompt.turns`."""
    turns = TurnDivider()
    turns.add(messages_of_turns(prompt))
    return tuple(map(tuple, turns.result()))


def messages_of_turns(prompt: Prompt) -> Sequence[ConversationMessage]:
    """Return the messages without a prefill."""
    messages = prompt.messages()
    return messages[:-1] if messages and is_prefill(messages[-1]) else messages


def read_system(prompt: Prompt) -> Sequence[str]:
    """The reading of `Prompt.system`."""
    return tuple(prompt.readers.system(prompt.body))


def read_tools(prompt: Prompt) -> Sequence[str]:
    """The reading of `Prompt.tools`."""
    return tuple(prompt.readers.tools(prompt.body))


def _read_schemas(prompt: Prompt) -> tuple[str, ...]:
    forced = prompt.forced_tool()
    schemas = tuple(prompt.readers.schemas(prompt.body))
    return (*schemas, forced) if forced else schemas
