"""Reads the members of a request body that an API needs, before the SDK's type validates the rest.

Each function returns a value of its type or raises a `RequestError` (400) that names the member.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from mockllm.errors import RequestError
from mockllm.pieces import Pieces
from mockllm.wire import jsontext
from mockllm.wire.json_pieces import loads_in_pieces

Body = Mapping[str, Any]

MISSING_MEMBER = "missing_required_parameter"
"""The code of an error about a missing member."""

ENTRIES_AT_ONCE = 1_000  # that are checked without a pause: 0.1 to 0.5 ms
_NOT_UTF_8 = "str is not valid UTF-8"
"""The beginning of orjson's message, behind which is always the start of the body as the place."""
MAX_MODEL = 1_000  # characters; it is repeated in every event of a stream


def bad(path: str, expected: str, value: Any) -> RequestError:
    """An error 400: the member at `path` is not what was expected."""
    message = f"{path}: expected {expected}, found {jsontext.describe(value)}"
    return RequestError(400, message, param=path, code="invalid_type")


def missing(path: str) -> RequestError:
    """An error 400: the member at `path` is missing."""
    return RequestError(
        400,
        f"{path}: Field required. Missing required parameter: '{path}'.",
        param=path,
        code=MISSING_MEMBER,
    )


def empty(path: str, entry: str) -> RequestError:
    """An error 400: the list at `path` has no `entry`."""
    message = (
        f"{path}: at least one {entry} is required. Invalid '{path}': empty array. Expected an "
        "array with minimum length 1, but got an empty array instead."
    )
    return RequestError(400, message, param=path, code="empty_array")


def read_object(body: bytes) -> dict[str, Any]:
    """Decode the body, which must be a JSON object."""
    try:
        value = jsontext.loads(body)
    except ValueError as exc:
        raise _not_json(exc) from exc
    return value if type(value) is dict else _check_object(value)


def read_object_in_pieces(
    body: bytes, leftovers: list[Any] | None = None
) -> Pieces[dict[str, Any]]:
    """Do what `read_object` does, with pauses. `leftovers` is that of `loads_in_pieces`."""
    try:
        value = yield from loads_in_pieces(body, leftovers)
    except ValueError as exc:
        raise _not_json(exc) from exc
    return _check_object(value)


def _not_json(error: ValueError) -> RequestError:
    reason = str(error)
    if reason.startswith(_NOT_UTF_8):
        reason = "it is not valid UTF-8"
    message = f"We could not parse the JSON body of your request: {reason}"
    return RequestError(400, message)


def _check_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        message = (
            f"The body of the request: expected a JSON object, found {jsontext.describe(value)}"
        )
        raise RequestError(400, message)
    return value


def read_members(body: bytes, values: Mapping[str, str]) -> dict[str, Any]:
    """Decode the body, a JSON object. Missing members are taken from `values`, those in the path,
    which may name the model."""
    try:
        members = jsontext.loads(body)
    except ValueError as exc:
        raise _not_json(exc) from exc
    if type(members) is not dict:
        _check_object(members)  # raises
    return _with_values(members, values) if values else members


def read_members_in_pieces(
    body: bytes, values: Mapping[str, str], leftovers: list[Any]
) -> Pieces[dict[str, Any]]:
    """Do what `read_members` does, with pauses."""
    members = yield from read_object_in_pieces(body, leftovers)
    return _with_values(members, values)


