"""Contents and lists of a request, whatever their types are."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers import contents, normalise
from mockllm.wire import jsontext
from tests.providers.test_normalise import NOT_OBJECTS, text_part

LONG = pytest.param("日" * 1_000_000, id="long")


@pytest.mark.parametrize("kind", ["text", "input_text", "output_text"])
@pytest.mark.parametrize("text", ["", "é", LONG])
def test_one_text_part_equals_its_text(kind: str, text: str) -> None:
    part = text_part(text, kind) | {"annotations": [], "x": None}

    assert contents.only_text([part]) == text
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
    assert contents.only_text(parts) is None
    assert normalise.content(parts, lambda part: ("part", part)) == [("part", p) for p in parts]


@pytest.mark.parametrize("value", [None, False, 7, {}, text_part("a"), {"type": "text"}])
def test_a_content_that_is_neither_text_nor_list_is_unchanged(value: Any) -> None:
    assert contents.only_text(value) is None
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
    assert list(contents.texts(value)) == texts


@pytest.mark.parametrize("value", [None, False, 7, b"a", ["a"], {"a": 1}])
def test_what_is_not_a_text_is_an_empty_one(value: Any) -> None:
    assert contents.text(value) == ""


@pytest.mark.parametrize("value", ["", "é", LONG])
def test_a_text_is_itself(value: str) -> None:
    assert contents.text(value) == value


def test_only_objects_of_a_list_are_left() -> None:
    assert contents.objects([{}, *NOT_OBJECTS, {"a": 1}]) == [{}, {"a": 1}]


@pytest.mark.parametrize("value", [*NOT_OBJECTS, {"a": {}}])
def test_what_is_not_a_list_has_no_objects(value: Any) -> None:
    assert contents.objects(value) == []


@pytest.mark.parametrize("size", [1, 100_000, 256 * 1024, 3_000_000])
@pytest.mark.parametrize("letter", ["a", "é", "🚀"])
def test_an_item_is_written_in_pieces_as_at_once(size: int, letter: str) -> None:
    item = {"role": "user", "content": [{"text": letter * 10}, {"text": "a" * size + letter}]}
    writing = contents.write_in_pieces(item)
    while True:
        try:
            next(writing)
        except StopIteration as end:
            written = end.value
            break

    assert written == jsontext.dumps(item).decode()
