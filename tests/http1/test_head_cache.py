"""Cached heads: each equals the head that h11 would parse."""

from __future__ import annotations

import gc
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import cycle

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mockllm.errors import HTTPError
from mockllm.http1 import head_cache
from mockllm.http1.connection import END_OF_HEAD
from mockllm.http1.head_cache import MAX_CACHED_HEAD, HeadCache
from mockllm.http1.heads import END, Head, parse
from mockllm.limits import MIB, Limits

REQUEST_LINES = [
    b"POST /v1/chat/completions HTTP/1.1",
    b"GET /health?a=1 HTTP/1.1",
    b"GET / HTTP/1.0",
]
NAMES = [b"Connection", b"X-Id", b"x-id", b"X-B"]
VALUES = [b"5", b"0", b"close", b"keep-alive", b"a b\tc", b"", b"req-1", b"req-2", b"x: y"]
LENGTHS = [b"Content-Length: 5", b"Content-Length: 12", b"content-length:0"]
ODD_LENGTHS = [
    *(b"Content-Length: +5", b"Content-Length: -5", b"Content-Length: 1_0", b"Content-Length: 5,5"),
    *(b"Content-Length: 0x5", b"Content-Length:\x0b5", b"Content-Length: 5\x85", b"Content-Length"),
    *(b"Content-Length : 5", b" Content-Length: 5", b"Content-Length: 5;", b"Content-Length: "),
    *(b"content-length: 05", b"Content-Length: " + b"9" * 16, b"Content-Length: \xc2\xb25"),
]

ODD_REQUEST_LINES = [
    *(b"GET  / HTTP/1.1", b"GET / HTTP/2.0", b"G\x00T / HTTP/1.1", b"GET /\xff HTTP/1.1"),
    *(b"", b" GET / HTTP/1.1", b"GET / HTTP/1.1 ", b"GET / HTTP/1.1\n", b"GET / HTTP/1.2"),
]
ODD_NAMES = [
    *(b"Transfer-Encoding", b"Expect", b"Upgrade", b"Content-Encoding", b"Host", b"content-length"),
    *(b"bad name", b" folded", b"\tfolded", b"", b"x\x00", b"X-Id\x0b", b"X-Id ", b"TE"),
]
ODD_VALUES = [
    *(b"05", b"+5", b"-5", b"1_0", b"5, 5", b"5;", b"\x0b5", b"5\x0c", b"5\x85", b"9" * 15),
    *(b"9" * 16, b"9" * 30, b"\xc2\xb25", b"chunked", b"gzip", b"100-continue", b"websocket"),
    *(b"\x01", b"\x7f", b"a\x0bb", b"caf\xc3\xa9", b"x\ny", b"x\ry", b"x\nX-B: 2", b"x\n y"),
    *(b"x\r\n y", b"x\r\n\ty", b"x\r\nX-B: 2", b"\r", b"close, keep-alive", b"h h", b"h@"),
]
COLONS = [b":", b": ", b":  \t"]
ODD_COLONS = [b" :", b"\t: ", b":\x0b", b"::", b""]

Lines = list[bytes]
Edit = Callable[[bytes], bytes]


def lines(
    names: Sequence[bytes], colons: Sequence[bytes], values: Sequence[bytes]
) -> st.SearchStrategy[bytes]:
    """Header lines made of these."""
    parts = map(st.sampled_from, (names, colons, values))
    return st.builds(lambda *each: b"".join(each), *parts)


def accepted_heads() -> st.SearchStrategy[Lines]:
    """The lines of a head as clients write it, now and then with a header twice."""
    return st.builds(
        lambda request_line, length, headers: [request_line, b"Host: h", *length, *headers],
        st.sampled_from(REQUEST_LINES),
        st.lists(st.sampled_from(LENGTHS), max_size=1),
        st.lists(lines(NAMES, COLONS, VALUES), max_size=4),
    )


def _with_rest(rest: bytes) -> Edit:
    return lambda line: line.partition(b":")[0] + rest


def _with_colon(colon: bytes) -> Edit:
    def replace(line: bytes) -> bytes:
        name, _, value = line.partition(b":")
        return name + colon + value

    return replace


def _instead(new: bytes) -> Edit:
    return lambda line: new


def _spliced(where: tuple[int, bytes]) -> Edit:
    at, inserted = where

    def splice(line: bytes) -> bytes:
        cut = at % (len(line) + 1)
        return line[:cut] + inserted + line[cut:]

    return splice


