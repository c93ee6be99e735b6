"""A mock LLM server: OpenAI Chat Completions, OpenAI Responses and Anthropic Messages from a table
of mocks, so that agents, SDK users and gateways are tested end to end without a model.

    async with AsyncServer({"mocks": [{"reply": "Hello"}]}) as server:
        client = AsyncOpenAI(base_url=server.openai_base_url, api_key="any")

Importing this package imports nothing else; the first use of a public name does. So the command can
handle signals before most of it is imported. The first mock of a provider imports its SDK.
"""

import importlib

TYPE_CHECKING = False  # as in `typing`, whose import would take longer than all the others
if TYPE_CHECKING:
    from mockllm.client.async_control import AsyncControl, AsyncRemoteSession
    from mockllm.client.calls import RemoteCall
    from mockllm.client.control import Control, RemoteSession
    from mockllm.config.answers import (
        EmbeddingsEntry,
        Entry,
        MockStream,
        ReplyStream,
        ResponseEntry,
    )
    from mockllm.config.conditions import HeaderMatch, MatchType, TextMatch
    from mockllm.config.error import Error
    from mockllm.config.fault import Fault
    from mockllm.config.functions import Prompt
    from mockllm.config.latency import Latency
    from mockllm.config.match import Match
    from mockllm.config.models import (
        AnthropicMock,
        AnthropicRequestMatch,
        Config,
        Mock,
        OpenAIEmbeddingsMock,
        OpenAIEmbeddingsRequestMatch,
        OpenAIMock,
        OpenAIRequestMatch,
        OpenAIResponseMock,
        OpenAIResponseRequestMatch,
        SessionHeader,
        Stream,
    )
    from mockllm.config.rate_limit import RateLimit
    from mockllm.config.reply import Reply, ToolCall, Usage
    from mockllm.config.traffic import Traffic
    from mockllm.config.words import (
        all_of,
        any_of,
        contains,
        ends_with,
        exact,
        not_,
        regex,
        starts_with,
    )
    from mockllm.engine.loading import load_config
    from mockllm.errors import ConfigError, ListenError, MockLLMError, RemoteError
    from mockllm.limits import Limits
    from mockllm.observers.calls import Call
    from mockllm.observers.timing import Timing
    from mockllm.serve.embedded.gate_handles import AsyncGate, Gate
    from mockllm.serve.embedded.servers import AsyncServer, Server
    from mockllm.serve.embedded.session import AsyncSession, Session
    from mockllm.serve.embedded.traffic import TrafficHandle
    from mockllm.serve.embedded.verifiable import MockHandle

__version__ = "0.1.0"

__all__ = [
    "AnthropicMock",
    "AnthropicRequestMatch",
    "AsyncControl",
    "AsyncGate",
    "AsyncRemoteSession",
    "AsyncServer",
    "AsyncSession",
    "Call",
    "Config",
    "ConfigError",
    "Control",
    "EmbeddingsEntry",
    "Entry",
    "Error",
    "Fault",
    "Gate",
    "HeaderMatch",
    "Latency",
    "Limits",
    "ListenError",
    "Match",
    "MatchType",
    "Mock",
    "MockHandle",
    "MockLLMError",
    "MockStream",
    "OpenAIEmbeddingsMock",
    "OpenAIEmbeddingsRequestMatch",
    "OpenAIMock",
    "OpenAIRequestMatch",
    "OpenAIResponseMock",
    "OpenAIResponseRequestMatch",
    "Prompt",
    "RateLimit",
    "RemoteCall",
    "RemoteError",
    "RemoteSession",
    "Reply",
    "ReplyStream",
    "ResponseEntry",
    "Server",
    "Session",
    "SessionHeader",
    "Stream",
    "TextMatch",
    "Timing",
    "ToolCall",
    "Traffic",
    "TrafficHandle",
    "Usage",
    "all_of",
    "any_of",
    "contains",
    "ends_with",
    "exact",
    "load_config",
    "not_",
    "regex",
    "starts_with",
]

_MODULES = (
    "mockllm.errors",
    "mockllm.limits",
    "mockllm.config.answers",
    "mockllm.config.conditions",
    "mockllm.config.error",
    "mockllm.config.fault",
    "mockllm.config.functions",
    "mockllm.config.latency",
    "mockllm.config.match",
    "mockllm.config.models",
    "mockllm.config.rate_limit",
    "mockllm.config.reply",
    "mockllm.config.traffic",
    "mockllm.config.words",
    "mockllm.engine.loading",
    "mockllm.observers.calls",
    "mockllm.observers.timing",
    "mockllm.serve.embedded.servers",
    "mockllm.serve.embedded.gate_handles",
    "mockllm.serve.embedded.session",
    "mockllm.serve.embedded.traffic",
    "mockllm.serve.embedded.verifiable",
    "mockllm.client.calls",
    "mockllm.client.control",
    "mockllm.client.async_control",
)
"""The modules of the public names."""

if not TYPE_CHECKING:  # to type checkers, the names are those imported above, and no others

    def __getattr__(name: str) -> object:
        if name in __all__:
            for module in map(importlib.import_module, _MODULES):
                if name in vars(module):
                    globals()[name] = vars(module)[name]
                    return globals()[name]
        raise AttributeError(f"module 'mockllm' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
