"""Findings in values of small types, written here so that each rule is seen alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.validation.findings import (
    Finding,
    allow_newer,
    compile_match,
    compile_request,
    confirm_model,
)
from tests.support.small_types import (
    HELLO,
    MISSING,
    NEWER,
    UNKNOWN,
    WRONG,
    Answer,
    Assistant,
    Request,
    User,
    content,
    lenient,
    strict,
)

# -- Findings --


def test_place_is_the_dotted_path() -> None:
    finding = Finding(("messages", 0, "content"), "expected a string, found null", WRONG)
    assert finding.place == "messages.0.content"
    assert str(finding) == "messages.0.content: expected a string, found null"


def test_finding_about_the_value_itself_has_no_place() -> None:
    finding = compile_request(Request, strict=False)([])
    assert finding == Finding((), "expected an object, found a list", WRONG)
    assert str(finding) == "expected an object, found a list"


def test_place_cuts_a_long_name() -> None:
    assert len(Finding(("a" * 1000,), "", WRONG).place) == 60


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, "null"),
        (True, "true"),
        (42, "42"),
        (0.5, "0.5"),
        ([1], "a list"),
        ({"a": 1}, "an object"),
    ],
)
def test_message_names_what_was_found(value: Any, found: str) -> None:
    assert compile_request(str, strict=False)(value) == Finding(
        (), f"expected a string, found {found}", WRONG
    )


def test_message_cuts_a_long_string() -> None:
    finding = lenient(seed='"' + "é" * 1000)
    assert finding is not None
    assert finding.message == "expected an integer, found '\"" + "é" * 57 + "…"


def test_message_escapes_a_lone_surrogate() -> None:
    finding = lenient(seed="\ud800")
    assert finding == Finding(("seed",), r"expected an integer, found '\ud800'", WRONG)


# -- JSON types --


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("temperature", "hot", "expected a number, found 'hot'"),
        ("temperature", "0.5", "expected a number, found '0.5'"),
        ("temperature", True, "expected a number, found true"),
        ("seed", 1.5, "expected an integer, found 1.5"),
        ("seed", 1.0, "expected an integer, found 1.0"),
        ("seed", True, "expected an integer, found true"),
        ("stream", 1, "expected a boolean, found 1"),
        ("stream", "yes", "expected a boolean, found 'yes'"),
        ("effort", 5, "expected a string, found 5"),
        ("stop", 5, "expected a string or a list, found 5"),
        ("choice", [], "expected a string or an object, found a list"),
        ("tools", "x", "expected a list, found 'x'"),
        ("tools", {"a": 1}, "expected a list, found an object"),
        ("metadata", [], "expected an object, found a list"),
    ],
)
def test_another_json_type_is_a_finding(member: str, value: Any, message: str) -> None:
    assert lenient(**{member: value}) == Finding((member,), message, WRONG)


def test_an_integer_is_a_number() -> None:
    assert lenient(temperature=1) is None


def test_lists_are_confirmed_to_the_end() -> None:
    assert lenient(stop=["a", "b", 3]) == Finding(("stop", 2), "expected a string, found 3", WRONG)


def test_values_of_an_object_are_confirmed() -> None:
    assert lenient(metadata={"a": "x", "b": 1}) == Finding(
        ("metadata", "b"), "expected a string, found 1", WRONG
    )


def test_the_request_is_not_changed() -> None:
    request = {**HELLO, "tools": [{"name": "t", "other": 1}], "other": 2}
    before = json.dumps(request)
    assert compile_request(Request, strict=False)(request) is None
    assert json.dumps(request) == before


# -- Lenient and strict --


@pytest.mark.parametrize(
    ("members", "finding"),
    [
        ({"other": 1}, Finding(("other",), "not a member that the SDK declares", UNKNOWN)),
        (
            {"temprature": 1},
            Finding(
                ("temprature",),
                "not a member that the SDK declares; did you mean 'temperature'?",
                UNKNOWN,
            ),
        ),
        ({"stream": None}, Finding(("stream",), "expected a boolean, found null", WRONG)),
        (
            {"effort": "max"},
            Finding(("effort",), "expected 'low' or 'high', found 'max'", WRONG),
        ),
        (
            {"choice": "some"},
            Finding(("choice",), "expected 'auto' or 'none', found 'some'", WRONG),
        ),
        (
            {"tools": [{"type": "new"}]},
            Finding(
                ("tools", 0, "type"),
                "expected 'custom' or 'bash', found 'new'",
                WRONG,
            ),
        ),
    ],
)
def test_only_strict_refuses(members: dict[str, Any], finding: Finding) -> None:
    assert lenient(**members) is None
    assert strict(**members) == finding


def test_null_for_a_required_member_is_a_finding() -> None:
    assert content(None) == Finding(
        ("messages", 0, "content"), "expected a string or a list, found null", WRONG
    )


ECHO = {"messages": [{"role": "assistant", "content": None, "call_id": "c"}]}
CUT_ECHO = {"messages": [{"role": "assistant"}]}


def test_members_of_an_echo_may_be_missing_or_null() -> None:
    confirm = compile_request(
        Request,
        strict=False,
        lenient_types=frozenset({"Assistant"}),
        always_required=frozenset({"call_id"}),
    )
    assert confirm(ECHO) is None
    assert confirm(CUT_ECHO) == Finding(
        ("messages", 0, "call_id"), "required, but missing", MISSING
    )


def test_strict_requires_complete_echoes() -> None:
    confirm = compile_request(Request, strict=True, lenient_types=frozenset({"Assistant"}))
    assert confirm(CUT_ECHO) == Finding(
        ("messages", 0, "content"), "required, but missing", MISSING
    )


def test_a_match_has_every_finding() -> None:
    confirm = compile_match(list[User | Assistant], lenient_types=frozenset({"User"}))
    assert confirm([{"role": "user"}, {"role": "assistant", "content": 5}]) == [
        Finding((1, "content"), "expected a string, found 5", WRONG),
        Finding((1, "call_id"), "required, but missing", MISSING),
    ]


# -- Models --


def test_a_valid_model_has_no_findings() -> None:
    answer = {"id": "a", "output": [{"type": "message", "text": None}], "usage": {"tokens": 1}}
    assert confirm_model(Answer, answer) == []


def test_a_model_has_every_finding() -> None:
    answer = {
        "output": [{"type": "call"}, {"type": "messsage"}, {"type": "message", "txt": "hi"}],
        "usage": {"tokens": "1", "extra": {}},
    }
    assert confirm_model(Answer, answer) == [
        Finding(("id",), "required, but missing", MISSING),
        Finding(("output", 0, "name"), "required, but missing", MISSING),
        Finding(
            ("output", 1, "type"),
            "expected 'message' or 'call', found 'messsage'",
            WRONG,
        ),
        Finding(
            ("output", 2, "txt"),
            "not a member that the SDK declares; did you mean 'text'?",
            UNKNOWN,
        ),
        Finding(("usage", "tokens"), "expected an integer, found '1'", WRONG),
        Finding(("usage", "extra"), "not a member that the SDK declares", UNKNOWN),
    ]


# -- An old SDK --


def test_a_model_of_an_old_sdk_tells_what_a_newer_one_may_declare() -> None:
    answer = {
        "id": 5,
        "output": [{"type": "messsage"}, {"type": "message", "txt": "hi"}],
    }
    assert confirm_model(Answer, answer, widened=frozenset()) == [
        Finding(("id",), "expected a string, found 5", WRONG),
        Finding(
            ("output", 0, "type"),
            "expected 'message' or 'call', found 'messsage' "
            "(the installed SDK is old; newer ones may declare it)",
            NEWER,
        ),
        Finding(
            ("output", 1, "txt"),
            "not a member that the SDK declares; did you mean 'text'? "
            "(the installed SDK is old; newer ones may declare it)",
            NEWER,
        ),
    ]


def test_a_match_may_have_members_that_only_newer_sdks_declare() -> None:
    wrong = Finding(("content",), "expected a string, found 5", WRONG)
    undeclared = Finding(("nam",), "not a member that the SDK declares", UNKNOWN)

    assert allow_newer([wrong, undeclared]) == [
        wrong,
        Finding(
            ("nam",),
            "not a member that the SDK declares "
            "(the installed SDK is old; newer ones may declare it)",
            NEWER,
        ),
    ]


def test_what_services_send_is_no_finding_of_an_old_sdk_either() -> None:
    answer = {"id": "a", "output": [], "extra": 1}

    found = confirm_model(
        Answer, answer, lambda finding: finding.kind is UNKNOWN, widened=frozenset()
    )

    assert found == []


@pytest.mark.parametrize("call", [{}, {"name": None}, {"name": 5}, {"name": {"first": "f"}}])
def test_a_widened_member_may_be_absent_or_anything(call: dict[str, Any]) -> None:
    answer = {"id": "a", "output": [{"type": "call", **call}]}

    assert confirm_model(Answer, answer, widened=frozenset({"Call.name"})) == []
    assert confirm_model(Answer, answer, widened=frozenset({"Message.name", "name"})) != []


@pytest.mark.parametrize("strict", [True, False])
def test_a_request_may_have_anything_in_a_widened_member(strict: bool) -> None:
    widened = frozenset({"Text.text"})
    confirm = compile_request(Request, strict=strict, widened=widened)
    content: list[dict[str, Any]] = [{"type": "text", "text": 5}, {"type": "text"}]

    assert confirm({"messages": [{"role": "user", "content": content}]}) is None


def test_a_match_may_have_anything_in_a_widened_member() -> None:
    confirm = compile_match(
        list[User], lenient_types=frozenset(), widened=frozenset({"User.content"})
    )

    assert confirm([{"role": "user", "content": 5}, {"role": "user"}]) == []


# -- Anything --


TEXTS = st.text(st.characters(exclude_categories=()), max_size=8) | st.sampled_from(
    ["type", "role", "user", "assistant", "text", "image", "note", "content", "messages", "name"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(TEXTS, values, max_size=4),
    max_leaves=20,
)
LENIENT = compile_request(Request, strict=False, lenient_types=frozenset({"Assistant"}))
STRICT = compile_request(Request, strict=True)


@given(JSON, JSON, JSON)
def test_any_json_gets_a_verdict(request: Any, message: Any, member: Any) -> None:
    for value in (request, {"messages": [message]}, {**HELLO, "tools": member, "stop": member}):
        for confirm in (LENIENT, STRICT):
            finding = confirm(value)
            assert finding is None or f"{finding}".encode()
        confirm_model(Answer, value)


@given(JSON)
def test_lenient_accepts_all_that_strict_accepts(message: Any) -> None:
    if STRICT({"messages": [message]}) is None:
        assert LENIENT({"messages": [message]}) is None
