"""Chat Completions as the official SDK declares them: the only file here that imports it, but only
for what was not kept (`validation.declared`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from typing_extensions import TypedDict

from mockllm.providers.openai.chat import older, undeclared
from mockllm.providers.openai.vendor import SDK_VERSION
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

_IS_OLDER = is_older("openai", SDK_VERSION)
_WIDENED = older.WIDENED if _IS_OLDER else None

# A match contains only the members to compare, so others may be missing, even the content.
_LENIENT_IN_MATCHES = frozenset(
    {
        "ChatCompletionAssistantMessageParam",
        "ChatCompletionDeveloperMessageParam",
        "ChatCompletionFunctionMessageParam",
        "ChatCompletionSystemMessageParam",
        "ChatCompletionToolMessageParam",
        "ChatCompletionUserMessageParam",
    }
)


def _load_request() -> Any:
    from openai.types.chat.completion_create_params import CompletionCreateParamsBase

    class _Request(CompletionCreateParamsBase, TypedDict, total=False):
        stream: bool | None  # the SDK declares it in the variants of the type only

    return _Request


def _load_match() -> Any:
    from openai.types.chat import ChatCompletionMessageParam

    return ChatCompletionMessageParam


def _load_message() -> Any:
    from openai.types.chat import ChatCompletionMessage

    return ChatCompletionMessage


def _load_answer() -> Any:
    from openai.types.chat import ChatCompletion

    return ChatCompletion


def _load_event() -> Any:
    from openai.types.chat import ChatCompletionChunk

    return ChatCompletionChunk


_REQUEST = Declared("chat.request", _load_request)
_MATCH = Declared("chat.match", _load_match)
_MESSAGE = Declared("chat.message", _load_message)
_ANSWER = Declared("chat.answer", _load_answer)
_EVENT = Declared("chat.event", _load_event)


@cache  # it takes 50 to 100 ms, and a test suite starts many servers
def request_confirmer(*, strict: bool) -> Confirm:
    """Compile a validator that returns the first finding in a request body, or None."""
    return compile_request(_REQUEST, strict=strict, widened=_WIDENED)


def confirm_match(value: Any) -> list[Finding]:
    """Return the findings in a mock's `message`. What services send in an answer, clients send
    back."""
    findings = [each for each in _match()(value) if not undeclared.IN_REQUESTS.explains(each)]
    if isinstance(value, dict) and value.get("role") == "assistant":
        answered = confirm_model(_MESSAGE, value, undeclared.MESSAGE.explains)
        findings = unless_declared(findings, answered)
    return allow_newer(findings) if _IS_OLDER else findings


def confirm_response(response: dict[str, Any]) -> list[Finding]:
    """Return the findings in a whole answer."""
    return confirm_model(_ANSWER, response, undeclared.ANSWER.explains, widened=_WIDENED)


def confirm_event(event: dict[str, Any]) -> list[Finding]:
    """Return the findings in one chunk of a stream; none in an error, which has no type."""
    match event:
        case {"error": dict() | str()}:
            return []
        case _:
            return confirm_model(_EVENT, event, undeclared.CHUNK.explains, widened=_WIDENED)


def json_schemas(definitions: Definitions) -> MockSchemas:
    """Return the JSON Schemas of what a mock holds."""
    sent_back = (undeclared.IN_REQUESTS, undeclared.MESSAGE)
    match = definitions.add(
        _MATCH.load(),
        Form.MATCH,
        lenient_types=_LENIENT_IN_MATCHES,
        undeclared=sent_back,
        widened=_WIDENED,
    )
    definitions.allow(Form.MATCH, {"assistant": _MESSAGE.load().model_fields})
    answer = definitions.add(
        _ANSWER.load(), Form.ANSWER, undeclared=[undeclared.ANSWER], widened=_WIDENED
    )
    event = definitions.add(
        _EVENT.load(), Form.EVENT, undeclared=[undeclared.CHUNK], widened=_WIDENED
    )
    return MockSchemas(match, answer, event)


@cache
def known_members() -> Members:
    """Return the declared members of each content part, by its `type`."""
    return older.MEMBERS if _IS_OLDER else kept_members("chat", _members)


def _members() -> Members:
    from openai.types.chat.chat_completion_assistant_message_param import ContentArrayOfContentPart
    from openai.types.chat.chat_completion_content_part_param import ChatCompletionContentPartParam

    return tagged_members([ChatCompletionContentPartParam, ContentArrayOfContentPart])


@cache
def _match() -> Callable[[Any], list[Finding]]:
    return compile_match(_MATCH, lenient_types=_LENIENT_IN_MATCHES, widened=_WIDENED)
