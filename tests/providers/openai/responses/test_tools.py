"""Tools in a response: the service's defaults are added, and secrets are left out."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers.openai.responses.tools import normalise


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (
            {"name": "f", "type": "function", "description": "", "strict": None},
            {
                "type": "function",
                "description": None,
                "name": "f",
                "output_schema": None,
                "parameters": None,
                "strict": True,
            },
        ),
        (
            {"type": "function", "strict": False, "name": "f", "defer_loading": True},
            {
                "type": "function",
                "defer_loading": True,
                "description": None,
                "name": "f",
                "output_schema": None,
                "parameters": None,
                "strict": False,
            },
        ),
        (
            {"type": "custom", "name": "c"},
            {"type": "custom", "description": None, "format": {"type": "text"}, "name": "c"},
        ),
        (
            {"type": "file_search", "vector_store_ids": ["vs_1"]},
            {
                "type": "file_search",
                "filters": None,
                "max_num_results": 20,
                "ranking_options": {"ranker": "auto", "score_threshold": 0.0},
                "vector_store_ids": ["vs_1"],
            },
        ),
        (
            {"type": "web_search", "search_context_size": "low"},
            {
                "type": "web_search",
                "filters": None,
                "search_context_size": "low",
                "user_location": {
                    "type": "approximate",
                    "city": None,
                    "country": "US",
                    "region": None,
                    "timezone": None,
                },
            },
        ),
    ],
)
def test_a_tool_has_the_defaults_of_its_type_in_the_order_of_the_service(
    tool: Any, expected: Any
) -> None:
    (repeated,) = normalise([tool])

    assert list(repeated.items()) == list(expected.items())


def test_credentials_of_a_server_are_not_repeated() -> None:
    tool = {
        "type": "mcp",
        "server_label": "docs",
        "server_url": "https://user:word@host/secret?key=x",
        "authorization": "token",
        "headers": {"X-Key": "x"},
    }

    (repeated,) = normalise([tool])

    assert repeated == {
        "type": "mcp",
        "allowed_tools": None,
        "headers": {"X-Key": "<redacted>"},
        "require_approval": "always",
        "server_description": None,
        "server_label": "docs",
        "server_url": "https://host/<redacted>",
    }


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host", "https://host"),
        ("https://host/", "https://host"),
        ("https://host?key=x", "https://host/<redacted>"),
        ("https://[", "<redacted>"),
    ],
)
def test_only_the_host_of_a_server_is_repeated(url: str, shown: str) -> None:
    (repeated,) = normalise([{"type": "mcp", "server_url": url}])

    assert repeated["server_url"] == shown


@pytest.mark.parametrize("tools", ["x", None, [], [1], [{}], [{"type": 1}], [{"type": "new"}]])
def test_unknown_tools_are_repeated_unchanged(tools: Any) -> None:
    assert normalise(tools) == tools


def test_the_request_is_not_changed() -> None:
    tools = [{"type": "mcp", "authorization": "token", "headers": {"a": "b"}}]

    normalise(tools)

    assert tools == [{"type": "mcp", "authorization": "token", "headers": {"a": "b"}}]
