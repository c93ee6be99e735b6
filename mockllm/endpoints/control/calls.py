"""``/calls``: what a server has had, page by page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from mockllm.endpoints.control.answers import answer_in_pieces, no_content
from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.refusals import bad_parameter
from mockllm.endpoints.control.request import ControlRequest
from mockllm.engine.decision import Decision, Question, Wait
from mockllm.limits import MIB
from mockllm.observers.calls import Call
from mockllm.observers.reading import Reading
from mockllm.observers.selection import CallSelection, mock_id
from mockllm.pieces import Pieces
from mockllm.prompt import ConversationMessage, ToolResult
from mockllm.wire import jsontext

MAX_CALLS = 1_000  # of one page
MAX_PAGE = 8 * MIB  # bytes of a page after which no further call is added
APIS = ("chat", "responses", "messages", "embeddings")


def list_calls(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Answer with the calls that the query selects, in the order in which they ended: at most a
    page of them. ``next`` is the number after which the following page begins. While calls may be
    ``missing``, the last page has a ``next`` before them, so that some calls are read again.

    Raises:
        ControlError: 400, 403, 409.
    """
    last = asked.number("after", 0)
    limit = asked.number("limit", MAX_CALLS, most=MAX_CALLS)
    selection = _selection(asked)

    def show(reading: Reading) -> Decision | Question:
        def pieces(calls: Iterable[Call]) -> Pieces[Decision]:
            found: list[bytes] = []
            size, number, has_more = 0, last, False
            for call in calls:
                yield False
                if len(found) >= limit or size > MAX_PAGE:
                    has_more = True
                    break
                number = call.number
                if selection.accepts(call):
                    shown = jsontext.dumps(describe(call))
                    found.append(b"," + shown if found else shown)
                    size += len(shown)
            if reading.known_upto is not None and not has_more:
                number = min(number, reading.known_upto)  # or what is missing would never be seen
            missing = reading.missing or None
            members = {"next": number, "more": has_more, "lost": reading.lost, "missing": missing}
            rest = jsontext.dumps(members)
            return answer_in_pieces([b'{"calls":[', *found, b"]," + rest[1:]])

        is_large = partial(reading.has_large, last)
        return desk.look(reading.after(last), pieces, is_large=is_large)

    return desk.read(selection.session, show, after=last)


def clear_calls(desk: Desk, asked: ControlRequest) -> Question:
    """Drop the calls that the query selects.

    Raises:
        ControlError: 400, 403, 409.
        RequestError: 503, they cannot be dropped on all servers.
    """
    calls, selection = desk.calls, _selection(asked)

    def resume(results: Sequence[Any]) -> Decision:
        (refusal,) = results
        if refusal is not None:
            raise refusal
        return no_content()

    return Question((Wait(lambda: calls.clear(selection)),), resume)


def _selection(asked: ControlRequest) -> CallSelection:
    """Return which calls the query selects.

    Raises:
        ControlError: 400, 403.
    """
    api = asked.query.get("api")
    if api is not None and api not in APIS:
        raise bad_parameter("api", f"one of {', '.join(APIS)}", api)
    session = asked.scope(common=True)
    return CallSelection(session, asked.query.get("mock"), api, asked.flag("unmatched"))


def describe(call: Call) -> dict[str, Any]:
    """Return a call as JSON."""
    whole = not call.is_body_cut
    return {
        "number": call.number,
        "method": call.method,
        "path": call.path,
        "headers": dict(call.headers),
        "body": call.body if whole else None,
        "is_body_cut": call.is_body_cut,
        "attempt": call.attempt,
        "session": call.session,
        "api": call.api,
        "model": call.model,
        "stream": call.stream,
        "user": call.user if whole else "",
        "text": call.text if whole else "",
        "system": call.system if whole else "",
        "tools": list(call.tools) if whole else [],
        "messages": list(map(_message, call.messages)) if whole else [],
        "turn": call.turn if whole else None,
        "step": call.step if whole else None,
        "input_tokens": call.input_tokens if whole else 0,
        "output_tokens": call.output_tokens if whole else 0,
        "mock": call.mock,
        "mock_id": mock_id(call),
        "status": call.status,
        "outcome": call.outcome,
        "is_unmatched": call.is_unmatched,
        "is_late": call.is_late,
        "near_miss": call.near_miss,
        "traceback": call.traceback,
        "delivery": call.delivery,
        "held_at": call.held_at,
        "traffic": list(call.traffic),
        "asked_for": list(call.asked_for),
        "started": call.started,
        "ended": call.ended,
        "ttft": call.ttft,
    }


def _message(message: ConversationMessage) -> dict[str, Any]:
    calls = [{"id": call.call_id, "name": call.name} for call in message.calls]
    shown: dict[str, Any] = {"role": message.role, "texts": list(message.texts), "calls": calls}
    if isinstance(message, ToolResult):
        result = {"call_id": message.call_id, "name": message.name, "error": message.error}
        shown["result"] = result
    return shown
