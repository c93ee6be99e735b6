"""Responses as the official SDK declares them: the only file here that imports it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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

from mockllm.validation.core_schema import tagged_members
from mockllm.validation.findings import (
    Confirm,
    Finding,
    Kind,
    compile_match,
    compile_request,
    confirm_model,
)

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

# A mock gives only the members to compare: one without content matches by the rest.
_MOCKED = _ECHOED | {"EasyInputMessageParam", "Message"}


class _Request(ResponseCreateParamsBase, TypedDict, total=False):
    stream: bool | None  # the SDK declares it in the variants of the type only


def request_confirmer(*, strict: bool) -> Confirm:
    """Compile a validator that returns the first finding in a request body, or None."""
    return compile_request(_Request, strict=strict, lenient_types=_ECHOED, always_required=_KEPT)


def confirm_match(value: Any) -> list[Finding]:
    """Return the findings in a mock's `input`, a string or a list of items."""
    return _match()(value)


def confirm_response(response: dict[str, Any]) -> list[Finding]:
    """Return the findings in a whole answer, items that the SDK cannot tell apart included."""
    findings = confirm_model(Response, response)
    output = response.get("output") if isinstance(response, dict) else None
    items = output if isinstance(output, list) else []
    unexpected = [finding for finding in findings if not _is_served(finding, items)]
    return unexpected + list(_confused(items))


# Members that the service writes, or that we make events of, and openai 3.54.0 does not declare.
_SERVED = {("image_generation_call", "partial_images"), ("custom_tool_call", "status")}

# The items that `client.responses.stream()` knows by type and `call_id`; others by type and `id`.
# It raises RuntimeError for two that it cannot tell apart (openai 3.54.0: `_output_identity`).
_KNOWN_BY_CALL = ("function_call", "custom_tool_call", "shell_call", "shell_call_output")


def _is_served(finding: Finding, items: list[Any]) -> bool:
    match finding.path:
        case ("output", int(index), str(name)) if finding.kind is Kind.UNKNOWN:
            return (items[index].get("type"), name) in _SERVED
        case _:
            return False


def _confused(items: list[Any]) -> Iterator[Finding]:
    """Items that the SDK's stream helper cannot tell apart. What is absent will be fresh."""
    first: dict[tuple[str, str], int] = {}
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            continue
        kind = item.get("type")
        name = "call_id" if kind in _KNOWN_BY_CALL else "id"
        identity = item.get(name)
        if not isinstance(kind, str) or not isinstance(identity, str):
            continue
        before = first.setdefault((kind, identity), index)
        if before != index:
            message = (
                f"the same as that of output[{before}], also a {kind}; the SDK's stream helper "
                "raises on two items that it cannot tell apart"
            )
            yield Finding(("output", index, name), message, Kind.WRONG)


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
    return compile_match(str | list[ResponseInputItemParam], lenient_types=_MOCKED)
