"""Decoding in pieces equals decoding at once: the same values, and the same errors."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.wire import json_pieces, json_windows, jsontext

SLICES = st.sampled_from([24, 27, 32, 48])  # bytes; a pair of escapes is not divided

TEXTS = st.sampled_from(
    [
        "",
        "a",
        "é",
        "😀",
        'q"\\',
        "\\" * 7,
        "x" * 59,
        "\u4e2d" * 25,
        "😀" * 20,
        "a\n" * 20,
    ]
)
VALUES = st.recursive(
    st.sampled_from([1, 0.5, -7, True, None]) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["a", "b", "", 'k"', "k\\", "é"]), inner, max_size=5)
    ),
    max_leaves=40,
)
MISTAKES = st.sampled_from(
    [
        *(b'{ } [ ] , : " \\ 1 u NaN 1e999 ,, "a":1, "a" \\ud83d \\ude00 \\u12'.split()),
        *(b" ", b"\n", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\x00", b"  ,  "),
    ]
)


def outcome(decode: Any) -> tuple[str, Any]:
    """What decoding returns, with the order of keys, or its error."""
    try:
        return "value", jsontext.dumps(decode())
    except ValueError as exc:
        return "error", str(exc)


def finish(pieces: Generator[bool, None, Any]) -> Any:
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            return end.value


def in_pieces(text: bytes, size: int) -> tuple[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_windows, "SLICE", size)
        return outcome(lambda: finish(json_pieces.loads_in_pieces(text)))


@given(st.lists(VALUES, max_size=6) | VALUES, SLICES, st.booleans(), st.booleans())
@settings(max_examples=300)
def test_values_are_those_of_the_whole_text(
    value: Any, size: int, escaped: bool, indented: bool
) -> None:
    text = json.dumps(value, ensure_ascii=escaped, indent=1 if indented else None).encode()

    assert in_pieces(text, size) == ("value", jsontext.dumps(value))


@given(
    st.lists(VALUES, max_size=6) | VALUES,
    SLICES,
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 3), MISTAKES), max_size=3),
)
@settings(max_examples=600)
def test_errors_are_those_of_the_whole_text(
    value: Any, size: int, escaped: bool, edits: list[tuple[int, int, bytes]]
) -> None:
    text = json.dumps(value, ensure_ascii=escaped).encode()
    for place, removed, added in edits:
        at = place % (len(text) + 1)
        text = text[:at] + added + text[at + removed :]

    assert in_pieces(text, size) == outcome(lambda: jsontext.loads(text))


LONG = "x" * 100
BROKEN = {
    "space alone": b" \n" * 100,
    "space before no value": b" " * 200 + b"]",
    "nothing": b"",
    "two byte-order marks": jsontext.BYTE_ORDER_MARK * 2 + b"[]",
    "spaces": b" " * 100,
    "cut in a long string": f'["{LONG}'.encode(),
    "cut in an escape": f'["{LONG}\\'.encode(),
    "a control character in a long string": f'["{LONG}\n{LONG}"]'.encode(),
    "an unknown escape in a long string": f'["{LONG}\\x{LONG}"]'.encode(),
    "text behind a long string": f'"{LONG}" "{LONG}"'.encode(),
    "a long string in place of a comma": f'[1 "{LONG}"]'.encode(),
    "a long string without its colon": f'{{"a" "{LONG}"}}'.encode(),
    "no commas at all": b"[" + b'"a" ' * 200 + b"]",
    "two commas": b'[[1],\n "\xc3\xa9" , , ' + b"[1]," * 50 + b"1]",
    "a comma before a bracket": b"[" + b"[1]," * 50 + b"]",
    "another bracket": b'[{"a": [1,' + b"[1]," * 50 + b"2}]",
    "one bracket more": b"[" + b"[1]," * 50 + b"2]]",
    "two lists": b"[1, 1, 1, 1, 1, 1, 1] [" + b"1," * 50 + b"1]",
    "a list and a long text": b'[1, 1, 1, 1, 1, 1, 1] "' + b"1" * 50 + b'"',
    "two values": b"[" + b"[1]," * 50 + b"2], 3",
    "too deep": b"[1," * 1025 + b"1" + b"]" * 1025,
    "too deep in one piece": b"[1,1,1,1,1,1,1,1,1," + b"[" * 1024 + b"]" * 1024 + b"]",
    "infinite": b'{"a": [' + b"1," * 50 + b"1e310]}",
    "invalid UTF-8 behind another error": b"[,[" + b"1," * 50 + b'"\xff"]',
    "invalid UTF-8 in a long string": b'["' + b"\xc3\xa9" * 50 + b"\xc3" * 9 + b'"]',
    "half of a pair, then an error": b'["' + b"\\ud83d" * 30 + b'",,]',
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("size", [24, 27, 33])
def test_error_of_broken_text(text: bytes, size: int) -> None:
    found = in_pieces(text, size)

    assert found[0] == "error"
    assert found == outcome(lambda: jsontext.loads(text))


SOUND = {
    "space before the value": b" \n" * 100 + b'{"a": 1}',
    "space before a text": b"\t " * 100 + b'"a"',
    "space behind the value": b'{"a": 1}' + b" " * 200,
    "duplicate keys": b'{"a": [1,2], "b": {"c": 1, "c": [' + b"1," * 50 + b'2]}, "a": 3, "b": 1}',
    "a duplicate of what is open": b'{"a": {"b": [' + b"1," * 50 + b'1], "b": 2}}',
    "an empty key": b'{"": [' + b"1," * 50 + b'1], "x": {"": {"": "' + b"y" * 90 + b'"}}}',
    "a long key": b'{"a": 1, "' + b"k" * 200 + b'": {"b": "' + b"v" * 200 + b'"}}',
    "an escaped quote in a key": b'{"a\\"b\\\\": [' + b"1," * 50 + b"1]}",
    "a byte-order mark": jsontext.BYTE_ORDER_MARK + b'["' + b"a" * 200 + b'"]',
    "halves of pairs": b'["' + b"\\ude00\\ud83d" * 20 + b'"]',
    "pairs": b'["' + b"\\ud83d\\ude00" * 30 + b'", "' + b"\\uD83D\\uDE00" * 30 + b'"]',
    "a long text alone": b' "' + b"\\\\" * 99 + b'" ',
    "as deep as possible": b"[1," * 1024 + b"1" + b"]" * 1024,
    "much space": b"[1," + b" " * 500 + b"2" + b"\n" * 500 + b"]",
    "a long number": b"[1," + b"1" * 300 + b", 2]",
}


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND)
@pytest.mark.parametrize("size", [24, 27, 33])
def test_value_of_unusual_text(text: bytes, size: int) -> None:
    found = in_pieces(text, size)

    assert found[0] == "value"
    assert found == outcome(lambda: jsontext.loads(text))


def test_too_many_values_are_refused_before_anything_is_decoded() -> None:
    text = b"[[" + b"1," * jsontext.MAX_VALUES + b'\xff"'

    assert outcome(lambda: finish(json_pieces.loads_in_pieces(text))) == (
        "error",
        "it has more than 1,000,000 values",
    )


def test_a_large_text_is_decoded_with_pauses() -> None:
    text = orjson.dumps({"messages": [{"role": "user", "content": "hello"}] * 10_000})

    pauses = sum(1 for _ in json_pieces.loads_in_pieces(text))

    assert pauses >= len(text) // json_windows.SLICE


def test_leftovers_have_all_members_in_small_containers() -> None:
    entries: list[Any] = [{"role": "user", "content": "hello"} for _ in range(5_000)]
    text = orjson.dumps({"model": "m", "messages": entries, "metadata": {"a": {"b": 1}}})
    leftovers: list[Any] = []

    value = finish(json_pieces.loads_in_pieces(text, leftovers))

    left = {id(entry) for each in leftovers if isinstance(each, list) for entry in each}
    assert left == set(map(id, value["messages"]))
    assert max(map(len, leftovers)) < 1_500
