"""The failures in which Responses differs from OpenAI's other APIs, as recorded."""

from __future__ import annotations

from mockllm.providers.failures import Case, Cases

FAILURES: Cases = {
    "context_length": Case(
        400,
        "invalid_request_error",
        "Your input exceeds the context window of this model. Please adjust your input and try "
        "again.",
        "context_length_exceeded",
        "input",
    ),
    "not_found": Case(
        400,
        "invalid_request_error",
        "The requested model '{model}' does not exist.",
        "model_not_found",
        "model",
    ),
}
