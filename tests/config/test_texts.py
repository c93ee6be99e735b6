"""The texts of a reply that are made: how they are written, and what is said of mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mockllm.config.mistakes import problems
from mockllm.config.models import Mock
from mockllm.config.reply import Reply
from mockllm.config.texts import (
    MAX_GENERATED,
    GeneratedText,
    TemplateText,
    TokenCount,
    find_templates,
    may_count_calls,
    template_of,
)

BESIDE = 'reply: expected {"text": {"generate": ...}, ...}, found \'generate\' beside other keys'
A_TEXT = 'a text, {"generate": ...} or {"template": "..."}'
ECHO = GeneratedText(generate="echo")


def generated(tokens: int) -> GeneratedText:
    return GeneratedText(generate=TokenCount(tokens=tokens))


def mistakes(reply: Any) -> list[str]:
    try:
        Mock.model_validate({"reply": reply})
    except ValidationError as exc:
        return [str(each) for each in problems(exc, Mock, {}, "")]
    return []


@pytest.mark.parametrize(
    ("written", "reply"),
    [
        ({"template": "{{ user }}"}, Reply(text=TemplateText(template="{{ user }}"))),
        ({"template": "{%"}, Reply(text=TemplateText(template="{%"))),
        ({"refusal": {"template": "a"}}, Reply(refusal=TemplateText(template="a"))),
        ({"generate": "echo"}, Reply(text=ECHO)),
        ({"generate": {"tokens": 1}}, Reply(text=generated(1))),
        ({"generate": {"tokens": 7, "_note": 1}, "_note": 2}, Reply(text=generated(7))),
        (ECHO, Reply(text=ECHO)),
        ({"text": {"generate": "echo"}, "finish": "stop"}, Reply(text=ECHO, finish="stop")),
        (
            {"reasoning": {"generate": {"tokens": MAX_GENERATED}}, "text": "a"},
            Reply(reasoning=generated(MAX_GENERATED), text="a"),
        ),
    ],
)
def test_a_text_may_be_generated(written: Any, reply: Reply) -> None:
    said = Mock(reply=written).said

    assert said is not None
    assert said.model_dump() == reply.model_dump()


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            {"generate": {"tokens": 0}},
            ["reply.generate.tokens: expected at least 1, found 0"],
        ),
        (
            {"generate": {"tokens": MAX_GENERATED + 1}},
            ["reply.generate.tokens: expected at most 200000, found 200001"],
        ),
        (
            {"generate": {"tokens": 2.0}},
            ["reply.generate.tokens: expected a whole number, found 2.0"],
        ),
        (
            {"generate": {"token": 5}},
            ["reply.generate.token: unknown key, expected one of tokens; did you mean 'tokens'?"],
        ),
        (
            {"generate": "ehco"},
            ["reply.generate: expected 'echo', found 'ehco'; did you mean 'echo'?"],
        ),
        (
            {"generate": 5},
            ['reply.generate: expected {"tokens": ...} or "echo", found 5'],
        ),
        (
            {"generate": "echo", "finish": "length"},
            [BESIDE],
        ),
        (
            {"reasoning": {"gen": 1}},
            [f"reply.reasoning: expected {A_TEXT}, found an object"],
        ),
        ({"text": 5}, [f'reply.text: expected {A_TEXT}, found 5; write "5"']),
        ({"template": 5}, ['reply.template: expected a string, found 5; write "5"']),
        (
            {"refusal": {"generate": "echo"}},
            ['reply.refusal: expected a text or {"template": "..."}, found an object'],
        ),
        (
            {"template": "a", "finish": "length"},
            [BESIDE.replace("generate", "template")],
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(reply: Any, expected: list[str]) -> None:
    assert mistakes(reply) == expected


@pytest.mark.parametrize(
    ("value", "source"),
    [
        ({"template": "a"}, "a"),
        ({"template": ""}, ""),
        (TemplateText(template="a"), "a"),
        ({"template": "a", "b": 1}, None),
        ({"template": 1}, None),
        ({}, None),
        ("{{ user }}", None),
        (["template"], None),
    ],
)
def test_a_value_with_this_key_alone_is_a_template(value: Any, source: str | None) -> None:
    assert template_of(value) == source


def test_templates_are_found_with_their_paths() -> None:
    value = {"a": [1, {"template": "x"}], "b": {"template": "y"}, "c": {"template": "z", "d": 1}}

    assert [*find_templates(value)] == [(("a", 1), "x"), (("b",), "y")]
    assert [*find_templates({"template": "x"})] == [((), "x")]
    assert [*find_templates("x")] == []


@pytest.mark.parametrize(
    ("source", "counts"),
    [
        ("{{ call }}", True),
        ("{% if call > 1 %}a{% endif %}", True),
        ("a {{ user }} {{ 'n' ~ call }}", True),
        ("{{ '}' ~ call }}", True),
        ("{{ {'a': 1}.a ~ call }}", True),
        ("{{ 5 % call }}{{ user }}", True),
        ("{%- if user -%}it's{%- endif -%} {{- call -}}", True),
        ("{{ 'it\\'s call' }}", False),
        ("please call me", False),
        ("{{ user }} call {{ model }}", False),
        ("{{ calls }}", False),
        ("{{ messages[-1].calls }}", False),
    ],
)
def test_a_template_that_uses_the_number_of_the_call_is_told_from_others(
    source: str, counts: bool
) -> None:
    assert may_count_calls(source) is counts
    assert Mock(reply={"template": source}).has_state is counts
    assert Mock(reply={"json": [{"template": source}]}).has_state is counts
