"""The scripts that Redis performs: their sources, their arguments and what they return.

One script performs all operations of a question, atomically (``redis_perform.lua``); another is the
heartbeat of a worker (``redis_join.lua``). Arguments are a flat list of texts: the time, the worker
that asks, the epoch to begin if Redis has none, then each operation, its name first. Lua decides;
what needs a hash or an index of an entry is computed here.

Nothing here does I/O, and redis-py is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from mockllm.state import attempts, draws, rate_limits, sessions, values
from mockllm.state.attempts import Attempt
from mockllm.state.choosing import NONE_LEFT, AtEnd, Candidate, Chosen, Exhausted, Script
from mockllm.state.operations import (
    Admit,
    BeginSession,
    Choose,
    CountAnswers,
    CountPlaces,
    Draw,
    EndSession,
    Enter,
    Get,
    InLine,
    IsOpen,
    Leave,
    ListSessions,
    Operation,
    PoolFull,
    Put,
    Reset,
    Result,
    SessionEnded,
    Settle,
    Spend,
    TakeNothing,
    TooManySessions,
)
from mockllm.state.rate_limits import Charge, Limited, Spent

LIFETIME = 2 * 24 * 3600  # seconds that a key lives after its last use, if no server refreshes it
MAX_SILENCE = 10.0  # seconds without a heartbeat after which a worker counts as dead

_FOLDER = Path(__file__).parent
_SHARED = "redis_state.lua"  # in front of each
_PERFORM, _JOIN, _PART = "redis_perform.lua", "redis_join.lua", "redis_part.lua"

Words = Iterator[bytes]


# --- Sources --------------------------------------------------------------------------------------


def perform_source() -> str:
    """Return the source of the script that performs the operations of a question."""
    return _constants() + _read(_SHARED) + _read(_PERFORM)


def join_source() -> str:
    """Return the source of the script of a heartbeat."""
    return _constants() + _read(_SHARED) + _read(_JOIN)


def part_source() -> str:
    """Return the source of the script of a worker that stops."""
    return _constants() + _read(_SHARED) + _read(_PART)


@lru_cache
def _read(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")


def _constants() -> str:
    """Return the bounds of a store, as the modules of state have them, in Lua."""
    bounds = {
        "MAX_UNPINNED": sessions.MAX_UNPINNED,
        "MAX_PINNED": sessions.MAX_PINNED,
        "MAX_ENDED": sessions.MAX_ENDED,
        "MAX_UNUSED": sessions.MAX_UNUSED,
        "STAYS_ENDED": sessions.STAYS_ENDED,
        "MAX_ATTEMPTS": attempts.MAX_ATTEMPTS,
        "MAX_PER_SESSION": attempts.MAX_PER_SESSION,
        "MAX_KEPT": attempts.MAX_KEPT,
        "MAX_BUCKETS": rate_limits.MAX_BUCKETS,
        "TOLERANCE": rate_limits.TOLERANCE,
        "MAX_VALUES": values.MAX_VALUES,
        "MAX_BYTES": values.MAX_BYTES,
        "MAX_COUNTED": draws.MAX_COUNTED,
        "LIFETIME": LIFETIME,
        "MAX_SILENCE": MAX_SILENCE,
    }
    return "".join(f"local {name} = {number!r}\n" for name, number in bounds.items())


# --- Arguments ------------------------------------------------------------------------------------


class Asker(NamedTuple):
    """A worker that asks. Its `name` is that of its server, a space, and what no other worker of it
    has. `epoch` is the one to begin if Redis has
    none; `lag` is how many seconds its server's own time lags behind that of all servers."""

    name: str
    epoch: str
    lag: float = 0.0


def perform_arguments(
    operations: Sequence[Operation], asker: Asker, now: float | None = None
) -> list[bytes]:
    """Return the arguments of the script that performs `operations`, at the time `now` of a test;
    without one, at that of Redis."""
    written = [*_of_asker(asker, now)]
    for operation in operations:
        written += _write(operation, asker)
    return written


