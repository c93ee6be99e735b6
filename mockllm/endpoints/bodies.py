"""The bodies of requests to endpoints, and of their answers: JSON, in pieces if it is large."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from mockllm.engine.asking import MAX_UNDIVIDED
from mockllm.engine.decision import Decision, Match, Outcome, Summary
from mockllm.exchange import Headers, Reply, Request
from mockllm.matching.rule import Rule
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt
from mockllm.providers import find_vendor, request_body
from mockllm.providers.envelope import JSON_HEADERS
from mockllm.wire import jsontext

_SMALL = 3  # pieces of an answer that has one slice of entries; others are filled in while sent
_ENTRIES = b"\xf8"  # marks the place of a list; no UTF-8 text contains it


def endpoint_decision(
    reply: Reply,
    prompt: Prompt | None = None,
    *,
    outcome: Outcome = Outcome.ENDPOINT,
    rule: Rule | None = None,
) -> Decision:
    """Return the decision to answer with `reply`, which the app makes ready to be sent. A `prompt`
    is summarised for observers."""
    summary = None if prompt is None else Summary.of(prompt)
    return Decision.by(Match(outcome, reply, rule=rule, summary=summary))


def json_answer(request: Request, body: Any, *, prompt: Prompt | None = None) -> Decision:
    """Return a 200 with `body` as JSON and the headers of the request's vendor."""
    return endpoint_decision(Reply.whole(200, _headers(request), jsontext.dumps(body)), prompt)


def json_answer_in_pieces(
    request: Request,
    body: Mapping[str, Any],
    name: str,
    slices: Iterable[Sequence[Any]],
    *,
    prompt: Prompt | None = None,
) -> Pieces[Decision]:
    """Return what `json_answer` does of `body` with a member `name`, the list of all entries in
    `slices`, with pauses between these. Of several, its length is not sent."""
    written = jsontext.dumps({**body, name: orjson.Fragment(_ENTRIES)})
    before, _, behind = written.partition(_ENTRIES)
    pieces = [before + b"["]
    for some in filter(None, slices):
        if len(pieces) > 1:
            yield False
            pieces.append(b",")
        pieces.append(jsontext.dumps(some)[1:-1])
    pieces.append(b"]" + behind)
    headers = _headers(request)
    if len(pieces) <= _SMALL:
        return endpoint_decision(Reply.whole(200, headers, b"".join(pieces)), prompt)
    return endpoint_decision(Reply.lazy_whole(200, headers, lambda: pieces), prompt)


def _headers(request: Request) -> Headers:
    vendor = find_vendor(request)
    return JSON_HEADERS if vendor is None else vendor.headers


def read_object(request: Request, leftovers: list[Any]) -> Pieces[dict[str, Any]]:
    """Return the decoded body of a request, which must be a JSON object, decoded in pieces if it is
    large. `leftovers` are those of `DividedWork`.

    Raises:
        RequestError: 400 if it is none.
    """
    if len(request.body) > MAX_UNDIVIDED:
        return (yield from request_body.read_object_in_pieces(request.body, leftovers))
    return request_body.read_object(request.body)
