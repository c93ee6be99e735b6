"""Calls as a server in another process tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockllm.client.transport import Transport
from mockllm.observers.calls import CallHeaders, HowDelivered
from mockllm.prompt import ConversationMessage, ToolCall, ToolResult


class RemoteCall:
    """A request that a server in another process has had, and what became of it: the words of a
    `Call`. Credentials are hidden (``***``); `sent_credential` has the server compare them."""

    method: str
    path: str
    body: Any
    is_body_cut: bool
    attempt: int
    session: str | None
    api: str | None
    model: str | None
    stream: bool
    user: str
    text: str
    system: str
    turn: int | None
    step: int | None
    input_tokens: int
    output_tokens: int
    mock: str | None
    status: int
    outcome: str
    is_unmatched: bool
    is_late: bool
    near_miss: str | None
    traceback: str
    delivery: HowDelivered
    held_at: str | None
    started: float
    ended: float
    ttft: float
    number: int
    mock_id: str | None

    def __init__(self, value: Mapping[str, Any], transport: Transport) -> None:
        """`value` is the call as JSON."""
        self._transport = transport
        members = dict(value)
        self.headers: Mapping[str, str] = CallHeaders(members.pop("headers"))
        """The headers by name, whose case does not matter; those with credentials are hidden."""
        self.tools: tuple[str, ...] = tuple(members.pop("tools"))
        """The names of the offered tools."""
        self.traffic: tuple[str, ...] = tuple(members.pop("traffic"))
        """The entries of traffic that changed the answer."""
        self.asked_for: tuple[str, ...] = tuple(members.pop("asked_for"))
        """What the client asked for by headers."""
        self.messages = tuple(map(_message, members.pop("messages")))
        """The conversation without instructions, in the same form for all APIs."""
        vars(self).update(members)

    def __repr__(self) -> str:
        mock = repr(self.mock) if self.mock is not None else f"[{self.outcome}]"
        return f"<RemoteCall {self.method} {self.path} {self.status} {mock} attempt={self.attempt}>"

    def sent_credential(self, credential: str) -> bool:
        """Return True if the request was sent with this API key.

        Raises:
            RemoteError: the server does not know the call any more, or cannot be reached.
        """
        body = {"assert": "credential", "call": self.number, "credential": credential}
        try:
            self._transport.ask("POST", "verify", body=body)
        except AssertionError:
            return False
        return True


def _message(value: Mapping[str, Any]) -> ConversationMessage:
    texts = tuple(value["texts"])
    calls = tuple(ToolCall(call["id"], call["name"]) for call in value["calls"])
    result = value.get("result")
    if result is None:
        return ConversationMessage(value["role"], texts, calls)
    return ToolResult(
        value["role"],
        texts,
        calls,
        call_id=result["call_id"],
        name=result["name"],
        error=result["error"],
    )
