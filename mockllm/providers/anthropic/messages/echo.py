"""The member of a request that its answer repeats (anthropic 2.14.0: `Usage.inference_geo`).

The Messages API repeats no other, apart from the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockllm.wire import jsontext
from mockllm.wire.placeholders import NOTHING_ECHOED, Echoed

INFERENCE_GEO = "inference_geo"
EVERYWHERE = "global"
"""The region of a request that names none."""


def echoed(body: Mapping[str, Any], names: frozenset[str] | None) -> Echoed:
    """The region that a request names (`placeholders.Echo`)."""
    region = body.get(INFERENCE_GEO)
    return NOTHING_ECHOED if region is None else {INFERENCE_GEO: jsontext.dumps(region)}
