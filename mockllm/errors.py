"""Exceptions, by whose fault they are.

    MockLLMError
    ├── ConfigError      the author of a configuration: all mistakes of a run, reported together
    ├── MissingExtraError     whoever installed: a configuration needs a library that is optional
    ├── ListenError      the operator: an address that cannot be listened on
    ├── RemoteError      a server in another process: not there, or it refuses
    └── ClientError      the client of a request: a status and a message
        ├── RequestError     valid HTTP, rejected by a provider
        └── HTTPError        not valid HTTP: answered once, then the connection closes
            └── ForeignProtocolError   closed without an answer

Exceptions of foreign libraries are translated where the library is called, so nothing else leaves
this package. `providers.envelope` renders them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Self, TypeVar

_T = TypeVar("_T")


class MockLLMError(Exception):
    """The root of every error this package raises on purpose."""


MISSING_EXTRA = "need an extra: pip install"
"""Part of the text of each `MissingExtraError`."""


class MissingExtraError(MockLLMError, ValueError):
    """A configuration uses a word that needs an optional library. A ValueError, because it is
    reported at the place of the word, like one that is written wrongly."""

    def __init__(self, what: str, extra: str) -> None:
        """Name what needs the libraries of `extra`."""
        super().__init__(f"{what} {MISSING_EXTRA} 'mockllm-server[{extra}]'")


class Severity(StrEnum):
    """The effect of a problem on the start of the server: an error prevents it, a warning only with
    ``--strict``. A note is information, for those who ask for it."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


_MAX_NAME = 100  # characters of the name of a mock that are shown


class Place(str):
    """A place in a configuration, as text: ``mocks/a.json: openai[3] 'greet': match.match_type``.

    Its parts are attributes: `file`, `field` (the list of mocks), `position` in it, `name` of the
    mock and `path` within the mock. Those that do not apply are empty, or None for `position`.
    """

    __slots__ = ("field", "file", "name", "path", "position")  # each mock has one: not 300 B more

    file: str
    field: str
    position: int | None
    name: str
    path: str

    def __new__(
        cls,
        *,
        file: str = "",
        field: str = "",
        position: int | None = None,
        name: str = "",
        path: str = "",
    ) -> Self:
        """Return the place with these parts."""
        label = "" if position is None else f"{field}[{position}]"
        shown = f"{name!r}" if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]!r}…"
        named = f"{label} {shown}" if label and name else label
        place = super().__new__(cls, ": ".join(part for part in (file, named, path) if part))
        place.file, place.field, place.position = file, field, position
        place.name, place.path = name, path
        return place

    def at(self, path: str) -> Place:
        """Return the place of `path` within this one: a file, a mock, or a part of a mock."""
        if self.path and path:
            path = f"{self.path}{'' if path.startswith('[') else '.'}{path}"
        return self._with_path(path or self.path)

    def _with_path(self, path: str) -> Place:
        if path == self.path:  # as for most mocks, whose own answer has no path
            return self
        return Place(
            file=self.file, field=self.field, position=self.position, name=self.name, path=path
        )

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, object]]:
        """Return the arguments of a copy."""
        return (), {name: getattr(self, name) for name in self.__slots__}

    @property
    def mock(self) -> Place:
        """The mock, or the file, that this place is in."""
        return self._with_path("")


NOWHERE = Place()
"""The place of what was written in Python, not in a file."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration: its location, what was expected, what was found.

    `place` is the file, the mock and the JSON path, as far as known.
    """

    place: str
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


def warning(place: str, message: str) -> Problem:
    """Return a likely mistake, which does not prevent serving the configuration."""
    return Problem(place, message, Severity.WARNING)


MAX_PROBLEMS_OF_MOCK = 10
"""Problems of one mock that are reported at once. Further ones are mostly consequences."""
MAX_PROBLEMS = 100
"""Problems that are reported at once: 20 kB, more than anybody reads."""


MAX_DESCRIBED = 100
"""Problems of one mock that are described at all: a body of 3 MB has 200,000, which take 20 s."""


def not_described(place: str, count: int) -> tuple[Problem, ...]:
    """Return the problem that stands for `count` more at `place`; nothing if there are no more."""
    return (Problem(place, f"{count:,} more mistakes are not described"),) if count > 0 else ()


def describe_first(
    found: Sequence[_T], describe: Callable[[_T], Problem], place: str
) -> tuple[Problem, ...]:
    """Return the problems of the first `MAX_DESCRIBED` of what was `found`, and the one at `place`
    that stands for the others."""
    more = not_described(place, len(found) - MAX_DESCRIBED)
    return (*map(describe, found[:MAX_DESCRIBED]), *more)


def most_important(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Return the problems to report, in order: at most `MAX_PROBLEMS_OF_MOCK` of each mock and
    `MAX_PROBLEMS` in all, errors before warnings, warnings before notes."""
    shown: set[int] = set()
    of_mock: dict[str, int] = {}
    by_severity = list(Severity)
    order = sorted(range(len(problems)), key=lambda at: by_severity.index(problems[at].severity))
    for at in order:
        place = problems[at].place
        mock = place.mock if isinstance(place, Place) else place
        of_mock[mock] = of_mock.get(mock, 0) + 1
        if of_mock[mock] <= MAX_PROBLEMS_OF_MOCK and len(shown) < MAX_PROBLEMS:
            shown.add(at)
    return tuple(problems[at] for at in sorted(shown))


class ConfigError(MockLLMError):
    """An invalid configuration. `problems` lists every mistake found, in order; the text has the
    most important ones."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        lines = [str(problem) for problem in most_important(problems)]
        if len(lines) < len(problems):
            lines.append(f"... and {len(problems) - len(lines):,} more")
        super().__init__("\n".join(lines))
        self.problems = problems


class ListenError(MockLLMError):
    """An address that cannot be listened on; the text says which and why."""


class RemoteError(MockLLMError):
    """A server in another process that cannot be reached, or refuses what is asked over its control
    API. `status` and `code` are those of its answer: 0 and empty without one."""

    def __init__(self, message: str, *, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class ClientError(MockLLMError):
    """A request that gets an error status (RFC 9110, section 15.5). `headers` are added to the
    response, such as ``Allow`` to a 405."""

    def __init__(
        self, status: int, message: str, *, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


class RequestError(ClientError):
    """A valid HTTP request that a provider rejects.

    `param` names the member of the body at fault (``messages.0.content``); `code` is OpenAI's
    machine-readable reason. Both are rendered if the provider's error format includes them.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(status, message, headers=headers)
        self.param = param
        self.code = code


class HTTPError(ClientError):
    """An invalid or unsupported HTTP request. The connection closes after the response."""


class ForeignProtocolError(HTTPError):
    """Bytes of another protocol (TLS, HTTP/2). Its clients cannot read an HTTP/1.1 response, so the
    connection closes without one."""

    def __init__(self) -> None:
        super().__init__(400, "This is not HTTP/1.1")


MAX_HINTS = 1_000  # misspelt keys of one configuration whose meaning is guessed: 0.2 s


def closest(word: str, words: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """Return that of `words` which was probably meant by `word`; None if none is as like it as
    `likeness`, from 0 to 1."""
    known = tuple(words)
    found = get_close_matches(word, known, n=1, cutoff=likeness) if known else ()
    return found[0] if found else None


def did_you_mean(meant: str | None) -> str:
    """Return the end of a message about a misspelt word; empty if nothing is known to be meant."""
    return f"; did you mean {meant!r}?" if meant else ""
