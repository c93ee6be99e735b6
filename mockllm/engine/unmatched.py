"""The 404 for a request that no mock answers: it quotes the request and names the closest mock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mockllm.bounded_cache import BoundedCache, Patience
from mockllm.engine.decision import Match
from mockllm.engine.mocks import Table
from mockllm.errors import RequestError
from mockllm.limits import KIB, MIB
from mockllm.matching.effort import Effort
from mockllm.matching.explain import NearMiss
from mockllm.matching.rule import Rule
from mockllm.matching.texts import quote
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt
from mockllm.providers.api import API
from mockllm.wire import jsontext

MAX_KNOWN = 8 * MIB  # bytes of texts without a mock, and of their answers
MAX_SEEN = 4_096  # texts that came once
PER_KNOWN = 4 * KIB  # bytes that one takes beside these
MAX_REQUEST_QUOTE = 500  # characters of the last message


class UnmatchedError(RequestError):
    """The 404 for a request that no mock answers. `near_miss` is the closest rule, if there are
    mocks."""

    def __init__(
        self, message: str, near_miss: NearMiss | None, *, code: str = "mock_not_found"
    ) -> None:
        super().__init__(404, message, code=code)
        self.near_miss = near_miss


class KnownMisses(Patience):
    """The matches of texts that no mock answers, received at least twice.

    To find the closest mock takes most of the time of such a request: 40 µs among 1,000. A client
    whose mock is missing asks the same again and again, with other ids and parameters in its body.
    Where mocks look at the user's text, the model and headers alone, and there is one message, the
    answer is known.
    """

    def __init__(self) -> None:
        super().__init__()
        self._matches = BoundedCache[tuple[Any, ...], Match](MAX_KNOWN, max_seen=MAX_SEEN)

    def key_of(
        self, table: Table, prompt: Prompt, headers: Mapping[bytes, bytes]
    ) -> tuple[Any, ...] | None:
        """Return all that the match of a prompt depends on which no mock answers; None if that is
        more than one text, or if it is not worth looking it up."""
        if self.rest:
            self.rest -= 1
            return None
        if not table.index.reads_one_message or not table.elsewhere.reads_one_message:
            return None
        messages = prompt.body.get(prompt.readers.conversation or "")
        if not isinstance(messages, list) or len(messages) != 1:
            return None
        match messages[0]:
            case {"role": "user", "content": str(text), **others} if not others:
                lines = map(headers.get, table.header_names)
                form = table.version, table.api.name, prompt.model, prompt.options.stream
                return (*form, text, *lines)
        return None

    def find(self, key: tuple[Any, ...]) -> Match | None:
        """Return the match of a key; None if it is not known."""
        match = self._matches.get(key)
        if match is None:
            self.note_in_vain()
        else:
            self._in_vain = 0
        return match

    def offer(self, key: tuple[Any, ...], match: Match) -> None:
        """Keep a match if its key was offered before."""
        size = PER_KNOWN + 4 * len(key[4]) + sum(step.size for step in match.reply.steps)
        self._matches.offer(key, match, lambda: size)


def no_match(
    table: Table, headers: Mapping[bytes, bytes], prompt: Prompt, effort: Effort
) -> Pieces[UnmatchedError]:
    """Return the 404 that names the last message, the nearest mock, and why it does not match, with
    pauses."""
    message = _no_mock(table, prompt)
    nearest = yield from _elsewhere(table, prompt, effort)
    if nearest is None:
        nearest = yield from table.index.search_nearest_miss(prompt, headers, effort)
    if nearest is None:
        lists = f"'{table.api.name}' or 'mocks'" if table.api.respond else f"'{table.api.name}'"
        none = f"There are no mocks of {table.api.title} under {lists}."
        return UnmatchedError(f"{message} {none}", None)
    closest = f"{nearest.rule.label}: {nearest.reason}"
    return UnmatchedError(f"{message} Closest mock: {closest}.", nearest)


def _elsewhere(table: Table, prompt: Prompt, effort: Effort) -> Pieces[NearMiss | None]:
    """Return the mock that would match, if it were not restricted to other APIs."""
    found = yield from table.elsewhere.search(prompt, {}, effort)
    if not found:
        return None
    (rule,) = found
    apis = table.mocks[rule.index].match.api or ()
    expected = " or ".join(map(repr, apis))
    reason = f"the request is to {table.api.word!r}, expected 'api' {expected}"
    return NearMiss(rule, reason, reason)


def none_left(table: Table, rules: Sequence[Rule], prompt: Prompt) -> UnmatchedError:
    """Return the 404 of a request whose mocks, those of `rules`, have no answer left."""
    reason = "its sequence is over"
    text = f"{_no_mock(table, prompt)} Closest mock: {rules[0].label}: {reason}."
    return UnmatchedError(text, NearMiss(rules[0], reason, reason))


def near_miss_of(error: RequestError) -> NearMiss | None:
    """Return the closest rule, if `error` names one that has not matched."""
    return error.near_miss if isinstance(error, UnmatchedError) else None


def _shown(api: API, prompt: Prompt) -> str:
    """Return the last text of a prompt; its input, if that has no text."""
    value = None if prompt.last_messages[-1].texts else prompt.body.get(api.match_field)
    if value is None:
        return prompt.text
    return jsontext.dumps(_beginning(value, iter(range(MAX_REQUEST_QUOTE)))).decode()


def _beginning(value: Any, left: Iterator[int]) -> Any:
    """Return `value` with as many values in it as are `left`, and the beginning of its texts: more
    is not shown, and there may be hundreds of thousands, and megabytes."""
    if isinstance(value, dict):
        members = {}
        for (name, member), _ in zip(value.items(), left, strict=False):
            members[name] = _beginning(member, left)
        return members
    if isinstance(value, list):
        entries = []
        for entry, _ in zip(value, left, strict=False):
            entries.append(_beginning(entry, left))
        return entries
    return value[:MAX_REQUEST_QUOTE] if isinstance(value, str) else value


def _no_mock(table: Table, prompt: Prompt) -> str:
    """Return the beginning of the text of a 404: the last message."""
    role = prompt.last_messages[-1].role or table.api.match_field
    last = f"{role} {quote(_shown(table.api, prompt), MAX_REQUEST_QUOTE)}"
    return f"No matching mock found. The request's last {table.api.match_field}: {last}."
