"""The names in a request: of its tools, of the tool that must be called, of its output's schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from mockllm.providers.contents import objects, text

Members = Mapping[str, Any]
_MUST_CALL = frozenset({"required", "any"})
"""The choices by which the model must call some tool: of OpenAI and of Anthropic."""


def tool_names(tools: Any) -> Iterator[str]:
    """The names of a request's tools; of a tool without a name, its type. Those of a namespace and
    the allowed ones of an MCP server are offered too."""
    for tool in objects(tools):
        yield text(tool.get("name")) or text(tool.get("type"))
        for inner in objects(tool.get("tools")):
            yield text(inner.get("name")) or text(inner.get("type"))
        allowed = tool.get("allowed_tools")
        if isinstance(allowed, dict):
            allowed = allowed.get("tool_names")
        if isinstance(allowed, list):
            yield from (name for name in allowed if isinstance(name, str))


def forced_tool(choice: Any, name_of: Callable[[Members], str], offered: Iterable[str]) -> str:
    """The name of the one tool that a request's `tool_choice` makes the model call; empty if the
    model may choose. `name_of` reads it from a choice that names a tool."""
    if isinstance(choice, dict):
        if name := name_of(choice):
            return name
        inner = choice.get("allowed_tools")  # Chat nests it
        allowed = inner if isinstance(inner, dict) else choice
        if isinstance(allowed.get("tools"), list):
            offered = [name_of(tool) for tool in objects(allowed["tools"])]
        choice = allowed.get("mode") or choice.get("type")
    if not (isinstance(choice, str) and choice in _MUST_CALL):
        return ""
    names = list(offered)
    return names[0] if len(names) == 1 else ""


def schema_names(output: Any) -> Iterator[str]:
    """The name of the schema in the format that a request asks for, else the schema's title."""
    if not isinstance(output, dict):
        return
    inner = output.get("json_schema")  # Chat nests it
    described = inner if isinstance(inner, dict) else output
    schema = described.get("schema")
    title = schema.get("title") if isinstance(schema, dict) else None
    name = text(described.get("name")) or text(title)
    if name:
        yield name
