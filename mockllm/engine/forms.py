"""Forms of mocks: a review finds the same in all mocks of a list that have the same form.

Who has 100,000 mocks wrote them with a program, so they differ in their texts, and in little else.
To review one takes 60 µs, to find its form 5 µs: a form is reviewed once.

A form has all that is written in a mock but its name and those texts which no review reads: what is
said, and what a request is compared with. It does not know what reviews find.
"""

from __future__ import annotations

import marshal
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mockllm.config.answers import WrittenAnswer
from mockllm.config.conditions import OPERATORS, Conditions, TextMatch
from mockllm.config.models import AnyMock
from mockllm.config.objects import ConfigObject
from mockllm.config.reply import Reply
from mockllm.engine.reply import EXAMPLE
from mockllm.engine.review.mocks import FILLED_IN
from mockllm.engine.review.surprises import NEXT_ENTRY
from mockllm.errors import Place, Problem, Severity

MAX_FORMS = 1_000  # by which the mocks of a list are reviewed; recorded ones have one for each

Form = bytes

_TEXTS = frozenset({"content", "text"})
"""Members of an answer or a message that no review reads if they are a text."""
_HOLDERS = _TEXTS | {"choices", "message", "output"}
"""Members that have such texts, or are one."""
_WITHOUT_TEXT = (FILLED_IN, NEXT_ENTRY)
"""The beginnings of the messages that have nothing of a mock but its paths."""
_REPEATED = "output_text"
"""A member of an answer that is compared with its texts."""
_SURROGATE = re.compile("[\ud800-\udfff]")


class ReviewedForms:
    """The notes about the mocks of a list, by their forms, if there is nothing else about them."""

    def __init__(self) -> None:
        self._notes: dict[Form, Sequence[Problem]] = {}

    def notes(self, form: Form | None, place: Place) -> Sequence[Problem] | None:
        """Return the notes about a mock with this form, which is at `place`; None if it has to be
        reviewed."""
        notes = None if form is None else self._notes.get(form)
        return notes and [_moved(note, place) for note in notes]

    def add(self, form: Form | None, problems: Sequence[Problem]) -> None:
        """Remember that these problems are all that there is about a mock with this form. Those
        that may quote a text of the mock cannot be told of another."""
        if form is not None and all(map(_has_no_text, problems)):
            self._notes[form] = tuple(problems)


def _has_no_text(problem: Problem) -> bool:
    return problem.severity is Severity.NOTE and problem.message.startswith(_WITHOUT_TEXT)


def _moved(problem: Problem, place: Place) -> Problem:
    """Return a problem of a mock as that of the mock at `place`."""
    assert isinstance(problem.place, Place)
    return replace(problem, place=place.at(problem.place.path))


def form_of(mock: AnyMock) -> Form | None:
    """Return the form of a mock; None if it is not known. It is known of one match, whose
    conditions are not nested, with answers that are not made, late or broken."""
    fields = [type(mock).__name__, *_forms_of_fields(mock, _FIELDS)]
    try:
        return marshal.dumps(fields, 0)  # tells NaN from null, and 1 from true
    except ValueError:  # there is an object of the configuration
        return None


def _forms_of_fields(
    written: ConfigObject, forms: Mapping[str, Callable[[Any], Any]]
) -> list[tuple[str, Any]]:
    """Return what is written in an object by field, those in `forms` as their forms."""
    fields = written.__dict__
    return [
        (name, forms[name](fields[name]) if name in forms else fields[name])
        for name in sorted(written.model_fields_set)
    ]


def _form_of_match(match: Conditions) -> Any:
    return _forms_of_fields(match, _CONDITIONS)


def _form_of_entries(entries: Sequence[WrittenAnswer] | None) -> Any:
    return entries and [_forms_of_fields(entry, _FIELDS) for entry in entries]


def _no_form(value: Any) -> None:
    pass


def _form_of_text(value: Any) -> Any:
    """Return the form of a condition on a text. Several tests may contradict each other, and an
    expression may be wrong."""
    if type(value) is str:
        return _without_text(value)
    if type(value) is TextMatch:
        match [name for name in OPERATORS if getattr(value, name) is not None]:
            case [name] if name != "regex":
                return name, value.ignore_case, _without_text(getattr(value, name))
    return value


def _form_of_items(value: Any) -> Any:
    return _without_text(value) if type(value) is str else _without_texts(value)


def _form_of_response(response: dict[str, Any]) -> Any:
    return response if _REPEATED in response else _without_texts(response)


def _form_of_reply(reply: Any) -> Any:
    if type(reply) is Reply and type(reply.text) is str and reply.model_fields_set == {"text"}:
        return (_without_text(reply.text),)
    return reply


_FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "name": _no_form,
    "match": _form_of_match,
    "response": _form_of_response,
    "reply": _form_of_reply,
    "first": _form_of_entries,
    "sequence": _form_of_entries,
}
_CONDITIONS: Mapping[str, Callable[[Any], Any]] = {
    "match_type": str,
    "message": _form_of_items,
    "input": _form_of_items,
    **dict.fromkeys(
        ("user", "last_user", "any_message", "tool_result", "system", "model"), _form_of_text
    ),
}


def _without_texts(value: Any) -> Any:
    """Return an answer or a message with an example in place of its texts."""
    if type(value) is list:
        return [_without_texts(each) for each in value]
    if type(value) is not dict:
        return value
    form = value.copy()
    for name, member in value.items():
        if name in _HOLDERS:
            is_text = type(member) is str and name in _TEXTS
            form[name] = _without_text(member) if is_text else _without_texts(member)
    return form


def _without_text(text: str) -> str:
    """Return an example in place of a text that is not empty. Half of a surrogate pair is a
    mistake, so that a text with one is its own form."""
    return EXAMPLE if text and (text.isascii() or not _SURROGATE.search(text)) else text
