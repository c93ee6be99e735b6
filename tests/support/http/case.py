"""Cases: requests that a server meets in the field, in tests of smuggling and in fuzzers, and the
answers that RFC 9110 and RFC 9112 require of it.

Where the standards leave a choice, this is the server's:

- What is no request by the grammar of RFC 9112 is answered once, and the connection closes. What is
  a request, but refused, leaves it open.
- An HTTP/2 preface and a TLS hello are closed without an answer: their peers read no HTTP/1.1.
- Any major version but 1 is a 505; a minor version above 1 is served as 1.1 (RFC 9110, 2.5).
- HTTP/1.0 stays open where the client asks for it with ``Connection: keep-alive``, but for streams.
- An empty Host is served: a mock has a default authority. So is ``https`` in an absolute target: a
  mock trusts every peer as its gateway (RFC 9110, 7.4).
- Percent-encoded octets that are unreserved are the characters they stand for (RFC 3986, 6.2.2.2),
  so ``/v1/%63hat/completions`` is the endpoint; ``%2F`` is no slash. Dot segments are not resolved:
  a path that begins with a slash is not relative to anything.
- A POST without a length has an empty body (RFC 9112, 6.3), which its provider refuses with a 400.
- An expectation that is not known is a 417 and a close: whether a body follows cannot be known.
- CONNECT is a 501 and a close: what follows may be no HTTP. A method that is not known is a 501.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from tests.support.http.answers import Answer


class Fate(Enum):
    """Fate of the connection after a case."""

    OPEN = auto()
    CLOSES = auto()
    EITHER = auto()
    """It may stay open or close, as long as the last answer says so."""
    ENDED = auto()
    """The client half-closes behind its bytes; the server answers them, then closes."""


Check = Callable[[list[Answer]], None]


@dataclass(frozen=True, slots=True)
class Case:
    """`data` is sent; `statuses` is a pattern of the final statuses in order, as in ``200 4..``;
    `heads` are the places of the answers to HEAD."""

    name: str
    source: str
    data: bytes
    statuses: str
    fate: Fate
    check: Check | None = None
    heads: tuple[int, ...] = ()


def served(
    name: str,
    source: str,
    data: bytes,
    statuses: str = "200",
    check: Check | None = None,
    *,
    fate: Fate = Fate.OPEN,
    heads: tuple[int, ...] = (),
) -> Case:
    """A case after which the connection stays open."""
    return Case(name, source, data, statuses, fate, check, heads)


def refused(name: str, source: str, data: bytes, statuses: str = "400") -> Case:
    """A case after which the connection closes; what follows `data` is not answered."""
    return Case(name, source, data, statuses, Fate.CLOSES)


def has(name: str, value: str, place: int = -1) -> Check:
    def check(answers: list[Answer]) -> None:
        assert answers[place].headers.get(name) == value

    return check


def allows(method: str) -> Check:
    def check(answers: list[Answer]) -> None:
        assert method in answers[-1].headers["allow"]

    return check


def lacks(name: str) -> Check:
    def check(answers: list[Answer]) -> None:
        assert name not in answers[-1].headers

    return check


def says(*texts: str) -> Check:
    """Each answer has the text that belongs to it."""

    def check(answers: list[Answer]) -> None:
        found = [text in answer.body.decode() for text, answer in zip(texts, answers, strict=True)]
        assert found == [True] * len(texts)

    return check