EDITS: st.SearchStrategy[Edit] = st.one_of(
    lines([b""], COLONS, VALUES).map(_with_rest),
    lines([b""], [b": "], [b"v%d" % number for number in range(50)]).map(_with_rest),
    lines([b""], [b": "], [b"%d" % number for number in range(50)]).map(_with_rest),
    st.sampled_from(LENGTHS).map(_instead),
    st.sampled_from(ODD_LENGTHS).map(_instead),
    lines([b""], COLONS, ODD_VALUES).map(_with_rest),
    st.sampled_from(ODD_COLONS).map(_with_colon),
    lines(NAMES + ODD_NAMES, COLONS + ODD_COLONS, VALUES + ODD_VALUES).map(_instead),
    st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=2)).map(_spliced),
)
"""Other lines in place of one, made once: to make a strategy takes longer than to draw from it."""


@st.composite
def mutated(draw: st.DrawFn, head: Lines) -> Lines:
    """The lines of another head: some new, some gone or twice, some as attackers write them."""
    head = list(head)
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(head) - 1))
        if at == 0:
            head[0] = draw(st.sampled_from(3 * REQUEST_LINES + ODD_REQUEST_LINES))
            continue
        new = draw(EDITS)(head[at])
        match draw(st.sampled_from(["replace", "replace", "insert", "repeat", "drop"])):
            case "replace":
                head[at] = new
            case "insert":
                head.insert(at, new)
            case "repeat":
                head.append(head[at])
            case "drop" if len(head) > 2:
                del head[at]
    return head


def joined(head: Lines, end: bytes = b"\r\n", last: bytes = END) -> bytes:
    """The bytes of a head, up to where a connection would cut them."""
    data = end.join(head) + last
    cut = END_OF_HEAD.search(data)
    assert cut is not None
    return data[: cut.end()]


@st.composite
def histories(draw: st.DrawFn) -> list[bytes]:
    """Heads in the order in which they come: some that h11 accepts, and then others like them."""
    taught = draw(st.lists(accepted_heads(), min_size=1, max_size=3))
    others = [draw(mutated(draw(st.sampled_from(taught)))) for _ in range(draw(st.integers(1, 5)))]
    ends = st.sampled_from([b"\r\n"] * 9 + [b"\n"])
    lasts = st.sampled_from([END] * 9 + [b"\n\r\n", b"\r\n\n", b"\n\n"])
    first = [joined(head) for head in taught]
    then = [joined(head, draw(ends), draw(lasts)) for head in (*others, *others)]
    return first + draw(st.permutations(then + first))


Outcome = Head | tuple[int, str]


def asked(data: bytes) -> Outcome:
    """The outcome of a head in h11."""
    try:
        return parse(data, Limits())
    except HTTPError as exc:
        return exc.status, exc.message


def recalled(memory: HeadCache, data: bytes, rest: bytes = b"") -> Outcome:
    """The outcome of a head that `rest` follows in a server: from its cache where possible."""
    found = memory.recall(data + rest)
    if found is not None:
        return found._replace(lines=found.headers)  # in one tuple
    try:
        return memory.read(data)
    except HTTPError as exc:
        return exc.status, exc.message


