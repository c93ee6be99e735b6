"""Translates validation errors of pydantic to messages in terms of the configuration file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import (
    BaseModel,
    ValidationError,
)
from pydantic_core import ErrorDetails

from mockllm.errors import Place, Problem
from mockllm.wire import jsontext

Location = tuple[int | str, ...]
Model = type[BaseModel]

_QUOTED = re.compile(r"'([^']*)'")  # a value that pydantic expects


def problems(error: ValidationError, root: Model, data: Any, file: str) -> list[Problem]:
    """Return a problem for each mistake that `error` found in `data`, validated as `root`. If a
    required key is misspelt, only the misspelling is reported, not the missing key."""
    details = error.errors(include_url=False, include_context=True)
    meant = {
        (*detail["loc"][:-1], _meant_key(root, detail["loc"]))
        for detail in details
        if detail["type"] == "extra_forbidden"
    }
    return [
        Problem(place_of(detail["loc"], data, file), _describe(root, detail))
        for detail in details
        if not (detail["type"] == "missing" and detail["loc"] in meant)
    ]


def _describe(root: Model, detail: ErrorDetails) -> str:
    found = jsontext.describe(detail["input"])
    match detail["type"]:
        case "too_deep" | "address" | "session":
            return detail["msg"]
        case "extra_forbidden":
            words = ", ".join(sorted(_known_keys(root, detail["loc"])))
            hint = _did_you_mean(_meant_key(root, detail["loc"]))
            return f"unknown key, expected one of {words}{hint}"
        case "missing":
            return "expected a value, found nothing"
        case "enum":
            expected = detail["ctx"]["expected"]
            hint = _did_you_mean(_closest(str(detail["input"]), _QUOTED.findall(expected)))
            return f"expected {expected}, found {found}{hint}"
        case "dict_type" | "model_type":
            return f"expected an object, found {found}"
        case "list_type":
            return f"expected a list, found {found}"
        case "string_type":
            return f"expected a string, found {found}"
        case "string_too_short":
            return "expected a non-empty string, found an empty one"
        case "bool_type":
            return f"expected true or false, found {found}"
        case _:
            return f"{detail['msg']}, found {found}"


def place_of(location: Location, data: Any, file: str) -> Place:
    """Return the place of ("openai", 3, "match"): ``mocks/a.json: openai[3] 'greet': match``;
    `data` has the name of the mock."""
    match location:
        case (str() as field, int() as index, *rest):  # at the top, lists hold mocks only
            name = _name_of(field, index, data)
            return Place(file=file, field=field, position=index, name=name, path=json_path(rest))
        case _:
            return Place(file=file, path=json_path(list(location)))


def _name_of(field: str, index: int, data: Any) -> str:
    """The name of a mock in the content of a file; empty if it has none."""
    mocks = data.get(field) if isinstance(data, dict) else None
    mock = mocks[index] if isinstance(mocks, list) and index < len(mocks) else None
    name = mock.get("name") if isinstance(mock, dict) else None
    return name if isinstance(name, str) else ""


def json_path(location: list[int | str]) -> str:
    """Format ["match", "headers", 0, "name"] as ``match.headers[0].name``."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return path.removeprefix(".")


def _known_keys(root: Model, location: Location) -> list[str]:
    """Return the keys allowed at the end of `location` in a configuration of type `root`."""
    model = root
    for step in location[:-1]:
        if isinstance(step, str) and step in model.model_fields:
            model = _model_in(model.model_fields[step].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> Model | None:
    """Return the model in the type of a field: alone, in a list, or optional."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _meant_key(root: Model, location: Location) -> str | None:
    return _closest(str(location[-1]), _known_keys(root, location))


def _closest(word: str, words: Sequence[str]) -> str | None:
    close = get_close_matches(word, words, n=1)
    return close[0] if close else None


def _did_you_mean(word: str | None) -> str:
    return f"; did you mean {word!r}?" if word else ""
