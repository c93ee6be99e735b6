"""What matches: the specification.

A rule is a mock's match, compiled. `first_match` goes through the rules in order and takes the
first whose body and headers hold: plain, slow, and right by reading it. `matching.index` answers
the same faster, and a property test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mockllm.matching.rule import Expectation, Kind, Rule
from mockllm.prompt import Message, Prompt


def first_match(
    rules: Iterable[Rule], prompt: Prompt, headers: Mapping[bytes, bytes]
) -> Rule | None:
    """The first of `rules` whose body and headers hold, or None."""
    for rule in rules:
        if body_holds(rule.expectation, prompt) and headers_hold(rule, headers):
            return rule
    return None


def body_holds(expectation: Expectation, prompt: Prompt) -> bool:
    """Whether any subject of `prompt` is what `expectation` wants."""
    held = [
        _holds(expectation, message) for message in prompt.last_messages
    ]  # there are two at most
    return any(held)


def headers_hold(rule: Rule, headers: Mapping[bytes, bytes]) -> bool:
    """Whether every header rule holds."""
    return all(wanted.holds(headers) for wanted in rule.headers)


def _holds(wanted: Expectation, message: Message) -> bool:
    match wanted.kind:
        case Kind.EQUALS:
            return message.size == wanted.size and message.key_of_last(wanted.size) == wanted.key
        case Kind.ENDS_WITH:
            return message.size >= wanted.size and message.key_of_last(wanted.size) == wanted.key
        case Kind.CONTAINS:
            role_fits = wanted.role is None or wanted.role == message.role
            return role_fits and any(wanted.text in text for text in message.search_texts)
