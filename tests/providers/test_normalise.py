"""Normalised messages: what counts as the same in every API."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.matching.message_predicates import ItemsEqual, MessageContains
from mockllm.matching.part_predicates import MessageHasParts
from mockllm.matching.parts import Part
from mockllm.matching.predicate import Predicate
from mockllm.prompt import Message, MessagePart
from mockllm.providers import normalise
from mockllm.wire import jsontext

Json = dict[str, Any]

SYSTEM: Json = {"role": "system", "content": "rules"}
NOTE: Json = {"role": "developer", "content": "note"}
USER: Json = {"role": "user", "content": "hi"}
ANSWER: Json = {"role": "assistant", "content": "ho"}

NOT_OBJECTS: list[Any] = [None, True, 7, 1.5, "", "é", []]
LONG = pytest.param("日" * 1_000_000, id="long")


def text_part(text: Any, kind: Any = "text") -> Json:
    return {"type": kind, "text": text}


# --- Members -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "left"),
    [
        (None, {"a": 0, "b": "", "é": []}),
        ({"a", "é", "null", "cache_control", "missing"}, {"a": 0, "é": []}),
        (set(), {}),
    ],
)
def test_members_unknown_null_or_ignored_are_removed(names: set[str] | None, left: Json) -> None:
    value: Json = {"a": 0, "null": None, "b": "", "cache_control": {"type": "ephemeral"}, "é": []}

    assert normalise.known_members(value, names) == left


def test_removing_members_leaves_the_original_alone() -> None:
    value: Json = {"a": 1, "b": None}

    normalise.known_members(value, {"a"})

    assert value == {"a": 1, "b": None}


@pytest.mark.parametrize(
    ("part", "left"),
    [
        ({"type": "t", "a": 1, "b": 2, "c": None}, {"type": "t", "a": 1}),
        ({"type": "other", "a": 1, "b": 2, "c": None}, {"type": "other", "a": 1, "b": 2}),
        ({"a": 1, "b": 2, "c": None}, {"a": 1, "b": 2}),
        ({"type": ["t"], "b": 2}, {"type": ["t"], "b": 2}),
        ({"type": None, "b": 2}, {"b": 2}),
        ({"type": "other", "cache_control": 1}, {"type": "other"}),
        ({}, {}),
    ],
)
def test_a_part_keeps_the_members_that_its_type_declares(part: Json, left: Json) -> None:
    assert normalise.known_part(part, {"t": {"type", "a", "c"}}) == left


@pytest.mark.parametrize("value", NOT_OBJECTS)
def test_a_part_that_is_not_an_object_is_unchanged(value: Any) -> None:
    assert normalise.known_part(value, {"": set()}) == value


# --- Texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["text", "input_text", "output_text"])
@pytest.mark.parametrize("text", ["", "é", LONG])
def test_one_text_part_equals_its_text(kind: str, text: str) -> None:
    part = text_part(text, kind) | {"annotations": [], "x": None}

    assert normalise.only_text([part]) == text
    assert normalise.content([part], lambda _: None) == text


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [text_part("a"), text_part("b")],
        [text_part("a", "thinking")],
        [text_part("a", None)],
        [text_part("a", ["text"])],
        [text_part(None)],
        [text_part(7)],
        [{"type": "text"}],
        [{"text": "a"}],
        [["text", "a"]],
        ["a"],
        [None],
    ],
)
def test_other_parts_are_normalised_one_by_one(parts: list[Any]) -> None:
    assert normalise.only_text(parts) is None
    assert normalise.content(parts, lambda part: ("part", part)) == [("part", p) for p in parts]


@pytest.mark.parametrize("value", [None, False, 7, {}, text_part("a"), {"type": "text"}])
def test_a_content_that_is_neither_text_nor_list_is_unchanged(value: Any) -> None:
    assert normalise.only_text(value) is None
    assert normalise.content(value, lambda _: "part") == value


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("", [""]),
        ("é", ["é"]),
        ([], []),
        ([text_part("a"), text_part("b", "input_text"), text_part("", "output_text")], [*"ab", ""]),
        ([{"type": "refusal", "refusal": "no"}, text_part("a")], ["no", "a"]),
        ([{"type": "refusal", "text": "no"}, {"type": "refusal", "refusal": None}], []),
        ([text_part("a", "thinking"), text_part(7), text_part("a", 7), "a", None, []], []),
        (text_part("a"), []),
        (None, []),
        (7, []),
    ],
)
def test_the_texts_of_a_content_are_those_of_text_parts_and_refusals(
    value: Any, texts: list[str]
) -> None:
    assert list(normalise.texts(value)) == texts


@pytest.mark.parametrize("value", [None, False, 7, b"a", ["a"], {"a": 1}])
def test_what_is_not_a_text_is_an_empty_one(value: Any) -> None:
    assert normalise.text(value) == ""


@pytest.mark.parametrize("value", ["", "é", LONG])
def test_a_text_is_itself(value: str) -> None:
    assert normalise.text(value) == value


def test_only_objects_of_a_list_are_left() -> None:
    assert normalise.objects([{}, *NOT_OBJECTS, {"a": 1}]) == [{}, {"a": 1}]


@pytest.mark.parametrize("value", [*NOT_OBJECTS, {"a": {}}])
def test_what_is_not_a_list_has_no_objects(value: Any) -> None:
    assert normalise.objects(value) == []


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ({"name": "f", "type": "function"}, "f"),
        ({"type": "web_search"}, "web_search"),
        ({"name": "", "type": "web_search"}, "web_search"),
        ({"name": None, "type": "web_search"}, "web_search"),
        ({"name": ["f"], "type": "custom"}, "custom"),
        ({"name": "é"}, "é"),
        ({"type": 7}, ""),
        ({}, ""),
    ],
)
def test_a_tool_without_a_name_is_known_by_its_type(tool: Json, name: str) -> None:
    assert list(normalise.tool_names([tool, "g", {"name": "h"}])) == [name, "h"]


# --- Arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('{"a": 1, "b": "é"}', '{"b":"\\u00e9","a":1.0}'),
        (" [1, 2]\n", "[1,2]"),
        ("null", " null "),
        ('"a"', '"\\u0061"'),
    ],
)
def test_spellings_of_the_same_arguments_are_equal(text: str, same: str) -> None:
    first, second = normalise.arguments(text), normalise.arguments(same)

    assert jsontext.canonical(first) == jsontext.canonical(second)


@pytest.mark.parametrize(
    ("text", "other"),
    [('"a"', "a"), ("1", '"1"'), ("true", "1"), ("{}", ""), ('{"a": null}', "{}"), ("a", "a ")],
)
def test_other_arguments_differ(text: str, other: str) -> None:
    first, second = normalise.arguments(text), normalise.arguments(other)

    assert jsontext.canonical(first) != jsontext.canonical(second)


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", "{'a': 1}", "NaN", "{} {}", "select é", pytest.param("{" * 5_000, id="deep")],
)
def test_arguments_that_are_not_json_are_unchanged(text: str) -> None:
    assert normalise.arguments(text) == text


@pytest.mark.parametrize("value", [None, True, 7, {"a": 1}, ["{}"]])
def test_arguments_that_are_not_a_text_are_unchanged(value: Any) -> None:
    assert normalise.arguments(value) == value


def test_arguments_may_contain_lone_surrogates() -> None:
    assert normalise.arguments('"\ud800"') == {"json": "?"}
    assert normalise.arguments("\ud800") == "\ud800"


@given(st.text())
def test_no_text_equals_the_arguments_that_it_spells(text: str) -> None:
    spelled = jsontext.dumps(text).decode()

    assert normalise.arguments(spelled) == {"json": text}
    assert normalise.arguments(text) != {"json": text}


# --- Mocks ---------------------------------------------------------------------------------------


def test_a_valid_role_of_a_mock_is_accepted() -> None:
    normalise.check_role(USER, ["user"])

    with pytest.raises(ValueError, match=r"^role: expected one of assistant, tool, found 'user'$"):
        normalise.check_role(USER, ["assistant", "tool"])


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ({}, "nothing"),
        ({"role": None}, "null"),
        ({"role": ""}, "''"),
        ({"role": "USER"}, "'USER'"),
        ({"role": 7}, "7"),
        ({"role": ["user"]}, "a list"),
        ({"role": {}}, "an object"),
    ],
)
def test_the_error_of_a_role_has_those_expected_and_the_one_found(
    message: Json, found: str
) -> None:
    with pytest.raises(ValueError, match=r"^role: ") as info:
        normalise.check_role(message, {"user": (), "tool": ()})  # as in APIs: their members

    assert str(info.value) == f"role: expected one of user, tool, found {found}"


def no_names(value: Json) -> tuple[str, ...]:
    return ("title",)


def compiled(value: Any) -> Predicate:
    parts = map(MessagePart, normalise.spread(value))
    return normalise.compile_contains(value, "user", parts, no_names)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), ([], ""), ("", ""), ("é", "é"), ([text_part("a", "input_text")], "a")],
)
def test_a_content_of_one_text_is_searched_for(value: Any, text: str) -> None:
    assert compiled(value) == MessageContains(text, "user")


@pytest.mark.parametrize(("value", "found"), [({}, "an object"), (0, "a number"), (False, "a boo")])
def test_another_content_cannot_be_compiled(value: Any, found: str) -> None:
    with pytest.raises(ValueError, match=f"expected a string or a list of parts, found {found}"):
        compiled(value)


def test_several_parts_are_searched_for_one_by_one() -> None:
    image = {"type": "image", "title": "sun", "url": "x"}

    condition = compiled([text_part("a"), image, text_part("b")])

    assert condition == MessageHasParts(
        ("a", "b"), (Part(jsontext.canonical(image), image),), "user"
    )
    assert condition.required_texts == ("a", "b", "sun")


def test_a_mock_compiles_to_the_condition_that_the_message_is_equal() -> None:
    equal = normalise.compile_exact(USER, jsontext.canonical, ("hi",))

    assert equal == ItemsEqual(1, b'{"content":"hi","role":"user"}', ("hi",), "user")


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (None, []),
        ("", []),
        ("a", [text_part("a")]),
        ([text_part("a"), 1], [text_part("a"), 1]),
        (5, []),
    ],
)
def test_a_content_is_spread_to_a_list_of_parts(value: Any, parts: list[Any]) -> None:
    assert normalise.spread(value) == parts


# --- The last messages ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "compared"),
    [
        ([USER], [USER]),
        ([SYSTEM, ANSWER, USER], [USER]),
        ([USER, ANSWER], [ANSWER]),
        ([USER, NOTE], [NOTE, USER]),
        ([ANSWER, USER, SYSTEM, NOTE], [NOTE, USER]),
        ([SYSTEM], [SYSTEM]),
        ([SYSTEM, NOTE], [NOTE]),
        ([7, NOTE], [NOTE, 7]),
        ([USER, 7], [7]),
    ],
)
def test_rules_compare_the_last_message_and_the_turn_before_notes(
    messages: list[Any], compared: list[Any]
) -> None:
    def read(message: Any) -> Message:
        return Message("", (), (), (message,), jsontext.canonical)

    found = normalise.last_and_turn(messages, read)

    assert [message.items for message in found] == [(message,) for message in compared]


def test_long_arguments_are_compared_as_text() -> None:
    short, long = (
        f"{' ' * (normalise.MAX_ARGUMENTS - 2)}{{}}",
        f"{' ' * normalise.MAX_ARGUMENTS}{{}}",
    )

    assert normalise.arguments(short) == {"json": {}}
    assert normalise.arguments(long) == long


@pytest.mark.parametrize("message", [USER, ANSWER, {}, {"role": ["system"]}, "system", None, 7])
def test_turns_and_strange_values_are_no_system_notes(message: Any) -> None:
    assert normalise.is_system_note(SYSTEM)
    assert normalise.is_system_note(NOTE)
    assert not normalise.is_system_note(message)


@pytest.mark.parametrize("size", [1, 100_000, 256 * 1024, 3_000_000])
@pytest.mark.parametrize("letter", ["a", "é", "🚀"])
def test_an_item_is_written_in_pieces_as_at_once(size: int, letter: str) -> None:
    item = {"role": "user", "content": [{"text": letter * 10}, {"text": "a" * size + letter}]}
    writing = normalise.write_in_pieces(item)
    while True:
        try:
            next(writing)
        except StopIteration as end:
            written = end.value
            break

    assert written == jsontext.dumps(item).decode()
