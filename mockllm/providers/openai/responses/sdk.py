"""Responses as the official SDK declares them: the only file here that imports it, but only for
what was not kept (`validation.declared`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from typing_extensions import TypedDict

from mockllm.providers.openai.responses import older, undeclared
from mockllm.providers.openai.vendor import SDK_VERSION
from mockllm.validation.core_schema import tagged_members
from mockllm.validation.declared import Declared, Members, kept_members
from mockllm.validation.findings import (
    Confirm,
    Finding,
    Kind,
    allow_newer,
    compile_match,
    compile_request,
    confirm_model,
)
from mockllm.validation.json_schema import Definitions, Form, MockSchemas
from mockllm.validation.undeclared import unless_declared
from mockllm.validation.versions import is_older

_IS_OLDER = is_older("openai", SDK_VERSION)
_WIDENED = older.WIDENED if _IS_OLDER else None

# Types of what a client sends back from an answer, with members left out: Codex omits the ids, the
# Agents SDK the annotations, most clients the log probabilities.
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
# The link from a call to its result, and the name of a tool: required in an echo, too.
_ALWAYS_REQUIRED = frozenset({"call_id", "name"})

# A match contains only the members to compare, so others may be missing, even the content.
_LENIENT_IN_MATCHES = _ECHOED | {"EasyInputMessageParam", "Message"}


def _load_request() -> Any:
    from openai.types.responses.response_create_params import ResponseCreateParamsBase

    class _Request(ResponseCreateParamsBase, TypedDict, total=False):
        stream: bool | None  # the SDK declares it in the variants of the type only

    return _Request


def _load_match() -> Any:
    from openai.types.responses.response_input_item_param import ResponseInputItemParam

    return str | list[ResponseInputItemParam]


def _load_easy_inputs() -> Any:
    from openai.types.responses import EasyInputMessageParam

    return list[EasyInputMessageParam]


def _load_outputs() -> Any:
    from openai.types.responses import ResponseOutputItem

    return list[ResponseOutputItem]


def _load_items() -> Any:
    from openai.types.responses import ResponseItem

    return list[ResponseItem]


def _load_answer() -> Any:
    from openai.types.responses import Response

    return Response


def _load_event() -> Any:
    from openai.types.responses import ResponseStreamEvent

    return ResponseStreamEvent


_REQUEST = Declared("responses.request", _load_request)
_MATCH = Declared("responses.match", _load_match)
_ANSWER = Declared("responses.answer", _load_answer)
_EVENT = Declared("responses.event", _load_event)

_DECLARING = (
    Declared("responses.easy_inputs", _load_easy_inputs),
    Declared("responses.outputs", _load_outputs),
    Declared("responses.items", _load_items),
)
"""Lists of items that declare members which the chosen type of an input item does not."""


@cache  # it takes 50 to 100 ms, and a test suite starts many servers
def request_confirmer(*, strict: bool) -> Confirm:
    """Compile a validator that returns the first finding in a request body, or None."""
    return compile_request(
        _REQUEST,
        strict=strict,
        lenient_types=_ECHOED,
        always_required=_ALWAYS_REQUIRED,
        widened=_WIDENED,
    )


def confirm_match(value: Any) -> list[Finding]:
    """Return the findings in a mock's `input`, a string or a list of items. Clients send back the
    items of answers, and those that were stored. A message is held to the type with the most
    required members, but may have members of the easy one, such as a `phase`."""
    findings = [each for each in _match()(value) if not undeclared.IN_REQUESTS.explains(each)]
    for type_ in _DECLARING if isinstance(value, list) else ():
        findings = unless_declared(findings, confirm_model(type_, value))
    findings = [each for each in findings if not _is_extra_of_item(each.path, value)]
    return allow_newer(findings) if _IS_OLDER else findings


def confirm_response(response: dict[str, Any]) -> list[Finding]:
    """Return the findings in a whole answer, including items that the SDK cannot distinguish."""
    findings = confirm_model(_ANSWER, response, undeclared.ANSWER.explains, widened=_WIDENED)
    output = response.get("output") if isinstance(response, dict) else None
    items = output if isinstance(output, list) else []
    unexpected = [finding for finding in findings if not _is_expected(finding, items)]
    return unexpected + list(_find_duplicates(items))


# Members that openai 3.54.0 does not declare, but that the service writes or events are made from.
_UNDECLARED_MEMBERS = {("image_generation_call", "partial_images"), ("custom_tool_call", "status")}

# The items that `client.responses.stream()` identifies by type and `call_id`; others by type and
# `id`. It raises RuntimeError for two with the same identity (openai 3.54.0: `_output_identity`).
_IDENTIFIED_BY_CALL_ID = ("function_call", "custom_tool_call", "shell_call", "shell_call_output")


def _is_expected(finding: Finding, items: list[Any]) -> bool:
    match finding.path:
        case ("output", *path) if finding.kind is Kind.UNKNOWN:
            return _is_extra_of_item(tuple(path), items)
        case _:
            return False


def _is_extra_of_item(path: tuple[int | str, ...], items: Any) -> bool:
    match path:
        case (int(index), str(name)):
            kind = items[index].get("type")
            return isinstance(kind, str) and (kind, name) in _UNDECLARED_MEMBERS
        case _:
            return False


def _find_duplicates(items: list[Any]) -> Iterator[Finding]:
    """Findings about items with the identity of an earlier one. A missing id does not count: it
    will be generated."""
    first: dict[tuple[str, str], int] = {}
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            continue
        kind = item.get("type")
        name = "call_id" if kind in _IDENTIFIED_BY_CALL_ID else "id"
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
    """Return the findings in one event of a stream. The SDK declares the flat form of an error; the
    service sends the nested one, on which the SDK raises."""
    if isinstance(event, dict) and isinstance(event.get("error"), dict):
        return []
    return confirm_model(_EVENT, event, undeclared.EVENT.explains, widened=_WIDENED)


def json_schemas(definitions: Definitions) -> MockSchemas:
    """Return the JSON Schemas of what a mock holds."""
    from openai.types.responses import ResponseItem, ResponseOutputItem

    match = definitions.add(
        _MATCH.load(),
        Form.MATCH,
        lenient_types=_LENIENT_IN_MATCHES,
        undeclared=[undeclared.IN_REQUESTS],
        widened=_WIDENED,
    )
    definitions.allow(
        Form.MATCH, tagged_members([ResponseOutputItem, ResponseItem], of_models=True)
    )
    answer = definitions.add(
        _ANSWER.load(), Form.ANSWER, undeclared=[undeclared.ANSWER], widened=_WIDENED
    )
    event = definitions.add(
        _EVENT.load(), Form.EVENT, undeclared=[undeclared.EVENT], widened=_WIDENED
    )
    for kind, name in _UNDECLARED_MEMBERS:
        for form in (Form.MATCH, Form.ANSWER):
            definitions.allow(form, {kind: [name]})
    return MockSchemas(match, answer, event)


@cache
def known_members() -> Members:
    """Return the declared members of each input item and content part, by its `type`."""
    return older.MEMBERS if _IS_OLDER else kept_members("responses", _members)


def _members() -> Members:
    from openai.types.responses.response_function_call_output_item_list_param import (
        ResponseFunctionCallOutputItemParam,
    )
    from openai.types.responses.response_input_content_param import ResponseInputContentParam
    from openai.types.responses.response_input_item_param import ResponseInputItemParam
    from openai.types.responses.response_output_message_param import Content as OutputContent
    from openai.types.responses.response_reasoning_item_param import Content as ReasoningContent
    from openai.types.responses.response_reasoning_item_param import Summary as ReasoningSummary

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
    return compile_match(_MATCH, lenient_types=_LENIENT_IN_MATCHES, widened=_WIDENED)
