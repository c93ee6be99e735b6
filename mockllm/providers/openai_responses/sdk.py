"""Responses as the official SDK declares them: the only file here that imports it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_create_params import ResponseCreateParamsBase
from openai.types.responses.response_function_call_output_item_list_param import (
    ResponseFunctionCallOutputItemParam,
)
from openai.types.responses.response_input_content_param import ResponseInputContentParam
from openai.types.responses.response_input_item_param import ResponseInputItemParam
from openai.types.responses.response_output_message_param import Content as OutputContent
from openai.types.responses.response_reasoning_item_param import Content as ReasoningContent
from openai.types.responses.response_reasoning_item_param import Summary as ReasoningSummary
from typing_extensions import TypedDict

from mockllm.confirm import (
    Confirm,
    Finding,
    compile_match,
    compile_request,
    confirm_model,
)
from mockllm.schemas import tagged_members

# What a client sends back of an answer, cut by its own tools: Codex leaves out the ids, the Agents
# SDK the annotations, most the log probabilities.
_ECHOED = frozenset(
    {
        "ActionFind",
        "ActionOpenPage",
        "ActionSearch",
        "ActionSearchSource",
        "AnnotationContainerFileCitation",
        "AnnotationFileCitation",
        "AnnotationFilePath",
        "AnnotationURLCitation",
        "ApplyPatchCall",
        "Content",
        "ImageGenerationCall",
        "LocalShellCall",
        "LocalShellCallAction",
        "Logprob",
        "LogprobTopLogprob",
        "McpApprovalRequest",
        "McpCall",
        "McpListTools",
        "McpListToolsTool",
        "OutputImage",
        "OutputLogs",
        "Program",
        "ResponseCodeInterpreterToolCallParam",
        "ResponseCompactionItemParamParam",
        "ResponseComputerToolCallParam",
        "ResponseFileSearchToolCallParam",
        "ResponseFunctionWebSearchParam",
        "ResponseOutputMessageParam",
        "ResponseOutputRefusalParam",
        "ResponseOutputTextParam",
        "ResponseReasoningItemParam",
        "ResponseToolSearchOutputItemParamParam",
        "ShellCall",
        "Summary",
        "ToolSearchCall",
        # The types require these, the service does not: `strict` and `parameters` of a tool, and
        # `detail` of an image, which "defaults to auto".
        "FunctionToolParam",
        "ResponseInputImageParam",
    }
)
# What ties a call to its result, and a tool's name: required in an echo, too.
_KEPT = frozenset({"call_id", "name"})

# A mock says what matters of a message: one without content matches by the rest.
_MOCKED = _ECHOED | {"EasyInputMessageParam", "Message"}


class _Request(ResponseCreateParamsBase, TypedDict, total=False):
    stream: bool | None  # the SDK declares it in the variants of the type only


def request_confirmer(*, strict: bool) -> Confirm:
    """Return a function that tells the first finding in a request body."""
    return compile_request(_Request, strict=strict, echoed=_ECHOED, kept=_KEPT)


def confirm_match(value: Any) -> list[Finding]:
    """Return the findings in a mock's `input`, a string or a list of items."""
    return _match()(value)


def confirm_response(response: dict[str, Any]) -> list[Finding]:
    """Return the findings in a whole answer."""
    return confirm_model(Response, response)


def confirm_event(event: dict[str, Any]) -> list[Finding]:
    """Return the findings in one event of a stream."""
    return confirm_model(ResponseStreamEvent, event)


@cache
def known_members() -> Mapping[str, frozenset[str]]:
    """Return the declared members of each input item and content part, by its `type`."""
    return tagged_members(
        [
            ResponseInputItemParam,
            ResponseInputContentParam,
            ResponseFunctionCallOutputItemParam,
            OutputContent,
            ReasoningSummary,
            ReasoningContent,
        ]
    )


@cache
def _match() -> Callable[[Any], list[Finding]]:
    return compile_match(str | list[ResponseInputItemParam], echoed=_MOCKED)
