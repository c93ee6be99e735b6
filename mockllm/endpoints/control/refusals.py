"""The refusals of the control API, as exceptions: `answers.refuse` answers with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mockllm.errors import Problem, RequestError
from mockllm.exchange import Headers

MAX_TOLD = 3  # problems in the text of an error
MAX_PROBLEMS = 1_000  # problems in the answer


class ControlError(RequestError):
    """A request to the control API that is refused: a status, a code for programs, and all
    `problems` of its body."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        problems: Sequence[Problem] = (),
        headers: Headers = (),
    ) -> None:
        super().__init__(status, message, code=code, headers=headers)
        self.problems = tuple(problems)


def bad_parameter(
    name: str, expected: str, found: str, *, is_unknown: bool = False
) -> ControlError:
    """Return a 400 about a parameter of the query."""
    what = f"Unknown parameter {name!r:.60}" if is_unknown else f"{name}={found!r:.60}"
    return ControlError(400, "bad_parameter", f"{what}: expected {expected}")


def invalid(code: str, message: str, problems: Iterable[Problem] = ()) -> ControlError:
    """Return a 400 about a body with all its mistakes."""
    found = tuple(problems)
    texts = "; ".join(map(str, found[:MAX_TOLD]))
    more = f"; and {len(found) - MAX_TOLD:,} more" if len(found) > MAX_TOLD else ""
    told = f"{message}: {texts}{more}" if found else message
    return ControlError(400, code, told, problems=found[:MAX_PROBLEMS])


def forbidden(message: str) -> ControlError:
    """Return a 403 for a token of a session."""
    return ControlError(403, "forbidden", message)


def not_found(what: str, hint: str = "") -> ControlError:
    """Return a 404 about something that is named in the path."""
    return ControlError(404, "not_found", f"There is no {what}{hint}")
