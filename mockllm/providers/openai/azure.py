"""Azure OpenAI: other routes to OpenAI's APIs (openai 3.54.0: `AzureOpenAI`).

Knows paths only: the codecs and mocks are OpenAI's. Any ``api-version`` in the query is accepted.
If a body has no model, it is the deployment in the path."""

from __future__ import annotations

_VERSION = "/v1"

SUMMARY = "OpenAI's also under /openai/v1 and, for Azure, /openai/deployments/{model}"
"""A description of the routes of this module, for short lists of endpoints."""


def routes_of(path: str) -> tuple[str, str, str]:
    """The routes of an API that OpenAI serves at `path`: its own, then Azure's."""
    return path, versioned(path), deployment(path)


def deployment(path: str) -> str:
    """Azure's route to one deployment, for OpenAI's `path`."""
    return f"/openai/deployments/{{model}}{path.removeprefix(_VERSION)}"


def versioned(path: str) -> str:
    """The route of Azure's v1 API, for OpenAI's `path`."""
    return f"/openai{path}"


def unversioned(path: str) -> str:
    """The route of Azure's API with dated versions, for OpenAI's `path`."""
    return f"/openai{path.removeprefix(_VERSION)}"
