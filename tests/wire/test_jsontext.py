"""Reading, writing and comparing JSON texts."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mockllm.wire import jsontext

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-3, 3).map(float),
    st.sampled_from([-0.0, 2.0**53, 2**53 + 1, 2.0**63, 2**63, -(2.0**63), 2.0**64, 1e300]),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def nested(levels: int, *, keyed: bool = False) -> Any:
    """A value of so many levels."""
    value: Any = 1.0
    for _ in range(levels):
        value = {"b": value, "a": 0} if keyed else [value]
    return value


def same(one: Any, other: Any) -> bool:
    """True if two JSON values are the same value: the plain comparison that canonical bytes
    replace."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@st.composite
def respelled(draw: st.DrawFn, value: Any) -> Any:
    """The same value: keys in another order, whole numbers as floats or back."""
    match value:
        case dict():
            keys = draw(st.permutations(list(value)))
            return {key: draw(respelled(value[key])) for key in keys}
        case list():
            return [draw(respelled(member)) for member in value]
        case bool():
            return value
        case int() if float(value) == value and draw(st.booleans()):
            return float(value)
        case float() if value.is_integer() and -(2.0**63) <= value < 2.0**64:
            return draw(st.sampled_from([value, int(value)]))
        case _:
            return value


def mended(text: bytes) -> Any:
    """The value that Python's decoder reads, with U+FFFD for every lone surrogate."""
    return re.sub("[\ud800-\udfff]", "\ufffd", json.loads(text))


# --- reading ---------------------------------------------------------------------------------


def count(value: Any) -> int:
    """The values of a JSON value, itself and what is empty included once more."""
    match value:
        case dict() | list():
            members = value.values() if isinstance(value, dict) else value
            return 1 + (sum(map(count, members)) or 1)
        case _:
            return 1


HOSTILE_TEXTS = st.text('",[{}]:\\aé', max_size=8)


@given(
    st.recursive(
        HOSTILE_TEXTS | st.integers(0, 9),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(HOSTILE_TEXTS, inner, max_size=3)
        ),
    ),
    st.integers(0, 12),
    st.sampled_from([2, 3, 7, 1024]),
)
def test_a_text_of_too_many_values_is_refused(value: Any, most: int, piece: int) -> None:
    text = orjson.dumps(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsontext, "_PIECE", piece)
        if count(value) <= most:
            assert jsontext.loads(text, max_values=most) == value
        else:
            with pytest.raises(ValueError, match=f"^it has more than {most} values$"):
                jsontext.loads(text, max_values=most)
    assert jsontext.loads(text, max_values=None) == value


@pytest.mark.parametrize("text", ["[" + "[]," * 20_000 + "[]]", "[" + "{}," * 20_000 + "{}]"])
def test_a_text_with_as_many_values_as_fit_in_it_is_refused(text: str) -> None:
    """The shortest texts that have too many: their values are not counted if they are shorter."""
    encoded = text.encode()
    counted = count(orjson.loads(encoded))

    jsontext.loads(encoded, max_values=counted)
    with pytest.raises(ValueError, match="it has more than"):
        jsontext.loads(encoded, max_values=counted - 1)


@pytest.mark.parametrize("levels", [jsontext.MAX_LEVELS, jsontext.MAX_LEVELS + 1])
def test_lists_are_nested_to_the_maximum(levels: int) -> None:
    text = b"[" * levels + b"]" * levels
    if levels <= jsontext.MAX_LEVELS:
        assert jsontext.loads(text)
    else:
        with pytest.raises(ValueError, match=r"recursion|depth|nest"):
            jsontext.loads(text)


def test_a_long_text_is_one_value() -> None:
    text = orjson.dumps(['"{[,' * 1_000_000])

    assert jsontext.loads(text) == ['"{[,' * 1_000_000]


