"""Recognises wrong base URLs by the paths that they lead to, and names the right URL.

The clients of some vendors expect ``/v1`` in the base URL and those of others add it themselves, so
it is often missing or doubled. A session's prefix comes before all else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from mockllm.providers import VENDORS
from mockllm.redaction import redact_path
from mockllm.state.session_names import PREFIX, shown_path, split_path

VERSION = "/v1"
SEVERAL = "/sessions/"
"""What is written for the prefix of a session by mistake."""
MAX_PATH = 200  # characters; longer paths are not examined


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake in a path: a sentence about it, without its full stop, and the right path.
    `prefix` is that of the right session, if the mistake concerns it."""

    description: str
    right_path: str
    prefix: str = ""

    def explain(self, root: str, prefix: str) -> str:
        """Return the mistake, the right URL and the clients' base URLs for a server at the URL
        `root` (``http://localhost:8000``), in sentences. `prefix` is that of the session which the
        path names (``/session/a``)."""
        root = f"{root}{self.prefix or prefix}"
        bases = ", ".join(f"{root}{vendor.base_path} for {vendor.name}" for vendor in VENDORS)
        right = f"The right URL is {root}{redact_path(self.right_path)}"
        return f"{self.description}. {right}. Base URLs of clients: {bases}."


def find_mistake(
    path: str, is_known: Callable[[str], bool], session: str | None = None
) -> Mistake | None:
    """Return the mistake that turned a known path into `path`; None if none explains it. The path
    is without the prefix of the `session` that it names."""
    if len(path) > MAX_PATH:
        return None
    mistake = _find_session_mistake(path, is_known, session)
    return mistake or _find_path_mistake(path, is_known)


def _find_session_mistake(
    path: str, is_known: Callable[[str], bool], session: str | None
) -> Mistake | None:
    """Find a missing name (``/session/v1/models``), a second session, a prefix that is misspelt
    (``/sessions/a/v1/models``), and one that is not at the beginning: ``/v1/session/a/models``,
    ``/api/session/a/v1/models``."""
    if session is not None:
        if f"/{session}" == VERSION and is_known(VERSION + path):
            lacks = f"The path lacks the name of a session after '{PREFIX}'"
            return Mistake(lacks, VERSION + path, f"{PREFIX}NAME")
        second, rest = split_path(path)
        if second is not None and is_known(rest):
            return Mistake("The path names two sessions", rest, shown_path(second, ""))
    if path.startswith(SEVERAL):
        name, rest = split_path(PREFIX + path.removeprefix(SEVERAL))
        if name is not None and is_known(rest):
            what = f"The path begins with '{SEVERAL}', not with '{PREFIX}'"
            return Mistake(what, rest, shown_path(name, ""))
    before, found, after = path.partition(PREFIX)
    if not found or not before:
        return None
    name, rest = split_path(PREFIX + after)
    prefix = shown_path(name, "")
    for right in (rest, before + rest):
        if is_known(right):
            shown = redact_path(before)
            if not before.strip("/"):
                return Mistake("The path has an extra '/'", right, prefix)
            return Mistake(f"The base URL has '{shown}' before '{prefix}'", right, prefix)
    return None


def _find_path_mistake(path: str, is_known: Callable[[str], bool]) -> Mistake | None:
    plain = re.sub("/{2,}", "/", path) if "//" in path else path
    plain = plain.rstrip("/")
    if is_known(plain) and plain != path:
        return Mistake("The path has an extra '/'", plain)
    if is_known(VERSION + plain):
        return Mistake(f"The base URL lacks '{VERSION}'", VERSION + plain)
    if plain.startswith(VERSION * 2) and is_known(plain.removeprefix(VERSION)):
        right = plain.removeprefix(VERSION)
        return Mistake(f"The base URL has one '{VERSION}' too many", right)
    return _find_extra_prefix(plain, is_known)


def _find_extra_prefix(plain: str, is_known: Callable[[str], bool]) -> Mistake | None:
    """Find a known path after a prefix: ``/api/v1/models``, or an endpoint used as base URL."""
    segments = plain.split("/")[1:]
    for at in range(1, len(segments)):
        prefix, end = ("/" + "/".join(part) for part in (segments[:at], segments[at:]))
        if is_known(end) and not is_known(plain):  # Azure's paths end like OpenAI's
            return Mistake(f"The base URL has an extra '{redact_path(prefix)}'", end)
        if is_known(prefix) and is_known(VERSION + end):
            extra = prefix.removeprefix(VERSION)
            return Mistake(f"The base URL has an extra '{redact_path(extra)}'", VERSION + end)
    return None
