"""Lines that wait to be written: their order, what is lost, and what tells so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.serve.pending_lines import OVERHEAD, PIPE_BUF, PendingLines

ENTRIES = st.integers(1, 3).flatmap(
    lambda count: st.sampled_from([b"a\n", b"bb\n"] * 2 + [b"c" * 70 + b"\n"]).map(
        lambda line: line * count
    )
)


def told(count: int) -> bytes:
    return b"%d lost\n" % count


def pending(limit: int = 3 * (OVERHEAD + 2)) -> PendingLines:
    return PendingLines(told, limit=limit)


def take(lines: PendingLines) -> bytes:
    """Everything that is to be written now."""
    taken = b""
    while piece := lines.piece():
        taken += piece
        lines.written(len(piece))
    return taken


def test_lines_are_written_in_order_and_together() -> None:
    lines = pending()
    for each in (b"1\n", b"2\n", b"3\n"):
        lines.put(each)
    assert lines.piece() == b"1\n2\n3\n"
    assert lines
    lines.written(6)
    assert (lines.piece(), bool(lines)) == (b"", False)


def test_a_piece_is_whole_entries_that_a_pipe_takes_at_once() -> None:
    lines = PendingLines(told)
    entry = b"x" * (PIPE_BUF // 2) + b"\n"
    for _ in range(2):
        lines.put(entry)
    lines.put(entry * 9)
    pieces = []
    while piece := lines.piece():
        pieces.append(piece)
        lines.written(len(piece))
    assert pieces == [entry, entry, entry * 9]


@pytest.mark.parametrize("count", range(1, 6))
def test_what_is_written_in_parts_is_written_once(count: int) -> None:
    lines = pending()
    lines.put(b"1234\n")
    taken = b""
    while piece := lines.piece():
        taken += piece[:count]
        lines.written(len(piece[:count]))
    assert taken == b"1234\n"


def test_lines_beyond_the_limit_are_lost_and_told_in_their_place() -> None:
    lines = pending()
    for each in (b"1\n", b"2\n", b"3\n", b"4\n", b"5\n"):
        lines.put(each)
    first = lines.piece()
    lines.written(len(first))
    lines.put(b"6\n")  # the notice is not written yet: before it, nothing fits
    assert first + take(lines) == b"1\n2\n3\n2 lost\n1 lost\n"
    lines.put(b"7\n")
    assert take(lines) == b"7\n"


def test_an_entry_larger_than_the_limit_is_kept_if_nothing_else_is() -> None:
    lines = pending(limit=10)
    large = b"x" * 100 + b"\n"
    lines.put(large)
    lines.put(large)
    assert take(lines) == large + b"1 lost\n"


def test_lines_that_cannot_be_written_are_told_before_the_next_ones() -> None:
    lines = pending()
    lines.put(b"1\n2\n")
    assert lines.piece()
    lines.failed()
    assert (lines.piece(), bool(lines)) == (b"", False)
    lines.put(b"3\n")
    assert lines.piece() == b"2 lost\n"
    lines.failed()  # the line that tells does not count
    lines.put(b"4\n")
    assert take(lines) == b"3 lost\n4\n"


def test_a_torn_line_ends_before_the_next_one() -> None:
    lines = pending()
    lines.put(b"1234\n")
    assert lines.piece()
    lines.written(2)
    lines.failed()
    lines.put(b"5\n")
    assert take(lines) == b"\n1 lost\n5\n"


def test_a_queue_that_tells_nothing_goes_on() -> None:
    lines = PendingLines(limit=10)
    lines.put(b"1\n")
    lines.put(b"2\n")
    assert take(lines) == b"1\n"
    lines.put(b"3\n")
    assert take(lines) == b"3\n"
    assert not lines


def test_a_forked_process_begins_with_nothing() -> None:
    lines = pending()
    for each in (b"1\n", b"2\n", b"3\n", b"4\n"):
        lines.put(each)
    lines.written(len(lines.piece()[:1]))
    lines.clear()
    assert (lines.piece(), bool(lines)) == (b"", False)
    lines.put(b"5\n")
    assert take(lines) == b"5\n"


@given(st.lists(st.one_of(ENTRIES, st.integers(0, 80), st.none()), max_size=60))
def test_every_line_is_written_once_or_told(acts: list[bytes | int | None]) -> None:
    """Entries are put, numbers of bytes are written, and writing fails (None), in any order."""
    lines = pending()
    taken = b""
    put = 0
    for act in acts:
        if isinstance(act, bytes):
            lines.put(act)
            put += act.count(b"\n")
        elif act is None:
            if lines.piece() and taken[-1:] in (b"", b"\n"):  # a torn line is counted, too
                lines.failed()
        elif part := lines.piece()[:act]:
            taken += part
            lines.written(len(part))
    taken += take(lines)
    lines.put(b"last\n")  # what could not be written before is told now
    taken += take(lines)

    written = taken.split(b"\n")
    assert written.pop() == b""
    notices = [line for line in written if line.endswith(b" lost")]
    whole = [line for line in written if line in (b"a", b"bb", b"c" * 70)]
    assert len(whole) + sum(int(line.split()[0]) for line in notices if line[:1].isdigit()) == put
    assert written[-1] == b"last"
    assert not lines
