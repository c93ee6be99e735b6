"""Members that services with a Responses API send and openai 3.54.0 does not declare.

``testdata/recorded`` has answers of most of those named here.
"""

from __future__ import annotations

from mockllm.validation.undeclared import Undeclared

ANSWER = Undeclared(
    {
        "frequency_penalty": "OpenAI, Azure, xAI",
        "presence_penalty": "OpenAI, Azure, xAI",
        "store": "OpenAI, Azure, xAI",
        "output_text": "mockllm, which makes a message of it where output is missing",
        "billing": "OpenAI",
        "content_filters": "Azure",
        "kv_transfer_params": "vLLM",
        "input_messages": "vLLM",
        "output_messages": "vLLM",
        "usage.cost": "OpenRouter",
        "usage.cost_details": "OpenRouter",
        "usage.is_byok": "OpenRouter",
        "usage.cost_in_usd_ticks": "xAI",
        "usage.num_sources_used": "xAI",
        "usage.num_server_side_tools_used": "xAI",
        "usage.server_side_tool_usage_details": "xAI",
        "usage.context_details": "xAI",
    },
    open_enums=("service_tier",),
    left_out=("usage.input_tokens_details.cache_write_tokens",),  # Azure, xAI, older models
)
_IN_EVENT = ANSWER.renamed("", "response.")
EVENT = Undeclared(
    {
        **_IN_EVENT.members,
        "obfuscation": "OpenAI, in deltas",
    },
    _IN_EVENT.open_enums,
    _IN_EVENT.left_out,
)
IN_REQUESTS = Undeclared({"[].content[].cache_control": "OpenRouter"})
"""What clients send in an input."""