def _with_values(members: dict[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    for name, value in values.items():
        if members.get(name) is None:
            members[name] = value
    return members


def check_in_slices(
    path: str,
    entries: Any,
    check: Callable[[list[Any], int], None],
    has_parts: Callable[[Any], bool] = lambda entry: True,
) -> Iterator[None]:
    """Call `check(entries, first)` for one slice of the list at `path` after the other, `first`
    being the index of the slice's first entry; with a pause after each. Nothing is called for what
    is no list. The parts of an entry are counted, and those of a large content are checked in
    slices too, if it `has_parts`."""
    if not isinstance(entries, list):
        return
    first, size = 0, 0
    for index, entry in enumerate(entries):
        content = entry.get("content") if isinstance(entry, dict) else None
        parts = len(content) if isinstance(content, list) else 0
        if isinstance(content, list) and parts > ENTRIES_AT_ONCE and has_parts(entry):
            check(entries[first:index], first)
            check([{**entry, "content": []}], index)
            for start in range(0, parts, ENTRIES_AT_ONCE):
                end = start + ENTRIES_AT_ONCE
                check_parts(content[start:end], f"{path}.{index}.content", start)
                yield
            first, size = index + 1, 0
            continue
        size += 1 + parts
        if size >= ENTRIES_AT_ONCE:
            check(entries[first : index + 1], first)
            yield
            first, size = index + 1, 0
    check(entries[first:], first)


def read_model(body: Body) -> str:
    """`model`, a non-empty string."""
    model = body.get("model")
    if model is None:
        raise missing("model")
    if not isinstance(model, str) or not model:
        raise bad("model", "a non-empty string", model)
    if len(model) > MAX_MODEL:
        message = (
            "Invalid 'model': string too long. Expected a string with maximum length "
            f"{MAX_MODEL}, but got a string with length {len(model)} instead."
        )
        raise RequestError(400, message, param="model", code="string_above_max_length")
    return model


def read_flag(body: Body, name: str, path: str | None = None) -> bool | None:
    """A boolean member; None if it is missing or null. `path` is its name in errors."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise bad(path or name, "a boolean", value)
    return value


def read_object_member(body: Body, name: str) -> Body:
    """A member that is an object; empty if it is missing or null."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad(name, "an object", value)
    return value


def check_minimums(body: Body, minimums: Mapping[str, int], prefix: str = "") -> None:
    """Check that the members in `minimums`, if present, are integers of at least that size.
    `prefix` is the path of `body` in errors, with its dot."""
    if body.keys().isdisjoint(minimums):  # as nearly always
        return
    for name, minimum in minimums.items():
        value = body.get(name)
        if value is None:
            continue
        path = f"{prefix}{name}"
        if isinstance(value, bool) or not isinstance(value, int):
            raise bad(path, "an integer", value)
        if value < minimum:
            message = (
                f"{path}: Input should be greater than or equal to {minimum}. Invalid '{path}': "
                f"integer below minimum value. Expected a value >= {minimum}, but got {value} "
                "instead."
            )
            raise RequestError(400, message, param=path, code="integer_below_min_value")


def read_messages(body: Body) -> list[Any]:
    """`messages`: a non-empty list."""
    messages = body.get("messages")
    if messages is None:
        raise missing("messages")
    if not isinstance(messages, list):
        raise bad("messages", "a list", messages)
    if not messages:
        raise empty("messages", "message")
    return messages


def check_messages(messages: list[Any], roles: Collection[str], first: int = 0) -> None:
    """Check that messages, the first of which has the index `first`, are objects with one of
    `roles` and a content that is a string, a list of parts or null."""
    for index, message in enumerate(messages, first):
        if (
            isinstance(message, dict)
            and isinstance(role := message.get("role"), str)
            and role in roles
            and isinstance(message.get("content"), str)
        ):
            continue  # a shortcut for nearly all messages: conversations have many
        path = f"messages.{index}"
        if not isinstance(message, dict):
            raise bad(path, "an object", message)
        check_role(message, roles, path)
        check_content(message.get("content"), f"{path}.content")


def check_role(message: Body, roles: Collection[str], path: str) -> None:
    """Check that `role` is one of `roles`."""
    role = message.get("role")
    if role is None:
        raise missing(f"{path}.role")
    if not isinstance(role, str) or role not in roles:
        raise bad(f"{path}.role", "one of " + ", ".join(roles), role)


def check_content(content: Any, path: str) -> None:
    """Check that a content is a string, null, or a list of objects with a `type`."""
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise bad(path, "a string or a list of parts", content)
    check_parts(content, path)


def check_parts(parts: list[Any], path: str, first: int = 0) -> None:
    """Check that the parts of a content, the first of which has the index `first`, are objects with
    a `type`."""
    for index, part in enumerate(parts, first):
        if not isinstance(part, dict):
            raise bad(f"{path}.{index}", "an object", part)
        if not isinstance(part.get("type"), str):
            if part.get("type") is None:
                raise missing(f"{path}.{index}.type")
            raise bad(f"{path}.{index}.type", "a string", part["type"])


def read_input(body: Body) -> str | list[Any]:
    """`input`: a string or a list."""
    value = body.get("input")
    if value is None:
        raise missing("input")
    if not isinstance(value, (str, list)):
        raise bad("input", "a string or a list", value)
    return value
