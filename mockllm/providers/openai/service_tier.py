"""The service tier of OpenAI's answers, by that of the request (openai 3.57.0: `ServiceTier`).

It knows no other member, and no answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockllm.wire import jsontext
from mockllm.wire.placeholders import NOTHING_ECHOED, Echoed

NAME = "service_tier"
DEFAULT = "default"
"""The tier that ``auto`` and an absent member result in."""

_USED = {"auto": DEFAULT, "fast": "priority"}


def used(requested: Any) -> Any:
    """The tier that the service reports for the one that a request names."""
    return _USED.get(requested, requested) if isinstance(requested, str) else requested


def echoed(body: Mapping[str, Any], names: frozenset[str] | None) -> Echoed:
    """The tier used for a request (`placeholders.Echo`), for an API that repeats nothing else."""
    tier = body.get(NAME)
    return NOTHING_ECHOED if tier is None else {NAME: jsontext.dumps(used(tier))}
