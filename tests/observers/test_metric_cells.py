"""The cells of metrics: series, rows and names in memory that processes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.observers.metric_cells import (
    ALIVE,
    CELL_BYTES,
    GROUPS,
    MAX_ROWS,
    MAX_SERIES,
    NAME_BYTES,
    NO_GROUP,
    OTHER_NAME,
    OTHER_STATUS,
    PART_CELLS,
    RUNNING,
    Histogram,
    Key,
    NameTable,
    ProcessCells,
    RequestKind,
    RowCounts,
    base_of,
)

SECONDS = Histogram(0, (0.5, 1.0))


def memory(cells: int = PART_CELLS) -> memoryview:
    return memoryview(bytearray(cells * CELL_BYTES)).cast("Q")


@contextmanager
def free() -> Iterator[None]:
    yield


def taken() -> AbstractContextManager[None]:
    raise BlockingIOError


def table(
    size: int,
    shared: memoryview | None = None,
    lock: Callable[[], AbstractContextManager[None]] = free,
) -> NameTable:
    bytes_ = memoryview(bytearray(NameTable.bytes_of(size))) if shared is None else shared
    return NameTable(bytes_, size, lock)


# --- histograms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (0.5, 0), (0.500001, 1), (1.0, 1), (7.0, 2)]
)
def test_the_bound_of_a_bucket_belongs_to_it(seconds: float, bucket: int) -> None:
    cells = memory(8)

    SECONDS.add(cells, 2, seconds, 3)

    assert cells[2] == round(seconds * 1e9) * 3
    assert [*cells[3:6]] == [3 * (place == bucket) for place in range(3)]
    assert not any(cells[:2])


# --- series ---------------------------------------------------------------------------------------

keys = st.builds(
    Key,
    api=st.integers(0, 4),
    outcome=st.integers(0, 16),
    end=st.integers(0, 6),
    is_broken=st.booleans(),
    status=st.integers(0, 999),
    mock=st.integers(0, 2**20),
)


@given(keys)
def test_a_key_is_a_number_that_is_not_0(key: Key) -> None:
    packed = key.pack()

    assert 0 < packed < 1 << 64
    assert Key.unpack(packed) == key


def test_the_next_process_counts_on_in_the_series_and_rows_of_a_part() -> None:
    cells = memory()
    key, kind = Key(1, 0, 0, False, 200, 2), RequestKind(7, 3, 10, 20, True, False)
    for _ in range(2):
        part = ProcessCells(cells)
        row = part.row(kind)
        assert row is not None
        cells[part.series(key)] += 1
        cells[row] += 5

    assert [*ProcessCells(cells).counted()] == [(key.pack(), 2)]
    assert [*ProcessCells(cells).rows()] == [RowCounts(kind, 10, 0, 0, 0)]


def test_what_has_no_room_is_counted_by_api_and_outcome() -> None:
    part = ProcessCells(memory())
    for mock in range(MAX_SERIES):
        part.series(part.admit(Key(1, 0, 0, False, 200, mock)))

    assert part.admit(Key(1, 0, 0, False, 200, 5)) == Key(1, 0, 0, False, 200, 5)
    beyond = part.admit(Key(2, 3, 1, True, 200, MAX_SERIES))
    assert beyond == Key(2, 3, 1, True, OTHER_STATUS, OTHER_NAME)
    assert part.series(beyond) == part.series(part.admit(beyond))


def test_all_series_without_room_have_some() -> None:
    part = ProcessCells(memory())
    for mock in range(MAX_SERIES):
        part.series(part.admit(Key(1, 0, 0, False, 200, mock)))

    cells = {
        part.series(part.admit(Key(api, outcome, end, is_broken, 599, 9_999)))
        for api in range(5)
        for outcome in range(17)
        for end in range(7)
        for is_broken in (False, True)
    }
    assert len(cells) == 5 * 17 * 7 * 2
    assert max(cells) < PART_CELLS


# --- rows -----------------------------------------------------------------------------------------


@given(
    st.builds(
        RequestKind,
        key=st.integers(1, 2**60),
        group=st.integers(0, NO_GROUP),
        input=st.integers(0, 2**53),
        output=st.integers(0, 2**53),
        is_stream=st.booleans(),
        is_truncated=st.booleans(),
        vary=st.booleans(),
    )
)
def test_a_kind_is_read_as_it_was_written(kind: RequestKind) -> None:
    assert RequestKind.unpack(kind.pack()) == kind


def test_there_are_so_many_rows_and_no_more() -> None:
    part = ProcessCells(memory())
    rows = [part.row(RequestKind(1, 0, tokens, 0, False, False)) for tokens in range(MAX_ROWS + 1)]

    assert rows[-1] is None
    assert len({*rows[:-1]}) == MAX_ROWS
    assert part.row(RequestKind(1, 0, 0, 0, False, False)) == rows[0]


def test_tokens_that_no_cell_can_hold_have_no_row() -> None:
    assert ProcessCells(memory()).row(RequestKind(1, 0, 1 << 64, 0, False, False)) is None


# --- gauges ---------------------------------------------------------------------------------------


def test_a_part_without_a_process_has_no_gauges() -> None:
    part = ProcessCells(memory())
    part.cells[ALIVE] = 1
    for group in (0, GROUPS - 1):
        part.cells[base_of(group) + RUNNING] = 3

    part.clear_gauges()

    assert not any(part.cells)


# --- names ----------------------------------------------------------------------------------------


def test_names_have_numbers_in_the_order_in_which_they_came() -> None:
    names = table(3)

    numbers = [names.number_of(name) for name in ("b", "a", "b", "ü")]

    assert numbers == [2, 3, 2, 4]
    assert [*names.names()] == ["b", "a", "ü"]


def test_names_beyond_the_size_are_others() -> None:
    names = table(2)

    assert [names.number_of(name) for name in "abcab"] == [2, 3, OTHER_NAME, 2, 3]


def test_processes_share_the_names() -> None:
    shared = memoryview(bytearray(NameTable.bytes_of(3)))
    one, other = table(3, shared), table(3, shared)

    assert one.number_of("a") == other.number_of("a") == 2
    assert other.number_of("b") == one.number_of("b") == 3
    assert [*one.names()] == [*other.names()] == ["a", "b"]


@pytest.mark.parametrize("letter", ["x", "ü", "漢", "🙂"])
def test_a_long_name_is_cut_between_characters(letter: str) -> None:
    names = table(2)

    number = names.number_of(letter * 500)

    (name,) = names.names()
    assert set(name) == {letter}
    assert NAME_BYTES - 6 <= len(name.encode()) <= NAME_BYTES - 2
    assert names.number_of(letter * 600) == number


def test_a_name_that_is_no_text_of_utf_8_is_kept() -> None:
    names = table(1)

    assert names.number_of("\ud800") == 2
    assert [*names.names()] == ["?"]


def test_a_name_is_another_while_it_cannot_be_added() -> None:
    shared = memoryview(bytearray(NameTable.bytes_of(3)))

    assert table(3, shared, taken).number_of("a") == OTHER_NAME
    assert table(3, shared).number_of("a") == 2
