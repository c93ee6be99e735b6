"""Which headers and parameters may hold a secret, whose value is then never shown."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"key|token|secret|passw|pwd|auth|cred|sig|session|code|jwt|cookie", re.IGNORECASE
)


def is_secret(name: str) -> bool:
    """Whether what a header or a parameter of this name holds may be a credential: then its value
    is never told."""
    return _SECRET.search(name) is not None
