"""``/calls``: what a server has had, page by page."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

from mockllm.endpoints.control.answers import answer_with, no_content
from mockllm.endpoints.control.desk import Asked, Desk
from mockllm.engine.added import LIST
from mockllm.engine.asking import begin
from mockllm.engine.decision import Decision, Question
from mockllm.limits import MIB
from mockllm.observers.calls import Call
from mockllm.prompt import ConversationMessage, ToolResult
from mockllm.wire import jsontext

MAX_CALLS = 1_000  # of one page
MAX_PAGE = 8 * MIB  # bytes of a page after which no further call is added
_ID = re.compile(rf"{LIST}\[\d{{1,15}}\]", re.ASCII)
APIS = ("chat", "responses", "messages", "embeddings")


def list_calls(desk: Desk, asked: Asked) -> Decision | Question:
    """Answer with the calls that the query selects, in the order in which they ended: at most a
    page of them. ``next`` is the number after which the following page begins.

    Raises:
        ControlError: 400, 403, 409.
    """
    journal, session = desk.calls, asked.scope(common=True)
    last = asked.number("after", 0)
    limit = asked.number("limit", MAX_CALLS, most=MAX_CALLS)
    unmatched = asked.flag("unmatched")
    mock, api = asked.query.get("mock"), asked.query.get("api")

    def is_meant(call: Call) -> bool:
        return (
            (mock is None or mock in (call.mock, mock_id(call)))
            and (api is None or call.api == api)
            and (unmatched is None or call.is_unmatched == unmatched)
        )

    def pieces() -> Generator[bool, None, Decision]:
        found: list[bytes] = []
        size, number, has_more = 0, last, False
        for call in journal.read_after(last, session):
            yield False
            if len(found) >= limit or size > MAX_PAGE:
                has_more = True
                break
            number = call.number
            if is_meant(call):
                found.append(jsontext.dumps(describe(call)))
                size += len(found[-1])
        members = {"next": number, "more": has_more, "lost": journal.read_lost(session)}
        rest = jsontext.dumps(members)
        return answer_with(b'{"calls":[' + b",".join(found) + b"]," + rest[1:])

    return begin(pieces())


def clear_calls(desk: Desk, asked: Asked) -> Decision:
    """Drop the calls of a session, or all.

    Raises:
        ControlError: 400, 403, 409.
    """
    desk.calls.clear(asked.scope(common=True))
    return no_content()


def mock_id(call: Call) -> str | None:
    """Return what tells the mock that answered from all others; None if none did."""
    return None if call.rule is None else label_id(call.rule.label)


def label_id(label: str) -> str:
    """Return what tells the mock with this label from all others: of one that was added, its number
    (``added[3]``), because its name may be that of another one."""
    found = _ID.match(label)
    return label if found is None else found[0]


def is_id(name: str) -> bool:
    """Return True if `name` is the id of a mock that was added, or has the form of one."""
    return _ID.fullmatch(name) is not None


def number_of(mock_id: str) -> int:
    """Return the number of a mock that was added, by its id."""
    return int(mock_id[len(LIST) + 1 : -1])


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
