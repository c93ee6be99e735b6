"""A mock's match, compiled: what a request must be for the mock to answer.

These are values; how they are held against a request is `matching.specification`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """How a rule looks at a subject."""

    EQUALS = "equals"
    """All items are the rule's, compared by canonical form."""
    ENDS_WITH = "ends with"
    """The last items are the rule's, compared by canonical form."""
    CONTAINS = "contains"
    """The rule's text is in one of the subject's texts."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a rule wants of the body.

    `role` None means any. `texts` are what the mock says: the one text that CONTAINS looks for,
    or the texts of the message or last item that EQUALS and ENDS_WITH compare whole, as `size`
    items with the canonical form `key`.
    """

    kind: Kind
    role: str | None = None
    texts: tuple[str, ...] = ()
    size: int = 0
    key: bytes = b""

    @property
    def text(self) -> str:
        """The first text, or an empty one."""
        return self.texts[0] if self.texts else ""


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """What a rule wants of one header. `name` is in lower case, `title` as the user wrote it."""

    name: bytes
    title: str
    value: bytes
    contains: bool = False

    def holds(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether it holds for the first values of a request's headers. An absent header holds
        only for an exact rule with an empty value."""
        found = headers.get(self.name)
        if found is None:
            return not self.contains and not self.value
        return self.value in found if self.contains else found == self.value


@dataclass(frozen=True, slots=True)
class Rule:
    """A mock's match, compiled. `index` is the mock's place among its provider's, `label` how
    messages name it (``openai[3] 'greet'``)."""

    index: int
    label: str
    expectation: Expectation
    headers: tuple[HeaderRule, ...] = ()
