"""Completes configured responses (openai 3.54.0: `Response`).

Written members are served unchanged and in the same order. Missing members that the service always
writes are added in the service's order, those that it repeats from the request as echoes. Values of
wrong types are served too: their author was warned when the mock was loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from mockllm.providers.call_ids import Link, missing_ids
from mockllm.providers.members import fill_in
from mockllm.providers.openai import usage
from mockllm.providers.openai.responses import echo
from mockllm.providers.openai.usage import Output, UsageNames
from mockllm.wire import placeholders, tokens

ID_LENGTH = 48
CALL_ID_LENGTH = 32  # not 24 as in the service, too few to be unique within an answer

USAGE = UsageNames(
    input="input_tokens",
    output="output_tokens",
    members=(
        *("input_tokens", "input_tokens_details", "output_tokens", "output_tokens_details"),
        "total_tokens",
    ),
    input_details=("cache_write_tokens", "cached_tokens"),
    output_details=("reasoning_tokens",),
)

_UNANSWERED = ("failed", "cancelled", "queued", "in_progress")
"""The statuses of a response without an answer, at least so far: it has no usage."""

_IN_BACKGROUND = ("queued", "cancelled")
"""The statuses that only a response in the background has."""

_SERVER_ERROR = "The server had an error while processing your request. Sorry about that!"

_ITEMS = {
    "message": ("msg_", "id type status content role"),
    "function_call": ("fc_", "id type status arguments call_id"),
    "function_call_output": ("fco_", "id type status"),
    "custom_tool_call": ("ctc_", "id type status call_id input"),
    "custom_tool_call_output": ("ctco_", "id type status call_id"),
    "reasoning": ("rs_", "id type summary"),
    "web_search_call": ("ws_", "id type status action"),
    "file_search_call": ("fs_", "id type status queries"),
    "code_interpreter_call": ("ci_", "id type status container_id"),
    "image_generation_call": ("ig_", "id type status"),
    "mcp_list_tools": ("mcpl_", "id type tools"),
    "mcp_call": ("mcp_", "id type status arguments"),
    "mcp_approval_request": ("mcpr_", "id type arguments"),
    "computer_call": ("cu_", "id type status call_id pending_safety_checks"),
    "computer_call_output": ("cuo_", "id type status call_id"),
    "local_shell_call": ("lsh_", "id type status call_id"),
    "local_shell_call_output": ("lsho_", "id type status"),
    "shell_call": ("sh_", "id type status call_id"),
    "shell_call_output": ("sho_", "id type status call_id"),
    "apply_patch_call": ("apc_", "id type status call_id"),
    "apply_patch_call_output": ("apco_", "id type status call_id"),
    "tool_search_call": ("ts_", "id type status"),
    "tool_search_output": ("ts_", "id type status"),
    "program": ("prog_", "id type call_id"),
    "program_output": ("progo_", "id type status call_id"),
    "compaction": ("cmp_", "id type"),
}
"""For each kind of item: the prefix of its ids, and the members that are filled in, in the order of
the service."""
_OTHER = ("item_", "id")  # the SDK's `.stream()` would merge two items without ids

_CALLS_OF_OUTPUTS = {
    "function_call_output": "function_call",
    "custom_tool_call_output": "custom_tool_call",
    "computer_call_output": "computer_call",
    "shell_call_output": "shell_call",
    "apply_patch_call_output": "apply_patch_call",
    "program_output": "program",
}
"""The outputs that name their call by its `call_id`."""

_CUT_SHORT = ("message", "function_call", "custom_tool_call")
"""Items that the model itself generates, so that stopping it leaves the last one incomplete."""
_FALLIBLE = ("mcp_call", "image_generation_call")
"""Items that have an `error` of their own."""

_PARTS: dict[str, dict[str, Any]] = {
    "output_text": {"type": "output_text", "annotations": [], "logprobs": [], "text": ""},
    "refusal": {"type": "refusal", "refusal": ""},
    "reasoning_text": {"type": "reasoning_text", "text": ""},
    "summary_text": {"type": "summary_text", "text": ""},
}


def complete(response: dict[str, Any]) -> dict[str, Any]:
    """Fill in the members that clients rely on; returns a new dict. Completing a response again
    changes nothing.

    The status follows from the error, the details or the items that are written; the output from
    the `output_text`. An empty `error` object becomes null, unless the response failed. The last
    item of a response that is not completed becomes ``incomplete``, if its type allows it and it
    has no status of its own. Usage is estimated; a response without an answer has none.
    """
    completed = fill_in(response, _members(response))
    if "output" not in response and isinstance(response.get("output_text"), str):
        completed["output"] = text_response(response["output_text"])["output"]
    if completed["error"] == {}:
        completed["error"] = _failure(completed["status"])
    if isinstance(completed["output"], list):
        completed["output"] = _items(completed["output"], completed["status"])
    if isinstance(completed["usage"], dict):
        output = _output(completed["output"])
        completed["usage"] = usage.complete(completed["usage"], USAGE, output)
    return completed | optional_members(completed, written=response)


def id_of(response: Mapping[str, Any]) -> Any:
    """The `id` of a response once it is completed: the written one, or the placeholder for one."""
    if "id" in response:
        return response["id"]
    return placeholders.fresh_id("resp_", ID_LENGTH, "response")


def optional_members(completed: Mapping[str, Any], *, written: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a response that are followed by one that only some requests have, unless it is
    written."""
    return {
        name: placeholders.with_optional_member(completed[name], optional)
        for name, optional in echo.FOLLOWED_BY.items()
        if optional not in written and not is_echo(written.get(name))
    }


