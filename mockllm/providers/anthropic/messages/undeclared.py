"""Members that the service sends and anthropic 2.12.0 does not declare for clients without a beta.

``testdata/recorded`` has an answer with these members, whole and streamed.
"""

from __future__ import annotations

from mockllm.validation.undeclared import Undeclared

ANSWER = Undeclared(
    {
        "input_transformations": "Anthropic",
        "context_management": "Anthropic, in betas",
        "usage.iterations": "Anthropic, in betas",
        "base_resp": "MiniMax",
    },
    open_enums=("usage.service_tier",),
)
_IN_EVENT = ANSWER.renamed("", "message.")
EVENT = Undeclared(
    {
        **_IN_EVENT.members,
        "amazon-bedrock-invocationMetrics": "Bedrock, in message_stop",
        "context_management": "Anthropic, in the message_delta of betas",
        "usage.iterations": "Anthropic, in the message_delta of betas",
    },
    _IN_EVENT.open_enums,
)
