"""GET /v1/models and /v1/models/{id}: the models of the configuration, those named by the mocks'
responses, then those of the engine.

Both vendors have these paths, with different objects. An object with the members of both satisfies
the clients of both, strict or not (openai 3.54.0: `Model`, anthropic 2.12.0: `ModelInfo`).
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from mockllm.endpoints.bodies import json_answer
from mockllm.endpoints.route import Context
from mockllm.engine.decision import Decision
from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.providers.routes import Values
from mockllm.redaction import redact_path

_CREATED = 1_700_000_000
_CREATED_AT = "2023-11-14T22:13:20Z"  # the same moment


def models(context: Context, request: Request, values: Values) -> Decision:
    """Answer with all models on one page, in the order of the configuration."""
    names = _names(context)
    page = {
        "object": "list",
        "data": [_model(name) for name in names],
        "has_more": False,
        "first_id": names[0] if names else None,
        "last_id": names[-1] if names else None,
    }
    return json_answer(request, page)


def model(context: Context, request: Request, values: Values) -> Decision:
    """Answer with one model. Its id may contain ``/`` and ``:``.

    Raises:
        RequestError: 404 if it is not listed.
    """
    name = values["id"]
    if name not in _names(context):
        name = redact_path(name)  # a credential may be in the wrong place
        if b"anthropic-version" in request.first_values:
            raise RequestError(404, f"model: {name}")
        message = f"The model `{name}` does not exist or you do not have access to it."
        raise RequestError(404, message, param="model", code="model_not_found")
    return json_answer(request, _model(name))


def _names(context: Context) -> list[str]:
    lists = ([*table.added, table.mocks] for table in context.tables)
    mocks = chain.from_iterable(chain.from_iterable(lists))
    answers = (written.answer for mock in mocks for _, written in mock.written())
    named = ((answer or {}).get("model") for answer in answers)
    engine = context.engine
    found = (*engine.listed_models, *named, *engine.models)
    return list(dict.fromkeys(name for name in found if isinstance(name, str) and name))


def _model(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": _CREATED,
        "owned_by": "mockllm",
        "type": "model",
        "display_name": name,
        "created_at": _CREATED_AT,
        "lifecycle": "active",
    }
