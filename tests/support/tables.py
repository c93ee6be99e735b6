"""Tables of mocks of every kind, each with a request: messages of an API's own form, headers, and
the conditions that all APIs have, with one another and nested."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st

from mockllm.config import models
from mockllm.config.conditions import Conditions
from mockllm.engine.conditions import compile_match
from mockllm.errors import Place, Severity
from mockllm.matching.predicate import Headers
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt
from mockllm.providers.api import API
from tests.support import matches
from tests.support.conversations import (
    NAMES,
    Conversation,
    as_chat,
    as_messages,
    as_responses,
    conversations,
)
from tests.support.strategies import header_sets

Json = dict[str, Any]

_CALLS = ["call_1_0", "call_1_1"]


class _Kind(NamedTuple):
    """An API with its form of a match, and of a conversation."""

    api: API
    match: type[Conditions]
    ask: Callable[[Conversation], Prompt]


_CHAT, _RESPONSES, _MESSAGES = matches.APIS
KINDS = {
    "chat": _Kind(_CHAT, models.OpenAIRequestMatch, as_chat),
    "responses": _Kind(_RESPONSES, models.OpenAIResponseRequestMatch, as_responses),
    "messages": _Kind(_MESSAGES, models.AnthropicRequestMatch, as_messages),
}


@st.composite
def asked(draw: st.DrawFn, kind: str) -> tuple[list[Rule], Prompt, Headers]:
    """Rules of an API, a request to it, and the headers of that."""
    api, model, ask = KINDS[kind]
    prompt = ask(draw(conversations()))
    written = draw(st.lists(_mocks(api, prompt), min_size=1, max_size=10))
    again = draw(st.lists(st.sampled_from(written), max_size=4))
    written += [_replaced(each, _IDS, draw(st.sampled_from(_CALLS))) for each in again]
    rules: list[Rule] = []
    for at, match in enumerate(written):
        place = Place(field="mocks", position=at)
        predicates, problems = compile_match(api, model.model_validate(match), place)
        assert all(each.severity is Severity.WARNING for each in problems), problems
        rules.append(Rule(at, place, predicates, stateful=draw(st.booleans())))
    return rules, prompt, draw(header_sets())


def _mocks(api: API, prompt: Prompt) -> st.SearchStrategy[Json]:
    """Matches that often hold for `prompt`."""
    of_the_api = {
        api.match_field: _messages(api, prompt.body["input" if api is _RESPONSES else "messages"]),
        "match_type": st.sampled_from(["exact", "contains"]),
        "system_contains": st.lists(st.sampled_from(matches.WORDS), max_size=2),
        "tool_names": st.lists(st.sampled_from(NAMES), max_size=2),
    }
    of_all = {
        "body": matches.bodies(),
        "headers": st.lists(_headers(), max_size=2),
        "api": st.lists(st.sampled_from(["chat", "responses", "messages"]), min_size=1),
    }
    own = st.fixed_dictionaries({}, optional=of_the_api)
    general = matches.matches(1, **of_all, **of_the_api)
    return st.builds(dict.__or__, general, own) | own


def _headers() -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(
        {"name": st.sampled_from(["x-a", "X-B"]), "value": st.sampled_from(["", "a", "b"])},
        optional={"match_type": st.sampled_from(["exact", "contains"])},
    )


def _messages(api: API, entries: list[Json]) -> st.SearchStrategy[Any]:
    """Messages or inputs of matches: those at the end of a request, and such as differ in the text
    or in the id of a call."""
    varied = st.sampled_from(entries[-2:]).flatmap(_varied)
    if api.match_field == "message":
        return varied
    text = st.sampled_from(matches.WORDS)
    last = st.integers(1, len(entries)).map(lambda size: entries[-size:])
    return text | last | varied.map(lambda item: [item])


def _varied(entry: Json) -> st.SearchStrategy[Json]:
    """A message or item, as it is, with another text, of another call, or of any text."""
    of_a_call = not _IDS.isdisjoint(entry)
    without = {name: value for name, value in entry.items() if name not in _TEXTS}
    return st.one_of(
        st.just(entry),
        st.just(without if of_a_call else entry),
        st.sampled_from(matches.WORDS).map(lambda word: _replaced(entry, _TEXTS, word)),
        st.sampled_from(_CALLS).map(lambda call_id: _replaced(entry, _IDS, call_id)),
    )


_TEXTS = frozenset({"text", "content", "output"})
_IDS = frozenset({"tool_call_id", "tool_use_id", "call_id"})


def _replaced(value: Any, names: frozenset[str], by: str) -> Any:
    """Return `value` with `by` as those of its members called `names` that are strings."""
    if isinstance(value, list):
        return [_replaced(each, names, by) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: by if name in names and isinstance(each, str) else _replaced(each, names, by)
        for name, each in value.items()
    }
