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
from mockllm.engine.asking import begin
from mockllm.engine.decision import Decision, Question
from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.pieces import Pieces
from mockllm.providers.routes import Values
from mockllm.redaction import redact_path

ANSWERS_AT_ONCE = 200  # answers of mocks that are looked at without a pause: 2 ms
_CREATED = 1_700_000_000
_CREATED_AT = "2023-11-14T22:13:20Z"  # the same moment


def models(context: Context, request: Request, values: Values) -> Decision | Question:
    """Answer with all models on one page, in the order of the configuration."""
    return begin(_list(context, request))


def _list(context: Context, request: Request) -> Pieces[Decision | Question]:
    names = yield from _names(context)
    page = {
        "object": "list",
        "data": [_model(name) for name in names],
        "has_more": False,
        "first_id": names[0] if names else None,
        "last_id": names[-1] if names else None,
    }
    return json_answer(request, page)


def model(context: Context, request: Request, values: Values) -> Decision | Question:
    """Answer with one model. Its id may contain ``/`` and ``:``.

    Raises:
        RequestError: 404 if it is not listed.
    """
    return begin(_find(context, request, values["id"]))


def _find(context: Context, request: Request, name: str) -> Pieces[Decision | Question]:
    if name not in (yield from _names(context)):
        name = redact_path(name)  # a credential may be in the wrong place
        if b"anthropic-version" in request.first_values:
            raise RequestError(404, f"model: {name}")
        message = f"The model `{name}` does not exist or you do not have access to it."
        raise RequestError(404, message, param="model", code="model_not_found")
    return json_answer(request, _model(name))


def _names(context: Context) -> Pieces[list[str]]:
    lists = ([*table.added, table.mocks] for table in context.tables)
    mocks = chain.from_iterable(chain.from_iterable(lists))
    named: dict[object, None] = {}
    all_written = chain.from_iterable(mock.written() for mock in mocks)
    for place, (_, written) in enumerate(all_written, 1):
        name = (written.answer or {}).get("model")
        if isinstance(name, str):
            named[name] = None
        if place % ANSWERS_AT_ONCE == 0:
            yield False
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
