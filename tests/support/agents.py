"""Requests as Claude Code and Codex send them."""

from __future__ import annotations

from typing import Any


def claude_code() -> dict[str, Any]:
    ephemeral = {"type": "ephemeral", "ttl": "1h"}
    return {
        "model": "claude-sonnet-4-5",
        "max_tokens": 64_000,
        "stream": True,
        "metadata": {"user_id": "user_1"},
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330"},
            {"type": "text", "text": "You are Claude Code", "cache_control": ephemeral},
            {"type": "text", "text": "Be brief", "cache_control": ephemeral},
        ],
        "tools": [
            {
                "name": "Bash",
                "description": "Runs a command",
                "input_schema": {
                    "$schema": "https://json-schema.org/draft/2020-12/schema",
                    "type": "object",
                    "properties": {"command": {"type": "string"}},
                    "required": ["command"],
                    "additionalProperties": False,
                },
            },
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
        ],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "<system-reminder>"},
                    {"type": "text", "text": "hello", "cache_control": ephemeral},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "", "signature": "s"},
                    {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "content": [{"type": "text", "text": "1"}],
                        "is_error": False,
                    }
                ],
            },
            {"role": "system", "content": "a note", "output_config": {"effort": "high"}},
        ],
    }


def codex() -> dict[str, Any]:
    def message(role: str, text: str) -> dict[str, Any]:
        kind = "output_text" if role == "assistant" else "input_text"
        return {
            "type": "message",
            "id": "msg_1",
            "role": role,
            "content": [{"type": kind, "text": text}],
        }

    return {
        "model": "gpt-5-codex",
        "instructions": "You are Codex",
        "input": [
            message("developer", "permissions"),
            message("developer", "skills"),
            message("user", "<environment_context>"),
            message("user", "hello"),
            {"type": "reasoning", "summary": [], "encrypted_content": "x", "content": None},
            message("assistant", "Let me look"),
            {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "call_1"},
            {"type": "function_call_output", "call_id": "call_1", "output": "1"},
            {"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": "*"},
            {"type": "custom_tool_call_output", "call_id": "c", "output": "done"},
        ],
        "tools": [
            {
                "type": "function",
                "name": "shell",
                "description": "",
                "strict": False,
                "parameters": {"type": "object"},
            },
            {
                "type": "namespace",
                "name": "mcp",
                "description": "",
                "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": False}],
            },
            {"type": "web_search", "external_web_access": True},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "019a",
        "client_metadata": {"x-codex-installation-id": "1"},
    }
