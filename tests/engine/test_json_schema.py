"""The JSON Schema of a configuration finds what `check` finds, and accepts what it accepts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from itertools import chain, combinations, product
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest

from mockllm import Config
from mockllm.config.keys import keys_of
from mockllm.config.models import MOCK_FIELDS
from mockllm.config.objects import ConfigObject
from mockllm.engine.json_schema import configuration_schema
from mockllm.engine.loading import load
from mockllm.errors import ConfigError, Place, Severity
from tests.engine.review.test_impossible import RESPONSES
from tests.support.goldens import TESTDATA
from tests.test_readme import JSON, blocks

Json = dict[str, Any]
USER = {"role": "user", "content": "hi"}
ANY: Json = {"openai": {}, "openai_response": {}, "anthropic": {}, "openai_embeddings": {}}
FOLDERS = {
    "openai/chat": "openai",
    "openai/responses": "openai_response",
    "anthropic/messages": "anthropic",
}


@cache
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(configuration_schema())


def mistakes(config: Any) -> list[str]:
    """The mistakes that an editor shows."""
    return [f"{error.json_path}: {error.message}" for error in validator().iter_errors(config)]


def is_accepted(config: Any) -> bool:
    """True if `check` has neither errors nor warnings."""
    try:
        return load(Config.from_dict(config)).warnings == ()
    except ConfigError:
        return False


def config_objects(model: type[ConfigObject] = ConfigObject) -> Iterator[type[ConfigObject]]:
    for each in model.__subclasses__():
        yield each
        yield from config_objects(each)


def test_each_word_is_described() -> None:
    schema: dict[str, Any] = configuration_schema()
    own = {each.__name__ for each in config_objects()} & schema["$defs"].keys()
    objects = {"": schema, **{name: schema["$defs"][name] for name in own}}
    words = {
        f"{name}.{word}": described
        for name, found in objects.items()
        for word, described in found["properties"].items()
    }

    assert len(words) > 200
    assert {word for word in words if "description" not in words[word]} == set()


def test_it_is_a_json_schema_of_a_sane_size() -> None:
    schema = configuration_schema()

    jsonschema.Draft202012Validator.check_schema(schema)
    assert len(json.dumps(schema)) < 600_000


@pytest.mark.parametrize("example", blocks(JSON))
def test_examples_of_the_documentation_are_valid(example: str) -> None:
    assert mistakes(json.loads(example)) == []


@pytest.mark.parametrize("member", ["sequence", "first"])
@pytest.mark.parametrize("right", [True, False])
def test_answers_of_entries_are_described_too(member: str, right: bool) -> None:
    finish, kind, data = ("stop", "message_stop", []) if right else (1, 1, 1)
    chat = {"choices": [{"message": {"content": "a"}, "finish_reason": finish}]}
    events = [{"type": kind}]
    own = {} if member == "sequence" else {"error": "rate_limit"}
    config = {
        "anthropic": [own | {member: [{"reply": "a", "stream": {"events": events}}]}],
        "openai": [own | {member: ["a", {"response": chat}]}],
        "openai_embeddings": [own | {member: [{"response": {"data": data}}]}],
    }

    found = sorted(error.json_path for error in validator().iter_errors(config))

    assert found == ([] if right else [f"$.{field}[0].{member}" for field in config])


RECORDED = sorted((TESTDATA / "recorded").glob("*.json"))


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_answers_copied_from_services_are_valid(file: Path) -> None:
    recorded = orjson.loads(file.read_bytes())
    one = {"response": recorded.get("response", {})}
    if "events" in recorded:
        one["stream"] = {"events": recorded["events"]}

    assert mistakes({recorded["field"]: [one]}) == []


GOLDEN = [
    pytest.param(field, file, id=f"{field}-{file.parent.name}")
    for folder, field in FOLDERS.items()
    for file in sorted((TESTDATA / folder).glob("*/response.json"))
]


@pytest.mark.parametrize(("field", "file"), GOLDEN)
def test_answers_that_check_accepts_are_valid(field: str, file: Path) -> None:
    config = {field: [{"response": orjson.loads(file.read_bytes())}]}

    assert mistakes(config) == [] or not is_accepted(config)


@pytest.mark.parametrize(("field", "file"), GOLDEN)
def test_what_is_sent_for_an_answer_is_a_valid_match(field: str, file: Path) -> None:
    whole = orjson.loads((file.parent / "whole.json").read_bytes())
    if field == "openai_response":
        wanted: Json = {"input": whole.get("output")}
    elif field == "anthropic":
        wanted = {"message": {"role": "assistant", "content": whole.get("content")}}
    else:
        match whole.get("choices"):
            case [{"message": dict(message)}, *_]:
                wanted = {"message": message}
            case _:
                pytest.skip("no message to send back")
    config = {field: [{"match": wanted, "response": RESPONSES[field]}]}

    assert not is_accepted(config) or mistakes(config) == []


def one(field: str, match: Any = None, response: Any = None, **more: Any) -> Json:
    answer = RESPONSES[field] if response is None else response
    return {field: [{"match": ANY[field] if match is None else match, "response": answer, **more}]}


def answering(message: Json) -> Json:
    return one("openai", response={"choices": [{"message": message}]})


@pytest.mark.parametrize(
    "config",
    [
        one("openai", {"message": USER | {"_comment": "mine", "$anchor": 1}}),
        one(
            "openai",
            {"message": {"role": "tool", "content": "1", "tool_call_id": "c", "name": "f"}},
        ),
        one("openai", {"message": USER | {"content": [{"type": "video_url", "video_url": {}}]}}),
        answering({"content": "a", "reasoning_content": "b"}),
        answering({"tool_calls": [{"function": {"name": "f"}}]}),
        one("openai_response", response={"output": [{"type": "function_call", "name": "f"}]}),
        one("openai_response", {"input": [{"role": "user", "content": "a"}]}),
        one("openai_response", {"input": [{"type": "of_tomorrow", "what": "ever"}]}),
        one("openai_embeddings", {"input": [[1, 2]]}),
        one("openai", stream={"events": [{"error": {"message": "no"}}, "[DONE]"]}),
        one("anthropic", stream={"events": [{"type": "ping"}, {"type": "message_stop"}]}),
    ],
)
def test_what_check_accepts_is_valid(config: Json) -> None:
    assert is_accepted(config)
    assert mistakes(config) == []


@pytest.mark.parametrize(
    "config",
    [
        one("openai", {"message": {"content": "a"}}),
        one("openai", {"message": {"role": "usr", "content": "a"}}),
        one("openai", {"message": USER | {"content": 5}}),
        one("openai", {"message": "hi"}),
        one("openai", {"mesage": USER}),
        answering({"content": 5}),
        one("openai_response", {"input": 5}),
        one("openai_response", {"input": [{"role": "usr", "content": "a"}]}),
        one("openai_response", {"input": [{"type": "function_call_output", "call_id": 5}]}),
        one("anthropic", {"message": USER | {"content": [{"type": "tool_result"}]}}),
        one("openai_embeddings", {"input": {}}),
        one("openai", stream={"events": [{"id": "c", "choices": []}, "[DONE]"]}),
        one("openai", stream={"events": ["[DON]"]}),
        one("openai_response", stream={"events": [{"type": "response.created"}]}),
    ],
)
def test_what_check_tells_of_is_not_valid(config: Json) -> None:
    assert not is_accepted(config)
    assert mistakes(config)


@pytest.mark.parametrize(
    "config",
    [
        one("openai", {"message": {"role": "user", "contnt": "a"}}),
        one("openai", {"message": USER | {"content": [{"type": "text", "txt": "a"}]}}),
        answering({"contnt": "a"}),
        answering({"tool_calls": [{"functon": {"name": "f"}}]}),
        answering({"tool_calls": [{"function": {"nam": "f"}}]}),
        one("openai", response={"choises": []}),
        one("openai", response={"choices": [{"finish_reason": "tool_call"}]}),
        one("openai_response", response={"output": [{"type": "mesage"}]}),
        one("openai_response", response={"output": [{"type": "message", "contnt": []}]}),
        one("anthropic", response={"content": [{"type": "text", "txt": "a"}]}),
        one("anthropic", response={"usage": {"input_token": 1}}),
        one("anthropic", response={"stop_reason": "endturn"}),
        one("openai_embeddings", response={"data": [{"embeding": [0.5]}]}),
        one("anthropic", stream={"events": [{"type": "message_stp"}]}),
    ],
)
def test_typos_are_not_valid(config: Json) -> None:
    assert not is_accepted(config)
    assert mistakes(config)


# --- the words of a match, in every form ---------------------------------------------------------

ANY_VALUES: list[Any] = [
    *("chat", "contains", "", 0, 1, 2, True, None, [], {}),
    *(["chat"], ["chat", "embeddings"], ["chat", {"contains": "a"}], [["a"]], [None], [1]),
    *({"contains": "a"}, {"exact": "a", "ignore_case": True}, {"ignore_case": True}),
    *({"contains": None}, {"contains": 1}, {"contain": "a"}, {"regex": "a+"}, {"regex": ""}),
    *({"_comment": "mine", "ends_with": "a"}, {"$comment": "mine"}),
    *({"text": "a"}, {"text": ["a", {"starts_with": "b"}]}, {"text": None}, {"name": {}}),
    *({"name": "a", "error": True}, {"error": 1}, {"role": "user"}, {"role": "system"}),
    *({"any": ["a"]}, {"any": []}, {"any": "a"}),
    *({"at_least": 2}, {"at_least": 0}, {"at_most": None}, {"at_least": "2"}),
    *({"at_most": 2}, {"_comment": "mine"}),
    *({"$.a": 1}, {"$.a": None}, {"$.a": [1]}, {"a": 1}, {"_a": 1}, {"$.a": {"_comment": 1}}),
    *({"$.a": {"equals": {}}}, {"$.a": {"exists": True}}, {"$.a": {"exists": 1}}),
    *({"$.a": {"any": [1, {"contains": "a"}]}}, {"$.a": {"any": []}}, {"$.a": {"b": 1}}),
    *({"$.a": {"any": [{"contain": "a"}]}}, {"$.a": {"any": [{}]}}, {"$.a": {"any": [[{}], {}]}}),
    *({"$.a": {"any": [{"contains": 1}]}}, {"$.a": {"any": [{"_comment": 1, "equals": {}}]}}),
    *({"$.a": {"any": [{"exists": True}]}}, {"$.a": {"any": [{"exists": False}]}}),
    *({"$.a": {"any": [{"any": [1]}]}}, {"$.a": {"any": [{"any": [{"contain": "a"}]}]}}),
    *({"$.a": {"exists": False}}, {"$.a": {"exists": False, "equals": 1}}),
    *({"$.a": {"regex": ""}}, {"$.a": {"any": [{"regex": ""}]}}, {"$.a": {"ignore_case": True}}),
    *({"$.a": {"contains": "a", "ignore_case": True}}, {"$.a": {"contains": 1}}, {"$.a": {}}),
    *([{"name": "x-a", "value": "a"}], [{"name": "x-a"}], [{"user": "a"}], {"user": "a"}),
]


def loaded(field: str, mocks: list[Json]) -> list[Json]:
    """The mocks without errors. Warnings are matters of meaning, not of form."""
    while True:
        try:
            load(Config.from_dict({field: mocks}))
        except ConfigError as exc:
            places = [each.place for each in exc.problems if each.severity is Severity.ERROR]
            wrong = {place.position for place in places if isinstance(place, Place)}
            mocks = [mock for index, mock in enumerate(mocks) if index not in wrong]
        else:
            return mocks


def valid(field: str, mocks: list[Json]) -> list[Json]:
    """The mocks in which an editor shows no mistakes."""
    wrong = {error.absolute_path[1] for error in validator().iter_errors({field: mocks})}
    return [mock for index, mock in enumerate(mocks) if index not in wrong]


@pytest.mark.parametrize("field", MOCK_FIELDS)
def test_a_word_is_valid_in_the_forms_in_which_it_is_loaded(field: str) -> None:
    answer = {"reply": "a"} if field == "mocks" else {"response": RESPONSES[field]}
    words = keys_of(keys_of(MOCK_FIELDS[field])["match"]).keys() - {"message", "input"}
    mocks = [{"match": {word: value}, **answer} for word in sorted(words) for value in ANY_VALUES]

    assert {*chain.from_iterable(mock["match"] for mock in loaded(field, mocks))} == words
    assert valid(field, mocks) == loaded(field, mocks)


ANSWERS: list[Any] = [
    *("a", "", 0, 1, True, [], {}, "rate_limit", {"as": "rate_limit"}, {"status": 500}),
    *({"retry_after": "2s", "as": "rate_limit"}, {"text": "a"}, {"tool_calls": [{"name": "f"}]}),
    *({"tool_calls": [{"name": "f", "arguments": 1}]}, {"json": None}, {"finish": "stop"}),
    *({"finish": "end"}, {"text": "a", "usage": {"input": 1}}, {"content": "a"}),
    *({"generate": "echo"}, {"generate": {"tokens": 3}}, {"generate": {"tokens": 0}}),
    *({"generate": 1}, {"generate": "echo", "_note": 1}, {"generate": "echo", "finish": "stop"}),
    *({"template": "a"}, {"template": 1}, {"template": "a", "text": "a"}),
    *({"text": {"generate": "echo"}}, {"text": {"template": "a"}}, {"text": {"txt": "a"}}),
    *({"reasoning": {"generate": "echo"}}, {"refusal": {"generate": "echo"}}),
    *({"refusal": {"template": "a"}}, {"json": {"template": "a"}}),
    *([{"generate": "echo"}], [{"template": "a"}, {"reply": {"generate": {"tokens": 3}}}]),
    *(["a"], ["a", {"error": "overloaded"}], [{"reply": "a", "times": 2}], [None], [1]),
    *([{"reply": "a", "times": "always"}], [{"reply": "a", "times": 0}], "repeat", "nope"),
    *({"end": "cut"}, [{"end": "cut", "after": "head"}], {"end": "x"}, {"pause": "30s"}),
    *({"chunk": "char"}, {"chunk": 0}, {"x-a": "1"}, {"x-a": 1}, {"_comment": "mine"}),
]


@pytest.mark.parametrize("field", ["openai", "mocks"])
def test_what_is_loaded_as_the_answer_of_a_mock_is_valid(field: str) -> None:
    """The converse does not hold for all: a schema cannot compare two values."""
    keys = keys_of(MOCK_FIELDS[field]).keys() - {"match", "response"}
    mocks = [{key: value} for key in sorted(keys) for value in ANSWERS]
    mocks += [{"reply": "a", **mock} for mock in mocks if "reply" not in mock]

    found = loaded(field, mocks)

    assert {*chain.from_iterable(found)} >= {"reply", "error", "sequence", "fault", "stream"}
    assert valid(field, found) == found


def combined(options: dict[str, list[Any]], most: int = 2) -> Iterator[Json]:
    """Objects with up to `most` of the keys, with each of their values."""
    for size in range(most + 1):
        for keys in combinations(options, size):
            for values in product(*(options[key] for key in keys)):
                yield dict(zip(keys, values, strict=True))


REPLIES = combined(
    {
        "text": ["a", "", None],
        "reasoning": ["a", ""],
        "tool_calls": [[{"name": "f"}], [], None],
        "refusal": ["no", "", None],
        "json": [{}, None],
        "finish": ["stop", "tool_calls", None],
        "usage": [{}],
    }
)
ERRORS = combined(
    {
        "as": ["rate_limit", None],
        "status": [500, 204, None],
        "message": ["no", None],
        "body": [{}, None],
        "content_type": ["text/plain", None],
        "retry_after": ["2s"],
    },
    most=3,
)
FAULTS = combined(
    {
        "end": ["cut", "clean", None],
        "pause": ["1s"],
        "send": ["x"],
        "error": ["overloaded", {"status": 500, "body": None}, {"status": 500, "headers": {}}],
        "hold": ["gate"],
        "after": ["head", {"tokens": 1}, {"time": "1s"}, {"tokens": 1, "time": 1}, {"nth": 2}, {}],
        "inside": [True, False],
    },
    most=3,
)
ENTRIES: dict[str, list[Any]] = {
    "reply": ["a", {"generate": "echo"}, None],
    "error": ["overloaded", None],
    "times": [2, "always"],
    "retry": ["same", None],
    "fault": [{"end": "cut"}],
    "stream": [{}],
}
ANSWERS_OF_MOCKS = combined(
    {
        "reply": ["a", None],
        "error": ["overloaded", None],
        "sequence": [["a"], [{"generate": "echo"}], [{"reply": "a", "times": "always"}], None],
        "at_end": ["pass", None],
        "first": [["b"], [], None],
        "stream": [{"chunk": "char"}],
    },
    most=3,
)


@pytest.mark.parametrize("field", ["openai", "mocks"])
@pytest.mark.parametrize(
    "mocks",
    [
        [{"reply": reply} for reply in REPLIES],
        [{"error": error} for error in ERRORS],
        [{"reply": "a", "fault": fault} for fault in FAULTS],
        [{"sequence": [entry]} for entry in combined(ENTRIES)],
        [{"reply": "a", "first": [entry]} for entry in combined(ENTRIES)],
        [{"sequence": ["a"], "first": [entry]} for entry in combined(ENTRIES)],
        [*ANSWERS_OF_MOCKS],
    ],
    ids=["reply", "error", "fault", "sequence", "first", "first beside sequence", "answer"],
)
def test_keys_are_valid_together_if_they_are_loaded_together(field: str, mocks: list[Json]) -> None:
    found = loaded(field, mocks)

    assert valid(field, mocks) == found
    assert 0 < len(found) < len(mocks)


@pytest.mark.parametrize(
    "key", sorted(keys_of(Config).keys() - {"listen_addr"})
)  # any text in a schema
@pytest.mark.parametrize("value", [None, [], {}, "a", 1], ids=json.dumps)
def test_a_key_is_valid_in_the_forms_in_which_it_is_loaded(key: str, value: Any) -> None:
    try:
        Config.from_dict({key: value})
    except ConfigError:
        assert mistakes({key: value})
    else:
        assert mistakes({key: value}) == []


TRAFFIC: list[Json] = [
    {"error": "overloaded"},
    {
        "name": "a",
        "from": "2m",
        "to": 240.5,
        "ramp": "30s",
        "chance": 0.3,
        "error": {"status": 502},
    },
    {"match": {"model": {"starts_with": "a"}, "api": "chat"}, "latency": "vllm-8b"},
    {
        "latency": {"ttft_per_token": "1ms", "cached": 0.5},
        "fault": [{"end": "reset"}],
        "_note": "x",
    },
]
WRONG_TRAFFIC: list[Json] = [
    {"error": "no"},
    {"error": "overloaded", "chance": 2},
    {"error": "overloaded", "from": "soon"},
    {"error": "overloaded", "until": 5},
    {"error": "overloaded", "match": {"message": {}}},
    {"latency": {"ttft_per_token": "1ms", "cached": 2}},
]


@pytest.mark.parametrize("entry", TRAFFIC)
def test_traffic_is_valid(entry: Json) -> None:
    config = {"traffic": [entry]}

    assert is_accepted(config)
    assert mistakes(config) == []


@pytest.mark.parametrize("entry", WRONG_TRAFFIC)
def test_a_mistake_in_traffic_is_found(entry: Json) -> None:
    config = {"traffic": [entry]}

    assert not is_accepted(config)
    assert mistakes(config)
