"""The members of a request body that an API needs, and the errors that name them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mockllm.errors import RequestError
from mockllm.providers import request_body
from mockllm.providers.request_body import MAX_MODEL

ROLES = ("user", "assistant")

Refusal = tuple[str, str | None, str | None]
"""The message, `param` and `code` of an error."""


def read_messages(body: Any, roles: Any) -> list[Any]:
    """Read the messages of a body as an API does."""
    messages = request_body.read_messages(body)
    request_body.check_messages(messages, roles)
    return messages


def refusal(read: Callable[..., Any], *arguments: Any) -> Refusal:
    """The error 400 of a call."""
    with pytest.raises(RequestError) as info:
        read(*arguments)
    assert info.value.status == 400
    return info.value.message, info.value.param, info.value.code


def wrong(path: str, expected: str, found: str) -> Refusal:
    return f"{path}: expected {expected}, found {found}", path, "invalid_type"


def absent(path: str) -> Refusal:
    message = f"{path}: Field required. Missing required parameter: '{path}'."
    return message, path, "missing_required_parameter"


# --- The body ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"{}", {}),
        (b' {"a": null} ', {"a": None}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('{"é": "日本"}'.encode(), {"é": "日本"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": "\\ud83d"}', {"a": "\ufffd"}),
    ],
)
def test_an_object_is_decoded(body: bytes, value: Any) -> None:
    assert request_body.read_object(body) == value


@pytest.mark.parametrize("body", [b"", b" ", b"{", b"{'a': 1}", b"{} {}", b'{"a": NaN}', b"\xff"])
def test_a_body_that_is_not_json_is_refused(body: bytes) -> None:
    message, param, code = refusal(request_body.read_object, body)

    reason = message.removeprefix("We could not parse the JSON body of your request: ")
    assert reason not in ("", message)
    assert (param, code) == (None, None)


def test_the_error_of_a_body_that_is_not_json_has_the_position() -> None:
    message, _, _ = refusal(request_body.read_object, b'{"a": 1,\n "b" 2}')

    assert "line 2 column 6" in message


@pytest.mark.parametrize("body", [b'{"a": "\xff"}', '{"a": 1}'.encode("utf-16"), b"\xed\xa0\x80"])
def test_the_error_of_a_body_that_is_not_utf_8_has_no_wrong_position(body: bytes) -> None:
    message, _, _ = refusal(request_body.read_object, body)

    assert message == "We could not parse the JSON body of your request: it is not valid UTF-8"


def test_a_body_nested_too_deeply_is_refused() -> None:
    body = b'{"a":' * 2_000 + b"1" + b"}" * 2_000

    message, _, _ = refusal(request_body.read_object, body)

    assert message.startswith("We could not parse the JSON body of your request: ")


def test_a_body_of_too_many_values_is_refused() -> None:
    body = b'{"a": [' + b"1," * 1_000_000 + b"1]}"

    message, _, _ = refusal(request_body.read_object, body)

    assert message.endswith("it has more than 1,000,000 values")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"[]", "a list"),
        (b"null", "null"),
        (b"true", "true"),
        (b"0", "0"),
        (b'"{}"', "'{}'"),
        ('"日本"'.encode(), "'日本'"),
    ],
)
def test_a_body_that_is_not_an_object_is_refused(body: bytes, found: str) -> None:
    message = f"The body of the request: expected a JSON object, found {found}"

    assert refusal(request_body.read_object, body) == (message, None, None)


@pytest.mark.parametrize(
    ("body", "members"),
    [
        (b"{}", {"model": "m", "id": "i"}),
        (b'{"model": null, "a": null}', {"model": "m", "a": None, "id": "i"}),
        (b'{"model": "own"}', {"model": "own", "id": "i"}),
        (b'{"model": "", "id": 0}', {"model": "", "id": 0}),
    ],
)
def test_values_of_the_path_stand_in_for_missing_members(
    body: bytes, members: dict[str, Any]
) -> None:
    assert request_body.read_members(body, {"model": "m", "id": "i"}) == members


def test_values_of_the_path_do_not_stand_in_for_the_body() -> None:
    message, _, _ = refusal(request_body.read_members, b"null", {"model": "m"})

    assert message == "The body of the request: expected a JSON object, found null"


# --- Single members ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model", ["m", " ", "org/model:free", "模型", pytest.param("é" * MAX_MODEL, id="long")]
)
def test_any_text_of_up_to_the_limit_is_a_model(model: str) -> None:
    assert request_body.read_model({"model": model}) == model


@pytest.mark.parametrize("body", [{}, {"model": None}])
def test_a_model_is_required(body: dict[str, Any]) -> None:
    assert refusal(request_body.read_model, body) == absent("model")


@pytest.mark.parametrize(
    ("model", "found"),
    [("", "''"), (0, "0"), (False, "false"), (1.5, "1.5"), (["m"], "a list"), ({}, "an object")],
)
def test_a_model_that_is_not_a_text_is_refused(model: Any, found: str) -> None:
    expected = wrong("model", "a non-empty string", found)

    assert refusal(request_body.read_model, {"model": model}) == expected


@pytest.mark.parametrize("size", [MAX_MODEL + 1, 10_000_000])
def test_a_model_too_long_is_refused_without_repeating_it(size: int) -> None:
    message, param, code = refusal(request_body.read_model, {"model": "m" * size})

    assert message == (
        "Invalid 'model': string too long. Expected a string with maximum length 1000, but got a "
        f"string with length {size} instead."
    )
    assert (param, code) == ("model", "string_above_max_length")


@pytest.mark.parametrize(
    ("body", "flag"),
    [({}, None), ({"a": None}, None), ({"a": True}, True), ({"a": False}, False)],
)
def test_a_flag_is_a_boolean_or_missing(body: dict[str, Any], flag: bool | None) -> None:
    assert request_body.read_flag(body, "a") is flag


@pytest.mark.parametrize(
    ("value", "found"), [(0, "0"), (1, "1"), ("true", "'true'"), ("", "''"), ([], "a list")]
)
def test_what_is_only_like_a_boolean_is_no_flag(value: Any, found: str) -> None:
    expected = wrong("a", "a boolean", found)

    assert refusal(request_body.read_flag, {"a": value}, "a") == expected


def test_the_error_of_a_flag_names_its_path() -> None:
    expected = wrong("b.a", "a boolean", "1")

    assert refusal(request_body.read_flag, {"a": 1}, "a", "b.a") == expected


@pytest.mark.parametrize(
    ("body", "value"), [({}, {}), ({"a": None}, {}), ({"a": {}}, {}), ({"a": {"é": 1}}, {"é": 1})]
)
def test_a_missing_object_is_empty(body: dict[str, Any], value: Any) -> None:
    assert request_body.read_object_member(body, "a") == value


@pytest.mark.parametrize(
    ("value", "found"), [([], "a list"), ("", "''"), (0, "0"), (False, "false")]
)
def test_a_member_that_is_not_an_object_is_refused(value: Any, found: str) -> None:
    expected = wrong("a", "an object", found)

    assert refusal(request_body.read_object_member, {"a": value}, "a") == expected


@pytest.mark.parametrize(
    ("value", "expected", "found"),
    [
        (True, "an integer", "true"),
        (1.0, "an integer", "1.0"),
        ("1", "an integer", "'1'"),
        ([], "an integer", "a list"),
    ],
)
def test_every_named_count_is_an_integer(value: Any, expected: str, found: str) -> None:
    body = {"a": 1, "b": None, "c": 2**63, "d": value, "e": -1}

    minimums = {"a": 1, "b": 1, "c": 1, "missing": 1}
    request_body.check_minimums(body, minimums)

    refused = refusal(request_body.check_minimums, body, {**minimums, "d": 1})
    assert refused == wrong("d", expected, found)


@pytest.mark.parametrize(("minimum", "value"), [(1, 0), (0, -1), (16, 15), (1024, 1)])
def test_a_count_below_its_minimum_has_the_error_of_the_service(minimum: int, value: int) -> None:
    request_body.check_minimums({"a": minimum}, {"a": minimum})

    message, param, code = refusal(request_body.check_minimums, {"a": value}, {"a": minimum}, "b.")

    assert (param, code) == ("b.a", "integer_below_min_value")
    assert message == (
        f"b.a: Input should be greater than or equal to {minimum}. Invalid 'b.a': integer below "
        f"minimum value. Expected a value >= {minimum}, but got {value} instead."
    )


@pytest.mark.parametrize("value", ["", "日本", [], [None, 7]])
def test_an_input_is_a_text_or_a_list(value: Any) -> None:
    assert request_body.read_input({"input": value}) == value


@pytest.mark.parametrize("body", [{}, {"input": None}])
def test_an_input_is_required(body: dict[str, Any]) -> None:
    assert refusal(request_body.read_input, body) == absent("input")


@pytest.mark.parametrize(
    ("value", "found"), [(0, "0"), (False, "false"), ({}, "an object"), (1.5, "1.5")]
)
def test_an_input_of_another_type_is_refused(value: Any, found: str) -> None:
    expected = wrong("input", "a string or a list", found)

    assert refusal(request_body.read_input, {"input": value}) == expected


# --- Messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", ["", "日本", None, [], [{"type": ""}], [{"type": "text", "text": 7}]]
)
def test_messages_are_returned_as_they_are(content: Any) -> None:
    messages = [{"role": "user", "content": content, "x": 1}, {"role": "assistant"}]

    assert read_messages({"messages": messages}, ROLES) is messages


@pytest.mark.parametrize("body", [{}, {"messages": None}])
def test_messages_are_required(body: dict[str, Any]) -> None:
    assert refusal(read_messages, body, ROLES) == absent("messages")


@pytest.mark.parametrize(
    ("value", "found"), [("", "''"), ({}, "an object"), (0, "0"), (False, "false")]
)
def test_messages_that_are_not_a_list_are_refused(value: Any, found: str) -> None:
    expected = wrong("messages", "a list", found)

    assert refusal(read_messages, {"messages": value}, ROLES) == expected


def test_an_empty_list_of_messages_is_refused() -> None:
    message, param, code = refusal(read_messages, {"messages": []}, ROLES)

    assert message.startswith("messages: at least one message is required.")
    assert (param, code) == ("messages", "empty_array")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (None, wrong("messages.1", "an object", "null")),
        ("hi", wrong("messages.1", "an object", "'hi'")),
        ([], wrong("messages.1", "an object", "a list")),
        ({"content": "hi"}, absent("messages.1.role")),
        ({"role": None, "content": "hi"}, absent("messages.1.role")),
        (
            {"role": "User", "content": "hi"},
            wrong("messages.1.role", "one of user, assistant", "'User'"),
        ),
        (
            {"role": ["user"], "content": "hi"},
            wrong("messages.1.role", "one of user, assistant", "a list"),
        ),
        (
            {"role": "é", "content": 7},
            wrong("messages.1.role", "one of user, assistant", "'é'"),
        ),
        (
            {"role": "user", "content": 7},
            wrong("messages.1.content", "a string or a list of parts", "7"),
        ),
        (
            {"role": "user", "content": {}},
            wrong("messages.1.content", "a string or a list of parts", "an object"),
        ),
        (
            {"role": "user", "content": [{"type": "text"}, "hi"]},
            wrong("messages.1.content.1", "an object", "'hi'"),
        ),
        ({"role": "user", "content": [{}]}, absent("messages.1.content.0.type")),
        ({"role": "user", "content": [{"type": None}]}, absent("messages.1.content.0.type")),
        (
            {"role": "user", "content": [{"type": 7}]},
            wrong("messages.1.content.0.type", "a string", "7"),
        ),
    ],
)
def test_the_error_of_a_message_has_its_place(message: Any, expected: Refusal) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}, message, None]}

    assert refusal(read_messages, body, ROLES) == expected


def test_the_last_of_many_messages_is_checked() -> None:
    messages = [{"role": "user", "content": "hi"}] * 10_000

    refused = refusal(read_messages, {"messages": [*messages, 7]}, ROLES)

    assert refused == wrong("messages.10000", "an object", "7")


def test_a_huge_value_is_not_repeated_in_its_error() -> None:
    message, _, _ = refusal(request_body.check_role, {"role": "\n" * 1_000_000}, ROLES, "m")

    assert message.startswith(r"m.role: expected one of user, assistant, found '\n\n")
    assert len(message) < 150
    assert "\n" not in message
