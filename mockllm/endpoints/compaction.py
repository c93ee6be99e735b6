"""POST /v1/responses/compact: the user's messages, then one compaction item (openai 3.57.0:
`CompactedResponse`). Requests are validated like those to the API itself, and get
the failures that a service reports whatever it is asked to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mockllm.endpoints.bodies import json_answer_in_pieces
from mockllm.endpoints.route import RESPONSES, Context
from mockllm.endpoints.stored_responses import complete_input_item
from mockllm.endpoints.token_counts import decode_like, find_failure
from mockllm.engine.asking import begin, pause_if_large
from mockllm.engine.decision import Decision, Question
from mockllm.exchange import Request
from mockllm.pieces import Pieces
from mockllm.prompt.conversation import slices
from mockllm.providers.openai.responses.answer import complete
from mockllm.providers.openai.responses.conversation import items_of
from mockllm.providers.routes import Values
from mockllm.wire import placeholders, tokens

ID_LENGTH = 48  # characters after the prefix of an id
SUMMARY = "The earlier conversation, compacted by mockllm."
"""The `encrypted_content`, which clients send back unread."""


def compact(context: Context, request: Request, values: Values) -> Decision | Question:
    """Answer as `client.responses.compact` and Codex expect. The model's messages, calls and
    results are what is compacted away, as in the service."""
    leftovers: list[Any] = []
    return begin(_compact(context, request, leftovers), leftovers)


def _compact(context: Context, request: Request, leftovers: list[Any]) -> Pieces[Decision]:
    """Return the decision of `compact`, made in pieces."""
    prompt = yield from decode_like(context, RESPONSES, request, {"input": ""}, leftovers)
    failed = yield from find_failure(context, RESPONSES, request, prompt)
    if failed is not None:
        return failed
    yield from pause_if_large(request)
    input_tokens = tokens.estimate_prompt(prompt.body)
    output_tokens = tokens.estimate(SUMMARY)
    usage = {"input_tokens": input_tokens, "output_tokens": output_tokens}
    body = {
        "id": placeholders.fresh_id("resp_", ID_LENGTH, "compacted response"),
        "object": "response.compaction",
        "created_at": placeholders.seconds_placeholder(),
        "output": [],
        "usage": complete({"usage": usage})["usage"],
    }
    output = _output(items_of(prompt.body["input"] or []))
    return (yield from json_answer_in_pieces(request, body, "output", output, prompt=prompt))


def _output(items: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    """Yield the items of the answer, some at a time."""
    number = 0
    output: list[dict[str, Any]] = []
    for some in slices(items):
        if number:
            yield output
        kept = [item for item in some if item.get("role") == "user"]
        output = [complete_input_item(item, index) for index, item in enumerate(kept, number)]
        number += len(kept)
    item_id = placeholders.fresh_id("cmp_", ID_LENGTH, "compaction")
    yield [*output, {"id": item_id, "type": "compaction", "encrypted_content": SUMMARY}]
