"""Texts without what readers overlook: case, accents, white space, characters that look alike.

Matching compares texts character by character. Explanations compare folded texts to find the
nearest rule, and show code points where two texts differ but look the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from unicodedata import normalize

from mockllm.matching.texts import common_prefix, quote
from mockllm.prompt import Prompt

MAX_FOLDED = 1_000  # characters of a text; 4 us, and 60 if they are not ASCII
MAX_TEXTS = 32  # of a message; of more, the first and the last are folded
MAX_CODE_POINTS = 4  # of a character with its marks that are shown

_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
_INVISIBLE = (
    "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
)
_MARK = re.compile(f"[{_MARKS}]+")
_UNSEEN = re.compile(f"[{_INVISIBLE}]+")
_ATTACHED = re.compile(f"[{_MARKS}{_INVISIBLE}]")
_CLUSTER = re.compile(f".[{_MARKS}{_INVISIBLE}]*", re.DOTALL)
_SPACE = re.compile(r"\s")

_LOOK_ALIKE = str.maketrans(
    "\u2018\u2019\u201a\u201b\u2032\u00b4\u02bc\u201c\u201d\u201e\u201f\u2033"
    "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u00d7"
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458"
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425"
    "\u03bf\u03bd\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
    "''''''" + "'" + '"""""' + "-------x" + "aeopcyxsij" + "ABEKMHOPCTX" + "ovABEZHIKMNOPTYX",
)
"""Quotation marks, dashes, and the Cyrillic and Greek letters that look like Latin ones."""


def fold(text: str) -> str:
    """Return the first `MAX_FOLDED` characters of `text`, without differences in case, accents,
    white space and look-alike characters."""
    text = text[:MAX_FOLDED]
    if not text.isascii():
        text = _without_marks(text)
    return " ".join(text.casefold().split())


def fold_all(texts: Sequence[str]) -> str:
    """Return the texts of a message folded, as one."""
    if len(texts) == 1:
        return fold(texts[0])
    return " ".join(filter(None, map(fold, some(texts))))


def some(texts: Sequence[str]) -> Sequence[str]:
    """Return the texts; if there are many, the first and the last of them."""
    if len(texts) <= MAX_TEXTS:
        return texts
    return (*texts[: MAX_TEXTS // 2], *texts[-MAX_TEXTS // 2 :])


def folded_messages(prompt: Prompt) -> tuple[str, ...]:
    """Return the folded texts of each of the prompt's last messages, computed once."""
    return prompt.once(_fold_messages)


def _fold_messages(prompt: Prompt) -> tuple[str, ...]:
    return tuple(fold_all(message.texts) for message in prompt.last_messages)


def find_folded(wanted: str, text: str) -> str | None:
    """Return the first part of `text` that equals `wanted` when both are folded, as it stands
    there; None if there is none."""
    needle = fold(wanted)
    if not needle or len(wanted) > MAX_FOLDED or needle not in fold(text):
        return None
    folded: list[str] = []
    places: list[int] = []  # in `text`, of each of the folded characters
    for at, char in enumerate(text[:MAX_FOLDED]):
        for each in _SPACE.sub(" ", char if char.isascii() else _without_marks(char)).casefold():
            if each != " " or folded[-1:] != [" "]:
                folded.append(each)
                places.append(at)
    start = "".join(folded).find(needle)
    if start < 0:  # white space at the beginning or end of a part
        return None
    end = places[start + len(needle) - 1] + 1
    while end < len(text) and _ATTACHED.match(text[end]):
        end += 1
    return text[places[start] : end]


# --- Explanations --------------------------------------------------------------------------------


def explain_difference(expected: str, found: str) -> str:
    """Return a sentence without subject: where two texts differ, and how they go on from there."""
    at = common_prefix(expected, found)
    while at and not (next_two := expected[at : at + 1] + found[at : at + 1]).isascii():
        if not any(map(_ATTACHED.match, next_two)):
            break
        at -= 1  # a mark belongs to the character before it
    how = _how(expected, found)
    shown = show_difference(expected[at:], found[at:])
    return f"differs at character {at}{f', in {how} only' if how else ''}: {shown}"


def explain_absence(wanted: str, texts: Sequence[str], kind: str = "text") -> str:
    """Return the sentence that none of `texts`, each a `kind`, contains `wanted`, with the one that
    does but for differences that are overlooked."""
    for text in some(texts):
        found = find_folded(wanted, text)
        if found is not None:
            how = _how(wanted, found)
            at = common_prefix(wanted, found)
            codes = _code_points(wanted[at:], found[at:]) or ("", "")
            return (
                f"no {kind} contains {quote(wanted)}{codes[0]}, "
                f"only {quote(found)}{codes[1]}, which differs in {how}"
            )
    return f"no {kind} contains {quote(wanted)}"


def explain_overlooked(wanted: str, text: str) -> str:
    """Return a clause on the part of `text` that equals `wanted` but for differences that are
    overlooked; the empty string if there is none."""
    found = find_folded(wanted, text)
    if found is None or found == wanted:
        return ""
    how = _how(wanted, found)
    if how == "case":
        return '; it differs in case only: write "ignore_case": true'
    at = common_prefix(wanted, found)
    return f"; it differs in {how} only: {show_difference(wanted[at:], found[at:])}"


def show_difference(expected: str, found: str) -> str:
    """Return two texts that differ in their first characters, with the code points of those if they
    look alike."""
    codes = _code_points(expected, found) or ("", "")
    return f"expected {quote(expected)}{codes[0]}, found {quote(found)}{codes[1]}"


def _how(expected: str, found: str) -> str:
    """Return the only kind of difference between two texts; empty if there is another."""
    if max(len(expected), len(found)) > MAX_FOLDED or fold(expected) != fold(found):
        return ""
    kinds = (kind for kind, without in _KINDS.items() if without(expected) == without(found))
    return next(kinds, "case, accents or white space")


def _code_points(expected: str, found: str) -> tuple[str, str] | None:
    """Return the code points of the first characters of two texts; None if those do not look
    alike."""
    if (expected[:MAX_CODE_POINTS] + found[:MAX_CODE_POINTS]).isascii():
        return None
    one, other = _CLUSTER.match(expected), _CLUSTER.match(found)
    if one is None or other is None or (one[0] + other[0]).isascii():
        return None
    seen, seen_other = _as_seen(one[0]), _as_seen(other[0])
    same = seen == seen_other or (
        _as_seen(found[:MAX_CODE_POINTS]).startswith(seen)
        and _as_seen(expected[:MAX_CODE_POINTS]).startswith(seen_other)
    )
    return (_points(one[0]), _points(other[0])) if same else None


def _points(cluster: str) -> str:
    shown = " ".join(f"U+{ord(char):04X}" for char in cluster[:MAX_CODE_POINTS])
    return f" ({shown}{' …' if len(cluster) > MAX_CODE_POINTS else ''})"


def _as_seen(text: str) -> str:
    """Return `text` with one spelling for all that look alike."""
    text = _UNSEEN.sub("", normalize("NFKD", text).translate(_LOOK_ALIKE))
    return _SPACE.sub(" ", text)


def _without_marks(text: str) -> str:
    return _MARK.sub("", _as_seen(text))


_KINDS: Mapping[str, Callable[[str], str]] = {
    "case": str.casefold,
    "white space": lambda text: " ".join(text.split()),
    "look-alike characters": _as_seen,
    "accents": _without_marks,
}
