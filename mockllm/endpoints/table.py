"""The table of endpoints.

A route has a method, a template and a function. The app answers HEAD wherever there is a GET, and
OPTIONS everywhere.
"""

from __future__ import annotations

from dataclasses import replace

from mockllm.endpoints import (
    compaction,
    completions,
    models,
    moderations,
    stored_responses,
    token_counts,
)
from mockllm.endpoints.health import HEALTH, READY, ROOT, alive, health, ready
from mockllm.endpoints.route import Route
from mockllm.providers.openai import azure

_OPENAI = (
    Route("POST", "/v1/responses/input_tokens", token_counts.input_tokens),
    Route("POST", "/v1/responses/compact", compaction.compact),
    Route("GET", "/v1/responses/{id}", stored_responses.retrieve),
    Route("DELETE", "/v1/responses/{id}", stored_responses.delete),
    Route("POST", "/v1/responses/{id}/cancel", stored_responses.cancel),
    Route("GET", "/v1/responses/{id}/input_items", stored_responses.input_items),
    Route("POST", "/v1/completions", completions.complete),
    Route("POST", "/v1/moderations", moderations.moderate),
    Route("GET", "/v1/models", models.models),
    Route("GET", "/v1/models/{id...}", models.model),
)

LISTED = (
    Route("POST", "/v1/messages/count_tokens", token_counts.count_tokens),
    *_OPENAI,
    Route("GET", HEALTH, health, public=True),
    Route("GET", READY, ready, public=True),
    Route("HEAD", ROOT, alive, public=True),
)
"""The routes that a 404 lists."""

ROUTES = (
    *LISTED,
    *(
        replace(route, template=template(route.template))
        for template in (azure.versioned, azure.unversioned)
        for route in _OPENAI
    ),
)
"""All routes, including those of the same functions under Azure's paths."""

NOT_LISTED = azure.SUMMARY
"""A short description of the routes that a 404 does not list, also those of mocked APIs."""
