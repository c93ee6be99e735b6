"""Decoding in pieces equals decoding at once: the same values, and the same errors."""

from __future__ import annotations

import json
import tracemalloc
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
        *(b" " * 30, b"\n" * 80, b" ", b"\n", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\x00", b"  ,  "),
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
        patch.setattr(json_windows, "MIN_SPACE", 20)
        patch.setattr(json_windows, "MAX_SPACE", 30)
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
    "text behind a text and much space": '"é"'.encode() + b" \n" * 200 + b"x",
    "text behind much space": b'["a"]' + b" \n" * 200 + b"x",
    "another error behind much space": b'{"a":' + b" " * 90 + b"\n" * 90 + b"1" + b" " * 90 + b"x}",
    "a wrong bracket behind much space": b"[{" + b" " * 90 + b"]" + b" " * 90,
    "a comma behind a bracket and space": b"[" + b" " * 90 + b"," + b" " * 90 + b"1]",
    "a comma before a bracket and space": b"[[1]," + b" " * 90 + b"]" + b" " * 90,
    "a bracket too much": b"[" * 60 + b"]" * 61,
    "nothing closed": b"[" * 60,
    "an object's bracket behind much space": b'["a", [' + b" " * 90 + b"}" + b" " * 90 + b"]",
    "a name without value": b'{"a": {"b": {"' + b"n" * 90 + b'"' + b" " * 90 + b"}}}",
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
    "nested names": (b'{"' + b"n" * 50 + b'": ') * 30 + b"[ ]" + b"}" * 30,
    "nested lists": b"[" * 200 + b"1" + b"]" * 200,
    "empty containers": b"[ " + b" " * 90 + b"{ " + b" " * 90 + b"}" + b" " * 90 + b"]",
    "space everywhere": b'{"a": [1, {"b": "c"}], "d": {}}'.replace(b" ", b"")
    .translate(None)
    .replace(b":", b" " * 90 + b":" + b"\n" * 90)
    .replace(b",", b"\t" * 90 + b"," + b" " * 90)
    .replace(b"}", b" " * 90 + b"}" + b" " * 90),
    "a key of space": b'{"a": {"' + b" " * 300 + b'": 1}}',
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


@pytest.mark.parametrize(
    ("character", "size"), [("x", 1), ("é", 1), ("\u4e2d", 2), ("\U0001f600", 4)]
)
def test_a_large_string_is_in_memory_once(character: str, size: int) -> None:
    """To join the pieces of 10 MB with emojis at their end held the loop for 20 ms."""
    text = orjson.dumps([character * (100 * json_windows.SLICE)])

    tracemalloc.start()
    value = finish(json_pieces.loads_in_pieces(text))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert value == orjson.loads(text)
    assert peak < 1.5 * size * len(value[0])


def test_a_large_text_is_decoded_with_pauses() -> None:
    text = orjson.dumps({"messages": [{"role": "user", "content": "hello"}] * 10_000})

    pauses = sum(1 for _ in json_pieces.loads_in_pieces(text))

    assert pauses >= len(text) // json_windows.SLICE


def test_long_texts_are_left_one_by_one() -> None:
    """To free each of them takes 4 ms of 60 MB; together they held the loop for 12 ms."""
    text = b'{"a":["b","%b"]}' % (b"c" * 1_000_001)
    leftovers: list[Any] = []

    value = finish(json_pieces.loads_in_pieces(text, leftovers))

    long = [each for each in leftovers if isinstance(each, (bytes, str))]
    assert (long[0] is text, long[1] is value["a"][1], len(long)) == (True, True, 2)


def test_leftovers_have_all_members_in_small_containers() -> None:
    entries: list[Any] = [{"role": "user", "content": "hello"} for _ in range(5_000)]
    text = orjson.dumps({"model": "m", "messages": entries, "metadata": {"a": {"b": 1}}})
    leftovers: list[Any] = []

    value = finish(json_pieces.loads_in_pieces(text, leftovers))

    left = {id(entry) for each in leftovers if isinstance(each, list) for entry in each}
    assert left == set(map(id, value["messages"]))
    assert max(map(len, leftovers)) < 1_500


# --- What is refused ------------------------------------------------------------------------------

REFUSED = "a number or the name of a member has more than 131,072 bytes: line "


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b'{"a": 1, "%b": 2}', "1 column 10 (char 9)"),
        (b'{"a": {"b": {"%b": 2}}}', "1 column 14 (char 13)"),
        (b'{"a": 1, "b": %b, "c": "d"}', "1 column 15 (char 14)"),
        (b'{"a": -%b}', "1 column 7 (char 6)"),
        (b"%b", "1 column 1 (char 0)"),
        (
            b'{"\xc3\xa9": "' + b"v" * 99_999 + b'",\n"%b": 1}',
            "2 column 1 (char 100009)",
        ),
        (b'{"a":' + b" " * 99_999 + b'"b", "%b": 1}', "1 column 100010 (char 100009)"),
    ],
)
def test_a_long_name_or_number_is_refused(text: bytes, place: str) -> None:
    long = text % (b"0." + b"1" * json_windows.MAX_UNDIVIDED)
    allowed = text % (b"0." + b"1" * (json_windows.MAX_UNDIVIDED - 3))

    error = outcome(lambda: finish(json_pieces.loads_in_pieces(long)))
    assert error == ("error", REFUSED + place)
    decoded = outcome(lambda: finish(json_pieces.loads_in_pieces(allowed)))
    assert decoded == outcome(lambda: jsontext.loads(allowed))