def test_byte_order_mark_is_skipped() -> None:
    assert jsontext.loads(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


def test_last_duplicate_key_counts() -> None:
    assert jsontext.loads(b'{"a":1,"b":2,"a":3}') == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[1,]",
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"{} {}",
        b'"\xff"',
        b'"\xed\xa0\x80"',  # a surrogate as three bytes
        b'"\\ud800',
        b'"\\ud80"',
        b'"\\ud800\xff"',
        b"[" * 1025 + b"]" * 1025,
        b"\xef\xbb\xbf\xef\xbb\xbf1",
    ],
)
def test_invalid_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"line \d+ column \d+|empty|UTF-8|end of"):
        jsontext.loads(text)


@pytest.mark.parametrize("lone", [rb"\ud800", rb"\uDBFF", rb"\udc00", rb"\uDfFf", rb"\uD83d"])
def test_a_lone_surrogate_is_replaced_at_every_position(lone: bytes) -> None:
    around = [b"a", rb"\\", rb"\"", rb"\u0041", rb"\ud83d\ude00", "é😀".encode(), rb"\\ud800"]

    for position in range(len(around) + 1):
        text = b'"' + b"".join([*around[:position], lone, *around[position:]]) + b'"'
        assert jsontext.loads(text) == mended(text)
        assert "\ufffd" in jsontext.loads(text)


@given(
    st.lists(
        st.sampled_from(
            [
                *(rb"\ud83d", rb"\ude00", rb"\uD83D", rb"\uDE00", rb"\ufffd"),
                *(rb"\\", rb"\"", rb"\n", rb"\u005c", b"ud83d", b"u", b"D800"),
                *("é".encode(), "😀".encode()),
            ]
        ),
        max_size=8,
    )
)
@settings(deadline=None)
def test_surrogates_are_replaced_as_by_a_plain_decoder(units: list[bytes]) -> None:
    text = b'"' + b"".join(units) + b'"'

    assert jsontext.loads(text) == mended(text)
    assert jsontext.loads(b"{" + text + b":[" + text + b"]}") == {mended(text): [mended(text)]}


# --- writing ---------------------------------------------------------------------------------


@given(VALUES)
@example({"\u2028": "\u0085\u2029\r\n\x0b\x0c\x1c\x1d\x1e"})
@settings(deadline=None)
def test_written_json_is_one_line_and_reads_back(value: Any) -> None:
    text = jsontext.dumps(value)

    assert same(orjson.loads(text), value)
    assert len(text.decode().splitlines()) == 1


def test_separators_are_escaped_and_all_else_is_compact() -> None:
    written = jsontext.dumps({"é": ["\u2028\u2029\u0085", 1.0, None]})

    assert written == b'{"\xc3\xa9":["\\u2028\\u2029\\u0085",1.0,null]}'


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("levels", [254, 255, 500, 1024])
def test_any_value_that_can_be_read_can_be_written(levels: int, keyed: bool) -> None:
    value = nested(levels, keyed=keyed)
    text = jsontext.dumps(value)

    assert text.count(b"[" if not keyed else b"{") >= levels
    assert jsontext.dumps(jsontext.loads(text)) == text


def test_a_deep_value_keeps_its_placeholders_and_escaped_separators() -> None:
    value = [orjson.Fragment(b"\xff\xff"), "\u2028", nested(300)]

    assert jsontext.dumps(value).startswith(b'[\xff\xff,"\\u2028",[[[')


def test_values_outside_json_are_refused() -> None:
    with pytest.raises(TypeError):
        jsontext.dumps({"a": object()})


# --- comparing -------------------------------------------------------------------------------


@given(st.data(), VALUES)
@settings(deadline=None)
def test_a_respelled_value_has_the_same_canonical_bytes(data: st.DataObject, value: Any) -> None:
    other = data.draw(respelled(value))

    assert same(value, other)
    assert jsontext.canonical(value) == jsontext.canonical(other)


