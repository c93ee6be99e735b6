"""Calls: what a test reads of the requests that a server has had.

A call is read from an entry of the journal when it is asked for. Credentials are never in what is
read: they are hidden in headers, path, query and body, and can only be compared with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from traceback import format_exception
from typing import Any, Literal

from mockllm.engine.decision import End, Outcome
from mockllm.errors import Place
from mockllm.matching import readings
from mockllm.matching.predicate import Difference
from mockllm.matching.rule import Rule
from mockllm.observers.access_log import describe_near_miss, redact_model
from mockllm.observers.entries import NOT_CALLS, FindEarlier, JournalEntry, ToldError, find_nothing
from mockllm.observers.said import Said, read_said
from mockllm.observers.sent_request import SentRequest
from mockllm.observers.usage import TokenCounts, count_tokens
from mockllm.prompt import ConversationMessage, Prompt
from mockllm.providers import APIS
from mockllm.redaction import (
    escape,
    redact_headers,
    redact_name,
    redact_target,
    redact_text,
)

HowDelivered = Literal["complete", "clean", "cut", "reset", "hang", "client_gone", "error"]
"""The end of a delivery: ``clean`` is a truncated answer in a complete HTTP message, ``error`` one
that the server failed to make."""

_DELIVERIES: Mapping[End, HowDelivered] = {
    End.COMPLETE: "complete",
    End.CLEAN: "clean",
    End.CUT: "cut",
    End.RESET: "reset",
    End.HANG: "hang",
    End.CLIENT_GONE: "client_gone",
    End.FAILED: "error",
}
_WORDS = {api.name: api.word for api in APIS}
BAD_REQUEST = 400


_UNMATCHED = {
    Outcome.UNMATCHED: "there are no mocks of this API",
    Outcome.SESSION_ENDED: "a straggler: it came after the end of its session",
    Outcome.FAILED: "the server failed to answer; its log says why",
}
"""The outcomes of requests that no mock answered although one should, with the reason."""


class CallHeaders(Mapping[str, str]):
    """Headers by name, whose case does not matter."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(dict(self._values))


