"""Messages as the official SDK declares them: the only file here that imports it, but only for what
was not kept (`validation.declared`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from typing_extensions import TypedDict

from mockllm.providers.anthropic.messages import older, undeclared
from mockllm.providers.anthropic.vendor import SDK_VERSION
from mockllm.validation.core_schema import tagged_members
from mockllm.validation.declared import Declared, Members, kept_members
from mockllm.validation.findings import (
    Confirm,
    Finding,
    allow_newer,
    compile_match,
    compile_request,
    confirm_model,
)
from mockllm.validation.json_schema import Definitions, Form, MockSchemas
from mockllm.validation.undeclared import unless_declared
from mockllm.validation.versions import is_older

_IS_OLDER = is_older("anthropic", SDK_VERSION)
_WIDENED = older.WIDENED if _IS_OLDER else None

# Types of what a client sends back from an answer: thinking, citations, results of built-in tools.
_ECHOED = frozenset(
    {
        "AssistantMessageParam",
        "BashCodeExecutionOutputBlockParam",
        "BashCodeExecutionResultBlockParam",
        "BashCodeExecutionToolResultBlockParam",
        "BashCodeExecutionToolResultErrorParam",
        "CitationCharLocationParam",
        "CitationContentBlockLocationParam",
        "CitationPageLocationParam",
        "CitationSearchResultLocationParam",
        "CitationWebSearchResultLocationParam",
        "CodeExecutionOutputBlockParam",
        "CodeExecutionResultBlockParam",
        "CodeExecutionToolResultBlockParam",
        "CodeExecutionToolResultErrorParam",
        "EncryptedCodeExecutionResultBlockParam",
        "RedactedThinkingBlockParam",
        "ServerToolUseBlockParam",
        "TextEditorCodeExecutionCreateResultBlockParam",
        "TextEditorCodeExecutionStrReplaceResultBlockParam",
        "TextEditorCodeExecutionToolResultBlockParam",
        "TextEditorCodeExecutionToolResultErrorParam",
        "TextEditorCodeExecutionViewResultBlockParam",
        "ThinkingBlockParam",
        "ToolSearchToolResultBlockParam",
        "ToolSearchToolResultErrorParam",
        "ToolSearchToolSearchResultBlockParam",
        "WebFetchBlockParam",
        "WebFetchToolResultBlockParam",
        "WebFetchToolResultErrorBlockParam",
        "WebSearchResultBlockParam",
        "WebSearchToolRequestErrorObjectParam",
        "WebSearchToolResultBlockParam",
    }
)
# The link from a result to its call, and the name of a tool: required in an echo, too.
_ALWAYS_REQUIRED = frozenset({"tool_use_id", "name"})

# A match contains only the members to compare, so others may be missing, even the content.
_LENIENT_IN_MATCHES = _ECHOED | {"UserMessageParam", "SystemMessageParam"}
if _IS_OLDER:
    _LENIENT_IN_MATCHES |= older.ECHOED


def _load_request() -> Any:
    from anthropic.types.message_create_params import MessageCreateParamsBase

    class _Request(MessageCreateParamsBase, TypedDict, total=False):
        stream: bool | None  # the SDK declares it in the variants of the type only

        # The API accepts them for models that use sampling; anthropic 2.12.0 does not declare them.
        temperature: float
        top_p: float
        top_k: int

        # `client.beta.messages` posts these to the same path; their content is not validated.
        billing_policy: object
        compaction: object
        context_management: object
        fallback_credit_token: object
        fallbacks: object
        mcp_servers: object
        thread: object

    return _Request


def _load_match() -> Any:
    from anthropic.types import MessageParam

    return MessageParam


def _load_beta_match() -> Any:
    from anthropic.types.beta import BetaMessageParam  # hundreds of types, as of all betas

    return BetaMessageParam


def _load_answer() -> Any:
    from anthropic.types import Message

    return Message


def _load_beta_answer() -> Any:
    from anthropic.types.beta import BetaMessage

    return BetaMessage


def _load_event() -> Any:
    from anthropic.types import RawMessageStreamEvent

    return RawMessageStreamEvent


def _load_beta_event() -> Any:
    from anthropic.types.beta import BetaRawMessageStreamEvent

    return BetaRawMessageStreamEvent


_REQUEST = Declared("messages.request", _load_request)
_MATCH = Declared("messages.match", _load_match)
_BETA_MATCH = Declared("messages.beta_match", _load_beta_match)
_ANSWER = Declared("messages.answer", _load_answer)
_BETA_ANSWER = Declared("messages.beta_answer", _load_beta_answer)
_EVENT = Declared("messages.event", _load_event)
_BETA_EVENT = Declared("messages.beta_event", _load_beta_event)


@cache  # it takes 50 to 100 ms, and a test suite starts many servers
def request_confirmer(*, strict: bool) -> Confirm:
    """Compile a validator that returns the first finding in a request body, or None."""
    return compile_request(
        _REQUEST,
        strict=strict,
        lenient_types=_ECHOED | older.ECHOED,
        always_required=_ALWAYS_REQUIRED,
        widened=_WIDENED,
    )


def confirm_match(value: Any) -> list[Finding]:
    """Return the findings in a mock's `message`. Clients send what a beta declares."""
    findings = _match()(value)
    if findings:
        findings = unless_declared(findings, _beta_match()(value))
    return allow_newer(findings) if _IS_OLDER else findings


