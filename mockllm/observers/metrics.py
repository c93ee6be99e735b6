"""Counts requests and answers in the cells of this process (`observers.metric_cells`).

A request that is answered at once costs less than 1 µs. It knows no format of metrics, and reads
nothing from other processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    STOPPED,
    TRUNCATED,
    TTFT,
    Key,
    Kind,
    NameTable,
    Part,
    base_of,
)
from mockllm.observers.usage import Counts, read_counts
from mockllm.providers import APIS
from mockllm.providers.api import API
from mockllm.providers.routes import Routes
from mockllm.state.attempts import RETRY_COUNT, parse_retry_count
from mockllm.state.operations import Operation
from mockllm.state.session_names import split_path

MAX_KNOWN = 16_384  # combinations of what a row depends on, and answers, that are kept
MAX_LABEL = 512  # characters of a path and a model that are kept
MAX_BY_INPUT = 16  # numbers of tokens of prompts with an answer that have a row of their own
MAX_COUNTS = 16_384  # answers of mocks whose counts are kept
_APIS = {api.name: api for api in APIS}
_API_NUMBERS = {api.name: API_WORDS.index(api.word) for api in APIS}
_ROUTES = Routes((path, api) for api in APIS for path in api.routes)
_OUTCOME_NUMBERS = {outcome: number for number, outcome in enumerate(OUTCOMES)}
_END_NUMBERS = {end: number for number, end in enumerate(ENDS)}
_OPERATION_CELLS = {kind: OPERATIONS_AT + number for number, kind in enumerate(OPERATIONS)}
_NOTHING = Counts(0, 0, has_input=True)


_pack = Struct("QQ").pack_into  # into the two cells of a row
_FIRST_ATTEMPT = b"0"  # the official clients say so in each request


class Row:
    """The numbers in a row of this process, which are `at` in its memory, from the cell `place`
    on. If some tokens of its requests are counted in their group, that begins at `base`, and
    `by_input` has the rows of the first numbers of tokens of prompts, which have all of them."""

    __slots__ = ("at", "base", "by_input", "count", "kind", "nanoseconds", "place")

    def __init__(self, place: int, count: int, nanoseconds: int, kind: Kind) -> None:
        self.place = place
        self.at = place * CELL_BYTES
        self.count = count
        self.nanoseconds = nanoseconds
        self.kind = kind
        is_whole = kind.input is not None and kind.output is not None
        self.base = None if is_whole else base_of(kind.group)
        self.by_input: dict[int, Row] = {}


class _Last:
    """The last request that was answered with one answer of a mock, and its row."""

    __slots__ = ("answer", "model", "path", "row", "rule", "status", "streamed")

    def __init__(self, request: Request, match: Match, model: str, row: Row) -> None:
        self.answer = match.answer  # so that no other one has its address
        self.rule = match.rule
        self.path = request.path
        self.model = model
        self.status = match.reply.status
        self.streamed = match.reply.streamed
        self.row = row


class Meter:
    """Counts in one `part`. `mocks` and `models` are the tables of their names; `now` returns
    seconds of a monotonic clock."""

    def __init__(
        self,
        part: Part,
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
        self._known: dict[tuple[Any, ...], tuple[Row, tuple[Any, ...]]] = {}
        self._rows: dict[Kind, Row] = {}
        self._counts: dict[int, tuple[Mapping[str, Any], Counts]] = {}
        self._made: tuple[Mapping[str, Any] | None, Counts] = None, _NOTHING  # the last one

    def count(self, request: Request, match: Match, seconds: float) -> None:
        """Count a request that is answered at once, `seconds` after it was complete. If it has what
        matters in common with the last one that was answered by its mock, it costs a few
        comparisons and a write into memory."""
        last, summary, reply = self._last.get(id(match.answer)), match.summary, match.reply
        row: Row | None
        if (
            last is not None
            and summary is not None
            and last.path == request.path
            and last.model == summary.model
            and last.rule is match.rule
            and last.streamed is reply.streamed
            and last.status == reply.status
            and not match.is_broken
        ):
            row = last.row
            if row.base is not None:
                row = row.by_input.get(summary.input_tokens) or self._row_by_input(row, match)
        else:
            row = self._row_of(request, match)
        if row is None or seconds > FIRST_BOUND:
            self._count_whole(request, match, seconds)
            return
        row.count = count = row.count + 1
        row.nanoseconds = nanoseconds = row.nanoseconds + int(seconds * NANOSECONDS)
        _pack(self._memory, row.at, count, nanoseconds)
        if row.base is not None:
            self._count_tokens(row, row.base, match)
        if request.first_values.get(RETRY_COUNT, _FIRST_ATTEMPT) != _FIRST_ATTEMPT:
            self.count_retry(request, self.api_of(request, summary))

    def prepare(self, request: Request, match: Match) -> Row | None:
        """Return the row in which `count_again` counts each request that is answered, at once, as
        this one is; None if it has none."""
        if request.first_values.get(RETRY_COUNT, _FIRST_ATTEMPT) != _FIRST_ATTEMPT:
            return None
        row = self._row_of(request, match)
        if row is None or row.base is None:
            return row
        counts = self.counts_of(match)
        return self._row(row.kind._replace(input=counts.input, output=counts.output))

    def count_again(self, row: Row) -> None:
        """Count a repeated request, whose decision took no time. `row` is what `prepare` has
        returned for it. That costs one write into memory."""
        row.count = count = row.count + 1
        self.cells[row.place] = count

    def needs_input(self, api: API, answer: Answer) -> bool:
        """Return True if the tokens of a prompt must be estimated because the answer to it does not
        say how many there are."""
        if answer.failure is not None:
            return False
        return answer.number is None or not self._configured_counts(api, answer).has_input

    def _count_tokens(self, row: Row, base: int, match: Match) -> None:
        """Count the tokens that are not in the row of a request."""
        cells = self.cells
        if row.kind.output is None:
            counts = self.counts_of(match)
            cells[base + OUTPUT] += counts.output
            OUTPUT_SIZE.add(cells, base, counts.output)
            prompt = counts.input
        else:
            assert match.summary is not None  # or it had no group
            prompt = match.summary.input_tokens
        cells[base + INPUT] += prompt
        INPUT_SIZE.add(cells, base, prompt)

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

    def _row_of(self, request: Request, match: Match) -> Row | None:
        """Return the row of the requests with this match; None if there is no room for it. It is
        known by all that it depends on, which takes a fifth of the time of finding it."""
        rule, summary, answer, reply = match.rule, match.summary, match.answer, match.reply
        api = model = response = None
        is_truncated = False
        if summary is not None:
            api = summary.api
            if answer is not None:
                model = summary.model
        if answer is not None and answer.number is not None:
            response = answer.response
        elif answer is not None:
            is_truncated = self._counts_in(match).is_truncated
        key = (
            *(id(match.outcome), id(rule), id(response), answer is None, request.method),
            *(request.path, api, model, reply.status, reply.streamed, match.is_broken),
            is_truncated,
        )
        known = self._known.get(key)
        row = self._row(self._kind_of(request, match)) if known is None else known[0]
        if row is None or len(request.path) + len(model or "") > MAX_LABEL:
            return row
        if known is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[key] = row, (rule, response)  # so that no others have their addresses
        if response is not None and model is not None and not match.is_broken:
            if len(self._last) >= MAX_KNOWN:
                self._last.clear()
            self._last[id(answer)] = _Last(request, match, model, row)
        return row

    def _kind_of(self, request: Request, match: Match) -> Kind:
        """Return what the requests have in common that are answered as this one is."""
        answer = match.answer
        key = self.key_of(
            match, self.api_of(request, match.summary), match.reply.status, End.COMPLETE
        )
        self.part.series(key)  # it has its room from now on
        group = self.group_of(request, match)
        if group is None or answer is None:
            return Kind(key.pack(), NO_GROUP, 0, 0, is_stream=False, is_truncated=False)
        counts, is_shared = self._counts_in(match), answer.number is not None
        return Kind(
            key.pack(),
            group,
            counts.input if counts.has_input and is_shared else None,
            counts.output if is_shared else None,
            match.reply.streamed,
            counts.is_truncated,
        )

    def _row_by_input(self, row: Row, match: Match) -> Row:
        """Return the row of requests with as many tokens as this one, if there are few of them and
        their answers have equal numbers of tokens; else `row`."""
        if row.kind.output is None or len(row.by_input) >= MAX_BY_INPUT:
            return row
        counts = self.counts_of(match)
        found = self._row(row.kind._replace(input=counts.input))
        if found is None:
            return row
        row.by_input[counts.input] = found
        return found

    def _row(self, kind: Kind) -> Row | None:
        """Return the row of a kind; None if there is no room for it."""
        row = self._rows.get(kind)
        if row is None:
            place = self.part.row(kind)
            if place is not None:
                row = Row(place, self.cells[place], self.cells[place + 1], kind)
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

    def counts_of(self, match: Match) -> Counts:
        """Return the tokens of an answer. To complete that of a mock takes 30 µs, so they are
        kept."""
        counts = self._counts_in(match)
        if counts.has_input or match.summary is None:
            return counts
        return counts._replace(input=match.summary.input_tokens)

    def _counts_in(self, match: Match) -> Counts:
        """Return the tokens of an answer, as far as it says them itself."""
        summary, answer = match.summary, match.answer
        if summary is None or answer is None or answer.failure is not None:
            return _NOTHING
        return self._configured_counts(_APIS[summary.api], answer)

    def _configured_counts(self, api: API, answer: Answer) -> Counts:
        kept = self._counts.get(id(answer.response))
        if kept is not None and kept[0] is answer.response:
            return kept[1]
        if self._made[0] is answer.response:
            return self._made[1]
        counts = read_counts(api, answer.response)
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

    def count_details(self, base: int, counts: Counts, end: End) -> None:
        """Count the sizes of an answer in the group at `base`, and how it ended."""
        cells = self.cells
        INPUT_SIZE.add(cells, base, counts.input)
        OUTPUT_SIZE.add(cells, base, counts.output)
        if end is not End.COMPLETE:
            cells[base + ABORTED] += 1
        else:
            cells[base + (TRUNCATED if counts.is_truncated else STOPPED)] += 1
