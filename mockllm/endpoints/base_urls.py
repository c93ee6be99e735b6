"""Base URLs that are nearly right: the mistake that a path shows, and the URL that was meant.

Some vendors' clients want ``/v1`` in the base URL and others' add it themselves, so nearly everyone
gets it wrong once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from mockllm.providers import VENDORS

VERSION = "/v1"
MAX_PATH = 200  # characters; longer paths are not examined


@dataclass(frozen=True, slots=True)
class Mistake:
    """A path's mistake in words, and the path that was meant."""

    what: str
    meant: str

    def describe(self, host: str) -> str:
        """The mistake, with the right URL and the base URLs of clients for a server at `host`."""
        root = f"http://{host}"
        bases = ", ".join(f"{root}{vendor.base_path} for {vendor.name}" for vendor in VENDORS)
        return f"{self.what}. The right URL is {root}{self.meant}. Base URLs of clients: {bases}."


def find_mistake(path: str, is_known: Callable[[str], bool]) -> Mistake | None:
    """The mistake in `path` if a known path was meant; None if no known path is close."""
    if len(path) > MAX_PATH:
        return None
    plain = re.sub("/{2,}", "/", path).rstrip("/")
    if is_known(plain) and plain != path:
        return Mistake("The path has an extra '/'", plain)
    if is_known(VERSION + plain):
        return Mistake(f"The base URL lacks '{VERSION}'", VERSION + plain)
    if plain.startswith(VERSION * 2) and is_known(plain.removeprefix(VERSION)):
        meant = plain.removeprefix(VERSION)
        return Mistake(f"The base URL must not end in '{VERSION}': the client adds it", meant)
    return _behind_too_much(plain, is_known)


def _behind_too_much(plain: str, is_known: Callable[[str], bool]) -> Mistake | None:
    """A known path behind something else: ``/api/v1/models``, or a whole endpoint as base URL."""
    segments = plain.split("/")[1:]
    for at in range(1, len(segments)):
        before, end = ("/" + "/".join(part) for part in (segments[:at], segments[at:]))
        if is_known(end) and not is_known(plain):  # Azure's paths end like OpenAI's
            return Mistake(f"The base URL has an extra '{before}'", end)
        if is_known(before) and is_known(VERSION + end):
            what = f"The base URL has an extra '{before.removeprefix(VERSION)}'"
            return Mistake(what, VERSION + end)
    return None
