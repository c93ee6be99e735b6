"""Members that services with an Embeddings API send and openai 3.54.0 does not declare.

``testdata/recorded`` has an answer of vLLM.
"""

from __future__ import annotations

from mockllm.validation.undeclared import Undeclared

ANSWER = Undeclared(
    {
        "id": "vLLM, OpenRouter",
        "created": "vLLM",
        "provider": "OpenRouter",
        "usage.completion_tokens": "vLLM",
        "usage.prompt_tokens_details": "vLLM",
        "usage.cost": "OpenRouter",
        "usage.cost_details": "OpenRouter",
    },
)
