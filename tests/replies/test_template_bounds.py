"""Bounds of templates: nothing in them takes long or much memory."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.replies.template_bounds import MAX_REASON, MAX_TEXT, Budget, TemplateError
from mockllm.replies.templates import compile_template
from tests.support.templates import NAMES, render, still, ticking
from tests.support.work import count_pauses

LONG = "x" * (MAX_TEXT // 2 + 1)
MANY = ["x"] * 100_000
VAST = "x" * (MAX_TEXT + 2)
LONG_GREEK = "\u03b1" * (MAX_TEXT // 2 + 1)
OF_MANY = dict.fromkeys(map(str, range(20_000)), 1)
DOUBLED = "{% set a, b = [1], [1] %}" + "{% set a, b = [a, a], [b, b] %}" * 40
"""A value that is small in memory, and has 2**40 values in it."""
DOUBLED_TUPLES = DOUBLED.translate(str.maketrans("[]", "()")).replace("(1), (1)", "(1,), (1,)")
"""The same, of values that have a hash."""


@pytest.mark.parametrize(
    ("source", "values", "reason"),
    [
        ("{{ user.missing }}", {"user": "a"}, "there is no 'missing'; what may be missing"),
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
        ("{{ messages }}", {"messages": MANY}, "has more than 10,000 parts"),
        ("{{ body.items() }}", {"body": OF_MANY}, "has more than 10,000 parts"),
        ("{{ body.keys() ~ '' }}", {"body": OF_MANY}, "has more than 10,000 parts"),
        ("{{ body.values() }}", {"body": {"a": MANY}}, "has more than 10,000 parts"),
        ("{{ '%s' % ([user] * 9) }}", {"user": LONG}, "a format makes more than"),
        ("{{ user.istitle() }}", {"user": VAST}, "'istitle' is for at most 1,048,576 characters"),
        ("{{ user is lower }}", {"user": VAST}, "a value has more than 1,048,576 characters"),
        ("{{ user.strip(' x') }}", {"user": VAST}, "'strip' is for at most 1,048,576 characters"),
        ("{{ user | trim('x') }}", {"user": VAST}, "'trim' is for at most 1,048,576 characters"),
        ("{{ user.title() }}", {"user": LONG}, "'title' is for at most 524,288 characters"),
        ("{{ user.upper() }}", {"user": LONG_GREEK}, "'upper' is for at most 524,288 characters"),
        ("{{ user | lower }}", {"user": LONG_GREEK}, "'lower' is for at most 524,288 characters"),
        ("{{ user | int }}", {"user": LONG}, "'int' is for at most 262,144 characters"),
        ("{{ user | float }}", {"user": LONG}, "'float' is for at most 262,144 characters"),
        ("{{ user.find('y') }}", {"user": VAST * 4}, "'find' is for at most 4,194,304 characters"),
        ("{{ user.replace('y', '') }}", {"user": VAST}, "a replacement makes more"),
        ("{{ user[1:] | length }}", {"user": VAST}, "a value has more than 1,048,576 characters"),
        ("{% macro f() %}{{ varargs }}{% endmacro %}{{ f(*messages) }}", {"messages": MANY},
         "a call has more than 2,000 arguments"),
        ("{% macro f() %}{{ kwargs }}{% endmacro %}{{ f(**body) }}", {"body": OF_MANY},
         "a call has more than 2,000 arguments"),
        ("{{ user | default(*messages) }}", {"user": "", "messages": MANY},
         "a call has more than 2,000 arguments"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", {}, "nested too deeply"),
        ("{{ '\\ud800' }}", {}, "the text has half a character (\\ud800)"),
        ("{{ (1).to_bytes(10 ** 9, 'big') }}", {}, "'to_bytes' is not available"),
        ("{{ 1 | attr('to_bytes')(10 ** 9, 'big') }}", {}, "'to_bytes' is not available"),
        ("{{ 'a'.encode() * 10 ** 9 }}", {}, "'encode' is not available"),
        ("{{ 1 | round(10 ** 9, 'ceil') }}", {}, "'round' is for at most 300 digits"),
        ("{{ 1 | round(1000000000, 'ceil') }}", {}, "'round' is for at most 300 digits"),
        ("{{ 1.5 | round(precision=-10 ** 9) }}", {}, "'round' is for at most 300 digits"),
        ("{{ ([[1] * 1000] * 1000) | sum(start=[]) }}", {}, "'sum' is for numbers"),
        ("{{ ('%9999d' * 1000) % ((1,) * 1000) }}", {}, "a format makes more than"),
        ("{{ ('%s' * 9) % ((user,) * 9) }}", {"user": LONG}, "a format makes more than"),
        ("{{ ('%(a)s' * 9) % {'a': user} }}", {"user": LONG}, "a format makes more than"),
        ("{{ messages | map('upper') | list | join | map('lower') | list }}",
         {"messages": ["abc"] * 1000}, "'map' is for at most 2,000"),
        ("{{ ([user] * 9) | sort }}", {"user": LONG}, "a value has more than"),
        (DOUBLED + "{{ a == b }}", {}, "or compared has more than 10,000"),
        (DOUBLED + "{{ a is eq b }}", {}, "or compared has more than 10,000"),
        (DOUBLED + "{{ [b] | select('==', a) | list }}", {}, "or compared has more than 10,000"),
        (DOUBLED + "{{ a in [b] }}", {}, "or compared has more than 10,000"),
        (DOUBLED + "{{ [a, b].index(b) }}", {}, "or compared has more than 10,000"),
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
    assert len(str(failed.value)) <= MAX_REASON


@pytest.mark.parametrize("doubled", [DOUBLED, DOUBLED_TUPLES])
@pytest.mark.parametrize(
    "expression",
    [
        *("a | upper", "a | trim", "a | escape", "a | safe", "a | urlencode", "a | title"),
        *("a | replace('1', '')", "user | replace(a, b)", "user | attr(a)"),
        "'' | default(a, true) | wordcount",
        *("body[a]", "user[a]", "body.get(a)", "{a: 1}", "{}.fromkeys([a])"),
    ],
)
def test_a_value_of_many_parts_is_neither_printed_nor_compared_nor_hashed(
    doubled: str, expression: str
) -> None:
    with pytest.raises(TemplateError, match="has more than 10,000 parts"):
        render(doubled + "{{ " + expression + " }}", user=[1], body={})


def test_values_of_many_parts_are_not_compared_by_a_loop() -> None:
    with pytest.raises(TemplateError, match="has more than 10,000 parts"):
        render(DOUBLED + "{% for each in [a, b] %}{{ loop.changed(each) }}{% endfor %}")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("body.items() | length", "3000"),
        ("(body | default({}))['7']", "8"),
        ("user | default(body)", "x"),
        ("{user: 1, 'b': 2}", "{'x': 1, 'b': 2}"),
        ("messages[2999]", "2999"),
        ("messages[:2] | join", "01"),
    ],
)
def test_what_looks_at_little_of_a_large_value_is_allowed(expression: str, expected: str) -> None:
    body = {str(number): [number + 1] * 4 if number > 7 else number + 1 for number in range(3_000)}
    values: dict[str, Any] = {"body": body, "messages": [*range(3_000)]}

    assert render("{{ " + expression + " }}", user="x", **values) == expected


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


@pytest.mark.parametrize(
    ("loop", "expected"),
    [
        ("{% for each in messages if each == 'b' %}{{ each }}{% endfor %}", "b"),
        ("{% for each in messages if each in user %}{{ each }},{% endfor %}", "a,c,"),
        ("{% for each in messages if not each %}{% else %}none{% endfor %}", "none"),
        ("{% for each in messages if each > 'a' %}{{ loop.index }}{{ each }}{% endfor %}", "1b2c"),
        ("{% for each in messages if each > 'a' %}{{ loop.last }},{% endfor %}", "False,True,"),
        (
            (
                "{% set user = true %}{% for each in messages if user %}{% set user = false %}"
                "{{ each }}{% endfor %}"
            ),
            "abc",
        ),
        (
            (
                "{% for one in messages %}{% for each in messages if loop.first %}{{ each }}"
                "{% endfor %}{% endfor %}"
            ),
            "abc",
        ),
        ("{% for a, b in body.items() if b %}{{ a }}{% endfor %}", "y"),
    ],
)
def test_a_loop_with_a_condition_has_the_values_for_which_it_holds(
    loop: str, expected: str
) -> None:
    assert render(loop, messages="abc", user="ca", body={"x": 0, "y": 1}) == expected


def test_a_loop_pauses_at_values_for_which_its_condition_does_not_hold() -> None:
    template = compile_template("{% for each in messages if not each %}-{% endfor %}", NAMES)
    budget = Budget(ticking())

    text, pauses = count_pauses(template.make({"messages": MANY[:10_000]}, budget))

    assert text == ""
    assert pauses > 3


@pytest.mark.parametrize(
    "loop",
    [
        "{% for each in messages if not each %}{{ loop.index }}{% endfor %}",
        "{% for each in messages if not each %}{% else %}-{% endfor %}",
        "{% for each in messages if not each recursive %}{% endfor %}",
    ],
)
def test_a_loop_that_cannot_pause_at_other_values_stops(loop: str) -> None:
    with pytest.raises(TemplateError, match="an expression, a macro or a captured block"):
        render(loop, ticking(), messages=MANY)


LONG_LOOP = "{% for a in range(1000) %}{% for b in range(1000) %}{{ a }}{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    "source",
    [
        "{% macro f() %}" + LONG_LOOP + "{% endmacro %}{{ f() }}",
        "{% set a %}" + LONG_LOOP + "{% endset %}",
        "{% filter upper %}" + LONG_LOOP + "{% endfilter %}",
        "{{" + " [(range(1000) | list * 2) | map('string') | list]," * 5 + "}}",
    ],
)
def test_what_cannot_pause_stops_sooner(source: str) -> None:
    with pytest.raises(TemplateError, match="an expression, a macro or a captured block"):
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
