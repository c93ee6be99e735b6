"""``/speed`` and ``/reset``: how fast time passes, and where sequences stand."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictFloat

from mockllm.endpoints.control.answers import answer, check_version, no_content, version_of
from mockllm.endpoints.control.desk import Desk
from mockllm.endpoints.control.request import ControlBody, ControlRequest
from mockllm.engine.changes import ResetMocks, SetSpeed
from mockllm.engine.decision import Decision, Question
from mockllm.limits import MAX_SPEED, MIN_SPEED
from mockllm.observers.timing import Timing


class Speed(ControlBody):
    """The body of ``PUT /speed``."""

    speed: Annotated[StrictFloat, Field(ge=MIN_SPEED, le=MAX_SPEED)]
    """How much faster than real time latencies are."""


class NoMembers(ControlBody):
    """A body without members, or none at all."""


def read_speed(desk: Desk, asked: ControlRequest) -> Decision:
    """Answer with the speed."""
    return _answer(desk)


def read_timing(desk: Desk, asked: ControlRequest) -> Decision:
    """Answer how late the steps of paced answers were, in all processes of the server."""
    return answer(Timing.of(desk.server.timing())._asdict())


def put_speed(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Set the speed: all open answers follow at once.

    Raises:
        ControlError: 400, 412.
    """
    wanted: Speed = asked.read(Speed)

    def check() -> list[SetSpeed]:
        check_version(asked.request, lambda: version_of(desk.clock.speed))
        now = desk.clock.now()
        return [SetSpeed(wanted.speed, now, desk.clock.elapsed(now))]

    return desk.changes.commit(check, lambda changes: _answer(desk))


def reset(desk: Desk, asked: ControlRequest) -> Decision | Question:
    """Let the mocks with several answers begin with the first one again, in a session or in all.

    Raises:
        ControlError: 400, 403.
    """
    asked.read(NoMembers)
    session = asked.scope()
    return desk.changes.commit(lambda: [ResetMocks(session)], lambda changes: no_content())


def _answer(desk: Desk) -> Decision:
    speed = desk.clock.speed
    return answer({"speed": speed}, etag=version_of(speed))
