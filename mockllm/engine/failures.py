"""Compiles the error of a mock to a failure, and keeps the replies that were made of failures."""

from __future__ import annotations

from collections.abc import Callable

from mockllm.config.error import Error
from mockllm.engine.decision import Answer
from mockllm.exchange import Headers, Reply
from mockllm.providers.api import API
from mockllm.providers.failures import Cases, Failure
from mockllm.replies.prepared import Filled, make_ready
from mockllm.wire import jsontext
from mockllm.wire.chunking import Chunk

MAX_REPLIES = 1_000
MAX_MODEL = 200  # characters of a model whose replies are kept

Render = Callable[[API, Failure, str, Cases], Reply]
"""Renders a failure; not kept, so that an engine holds no reference to itself."""

_JSON = b"application/json"


def compile_error(error: Error) -> Failure:
    """Return the failure that `error` describes. JSON is encoded here, once."""
    body, content_type = _body(error) if error.has_body else (None, b"")
    return Failure(
        error.word or "",
        500 if error.status is None else error.status,
        error.message,
        body,
        content_type,
        error.delay,
        _compile_headers(error),
    )


def failed_answer(api: API, failure: Failure, chunk: Chunk) -> Answer:
    """Return the answer of `api` with `failure`: a response, if the API has no such error."""
    if failure.word == "flagged" and api.refuse is not None:
        return Answer(api.refuse(failure.message), chunk, headers=failure.headers)
    return Answer({}, chunk, failure=failure)


def why_no_error(api: API, failure: Failure | Error | None) -> str | None:
    """Return why `failure` cannot be the error of a fault in an answer of `api`; None if it can."""
    if failure is None or failure.word != "flagged" or api.refuse is None:
        return None
    return (
        f"{api.title} answers a flagged prompt with a refusal, which is no error: write "
        '"error": "flagged" beside \'match\', not in a fault'
    )


def _body(error: Error) -> tuple[bytes, bytes]:
    """Return the body as written, with its type."""
    written = error.content_type and error.content_type.encode()
    if not isinstance(error.body, str):
        return jsontext.dumps(error.body), written or _JSON
    kind = b"text/html" if error.body.lstrip().startswith("<") else b"text/plain"
    return error.body.encode(), written or kind + b"; charset=utf-8"


def _compile_headers(error: Error) -> Headers:
    return tuple((name.lower().encode(), value.encode()) for name, value in error.headers.items())


class FailedReplies:
    """The replies with failures, each rendered once for each API and model: sending one costs as
    much as sending an answer. Models beyond the bounds are rendered each time."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, Failure, str], Filled] = {}

    def get(self, api: API, failure: Failure, model: str, render: Render) -> Filled:
        """Return the reply of `api` with `failure` to a request for `model`, and its bytes."""
        key = (api.name, failure, model)
        filled = self._kept.get(key)
        if filled is None:
            filled = make_ready(render(api, failure, model, api.failures))
            if len(self._kept) < MAX_REPLIES and len(model) <= MAX_MODEL:
                self._kept[key] = filled
        return filled