def join_arguments(
    asker: Asker,
    *,
    server: str,
    config: str,
    any_config: bool,
    elapsed: float,
    speed: float,
    replaced: str = "",
) -> list[bytes]:
    """Return the arguments of the script of a heartbeat. `config` is the fingerprint of the
    server's configuration, which is compared unless it may be `any_config`. `elapsed` is the
    server's own time in seconds, of which `speed` pass in one. Other workers whose names begin with
    `replaced` are dead, unless that is empty."""
    return [
        *_of_asker(asker, None),
        _text(server),
        _text(config),
        _flag(any_config),
        _number(elapsed),
        _number(speed),
        _text(replaced),
    ]


def part_arguments(asker: Asker, *, server: str) -> list[bytes]:
    """Return the arguments of the script of a worker that stops."""
    return [*_of_asker(asker, None), _text(server)]


def _of_asker(asker: Asker, now: float | None) -> Words:
    yield b"" if now is None else _number(now)
    yield _text(asker.name)
    yield _text(asker.epoch)


def _write(operation: Operation, asker: Asker) -> Words:
    match operation:
        case Choose(session, candidates, attempt):
            yield from (b"choose", _text(session), *_attempt(attempt))
            yield from _candidates(candidates, attempt)
        case Admit(session):
            yield from (b"admit", _text(session))
        case IsOpen(session):
            yield from (b"is_open", _text(session))
        case ListSessions():
            yield b"list_sessions"
        case CountAnswers(wanted, within):
            yield from (b"count_answers", _session(within), _int(len(wanted)), *map(_text, wanted))
        case TakeNothing(session, attempt):
            yield from (b"take_nothing", _text(session), *_attempt(attempt))
        case BeginSession(session, current):
            yield from (b"begin", _text(session), _flag(current))
        case EndSession(session):
            yield from (b"end_session", _text(session))
        case Reset(within, keys):
            yield from (b"reset", _session(within), *_keys(keys))
        case Put(key, value, lifetime):
            fits = len(value) <= values.MAX_VALUE
            size = values.size_of(key, value) if fits else 0
            yield from (b"put", _text(key), value if fits else b"", _number(lifetime), _int(size))
        case Get(key):
            yield from (b"get", _text(key))
        case Draw():
            yield from (b"draw", _int(_base(operation)))
        case Spend(charges, at):
            yield from (b"spend", _number(at + asker.lag), _int(len(charges)))
            for charge in charges:
                yield from _charge(charge)
        case Settle(charge, cost, since, at):
            yield from (b"settle", *_charge(charge), _number(cost))
            yield from (_number(since + asker.lag), _number(at + asker.lag))
        case Enter(pool, lease, places, queue):
            yield from (b"enter", _text(pool), _lease(asker, lease), _int(places))
            yield b"" if queue is None else _int(queue)
        case CountPlaces(pool):
            yield from (b"count_places", _text(pool))
        case Leave(lease):
            yield from (b"leave", _lease(asker, lease))


def _attempt(attempt: Attempt | None) -> Words:
    if attempt is None:
        yield b""
    else:
        yield from (attempt.request, _int(attempt.retry))


def _candidates(candidates: Sequence[Candidate], attempt: Attempt | None) -> Words:
    is_retry = attempt is not None and attempt.retry > 0
    yield _int(len(candidates))
    for candidate in candidates:
        yield _text(candidate.key)
        yield b"" if candidate.script is None else _script(candidate.script, is_retry=is_retry)


def _script(script: Script, *, is_retry: bool) -> bytes:
    """Return what Lua must know of a script: the number of its answers (``*`` if it never ends),
    what follows the last one and, where it restarts, after how many answers; of the script of a
    retry also from which answer to which entries advance it, counted from 0."""
    total = script.total
    words = ["*" if total is None else str(total), script.at_end.value]
    if script.at_end is AtEnd.RESTART:
        words.append(str(script.first_answer(script.restart_at)))
    if is_retry:
        for index, entry in enumerate(script.entries):
            if entry.advances_retry:
                begin = script.first_answer(index)
                end = "inf" if entry.times is None else begin + entry.times
                words.append(f"{begin} {end}")
    return " ".join(words).encode()


