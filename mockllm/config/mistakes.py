"""Translates validation errors of pydantic to messages in terms of the configuration file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from mockllm.config import foreign_words
from mockllm.config.keys import keys_of, keywords_of
from mockllm.config.values import without_own_keys
from mockllm.errors import (
    MAX_DESCRIBED,
    MAX_HINTS,
    ConfigError,
    Place,
    Problem,
    closest,
    did_you_mean,
    not_described,
)
from mockllm.matching.texts import MAX_QUOTE, quote
from mockllm.wire import jsontext

Location = tuple[int | str, ...]
Model = type[BaseModel]
T = TypeVar("T", bound=BaseModel)

CONTRADICTION = "contradiction"
"""The type of an error about several values that do not go together; its text is complete."""
ONE_ANSWER = "one_answer"
"""The type of an error about a mock or an entry that has none of the keys in `ANSWERS`, or several.
It is raised for the last of these keys."""
ANSWERS = ("response", "reply", "error", "sequence")

_COMPLETE = ("too_deep", "null", "address", "session", CONTRADICTION, ONE_ANSWER)
"""The types of errors whose text is complete."""
TOO_DEEP = ("recursion_depth_exceeded", "recursion_loop")
"""The types of the error of newer and of older versions of pydantic."""
MAX_STEPS = 8  # of the location of what is nested too deeply, whose end is hundreds of them away

_EXPECTED: Mapping[str, str] = {
    "missing": "a value",
    "list_type": "a list",
    "sequence_str": "a list",
    "too_short": "a list that is not empty",
    "string_type": "a string",
    "string_too_short": "a non-empty string",
    "string_unicode": "a string of Unicode characters",
    "invalid_key": "a key that is a string",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
}
"""What is expected, by the types of errors that always expect the same."""
_OBJECTS: Mapping[str, str] = {
    "mocks": '{"match": {...}, "reply": "..."}',
    "match": '{"user": {"contains": "..."}}',
    "all_of": '{"user": {"contains": "..."}}',
    "any_of": '{"user": {"contains": "..."}}',
    "not": '{"user": {"contains": "..."}}',
    "body": '{"$.temperature": 0}',
    "message": '{"role": "user", "content": "..."}',
    "tool_calls": '{"name": "...", "arguments": {...}}',
    "usage": '{"input": 10, "output": 20}',
    "stream": '{"chunk": "word"}',
    "headers": '{"x-name": "..."}',
    "fault": '{"end": "cut"}',
    "rate_limit": '{"rpm": 50}',
    "traffic": '{"error": "overloaded", "chance": 0.1}',
}
"""Objects that may stand under these keys, alone or in a list."""
_A_HEADER = '{"name": "x-name", "value": "..."}'
"""An object in the list `headers` of a match."""
_TEXTS = ("models", "system_contains", "tool_names", "any", "api")
"""The keys of lists of texts alone."""
_MATCHES = ("match", "not")
"""The keys of one match, for which authors write a list."""

_AS_IN_A_FILE: Mapping[str, str] = {}
"""The keywords of an object in a file: its keys."""
_PERCENTAGE = re.compile(r"(100|[0-9]{1,2}(?:\.[0-9]{1,3})?) ?%", re.ASCII)
_QUOTED = re.compile(r"'([^']*)'")  # a value that pydantic expects


def contradiction(message: str, *at: int | str, needs: str = "") -> PydanticCustomError:
    """Return the error of validation about several values that do not go together. What is at fault
    is `at` this path in the value that is validated. If it is a field that `needs` another key
    beside it, there is no error where that is misspelt."""
    context = {"message": message, "at": at, "needs": needs}
    return PydanticCustomError(CONTRADICTION, "{message}", context)


def problems_of_call(error: ValidationError, root: Model, written: Any) -> list[Problem]:
    """Return the problems of a call of `root` in Python with these keywords. What is told of its
    own keys names them as they can be typed there."""
    return problems(error, root, written, f"{root.__name__}()", keywords_of(root))


def problems(
    error: ValidationError,
    root: Model,
    data: Any,
    file: str,
    keywords: Mapping[str, str] = _AS_IN_A_FILE,
) -> list[Problem]:
    """Return a problem for each mistake that `error` found in `data`, validated as `root`: for the
    first `MAX_DESCRIBED` of a mock, and one that counts its others. If a required key is misspelt,
    only the misspelling is reported, not the missing key. `keywords` are written instead of keys
    of `root` itself."""
    details = error.errors(include_url=False, include_context=True)
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    guessed = {at: _meant_key(root, at, _own(at, keywords)) for at in unknown[:MAX_HINTS]}
    meant = {(*at[:-1], key) for at, key in guessed.items()}
    counts: Counter[Location] = Counter()  # of mocks, and of what is in none
    told: set[Location] = set()
    found: list[Problem] = []
    for detail in details:
        if any(missing in meant for missing in _missing(detail)):
            continue
        mock = _mock_of(detail["loc"])
        counts[mock] += 1
        if counts[mock] > MAX_DESCRIBED:
            continue
        alone = _alone(detail["loc"], data)
        if alone is None:
            place = place_of(_location(detail), data, file)
            own = _own(detail["loc"], keywords)
            found.append(Problem(place, _describe(root, detail, guessed, own)))
        elif alone[0] not in told:
            told.add(alone[0])
            message = f"expected a list, found one {alone[1]}; write [{alone[1]}(...)]"
            found.append(Problem(place_of(alone[0], data, file), message))
    for mock, count in counts.items():
        found += not_described(place_of(mock, data, file), count - MAX_DESCRIBED)
    return found


def validated(model: type[T], data: Any) -> T:
    """Return `data` as an object of the type `model`.

    Raises:
        ConfigError: it is invalid; the error has all mistakes.
    """
    try:
        return model.model_validate(data)
    except ValidationError as exc:
        raise ConfigError(tuple(problems(exc, model, data, ""))) from exc


def _alone(location: Location, data: Any) -> tuple[Location, str] | None:
    """Return the location and the class of an object made in Python that stands where a list of
    such is expected, if a mistake at `location` is one of its members: validation takes these for
    entries."""
    for at, step in enumerate(location):
        if isinstance(step, int) and isinstance(data, BaseModel):
            return location[:at], type(data).__name__
        data = _member(data, step)
    return None


def _member(data: Any, step: int | str) -> Any:
    """Return what is one step further in a value; None if there is nothing."""
    match data:
        case _ if _is_tag(step):
            return data
        case Mapping():
            return data.get(step)
        case list() | tuple() if isinstance(step, int) and step < len(data):
            return data[step]
        case _:
            return None


def _missing(detail: ErrorDetails) -> list[Location]:
    """Return the keys of which the error says that one is missing."""
    match detail["type"]:
        case "missing":
            return [detail["loc"]]
        case "one_answer":
            return [(*detail["loc"][:-1], name) for name in ANSWERS]
        case "contradiction" if detail["ctx"]["needs"]:
            return [(*detail["loc"][:-1], detail["ctx"]["needs"])]
        case _:
            return []


def _mock_of(location: Location) -> Location:
    """Return the location of the mock that a location is in; an empty one if it is in none."""
    match location:
        case (str(), int(), *_):
            return location[:2]
        case _:
            return ()


def _location(detail: ErrorDetails) -> Location:
    """Return the location of what is at fault: a mock or an entry, if it is its answer."""
    if detail["type"] == ONE_ANSWER:
        return detail["loc"][:-1]
    if detail["type"] in TOO_DEEP:
        return detail["loc"][:MAX_STEPS]
    return (*detail["loc"], *detail.get("ctx", {}).get("at", ()))


def _own(location: Location, keywords: Mapping[str, str]) -> Mapping[str, str]:
    """Return `keywords` for a mistake in the object itself or at one of its keys; none deeper in
    it, where there may be the keys of a file."""
    return keywords if len(location) <= 1 else _AS_IN_A_FILE


def _with_keywords(message: str, keywords: Mapping[str, str]) -> str:
    """Return a message about keys with these keywords in their place."""
    for key, keyword in keywords.items():
        message = message.replace(f"{key!r}", f"{keyword!r}")
    return message


def _describe(
    root: Model,
    detail: ErrorDetails,
    guessed: Mapping[Location, str | None],
    keywords: Mapping[str, str],
) -> str:
    """Describe a mistake. The meaning of unknown keys is `guessed`, by their locations."""
    kind, location = detail["type"], detail["loc"]
    if kind == CONTRADICTION:
        return _with_keywords(detail["msg"], keywords)
    if kind in _COMPLETE:
        return detail["msg"]
    if kind in TOO_DEEP:
        return "nested too deeply"
    if kind == "extra_forbidden":
        model, key = _model_at(root, location), str(location[-1])
        return _describe_unknown(model, key, guessed.get(location), keywords)
    return f"{_expected(detail)}, found {_found(detail)}{_remedy(detail)}"


def _expected(detail: ErrorDetails) -> str:
    """Return what was expected: ``expected a list``."""
    match detail["type"]:
        case kind if kind in _EXPECTED:
            return f"expected {_EXPECTED[kind]}"
        case "dict_type" | "model_type":
            return f"expected an object{_such(detail)}"
        case "is_instance_of" if detail["ctx"]["class"] == "Sequence":
            return "expected a list"
        case "greater_than":
            return f"expected more than {_bound(detail['ctx']['gt'])}"
        case "greater_than_equal":
            return f"expected at least {_bound(detail['ctx']['ge'])}"
        case "less_than_equal":
            return f"expected at most {_bound(detail['ctx']['le'])}"
        case "enum" | "literal_error":
            return f"expected {detail['ctx']['expected']}"
        case _:
            return detail["msg"]


def _found(detail: ErrorDetails) -> str:
    """Return what was found instead: ``5``, ``a list``, ``nothing``."""
    match detail["type"]:
        case "missing":
            return "nothing"
        case "string_too_short" | "too_short":
            return "an empty one"
        case "no_operator" if not without_own_keys(detail["input"]):
            return "none"
        case _ if isinstance(detail["input"], BaseModel):
            return f"one {type(detail['input']).__name__}"
        case _:
            return jsontext.describe(detail["input"])


def _remedy(detail: ErrorDetails) -> str:
    """Return what to do, behind a semicolon; empty if nothing is known."""
    value, key = detail["input"], _last_key(detail["loc"])
    match detail["type"]:
        case "dict_type" | "model_type":
            return foreign_words.instead_of_answer(key, value) or _instead_of_list(detail)
        case "list_type" | "sequence_str":
            return _in_brackets(detail)
        case "is_instance_of" if detail["ctx"]["class"] == "Sequence":
            return _in_brackets(detail)
        case "faults":
            return foreign_words.instead_of_fault(value)
        case "no_operator" if not without_own_keys(value):
            return '; {"contains": ""} holds for any text'
        case "string_type":
            hint = foreign_words.instead_of_text(str(detail["loc"][-1]), value)
            return hint or _in_quotes(value)
        case "reply_type" if isinstance(value, (BaseModel, list, tuple)):
            return _instead_of_reply(value)
        case "text" | "reply_type" | "entry_type":
            return _in_quotes(value)
        case "float_type" | "finite_number":
            return _as_share(value)
        case "less_than_equal" if detail["ctx"]["le"] == 1:
            return _as_share(value)
        case "enum" | "literal_error":
            known = _QUOTED.findall(detail["ctx"]["expected"])
            meant = foreign_words.meant_value(key, value) or closest(str(value), known)
            return did_you_mean(meant) or foreign_words.elsewhere(key, value)
        case _:
            return ""


def _last_key(location: Location) -> str:
    """Return the last key in a location; empty if there is none."""
    keys = (step for step in reversed(location) if isinstance(step, str) and not _is_tag(step))
    return next(keys, "")


def _such(detail: ErrorDetails) -> str:
    """Return an example of the object that is expected; empty if none is known."""
    example = _example(detail) if detail["loc"] else '{"mocks": [...]}'
    return f" such as {example}" if example else ""


def _example(detail: ErrorDetails) -> str:
    """Return an object for the place of a mistake; empty if none is known."""
    key = _last_key(detail["loc"])
    is_in_list = detail["type"] == "list_type" or isinstance(detail["loc"][-1], int)
    return _A_HEADER if key == "headers" and is_in_list else _OBJECTS.get(key, "")


def _instead_of_list(detail: ErrorDetails) -> str:
    """Return what to write instead of a list of matches where one is expected."""
    is_list = isinstance(detail["input"], (list, tuple)) and detail["loc"][-1:] != ()
    return '; write {"any_of": [...]}' if is_list and detail["loc"][-1] in _MATCHES else ""


def _instead_of_reply(value: Any) -> str:
    """Return what to write instead of what is no reply but another answer, or several."""
    if isinstance(value, BaseModel):
        return "; write it as 'error'" if type(value).__name__ == "Error" else ""
    return "; write 'sequence' for several answers"


def _in_brackets(detail: ErrorDetails) -> str:
    """Return the list to write instead of a value alone; empty if none is known."""
    key, value = _last_key(detail["loc"]), detail["input"]
    match value:
        case BaseModel():
            return f"; write [{type(value).__name__}(...)]"
        case Mapping() if key not in _TEXTS:
            return "; write [{...}]"
        case str() if key in _OBJECTS:
            return f"; write [{_example(detail)}]"
        case str() if value.isprintable() and len(value) <= MAX_QUOTE and '"' not in value:
            return f'; write ["{value}"]'
        case _:
            return ""


def _in_quotes(value: object) -> str:
    """Return the text to write instead of a number; empty if the value is none."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f'; write "{value}"' if is_number else ""