def confirm_response(response: dict[str, Any]) -> list[Finding]:
    """Return the findings in a whole answer. What a beta declares is sent to its clients."""
    return _unless_in_beta(
        confirm_model(_ANSWER, response, undeclared.ANSWER.explains, widened=_WIDENED),
        lambda: confirm_model(_BETA_ANSWER, response, widened=_WIDENED),
    )


def confirm_event(event: dict[str, Any]) -> list[Finding]:
    """Return the findings in one event of a stream; none in the two that the SDK handles itself."""
    if isinstance(event, dict) and event.get("type") in ("ping", "error"):
        return []
    return _unless_in_beta(
        confirm_model(_EVENT, event, undeclared.EVENT.explains, widened=_WIDENED),
        lambda: confirm_model(_BETA_EVENT, event, widened=_WIDENED),
    )


def _unless_in_beta(
    findings: list[Finding], confirm_beta: Callable[[], list[Finding]]
) -> list[Finding]:
    """Return the `findings` in places where the types of the betas find fault, too."""
    if not findings:
        return []
    faulty = {finding.path for finding in confirm_beta()}
    return [finding for finding in findings if finding.path in faulty]


def json_schemas(definitions: Definitions) -> MockSchemas:
    """Return the JSON Schemas of what a mock holds, with what the betas declare."""
    from anthropic.types import ContentBlock
    from anthropic.types.beta import BetaContentBlockParam

    match = definitions.add(
        _MATCH.load(), Form.MATCH, lenient_types=_LENIENT_IN_MATCHES, widened=_WIDENED
    )
    definitions.allow(Form.MATCH, tagged_members([BetaContentBlockParam], of_models=True))
    answer = definitions.add(
        _BETA_ANSWER.load(), Form.ANSWER, undeclared=[undeclared.ANSWER], widened=_WIDENED
    )
    definitions.allow(Form.ANSWER, tagged_members([ContentBlock], of_models=True))
    event = definitions.add(
        _BETA_EVENT.load(),
        Form.EVENT,
        undeclared=[undeclared.EVENT],
        widened=_WIDENED,
    )
    return MockSchemas(match, answer, event)


@cache
def known_members() -> Members:
    """Return the declared members of each content block, by its `type`."""
    return older.MEMBERS if _IS_OLDER else kept_members("messages", _members)


def _members() -> Members:
    from anthropic.types import ContentBlockParam
    from anthropic.types.tool_result_block_param import Content as ToolResultContent

    return tagged_members([ContentBlockParam, ToolResultContent])


@cache
def _match() -> Callable[[Any], list[Finding]]:
    return compile_match(_MATCH, lenient_types=_LENIENT_IN_MATCHES, widened=_WIDENED)


@cache
def _beta_match() -> Callable[[Any], list[Finding]]:
    return compile_match(_BETA_MATCH, lenient_types=_LENIENT_IN_MATCHES, widened=_WIDENED)
