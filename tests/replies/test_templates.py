"""Templates: what they print, and that nothing in them takes long or much memory."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.errors import MissingExtraError
from mockllm.replies import templates
from mockllm.replies.templates import MAX_TEXT, Budget, TemplateError, compile_template

NAMES = ("user", "messages", "body", "turn")


def still() -> float:
    """A clock that stands still."""
    return 0.0


def ticking() -> Callable[[], float]:
    """A clock that goes on by a microsecond whenever it is read."""
    readings = iter(range(10**9))
    return lambda: next(readings) / 1_000_000


def render(source: str, now: Callable[[], float] = still, **values: Any) -> str:
    making = compile_template(source, NAMES).make(values, Budget(now))
    try:
        while True:
            next(making)
    except StopIteration as end:
        text: str = end.value
        return text


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
        ("{{ user | center(80) }}", "No filter named 'center'"),
        ("{% include 'x' %}", "'include' is not available"),
        ("{% import 'x' as y %}", "'import' is not available"),
        ("{% extends 'x' %}", "'extends' is not available"),
        ("{{ lipsum(9) }}", "'lipsum' is not known"),
        ("{{ namespace(a=1) }}", "'namespace' is not known"),
        ("{{ _spend(-9) }}", "a name does not begin with '_'"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "nested too deeply"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_when_the_template_is_read(source: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).*") as failed:
        compile_template(source, NAMES)

    assert reason in str(failed.value)


LONG = "x" * (MAX_TEXT // 2 + 1)
MANY = ["x"] * 100_000


@pytest.mark.parametrize(
    ("source", "values", "reason"),
    [
        ("{{ user.missing }}", {"user": "a"}, "has no attribute 'missing'"),
        ("{{ 1 / 0 }}", {}, "division by zero"),
        ("{{ user.__class__ }}", {"user": "a"}, "unsafe"),
        ("{{ user.__class__.__mro__ }}", {"user": "a"}, "unsafe"),
        ("{{ messages.append(1) }}", {"messages": []}, "unsafe"),
        ("{{ body.update({'a': 1}) }}", {"body": {}}, "unsafe"),
        ("{{ 'a' * 10 ** 9 }}", {}, "a product has more than"),
        ("{{ 10 ** 9 * [1] }}", {}, "a product has more than"),
        ("{{ 9 ** 99999 }}", {}, "too many digits"),
        ("{{ 'a'.center(99999999) }}", {}, "'center' is wider"),
        ("{{ 'a' | attr('ljust')(99999999) }}", {}, "'ljust' is wider"),
        ("{{ '%99999999d' % 1 }}", {}, "a format is wider"),
        ("{{ '%*d' % (99999999, 1) }}", {}, "a format is wider"),
        ("{{ '{:>99999999}'.format(1) }}", {}, "'format' is not available"),
        ("{{ user.format_map(body) }}", {"user": "{a:>9999999}", "body": {"a": 1}}, "'format_map'"),
        ("{{ 'a\t'.expandtabs(99999999) }}", {}, "'expandtabs' is not available"),
        ("{{ range(10 ** 9) }}", {}, "a range has more than"),
        ("{{ user ~ user }}", {"user": LONG}, "is joined"),
        ("{{ user + user }}", {"user": LONG}, "more than"),
        ("{{ user }}{{ user }}", {"user": LONG}, "the templates make more than"),
        ("{{ [user] * 9 }}", {"user": LONG}, "a value has more than"),
        ("{{ ([user] * 9) | tojson }}", {"user": LONG}, "a value has more than"),
        ("{{ ([user] * 9) | join }}", {"user": LONG}, "is joined"),
        ("{{ messages | join(user) }}", {"user": LONG, "messages": ["a"] * 9}, "is joined"),
        ("{{ user.join(messages) }}", {"user": LONG, "messages": ["a"] * 9}, "is joined"),
        ("{{ user | replace('', 'xxx') }}", {"user": LONG}, "a replacement makes more"),
        ("{{ user.replace('', 'xxx') }}", {"user": LONG}, "a replacement makes more"),
        ("{{ messages | sort }}", {"messages": MANY}, "'sort' is for at most 2,000 values"),
        ("{{ user | sort }}", {"user": LONG}, "'sort' is for at most 2,000 values"),
        ("{{ user | groupby('a') }}", {"user": LONG}, "'groupby' is for at most 2,000 values"),
        ("{{ user | title }}", {"user": LONG}, "'title' is for at most 32,768 characters"),
        ("{{ user | wordcount }}", {"user": LONG}, "'wordcount' is for at most 32,768"),
        ("{{ user.split() }}", {"user": LONG}, "'split' is for at most 262,144 characters"),
        ("{{ user % () }}", {"user": LONG}, "a format has more than 262,144 characters"),
        ("{{ messages }}", {"messages": MANY}, "that is printed has more than 10,000 parts"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", {}, "nested too deeply"),
        ("{% filter upper %}{% for i in range(99) %}{{ user }}{% endfor %}{% endfilter %}",
         {"user": LONG}, "the templates make more than"),
        ("{% set a %}{% for i in range(99) %}{{ user }}{% endfor %}{% endset %}",
         {"user": LONG}, "the templates make more than"),
    ],
)  # fmt: skip
def test_what_fails_or_passes_a_bound_says_so(
    source: str, values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TemplateError) as failed:
        render(source, **values)

    assert reason in str(failed.value)
    assert len(str(failed.value)) <= templates.MAX_REASON


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}",
        (
            "{% for a in range(1000) %}{% for b in range(1000) %}"
            "{% if a %}{% endif %}{% endfor %}{% endfor %}"
        ),
        "{% for each in messages %}{{ each }}{% endfor %}",
        (
            "{% macro f() %}{% endmacro %}"
            "{% for a in range(1000) %}{% for b in range(1000) %}{{ f() }}{% endfor %}{% endfor %}"
        ),
    ],
)
def test_a_template_stops_when_its_time_is_over(source: str) -> None:
    with pytest.raises(TemplateError, match="take more than 50 ms"):
        render(source, ticking(), messages=MANY)


LONG_LOOP = "{% for a in range(1000) %}{% for b in range(1000) %}{{ a }}{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    "source",
    [
        "{% macro f() %}" + LONG_LOOP + "{% endmacro %}{{ f() }}",
        "{% set a %}" + LONG_LOOP + "{% endset %}",
        "{% filter upper %}" + LONG_LOOP + "{% endfilter %}",
    ],
)
def test_what_cannot_pause_stops_sooner(source: str) -> None:
    with pytest.raises(TemplateError, match="a macro or a captured block takes more than 8 ms"):
        render(source, ticking())


def test_a_short_template_does_not_pause() -> None:
    template = compile_template("{% for each in messages %}{{ each }}{% endfor %}", NAMES)

    assert list(template.make({"messages": "abc"}, Budget(ticking()))) == []


def test_a_long_template_pauses_and_its_pauses_cost_no_time() -> None:
    clock = [0.0]

    def now() -> float:
        clock[0] += 0.00001
        return clock[0]

    template = compile_template("{% for each in messages %}{{ each }}{% endfor %}", NAMES)
    making = template.make({"messages": "abc" * 70}, Budget(now))
    pauses = 0
    try:
        while True:
            next(making)
            pauses += 1
            clock[0] += 1.0  # others work
    except StopIteration as end:
        text = end.value

    assert text == "abc" * 70
    assert pauses > 3


def test_the_templates_of_an_answer_share_their_bounds() -> None:
    template, budget = compile_template("{{ user }}", NAMES), Budget(still)
    values = {"user": "x" * (MAX_TEXT // 3)}

    for _ in range(3):
        list(template.make(values, budget))

    with pytest.raises(TemplateError, match="make more than"):
        list(template.make(values, budget))


def test_without_jinja2_a_template_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.setattr(templates, "_environment", templates._environment.__wrapped__)

    with pytest.raises(MissingExtraError, match=r"mockllm-server\[templates\]"):
        compile_template("a", NAMES)