def _as_share(value: object) -> str:
    """Return the number to write instead of a percentage; empty if the value is none."""
    written = value if isinstance(value, str) else f"{value}%"
    found = _PERCENTAGE.fullmatch(written)
    return f"; write {float(found[1]) / 100:g} if {found[1]} % are meant" if found else ""


def _bound(number: float) -> str:
    return str(int(number) if float(number).is_integer() else number)


def place_of(location: Location, data: Any, file: str) -> Place:
    """Return the place of ("openai", 3, "match"): ``mocks/a.json: openai[3] 'greet': match``;
    `data` has the name of the mock."""
    match location:
        case (str() as field, int() as index, *rest) if field != "models":  # a list of mocks
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
    """Format ["match", "headers", 0, "name"] as ``match.headers[0].name``. A key that would not be
    read on one line is quoted, and cut: ``match['a\\nb']``."""
    path = "".join(_show_step(step) for step in location if not _is_tag(step))
    return path.removeprefix(".")


def _show_step(step: int | str) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if step.isprintable() and len(step) <= MAX_QUOTE else f"[{quote(step)}]"


def _describe_unknown(
    model: Model, key: str, meant: str | None, keywords: Mapping[str, str]
) -> str:
    """Describe a key that objects of the type `model` do not have; `meant` is one that they do."""
    foreign = foreign_words.find(model, key)
    if foreign is not None:
        return _with_keywords(foreign.message, keywords)
    known = ", ".join(sorted(keywords.get(each, each) for each in keys_of(model)))
    expected = f"one of {known}" if known else "no key"
    hint = did_you_mean(keywords.get(meant, meant) if meant else None)
    return f"unknown key, expected {expected}{hint}"