def _charge(charge: Charge) -> Words:
    yield from (_text(charge.bucket), _session(charge.session), _number(charge.limit.amount))
    yield from (_number(charge.limit.window), _number(charge.cost))


def _keys(keys: frozenset[str] | None) -> Words:
    if keys is None:
        yield b"-1"
    else:
        yield from (_int(len(keys)), *map(_text, keys))


def _session(session: str | None) -> bytes:
    return b"" if session is None else b"s" + _text(session)


def _base(draw: Draw) -> int:
    return draws.base_of(draw.seed, draw.session, draw.source, draw.attempt)


def _lease(asker: Asker, lease: str) -> bytes:
    """Return the name of a lease, which is unique only in its worker."""
    return _text(f"{asker.name} {lease}")


def _text(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _int(number: int) -> bytes:
    return b"%d" % number


def _number(number: float) -> bytes:
    return repr(float(number)).encode()


def _flag(flag: bool) -> bytes:
    return b"1" if flag else b"0"


# --- Replies --------------------------------------------------------------------------------------


class Performed(NamedTuple):
    """What the script of a question returned: the `results` up to the first that refuses, the
    sessions that are `gone`, and the `epoch` of Redis' memory."""

    results: list[Result]
    gone: list[str]
    epoch: str


class Joined(NamedTuple):
    """What the script of a heartbeat returned. The worker has joined unless a server with another
    configuration is there, `differs` from whom it does; else it is empty."""

    lag: float
    differs: str
    epoch: str


def performed(operations: Sequence[Operation], reply: Sequence[Any]) -> Performed:
    """Return the reply of the script that performed `operations`."""
    written, gone, epoch = reply
    pairs = zip(operations, written, strict=False)  # those behind a refusal have no result
    results = [_READERS[result[0]](operation, result[1:]) for operation, result in pairs]
    return Performed(results, [_read_text(name) for name in gone], epoch.decode())


def joined(reply: Sequence[bytes]) -> Joined:
    """Return the reply of the script of a heartbeat."""
    lag, differs, epoch = reply
    return Joined(float(lag), differs.decode(), epoch.decode())


def _read_text(text: bytes) -> str:
    return text.decode(errors="surrogatepass")


def _read_chosen(operation: Any, fields: Sequence[Any]) -> Result:
    place, number, repeated = fields
    script = operation.candidates[place].script
    entry = 0 if script is None else script.entry_at(number - 1)
    return Chosen(place, entry, number, bool(repeated))


def _read_limited(operation: Any, fields: Sequence[Any]) -> Result:
    place, wait, *used = fields
    return Limited(place, tuple(map(float, used)), float(wait) if wait else None)


_READERS: dict[bytes, Callable[[Any, Sequence[Any]], Result]] = {
    b"none": lambda operation, fields: None,
    b"flag": lambda operation, fields: bool(fields[0]),
    b"names": lambda operation, fields: tuple(map(_read_text, fields)),
    b"counts": lambda operation, fields: tuple(fields),
    b"value": lambda operation, fields: fields[0],
    b"drawn": lambda operation, fields: draws.key_of(_base(operation), fields[0]),
    b"chosen": _read_chosen,
    b"exhausted": lambda operation, fields: Exhausted(*fields),
    b"none left": lambda operation, fields: NONE_LEFT,
    b"session ended": lambda operation, fields: SessionEnded(operation.session),
    b"too many sessions": lambda operation, fields: TooManySessions(),
    b"spent": lambda operation, fields: Spent(tuple(map(float, fields))),
    b"limited": _read_limited,
    b"in line": lambda operation, fields: InLine(fields[0]),
    b"count": lambda operation, fields: fields[0],
    b"pool full": lambda operation, fields: PoolFull(operation.pool),
}