class Call:
    """A request that a server has had, and what became of it.

    Credentials are hidden (``***``); `sent_credential` compares with them. The body is decoded when
    it is first asked for. If the journal has cut it, what must be read from it raises a ValueError.
    """

    def __init__(
        self,
        entry: JournalEntry,
        *,
        number: int = 0,
        epoch: float = 0.0,
        find_earlier: FindEarlier = find_nothing,
    ) -> None:
        """`number` tells it from all others of its journal, `epoch` is the Unix time at which the
        server's monotonic clock was 0; `find_earlier` returns the conversation that a request
        continues."""
        self._entry = entry
        self._sent = SentRequest(entry, find_earlier)
        self.number = number
        """The number of the call, from 1, in the order in which their answers ended."""
        self._epoch = epoch

    def __repr__(self) -> str:
        mock = repr(self.mock) if self.mock is not None else f"[{self.outcome}]"
        return f"<Call {self.method} {self.path} {self.status} {mock} attempt={self.attempt}>"

    # --- the request ---

    @property
    def method(self) -> str:
        """The method: ``POST``."""
        return self._entry.request.method

    @cached_property
    def path(self) -> str:
        """The path with its query, without the session's prefix."""
        request = self._sent.unprefixed
        return self._sent.hide(redact_target(request.path, request.query))

    @cached_property
    def headers(self) -> CallHeaders:
        """The headers by name; those with credentials are hidden."""
        return CallHeaders(redact_headers(self._entry.request.headers, self._sent.known))

    @cached_property
    def body(self) -> Any:
        """The body as JSON, without credentials; a text if it is not JSON, None if it is empty."""
        return self._sent.body[1]

    @property
    def body_size(self) -> int:
        """The number of bytes of the body that the journal has."""
        return len(self._entry.request.body)

    @property
    def is_body_cut(self) -> bool:
        """True if the body was too large for the journal, which has only its beginning."""
        return self._sent.is_body_cut

    def sent_credential(self, credential: str) -> bool:
        """Return True if the request was sent with this API key."""
        return credential != "" and credential in self._sent.credentials

    @property
    def attempt(self) -> int:
        """The number of the attempt, from 1, as the official SDKs count: 2 is the first retry."""
        return self._entry.attempt

    @property
    def session(self) -> str | None:
        """The name of the session; None for the common one."""
        return self._sent.hide(redact_name(self._entry.session)) or None

    def is_beside(self, other: Call) -> bool:
        """Return True if both are of the same session. The names may be credentials, so they are
        compared as they were sent, and not shown."""
        return self._entry.session == other._entry.session

    # --- the prompt ---

    @property
    def api(self) -> str | None:
        """The API: ``chat``, ``responses``, ``messages`` or ``embeddings``, or None."""
        if self._sent.api is not None:
            return self._sent.api.word
        summary = self._entry.summary
        return None if summary is None else _WORDS.get(summary.api)

    @property
    def model(self) -> str | None:
        """The model that was asked for; None if the request was not understood."""
        summary = self._entry.summary
        if summary is None:
            return None
        return self._sent.hide(redact_model(summary.model, self._sent.unprefixed.path))

    @property
    def stream(self) -> bool:
        """True if a stream was asked for."""
        return self._entry.summary is not None and self._entry.summary.stream

    @property
    def user(self) -> str:
        """The words of the user in the last turn, with a newline between two texts; empty if the
        turn has a tool result."""
        return "" if self._prompt is None else "\n".join(readings.user(self._prompt))

    @property
    def text(self) -> str:
        """The last text of the last message."""
        return "" if self._prompt is None else self._prompt.text

    @property
    def system(self) -> str:
        """The instructions, with a newline between two texts."""
        return "" if self._prompt is None else "\n".join(self._prompt.system())

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the offered tools."""
        return () if self._prompt is None else tuple(self._prompt.tools())

    @property
    def messages(self) -> tuple[ConversationMessage, ...]:
        """The conversation without instructions, in the same form for all APIs: each message has a
        `role`, `texts` and `calls`."""
        return () if self._prompt is None else tuple(self._prompt.messages())

    @property
    def turn(self) -> int | None:
        """The number of the requested answer in the conversation, from 1; None if it continues one
        that is not known, or is none."""
        return None if self._prompt is None else readings.turn(self._prompt)

    @property
    def step(self) -> int | None:
        """The number of the requested answer since the user's last words, from 1; like `turn`."""
        return None if self._prompt is None else readings.step(self._prompt)

    @property
    def input_tokens(self) -> int:
        """The number of tokens of the prompt in the `usage` of the answer; an estimate if there is
        none."""
        return self._tokens.input

    # --- the answer ---

    @property
    def mock(self) -> str | None:
        """The name of the mock that answered; of one without a name its place (``openai[3]``). None
        if no mock did."""
        return None if self._entry.rule is None else name_of(self._entry.rule)

    @property
    def traffic(self) -> tuple[str, ...]:
        """The names of the entries of `traffic` that have changed the answer; of those without one
        their places (``traffic[3]``)."""
        return tuple(map(_name_of_label, self._entry.traffic))

    @property
    def asked_for(self) -> tuple[str, ...]:
        """What the client has asked for by ``x-mockllm-`` headers and got: ``error``, ``latency``,
        ``fault``."""
        return self._entry.asked_for

    @property
    def status(self) -> int:
        """The status of the answer."""
        return self._entry.status

    @property
    def outcome(self) -> str:
        """The source of the answer, as in the access log: ``matched``, ``no match``, ``refused``,
        ``endpoint`` and others."""
        return self._entry.outcome.value

    @property
    def output_tokens(self) -> int:
        """The number of tokens in the `usage` of the whole answer; 0 for an error."""
        return self._tokens.output

    @property
    def near_miss(self) -> str | None:
        """Why no mock answered: the closest mock, and the first difference, or what failed in the
        one that matched, or why the request was refused. None if one answered, or none should."""
        trouble = self._entry.trouble
        if trouble is not None and self._entry.outcome in (Outcome.FAILED, Outcome.REFUSED):
            reason = redact_text(self._sent.hide(trouble.reason))
            return f"{escape(trouble.place) or 'refused'}: {reason}"
        if self._entry.near_miss is not None:
            closest = describe_near_miss(self._entry.near_miss)
            return f"closest mock: {self._sent.hide(closest)}"
        return _UNMATCHED.get(self._entry.outcome)

    @property
    def traceback(self) -> str:
        """The traceback of the exception that a function of the mock raised; empty if there is
        none."""
        if isinstance(self.error, ToldError):
            return str(self.error)
        return "" if self.error is None else "".join(format_exception(self.error)).rstrip()

    @property
    def delivery(self) -> HowDelivered:
        """How the delivery ended: ``complete``, ``clean``, ``cut``, ``reset``, ``hang``,
        ``client_gone`` or ``error``."""
        return _DELIVERIES[self._entry.delivery.end]

    @property
    def held_at(self) -> str | None:
        """The name of the gate at which the answer was held when its delivery ended, because it was
        cut there or the client left; None of any other."""
        return self._entry.delivery.gate or None

    @property
    def started(self) -> float:
        """The time at which the request was complete, in seconds of Unix time."""
        return self._epoch + self._entry.delivery.started

    @property
    def ended(self) -> float:
        """The time at which the last byte of the answer was written, in seconds of Unix time."""
        return self.started + self._entry.delivery.ended

    @property
    def ttft(self) -> float:
        """Seconds from `started` to the first byte of the answer."""
        return self._entry.delivery.first_byte

    # --- for verification ---

    @property
    def is_meant(self) -> bool:
        """False for a probe or a preflight, which no code under test means to send."""
        return self._entry.outcome not in NOT_CALLS

    @property
    def is_unmatched(self) -> bool:
        """True if no mock answered although one should."""
        return self._entry.outcome in _UNMATCHED

    @property
    def error(self) -> BaseException | None:
        """The exception of the function that should have made the answer."""
        return None if self._entry.trouble is None else self._entry.trouble.error

    @property
    def is_late(self) -> bool:
        """True if the request came after the end of its session."""
        return self._entry.outcome is Outcome.SESSION_ENDED

    @property
    def is_invalid(self) -> bool:
        """True if the request was refused with a 400."""
        return self._entry.outcome is Outcome.REFUSED and self.status == BAD_REQUEST

    @property
    def rule(self) -> Rule | None:
        """The rule of the mock that answered."""
        return self._entry.rule

    @cached_property
    def same_request(self) -> int:
        """A number that the attempts at one request have in common."""
        return hash((self._entry.session, self._sent.unprefixed.path, self._entry.request.body))

    def compare(self, api: str, rule: Rule) -> tuple[int, Difference | None] | None:
        """Return how close the request is to a rule of the API called `api` (``openai``), and the
        first difference, which is None if there is none; None if it is a request to no or another
        API."""
        sent = self._sent
        if sent.api is None or sent.api.name != api or sent.is_body_cut or sent.prompt is None:
            return None
        difference = rule.difference(sent.prompt, sent.unprefixed.first_values, closer_than=0)
        return (0 if difference is None else difference.closeness), difference

    def differs(self, rule: Rule) -> list[str]:
        """Return why the request does not match a rule of its API: a sentence for each condition
        that does not hold, without values of headers and credentials."""
        if self._prompt is None:
            return []
        headers = self._sent.unprefixed.first_values
        found = (each.difference(self._prompt, headers, closer_than=0) for each in rule.predicates)
        reasons = [
            each.reason() if each.logged is None else each.logged()
            for each in found
            if each is not None
        ]
        return [redact_text(self._sent.hide(reason)) for reason in reasons]

    @property
    def said(self) -> Said | None:
        """What the whole answer of the mock says, without credentials of the request; None if there
        is none."""
        answer = self._entry.answer
        if answer is None or answer.failure is not None:
            return None
        said = read_said(answer)
        return said.hiding(self._sent.hide) if self._sent.known else said

    @property
    def _prompt(self) -> Prompt | None:
        return self._sent.prompt

    @cached_property
    def _tokens(self) -> TokenCounts:
        api, prompt = self._sent.api, self._sent.prompt
        if api is None or prompt is None:
            return TokenCounts()
        return count_tokens(api, prompt, self._entry.answer)


def name_of(rule: Rule) -> str:
    """Return the name of a rule's mock; of one without a name its place."""
    return _name_of_label(rule.label)


def _name_of_label(label: str) -> str:
    return (label.name if isinstance(label, Place) else "") or label
