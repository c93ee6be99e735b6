"""Headers that are set on a reply."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import Headers, Reply
from mockllm.http1.framing import frames
from mockllm.replies import headers as headers_of
from mockllm.replies.headers import HeaderLines, join_headers, replace_lines, set_headers

NAMES = st.sampled_from([b"a", b"b", b"c", b"d"])
VALUES = st.sampled_from([b"1", b"2"])


def reply(headers: Headers) -> Reply:
    return Reply.whole(200, headers, b"{}")


def test_a_header_is_replaced_in_its_place_and_a_new_one_comes_last() -> None:
    old: Headers = ((b"a", b"1"), (b"b", b"1"), (b"a", b"2"))

    changed = set_headers(reply(old), ((b"c", b"3"), (b"a", b"3")))

    assert changed == reply(((b"a", b"3"), (b"b", b"1"), (b"c", b"3")))


def test_no_headers_change_nothing() -> None:
    one = reply(((b"a", b"1"),))

    assert set_headers(one, ()) is one


@given(st.lists(st.tuples(NAMES, VALUES)).map(tuple), st.dictionaries(NAMES, VALUES))
def test_every_header_is_set_once_and_the_others_stay(
    old: Headers, new: dict[bytes, bytes]
) -> None:
    headers = set_headers(reply(old), tuple(new.items())).headers

    assert [each for each in headers if each[0] not in new] == [
        each for each in old if each[0] not in new
    ]
    assert sorted(each for each in headers if each[0] in new) == sorted(new.items())


@given(st.lists(st.dictionaries(NAMES, VALUES)))
def test_of_headers_set_in_several_places_the_last_count(places: list[dict[bytes, bytes]]) -> None:
    expected: dict[bytes, bytes] = {}
    for place in places:
        expected |= place

    assert join_headers(*(tuple(each.items()) for each in places)) == tuple(expected.items())


@given(
    st.lists(st.tuples(NAMES, VALUES), unique=True).map(tuple),
    st.dictionaries(st.tuples(NAMES, VALUES), st.sampled_from([b"", b"long", b"3"])),
    st.binary(max_size=40) | st.just(b"\r\na: 1\r\n\r\na: 1\r\n"),
)
def test_lines_are_replaced_in_bytes_as_in_a_reply(
    headers: Headers, values: dict[tuple[bytes, bytes], bytes], body: bytes
) -> None:
    lines = {line: (line[0], value) for line, value in values.items()}
    old = Reply.whole(200, headers, body)
    new = Reply.whole(200, tuple(lines.get(line, line) for line in headers), body)

    def written(one: Reply) -> bytes:
        return b"".join(frame.data for frame in frames(one))

    assert replace_lines(written(old), lines) == written(new)


@given(
    st.lists(st.tuples(NAMES, VALUES), unique=True).map(tuple),
    st.lists(st.lists(st.tuples(NAMES, VALUES)).map(tuple), max_size=3),
)
def test_lines_are_replaced_in_one_reply_after_the_other(
    lines: Headers, lists: list[Headers]
) -> None:
    one = HeaderLines(lines)
    for round_ in range(3):
        values = [b"%d.%d" % (round_, number) for number in range(len(lines))]
        new = dict(zip(lines, values, strict=True))
        for headers in lists:
            changed = one.replace(reply(headers), values)

            expected = [(line[0], new.get(line, line[1])) for line in headers]
            assert changed == reply(tuple(expected))


def test_the_places_of_lines_are_kept_in_few_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers_of, "MAX_LISTS", 2)
    lines = HeaderLines(((b"a", b"1"),))
    for number in range(9):
        old = reply(((b"b", b"%d" % number), (b"a", b"1")))
        assert lines.replace(old, [b"2"]).headers == ((b"b", b"%d" % number), (b"a", b"2"))
        assert len(lines._places) <= 2
