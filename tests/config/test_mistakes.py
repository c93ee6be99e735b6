"""Errors in a configuration: where each is, what was expected, what to do."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm import Config, ConfigError, Error, Match, OpenAIRequestMatch, Reply, ToolCall, Traffic
from mockllm.config.fault import Position
from mockllm.config.mistakes import json_path
from mockllm.config.models import MOCK_FIELDS, Mock
from mockllm.config.values import MAX_NESTING
from mockllm.errors import MAX_DESCRIBED, MAX_HINTS
from tests.support.configs import MESSAGE, MOCK, mistakes, nested


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([], ['a.json: expected an object such as {"mocks": [...]}, found a list']),
        (
            {"openia": []},
            [
                (
                    "a.json: openia: unknown key, expected one of anthropic, cors, latency, "
                    "listen_addr, mocks, models, openai, openai_embeddings, openai_response, "
                    "require_auth, seed, session, stream, traffic; did you mean 'openai'?"
                )
            ],
        ),
        ({"models": "a"}, ["a.json: models: expected a list, found 'a'; write [\"a\"]"]),
        (
            {"models": ["a", ""]},
            ["a.json: models[1]: expected a non-empty string, found an empty one"],
        ),
        ({"models": ["a", 5]}, ['a.json: models[1]: expected a string, found 5; write "5"']),
        ({"openai": {}}, ["a.json: openai: expected a list, found an object; write [{...}]"]),
        ({"openai": [3]}, ["a.json: openai[0]: expected an object, found 3"]),
        ({"require_auth": "no"}, ["a.json: require_auth: expected true or false, found 'no'"]),
        ({"listen_addr": 1}, ['a.json: listen_addr: expected a string, found 1; write "1"']),
        (
            {"openai": [{"name": "greet", "match": {"message": MESSAGE}, "respons": {}}]},
            [
                (
                    "a.json: openai[0] 'greet': respons: unknown key, expected one of at_end, "
                    "error, fault, first, headers, latency, match, name, reply, response, "
                    "sequence, stream; did you mean 'response'?"
                )
            ],
        ),
        (
            {"openai": [{"match": {"message": MESSAGE}}]},
            [
                (
                    "a.json: openai[0]: expected 'response', 'reply', 'error' or 'sequence', found "
                    "none of them"
                )
            ],
        ),
        (
            {"openai": [MOCK | {"match": {"match_type": "contain", "message": MESSAGE}}]},
            [
                (
                    "a.json: openai[0] 'greet': match.match_type: expected 'exact' or 'contains', "
                    "found 'contain'; did you mean 'contains'?"
                )
            ],
        ),
        (
            {
                "anthropic": [
                    MOCK | {"match": {"message": "hi", "headers": [{"nam": "a", "value": 1}]}}
                ]
            },
            [
                (
                    "a.json: anthropic[0] 'greet': match.headers[0].value: expected a string, "
                    'found 1; write "1"'
                ),
                (
                    "a.json: anthropic[0] 'greet': match.headers[0].nam: unknown key, expected one "
                    "of match_type, name, value; did you mean 'name'?"
                ),
                (
                    "a.json: anthropic[0] 'greet': match.message: expected an object such as "
                    '{"role": "user", "content": "..."}, found \'hi\''
                ),
            ],
        ),
        (
            {"openai_response": [MOCK | {"match": {"input": 3}}]},
            [
                (
                    "a.json: openai_response[0] 'greet': match.input: expected a string or a list, "
                    "found 3"
                )
            ],
        ),
        (
            {"stream": {"chunk": 0}, "openai": [MOCK | {"stream": {"chunk": "words"}}]},
            [
                (
                    "a.json: stream.chunk: expected 'word', 'char', 'token' or a number of "
                    "graphemes, 1 to 1,000,000, found 0"
                ),
                (
                    "a.json: openai[0] 'greet': stream.chunk: expected 'word', 'char', 'token' or "
                    "a number of graphemes, 1 to 1,000,000, found 'words'"
                ),
            ],
        ),
        (
            {"stream": {"chunks": 1}, "openai": [MOCK | {"stream": {"event": []}}]},
            [
                (
                    "a.json: stream.chunks: unknown key, expected one of chunk; "
                    "did you mean 'chunk'?"
                ),
                (
                    "a.json: openai[0] 'greet': stream.event: unknown key, expected one of chunk, "
                    "events; did you mean 'events'?"
                ),
            ],
        ),
        (
            {"openai": [MOCK | {"stream": {"events": [{}, "[DONE]", "DONE", 3]}}]},
            [
                (
                    "a.json: openai[0] 'greet': stream.events[2]: expected an object or '[DONE]', "
                    "found 'DONE'"
                ),
                (
                    "a.json: openai[0] 'greet': stream.events[3]: expected an object or '[DONE]', "
                    "found 3"
                ),
            ],
        ),
        (
            {"openai_embeddings": [{"match": {"input": "a"}, "response": {}, "stream": {}}]},
            [
                (
                    "a.json: openai_embeddings[0]: stream: unknown key, expected one of at_end, "
                    "error, fault, first, headers, latency, match, name, response, sequence"
                )
            ],
        ),
        (
            {"openai_embeddings": [{"reply": "hi"}, {"response": {}, "reply": {"text": "hi"}}]},
            [
                (
                    f"a.json: openai_embeddings[{index}]: reply: embeddings are vectors, which no "
                    "reply has; write 'response' instead"
                )
                for index in (0, 1)
            ],
        ),
        (
            {"mocks": [{"match": {"any_of": {}, "all_of": "a"}, "reply": "a"}]},
            [
                (
                    "a.json: mocks[0]: match.all_of: expected a list, found 'a'; write [{\"user\": "
                    '{"contains": "..."}}]'
                ),
                "a.json: mocks[0]: match.any_of: expected a list, found an object; write [{...}]",
            ],
        ),
        (
            {"openai": [MOCK | {"response": nested(MAX_NESTING + 1)}]},
            ["a.json: openai[0] 'greet': response: nested deeper than 200 levels"],
        ),
    ],
)
def test_an_error_has_its_place_and_a_remedy(data: Any, expected: list[str]) -> None:
    assert mistakes(data) == expected


@pytest.mark.parametrize(
    ("mock", "expected"),
    [
        ({"response": None}, "response: expected an object, found null"),
        ({"error": None}, "expected ANSWERS, found none of them"),
        (
            {"response": {}, "error": "overloaded"},
            "expected one answer, found 'response' and 'error': keep one of them",
        ),
    ],
)
@pytest.mark.parametrize("field", [name for name in MOCK_FIELDS if name != "mocks"])
def test_a_mock_has_exactly_one_answer(field: str, mock: dict[str, Any], expected: str) -> None:
    either = "'response'" if field == "openai_embeddings" else "'response', 'reply'"
    expected = expected.replace("ANSWERS", f"{either}, 'error' or 'sequence'")
    assert mistakes({field: [mock]}) == [f"a.json: {field}[0]: {expected}"]


@pytest.mark.parametrize(
    ("key", "meant"), [("respons", "response"), ("eror", "error"), ("replay", "reply")]
)
def test_a_misspelt_answer_is_reported_once(key: str, meant: str) -> None:
    (found,) = mistakes({"openai": [{key: {}}]})

    assert found.endswith(f"did you mean {meant!r}?")


@pytest.mark.parametrize(
    ("mock", "unknown"),
    [
        ({"reply": {"text": "a", "tool_cals": [{"name": "f"}], "finish": "tool_calls"}}, "cals"),
        ({"error": {"as": "rate_limit", "retry_after": "200s", "forc": True}}, "forc"),
    ],
)
def test_what_a_misspelt_key_would_allow_is_not_told(mock: dict[str, Any], unknown: str) -> None:
    (found,) = mistakes({"mocks": [mock]})

    assert f"{unknown}: unknown key" in found


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"headers": "a"}, 'headers: expected a list, found \'a\'; write [{"name": "x-name", "'),
        ({"headers": [7]}, 'headers[0]: expected an object such as {"name": "x-name", "value"'),
        ({"api": {"a": 1}}, "api: expected a list, found an object"),
    ],
)
def test_a_list_in_a_match_is_told_with_what_stands_in_it(
    match: dict[str, Any], expected: str
) -> None:
    (found,) = mistakes({"mocks": [{"match": match, "reply": "a"}]})

    assert found.startswith(f"a.json: mocks[0]: match.{expected}")
    assert not found.endswith("[{...}]")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            lambda: Reply(tool_calls=anything(ToolCall(name="f"))),
            "Reply(): tool_calls: expected a list, found one ToolCall; write [ToolCall(...)]",
        ),
        (
            lambda: Config(mocks=anything(Mock(reply="a"))),
            "Config(): mocks: expected a list, found one Mock; write [Mock(...)]",
        ),
        (
            lambda: Match(all_of=anything(Match(user="a"))),
            "Match(): all_of: expected a list, found one Match; write [Match(...)]",
        ),
        (
            lambda: Mock(reply=anything(Error(word="overloaded"))),
            "Mock(): reply: expected a text or an object, found one Error; write it as 'error'",
        ),
        (
            lambda: Mock(reply=anything(["a", "b"])),
            (
                "Mock(): reply: expected a text or an object, found a list; write 'sequence' for "
                "several answers"
            ),
        ),
        (
            lambda: Mock(reply="a", match=anything(Error(word="overloaded"))),
            (
                'Mock(): match: expected an object such as {"user": {"contains": "..."}}, found '
                "one Error"
            ),
        ),
    ],
)
def test_an_object_in_a_wrong_place_is_named(written: Any, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        written()

    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("model", "written", "expected"),
    [
        (
            Error,
            {"as_": "overloaded"},
            (
                "as_: unknown key, expected one of body, content_type, force, headers, message, "
                "retry_after, status, word; did you mean 'word'?"
            ),
        ),
        (Error, {"wrod": "overloaded"}, "did you mean 'word'?"),
        (
            Error,
            {"type": "overloaded"},
            "type: a word of the vendors' formats; write 'word' instead",
        ),
        (Error, {}, "Error(): expected 'word' or 'status', found neither"),
        (
            Error,
            {"word": "timeout", "status": 500},
            "status: expected either 'word' or 'status', found both: 'timeout' has its own status",
        ),
        (Error, {"word": "as"}, "Error(): word: expected 'bad_request', "),
        (Error, {"word": "as"}, " or 'overloaded', found 'as'"),
        (Match, {"nott": {}}, ", model, not_, schema, "),
        (Match, {"nott": {}}, "did you mean 'not_'?"),
        (Match, {"not_": {"usr": "a"}}, "Match(): not_.usr: unknown key, "),
        (Match, {"all_of": [{"nott": {}}]}, "did you mean 'not'?"),
        (OpenAIRequestMatch, {"nott": {}}, "did you mean 'not_'?"),
        (Traffic, {"form": "1m"}, "did you mean 'from_'?"),
        (Traffic, {"start": "1m"}, "start: write 'from_' instead"),
        (Position, {"byte": 1}, "did you mean 'bytes'?"),
    ],
)
def test_a_mistake_in_python_is_told_with_the_keyword_that_can_be_typed(
    model: Any, written: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        model(**written)

    assert expected in str(caught.value)


@pytest.mark.parametrize("key", ["as_", "word"])
def test_a_dict_within_an_object_of_python_has_the_keys_of_a_file(key: str) -> None:
    with pytest.raises(ConfigError, match="'as'"):
        Mock(error={key: "overloaded"})


def anything(value: object) -> Any:
    """The value, of which type checkers know nothing."""
    return value


def test_an_entry_of_traffic_is_told_with_one() -> None:
    assert mistakes({"traffic": [7]}) == [
        (
            'a.json: traffic[0]: expected an object such as {"error": "overloaded", "chance": '
            "0.1}, found 7"
        )
    ]


def test_a_json_path_has_dots_and_brackets() -> None:
    assert json_path(["match", "headers", 0, "name"]) == "match.headers[0].name"


@pytest.mark.parametrize(
    ("mock", "expected"),
    [
        ({}, ["expected 'reply', 'error' or 'sequence', found none of them"]),
        (
            {"response": {}},
            [
                (
                    "response: expected in the list of an API, whose form it has, found in "
                    "'mocks'; write 'reply' instead"
                )
            ],
        ),
        (
            {"reply": "a", "match": {"message": MESSAGE}},
            [
                (
                    "match.message: expected in the list of an API, whose form it has, not in "
                    "'mocks' or 'traffic'; write 'user' or 'tool_result' instead"
                )
            ],
        ),
        (
            {"reply": "a", "stream": {"events": []}},
            ["stream.events: expected in the list of an API, whose form it has, found in 'mocks'"],
        ),
        ({"replay": "a"}, ["replay: unknown key, expected one of KEYS; did you mean 'reply'?"]),
        (
            {"reply": {"usage": 3}},
            ['reply.usage: expected an object such as {"input": 10, "output": 20}, found 3'],
        ),
    ],
)
def test_a_mock_of_every_api_has_nothing_of_one(mock: dict[str, Any], expected: list[str]) -> None:
    found = mistakes({"mocks": [mock]})

    keys = ", ".join(sorted(Mock.model_fields))
    assert [each.removeprefix("a.json: mocks[0]: ") for each in found] == [
        each.replace("KEYS", keys) for each in expected
    ]


@pytest.mark.parametrize(
    ("mock", "expected"),
    [
        ({"response": None}, "response: expected an object, found null"),
        (
            {"reply": None},
            "expected 'response', 'reply', 'error' or 'sequence', found none of them",
        ),
        ({"reply": 5}, 'reply: expected a text or an object, found 5; write "5"'),
        (
            {"response": {}, "reply": "a"},
            "expected one answer, found 'response' and 'reply': keep one of them",
        ),
    ],
)
@pytest.mark.parametrize("field", ["openai", "openai_response", "anthropic"])
def test_a_mock_of_one_api_has_exactly_one_answer(
    field: str, mock: dict[str, Any], expected: str
) -> None:
    assert mistakes({field: [mock]}) == [f"a.json: {field}[0]: {expected}"]


def test_a_key_that_does_not_read_on_one_line_is_quoted_and_cut() -> None:
    path = json_path(["a b", "c\n\x1b[31m", 0, "d" * 1000])

    assert path == f"a b['c\\n\\x1b[31m'][0]['{'d' * 60}'…]"


def test_the_meaning_of_so_many_unknown_keys_is_guessed() -> None:
    found = mistakes({"mocks": [{"repl": 1}] * (MAX_HINTS + 1)})
    hints = [text for text in found if text.endswith("did you mean 'reply'?")]

    assert len(hints) == MAX_HINTS


@pytest.mark.parametrize(
    ("mock", "expected"),
    [
        ({"reply": 5}, 'reply: expected a text or an object, found 5; write "5"'),
        ({"reply": True}, "reply: expected a text or an object, found true"),
        ({"name": 1.5, "reply": "a"}, 'name: expected a string, found 1.5; write "1.5"'),
        (
            {"reply": {"refusal": 5}},
            'reply.refusal: expected a text or {"template": "..."}, found 5; write "5"',
        ),
        (
            {"match": {"model": 4}, "reply": "a"},
            (
                'match.model: expected a text, an object such as {"contains": "..."} or a list of '
                'these, found 4; write "4"'
            ),
        ),
    ],
)
def test_a_number_instead_of_a_text_is_to_be_quoted(mock: dict[str, Any], expected: str) -> None:
    assert mistakes({"mocks": [mock]}) == [f"a.json: mocks[0]: {expected}"]


@pytest.mark.parametrize(
    ("chance", "expected"),
    [
        (30, "expected at most 1, found 30; write 0.3 if 30 % are meant"),
        (2.5, "expected at most 1, found 2.5; write 0.025 if 2.5 % are meant"),
        (300, "expected at most 1, found 300"),
        ("30%", "expected a number, found '30%'; write 0.3 if 30 % are meant"),
        ("0.5 %", "expected a number, found '0.5 %'; write 0.005 if 0.5 % are meant"),
        ("0.3", "expected a number, found '0.3'"),
    ],
)
def test_a_percentage_is_to_be_a_share(chance: object, expected: str) -> None:
    traffic = {"error": "overloaded", "chance": chance}

    assert mistakes({"traffic": [traffic]}) == [f"a.json: traffic[0]: chance: {expected}"]


def test_so_many_mistakes_of_a_mock_are_described_and_the_others_counted() -> None:
    many = {f"key{number}": 1 for number in range(MAX_DESCRIBED + 2)}

    found = mistakes({"mocks": [{"reply": many, "name": "a"}, {"reply": {"key": 1}}]})

    described = [text for text in found if text.startswith("a.json: mocks[0] 'a': reply.key")]
    assert len(described) == MAX_DESCRIBED
    assert found[MAX_DESCRIBED].startswith("a.json: mocks[1]: reply.key: unknown key")
    assert found[MAX_DESCRIBED + 1 :] == ["a.json: mocks[0] 'a': 2 more mistakes are not described"]


def test_so_many_mistakes_outside_mocks_are_described_and_the_others_counted() -> None:
    found = mistakes({f"key{number}": 1 for number in range(MAX_DESCRIBED + 2)})

    assert len(found) == MAX_DESCRIBED + 1
    assert found[-1] == "a.json: 2 more mistakes are not described"


def test_a_condition_that_is_nested_too_deeply_has_a_short_place() -> None:
    match: dict[str, Any] = {"user": "a"}
    for _ in range(300):
        match = {"not": match}
    found = mistakes({"mocks": [{"match": match, "reply": "a"}]})

    assert found == ["a.json: mocks[0]: match.not.not.not.not.not: nested too deeply"]


def test_a_long_name_of_a_mock_is_cut() -> None:
    (mistake, *_) = mistakes({"openai": [{**MOCK, "name": "n" * 10_000, "x": 1}]})

    assert len(mistake) < 400
