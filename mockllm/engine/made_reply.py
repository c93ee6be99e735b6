"""Replies with texts that are made for each request: generated words, an echo.

A made reply is made in pieces, because a long one takes milliseconds. The result is a neutral
reply, which an API renders like one that is written.

The token limit of the request cuts the texts that are generated, in the order in which a model
writes: its reasoning, then its text. What follows a text that was cut is left out, and the model
stops for the reason ``length``. Written texts are never cut, but count.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import NamedTuple

from mockllm.exchange import Request
from mockllm.limits import KIB
from mockllm.matching import readings
from mockllm.prompt import Prompt
from mockllm.providers.reply import NeutralReply, NeutralUsage
from mockllm.replies.generated import generate_words
from mockllm.wire import tokens


class Asked(NamedTuple):
    """A request that an answer is made for."""

    prompt: Prompt
    request: Request


class GeneratedWords(NamedTuple):
    """Words without a meaning, each of which is one token."""

    tokens: int


class EchoedWords(NamedTuple):
    """A text that repeats the user's last words."""


Part = str | GeneratedWords | EchoedWords
"""A text of a reply, written or made."""

MAX_SMALL = 64 * KIB  # characters of a reply that need not be rendered in a turn of its own
MAX_KEY = 64 * KIB
"""Bytes of a request that generated words depend on, beside its size: all of it would take
milliseconds for a large one."""


@dataclass(frozen=True, slots=True)
class MadeReply:
    """A reply of which some texts are made; `rest` is the reply without these two."""

    rest: NeutralReply
    text: Part | None
    reasoning: Part | None

    @property
    def looks_back(self) -> bool:
        """True if it depends on what a request continues."""
        return EchoedWords() in (self.text, self.reasoning)

    def make(self, asked: Asked) -> Generator[bool, None, NeutralReply]:
        """Return the reply to a request, made in pieces (`decision.Pieces`)."""
        making = _Making(asked)
        reasoning = yield from making.make(self.reasoning, b"reasoning")
        thought = making.tokens
        text = yield from making.make(self.text, b"text")
        reply = replace(self.rest, text=text, reasoning=reasoning or None)
        if making.is_cut:
            reply = replace(reply, text=text or None, calls=(), finish="length")
        if len(text or "") + len(reasoning or "") > MAX_SMALL:
            yield True
        said = making.tokens - thought
        said += sum(tokens.estimate(call.arguments) for call in reply.calls)
        return replace(reply, usage=_counted(reply.usage, said, thought))


class _Making:
    """The texts of one reply while they are made. `tokens` counts those that are made, `is_cut` is
    True once one was cut."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._limit = asked.prompt.output_limit()
        self.tokens = 0
        self.is_cut = False

    def make(self, part: Part | None, place: bytes) -> Generator[bool, None, str | None]:
        """Return the text of `part`, made in pieces; None if an earlier one was cut. Texts at
        different places of a reply differ."""
        if part is None or self.is_cut:
            return None
        match part:
            case GeneratedWords(count):
                return (yield from self._generate(self._take(count), place))
            case EchoedWords():
                return self._echo(echoed_words(self._asked.prompt))
        self.tokens += tokens.estimate(part)
        return part

    def _take(self, count: int) -> int:
        """Return how many of `count` tokens are within the limit, and count them."""
        if self._limit is not None and self.tokens + count > self._limit:
            self.is_cut = True
            count = max(self._limit - self.tokens, 0)
        self.tokens += count
        return count

    def _generate(self, count: int, place: bytes) -> Generator[bool, None, str]:
        slices: list[str] = []
        for piece in generate_words(_key_of(self._asked.request, place), count):
            if slices:
                yield False
            slices.append(piece)
        return "".join(slices)

    def _echo(self, words: str) -> str:
        count = self._take(tokens.estimate(words))
        return tokens.first_tokens(words, count) if self.is_cut else words


def echoed_words(prompt: Prompt) -> str:
    """Return the user's last words: the last text of the message, because agents put reminders
    before it. Empty if there is none."""
    words = readings.last_user(prompt)
    return words[-1] if words else ""


def _key_of(request: Request, place: bytes) -> bytes:
    """Return bytes that are the same for the same request and place."""
    body = request.body
    return b"%b %b %d %b" % (place, request.path.encode(), len(body), body[-MAX_KEY:])


def _counted(written: NeutralUsage, said: int, thought: int) -> NeutralUsage:
    """Return the counts of a made reply. What is written stays."""
    if written.output is not None:
        return written
    reasoning = thought if written.reasoning is None else written.reasoning
    return written._replace(output=said + reasoning, reasoning=reasoning)
