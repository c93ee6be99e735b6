"""Base URLs that are nearly right: which mistake a path betrays, and the URL that was meant.

OpenAI's clients want ``/v1`` in the base URL and Anthropic's add it themselves, so it is the one
thing everybody gets wrong once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

VERSION = "/v1"
MAX_PATH = 200  # characters of a path that is looked into; nobody mistypes a longer one


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with a path, and the path that was meant."""

    what: str
    meant: str

    def describe(self, host: str) -> str:
        """It in words, with the base URLs that clients want of a server at `host`."""
        root = f"http://{host}"
        return (
            f"{self.what}. The right URL is {root}{self.meant}. The base URL for OpenAI's clients "
            f"is {root}{VERSION}, for Anthropic's {root}."
        )


def find_mistake(path: str, is_known: Callable[[str], bool]) -> Mistake | None:
    """The mistake that was made if `path` was meant to be a known one; None if nothing is near."""
    if len(path) > MAX_PATH:
        return None
    plain = re.sub("/{2,}", "/", path).rstrip("/")
    if is_known(plain) and plain != path:
        return Mistake("The path has a '/' too many", plain)
    if is_known(VERSION + plain):
        return Mistake(f"The base URL lacks '{VERSION}'", VERSION + plain)
    if plain.startswith(VERSION * 2) and is_known(plain.removeprefix(VERSION)):
        meant = plain.removeprefix(VERSION)
        return Mistake(f"The base URL has a '{VERSION}' that the client adds once more", meant)
    return _behind_too_much(plain, is_known)


def _behind_too_much(plain: str, is_known: Callable[[str], bool]) -> Mistake | None:
    """A known path behind something else: ``/api/v1/models``, or a whole endpoint as base URL."""
    segments = plain.split("/")[1:]
    for at in range(1, len(segments)):
        before, end = ("/" + "/".join(part) for part in (segments[:at], segments[at:]))
        if is_known(end):
            return Mistake(f"The base URL has '{before}' too much", end)
        if is_known(before) and is_known(VERSION + end):
            what = f"The base URL has '{before.removeprefix(VERSION)}' too much"
            return Mistake(what, VERSION + end)
    return None