def is_echo(value: Any) -> bool:
    """True if the value is filled in later: the mock does not say it."""
    return isinstance(value, orjson.Fragment)


def text_response(text: str) -> dict[str, Any]:
    """The smallest response whose text is `text`."""
    part = {"type": "output_text", "text": text}
    return {"output": [{"type": "message", "content": [part]}]}


def kind_of(part: Any) -> str:
    """The `type` of a part or an item; empty if it is absent or not a string."""
    kind = part.get("type") if isinstance(part, dict) else None
    return kind if isinstance(kind, str) else ""


def _members(response: dict[str, Any]) -> dict[str, Any]:
    """The members that the service writes in a response, in its order."""
    status = response.get("status", _status(response))
    created_at = response.get("created_at", _now(response))
    return {
        "id": id_of(response),
        "object": "response",
        "created_at": created_at,
        "status": status,
        "access_programs": None,
        "background": echo.placeholder("background", status in _IN_BACKGROUND),
        "completed_at": created_at if status == "completed" else None,
        "error": _failure(status),
        "frequency_penalty": echo.placeholder("frequency_penalty"),
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": echo.placeholder("instructions"),
        "max_output_tokens": echo.placeholder("max_output_tokens"),
        "max_tool_calls": echo.placeholder("max_tool_calls"),
        "model": placeholders.model_placeholder(),
        "moderation": None,
        "output": [],
        "parallel_tool_calls": echo.placeholder("parallel_tool_calls"),
        "presence_penalty": echo.placeholder("presence_penalty"),
        "previous_response_id": echo.placeholder("previous_response_id"),
        "prompt_cache_key": echo.placeholder("prompt_cache_key"),
        "prompt_cache_retention": echo.placeholder("prompt_cache_retention"),
        "reasoning": echo.placeholder("reasoning"),
        "safety_identifier": echo.placeholder("safety_identifier"),
        "service_tier": echo.placeholder("service_tier"),
        "store": echo.placeholder("store"),
        "temperature": echo.placeholder("temperature"),
        "text": echo.placeholder("text"),
        "tool_choice": echo.placeholder("tool_choice"),
        "tool_usage": _tool_usage(response.get("output")),
        "tools": echo.placeholder("tools"),
        "top_logprobs": echo.placeholder("top_logprobs"),
        "top_p": echo.placeholder("top_p"),
        "truncation": echo.placeholder("truncation"),
        "usage": None if status in _UNANSWERED else {},
        "user": echo.placeholder("user"),
        "metadata": echo.placeholder("metadata"),
    }


def _failure(status: Any) -> dict[str, str] | None:
    """The error of a response with that `status`."""
    failed = status == "failed"
    return {"code": "server_error", "message": _SERVER_ERROR} if failed else None


def _status(response: dict[str, Any]) -> str:
    """The status that agrees with what is written."""
    if response.get("error"):
        return "failed"
    if response.get("incomplete_details"):
        return "incomplete"
    output = response.get("output")
    items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    if any(item.get("status") == "in_progress" for item in items):
        return "in_progress"
    generated = (*_CUT_SHORT, "reasoning")
    stopped = (item.get("type", "message") in generated for item in items if _is_stopped(item))
    return "incomplete" if any(stopped) else "completed"


def _is_stopped(item: dict[str, Any]) -> bool:
    return item.get("status") == "incomplete"


def _now(response: dict[str, Any]) -> Any:
    """The time of the delivery; if the time of completion is written, that."""
    completed_at = response.get("completed_at")
    return placeholders.seconds_placeholder() if completed_at is None else completed_at


