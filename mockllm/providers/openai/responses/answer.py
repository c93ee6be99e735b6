"""Completes configured responses (openai 3.54.0: `Response`).

Written members are served unchanged and in the same order. Missing members that the service always
writes are added in the service's order, those that it repeats from the request as echoes. Values of
wrong types are served too: their author was warned when the mock was loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import orjson

from mockllm.pieces import AT_ONCE, Pieces, drain, finish
from mockllm.providers.call_ids import Link, missing_ids
from mockllm.providers.completed import CompletedParts, CompletedResponse, is_long
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

_PART_LISTS = ("summary", "content")
"""The members of items that have parts."""

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
    if type(response) is CompletedResponse:
        return response
    output = _entries(response.get("output"))
    return _complete(response, _status(response, map(_state, output)), _count_searches(output))


def complete_in_pieces(response: dict[str, Any]) -> Pieces[CompletedResponse]:
    """Do what `complete` does, with pauses if there are many items or parts."""
    output = response.get("output")
    if not isinstance(output, list):
        return CompletedResponse(complete(response))
    status = _status(response, (yield from drain(map(_state, output))))
    searches = sum((yield from drain(map(_is_search, output))))
    opened: list[Any] = []
    for number, item in enumerate(output, 1):
        opened.append((yield from _with_completed_parts(item)))
        if number % AT_ONCE == 0:
            yield False
    if is_long(output):
        items = yield from _items(opened, status)
        counted = yield from _output(items)
        opened = CompletedParts(items, counted.said, counted.thought)
        yield False
    return CompletedResponse(_complete(response | {"output": opened}, status, searches))


def _complete(response: dict[str, Any], status: Any, searches: int) -> dict[str, Any]:
    """Do what `complete` does. The response has that `status` and so many web searches."""
    completed = fill_in(response, _members(response, status, searches))
    if "output" not in response and isinstance(response.get("output_text"), str):
        completed["output"] = text_response(response["output_text"])["output"]
    if completed["error"] == {}:
        completed["error"] = _failure(completed["status"])
    output = completed["output"]
    if isinstance(output, list) and type(output) is not CompletedParts:
        completed["output"] = finish(_items(output, completed["status"]))
    if isinstance(completed["usage"], dict):
        counted = finish(_output(completed["output"]))
        completed["usage"] = usage.complete(completed["usage"], USAGE, counted)
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


def _members(response: dict[str, Any], status: Any, searches: int) -> dict[str, Any]:
    """The members that the service writes in a response with this `status` and so many web
    searches, in its order."""
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
        "tool_usage": _tool_usage(searches),
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


def _status(response: dict[str, Any], states: Iterable[str]) -> Any:
    """The status of a response whose items have these `states`: the written one, else the one that
    agrees with what is written."""
    if "status" in response:
        return response["status"]
    if response.get("error"):
        return "failed"
    if response.get("incomplete_details"):
        return "incomplete"
    found = set(states)
    return next((state for state in ("in_progress", "incomplete") if state in found), "completed")


def _state(item: Any) -> str:
    """The status that an item gives its response."""
    status = item.get("status") if isinstance(item, dict) else None
    if status == "in_progress":
        return "in_progress"
    generated = (*_CUT_SHORT, "reasoning")
    is_stopped = status == "incomplete" and item.get("type", "message") in generated
    return "incomplete" if is_stopped else "completed"


def _now(response: dict[str, Any]) -> Any:
    """The time of the delivery; if the time of completion is written, that."""
    completed_at = response.get("completed_at")
    return placeholders.seconds_placeholder() if completed_at is None else completed_at


def _tool_usage(searches: int) -> dict[str, Any]:
    """The usage of hosted tools: so many web searches, and no tokens."""
    no_details = {"image_tokens": 0, "text_tokens": 0}
    image_tokens = {
        "input_tokens": 0,
        "input_tokens_details": no_details,
        "output_tokens": 0,
        "output_tokens_details": no_details,
        "total_tokens": 0,
    }
    return {"image_gen": image_tokens, "web_search": {"num_requests": searches}}


def _count_searches(output: Iterable[Any]) -> int:
    return sum(map(_is_search, output))


def _is_search(item: Any) -> bool:
    return kind_of(item) == "web_search_call"


def _entries(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _items(output: list[Any], status: Any) -> Pieces[list[Any]]:
    """The items of a response with that `status`, each with its missing members filled in, with
    pauses if there are many."""
    stopped = status in ("incomplete", "failed", "cancelled")
    last = len(output) - 1
    links: dict[int, Link] = {}
    for index, item in enumerate(output):
        link = _link(item)
        if link is not None:
            links[index] = link
        if index % AT_ONCE == AT_ONCE - 1:
            yield False
    call_ids = yield from missing_ids(links, lambda index: _call_id(f"output.{index}"))
    items: list[Any] = []
    for index, item in enumerate(output):
        call_id, place = call_ids.get(index), f"output.{index}"
        items.append(_item(item, place, call_id, stopped=stopped and index == last))
        if index % AT_ONCE == AT_ONCE - 1:
            yield False
    return items


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
    kind = _kind(item)
    prefix, names = _ITEMS.get(kind, _OTHER)
    values = _values(kind, place, call_id) | {
        "id": placeholders.fresh_id(prefix, ID_LENGTH, place),
        "status": _item_status(item, kind, stopped=stopped),
    }
    if call_id is not None and "call_id" not in names:
        names += " call_id"
    completed = fill_in(item, {name: values[name] for name in names.split()})
    for name, part_kind in _part_kinds(kind).items():
        parts = completed.get(name)
        if isinstance(parts, list) and type(parts) is not CompletedParts:
            completed[name] = [_part(part, part_kind) for part in parts]
    return completed


def _with_completed_parts(item: Any) -> Pieces[Any]:
    """An item whose parts are completed and counted if there are many, with pauses."""
    if not isinstance(item, dict):
        return item
    kinds = _part_kinds(_kind(item))
    for name in _PART_LISTS:
        parts = item.get(name)
        if not isinstance(parts, list) or not is_long(parts):
            continue
        if name in kinds:
            parts = yield from drain(map(partial(_part, kind=kinds[name]), parts))
        said = yield from drain(map(_count_part, parts))
        item = item | {name: CompletedParts(parts, sum(said))}
    return item


def _kind(item: dict[str, Any]) -> str:
    """The type of an item; one without a type may be a message."""
    if "type" not in item and ("content" in item or "role" in item):
        return "message"
    return kind_of(item)


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


def _output(output: Any) -> Pieces[Output]:
    """The estimated tokens of an output, apart from those of its reasoning, and of the latter, with
    pauses if it has many items."""
    if isinstance(output, CompletedParts):
        return Output(output.said, output.thought)
    reasoning = written = 0
    for number, item in enumerate(_entries(output), 1):
        if kind_of(item) == "reasoning":
            reasoning += _count(item)
        else:
            written += _count(item)
        if number % AT_ONCE == 0:
            yield False
    return Output(written, reasoning)


def _count(item: Any) -> int:
    """The estimated tokens of what the model generated of an item, including the arguments of tool
    calls."""
    if not isinstance(item, dict):
        return 0
    counted = _estimate(item.get(name) for name in ("arguments", "input", "code"))
    for name in _PART_LISTS:
        parts = item.get(name)
        if isinstance(parts, CompletedParts):
            counted += parts.said
        else:
            counted += sum(map(_count_part, _entries(parts)))
    return counted


def _count_part(part: Any) -> int:
    if not isinstance(part, dict):
        return 0
    return _estimate((part.get("text"), part.get("refusal")))


def _estimate(texts: Iterable[Any]) -> int:
    return sum(tokens.estimate(text) for text in texts if isinstance(text, str))
