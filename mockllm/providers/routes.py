"""Matches paths against templates and extracts the values of their parameters.

The parameter ``{model}`` matches one segment of a path, ``{id...}`` the rest of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar
from urllib.parse import unquote

Values = Mapping[str, str]
"""The values of a template's parameters, percent-decoded: ``{"id": "gpt-4o"}``."""

NO_VALUES: Values = MappingProxyType({})

T = TypeVar("T")


class Routes(Generic[T]):
    """Entries by path template. A path without parameters is found by one dictionary look-up."""

    def __init__(self, entries: Iterable[tuple[str, T]]) -> None:
        known = list(entries)
        self.literal = {path: entry for path, entry in known if "{" not in path}
        templated = [(template, entry) for template, entry in known if "{" in template]
        self._templated = [(_pattern(template), entry) for template, entry in templated]
        self._beginnings = tuple({template.partition("{")[0] for template, _ in templated})

    def knows(self, path: str) -> bool:
        """Return True if `find` yields an entry for `path`. A third of its time: wrong paths are
        tried in many variations."""
        if path in self.literal:
            return True
        return path.startswith(self._beginnings) and any(
            pattern.fullmatch(path) for pattern, _ in self._templated
        )

    def find(self, path: str) -> Iterator[tuple[T, Values]]:
        """Yield each entry whose template matches `path`, with its values. A literal path is no
        value of a parameter: ``/v1/responses/compact`` is not the response ``compact``."""
        if path in self.literal:
            yield self.literal[path], NO_VALUES
            return
        if not path.startswith(self._beginnings):  # one call rejects nearly every other path
            return
        for pattern, entry in self._templated:
            match = pattern.fullmatch(path)
            if match is not None:
                yield entry, {name: unquote(value) for name, value in match.groupdict().items()}


def _pattern(template: str) -> re.Pattern[str]:
    """A regular expression that matches the paths of `template`."""
    escaped = re.escape(template)
    rests = re.sub(r"\\{(\w+)\\\.\\\.\\\.\\}", r"(?P<\1>.+)", escaped)
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", rests))
