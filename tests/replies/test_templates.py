"""Templates: what they print, and which mistakes in them are found when they are read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.errors import MissingExtraError
from mockllm.replies import template_sandbox, templates
from mockllm.replies.templates import compile_template
from tests.support.templates import NAMES, render
from tests.support.work import count_work


@pytest.mark.parametrize(
    ("source", "values", "text"),
    [
        ("It rains.", {}, "It rains."),
        ("It rains in {{ user }}.\n", {"user": "Köln"}, "It rains in Köln.\n"),
        ("{{ user }}", {"user": "{{ body }} <b>"}, "{{ body }} <b>"),
        ("{{ turn + 1 }}{{ ' of ' ~ 3 }}", {"turn": 1}, "2 of 3"),
        ("{% for each in messages %}{{ each.role }},{% endfor %}",
         {"messages": [{"role": "user"}, {"role": "tool"}]}, "user,tool,"),
        ("{{ body.city | upper }} {{ body['n'] }}", {"body": {"city": "x", "n": 1.5}}, "X 1.5"),
        ("{{ body | tojson }}", {"body": {"a": ["<é>"]}}, '{"a":["<é>"]}'),
        ("{{ body.missing | default('none') }}", {"body": {}}, "none"),
        ("{% if 'sun' in user %}warm{% else %}cold{% endif %}", {"user": "sunny"}, "warm"),
        ("{{ user.split()[0] }} {{ 'x'.center(3) }}", {"user": "a b"}, "a  x "),
        ("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(user) }}", {"user": "a"}, "<a>"),
        ("{{ messages | map(attribute='role') | join('+') }}",
         {"messages": [{"role": "a"}, {"role": "b"}]}, "a+b"),
        ("{{ 'a-b' | replace('-', '+') }}", {}, "a+b"),
        ("{{ ','.join(messages | map(attribute='role')) }}",
         {"messages": [{"role": "a"}, {"role": "b"}]}, "a,b"),
        ("{{ messages | selectattr('n', 'ge', 2) | map(attribute='n') | sum }}",
         {"messages": [{"n": 1}, {"n": 2}, {"n": 3}]}, "5"),
        ("{{ 'ab' | reverse }}{{ ['c', 'b'] | sort | first }}{{ 2.567 | round(1) }}", {}, "bab2.6"),
        ("{{ [1, [2]] == body.a and 1 in body.a }}", {"body": {"a": [1, [2]]}}, "True"),
    ],
)  # fmt: skip
def test_a_template_prints_values_of_the_request(
    source: str, values: dict[str, Any], text: str
) -> None:
    assert render(source, **values) == text


@given(st.text())
def test_a_value_is_printed_as_it_is_and_never_run(text: str) -> None:
    assert render("{{ user }}", user=text) == text


def test_a_template_knows_the_names_that_it_uses() -> None:
    template = compile_template("{% for each in messages %}{{ each }}{{ user }}{% endfor %}", NAMES)

    assert template.names == {"messages", "user"}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{% if %}", "not a template of Jinja2: Expected an expression"),
        ("a\n{{ user", "(line 2)"),
        ("{{ usr }}", ("'usr' is not known to templates, expected one of body, messages, turn, "
         "user; did you mean 'user'?")),
        ("{{ user | center(80) }}", "the filter 'center' is not available (line 1)"),
        ("{{ user | uper }}", "the filter 'uper' is not available; did you mean 'upper'? (line 1)"),
        ("{{ (user | wordwrap(1)) if turn else user }}", "the filter 'wordwrap' is not available"),
        ("{% filter indent %}{{ user }}{% endfilter %}", "the filter 'indent' is not available"),
        ("{% if turn and user is strng %}{% endif %}", "the test 'strng' is not available; did"),
        ("{% include 'x' %}", "'include' is not available"),
        ("{% import 'x' as y %}", "'import' is not available"),
        ("{% extends 'x' %}", "'extends' is not available"),
        ("{{ lipsum(9) }}", "'lipsum' is not known"),
        ("{{ namespace(a=1) }}", "'namespace' is not known"),
        ("{{ _spend(-9) }}", "a name does not begin with '_'"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "nested too deeply"),
        ("{{ user }} " * 2_600, "not a template of Jinja2: it has more than 5,000 parts (line 1)"),
        ("{{ 1" + " + 1" * 220 + " }}", "not a template of Jinja2: too many nested parentheses"),
        ("{% for a in user %}" * 25 + "{% endfor %}" * 25, "too many statically nested blocks"),
        ("{% if user %}" * 100 + "{% endif %}" * 100, "too many levels of indentation"),
        ("{{ user(a=1, a=2) }}", "keyword argument repeated"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_when_the_template_is_read(source: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).*") as failed:
        compile_template(source, NAMES)

    assert reason in str(failed.value)


@pytest.mark.parametrize("nested", [".a", "|e", " + 1", "()", " ** 1"])
def test_to_compile_what_is_nested_takes_no_more_than_its_depth(nested: str) -> None:
    def work(depth: int) -> Iterator[bool]:
        compile_template("{{ user" + nested * depth + " }}", NAMES)
        yield False

    few, many = (count_work(work(depth))[0] for depth in (20, 80))

    assert many < 5 * few


def test_to_compile_many_values_takes_no_more_than_their_number() -> None:
    def work(values: int) -> Iterator[bool]:
        compile_template("{{ user }} " * values, NAMES)
        yield False

    few, many = (count_work(work(values))[0] for values in (100, 800))

    assert many < 12 * few


def test_without_jinja2_a_template_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.delitem(sys.modules, template_sandbox.__name__)
    monkeypatch.setattr(templates, "_environment", templates._environment.__wrapped__)

    with pytest.raises(MissingExtraError, match=r"mockllm-server\[templates\]"):
        compile_template("a", NAMES)
