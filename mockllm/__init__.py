"""A mock LLM server: OpenAI Chat Completions, OpenAI Responses and Anthropic Messages from a table
of mocks, so that agents, SDK users and gateways are tested end to end without a model.

    async with AsyncServer({"mocks": [{"reply": "Hello"}]}) as server:
        client = AsyncOpenAI(base_url=server.openai_base_url, api_key="any")

Importing this package imports no SDK; the first mock of a provider does.
"""

from mockllm.config.models import (
    AnthropicMock,
    AnthropicRequestMatch,
    Config,
    HeaderMatch,
    Match,
    MatchType,
    Mock,
    MockStream,
    OpenAIEmbeddingsMock,
    OpenAIEmbeddingsRequestMatch,
    OpenAIMock,
    OpenAIRequestMatch,
    OpenAIResponseMock,
    OpenAIResponseRequestMatch,
    ReplyStream,
    Stream,
)
from mockllm.config.reply import Reply, ToolCall, Usage
from mockllm.engine.loading import load_config
from mockllm.errors import ConfigError, ListenError, MockLLMError
from mockllm.limits import Limits
from mockllm.serve.embedded import AsyncServer, Server

__version__ = "0.1.0"

__all__ = [
    "AnthropicMock",
    "AnthropicRequestMatch",
    "AsyncServer",
    "Config",
    "ConfigError",
    "HeaderMatch",
    "Limits",
    "ListenError",
    "Match",
    "MatchType",
    "Mock",
    "MockLLMError",
    "MockStream",
    "OpenAIEmbeddingsMock",
    "OpenAIEmbeddingsRequestMatch",
    "OpenAIMock",
    "OpenAIRequestMatch",
    "OpenAIResponseMock",
    "OpenAIResponseRequestMatch",
    "Reply",
    "ReplyStream",
    "Server",
    "Stream",
    "ToolCall",
    "Usage",
    "load_config",
]
