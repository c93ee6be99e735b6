"""Embeddings as the official SDK declares them: the only file here that imports it, but only
for what was not kept (`validation.declared`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, get_type_hints

from mockllm.providers.openai.embeddings import undeclared
from mockllm.providers.openai.vendor import SDK_VERSION
from mockllm.validation.declared import Declared
from mockllm.validation.findings import (
    Confirm,
    Finding,
    compile_match,
    compile_request,
    confirm_model,
)
from mockllm.validation.json_schema import Definitions, Form, MockSchemas
from mockllm.validation.versions import is_older

_IS_OLDER = is_older("openai", SDK_VERSION)
_WIDENED = frozenset[str]() if _IS_OLDER else None


def _load_request() -> Any:
    from openai.types.embedding_create_params import EmbeddingCreateParams

    return EmbeddingCreateParams


def _load_input() -> Any:
    return get_type_hints(_load_request())["input"]


def _load_answer() -> Any:
    from openai.types import CreateEmbeddingResponse

    return CreateEmbeddingResponse


_REQUEST = Declared("embeddings.request", _load_request)
_MATCH = Declared("embeddings.match", _load_input)
_ANSWER = Declared("embeddings.answer", _load_answer)


@cache  # it takes 50 to 100 ms, and a test suite starts many servers
def request_confirmer(*, strict: bool) -> Confirm:
    """Compile a validator that returns the first finding in a request body, or None."""
    return compile_request(_REQUEST, strict=strict, widened=_WIDENED)


def confirm_match(value: Any) -> list[Finding]:
    """Return the findings in a mock's `input`: a string, or a list of strings or token ids."""
    return _match()(value)


def confirm_response(response: dict[str, Any]) -> list[Finding]:
    """Return the findings in an answer with float vectors; base64 is encoded when rendering."""
    return confirm_model(_ANSWER, response, undeclared.ANSWER.explains, widened=_WIDENED)


def confirm_event(event: dict[str, Any]) -> list[Finding]:
    """Return nothing: no answer of this API is streamed."""
    return []


def json_schemas(definitions: Definitions) -> MockSchemas:
    """Return the JSON Schemas of what a mock holds."""
    match = definitions.add(_MATCH.load(), Form.MATCH)
    answer = definitions.add(_ANSWER.load(), Form.ANSWER, undeclared=[undeclared.ANSWER])
    return MockSchemas(match, answer, None)


def known_members() -> Mapping[str, frozenset[str]]:
    """Return nothing: an embedding's input has no tagged parts."""
    return {}


@cache
def _match() -> Callable[[Any], list[Finding]]:
    return compile_match(_MATCH, lenient_types=frozenset(), widened=_WIDENED)
