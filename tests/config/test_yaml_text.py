"""YAML as the JSON that it stands for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mockllm.config import yaml_text
from mockllm.config.source_text import MAX_REMARKS, SourceError
from mockllm.errors import Severity
from tests.support.work import count_work

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x85\ufeff"), max_size=20)
TEXTS = TEXTS.filter(lambda text: re.fullmatch(r"[-0-9.]+[eE].*", text) is None)
"""PyYAML writes 1e3 without quotes, where it is a number in JSON and here."""
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.sampled_from(["yes", "on", "2024-01-01", "1", "~", "<<", "=", "12:30", ".inf"]),
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=12,
)


@pytest.fixture(autouse=True, params=["CSafeLoader", "SafeLoader"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers of PyYAML: the one in C is not built everywhere."""
    monkeypatch.setattr(yaml_text, "_LOADER", getattr(yaml, request.param))


def remarks(text: str) -> list[str]:
    return [f"{each.severity}: {each.message}" for each in yaml_text.load(text).remarks]


@pytest.mark.usefixtures("loader")
class TestProperties:
    @given(VALUES.filter(lambda value: value != ""), st.sampled_from([None, False, True]))
    def test_a_value_survives_the_round_trip(self, value: Any, flow: bool | None) -> None:
        text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=False)

        built = yaml_text.load(text)

        assert json.dumps(built.data) == json.dumps(yaml.safe_load(text))
        assert [each for each in built.remarks if each.severity is Severity.ERROR] == []


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: 1e3\nb: -0.5\nc: 99999999999999999999", {"a": 1000.0, "b": -0.5, "c": 1e20}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("a: ~\nb:\nc: null", {"a": None, "b": None, "c": None}),
        ("a: 'yes'\nb: \"on\"\nc: y", {"a": "yes", "b": "on", "c": "y"}),
        ("a: !!str 1", {"a": "1"}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        (
            "_d: &x {b: 1, c: 1}\ne:\n  <<: *x\n  c: 2",
            {"_d": {"b": 1, "c": 1}, "e": {"b": 1, "c": 2}},
        ),
        ("e: {<<: [{a: 1, b: 1}, {a: 2, c: 2}], b: 3}", {"e": {"a": 1, "c": 2, "b": 3}}),
        ("require_auth: no", {"require_auth": False}),
        ("--- \na: 1\n...\n", {"a": 1}),
        ("? 0x" + "f" * 5000 + "\n: 1", {"0x" + "f" * 5000: 1}),
    ],
)
def test_a_value_is_that_of_json(text: str, data: Any) -> None:
    assert yaml_text.load(text) == (data, [])


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (
            "a: 1\na: 2",
            "error: line 2 column 1: the key 'a' occurs twice, first in line 1 column 1",
        ),
        ("on: 1", "error: line 1 column 1: a key is a text, and YAML reads on as true; write 'on'"),
        ("1: 2", "error: line 1 column 1: a key is a text, and YAML reads 1 as the number 1"),
        (
            "a: 2024-01-01",
            "error: line 1 column 4: YAML reads 2024-01-01 as a date; write '2024-01",
        ),
        ("a: !!binary aGk=", "error: line 1 column 4: the tag !!binary is not supported"),
        ("a: !!set {x}", "error: line 1 column 4: the tag !!set is not supported"),
        (
            "!!python/object/apply:os.system ['x']",
            "error: line 1 column 1: the tag !!python/object",
        ),
        ("a: .nan", "error: line 1 column 4: .nan is not a number of JSON; write a finite one"),
        (
            "a:\n  b: yes",
            "warning: line 2 column 6: YAML reads yes as true; write true, or 'yes' in",
        ),
        ("a: 0777", "warning: line 1 column 4: YAML reads 0777 as 511; write 511, or '0777' in"),
        ("a: 12:30:45", "warning: line 1 column 4: YAML reads 12:30:45 as 45045; write 45045"),
        ("a: 0x" + "f" * 17, "error: line 1 column 4: the number is out of range"),
        ("a: 0x" + "f" * 5000, "error: line 1 column 4: the number is out of range"),
        ("a: 1" + ":10" * 5000, "error: line 1 column 4: the number is out of range"),
        ("a: -0b1" + "0" * 20_000, "error: line 1 column 4: the number is out of range"),
        ("a: 1" + ":10" * 5000 + ".5", "error: line 1 column 4: the number is out of range"),
    ],
)
def test_what_json_does_not_have_is_told_with_its_place(text: str, remark: str) -> None:
    [found] = remarks(text)

    assert found.startswith(remark)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'line 1 column 1: the file is empty; expected a mapping such as "mocks: [...]"'),
        ("# nothing\n", "line 1 column 1: the file is empty"),
        ("---\n", "line 1 column 1: the file is empty"),
        ("a: 1\n---\nb: 2", "line 2 column 1: a second document (---); a file has one"),
        ("a:\n\tb: 1", "line 2 column 1: found character "),
        ("a: b: c", "line 1 column 5: mapping values are not allowed "),
        ("a: {{ x }}", "line 1 column 5: a key is a text, found a list, a mapping or an alias"),
        ("a: &x [*x]", "line 1 column 8: *x refers to the value that contains it"),
        ("a: *y", "line 1 column 4: *y refers to no anchor before it"),
        ("<<: 1", "line 1 column 5: << takes a mapping or a list of mappings"),
        ('a: "\x1b"', "line 1 column 5: "),
        ("[" * 5000, "line 1 column 10"),
    ],
)
def test_any_other_text_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        yaml_text.load(text)

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["a:\n  - b: c\n   d: e\n", "a:\n  - b\n c: d\n", "a: 'it's'\n"])
@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml_text._LOADER])
def test_what_is_indented_or_quoted_wrongly_has_a_remedy(
    text: str, loader: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml_text, "_LOADER", loader)

    with pytest.raises(SourceError) as caught:
        yaml_text.load(text)

    assert str(caught.value).endswith(
        "; indent what stands beside each other alike; in a text in single quotes, write ' as ''"
    )


def test_a_billion_laughs_are_refused() -> None:
    lines = ["a0: &a0 [lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

    with pytest.raises(SourceError, match=r"aliases repeat more than 1,000,000 values"):
        yaml_text.load("\n".join(lines))


def test_few_of_many_remarks_are_kept() -> None:
    assert len(remarks("\n".join(["a: 1"] * 500))) == MAX_REMARKS


def test_the_depth_of_a_value_costs_nothing_more_once_enough_is_told() -> None:
    def work(depth: int) -> Iterator[bool]:
        yaml_text.load("a: " + "[" * depth + "yes, " * 5_000 + "no" + "]" * depth)
        yield False

    flat, deep = (count_work(work(depth))[0] for depth in (10, 300))

    assert deep < 2 * flat
