"""Reads what a function of the author returned, as if it were written in a mock."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from mockllm.config import foreign_words, mistakes
from mockllm.config.answers import WrittenAnswer
from mockllm.config.error import WORDS, AnyError, Error
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
        meant = _meant_error(value)
        if meant:
            found = "a dict with an error, which is an answer of its own"
            raise ValueError(f"{found}; write return {meant}") from exc
        found = str(mistakes.problems(exc, Returned, given, "")[0])
        raise ValueError(f"what is not an answer: {found}; {_EXPECTED}") from exc
    if returned.said is not None:
        _check(returned.said)
    return returned


def _meant_error(value: Any) -> str:
    """Return the error to write instead of a dict that has one; empty if it has none."""
    match value:
        case {"error": {"status": int(status)}} | {"status": int(status)}:
            return f"Error(status={status})"
        case {"error": {"as": word}} | {"error": {"type": word}} | {"error": word}:
            known = word if word in WORDS else foreign_words.meant_value("error", word)
            return f'Error(word="{known or "..."}")'
        case _:
            return ""


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