RESTS = [b"", b"{}", b"\r\n", END, b"X-Id: 5\r\n\r\n", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"]
"""What may follow a head."""


@settings(max_examples=1000)
@given(histories(), st.lists(st.sampled_from(RESTS), min_size=1))
@example(
    [
        b"GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX-A: 2\r\n 3\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX-A: 2\nX-A: 3\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-A: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX-A: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 12\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX-A\r\n\r\n",
    ],
    [b""],
)
@example(  # as many lines as headers, but not the same
    [
        b"GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\nX-B: 2\r\nX-C: 3\r\n 4\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX-C: 3\r\n\r\n",
    ],
    [b"{}"],
)
def test_a_cached_head_equals_that_of_h11(
    history: Sequence[bytes], following: Sequence[bytes]
) -> None:
    memory = HeadCache()
    sent = list(zip(history, cycle(following), strict=False))

    found = [recalled(memory, data, rest) for data, rest in sent]

    assert found == [asked(data) for data in history]


def way(memory: HeadCache, data: bytes) -> str:
    """The path that a head takes; call this before it is read."""
    if data in memory._whole:
        return "whole"
    if memory.recall(data) is not None:
        return "by lines"
    return "by h11" if isinstance(asked(data), Head) else "refused"


def test_generated_heads_take_every_path() -> None:
    """Many of what is compared must come from memory, or the comparison says nothing."""
    ways: Counter[str] = Counter()

    @settings(max_examples=200, derandomize=True, database=None)
    @given(histories())
    def count(history: list[bytes]) -> None:
        memory = HeadCache()
        for data in history:
            ways[way(memory, data)] += 1
            recalled(memory, data)

    count()
    shares = {name: number / ways.total() for name, number in ways.items()}
    assert shares.keys() == {"whole", "by lines", "by h11", "refused"}
    assert min(shares.values()) > 0.05, shares


def head(*lines: bytes) -> bytes:
    return b"\r\n".join((b"POST /p HTTP/1.1", b"Host: h", *lines)) + b"\r\n\r\n"


def known(*lines: bytes) -> HeadCache:
    """A memory that has seen one head."""
    memory = HeadCache()
    recalled(memory, head(*lines))
    return memory


def test_a_head_seen_before_is_recalled_whole() -> None:
    memory = known(b"X-Id: 1")

    assert memory._whole.get(head(b"X-Id: 1")) == asked(head(b"X-Id: 1"))


def test_a_new_value_of_a_known_name_needs_no_h11(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = known(b"X-Id: 1", b"Content-Length: 0")
    expected = asked(head(b"Content-Length: 12", b"X-Id: 00-4bf92f3577b34da6-01"))
    monkeypatch.setattr(head_cache, "parse", None)

    found = memory.recall(head(b"Content-Length: 12", b"X-Id: 00-4bf92f3577b34da6-01"))

    assert found == expected


@pytest.mark.parametrize(
    "line",
    [
        b"X-New: 1",
        b"x-id: 2",  # spelled as h11 has not seen it
        b"X-Id: caf\xc3\xa9",
        b"X-Id: \x00",
        b"X-Id : 2",
        b" X-Id: 2",
        *ODD_LENGTHS,
    ],
)
def test_any_other_head_is_parsed_by_h11(line: bytes) -> None:
    memory = known(b"X-Id: 1", b"Content-Length: 0")

    assert memory.recall(head(line)) is None


@pytest.mark.parametrize(
    "line",
    [
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
        b"Upgrade: websocket",
        b"Content-Encoding: gzip",
        b"X-Long: " + b"a" * MAX_CACHED_HEAD,
    ],
)
def test_an_unusual_head_is_never_remembered(line: bytes) -> None:
    memory = known(line)

    assert memory.recall(head(line)) is None


def test_a_head_recalled_by_its_lines_twice_is_cached_whole() -> None:
    memory = known(b"X-Id: 1")

    seen = []
    for _ in range(2):
        memory.recall(head(b"X-Id: 2"))
        seen.append(head(b"X-Id: 2") in memory._whole)

    assert seen == [False, True]


@pytest.mark.parametrize(
    "lines",
    [
        (b"X-A: 1", b"X-A: 2"),
        (b"Cookie: a=" + b"b" * 5_000,),
        (b"Connection: keep-alive", b"X-A: 1", b"x-a: 2"),
    ],
)
def test_a_head_with_a_header_twice_or_a_long_one_is_remembered(lines: tuple[bytes, ...]) -> None:
    memory = known(*lines)
    others = [line.replace(b"1", b"7").replace(b"2", b"8") for line in lines]

    for data in (head(*lines), head(*others)):
        assert memory.recall(data) == asked(data)


def test_a_head_with_too_many_headers_is_left_to_h11() -> None:
    memory = HeadCache(Limits(headers=3))
    memory.read(head(b"X-A: 1", b"X-B: 1"))

    assert memory.recall(head(b"X-A: 1", b"X-B: 2")) is not None
    assert memory.recall(head(b"X-A: 1", b"X-B: 2", b"X-A: 3")) is None


def test_a_head_that_is_too_large_is_not_recalled() -> None:
    memory = HeadCache(Limits(head=len(with_ids(1)) + 100))
    for number in range(3):
        memory.read(with_ids(number))

    for shaped in (True, False):
        assert memory.recall(with_ids(10**50)) is not None
        assert memory.recall(with_ids(10**100)) is None
        if shaped:
            memory._shapes.clear()


KINDS_OF_HEADS = {
    "new values": lambda number: head(b"X-Id: %d" % number),
    "new names": lambda number: head(b"X-%d: 1" % number),
    "new long lines": lambda number: head(b"X-Id: %d" % number, b"X-A: " + b"%08d" % number * 400),
    "many headers": lambda number: head(*(b"a%d:%d" % (each, number) for each in range(95))),
    "new targets": lambda number: b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number,
    "new hosts": lambda number: b"GET / HTTP/1.1\r\nHost: h%d\r\n\r\n" % number,
    "long lists": lambda number: head(b"Connection: " + b",".join([b"a%d" % number] * 700)),
}


@pytest.mark.parametrize("kind", KINDS_OF_HEADS)
def test_a_client_that_never_repeats_a_head_uses_bounded_memory(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a hundredth of the bounds, and as many heads as would pass them several times."""
    monkeypatch.setattr(head_cache, "MAX_HEADS_SIZE", head_cache.MAX_HEADS_SIZE // 100)
    monkeypatch.setattr(head_cache, "MAX_PARTS_SIZE", head_cache.MAX_PARTS_SIZE // 100)
    monkeypatch.setattr(head_cache, "MAX_SEEN", head_cache.MAX_SEEN // 100)
    memory = HeadCache()
    for number in range(20):
        recalled(memory, KINDS_OF_HEADS[kind](number))  # what is made once is made now
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(20, 1_000):
            for _ in range(2):
                recalled(memory, KINDS_OF_HEADS[kind](number))
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert grown < MIB // 2


def test_nothing_is_cached_when_reuse_is_off() -> None:
    memory = HeadCache(reuse=False)

    memory.read(head(b"X-Id: 1"))

    assert memory.recall(head(b"X-Id: 1")) is None


SHARED = [b"Accept: */*", b"X-B: b", b"Authorization: Bearer any", b"Connection: keep-alive"]


@st.composite
def alike(draw: st.DrawFn) -> list[bytes]:
    """Heads that differ in the values of the same lines, then some with other values, or other
    lines in the place of these."""
    value = st.sampled_from(VALUES[-6:])
    names = draw(st.sampled_from([[b"X-Id"], [b"X-Id", b"X-Trace"], [b"X-Id", b"Content-Length"]]))
    around = draw(st.permutations([b"Host: h", *SHARED]))
    at = draw(st.integers(0, len(around)))
    request_line = draw(st.sampled_from(REQUEST_LINES))

    def head(others: list[bytes]) -> bytes:
        return joined([request_line, *around[:at], *others, *around[at:]])

    def others(value: st.SearchStrategy[bytes], colon: bytes = b": ") -> list[bytes]:
        number = st.sampled_from([b"5", b"12", b"0"])
        lengths = st.one_of(number, value) if colon != b": " else number
        return [name + colon + draw(lengths if name[:1] == b"C" else value) for name in names]

    taught = [head(others(value)) for _ in range(4)]
    odd = st.sampled_from(VALUES + ODD_VALUES)
    strange = [head(others(odd, draw(st.sampled_from(COLONS + ODD_COLONS)))) for _ in range(4)]
    mutants = [joined(draw(mutated([request_line, *around[:at], *others(odd), *around[at:]])))]
    return taught + draw(st.permutations(strange + mutants + taught))


@settings(max_examples=300)
@given(alike(), st.sampled_from(RESTS))
def test_a_head_that_differs_where_others_did_equals_that_of_h11(
    history: list[bytes], rest: bytes
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(head_cache, "HEADS_PER_SHAPE", 1)
        memory = HeadCache()

        found = [recalled(memory, data, rest) for data in history]

        assert found == [asked(data) for data in history]


def with_ids(number: int) -> bytes:
    trace, length = b"X-Trace: t%d" % number, b"content-length: %d" % (number % 7)
    return joined([REQUEST_LINES[0], b"Host: h", *SHARED, b"X-Id: %d" % number, trace, length])


def test_of_heads_that_differ_in_a_place_only_this_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = HeadCache()
    for number in range(3):
        memory.read(with_ids(number))

    monkeypatch.setattr(memory, "_by_lines", None)

    assert recalled(memory, with_ids(12345)) == parse(with_ids(12345), Limits())


def test_few_shapes_are_kept_of_clients_that_change_them() -> None:
    memory = HeadCache()
    heads = [
        joined([REQUEST_LINES[0], b"Host: h", *SHARED, *(b"X-%d: %d" % (kind, each),)])
        for each in range(5)
        for kind in range(100)
        for _ in range(2)
    ]

    for number, data in enumerate(heads):
        memory.read(data.replace(b"b\r\n", b"b%d\r\n" % number))

    assert len(memory._shapes) <= head_cache.MAX_SHAPES


@pytest.mark.parametrize(
    "lines",
    [
        [b"Host: h%d"],
        [b"X-Id: %d", b"X-Id: 2"],
        [b"X-Id: %d", b"Content-Encoding: gzip"],
    ],
    ids=["a name with a grammar", "a name that occurs twice", "an unusual head"],
)
def test_heads_that_h11_must_see_whole_have_no_shape(lines: list[bytes]) -> None:
    memory = HeadCache()

    for number in range(5):
        filled = [line % number if b"%d" in line else line for line in lines]
        own = [] if lines[0].startswith(b"Host") else [b"Host: h"]
        memory.read(joined([REQUEST_LINES[0], *own, *SHARED, *filled]))

    assert memory._shapes == []
