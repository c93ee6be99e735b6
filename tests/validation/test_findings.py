"""What `validation.findings` makes of small types, written here so that each rule is seen alone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal, Required

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from mockllm.validation.findings import Finding, Kind, compile_match, compile_request, confirm_model
from mockllm.validation.schema import tagged_members


class Source(TypedDict, total=False):
    url: Required[str]
    type: Required[Literal["url"]]


class Text(TypedDict, total=False):
    type: Required[Literal["text"]]
    text: Required[str]


class Image(TypedDict, total=False):
    type: Required[Literal["image"]]
    source: Required[Source]
    detail: Literal["low", "high"]


class Note(TypedDict, total=False):
    type: Required[Literal["note"]]
    notes: Iterable[Text | Image | Note]  # a type that contains itself


class User(TypedDict, total=False):
    role: Required[Literal["user"]]
    content: Required[str | Iterable[Text | Image | Note]]


class Assistant(TypedDict, total=False):
    role: Required[Literal["assistant"]]
    content: Required[str]
    call_id: Required[str]


class Tool(TypedDict, total=False):
    name: Required[str]
    schema: dict[str, object]
    type: Literal["custom"] | None  # optional: a tool without a type is this one


class Bash(TypedDict, total=False):
    type: Required[Literal["bash"]]


class Request(TypedDict, total=False):
    messages: Required[Iterable[User | Assistant]]
    temperature: float
    seed: int | None
    effort: Literal["low", "high"]
    stop: str | Iterable[str] | None
    choice: Literal["auto", "none"] | Bash
    tools: Iterable[Tool | Bash]
    metadata: dict[str, str]
    stream: bool


HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}]}
WRONG, MISSING, UNKNOWN = Kind.WRONG, Kind.MISSING, Kind.UNKNOWN


def lenient(**members: Any) -> Finding | None:
    return compile_request(Request, strict=False)({**HELLO, **members})


def strict(**members: Any) -> Finding | None:
    return compile_request(Request, strict=True)({**HELLO, **members})


def content(value: Any) -> Finding | None:
    return lenient(messages=[{"role": "user", "content": value}])


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


# -- Unions --


def test_union_reports_the_variant_that_was_meant() -> None:
    assert content([{"type": "image", "source": {"type": "url", "url": 5}}]) == Finding(
        ("messages", 0, "content", 0, "source", "url"),
        "expected a string, found 5",
        WRONG,
    )


def test_union_without_a_fitting_json_type_names_all() -> None:
    assert content(42) == Finding(
        ("messages", 0, "content"), "expected a string or a list, found 42", WRONG
    )


@pytest.mark.parametrize(
    ("part", "finding"),
    [
        ({"text": "hi"}, Finding(("type",), "required, but missing", MISSING)),
        ({"type": None}, Finding(("type",), "expected a string, found null", WRONG)),
        ({"type": 5}, Finding(("type",), "expected a string, found 5", WRONG)),
        ({"type": []}, Finding(("type",), "expected a string, found a list", WRONG)),
        ({"type": {}}, Finding(("type",), "expected a string, found an object", WRONG)),
        ("hi", Finding((), "expected an object, found 'hi'", WRONG)),
        (None, Finding((), "expected an object, found null", WRONG)),
        (["type"], Finding((), "expected an object, found a list", WRONG)),
    ],
)
def test_union_needs_an_object_with_a_tag(part: Any, finding: Finding) -> None:
    place = ("messages", 0, "content", 0, *finding.path)
    assert content([part]) == Finding(place, finding.message, finding.kind)


@pytest.mark.parametrize("tool", [{"name": "t"}, {"name": "t", "type": None}, {"type": "bash"}])
def test_optional_tag_may_be_absent(tool: Any) -> None:
    assert lenient(tools=[tool]) is None
    assert strict(tools=[tool]) is None


def test_absent_optional_tag_picks_its_variant() -> None:
    assert lenient(tools=[{}]) == Finding(("tools", 0, "name"), "required, but missing", MISSING)


@pytest.mark.parametrize("value", ["a", ["a", "b"], [1, 2], [[1], [2, 3]], []])
def test_first_entry_tells_which_list_was_meant(value: Any) -> None:
    confirm = compile_request(
        str | list[str] | Iterable[int] | Iterable[Iterable[int]], strict=True
    )
    assert confirm(value) is None


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        (["a", 1], Finding((1,), "expected a string, found 1", WRONG)),
        ([1, "a"], Finding((1,), "expected an integer, found 'a'", WRONG)),
        ([[1], 2], Finding((1,), "expected a list, found 2", WRONG)),
        ([{}], Finding((0,), "expected a string, an integer or a list, found an object", WRONG)),
    ],
)
def test_a_list_is_of_one_kind(value: Any, finding: Finding) -> None:
    confirm = compile_request(
        str | list[str] | Iterable[int] | Iterable[Iterable[int]], strict=True
    )
    assert confirm(value) == finding


def test_lists_that_an_entry_cannot_tell_apart_may_be_mixed() -> None:
    confirm = compile_request(list[Text] | list[Image], strict=True)
    assert confirm([{"type": "text", "text": "a"}]) is None
    assert confirm([{"type": "image"}]) == Finding((0, "source"), "required, but missing", MISSING)


def test_untagged_objects_are_tried_in_order() -> None:
    class Left(TypedDict):
        left: int

    class Right(TypedDict):
        right: int

    confirm = compile_request(Left | Right, strict=False)
    assert confirm({"right": 1}) is None
    assert confirm({}) == Finding(("left",), "required, but missing", MISSING)


def test_union_with_anything_accepts_anything() -> None:
    assert compile_request(Text | object, strict=True)({"type": "text"}) is None


def test_recursive_type_is_confirmed_all_the_way_down() -> None:
    note: dict[str, Any] = {"type": "text", "text": 5}
    for _ in range(20):
        note = {"type": "note", "notes": [note]}
    assert content([note]) == Finding(
        ("messages", 0, "content", 0, *("notes", 0) * 20, "text"),
        "expected a string, found 5",
        WRONG,
    )


def test_deep_value_where_anything_may_be_is_let_through() -> None:
    deep: Any = {}
    for _ in range(5000):
        deep = {"properties": {"a": deep}}
    assert lenient(tools=[{"name": "t", "schema": deep}]) is None
    assert strict(tools=[{"name": "t", "schema": deep}]) is None


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


def test_strict_wants_echoes_complete() -> None:
    confirm = compile_request(Request, strict=True, lenient_types=frozenset({"Assistant"}))
    assert confirm(CUT_ECHO) == Finding(
        ("messages", 0, "content"), "required, but missing", MISSING
    )


def test_match_tells_every_finding() -> None:
    confirm = compile_match(list[User | Assistant], lenient_types=frozenset({"User"}))
    assert confirm([{"role": "user"}, {"role": "assistant", "content": 5}]) == [
        Finding((1, "content"), "expected a string, found 5", WRONG),
        Finding((1, "call_id"), "required, but missing", MISSING),
    ]


# -- Models --


class Usage(BaseModel):
    model_config = ConfigDict(extra="allow")
    tokens: int


class Message(BaseModel):
    model_config = ConfigDict(extra="allow")
    type: Literal["message"]
    text: str | None = None


class Call(BaseModel):
    model_config = ConfigDict(extra="allow")
    type: Literal["call"]
    name: str


class Answer(BaseModel):
    model_config = ConfigDict(extra="allow", defer_build=True)  # as the SDKs' models
    id: str
    output: list[Message | Call]
    usage: Usage | None = None


def test_model_that_holds_has_no_findings() -> None:
    answer = {"id": "a", "output": [{"type": "message", "text": None}], "usage": {"tokens": 1}}
    assert confirm_model(Answer, answer) == []


def test_model_tells_every_finding() -> None:
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


def test_union_of_models_is_decided_by_type() -> None:
    assert confirm_model(Message | Call, {"type": "call"}) == [
        Finding(("name",), "required, but missing", MISSING)
    ]


# -- Members by tag --


def test_tagged_members_joins_what_shares_a_tag() -> None:
    class Other(TypedDict):
        type: Literal["text"]
        citations: list[str]

    assert tagged_members([Text | Image, Other]) == {
        "text": {"type", "text", "citations"},
        "image": {"type", "source", "detail"},
    }


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
def test_what_strict_accepts_lenient_accepts(message: Any) -> None:
    if STRICT({"messages": [message]}) is None:
        assert LENIENT({"messages": [message]}) is None
