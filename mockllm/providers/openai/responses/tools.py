"""The tools of a request as the service repeats them in a response (openai 3.57.0: `Tool`).

Each has the defaults of its type and, after `type`, members in alphabetical order. Secrets are not
repeated. It does not know which tools a request may contain: others are repeated unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

REDACTED = "<redacted>"

_LOCATION = {"type": "approximate", "city": None, "country": "US", "region": None, "timezone": None}

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "function": {"description": None, "output_schema": None, "parameters": None, "strict": True},
    "custom": {"description": None, "format": {"type": "text"}},
    "file_search": {
        "filters": None,
        "max_num_results": 20,
        "ranking_options": {"ranker": "auto", "score_threshold": 0.0},
    },
    "image_generation": {
        "background": "auto",
        "moderation": "auto",
        "n": 1,
        "output_compression": 100,
        "output_format": "png",
        "quality": "auto",
        "size": "auto",
    },
    "mcp": {
        "allowed_tools": None,
        "headers": None,
        "require_approval": "always",
        "server_description": None,
    },
    "web_search": {"filters": None, "search_context_size": "medium", "user_location": _LOCATION},
    "web_search_preview": {"search_context_size": "medium", "user_location": _LOCATION},
}


def normalise(tools: Any) -> Any:
    """The tools as in a response; any other value than a list unchanged."""
    return [_tool(tool) for tool in tools] if isinstance(tools, list) else tools


def _tool(tool: Any) -> Any:
    if not isinstance(tool, dict):
        return tool
    kind = tool.get("type")
    defaults = _DEFAULTS.get(kind) if isinstance(kind, str) else None
    if defaults is None:
        return tool
    given = {name: value for name, value in tool.items() if value is not None and value != ""}
    members = {**defaults, **given}
    if kind == "mcp":
        members = _without_secrets(members)
    del members["type"]
    return {"type": kind, **dict(sorted(members.items()))}


def _without_secrets(members: dict[str, Any]) -> dict[str, Any]:
    """A server's members without credentials, which its URL and headers may contain too."""
    visible = {name: value for name, value in members.items() if name != "authorization"}
    if isinstance(visible["headers"], dict):
        visible["headers"] = dict.fromkeys(visible["headers"], REDACTED)
    if isinstance(visible.get("server_url"), str):
        visible["server_url"] = _without_path(visible["server_url"])
    return visible


def _without_path(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:  # no URL, so there is no telling what is secret in it
        return REDACTED
    has_more = parts.path.strip("/") or parts.query or parts.fragment
    return f"{parts.scheme}://{host}/{REDACTED}" if has_more else f"{parts.scheme}://{host}"
