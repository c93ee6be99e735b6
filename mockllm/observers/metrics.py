"""Counts requests and answers in the cells of this process (`observers.metric_cells`).

A request that is answered at once costs less than 1 µs. It knows no format of metrics, and reads
nothing from other processes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from struct import Struct
from typing import Any

from mockllm.engine.decision import Answer, End, Match, Summary
from mockllm.exchange import Request
from mockllm.observers.access_log import redact_model
from mockllm.observers.calls import name_of
from mockllm.observers.metric_cells import (
    ABORTED,
    API_WORDS,
    CELL_BYTES,
    DURATION,
    ENDS,
    FIRST_BOUND,
    INPUT,
    INPUT_SIZE,
    MAX_GROUPS,
    NANOSECONDS,
    NO_GROUP,
    NO_NAME,
    OPERATIONS,
    OPERATIONS_AT,
    OTHER_NAME,
    OUTCOMES,
    OUTPUT,
    OUTPUT_SIZE,
    RETRIES_AT,
    ROW_COUNTS,
    STOPPED,
    TOKEN_BOUNDS,
    TRUNCATED,
    TTFT,
    Key,
    NameTable,
    ProcessCells,
    RequestKind,
    base_of,
)
from mockllm.observers.usage import AnswerUsage, read_complete_counts, read_counts
from mockllm.providers import APIS
from mockllm.providers.api import API
from mockllm.providers.routes import Routes
from mockllm.state.attempts import RETRY_COUNT, parse_retry_count
from mockllm.state.operations import Operation
from mockllm.state.session_names import split_path

MAX_KNOWN = 16_384  # combinations of what a row depends on, and answers, that are kept
MAX_LABEL = 512  # characters of a path and a model that are kept
MAX_LAST = 4_096  # answers of mocks whose last match is kept
MAX_COUNTS = 16_384  # answers of mocks whose counts are kept
_APIS = {api.name: api for api in APIS}
_API_NUMBERS = {api.name: API_WORDS.index(api.word) for api in APIS}
_ROUTES = Routes((path, api) for api in APIS for path in api.routes)
_OUTCOME_NUMBERS = {outcome: number for number, outcome in enumerate(OUTCOMES)}
_END_NUMBERS = {end: number for number, end in enumerate(ENDS)}
_OPERATION_CELLS = {kind: OPERATIONS_AT + number for number, kind in enumerate(OPERATIONS)}
_NOTHING = AnswerUsage(0, 0, has_input=True)
_SMALL_BOUND = 5_000  # tokens: one of the bounds
_SMALL = b"".join(
    bytes([bucket]) * int(bound - below)
    for bucket, (below, bound) in enumerate(pairwise((-1.0, *TOKEN_BOUNDS)))
    if bound <= _SMALL_BOUND
)
"""The buckets of these numbers of tokens, which is faster than a search."""
_new = tuple.__new__  # half the time of the class's own constructor
_pack = Struct("QQ").pack_into  # into the first two cells of a row
_pack_all = Struct("QQQQ").pack_into
_FIRST_ATTEMPT = b"0"  # the official clients say so in each request


class Row:
    """The counts in a row of this process, which are `at` in its memory, from the cell `place` on,
    as in a `RowCounts`."""

    __slots__ = ("at", "input", "nanoseconds", "output", "place", "requests")

    def __init__(self, place: int, counts: Sequence[int]) -> None:
        self.place = place
        self.at = place * CELL_BYTES
        self.requests, self.nanoseconds, self.input, self.output = counts


class _Rows:
    """The rows of requests of one `kind`: the `_only` one or, if their tokens vary, one for each
    pair of `buckets`: that of the tokens in times 256, and that of those out. `find` returns the
    row of a kind; None if there is no room for it."""

    __slots__ = ("_find", "_only", "buckets", "kind")

    def __init__(self, kind: RequestKind, find: Callable[[RequestKind], Row | None]) -> None:
        self.kind = kind
        self._find = find
        self._only = None if kind.vary else find(kind)
        self.buckets: dict[int, Row] = {}

    def of(self, prompt: int, output: int) -> Row | None:
        """Return the row of requests with so many tokens in and out."""
        if not self.kind.vary:
            return self._only
        of_prompt, of_output = bisect_left(TOKEN_BOUNDS, prompt), bisect_left(TOKEN_BOUNDS, output)
        row = self.buckets.get(of_prompt << 8 | of_output)
        if row is None:
            row = self._find(self.kind._replace(input=of_prompt, output=of_output))
            if row is not None:
                self.buckets[of_prompt << 8 | of_output] = row
        return row


_Form = tuple[Any, ...]
_MADE, _NONE = 1, 2  # in place of the address of a response


class _Last:
    """The last request that was answered from one place: with one prepared answer of a mock, by a
    mock that makes its answers or whose answer is an error, or without a mock. It was counted in
    the `row`, one of `rows`, with its tokens in and out. `form` is what it has in common with all
    that are counted in these rows. `match` is None if its answer is not prepared."""

    __slots__ = (
        *("buckets", "form", "input", "match", "output", "owners", "path", "row", "rows", "vary"),
    )

    def __init__(
        self, request: Request, match: Match, form: _Form, rows: _Rows, counts: AnswerUsage
    ) -> None:
        answer = match.answer
        is_prepared = answer is not None and answer.number is not None
        self.form = form
        self.path = request.path
        self.match = match if is_prepared else None
        self.owners = match.rule, answer if is_prepared else None  # no others have their addresses
        self.rows = rows
        self.buckets = rows.buckets
        self.vary = rows.kind.vary
        self.input, self.output, _, _ = counts
        self.row = rows.of(self.input, self.output)


class Meter:
    """Counts in one `part`. `mocks` and `models` are the tables of their names; `now` returns
    seconds of a monotonic clock."""

    def __init__(
        self,
        part: ProcessCells,
        mocks: NameTable,
        models: NameTable,
        *,
        now: Callable[[], float],
    ) -> None:
        self.part = part
        self.cells = part.cells
        self.now = now
        self._memory = part.cells.cast("B")
        self._mocks = mocks
        self._models = models
        self._last: dict[int, _Last] = {}
        self._known: dict[tuple[Any, ...], tuple[_Rows, tuple[Any, ...]]] = {}
        self._rows: dict[RequestKind, Row] = {}
        self._counts: dict[int, tuple[Mapping[str, Any], AnswerUsage]] = {}
        self._made: tuple[Mapping[str, Any] | None, AnswerUsage] = None, _NOTHING  # the last one

    def count(self, request: Request, match: Match, seconds: float) -> None:
        """Count a request that is answered at once, `seconds` after it was complete. If its match
        is that of the last one that was answered by its mock, it costs a few comparisons and a
        write into memory."""
        last = self._last.get(id(match.answer))
        if last is None or last.match is not match or last.path != request.path:
            last = self._look_at(request, match, last)
        row = last.row
        if row is None or seconds > FIRST_BOUND:
            self._count_whole(request, match, seconds)
            return
        row.requests = requests = row.requests + 1
        row.nanoseconds = nanoseconds = row.nanoseconds + int(seconds * NANOSECONDS)
        if last.vary:
            row.input = prompts = row.input + last.input
            row.output = outputs = row.output + last.output
            _pack_all(self._memory, row.at, requests, nanoseconds, prompts, outputs)
        else:
            _pack(self._memory, row.at, requests, nanoseconds)
        if request.first_values.get(RETRY_COUNT, _FIRST_ATTEMPT) != _FIRST_ATTEMPT:
            self.count_retry(request, self.api_of(request, match.summary))

    def prepare(self, request: Request, match: Match) -> Row | None:
        """Return the row in which `count_again` counts each request that is answered, at once, as
        this one is; None if it has none."""
        if request.first_values.get(RETRY_COUNT, _FIRST_ATTEMPT) != _FIRST_ATTEMPT:
            return None
        counts = self.counts_of(match)
        kind = self._kind_of(request, match, counts)
        if kind.vary:
            kind = kind._replace(input=counts.input, output=counts.output, vary=False)
        return self._row(kind)

    def count_again(self, row: Row) -> None:
        """Count a repeated request, whose decision took no time. `row` is what `prepare` has
        returned for it. That costs one write into memory."""
        row.requests = requests = row.requests + 1
        self.cells[row.place] = requests

    def needs_input(self, api: API, answer: Answer) -> bool:
        """Return True if the tokens of a prompt must be estimated because the answer to it does not
        say how many there are."""
        if answer.failure is not None:
            return False
        return answer.number is None or not self._configured_counts(api, answer).has_input

    def _count_whole(self, request: Request, match: Match, seconds: float) -> None:
        """Count a request that is answered at once and has no row: that takes 10 µs."""
        cells = self.cells
        api = self.api_of(request, match.summary)
        key = self.key_of(match, api, match.reply.status, End.COMPLETE)
        group = self.group_of(request, match)
        cells[self.part.series(key)] += 1
        self.count_retry(request, api)
        if group is None:
            return
        base, counts = base_of(group), self.counts_of(match)
        cells[base + INPUT] += counts.input
        cells[base + OUTPUT] += counts.output
        DURATION.add(cells, base, seconds)
        if match.reply.streamed:
            TTFT.add(cells, base, seconds)
        self.count_details(base, counts, End.COMPLETE)

    def _look_at(self, request: Request, match: Match, last: _Last | None) -> _Last:
        """Return how a request is counted. `last` is that of the last one with its answer, if that
        is prepared.

        What is usual calls nothing: behind the work on an answer, each function costs 1 µs, because
        what it needs is no longer in the caches of the CPU."""
        outcome, reply, _, rule, summary, answer, _, _, _, _, _, is_broken = match
        place: Any = answer
        api = model = counts = None
        prompt = 0
        if summary is not None:
            api, model, _, prompt = summary
        if answer is None:
            place = outcome if rule is None else rule
            said, counts, model = _NONE, _NOTHING, None
        elif answer.number is None:
            place = outcome if rule is None else rule
            said, response = _MADE, reply.response
            if response is None or answer.failure is not None:
                counts = self.counts_of(match)
            else:
                counts = read_complete_counts(response)
        else:
            said = id(answer.response)
        form = (
            *(id(outcome), id(rule), said, request.method, request.path, api, model),
            *(reply.status, reply.streamed, is_broken, counts is not None and counts.is_truncated),
        )
        if counts is not None:
            last = self._last.get(id(place))
        if last is None or last.form != form:
            return self._begin(request, match, form, place)
        if counts is None:
            last.match = match
        if last.vary:
            last.input = prompt
            if counts is not None:
                last.output = counts.output
                if counts.has_input:
                    last.input = counts.input
            try:
                last.row = last.buckets[_SMALL[last.input] << 8 | _SMALL[last.output]]
            except (IndexError, KeyError):
                last.row = last.rows.of(last.input, last.output)
        return last

    def _begin(self, request: Request, match: Match, form: _Form, place: object) -> _Last:
        """Return how a request is counted that is unlike the last one that was answered from the
        `place`."""
        counts = self.counts_of(match)
        last = _Last(request, match, form, self._rows_of(form, request, match, counts), counts)
        model = "" if match.summary is None else match.summary.model
        if len(request.path) + len(model) <= MAX_LABEL and not match.is_broken:
            if len(self._last) >= MAX_LAST:
                self._last.clear()
            self._last[id(place)] = last
        return last

    def _rows_of(self, form: _Form, request: Request, match: Match, counts: AnswerUsage) -> _Rows:
        """Return the rows of the requests with this match, whose tokens are `counts`. They are
        known by all that their kind depends on, which takes a fifth of the time of finding it."""
        known = self._known.get(form)
        if known is not None:
            return known[0]
        rule, summary, answer = match.rule, match.summary, match.answer
        rows = _Rows(self._kind_of(request, match, counts), self._row)
        if len(request.path) + (0 if summary is None else len(summary.model)) <= MAX_LABEL:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            response = None if answer is None or answer.number is None else answer.response
            self._known[form] = rows, (rule, response)  # so that no others have their addresses
        return rows

    def _kind_of(self, request: Request, match: Match, counts: AnswerUsage) -> RequestKind:
        """Return what the requests have in common that are answered as this one is."""
        answer = match.answer
        key = self.key_of(
            match, self.api_of(request, match.summary), match.reply.status, End.COMPLETE
        )
        self.part.series(key)  # it has its room from now on
        group = self.group_of(request, match)
        if group is None or answer is None:
            return RequestKind(key.pack(), NO_GROUP, 0, 0, is_stream=False, is_truncated=False)
        vary = answer.number is None or not counts.has_input
        prompt, output = (0, 0) if vary else (counts.input, counts.output)
        packed, is_stream = key.pack(), match.reply.streamed
        return RequestKind(packed, group, prompt, output, is_stream, counts.is_truncated, vary)

    def _row(self, kind: RequestKind) -> Row | None:
        """Return the row of a kind; None if there is no room for it."""
        row = self._rows.get(kind)
        if row is None:
            place = self.part.row(kind)
            if place is not None:
                row = Row(place, self.cells[place : place + ROW_COUNTS].tolist())
                self._rows[kind] = row
        return row

    def count_ended(
        self, request: Request, match: Match, status: int, end: End, seconds: float
    ) -> None:
        """Count a request that was refused, or whose client left, without an answer of a model."""
        if end is End.COMPLETE and status == match.reply.status:
            self.count(request, match, seconds)
            return
        api = self.api_of(request, match.summary)
        self.cells[self.part.series(self.key_of(match, api, status, end))] += 1
        self.count_retry(request, api)

    def count_operations(self, operations: Sequence[Operation]) -> None:
        """Count the operations of a question to the store."""
        cells = self.cells
        for operation in operations:
            cells[_OPERATION_CELLS[type(operation)]] += 1

    # --- labels ---

    def api_of(self, request: Request, summary: Summary | None) -> int:
        """Return the number of the API that a request is for."""
        if summary is not None:
            return _API_NUMBERS.get(summary.api, 0)
        _, path = split_path(request.path)
        if request.method != "POST":
            return 0
        api = next((found for found, _ in _ROUTES.find(path)), None)
        return 0 if api is None else _API_NUMBERS[api.name]

    def group_of(self, request: Request, match: Match) -> int | None:
        """Return the number of the group of an answer; None if it is not one of a model."""
        summary, answer = match.summary, match.answer
        if summary is None or answer is None or summary.api not in _API_NUMBERS:
            return None
        api = _API_NUMBERS[summary.api]
        model = redact_model(summary.model, request.path)
        number = self._models.number_of(f"{API_WORDS[api]} {model}")
        return MAX_GROUPS + api if number == OTHER_NAME else number - OTHER_NAME - 1

    def key_of(self, match: Match, api: int, status: int, end: End) -> Key:
        """Return the key of the series of a request, which is admitted."""
        mock = NO_NAME if match.rule is None else self._mocks.number_of(name_of(match.rule))
        outcome = _OUTCOME_NUMBERS[match.outcome]
        key = Key(api, outcome, _END_NUMBERS[end], match.is_broken, status, mock)
        return self.part.admit(key)

    def counts_of(self, match: Match) -> AnswerUsage:
        """Return the tokens of an answer."""
        summary, answer = match.summary, match.answer
        if summary is None or answer is None or answer.failure is not None:
            return _NOTHING
        response = match.reply.response
        if answer.number is None and response is not None:
            counts = read_complete_counts(response)
        else:
            counts = self._configured_counts(_APIS[summary.api], answer)
        if counts.has_input:
            return counts
        _, output, _, is_truncated = counts
        return _new(AnswerUsage, (summary.input_tokens, output, False, is_truncated))

    def _configured_counts(self, api: API, answer: Answer) -> AnswerUsage:
        """Return the tokens of an answer, as far as its response says them. To complete one takes
        30 µs, so those of a mock are kept."""
        kept = self._counts.get(id(answer.response))
        if kept is not None and kept[0] is answer.response:
            return kept[1]
        if self._made[0] is answer.response:
            return self._made[1]
        counts = read_counts(api, answer.complete_response)
        if answer.number is None:
            self._made = answer.response, counts
        else:
            if len(self._counts) >= MAX_COUNTS:
                self._counts.clear()
            self._counts[id(answer.response)] = answer.response, counts
        return counts

    # --- cells ---

    def count_retry(self, request: Request, api: int) -> None:
        """Count a request that is a marked retry."""
        if parse_retry_count(request.first_values.get(RETRY_COUNT)):
            self.cells[RETRIES_AT + api] += 1

    def count_details(self, base: int, counts: AnswerUsage, end: End) -> None:
        """Count the sizes of an answer in the group at `base`, and how it ended."""
        cells = self.cells
        INPUT_SIZE.add(cells, base, counts.input)
        OUTPUT_SIZE.add(cells, base, counts.output)
        if end is not End.COMPLETE:
            cells[base + ABORTED] += 1
        else:
            cells[base + (TRUNCATED if counts.is_truncated else STOPPED)] += 1
