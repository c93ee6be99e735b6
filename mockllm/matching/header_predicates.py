"""Conditions on the headers of a request."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from mockllm.matching.closeness import ONLY_HEADERS
from mockllm.matching.effort import PER_TEXT, Effort
from mockllm.matching.predicate import DECIDE, Difference, Headers, Predicate
from mockllm.matching.texts import quote
from mockllm.prompt import Prompt
from mockllm.redaction import is_secret

LONG_HEADER = 10  # conditions that are decided while a header of 10 kB is searched


@dataclass(frozen=True, slots=True)
class _HeaderPredicate(Predicate):
    """A condition on the first value of a header. `name` is in lower case, `title` as spelled in
    the configuration."""

    name: bytes
    title: str = field(compare=False)
    value: bytes

    @property
    def header_names(self) -> tuple[bytes, ...]:
        return (self.name,)

    @property
    def reads_one_message(self) -> bool:
        return True

    @abstractmethod
    def accepts(self, found: bytes | None) -> bool:
        """Return True if a header with the value `found` (None if it is missing) meets the
        condition."""

    @property
    @abstractmethod
    def _expected(self) -> str: ...

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        found = headers.get(self.name)
        if self.accepts(found):
            return None
        return Difference(ONLY_HEADERS, partial(self._reason, found), partial(self._log, found))

    def _log(self, found: bytes | None) -> str:
        return f"header {self.title} {'is missing' if found is None else 'differs'}"

    def _reason(self, found: bytes | None) -> str:
        if is_secret(self.name.decode("ascii", "replace")):
            return f"header {self.title} differs"
        how = "missing" if found is None else _quote_value(found)
        return f"header {self.title} is {how}, expected {self._expected}"


@dataclass(frozen=True, slots=True)
class HeaderEquals(_HeaderPredicate):
    """The header has this value. A missing header counts as empty."""

    def accepts(self, found: bytes | None) -> bool:
        return (found or b"") == self.value

    @property
    def _expected(self) -> str:
        return _quote_value(self.value)


@dataclass(frozen=True, slots=True)
class HeaderContains(_HeaderPredicate):
    """The header is present and contains this value."""

    @property
    def extent(self) -> int:
        return LONG_HEADER

    def decide_in_pieces(self, prompt: Prompt, headers: Headers, effort: Effort) -> Iterator[bool]:
        if effort.is_much(PER_TEXT + len(headers.get(self.name, b""))):
            yield False

    def accepts(self, found: bytes | None) -> bool:
        return found is not None and self.value in found

    def covers(self, later: Predicate) -> bool:
        return self == later or (
            isinstance(later, _HeaderPredicate)
            and self.name == later.name
            and bool(later.value)  # equal to an empty value: the header may be missing
            and self.value in later.value
        )

    @property
    def _expected(self) -> str:
        return f"containing {_quote_value(self.value)}"


def _quote_value(value: bytes) -> str:
    return quote(value.decode("utf-8", "replace"))
