"""Replies with texts that are made for each request: generated words, an echo, templates.

A made reply is made in pieces, because a long one takes milliseconds. The result is a neutral
reply, which an API renders like one that is written.

The token limit of the request cuts the texts that are generated, in the order in which a model
writes: its reasoning, then its text. What follows a text that was cut is left out, and the model
stops for the reason ``length``. Other texts are never cut, but count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from mockllm.engine.asked import Asked
from mockllm.engine.template_values import LOOKING_BACK, READINGS, read_values
from mockllm.errors import MockLLMError
from mockllm.exchange import Request
from mockllm.limits import KIB
from mockllm.matching.divided_readings import in_pieces
from mockllm.pieces import Pieces, drain
from mockllm.providers.reply import NeutralReply, NeutralUsage
from mockllm.replies.generated import generate_words
from mockllm.replies.template_bounds import Budget, TemplateError
from mockllm.replies.templates import Template
from mockllm.wire import jsontext, tokens
from mockllm.wire.json_encoding import dumps_in_pieces, takes_long

MAX_SMALL = 64 * KIB  # characters of a reply that need not be rendered in a turn of its own
CALLS_AT_ONCE = 100  # that are made without a pause: 3 ms if each has a template
VALUES_AT_ONCE = 1_000  # of JSON that are looked at without a pause: 1 ms
MAX_KEY = 64 * KIB
"""Bytes of a request that generated words depend on, beside its size: all of it would take
milliseconds for a large one."""


class GeneratedWords(NamedTuple):
    """Words without a meaning, each of which is one token."""

    tokens: int


class EchoedWords(NamedTuple):
    """A text that repeats the user's last words."""


class MadeValue(NamedTuple):
    """A JSON value that has `templates` in it, each in place of a text."""

    value: Any
    templates: tuple[Template, ...]


Part = str | GeneratedWords | EchoedWords | Template | MadeValue
"""A text of a reply, written or made."""


class MadeReplyError(MockLLMError):
    """A reply cannot be made. `path` is the place in the mock, `reason` says why, and `shown` is an
    exception of the author whose traceback is logged."""

    def __init__(self, path: str, reason: str, shown: BaseException | None = None) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason
        self.shown = shown

    def within(self, path: str) -> MadeReplyError:
        """Return the error with its place within that of an entry."""
        return MadeReplyError(f"{path}.{self.path}" if path else self.path, self.reason, self.shown)


@dataclass(frozen=True, slots=True)
class MadeReply:
    """A reply of which some texts are made. `rest` is the reply with examples in place of the texts
    that are parts here; `arguments` are those of its calls, in order. `text_path` is where the text
    stands in it."""

    rest: NeutralReply
    text: Part | None = None
    reasoning: Part | None = None
    refusal: Part | None = None
    arguments: tuple[Part, ...] = ()
    json: Part | None = None
    text_path: tuple[str, ...] = ("text",)

    @property
    def is_written(self) -> bool:
        """True if nothing of it is made."""
        return all(isinstance(part, str) for part in self._parts())

    @property
    def is_generated(self) -> bool:
        """True if it has generated or echoed words, whose tokens are counted."""
        texts = (self.reasoning, self.text, self.refusal)
        return any(isinstance(part, (GeneratedWords, EchoedWords)) for part in texts)

    @property
    def looks_back(self) -> bool:
        """True if it depends on what a request continues."""
        used = {name for part in self._parts() for each in _templates(part) for name in each.names}
        return EchoedWords() in self._parts() or not used.isdisjoint(LOOKING_BACK)

    def make(self, asked: Asked, now: Callable[[], float]) -> Pieces[NeutralReply]:
        """Return the reply to a request, made in pieces. `now` tells the time that is spent on it,
        in seconds.

        Raises:
            MadeReplyError: a template fails.
        """
        making = _Making(asked, Budget(now))
        reasoning = yield from making.make(self.reasoning, "reasoning")
        thought = making.tokens
        text = yield from making.make(self.text, "text", self.text_path)
        refusal = yield from making.make(self.refusal, "refusal")
        calls = []
        for place, (call, part) in enumerate(zip(self.rest.calls, self.arguments, strict=True)):
            arguments = yield from making.make(part, f"tool_calls[{place}].arguments")
            if arguments is not None:
                calls.append(call._replace(arguments=arguments))
            if place % CALLS_AT_ONCE == CALLS_AT_ONCE - 1:
                yield False
        json = yield from making.make(self.json, "json")
        if self.refusal is not None and not refusal and not making.is_cut:
            raise MadeReplyError("reply.refusal", "the template makes an empty text")
        if making.size > MAX_SMALL:
            yield True
        return replace(
            self.rest,
            text=text or None if making.is_cut else text,
            reasoning=reasoning or None,
            refusal=refusal,
            calls=tuple(calls),
            json=json,
            finish="length" if making.is_cut else self.rest.finish,
            usage=self._count(making.tokens - thought, thought),
        )

    def _count(self, said: int, thought: int) -> NeutralUsage:
        """Return the counts of tokens. What is written stays, what is not known is estimated."""
        written = self.rest.usage
        if not self.is_generated or written.output is not None:
            return written
        reasoning = thought if written.reasoning is None else written.reasoning
        return written._replace(output=said + reasoning, reasoning=reasoning)

    def _parts(self) -> list[Part]:
        parts = (self.reasoning, self.text, self.refusal, *self.arguments, self.json)
        return [part for part in parts if part is not None]


