"""Why a rule does not match, in words; and which of many came closest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from mockllm.matching.rule import Expectation, HeaderRule, Kind, Rule
from mockllm.matching.specification import body_holds
from mockllm.prompt import Message, Prompt
from mockllm.redaction import is_secret

MAX_QUOTE = 60  # characters of a text shown in a reason
MAX_SEARCHED = 10_000  # characters of a text that a near miss is looked for in

_BUT_FOR_HEADERS, _MATCHES = 2**40, 2**41  # how close: more than any text has characters


def nearest_miss(
    rules: Sequence[Rule], prompt: Prompt, headers: Mapping[bytes, bytes]
) -> tuple[Rule, str] | None:
    """The rule that came closest and why it does not match, for people. None without rules."""
    nearest: tuple[Rule, Difference] | None = None
    closest = -1
    for rule in rules:
        found = difference(rule, prompt, headers, closer_than=closest)
        if found.closeness > closest:
            nearest, closest = (rule, found), found.closeness
    return None if nearest is None else (nearest[0], nearest[1].reason())


class Difference(NamedTuple):
    """How close a rule came (more is closer; only for comparing) and what tells why it does not
    match: an empty text if it does. Words are made for the nearest of many only."""

    closeness: int
    reason: Callable[[], str]


def difference(
    rule: Rule, prompt: Prompt, headers: Mapping[bytes, bytes], *, closer_than: int = 0
) -> Difference:
    """What keeps `rule` from matching `prompt`: the first thing that does. How close it came is not
    found out where it is not `closer_than` that."""
    wanted = rule.expectation
    if body_holds(wanted, prompt):
        unmet = next((header for header in rule.headers if not header.holds(headers)), None)
        if unmet is None:
            return Difference(_MATCHES, lambda: "")
        return Difference(_BUT_FOR_HEADERS, lambda: _header_reason(unmet, headers.get(unmet.name)))
    message = _subject_meant(wanted, prompt)
    shared = max(0, closer_than - 2)  # characters, of which more must be the same
    if wanted.role is not None and wanted.role != message.role:
        return Difference(1, lambda: f"role is {message.role!r}, expected {wanted.role!r}")
    if wanted.kind is Kind.CONTAINS:
        starts = (_shared_start(wanted.text, text, shared) for text in message.texts)
        return Difference(
            2 + max(starts, default=0), lambda: f"no text contains {quote(wanted.text)}"
        )
    if message.size != wanted.size and wanted.kind is Kind.EQUALS:
        return Difference(1, lambda: f"input has {message.size} items, expected {wanted.size}")
    text = message.texts[0] if message.texts else ""
    if wanted.text and wanted.text != text:
        at = _common_prefix(wanted.text, text, shared)
        return Difference(2 + at, lambda: _text_reason(wanted.text, text, at))
    return Difference(2, lambda: "other members than the text differ")


def quote(text: str, longest: int = MAX_QUOTE) -> str:
    """`text` in quotes, cut at `longest` characters; a cut is shown."""
    return repr(text) if len(text) <= longest else f"{text[:longest]!r}…"


def _subject_meant(wanted: Expectation, prompt: Prompt) -> Message:
    for message in prompt.last_messages:
        if message.role == wanted.role:
            return message
    return prompt.last_messages[-1]


def _common_prefix(one: str, other: str, known: int) -> int:
    """How many characters two texts begin with in common; 0 if not more than `known`."""
    return _longest(len(one), lambda size: other.startswith(one[:size]), known)


def _shared_start(needle: str, text: str, known: int) -> int:
    """How much of the start of `needle` is somewhere in `text`, as far as it is looked through; 0
    if not more than `known`."""
    text = text[:MAX_SEARCHED]
    return _longest(len(needle), lambda size: needle[:size] in text, known)


def _longest(most: int, holds: Callable[[int], bool], known: int) -> int:
    """The greatest size up to `most` that `holds`, as every smaller one does; 0 if it is not above
    `known`. Found in time that depends on it, not on `most`: by doubling, then by halving."""
    low, high = 0, known + 1
    while high <= most and holds(high):
        low, high = high, 2 * high
    if not low:
        return 0
    high = min(high - 1, most)
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _text_reason(wanted: str, found: str, at: int) -> str:
    return (
        f"text differs at character {at}: expected {quote(wanted[at:])}, found {quote(found[at:])}"
    )


def _header_reason(header: HeaderRule, found: bytes | None) -> str:
    if is_secret(header.name.decode("ascii", "replace")):
        return f"header {header.title} differs"
    how = "containing " if header.contains else ""
    expected = how + quote(header.value.decode("utf-8", "replace"))
    if found is None:
        return f"header {header.title} is absent, expected {expected}"
    return (
        f"header {header.title} is {quote(found.decode('utf-8', 'replace'))}, expected {expected}"
    )
