"""Members that openai 3.54.0 declares in Responses and older SDKs do not.

``testdata/types`` has examples of all that openai 3.54.0 declares.
"""

from __future__ import annotations

from mockllm.validation.versions import members_by_tag

WIDENED: frozenset[str] = frozenset(
    {
        "ActionOpenPage.url",
        "ActionSearch.query",
        "FunctionCallOutput.call_id",
        "McpCall.error",
        "PendingSafetyCheck.code",
        "PendingSafetyCheck.message",
        "ResponseComputerToolCall.action",
        "ResponseFunctionCallArgumentsDoneEvent.name",
        "ResponseFunctionToolCallOutputItem.call_id",
        "ResponseOutputTextAnnotationAddedEvent.annotation",
    }
)
"""Members that openai 3.54.0 declares with more types than older SDKs, or no longer requires."""

MEMBERS = members_by_tag(
    {
        "additional_tools": "id role tools",
        "apply_patch_call": "call_id caller id operation status",
        "apply_patch_call_output": "call_id caller id output status",
        "code_interpreter_call": "code container_id id outputs status",
        "compaction": "encrypted_content id",
        "compaction_trigger": "id",
        "computer_call": "action actions call_id id pending_safety_checks status",
        "computer_call_output": "acknowledged_safety_checks call_id id output status",
        "configuration_update": "id reasoning text",
        "custom_tool_call": "async call_id caller id input name namespace",
        "custom_tool_call_output": "call_id caller id output",
        "file_search_call": "id queries results status",
        "function_call": "arguments async call_id caller id name namespace status",
        "function_call_output": "call_id caller id name namespace output status",
        "image_generation_call": (
            "action background error id output_format quality result revised_prompt size "
            "status svg_usage"
        ),
        "input_file": "detail file_data file_id file_url filename prompt_cache_breakpoint",
        "input_image": "detail file_id image_url prompt_cache_breakpoint",
        "input_text": "prompt_cache_breakpoint text",
        "item_reference": "id",
        "local_shell_call": "action call_id id status",
        "local_shell_call_output": "id output status",
        "mcp_approval_request": "arguments id name server_label",
        "mcp_approval_response": "approval_request_id approve id reason",
        "mcp_call": "approval_request_id arguments error id name output server_label status",
        "mcp_list_tools": "error id server_label tools",
        "message": "content id phase role status",
        "output_text": "annotations logprobs text",
        "program": "call_id code fingerprint id",
        "program_output": "call_id id result status",
        "reasoning": "content encrypted_content id status summary",
        "reasoning_text": "text",
        "refusal": "refusal",
        "shell_call": "action call_id caller environment id status",
        "shell_call_output": "call_id caller id max_output_length output status",
        "summary_text": "text",
        "tool_search_call": "arguments call_id execution id status",
        "tool_search_output": "call_id execution id status tools",
        "web_search_call": "action id status",
    }
)
"""The members of each input item and content part that openai 3.54.0 declares, by its `type`."""