def _templates(part: Part) -> tuple[Template, ...]:
    match part:
        case Template():
            return (part,)
        case MadeValue():
            return part.templates
        case _:
            return ()


class _Making:
    """The texts of one reply while they are made. `tokens` and `size` count the tokens and the
    characters of those that are made, `is_cut` is True once one was cut."""

    def __init__(self, asked: Asked, budget: Budget) -> None:
        self._asked = asked
        self._budget = budget
        self._limit = asked.prompt.output_limit()
        self._looked_at = 0
        self.tokens = 0
        self.size = 0
        self.is_cut = False

    def make(
        self, part: Part | None, place: str, path: tuple[str, ...] | None = None
    ) -> Pieces[str | None]:
        """Return the text of the `part` at this place of the reply, made in pieces; None if an
        earlier one was cut. `path` is where it stands, if not under the name of its place."""
        if part is None or self.is_cut:
            return None
        match part:
            case GeneratedWords(count):
                text = yield from self._generate(self._take(count), place)
            case EchoedWords():
                yield from in_pieces(self._asked.prompt, READINGS["user"])
                text = self._echo(self._asked.view().user)
            case _:
                text = yield from self._fill_part(part, (place,) if path is None else path)
                self.tokens += tokens.estimate(text)
        self.size += len(text)
        return text

    def _take(self, count: int) -> int:
        """Return how many of `count` tokens are within the limit, and count them."""
        if self._limit is not None and self.tokens + count > self._limit:
            self.is_cut = True
            count = max(self._limit - self.tokens, 0)
        self.tokens += count
        return count

    def _generate(self, count: int, place: str) -> Pieces[str]:
        slices: list[str] = []
        for piece in generate_words(_key_of(self._asked.request, place), count):
            if slices:
                yield False
            slices.append(piece)
        return "".join(slices)

    def _echo(self, words: str) -> str:
        count = self._take(tokens.estimate(words))
        return tokens.first_tokens(words, count) if self.is_cut else words

    def _fill_part(self, part: str | Template | MadeValue, path: tuple[str, ...]) -> Pieces[str]:
        try:
            if isinstance(part, MadeValue):
                value = yield from self._fill(part.value)
                if not takes_long(value):
                    return jsontext.dumps(value).decode()
                pieces = yield from drain(dumps_in_pieces(value), at_once=1)
                return b"".join(pieces).decode()
            text: str = yield from self._fill(part)
        except TemplateError as exc:
            raise MadeReplyError(".".join(("reply", *path)), str(exc)) from exc
        return text

    def _fill(self, value: Any) -> Pieces[Any]:
        """Return `value` with the text of each template in it."""
        match value:
            case Template():
                values = yield from read_values(value.names, self._asked)
                return (yield from value.make(values, self._budget))
            case dict():
                members = dict(value)
                for name, member in value.items():
                    members[name] = yield from self._fill(member)
                    if self._is_due():
                        yield False
                return members
            case list():
                entries = list(value)
                for place, entry in enumerate(value):
                    entries[place] = yield from self._fill(entry)
                    if self._is_due():
                        yield False
                return entries
            case _:
                return value

    def _is_due(self) -> bool:
        """True for every so many values that are looked at."""
        self._looked_at += 1
        return self._looked_at % VALUES_AT_ONCE == 0


def templates_in(value: Any) -> Iterator[Template]:
    """Yield the templates in a JSON value."""
    match value:
        case Template():
            yield value
        case dict():
            for member in value.values():
                yield from templates_in(member)
        case list():
            for entry in value:
                yield from templates_in(entry)


def _key_of(request: Request, place: str) -> bytes:
    """Return bytes that are the same for the same request and place."""
    body, where = request.body, f"{place} {request.path}".encode()
    return b"%b %d %b" % (where, len(body), body[-MAX_KEY:])