@given(st.lists(SCALARS | st.lists(SCALARS, max_size=2), max_size=6))
@example([True, 1, 1.0, "1", [1], [True]])
@example([False, 0, 0.0, -0.0, None, "", [], {}])
@example([2**53, 2**53 + 1, 2.0**53])
@example([2**63, 2.0**63, 2.0**64, 2**64 - 1])
@settings(deadline=None)
def test_canonical_bytes_are_equal_if_and_only_if_the_values_are(values: list[Any]) -> None:
    for one in values:
        for other in values:
            equal = jsontext.canonical(one) == jsontext.canonical(other)
            assert equal == same(one, other), (one, other)


@given(VALUES)
@settings(deadline=None)
def test_the_encoder_of_deep_values_equals_orjson(value: Any) -> None:
    deep = [nested(255), value]

    assert jsontext.canonical(deep).endswith(b"," + jsontext.canonical(value) + b"]")
    assert jsontext.dumps(deep).endswith(b"," + jsontext.dumps(value) + b"]")


@pytest.mark.parametrize("levels", [254, 255, 500, 1024])
def test_deep_values_can_be_compared(levels: int) -> None:
    value = nested(levels, keyed=True)
    other = jsontext.loads(jsontext.dumps(value).replace(b"1.0", b"1"))
    different = jsontext.loads(jsontext.dumps(value).replace(b"1.0", b"true"))

    assert jsontext.canonical(value) == jsontext.canonical(other)
    assert jsontext.canonical(value) != jsontext.canonical(different)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "a boolean"),
        (0, "a number"),
        (0.5, "a number"),
        ("", "a string"),
        ([], "a list"),
        ({}, "an object"),
    ],
)
def test_json_type_names_the_type_of_a_value(value: Any, kind: str) -> None:
    assert jsontext.json_type(value) == kind


@given(st.text(), st.text())
def test_the_fast_path_of_a_plain_message_equals_the_slow_one(role: str, content: str) -> None:
    message = {"role": role, "content": content}

    assert jsontext.canonical_text(role, content) == jsontext.canonical(message)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, "b", None, True, 1.5, {"c": []}]}, []),
        ([2**64, -(2**63) - 1], [[0], [1]]),
        ({"a": {"b": float("inf")}}, [["a", "b"]]),
        ({"a": {1: 2}}, [["a"]]),
        ({"a": "\ud800", "b": (object(),)}, [["a"], ["b", 0]]),
        (b"bytes", [[]]),
    ],
)
def test_values_that_json_cannot_represent_are_found(value: Any, expected: list[Any]) -> None:
    found = sorted(path for path, _ in jsontext.find_unserialisable(value))

    assert found == expected


# --- Sizes ----------------------------------------------------------------------------------------


@given(VALUES, st.integers(0, 30))
def test_a_value_that_is_longer_has_a_longer_canonical_form(value: Any, size: int) -> None:
    found = jsontext.is_longer(value, size)

    assert not found or len(jsontext.canonical(value)) > size
    assert found or not jsontext.has_many_values(value, size + 1)


@given(VALUES, st.integers(1, 10))
@example({"a": None, "b": [None, None]}, 4)
def test_values_are_many_from_a_number_on(value: Any, most: int) -> None:
    def count(value: Any) -> int:
        inner = value.values() if isinstance(value, dict) else value
        return 1 + (sum(map(count, inner)) if isinstance(value, (dict, list)) else 0)

    assert jsontext.has_many_values(value, most) is (count(value) > most)


@pytest.mark.parametrize(
    ("value", "levels", "expected"),
    [
        (1, 0, True),
        ([], 0, False),
        ({"a": [1]}, 2, True),
        ({"a": [[]]}, 2, False),
        ([{"a": [None]}, [[1]]], 3, True),
        ([{"a": [None]}, [[1]]], 2, False),
        (object(), 200, False),
    ],
)
def test_the_levels_of_a_value_are_counted(value: Any, levels: int, expected: bool) -> None:
    assert jsontext.is_shallow(value, levels) is expected
