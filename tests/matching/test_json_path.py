"""JSONPath: what a path selects, and how much it may look at."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonpath_rfc9535 import JSONPathNode, find
from jsonpath_rfc9535.filter_expressions import FilterExpression

from mockllm.errors import MissingExtraError
from mockllm.matching.json_path import MAX_LEVELS, MAX_NODES, MAX_STEPS, read_path
from tests.support.strategies import ask_chat


def select(path: str, body: Any) -> list[Any] | None:
    prompt = ask_chat([{"role": "user", "content": "hi"}])
    prompt.body = body
    return read_path(path).select(prompt)


BODY = {
    "a": {"b": [1, {"c": "x"}], "": 0, "é": 2, "it's": 3, 'q"': 4},
    "messages": [{"role": "user"}, {"role": "tool"}],
}


@pytest.mark.parametrize(
    "path",
    [
        "$",
        "$.a",
        "$.a.b[0]",
        "$.a.b[-1].c",
        "$.a.b[7]",
        "$.a.b[-3]",
        "$['a']['b']",
        '$["a"][""]',
        "$.a.é",
        "$['a']['it\\'s']",
        "$.a['q\"']",
        '$["a"]["q\\""]',
        "$.a['\\u00e9']",
        "$.missing.deeper",
        "$.a[0]",
        "$.messages.role",
        "$ .a",
        "$[ 'a' ]",
        "$.messages[*].role",
        "$..role",
        "$.messages[?@.role == 'user']",
        "$.messages[0,1].role",
        "$.messages[0:1]",
    ],
)
def test_a_path_selects_what_the_library_does(path: str) -> None:
    assert select(path, BODY) == list(find(path, BODY).values())


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
steps = st.one_of(names, st.integers(-2, 2))
values = st.recursive(
    st.one_of(st.none(), st.integers(0, 9), names),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "é"]), inner)
    ),
)


def written(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    escaped = "".join(
        f"\\u{ord(each):04x}" if ord(each) < 0x20 or each in "'\\\x7f" else each for each in step
    )
    return f"['{escaped}']"


@given(st.lists(steps, max_size=3), values)
def test_a_singular_path_is_walked_as_the_library_does(path: list[Any], body: Any) -> None:
    text = "$" + "".join(map(written, path))

    assert read_path(text).steps is not None
    assert select(text, body) == list(find(text, body).values())


segments = st.sampled_from(
    [
        *(".a", ".é", "[0]", "[-2]", "[*]", "[1:]", "['a','b']", "[-1,0,0]"),
        *("..a", "..b", "..[0]", "..[-1]", "..*", "..['b',1]"),
    ]
)
filters = st.sampled_from(["", "[?@.a]", "[?@.a == $.b]", "[?@ == $[0]]", "..[?@[0] == 1]"])


@given(st.lists(segments, max_size=3), filters, values)
def test_a_path_of_many_values_selects_what_the_library_does(
    path: list[str], last: str, body: Any
) -> None:
    text = "$" + "".join(path) + last

    assert select(text, body) in (None, list(find(text, body).values()))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a", "a path begins with $, found 'a'; write $.a"),
        ("$.", "not a JSONPath"),
        ("$.a b", "not a JSONPath"),
        ("$[01]", "not a JSONPath"),
        ("$.a[?match(@.b, 'x')]", "match() and search() take too long"),
        ("$[?@..a]", "take too long"),
        ("$[?@.a]..b", "take too long"),
        ("$[?count(@.*) > 1]", "take too long"),
        ("$[?count(@[0:]) > 1]", "take too long"),
    ],
)
def test_a_path_that_is_wrong_or_takes_too_long_is_refused(path: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).*") as failed:
        read_path(path)

    assert reason in str(failed.value)


def test_a_path_of_many_values_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonpath_rfc9535", None)

    assert read_path("$.a[0]").steps == ("a", 0)
    with pytest.raises(MissingExtraError, match=r"mockllm-server\[jsonpath\]"):
        read_path("$..a")


def deep(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize("body", [[0] * MAX_NODES, deep(MAX_LEVELS), [[0] * 200] * 60])
def test_a_body_that_is_too_large_is_not_looked_at_by_a_path_of_many_values(body: Any) -> None:
    assert select("$..a", body) is None
    assert select("$.a", body) is not None


def test_a_path_of_many_values_is_evaluated_once_for_all_rules() -> None:
    prompt = ask_chat([{"role": "user", "content": "hi"}])

    assert read_path("$..content").select(prompt) is read_path("$..content").select(prompt)


MESSAGES = {"messages": [{"role": "user", "content": "hi"} for _ in range(3_000)]}
NESTED: Any = [[[[[[[[[[0] * 500] * 2] * 2] * 2] * 2]]]]]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("$..[*]..[*]..zzz", NESTED),
        ("$..*..*..*", NESTED),
        ("$..['a','b','c','d','e']", MESSAGES),
        (f"$.messages[{','.join(['*'] * 50)}]", MESSAGES),
        (f"$.messages[{','.join(['0:3000'] * 50)}].role", MESSAGES),
        ("$.messages[?@.role == 'a' || @.role == 'b' || @.role == 'c']", MESSAGES),
        ("$..[?@.content == $.messages[2999].content && @.role == 'tool']", MESSAGES),
        (f"$.messages[?{' || '.join(['@.role == 1'] * 100)}]", MESSAGES),
    ],
)
def test_a_path_looks_at_a_limited_number_of_values(
    path: str, body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some took seconds, though the body is within the bounds."""
    looked_at = 0
    child, evaluate = JSONPathNode.new_child, FilterExpression.evaluate

    def counted_child(*args: Any) -> Any:
        nonlocal looked_at
        looked_at += 1
        return child(*args)

    def counted_filter(*args: Any) -> Any:
        nonlocal looked_at
        looked_at += 1
        return evaluate(*args)

    monkeypatch.setattr(JSONPathNode, "new_child", counted_child)
    monkeypatch.setattr(FilterExpression, "evaluate", counted_filter)

    assert select(path, body) is None
    assert looked_at <= 2 * MAX_STEPS


def test_a_filter_of_a_long_conversation_is_evaluated() -> None:
    messages = [{"role": "user", "content": "hi"}] * 1_000 + [{"role": "tool", "content": "ok"}]

    assert select("$.messages[?@.role == 'tool'].content", {"messages": messages}) == ["ok"]
