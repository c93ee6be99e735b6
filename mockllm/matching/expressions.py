"""The test of a text by a regular expression of RE2, whose time grows with the text only.

google-re2 is an extra, imported where an expression is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mockllm.errors import MissingExtraError
from mockllm.matching.effort import PER_CHARACTER, Effort
from mockllm.matching.text_tests import Fold, TextTest
from mockllm.matching.texts import quote
from mockllm.matching.verdicts import Verdict
from mockllm.pieces import Pieces

if TYPE_CHECKING:
    import re2

MAX_TEXT = 1024 * 1024
"""Characters of a text in which a regular expression is looked for."""
MAX_WORK = 10_000_000
"""Maximum product of the characters looked at and the instructions of an expression. RE2 takes up
to 0.8 ns for each instruction and character, when an expression has too many states to remember."""
_WEIGHT = 4
_PER_SEARCH = 2_000  # nanoseconds to look for an expression, however short the text is
MAX_FILTERED = 1_000  # expressions whose literals are looked for at once
MAX_FILTERED_LONG = 250  # of them in a long text: 2.5 ms for 35 kB, 4.5 ms for a megabyte
MAX_FILTERED_TEXT = 40 * 1024  # characters of a text that is not long: 7 ms at worst
FILTER_CALL = 2_000  # nanoseconds to look for the literals of expressions in another
FILTER_PER_CHARACTER = 150  # nanoseconds, of a text that is new to 1,000 expressions
MAX_REPETITION = 100
"""Maximum of a counted repetition, ``a{100}``: the instructions are multiplied by it."""

MayPass = Callable[[str], Sequence[int]]
"""Returns the positions of the expressions that may pass for a text."""

MAX_OPTIONAL = 2_000
"""Parts of an expression that may be left out, each repetition of its own: ``a{1,100}`` has 99. To
compile them takes the square of their number, 10 ms."""
MAX_COMPILED = 40_000
"""Estimated instructions of an expression, which take up to 2 µs each to compile: 80 ms. One of a
hundred letters of any language has 35,000."""

_PIECE = re.compile(
    r"\\[pP](?:\{[^}]*\}|.)|\\.|\[\^?\]?(?:\[:[^\]]*:\]|\\.|[^\]\\])*\]"
    r"|[a-zA-Z0-9 ]+(?![*?{])|\{\d+(?:,\d*)?\}|\((?:\?(?:P?<\w*>|[\w-]*[:)]))?|.",
    re.DOTALL,
)
"""An escape, a class, plain characters, a count, the beginning of a group, flags, or any other
character."""
_UNICODE_CLASS = re.compile(r"\\[pP]|\[:\^")
_PER_UNICODE_CLASS = 350
_PER_WIDE_CLASS = 5
_PER_LITERAL = 0.1

_COUNTED = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(\d+)(?:,(\d*))?\}", re.DOTALL)
"""An escaped character, a class of characters, or a counted repetition."""
_OF_OTHERS = re.compile(r"operator: \(\?(=|!|<)|sequence: \\[1-9]")
_HINT = "; RE2 has no look-around and no back-references, write another condition or 'not'"


@dataclass(frozen=True, slots=True)
class Matches(TextTest):
    """A part of the text matches a regular expression of RE2 (google-re2: `re2.Regexp`), whose time
    grows with the length of the text only. Text beyond `most` characters is not looked at, so where
    there is some and no match before it, nothing is decided."""

    expression: str
    ignore_case: bool = False
    _compiled: Any = field(init=False, repr=False, compare=False)
    most: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the expression.

        Raises:
            ValueError: it is no expression of RE2, with its reason.
        """
        compiled = compile_expression(self.expression, ignore_case=self.ignore_case)
        most = min(MAX_TEXT, MAX_WORK // compiled.programsize)
        object.__setattr__(self, "_compiled", compiled)
        object.__setattr__(self, "most", most)

    @property
    def weight(self) -> int:
        return _WEIGHT

    @property
    def is_slow(self) -> bool:
        return True

    def effort(self, length: int) -> int:
        instructions = max(PER_CHARACTER, int(self._compiled.programsize))
        return _PER_SEARCH + min(length, self.most) * instructions

    def looked_at(self, length: int) -> int:
        return self.most if length > self.most else 0

    def passes(self, text: str, fold: Fold = str.casefold) -> Verdict:
        if self._compiled.search(text[: self.most]) is not None:
            return True
        return None if len(text) > self.most else False

    def __str__(self) -> str:
        return f"a text that matches the expression {quote(self.expression)}"


def compile_expression(expression: str, *, ignore_case: bool) -> Any:
    """Compile an expression of RE2.

    Raises:
        ValueError: it is none, with the reason.
        MissingExtraError: google-re2 is not installed.
    """
    options = expression_options(ignore_case=ignore_case)
    import re2

    for counts in _COUNTED.findall(expression):
        if any(len(count) > 3 or int(count or 0) > MAX_REPETITION for count in counts):
            raise ValueError(f"repeats more than {MAX_REPETITION} times, which takes too long")
    _check_size(expression)
    try:
        return re2.compile(expression, options=options)
    except re2.error as exc:
        reason = exc.args[0].decode() if isinstance(exc.args[0], bytes) else str(exc)
        hint = _HINT if _OF_OTHERS.search(reason) else ""
        raise ValueError(f"not a regular expression of RE2: {reason}{hint}") from exc


def _check_size(expression: str) -> None:
    """Check the number of instructions that an expression is compiled to, roughly.

    Raises:
        ValueError: they are too many.
    """
    size, optional = _estimate(expression)
    if optional > MAX_OPTIONAL:
        raise ValueError(f"has more than {MAX_OPTIONAL:,} optional parts, which takes too long")
    if size > MAX_COMPILED:
        raise ValueError(f"has more than {MAX_COMPILED:,} instructions, which takes too long")


def _estimate(expression: str) -> tuple[float, int]:
    """Return the estimated instructions of an expression, and the number of parts of it that may be
    left out, repetitions included."""
    whole, last = (0.0, 0), (0.0, 0)  # of the group that is open, and of the last part in it
    around: list[tuple[float, int]] = []
    for piece in _PIECE.findall(expression):
        size, optional = last
        if piece[0] == "{" and len(piece) > 1:
            least, comma, most = piece[1:-1].partition(",")
            times = max(1, int(most or least))
            left_out = times - int(least) if most else bool(comma)
            last = size * times, optional * times + left_out
        elif piece in ("*", "?"):
            last = size, optional + 1
        elif piece == ")" and around:
            outer = around.pop()
            last = whole[0] + size + _PER_LITERAL, whole[1] + optional
            whole = outer
        else:
            whole = whole[0] + size, whole[1] + optional
            if piece[0] == "(" and not piece.endswith(")"):
                around.append(whole)
                whole = last = (0.0, 0)
            else:
                last = _size_of(piece), 0
    sizes = [*around, whole, last]
    return sum(size for size, _ in sizes), sum(optional for _, optional in sizes)


def _size_of(piece: str) -> float:
    """Return the estimated instructions of a character, an escape or a class."""
    if len(piece) == 1 and piece != ".":
        return _PER_LITERAL if piece.isascii() else 10 * _PER_LITERAL
    classes = len(_UNICODE_CLASS.findall(piece))
    if classes:
        return _PER_UNICODE_CLASS * classes
    is_wide = piece == "." or piece.startswith("[^") or not piece.isascii()
    return _PER_WIDE_CLASS if is_wide else _PER_LITERAL * len(piece)


def expression_filter(tests: Sequence[Matches]) -> MayPass:
    """Return a function that finds the positions of those `tests` that may pass for a text, by the
    literals that a text must contain to match (google-re2: `re2.Filter`). 1,000 expressions take
    4 ms to compile and 0.15 ms to find in 35 kB; one without literals may always pass.

    The literals of one filter are compiled into one expression, which RE2 refuses if it takes too
    much memory: about 70,000 letters, or 700 expressions of 100. Then there are several filters. An
    expression that is too large for one may always pass.
    """
    return _all_of(_filters_of(tests, MAX_FILTERED))


class DividedFilter:
    """Does what `expression_filter` returns, with pauses.

    To look for the literals of 1,000 expressions in a text that is new takes 7 ms for 35 kB: RE2
    makes a state for each beginning of literals that it comes to. So a longer text is searched with
    fewer at a time, which takes longer in all.
    """

    def __init__(self, tests: Sequence[Matches]) -> None:
        self._large = _filters_of(tests, MAX_FILTERED)
        self._small = self._large
        if len(tests) > MAX_FILTERED_LONG:
            self._small = _filters_of(tests, MAX_FILTERED_LONG)
        self.at_once = _all_of(self._large)

    def __call__(self, text: str, effort: Effort) -> Pieces[Sequence[int]]:
        """Return the positions of the expressions that may pass for `text`."""
        found: list[int] = []
        is_long = len(text) > MAX_FILTERED_TEXT
        for each in self._small if is_long else self._large:
            found += each(text)
            if effort.is_much(FILTER_CALL + FILTER_PER_CHARACTER * len(text)):
                yield False
        return found


def _all_of(filters: Sequence[MayPass]) -> MayPass:
    if len(filters) == 1:
        return filters[0]
    return lambda text: [place for each in filters for place in each(text)]


def _filters_of(tests: Sequence[Matches], most: int) -> list[MayPass]:
    """Return filters of at most so many tests each."""
    places = range(len(tests))
    starts = range(0, max(len(tests), 1), most)
    return [each for at in starts for each in _filters(tests, places[at : at + most])]


def _filters(tests: Sequence[Matches], places: Sequence[int]) -> Iterator[MayPass]:
    """Return as many filters as it takes for the tests at `places`."""
    import re2

    by_literals = re2.Filter()
    for place in places:
        test = tests[place]
        by_literals.Add(test.expression, expression_options(ignore_case=test.ignore_case))
    try:
        by_literals.Compile()
    except re2.error:
        if len(places) == 1:
            yield lambda text: places
            return
        half = len(places) // 2
        yield from _filters(tests, places[:half])
        yield from _filters(tests, places[half:])
        return

    first = places[0] if places else 0

    def may_pass(text: str) -> Sequence[int]:
        found = by_literals.Match(text[:MAX_TEXT], potential=True) or ()
        return [first + place for place in found] if first else found

    yield may_pass


def is_too_large(test: Matches) -> bool:
    """Return True if the literals of an expression are too many to be looked for with others."""
    import re2

    by_literals = re2.Filter()
    by_literals.Add(test.expression, expression_options(ignore_case=test.ignore_case))
    try:
        by_literals.Compile()
    except re2.error:
        return True
    return False


def expression_options(*, ignore_case: bool) -> re2.Options:
    """Return the options that all expressions are compiled with.

    Raises:
        MissingExtraError: google-re2 is not installed.
    """
    try:
        import re2
    except ImportError as exc:
        raise MissingExtraError("regular expressions", "regex") from exc
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    return options