@given(
    st.lists(VALUES, max_size=6) | VALUES,
    SLICES,
    st.booleans(),
    st.sampled_from([60, 100, 200]),
)
@settings(max_examples=300)
def test_only_long_names_and_numbers_are_refused(
    value: Any, size: int, escaped: bool, most: int
) -> None:
    value = [value, {"n" * 70: {"m" * 150: 10**110}}, value]
    text = json.dumps(value, ensure_ascii=escaped).encode()
    longest = max(152 if most < 152 else 0, 111)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_windows, "MAX_UNDIVIDED", most)
        found = in_pieces(text, size)

    if longest > most:
        assert found[0] == "error"
        assert "the name of a member has more than" in found[1]
    else:
        assert found == outcome(lambda: jsontext.loads(text))


@pytest.mark.parametrize("size", [24, 100])
def test_an_object_with_too_many_members_is_refused(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_pieces, "MAX_MEMBERS", 50)
    most = json.dumps({"a": {str(number): number for number in range(50)}, "b": [1] * 90}).encode()
    more = json.dumps({"a": {str(number): number for number in range(51)}, "b": [1] * 90}).encode()

    assert in_pieces(most, size)[0] == "value"
    assert in_pieces(more, size) == ("error", "an object has more than 50 members")


def test_a_piece_that_gives_an_object_more_room_is_done_alone() -> None:
    """It takes 4 ms to make room for more members than 87,381."""
    number = json_pieces.MAX_FAST_GROWTH
    small = json.dumps({str(each): each for each in range(number)}).encode()
    large = json.dumps({"a": {str(each): each for each in range(2 * number)}}).encode()

    assert True not in list(json_pieces.loads_in_pieces(small))
    assert list(json_pieces.loads_in_pieces(large)).count(True) > 5


# --- Pieces ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,' + b" " * 4_000_000 + b'"b":2}',
        b" \n" * 2_000_000 + b"{}",
        b"{}" + b" " * 4_000_000,
        b" " * 4_000_000,
        b'{"a":' + b" " * 2_000_000 + b'"b"' + b" " * 2_000_000 + b"}",
        (b'{"' + b"n" * 20_000 + b'":') * 200 + b"1" + b"}" * 200,
        b'{"a":"' + b"a" * 4_000_000 + b'"}',
        b'{"' + b"n" * 4_000_000 + b'":1}',
        b'{"n":0.' + b"1" * 4_000_000 + b"}",
    ],
    ids=["space", "before", "behind", "alone", "around", "names", "text", "name", "number"],
)
def test_no_piece_is_long(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """10 MB of space, of a name or of a number held the loop for 30 to 90 ms."""
    decoded: list[int] = []
    loads = orjson.loads

    def recorded(piece: bytes) -> Any:
        decoded.append(len(piece))
        return loads(piece)

    monkeypatch.setattr(orjson, "loads", recorded)
    outcome(lambda: finish(json_pieces.loads_in_pieces(text)))

    assert 0 < max(decoded) < 3 * json_windows.MAX_UNDIVIDED
