"""One conversation, as each API writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

from mockllm.prompt import ConversationMessage, Prompt, ToolCall, ToolResult
from tests.support.strategies import ask_chat, ask_messages, ask_responses

Json = dict[str, Any]
Messages = list[ConversationMessage]

WORDS = st.sampled_from(["hi", "", "weather?", "15 degrees", "é"])
NAMES = ["get_weather", "send_mail", "search"]


class Conversation(NamedTuple):
    instructions: list[str]
    tools: list[str]
    messages: Messages
    model: str = "m"
    stream: bool = False
    schema: str = ""
    """The name of the output's schema; empty if there is none."""


# --- Conversations, as no API writes them --------------------------------------------------------


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Questions, each with rounds of calls and an answer; it may end anywhere."""
    messages: Messages = []
    for _ in range(draw(st.integers(1, 3))):
        messages += draw(users())
        for _ in range(draw(st.integers(0, 2))):
            messages += draw(rounds(len(messages)))
        messages.append(ConversationMessage("assistant", draw(texts(1))))
    cut = draw(st.integers(1, len(messages)))
    instructions = draw(st.lists(WORDS, max_size=2))
    tools = draw(st.lists(st.sampled_from(NAMES), unique=True))
    model, stream = draw(st.sampled_from(["m", "hi"])), draw(st.booleans())
    schema = draw(st.sampled_from(["", "", "hi", "weather?"]))
    return Conversation(instructions, tools, messages[:cut], model, stream, schema)


def texts(least: int) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(WORDS, min_size=least, max_size=2).map(tuple)


def users() -> st.SearchStrategy[Messages]:
    message = texts(1).map(lambda said: ConversationMessage("user", said))
    return st.lists(message, min_size=1, max_size=2)


@st.composite
def rounds(draw: st.DrawFn, number: int) -> Messages:
    """An answer with calls, their results in any order, perhaps words of the user behind them."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2))
    calls = tuple(ToolCall(f"call_{number}_{at}", name) for at, name in enumerate(names))
    results: Messages = [
        ToolResult(texts=draw(texts(1)), call_id=call.call_id, name=call.name)
        for call in draw(st.permutations(calls))
    ]
    behind = draw(st.one_of(st.just([]), users()))
    return [ConversationMessage("assistant", draw(texts(0)), calls), *results, *behind]


# --- The same, as each API writes it -------------------------------------------------------------


def content(texts: Sequence[str], kind: str = "text") -> Any:
    if len(texts) == 1:
        return texts[0]
    return [{"type": kind, "text": text} for text in texts] or None


def options(conversation: Conversation, **of_schema: Any) -> Json:
    """The members beside the messages; `of_schema` asks for the schema, if there is one."""
    options = {"model": conversation.model, "stream": conversation.stream}
    return options | of_schema if conversation.schema else options


def as_chat(conversation: Conversation) -> Prompt:
    messages: list[Json] = [
        {"role": role, "content": text}
        for role, text in zip(("system", "developer"), conversation.instructions, strict=False)
    ]
    for message in conversation.messages:
        written: Json = {"role": message.role, "content": content(message.texts)}
        if isinstance(message, ToolResult):
            written["tool_call_id"] = message.call_id
        if message.calls:
            written["tool_calls"] = [
                {
                    "id": call.call_id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": "{}"},
                }
                for call in message.calls
            ]
        messages.append(written)
    tools = [{"type": "function", "function": {"name": name}} for name in conversation.tools]
    named = {"type": "json_schema", "json_schema": {"name": conversation.schema, "schema": {}}}
    return ask_chat(messages, tools=tools, **options(conversation, response_format=named))


def as_messages(conversation: Conversation) -> Prompt:
    return _ask_messages(conversation, _blocks(conversation))


def as_messages_in_blocks(conversation: Conversation) -> Prompt:
    """As Anthropic's clients write it: the results of a round in one message, in which the words
    behind them are blocks too."""
    joined: list[Json] = []
    for message in _blocks(conversation):
        before = joined[-1] if joined else {}
        if before.get("role") == "user" == message["role"] and _are_results(before["content"]):
            before["content"] += message["content"]
        else:
            joined.append(message)
    return _ask_messages(conversation, joined)


def _are_results(blocks: list[Json]) -> bool:
    return all(block["type"] == "tool_result" for block in blocks)


def _blocks(conversation: Conversation) -> list[Json]:
    messages: list[Json] = []
    for message in conversation.messages:
        blocks: list[Json] = [{"type": "text", "text": text} for text in message.texts]
        if isinstance(message, ToolResult):
            result = {"tool_use_id": message.call_id, "content": content(message.texts)}
            blocks = [{"type": "tool_result", **result}]
        blocks += [
            {"type": "tool_use", "id": call.call_id, "name": call.name, "input": {}}
            for call in message.calls
        ]
        role = "assistant" if message.role == "assistant" else "user"
        messages.append({"role": role, "content": blocks})
    return messages


def _ask_messages(conversation: Conversation, messages: list[Json]) -> Prompt:
    system = [{"type": "text", "text": text} for text in conversation.instructions]
    tools = [{"name": name, "input_schema": {}} for name in conversation.tools]
    named = {"type": "json_schema", "schema": {"title": conversation.schema}}
    more = options(conversation, output_config={"format": named})
    return ask_messages(messages, system=system, tools=tools, **more)


def as_responses(conversation: Conversation) -> Prompt:
    items: list[Json] = []
    for message in conversation.messages:
        if isinstance(message, ToolResult):
            output = {"call_id": message.call_id, "output": content(message.texts, "input_text")}
            items.append({"type": "function_call_output", **output})
            continue
        if message.role == "assistant":
            items.append({"type": "reasoning", "id": "rs_1", "summary": []})
        if message.texts:
            kind = "output_text" if message.role == "assistant" else "input_text"
            items.append({"role": message.role, "content": content(message.texts, kind)})
        items += [
            {"type": "function_call", "call_id": call_id, "name": name, "arguments": "{}"}
            for call_id, name in message.calls
        ]
    first = next(iter(conversation.instructions), None)
    notes: list[Json] = [
        {"role": "developer", "content": text} for text in conversation.instructions[1:]
    ]
    tools = [{"type": "function", "name": name} for name in conversation.tools]
    named = {"type": "json_schema", "name": conversation.schema, "schema": {}}
    more = options(conversation, text={"format": named})
    return ask_responses([*notes, *items], instructions=first, tools=tools, **more)
