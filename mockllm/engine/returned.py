"""Reads what a function of the author returned, as if it were written in a mock."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from mockllm.config import mistakes
from mockllm.config.answers import WrittenAnswer
from mockllm.config.error import AnyError, Error
from mockllm.config.functions import is_function
from mockllm.config.reply import AnyReply, Reply
from mockllm.engine.reply import compile_source
from mockllm.wire import jsontext

_EXPECTED = "expected a text, a Reply, a dict in the form of a 'reply', or an Error"


class Returned(WrittenAnswer):
    """The answer that a function returned: a `reply` or an `error`."""

    reply: AnyReply | None = None
    error: AnyError | None = None


def read_returned(value: Any) -> Returned:
    """Return what a function returned as a written answer.

    Raises:
        ValueError: it is no answer; the reason begins with what it is.
    """
    if value is None or is_function(value):
        found = "None" if value is None else f"a function, {value!r:.100}"
        raise ValueError(f"{found}, {_EXPECTED}")
    given = {"error" if isinstance(value, Error) else "reply": value}
    try:
        returned = Returned.model_validate(given)
    except ValidationError as exc:
        found = str(mistakes.problems(exc, Returned, given, "")[0])
        raise ValueError(f"what is not an answer: {found}; {_EXPECTED}") from exc
    if returned.said is not None:
        _check(returned.said)
    return returned


def _check(reply: Reply) -> None:
    """Raise a ValueError if a reply cannot be sent."""
    written = reply.model_dump(by_alias=True, exclude_unset=True)
    for path, message in jsontext.find_unserialisable(written):
        raise ValueError(f"{mistakes.json_path([*path])}: {message}; {_EXPECTED}")
    for path, source in reply.templates():
        try:
            compile_source(source)
        except ValueError as exc:
            place = f" with {mistakes.json_path(path)}" if path else ""
            raise ValueError(f"a reply{place}: {exc}") from exc
