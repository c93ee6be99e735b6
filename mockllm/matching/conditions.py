"""The conditions of a mock's `match`, beside those on its message and headers in `predicates`.

Each reads one thing of the request and tests it:

    >>> TextIs(Subject.SYSTEM, Contains("French")).difference(prompt, headers).reason()
    "no instruction is a text that contains 'French', found 'You are a pirate.'"

A condition that cannot be decided does not hold. `logic` combines them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import NamedTuple

from mockllm.matching import readings
from mockllm.matching.closeness import ONLY_REQUEST, RIGHT_KIND, WRONG_KIND
from mockllm.matching.predicates import (
    DECIDE,
    Difference,
    Headers,
    Predicate,
)
from mockllm.matching.readings import Texts, with_joined
from mockllm.matching.text_tests import TextTest
from mockllm.matching.texts import quote
from mockllm.prompt import ConversationMessage, Prompt, ToolResult

MAX_LISTED = 10  # names in a reason
UNKNOWN_CHAIN = "the request continues a conversation that is not known here"


# --- texts ---------------------------------------------------------------------------------------


class _Reading(NamedTuple):
    """The texts that a condition is about: `read` of a prompt, None if they cannot be told. With
    `joined`, all of them joined are a text too. `name` is the word of the configuration, `none`
    the reason if there are no texts, `failed` the beginning of the reason if no text is right."""

    name: str
    read: Callable[[Prompt], Texts | None]
    none: str
    failed: str
    joined: bool = True
    on_message: bool = False

    def texts(self, prompt: Prompt) -> Texts:
        """Return the texts that are tested; none if they cannot be told."""
        found = prompt.once(self.read)
        if not found:
            return ()
        return with_joined(found) if self.joined else found


def _model(prompt: Prompt) -> Texts:
    return (prompt.model,)


def _schemas(prompt: Prompt) -> Texts:
    return prompt.schemas()


class Subject(Enum):
    """The texts that a `TextIs` is about."""

    USER = _Reading(
        "user",
        readings.user,
        "the last turn has no words of the user",
        "the user's last turn",
        on_message=True,
    )
    LAST_USER = _Reading(
        "last_user",
        readings.last_user,
        "the user says nothing",
        "the user's last words",
        on_message=True,
    )
    SYSTEM = _Reading("system", readings.system, "there are no instructions", "the instruction")
    MODEL = _Reading("model", _model, "", "the model", joined=False)
    SCHEMA = _Reading(
        "schema",
        _schemas,
        "no schema is asked for and no tool is forced",
        "the schema",
        joined=False,
    )


@dataclass(frozen=True, slots=True)
class TextIs(Predicate):
    """One of the texts of `subject` passes `test`."""

    subject: Subject
    test: TextTest

    @property
    def on_message(self) -> bool:
        return self.subject.value.on_message

    @property
    def looks_back(self) -> bool:
        return self.subject is Subject.LAST_USER

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        reading = self.subject.value
        found = prompt.once(reading.read)
        if found is None:
            return Difference(
                WRONG_KIND, lambda: f"{reading.name}: {UNKNOWN_CHAIN}", undecided=True
            )
        if not found:
            return Difference(WRONG_KIND, partial(self._no_texts, prompt))
        texts = with_joined(found) if reading.joined else found
        if any(map(self.test.passes, texts)):
            return None
        if not reading.on_message:
            return Difference(ONLY_REQUEST, partial(self._reason, texts))
        above = max(0, closer_than - RIGHT_KIND)
        close = max(self.test.closeness(text, above=above) for text in texts)
        return Difference(RIGHT_KIND + close, partial(self._reason, texts))

    def covers(self, later: Predicate) -> bool:
        if not isinstance(later, TextIs):
            return False
        same = self.subject is later.subject
        implied = self.subject is Subject.LAST_USER and later.subject is Subject.USER
        return (same or implied) and self.test.covers(later.test)

    def _no_texts(self, prompt: Prompt) -> str:
        none = self.subject.value.none
        if self.subject is Subject.USER and readings.results(prompt):
            none = "the last turn has a tool result; 'tool_result' and 'last_user' are for those"
        return f"{none}, expected {self.test}"

    def _reason(self, texts: Texts) -> str:
        hint = next(filter(None, map(self.test.hint, texts)), "")
        found = quote(texts[0])
        return f"{self.subject.value.failed} is {found}, expected {self.test}{hint}"


@dataclass(frozen=True, slots=True)
class MessageIs(Predicate):
    """Some message of the conversation has the `role` (None: any) and passes `test` (None: any)."""

    test: TextTest | None
    role: str | None = None

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        messages = prompt.once(readings.spoken)
        if any(map(self._accepts, messages)):
            return None
        if prompt.earlier is not None or not prompt.is_known():
            return Difference(ONLY_REQUEST, self._unknown_reason, undecided=True)
        return Difference(ONLY_REQUEST, self._reason)

    def _accepts(self, message: ConversationMessage) -> bool:
        if self.role is not None and message.role != self.role:
            return False
        return self.test is None or any(map(self.test.passes, with_joined(message.texts)))

    def covers(self, later: Predicate) -> bool:
        if not isinstance(later, MessageIs) or self.role not in (None, later.role):
            return False
        if self.test is None:
            return True
        return later.test is not None and self.test.covers(later.test)

    def _reason(self) -> str:
        of_role = f" of the {self.role}" if self.role else ""
        return f"no message{of_role} is {self.test}" if self.test else f"no message{of_role}"

    def _unknown_reason(self) -> str:
        return f"{self._reason()} in this request; earlier messages are not in it"


@dataclass(frozen=True, slots=True)
class ResultIs(Predicate):
    """A tool result of the last turn passes all these tests; None passes any. `name` is that of the
    called tool."""

    text: TextTest | None = None
    name: TextTest | None = None
    call_id: TextTest | None = None
    error: bool | None = None

    @property
    def on_message(self) -> bool:
        return True

    @property
    def looks_back(self) -> bool:
        return self.name is not None

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        results = prompt.once(readings.results)
        if not results:
            return Difference(WRONG_KIND, lambda: "the last turn has no tool result")
        above = max(0, closer_than - RIGHT_KIND)
        nearest: Difference | None = None
        for result in results:
            difference = self._difference(prompt, result, above)
            if difference is None:
                return None
            if nearest is None or difference.closeness > nearest.closeness:
                nearest = difference
        undecided = self.name is not None and any(
            not result.name and not prompt.is_known() for result in results
        )
        return nearest and nearest._replace(undecided=undecided)

    def _difference(self, prompt: Prompt, result: ToolResult, above: int) -> Difference | None:
        if self.name is not None and not self.name.passes(result.name):
            if not result.name:
                why = UNKNOWN_CHAIN if not prompt.is_known() else "no call has its id"
                reason = f"the tool of the result {quote(result.call_id)} is not known: {why}"
                return Difference(RIGHT_KIND, lambda: reason)
            reason = f"the result is of the tool {quote(result.name)}, expected {self.name}"
            return Difference(RIGHT_KIND, lambda: reason)
        if self.call_id is not None and not self.call_id.passes(result.call_id):
            reason = f"the result is of the call {quote(result.call_id)}, expected {self.call_id}"
            return Difference(RIGHT_KIND, lambda: reason)
        if self.error is not None and result.error is not self.error:
            reason = "the tool succeeded" if self.error else "the tool failed"
            return Difference(RIGHT_KIND, lambda: f"{reason}, expected the opposite")
        texts = with_joined(result.texts)
        if self.text is None or any(map(self.text.passes, texts)):
            return None
        close = max(self.text.closeness(text, above=above) for text in texts)
        return Difference(RIGHT_KIND + close, partial(self._text_reason, self.text, texts))

    def _text_reason(self, test: TextTest, texts: Texts) -> str:
        hint = next(filter(None, map(test.hint, texts)), "")
        return f"the tool result is {quote(texts[0])}, expected {test}{hint}"

    def covers(self, later: Predicate) -> bool:
        return (
            isinstance(later, ResultIs)
            and self.error in (None, later.error)
            and _covers(self.text, later.text)
            and _covers(self.name, later.name)
            and _covers(self.call_id, later.call_id)
        )


def _covers(test: TextTest | None, later: TextTest | None) -> bool:
    return test is None or (later is not None and test.covers(later))


# --- tools, counts, options ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NoTools(Predicate):
    """The request offers no tools."""

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        offered = prompt.tools()
        if not offered:
            return None
        return Difference(ONLY_REQUEST, lambda: f"tools are offered: {_listed(offered)}")


@dataclass(frozen=True, slots=True)
class OffersAnyTool(Predicate):
    """The request offers one of the tools called `names`."""

    names: frozenset[str]

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        offered = prompt.tools()
        if not self.names.isdisjoint(offered):
            return None
        return Difference(ONLY_REQUEST, partial(self._reason, offered))

    def covers(self, later: Predicate) -> bool:
        return isinstance(later, OffersAnyTool) and later.names <= self.names

    def _reason(self, offered: Texts) -> str:
        found = f"only {_listed(offered)} are offered" if offered else "no tools are offered"
        return f"{found}, expected one of {_listed(sorted(self.names))}"


class _Count(NamedTuple):
    name: str
    read: Callable[[Prompt], int | None]


class Counter(Enum):
    """The number that a `CountIs` is about."""

    TURN = _Count("turn", readings.turn)
    STEP = _Count("step", readings.step)


@dataclass(frozen=True, slots=True)
class CountIs(Predicate):
    """A number is at least `low` and at most `high` (None: any)."""

    counter: Counter
    low: int = 1
    high: int | None = None

    @property
    def looks_back(self) -> bool:
        return True

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        name, read = self.counter.value
        found = prompt.once(read)
        if found is None:
            return Difference(ONLY_REQUEST, lambda: f"{name}: {UNKNOWN_CHAIN}", undecided=True)
        if found >= self.low and (self.high is None or found <= self.high):
            return None
        return Difference(ONLY_REQUEST, lambda: f"{name} is {found}, expected {self._expected()}")

    def covers(self, later: Predicate) -> bool:
        return (
            isinstance(later, CountIs)
            and self.counter is later.counter
            and self.low <= later.low
            and (self.high is None or (later.high is not None and later.high <= self.high))
        )

    def _expected(self) -> str:
        if self.high is None:
            return f"at least {self.low}"
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Streams(Predicate):
    """The client asks for a stream, or not."""

    expected: bool

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        if prompt.options.stream is self.expected:
            return None
        reason = "no stream is asked for" if self.expected else "a stream is asked for"
        return Difference(ONLY_REQUEST, lambda: reason)


def _listed(names: Iterable[str]) -> str:
    shown = [quote(name) for name in names]
    more = ", …" if len(shown) > MAX_LISTED else ""
    return ", ".join(shown[:MAX_LISTED]) + more
