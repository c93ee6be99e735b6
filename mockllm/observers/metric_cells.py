"""Where metrics are counted: whole numbers of 64 bits, the cells, in memory that processes share.

Each process has a part of the memory, and only that process writes there. What it has counted
outlives it: the next process that takes the part counts on. Names are in tables of their own, which
all parts share; a part refers to them by number.

    part    scalars | groups: one for each API and model
                    | series: (key, count), one for each combination of the labels of a request
                    | rows: requests that are answered at once, and have nearly all in common
    table   the number of names | names

This module knows no clock, and not where the memory comes from.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, get_args

from mockllm.engine.decision import End, Outcome
from mockllm.providers import APIS
from mockllm.state.operations import Operation as StateOperation

CELL_BYTES = 8
_CELL_LIMIT = 1 << 64
NANOSECONDS = 1_000_000_000  # in a second

API_WORDS = ("", *(api.word for api in APIS))
"""The APIs by their number; 0 is that of requests to none."""
OUTCOMES = tuple(Outcome)
ENDS = tuple(End)
OPERATIONS: tuple[type[Any], ...] = get_args(StateOperation)
"""The operations of stores by their number."""


class Histogram(NamedTuple):
    """The place of a histogram: a cell with the sum of all values, multiplied by `scale`, and those
    with the number of values in each bucket. `bounds` are the largest values of the buckets; one
    more has what is larger."""

    at: int
    bounds: tuple[float, ...]
    scale: int = NANOSECONDS

    @property
    def end(self) -> int:
        """The place behind its last cell."""
        return self.at + 2 + len(self.bounds)

    def add(
        self, cells: MutableSequence[int] | memoryview, base: int, value: float, count: int = 1
    ) -> None:
        """Count `count` equal values in the histogram of what begins at `base`."""
        at = base + self.at
        scale = self.scale
        cells[at] += (int(value) if scale == 1 else round(value * scale)) * count
        cells[at + 1 + bisect_left(self.bounds, value)] += count

    def add_to_bucket(
        self, cells: MutableSequence[int], bucket: int, total: int, count: int
    ) -> None:
        """Count `count` values in one bucket, whose sum, multiplied by `scale`, is `total`."""
        cells[self.at] += total
        cells[self.at + 1 + bucket] += count


# --- of a group -----------------------------------------------------------------------------------

TTFT_BOUNDS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
"""Those of ``vllm:time_to_first_token_seconds`` (vLLM 0.11)."""
ITL_BOUNDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0),
    *(2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
"""Those of ``vllm:time_per_output_token_seconds``, and smaller ones."""
SERVICE_BOUNDS = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0),
    *(240.0, 480.0, 960.0, 1920.0, 7680.0),
)
"""Those of ``vllm:e2e_request_latency_seconds``."""
DURATION_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, *SERVICE_BOUNDS)
TOKEN_BOUNDS = tuple(
    float(mantissa * 10**exponent) for exponent in range(6) for mantissa in (1, 2, 5)
)

INPUT, OUTPUT, STREAMS, RUNNING, WAITING, STOPPED, TRUNCATED, ABORTED = range(8)
"""Tokens in and out; open streams, answers that are sent, those that wait for a place; answers that
ended by themselves, at the limit of tokens, and early."""
GAUGES = (STREAMS, RUNNING, WAITING)
TTFT = Histogram(8, TTFT_BOUNDS)
ITL = Histogram(TTFT.end, ITL_BOUNDS)
DURATION = Histogram(ITL.end, DURATION_BOUNDS)
QUEUE_TIME = Histogram(DURATION.end, SERVICE_BOUNDS)
INPUT_SIZE = Histogram(QUEUE_TIME.end, TOKEN_BOUNDS, 1)
OUTPUT_SIZE = Histogram(INPUT_SIZE.end, TOKEN_BOUNDS, 1)
GROUP_CELLS = OUTPUT_SIZE.end
FIRST_BOUND = min(TTFT_BOUNDS[0], DURATION_BOUNDS[0])  # seconds

MAX_GROUPS = 64
"""APIs with models that have a group of their own. Of the other models, each API has one."""
GROUPS = MAX_GROUPS + len(API_WORDS)
OTHER = "other"

# --- scalars --------------------------------------------------------------------------------------

SERIES_COUNT, ROWS, LATE_SUM, STALLS, HITS, MISSES = range(6)
CONNECTIONS, TAKEN, PLACES, ALIVE = range(6, 10)
"""Series and rows in use; nanoseconds by which steps were late; stalls of the loop; look-ups of the
cache of matches; open connections; taken places of bounded pools, and all of them; 1 while a
process has the part."""
SCALAR_GAUGES = (CONNECTIONS, TAKEN, PLACES, ALIVE)
RETRIES_AT = 10
"""The first of the cells with the retries of each API."""
OPERATIONS_AT = RETRIES_AT + len(API_WORDS)
"""The first of the cells with the number of each operation of the store."""
LAG = Histogram(
    OPERATIONS_AT + len(OPERATIONS),
    (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
)
"""How late the loop was to look at the time."""
GROUPS_AT = LAG.end

# --- series ---------------------------------------------------------------------------------------

_SERIES_AT = GROUPS_AT + GROUPS * GROUP_CELLS
_BROKEN = 2  # the values of `Key.is_broken`
_RESERVED = len(API_WORDS) * len(OUTCOMES) * len(ENDS) * _BROKEN
"""The series in which status and mock are `other`."""
MAX_SERIES = 8_192
_SERIES = MAX_SERIES + _RESERVED
_ROWS_AT = _SERIES_AT + 2 * _SERIES
_KIND_CELLS = 4
ROW_COUNTS = 4  # cells, behind those of its kind
ROW_CELLS = _KIND_CELLS + ROW_COUNTS
MAX_ROWS = 4_096
PART_CELLS = _ROWS_AT + MAX_ROWS * ROW_CELLS
OTHER_STATUS = 0
NO_GROUP = GROUPS


class Key(NamedTuple):
    """What the requests of a series have in common. `api`, `outcome` and `end` are numbers in the
    tables above, `mock` is the number of its name: 0 if no mock answered."""

    api: int
    outcome: int
    end: int
    is_broken: bool
    status: int
    mock: int

    def pack(self) -> int:
        """Return the key as one number, which is not 0."""
        api, outcome, end, is_broken, status, mock = self
        packed = (mock << 32) | (status << 20) | (outcome << 12) | (end << 8) | (api << 4)
        return packed | (is_broken << 1) | 1

    @classmethod
    def unpack(cls, packed: int) -> Key:
        """Return the key of a packed one."""
        return cls(
            api=packed >> 4 & 0xF,
            outcome=packed >> 12 & 0xFF,
            end=packed >> 8 & 0xF,
            is_broken=bool(packed >> 1 & 1),
            status=packed >> 20 & 0xFFF,
            mock=packed >> 32,
        )


class RequestKind(NamedTuple):
    """What the requests of a row have in common: their `key`, the number of their group, or
    `NO_GROUP`, the tokens in and out, and whether the answer `is_stream` and `is_truncated`, by a
    limit of tokens. If the tokens `vary` from one request to the next, those in and out are the
    numbers of their buckets. Each takes so little time that it belongs to the first bucket."""

    key: int
    group: int
    input: int
    output: int
    is_stream: bool
    is_truncated: bool
    vary: bool = False

    def pack(self) -> tuple[int, int, int, int]:
        """Return the kind as the first cells of its row."""
        flags = (self.group << 3) | (self.vary << 2) | (self.is_stream << 1) | self.is_truncated
        return self.key, flags, self.input, self.output

    @classmethod
    def unpack(cls, cells: Sequence[int]) -> RequestKind:
        """Return the kind of a row."""
        key, flags, prompt, output = cells
        is_stream, is_truncated, vary = bool(flags & 2), bool(flags & 1), bool(flags & 4)
        return cls(key, flags >> 3, prompt, output, is_stream, is_truncated, vary)


class RowCounts(NamedTuple):
    """What was counted in a row: the number of its requests, and the sum of their nanoseconds. If
    their tokens vary, also the sums of those in and out, else 0."""

    kind: RequestKind
    requests: int
    nanoseconds: int
    input: int
    output: int


# --- names ----------------------------------------------------------------------------------------

NO_NAME = 0
OTHER_NAME = 1
_FIRST_NAME = 2
NAME_BYTES = 128  # of the UTF-8 of one name, and two for its size
_COUNT_BYTES = 8


class NameTable:
    """Up to `size` names in shared memory, in the order in which they were first seen in any
    process. `lock` is held while one is added; it may refuse with a BlockingIOError."""

    def __init__(
        self, memory: memoryview, size: int, lock: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._memory = memory
        self._size = size
        self._lock = lock
        self._numbers: dict[str, int] = {}  # of those that this process has read

    @staticmethod
    def bytes_of(size: int) -> int:
        """Return the bytes of a table of `size` names."""
        return _COUNT_BYTES + size * NAME_BYTES

    def number_of(self, name: str) -> int:
        """Return the number of a name, at least `OTHER_NAME`, which is that of all names for which
        there is no room. A long name is cut."""
        number = self._numbers.get(name)
        if number is None:
            encoded = name.encode(errors="replace")[: NAME_BYTES - 2]
            cut = encoded.decode(errors="ignore")
            number = self._numbers.get(cut)
            if number is None:
                number = self._look_up(cut)
        return number

    def names(self) -> Iterator[str]:
        """Yield the names, by number from `OTHER_NAME` + 1 on."""
        for place in range(self._count):
            at = _COUNT_BYTES + place * NAME_BYTES
            length = int.from_bytes(self._memory[at : at + 2])
            yield bytes(self._memory[at + 2 : at + 2 + length]).decode(errors="replace")

    def _look_up(self, name: str) -> int:
        self._read()
        if name in self._numbers or self._count >= self._size:
            return self._numbers.get(name, OTHER_NAME)
        try:
            with self._lock():
                self._read()
                if name not in self._numbers and self._count < self._size:
                    self._append(name)
        except BlockingIOError:
            return OTHER_NAME  # another process is stopped while it adds a name
        return self._numbers.get(name, OTHER_NAME)

    def _read(self) -> None:
        """Read the names that other processes have added."""
        if len(self._numbers) < self._count:
            self._numbers = {name: _FIRST_NAME + at for at, name in enumerate(self.names())}

    def _append(self, name: str) -> None:
        place, encoded = self._count, name.encode()
        at = _COUNT_BYTES + place * NAME_BYTES
        self._memory[at : at + 2 + len(encoded)] = len(encoded).to_bytes(2) + encoded
        self._memory[:_COUNT_BYTES] = (place + 1).to_bytes(_COUNT_BYTES)  # from now on it is read
        self._numbers[name] = _FIRST_NAME + place

    @property
    def _count(self) -> int:
        return int.from_bytes(self._memory[:_COUNT_BYTES])


# --- a part ---------------------------------------------------------------------------------------


class ProcessCells:
    """The cells of one process, of which there are `PART_CELLS`."""

    def __init__(self, cells: memoryview) -> None:
        self.cells = cells
        self._series = {
            cells[at]: at + 1 for at in range(_SERIES_AT, _SERIES_AT + 2 * cells[SERIES_COUNT], 2)
        }
        self._rows = {
            row.kind.pack(): _ROWS_AT + ROW_CELLS * number + _KIND_CELLS
            for number, row in enumerate(self.rows())
        }

    def admit(self, key: Key) -> Key:
        """Return the key of the series in which requests with `key` are counted: that one, or if
        there is no room for it, that of all requests of its API and outcome without room."""
        if key.pack() in self._series or self.cells[SERIES_COUNT] < MAX_SERIES:
            return key
        return key._replace(status=OTHER_STATUS, mock=OTHER_NAME)

    def series(self, key: Key) -> int:
        """Return the cell that counts the requests with `key`, which was admitted."""
        packed = key.pack()
        cell = self._series.get(packed)
        if cell is None:
            count = self.cells[SERIES_COUNT]
            at = _SERIES_AT + 2 * count
            self.cells[at] = packed
            self.cells[SERIES_COUNT] = count + 1
            cell = self._series[packed] = at + 1
        return cell

    def row(self, kind: RequestKind) -> int | None:
        """Return the place of the row of a kind: of the first of the cells with its counts, which
        are in the order of `RowCounts`. None if there is no room for it."""
        packed = kind.pack()
        row = self._rows.get(packed)
        count = self.cells[ROWS]
        if row is None and count < MAX_ROWS and max(packed) < _CELL_LIMIT:
            at = _ROWS_AT + ROW_CELLS * count
            row = self._rows[packed] = at + _KIND_CELLS
            for place, value in enumerate(packed):
                self.cells[at + place] = value
            self.cells[ROWS] = count + 1
        return row

    def counted(self) -> Iterator[tuple[int, int]]:
        """Yield the packed key, and the number of requests, of each series without rows."""
        end = _SERIES_AT + 2 * self.cells[SERIES_COUNT]
        values = self.cells[_SERIES_AT:end].tolist()
        yield from zip(values[::2], values[1::2], strict=True)

    def rows(self) -> Iterator[RowCounts]:
        """Yield what was counted in each row."""
        values = self.cells[_ROWS_AT : _ROWS_AT + ROW_CELLS * self.cells[ROWS]].tolist()
        for at in range(0, len(values), ROW_CELLS):
            counts = at + _KIND_CELLS
            yield RowCounts(RequestKind.unpack(values[at:counts]), *values[counts : at + ROW_CELLS])

    def clear_gauges(self) -> None:
        """Set what holds now, and not since the start, to 0: the process is gone."""
        for cell in SCALAR_GAUGES:
            self.cells[cell] = 0
        for group in range(GROUPS):
            for cell in GAUGES:
                self.cells[base_of(group) + cell] = 0


def base_of(group: int) -> int:
    """Return the first cell of a group."""
    return GROUPS_AT + group * GROUP_CELLS
