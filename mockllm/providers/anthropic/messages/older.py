"""Members that anthropic 2.12.0 declares in Messages and older SDKs do not.

``testdata/types`` has examples of all that anthropic 2.12.0 declares.
"""

from __future__ import annotations

from mockllm.validation.versions import members_by_tag

WIDENED: frozenset[str] = frozenset({"_Request.container"})
"""Members that anthropic 2.12.0 declares with more types than older SDKs, or no longer requires."""

ECHOED = frozenset({"MessageParam", "WebSearchToolRequestErrorParam"})
"""Names in older SDKs of types that a client sends back with members left out. `MessageParam` is
one type there, whatever the role."""

MEMBERS = members_by_tag(
    {
        "bash_code_execution_tool_result": "cache_control content tool_use_id",
        "browser_state": "cache_control state_changes tabs",
        "code_execution_tool_result": "cache_control content tool_use_id",
        "container_upload": "cache_control file_id",
        "document": "cache_control citations context source title",
        "image": "cache_control source transformations",
        "redacted_thinking": "data",
        "search_result": "cache_control citations content source title",
        "server_tool_use": "cache_control caller id input name",
        "text": "cache_control citations text",
        "text_editor_code_execution_tool_result": "cache_control content tool_use_id",
        "thinking": "signature thinking",
        "tool_reference": "cache_control tool_name",
        "tool_result": "cache_control content is_error tool_use_id toolset_name",
        "tool_search_tool_result": "cache_control content tool_use_id",
        "tool_use": "cache_control caller id input name toolset_name",
        "web_fetch_tool_result": "cache_control caller content tool_use_id",
        "web_search_tool_result": "cache_control caller content tool_use_id",
    }
)
"""The members of each content block that anthropic 2.12.0 declares, by its `type`."""
