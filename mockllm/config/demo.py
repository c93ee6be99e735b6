"""The demo mocks served without a configuration: one text and one tool call for each API, and an
echo of any other message, so that a newcomer's first request gets a response."""

from __future__ import annotations

from typing import Any

from mockllm.prompt import Prompt

_WEATHER_ID = "call_demo_weather"
_ARGUMENTS = '{"city":"Paris"}'


MODELS = (
    "gpt-5.5",
    "gpt-5.4-mini",
    "gpt-4o",
    "text-embedding-3-small",
    "claude-opus-5",
    "claude-sonnet-5",
    "claude-haiku-4-5",
)
"""The models that are listed, for programs that choose one of them. Any other is answered, too."""


def config() -> dict[str, Any]:
    """Return the demo mocks as the content of a configuration file."""
    return {
        "openai": [
            _chat(
                "hello", "Hello", {"role": "assistant", "content": _greeting("Chat Completions")}
            ),
            _chat("weather", "weather", {"role": "assistant", "tool_calls": [_CHAT_CALL]}),
        ],
        "openai_response": [
            _responses("hello", "Hello", _RESPONSES_TEXT),
            _responses("weather", "weather", _RESPONSES_CALL),
        ],
        "anthropic": [
            _messages("hello", "Hello", {"type": "text", "text": _greeting("Messages")}),
            _messages("weather", "weather", _MESSAGES_CALL),
        ],
    }


def echo(prompt: Prompt) -> str:
    """Return the text of the response if no demo mock matches."""
    return f"You said: {prompt.text}"


def _greeting(api: str) -> str:
    return f"Hello! This is mockllm, answering the {api} API without a model."


_CHAT_CALL = {
    "id": _WEATHER_ID,
    "type": "function",
    "function": {"name": "get_weather", "arguments": _ARGUMENTS},
}
_RESPONSES_TEXT = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": _greeting("Responses"), "annotations": []}],
}
_RESPONSES_CALL = {
    "type": "function_call",
    "call_id": _WEATHER_ID,
    "name": "get_weather",
    "arguments": _ARGUMENTS,
}
_MESSAGES_CALL = {
    "type": "tool_use",
    "id": "toolu_demo_weather",
    "name": "get_weather",
    "input": {"city": "Paris"},
}


def _match(text: str) -> dict[str, Any]:
    return {"match_type": "contains", "message": {"role": "user", "content": text}}


def _chat(name: str, text: str, message: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "match": _match(text), "response": {"choices": [{"message": message}]}}


def _responses(name: str, text: str, item: dict[str, Any]) -> dict[str, Any]:
    match = {"match_type": "contains", "input": text}
    return {"name": name, "match": match, "response": {"output": [item]}}


def _messages(name: str, text: str, block: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "match": _match(text), "response": {"content": [block]}}
