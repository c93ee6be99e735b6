"""Recognises wrong base URLs by the paths that they lead to, and names the right URL.

The clients of some vendors expect ``/v1`` in the base URL and those of others add it themselves, so
it is often missing or doubled.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from mockllm.providers import VENDORS
from mockllm.redaction import redact_path

VERSION = "/v1"
MAX_PATH = 200  # characters; longer paths are not examined


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake in a path: a sentence about it, without its full stop, and the right path."""

    description: str
    right_path: str

    def explain(self, scheme: str, host: str) -> str:
        """Return the mistake, the right URL and the clients' base URLs for a server at `host`
        (``localhost:8000``), reached by `scheme`, in sentences."""
        root = f"{scheme}://{host}"
        bases = ", ".join(f"{root}{vendor.base_path} for {vendor.name}" for vendor in VENDORS)
        right = f"The right URL is {root}{redact_path(self.right_path)}"
        return f"{self.description}. {right}. Base URLs of clients: {bases}."


def find_mistake(path: str, is_known: Callable[[str], bool]) -> Mistake | None:
    """Return the mistake that turned a known path into `path`; None if none explains it."""
    if len(path) > MAX_PATH:
        return None
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