def _tool_usage(output: Any) -> dict[str, Any]:
    """The usage of hosted tools: the web searches in the output, and no tokens."""
    no_details = {"image_tokens": 0, "text_tokens": 0}
    image_tokens = {
        "input_tokens": 0,
        "input_tokens_details": no_details,
        "output_tokens": 0,
        "output_tokens_details": no_details,
        "total_tokens": 0,
    }
    kinds = map(kind_of, output if isinstance(output, list) else ())
    searches = sum(kind == "web_search_call" for kind in kinds)
    return {"image_gen": image_tokens, "web_search": {"num_requests": searches}}


def _items(output: list[Any], status: Any) -> list[Any]:
    """The items of a response with that `status`, each with its missing members filled in."""
    stopped = status in ("incomplete", "failed", "cancelled")
    last = len(output) - 1
    links = {index: link for index, item in enumerate(output) if (link := _link(item)) is not None}
    call_ids = missing_ids(links, lambda index: _call_id(f"output.{index}"))
    return [
        _item(item, f"output.{index}", call_ids.get(index), stopped=stopped and index == last)
        for index, item in enumerate(output)
    ]


def _link(item: Any) -> Link | None:
    """The call or output that an item is, if it has a `call_id`."""
    kind = kind_of(item)
    call = _CALLS_OF_OUTPUTS.get(kind, kind)
    is_linked = call in _CALLS_OF_OUTPUTS.values() and (
        "call_id" not in item or isinstance(item["call_id"], str)
    )
    return Link(call, kind == call, item.get("call_id")) if is_linked else None


def _call_id(place: str) -> Any:
    return placeholders.fresh_id("call_", CALL_ID_LENGTH, f"{place}.call_id")


def _item(item: Any, place: str, call_id: Any, *, stopped: bool) -> Any:
    if not isinstance(item, dict):
        return item
    if "type" not in item and ("content" in item or "role" in item):
        kind = "message"
    else:
        kind = kind_of(item)
    prefix, names = _ITEMS.get(kind, _OTHER)
    values = _values(kind, place, call_id) | {
        "id": placeholders.fresh_id(prefix, ID_LENGTH, place),
        "status": _item_status(item, kind, stopped=stopped),
    }
    if call_id is not None and "call_id" not in names:
        names += " call_id"
    completed = fill_in(item, {name: values[name] for name in names.split()})
    for name, part_kind in _part_kinds(kind).items():
        if isinstance(completed.get(name), list):
            completed[name] = [_part(part, part_kind) for part in completed[name]]
    return completed


def _values(kind: str, place: str, call_id: Any) -> dict[str, Any]:
    """The defaults of an item's members."""
    return {
        "type": kind,
        "call_id": _call_id(place) if call_id is None else call_id,
        "container_id": placeholders.fresh_id("cntr_", ID_LENGTH, f"{place}.container_id"),
        "role": "assistant",
        "content": [],
        "summary": [],
        "arguments": "{}",
        "input": "",
        "queries": [],
        "tools": [],
        "action": {"type": "search", "query": ""},
        "pending_safety_checks": [],
    }


def _item_status(item: dict[str, Any], kind: str, *, stopped: bool) -> str:
    if kind in _FALLIBLE and item.get("error"):
        return "failed"
    return "incomplete" if stopped and kind in _CUT_SHORT else "completed"


def _part_kinds(kind: str) -> dict[str, str]:
    """The members of an item that contain parts, with the default type of their parts."""
    match kind:
        case "message":
            return {"content": "output_text"}
        case "reasoning":
            return {"summary": "summary_text", "content": "reasoning_text"}
        case _:
            return {}


def _part(part: Any, kind: str) -> Any:
    if not isinstance(part, dict):
        return part
    if "type" in part:
        kind = kind_of(part)
    elif "refusal" in part:
        kind = "refusal"
    return fill_in(part, _PARTS.get(kind, {}))


def _output(output: Any) -> Output:
    """The estimated tokens of an output, apart from those of its reasoning, and of the latter."""
    reasoning = written = 0
    for item in output if isinstance(output, list) else ():
        size = sum(map(tokens.estimate, _texts(item)))
        if kind_of(item) == "reasoning":
            reasoning += size
        else:
            written += size
    return Output(written, reasoning)


def _texts(item: Any) -> list[str]:
    """The texts of an item that the model generated, including the arguments of tool calls."""
    if not isinstance(item, dict):
        return []
    found = [item.get(name) for name in ("arguments", "input", "code")]
    for name in ("summary", "content"):
        parts = item.get(name)
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                found += [part.get("text"), part.get("refusal")]
    return [text for text in found if isinstance(text, str)]