def _model_at(root: Model, location: Location) -> Model:
    """Return the model of the object whose key is at the end of `location`, in a configuration of
    type `root`."""
    model: Model = root
    annotation: Any = root
    for step in location[:-1]:
        if isinstance(step, int):
            continue
        annotation = _tagged(annotation, step) if _is_tag(step) else keys_of(model).get(step)
        model = _model_in(annotation) or model
    return model


def _is_tag(step: int | str) -> bool:
    """True for the name of an alternative of a type, which pydantic puts into locations:
    ``<tests>``. It is not part of the configuration."""
    return isinstance(step, str) and step.startswith("<")


def _tagged(annotation: Any, tag: str) -> Any:
    """Return the alternative called `tag` in the type of a field."""
    if Tag(tag) in get_args(annotation):
        return annotation
    return next(filter(None, (_tagged(each, tag) for each in get_args(annotation))), None)


def _model_in(annotation: Any) -> Model | None:
    """Return the model in the type of a field: alone, in a list, or optional."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _meant_key(root: Model, location: Location, keywords: Mapping[str, str]) -> str | None:
    """Return the key that is meant by an unknown one, or by one that resembles its keyword."""
    model, key = _model_at(root, location), str(location[-1])
    foreign = foreign_words.find(model, key)
    if foreign is not None:
        return foreign.meant
    keys = {keyword: own for own, keyword in keywords.items()}
    meant = closest(key, (*keys_of(model), *keys)) or foreign_words.resembled(model, key)
    return keys.get(meant, meant) if meant else None
