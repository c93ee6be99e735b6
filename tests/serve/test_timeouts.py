"""The time limits of a connection, on a simulated clock."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from mockllm.limits import Limits
from mockllm.serve.phase import Phase
from mockllm.serve.timeouts import MAX_LINGER, Expired, Timeouts

LIMITS = Limits(
    keep_alive=75.0, head_time=30.0, body_grace=20.0, body_rate=100.0, write_time=60.0, linger=2.0
)
WAITING = {  # a phase without progress, the seconds until it expires, and its limit
    Phase.IDLE: (LIMITS.keep_alive, Expired.KEEP_ALIVE),
    Phase.HEAD: (LIMITS.head_time, Expired.HEAD),
    Phase.LINGERING: (LIMITS.linger, Expired.LINGER),
}
waiting = pytest.mark.parametrize(
    ("phase", "limit", "expired"), [(phase, *each) for phase, each in WAITING.items()]
)


@dataclass
class Connection:
    """What the timeouts see of a connection, checked at any time."""

    timeouts: Timeouts = field(default_factory=lambda: Timeouts(LIMITS))
    phase: Phase = Phase.IDLE
    unsent: int = 0
    unread: int = 0
    answers: int = 0
    frames: int = 0
    discarded: int = 0

    def check(self, now: float) -> Expired | None:
        return self.timeouts.expired(
            now,
            self.phase,
            unsent=self.unsent,
            unread=self.unread,
            answers=self.answers,
            frames=self.frames,
            discarded=self.discarded,
        )


# --- Waiting for the client -----------------------------------------------------------------------


@waiting
@pytest.mark.parametrize("start", [0.0, 1_000_000.0])
def test_a_phase_expires_when_its_time_is_over_and_not_before(
    phase: Phase, limit: float, expired: Expired, start: float
) -> None:
    connection = Connection(phase=phase)

    checks = [connection.check(start + after) for after in (0.0, limit - 0.1, limit, limit + 1)]

    assert checks == [None, None, expired, expired]


@waiting
def test_a_first_check_at_any_time_never_expires(
    phase: Phase, limit: float, expired: Expired
) -> None:
    assert Connection(phase=phase, unsent=1).check(1e9) is None


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.HEAD])
def test_a_finished_answer_restarts_the_time(phase: Phase) -> None:
    limit, expired = WAITING[phase]
    connection = Connection(phase=phase)
    connection.check(0.0)
    connection.answers += 1
    connection.check(10.0)

    checks = [connection.check(10.0 + after) for after in (limit - 0.1, limit)]

    assert checks == [None, expired]


@pytest.mark.parametrize("before", [Phase.IDLE, Phase.BODY, Phase.ANSWERING])
def test_a_change_of_phase_restarts_the_time(before: Phase) -> None:
    connection = Connection(phase=before)
    connection.check(0.0)
    connection.phase = Phase.HEAD
    connection.check(10.0)

    checks = [connection.check(10.0 + after) for after in (LIMITS.head_time - 0.1, 30.0)]

    assert checks == [None, Expired.HEAD]


def test_bytes_of_a_head_do_not_extend_its_time() -> None:
    connection = Connection(phase=Phase.HEAD)

    checks = []
    for second in range(31):
        connection.unread = second * 1_000
        checks.append(connection.check(float(second)))

    assert checks == [None] * 30 + [Expired.HEAD]


def test_a_connection_is_not_idle_while_bytes_wait_for_its_peer() -> None:
    connection = Connection(phase=Phase.IDLE, unsent=5)
    connection.check(0.0)
    connection.unsent = 4
    connection.check(50.0)

    with_bytes = connection.check(LIMITS.keep_alive)
    connection.unsent = 0

    assert (with_bytes, connection.check(LIMITS.keep_alive)) == (None, Expired.KEEP_ALIVE)


@pytest.mark.parametrize("phase", [Phase.ANSWERING, Phase.CLOSED])
def test_no_limit_applies_to_an_answer_that_takes_time_or_a_closed_connection(
    phase: Phase,
) -> None:
    connection = Connection(phase=phase)

    assert [connection.check(now) for now in (0.0, 1e9)] == [None, None]


# --- The rate of a body ---------------------------------------------------------------------------


def test_a_body_may_be_slow_until_its_grace_is_over() -> None:
    connection = Connection(phase=Phase.BODY)

    checks = [connection.check(now) for now in (0.0, LIMITS.body_grace, LIMITS.body_grace + 0.1)]

    assert checks == [None, None, Expired.BODY]


@pytest.mark.parametrize(("unread", "expired"), [(1_000, None), (999, Expired.BODY)])
def test_a_body_must_arrive_at_its_rate_after_the_grace(
    unread: int, expired: Expired | None
) -> None:
    connection = Connection(phase=Phase.BODY)
    connection.check(0.0)
    connection.unread = unread

    assert connection.check(LIMITS.body_grace + 10.0) is expired


def test_a_body_of_any_length_may_arrive_at_its_rate_for_any_time() -> None:
    connection = Connection(phase=Phase.BODY)

    checks = []
    for second in range(1_000):
        connection.unread = second * int(LIMITS.body_rate)
        checks.append(connection.check(float(second)))

    assert set(checks) == {None}


# --- Lingering ------------------------------------------------------------------------------------


def test_discarded_bytes_extend_lingering() -> None:
    connection = Connection(phase=Phase.LINGERING)
    connection.check(0.0)
    connection.discarded = 1
    connection.check(1.5)

    checks = [connection.check(1.5 + after) for after in (LIMITS.linger - 0.1, LIMITS.linger)]

    assert checks == [None, Expired.LINGER]


def test_lingering_ends_even_if_the_client_never_stops_sending() -> None:
    connection = Connection(phase=Phase.LINGERING)

    checks = []
    for second in range(int(MAX_LINGER) + 1):
        connection.discarded += 1
        checks.append(connection.check(100.0 + second))

    assert checks == [None] * int(MAX_LINGER) + [Expired.LINGER]


def test_lingering_begins_when_the_last_answer_is_sent() -> None:
    connection = Connection(phase=Phase.LINGERING, unsent=2)
    checks = [connection.check(0.0)]
    connection.unsent = 1
    checks.append(connection.check(MAX_LINGER + 5))
    connection.unsent = 0
    connection.discarded += 1  # the peer reads the answer and continues to send
    checks.append(connection.check(MAX_LINGER + 10))

    assert checks == [None, None, None]


# --- Peers that read nothing ----------------------------------------------------------------------


@pytest.mark.parametrize("phase", Phase)
def test_a_peer_that_reads_nothing_is_stuck_in_any_phase(phase: Phase) -> None:
    connection = Connection(phase=phase, unsent=1, unread=1_000_000)

    checks = [connection.check(now) for now in (0.0, LIMITS.write_time)]

    assert checks == [None, Expired.WRITE]


def test_a_stuck_peer_expires_when_the_time_to_write_is_over_and_not_before() -> None:
    connection = Connection(phase=Phase.ANSWERING, unsent=1)

    checks = [connection.check(7.0 + after) for after in (0.0, 59.9, 60.0)]

    assert checks == [None, None, Expired.WRITE]


@pytest.mark.parametrize("progress", ["unsent", "answers", "frames"])
def test_each_kind_of_progress_shows_that_the_peer_reads(progress: str) -> None:
    connection = Connection(phase=Phase.ANSWERING, unsent=10)
    connection.check(0.0)
    setattr(connection, progress, 5)

    checks = [connection.check(now) for now in (50.0, 109.9, 110.0)]

    assert checks == [None, None, Expired.WRITE]


@pytest.mark.parametrize("other", ["unread", "discarded"])
def test_bytes_that_a_stuck_peer_sends_are_no_progress(other: str) -> None:
    connection = Connection(phase=Phase.ANSWERING, unsent=10)
    connection.check(0.0)
    setattr(connection, other, 5)

    assert connection.check(LIMITS.write_time) is Expired.WRITE


def test_a_peer_without_unsent_bytes_is_never_stuck() -> None:
    connection = Connection(phase=Phase.ANSWERING)

    assert [connection.check(now) for now in (0.0, 1e6)] == [None, None]


def test_a_stuck_peer_counts_before_the_limit_of_its_phase() -> None:
    connection = Connection(phase=Phase.HEAD, unsent=1)
    connection.check(0.0)

    assert connection.check(1_000.0) is Expired.WRITE


def test_the_seconds_of_a_stuck_peer_are_those_since_its_last_progress() -> None:
    connection = Connection(phase=Phase.ANSWERING, unsent=10)
    connection.check(100.0)
    connection.unsent = 9
    connection.check(130.0)
    connection.check(150.0)

    assert connection.timeouts.seconds_stuck(155.0) == 25.0
