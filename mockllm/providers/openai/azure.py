"""Azure OpenAI: other routes to OpenAI's APIs (openai 3.54.0: `AzureOpenAI`).

Knows paths only. The same codecs and mocks answer; the query's ``api-version`` may be any. Where a
body names no model, the deployment in the path is the model.
"""

from __future__ import annotations

_VERSION = "/v1"

SUMMARY = "OpenAI's also under /openai/v1 and, for Azure, /openai/deployments/{model}"
"""The routes of this module, for a list of endpoints that is to be short."""


def deployment(path: str) -> str:
    """Azure's route to one deployment, for OpenAI's `path`."""
    return f"/openai/deployments/{{model}}{path.removeprefix(_VERSION)}"


def versioned(path: str) -> str:
    """The route of Azure's v1 API, for OpenAI's `path`."""
    return f"/openai{path}"


def unversioned(path: str) -> str:
    """The route of Azure's API with dated versions, for OpenAI's `path`."""
    return f"/openai{path.removeprefix(_VERSION)}"
