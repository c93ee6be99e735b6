"""The tokens of an answer, one after the other, beside the way of any frame."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mockllm.engine.decision import End
from mockllm.exchange import COMPLETE, Ending, EndingKind, PoolRule
from mockllm.http1.framing import PAUSE, Frame
from mockllm.observers.metric_cells import LATE_SUM
from mockllm.serve import token_steps
from mockllm.serve.paced_player import PacedPlayer
from mockllm.serve.player import MAX_UNSENT
from mockllm.state.sessions import COMMON
from mockllm.wire import placeholders
from tests.support import manual_time
from tests.support.manual_time import ALONE, Answer, ManualTime, Peer, frames_of, pacing
from tests.support.metered import Metered, chat

FRAMES = st.lists(
    st.builds(
        Frame,
        st.sampled_from([0.0, 0.0, 0.005, 1.0]),
        st.sampled_from([b"a", b"bc", b"", placeholders.UNIQUE_ID, b"d" * MAX_UNSENT]),
        st.sampled_from([None, None, None, 1]),
        st.sampled_from([1, 1, 1, 0, 3]),
        st.sampled_from(["", "", "", "gate"]),
    )
)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.01, 0.02, 1.0]),
        st.sampled_from(["run", "run", "run", "stall", "slow", "fast", "release", "finish"]),
    ),
    max_size=12,
)


def _history(
    frames: list[Frame],
    events: list[tuple[float, str]],
    ending: Ending,
    rule: PoolRule,
    cv: float,
    *,
    shared: bool = False,
) -> tuple[object, ...]:
    """All that is seen of an answer while a peer and a test do `events`."""
    time = ManualTime()
    clock = time.clock()
    times = pacing(0.015, 0.01, rule)._replace(cv=cv, key=7)
    answer = Answer(time, clock, times, frames, shared=shared, ending=ending)
    for seconds, event in events:
        match event:
            case "stall":
                time.stall(seconds)
            case "slow":
                answer.slow_down()
            case "fast":
                answer.peer.writable.set()
                answer.player.resume()
            case "release":
                answer.player._gates.open(COMMON, "gate")
            case "finish":
                answer.player._peer_finished.set()
                answer.player.take_care()
        time.run(time.now + seconds)
    seen = (answer.peer.got, answer.ends, answer.kind, answer.is_over, answer.player.gate)
    return (*seen, answer.player.frames_sent, [*clock.lateness._cells], time.timers)


@example(
    [*[Frame(0.0, b"a", None, 1, "")] * 3, Frame(0.0, b"a", None, 1, "gate")],
    [(0.02, "run"), (0.02, "stall"), (1.0, "run")],
    COMPLETE,
    ALONE,
    0.0,
)
@example(
    [*[Frame(0.0, b"a", None, 1)] * 3, *[PAUSE] * 5, Frame(0.0, b"a"), Frame(0.0, b"a", None, 1)],
    [(1.0, "run")],
    COMPLETE,
    ALONE,
    0.0,
)
@given(
    FRAMES,
    EVENTS,
    st.sampled_from([COMPLETE, Ending(EndingKind.CUT), Ending(EndingKind.CUT, time=0.02)]),
    st.sampled_from([ALONE, PoolRule("slow", 2, None, 2.0)]),
    st.sampled_from([0.0, 0.0, 0.5]),
)
def test_the_short_way_of_tokens_does_what_the_long_one_does(
    frames: list[Frame],
    events: list[tuple[float, str]],
    ending: Ending,
    rule: PoolRule,
    cv: float,
) -> None:
    short = _history(frames, events, ending, rule, cv)
    of_shared = _history(frames, events, ending, rule, cv, shared=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PacedPlayer, "_follows_tokens", lambda _: False)
        long = _history(frames, events, ending, rule, cv)
    assert short == of_shared == long


def _metered(tokens: list[int], stalls: list[float], *, shared: bool) -> tuple[object, ...]:
    """What metrics have of an answer, and how late its steps were."""
    time, metered = ManualTime(), Metered()
    metered.meter = metered.board.meter(lambda: time.now)
    clock = time.clock()
    measured = metered.begin(chat("late", stream=True))
    frames = frames_of(*tokens)
    answer = Answer(time, clock, pacing(), frames, shared=shared, measured=measured)
    for seconds in stalls:
        time.run(time.now + 0.02)
        time.stall(seconds)
    time.run()
    assert answer.is_over
    (group,) = metered.sums.groups
    late = round(metered.sums.scalars[LATE_SUM] / 1e9, 7)
    return [*group.cells], late, measured.tokens, [*clock.lateness._cells]


@given(
    st.lists(st.sampled_from([0, 1, 1, 1, 4]), min_size=1, max_size=30),
    st.lists(st.sampled_from([0.0, 0.0, 0.005, 0.03]), max_size=30),
)
def test_metrics_have_the_same_of_tokens_that_take_the_short_way(
    tokens: list[int], stalls: list[float]
) -> None:
    short = _metered(tokens, stalls, shared=False)
    of_shared = _metered(tokens, stalls, shared=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PacedPlayer, "_follows_tokens", lambda _: False)
        long = _metered(tokens, stalls, shared=False)
    assert short == of_shared == long


class SocketPeer(Peer):
    """A peer behind a socket, and a transport that keeps what the socket does not take."""

    def __init__(self, time: ManualTime) -> None:
        super().__init__(time)
        self.ours, self.theirs = socket.socketpair()
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for each in (self.ours, self.theirs):
            each.setblocking(False)
        self.waiting = b""

    def write(self, data: bytes) -> None:
        self.waiting += data

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def send_waiting(self) -> None:
        if self.waiting:
            self.waiting = self.waiting[self.ours.send(self.waiting) :]

    def read(self) -> bytes:
        read = b""
        try:
            while True:
                read += self.theirs.recv(1 << 16)
        except BlockingIOError:
            return read


def test_what_a_socket_does_not_take_comes_before_what_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(manual_time, "Peer", SocketPeer)
    monkeypatch.setattr(token_steps, "descriptor_of", lambda peer: peer.ours.fileno())
    time = ManualTime()
    frames = [Frame(0.0, b"%d " % number * 300, None, 1) for number in range(200)]
    answer = Answer(time, time.clock(), pacing(), frames)
    peer = answer.peer
    assert isinstance(peer, SocketPeer)
    received, had_to_wait = b"", 0
    with closing(peer.ours), closing(peer.theirs):
        for number in range(700):
            time.run(0.005 * number)
            had_to_wait += bool(peer.waiting)
            assert not (peer.waiting and answer.player._is_steady)
            if number % 40 > 20:
                received += peer.read()
                peer.send_waiting()
        while not answer.is_over or peer.waiting:
            time.run(time.now + 1.0)
            received += peer.read()
            peer.send_waiting()
        received += peer.read()

    assert received == b"".join(frame.data for frame in frames)
    assert had_to_wait > 0


@pytest.mark.parametrize("shared", [False, True])
def test_tokens_in_time_take_the_short_way(
    monkeypatch: pytest.MonkeyPatch, *, shared: bool
) -> None:
    played: list[float] = []
    monkeypatch.setattr(PacedPlayer, "_play", _counted(PacedPlayer._play, played))
    time = ManualTime()
    answer = Answer(time, time.clock(), pacing(), frames_of(*[1] * 50), shared=shared)

    time.run()

    assert len(answer.peer.got) == 50
    assert played == pytest.approx(
        [0.0, 0.5, 0.99], abs=1e-5
    )  # before the first, the first, the last


def _counted(play: Any, played: list[float]) -> Any:
    def counted(self: PacedPlayer, now: float) -> EndingKind | None:
        played.append(now)
        kind: EndingKind | None = play(self, now)
        return kind

    return counted


def test_frames_that_fail_in_the_middle_of_tokens_end_the_answer_and_no_other() -> None:
    def failing() -> Iterator[Frame]:
        yield from frames_of(1, 1, 1, 1)
        raise ValueError("broken")

    time = ManualTime()
    clock = time.clock()
    other = Answer(time, clock, pacing(), frames_of(*[1] * 10))
    answer = Answer(time, clock, pacing(), failing())

    time.run()

    assert [data for _, data in answer.peer.got] == [b"0 ", b"1 ", b"2 "]
    assert [str(error) for error in answer.errors] == ["broken"]
    assert answer.ends == [End.FAILED]
    assert len(other.peer.got) == 10
    assert time.timers == 0
