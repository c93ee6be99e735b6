"""What matches: the specification.

A rule is a mock's match, compiled. `first_match` goes through the rules in order and takes the
first whose body and headers hold: plain, slow, and right by reading it. `mockllm.catalog` answers
the same faster, and a property test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mockllm.credentials import is_secret
from mockllm.prompt import Prompt, Subject
from mockllm.rule import Expectation, HeaderRule, Kind, Rule

LONGEST_QUOTE = 60  # characters of a text shown in a reason


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
    return any(_holds(expectation, subject) for subject in prompt.subjects)


def headers_hold(rule: Rule, headers: Mapping[bytes, bytes]) -> bool:
    """Whether every header rule holds."""
    return all(wanted.holds(headers) for wanted in rule.headers)


def _holds(wanted: Expectation, subject: Subject) -> bool:
    match wanted.kind:
        case Kind.EQUALS:
            return subject.size == wanted.size and subject.tail(wanted.size) == wanted.key
        case Kind.ENDS_WITH:
            return subject.size >= wanted.size and subject.tail(wanted.size) == wanted.key
        case Kind.CONTAINS:
            role_fits = wanted.role is None or wanted.role == subject.role
            return role_fits and any(wanted.text in text for text in subject.searched)


# --- Why nothing matched -------------------------------------------------------------------------


def nearest_miss(
    rules: Sequence[Rule], prompt: Prompt, headers: Mapping[bytes, bytes]
) -> tuple[Rule, str] | None:
    """The rule that came closest and why it does not match, for people. None without rules."""
    best: tuple[float, Rule, str] | None = None
    for rule in rules:
        closeness, reason = difference(rule, prompt, headers)
        if best is None or closeness > best[0]:
            best = (closeness, rule, reason)
    return None if best is None else (best[1], best[2])


def difference(rule: Rule, prompt: Prompt, headers: Mapping[bytes, bytes]) -> tuple[float, str]:
    """How close `rule` is to `prompt` (more is closer; only for comparing) and, unless it matches,
    the first reason why it does not."""
    wanted = rule.expectation
    if body_holds(wanted, prompt):
        for header in rule.headers:
            if not header.holds(headers):
                return 1_000_000, _header_reason(header, headers.get(header.name))
        return float("inf"), ""
    subject = _subject_meant(wanted, prompt)
    if wanted.role is not None and wanted.role != subject.role:
        return 1, f"role is {subject.role!r}, expected {wanted.role!r}"
    if wanted.kind is Kind.CONTAINS:
        shared = max((_shared_start(wanted.text, text) for text in subject.texts), default=0)
        return 2 + shared, f"no text contains {quote(wanted.text)}"
    if subject.size != wanted.size and wanted.kind is Kind.EQUALS:
        return 1, f"input has {subject.size} items, expected {wanted.size}"
    found = subject.texts[0] if subject.texts else ""
    if wanted.text and wanted.text != found:
        at = _common_prefix(wanted.text, found)
        return 2 + at, (
            f"text differs at character {at}: expected {quote(wanted.text[at:])}, "
            f"found {quote(found[at:])}"
        )
    return 2, "other members than the text differ"


def quote(text: str, longest: int = LONGEST_QUOTE) -> str:
    """`text` in quotes, cut at `longest` characters; a cut is shown."""
    return repr(text) if len(text) <= longest else f"{text[:longest]!r}…"


def _subject_meant(wanted: Expectation, prompt: Prompt) -> Subject:
    same_role = (subject for subject in prompt.subjects if subject.role == wanted.role)
    return next(same_role, prompt.subjects[-1])


def _common_prefix(one: str, other: str) -> int:
    """How many characters two texts begin with in common, by halving."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _shared_start(needle: str, text: str) -> int:
    """How much of the start of `needle` is somewhere in `text`, by halving."""
    low, high = 0, len(needle)
    while low < high:
        middle = (low + high + 1) // 2
        if needle[:middle] in text:
            low = middle
        else:
            high = middle - 1
    return low


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


# --- What can never be reached -------------------------------------------------------------------


def covers(earlier: Rule, later: Rule) -> bool:
    """Whether every request that `later` matches is matched by `earlier` too, so that `later`,
    standing behind it, is never reached. May say no where the truth is yes, never the reverse."""
    return _body_covers(earlier.expectation, later.expectation) and all(
        any(_header_covers(wanted, given) for given in later.headers) for wanted in earlier.headers
    )


def _body_covers(earlier: Expectation, later: Expectation) -> bool:
    match earlier.kind:
        case Kind.CONTAINS:
            role_fits = earlier.role is None or earlier.role == later.role
            return role_fits and any(earlier.text in text for text in later.texts)
        case Kind.ENDS_WITH:
            same = later.size == earlier.size and later.key == earlier.key
            longer = later.key.endswith(b"," + earlier.key)
            return later.kind is not Kind.CONTAINS and (same or longer or earlier.size == 0)
        case Kind.EQUALS:
            same = later.size == earlier.size and later.key == earlier.key
            return later.kind is Kind.EQUALS and same


def _header_covers(earlier: HeaderRule, later: HeaderRule) -> bool:
    if earlier.name != later.name:
        return False
    if earlier.contains:
        return bool(later.value) and earlier.value in later.value
    return not later.contains and earlier.value == later.value
