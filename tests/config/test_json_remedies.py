"""Syntax errors of JSON files, each with its position and remedy."""

from __future__ import annotations

import pytest

from mockllm.config.json_remedies import explain
from mockllm.config.json_scanner import Unexpected, scan


def explained(text: str) -> str:
    with pytest.raises(Unexpected) as caught:
        list(scan(text))
    return explain(text, caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 'line 1 column 1: the file is empty; expected an object such as {"mocks": [...]}'),
        (" \n ", "line 1 column 1: the file is empty"),
        ('{\n"a": [1', "line 2 column 8: the file ends inside the list that is opened in line 2 "),
        ('{"a": [1,\n 2,]}', "line 2 column 3: a comma before the closing ]; remove it"),
        ('{"a": 1,\n}', "line 1 column 8: a comma before the closing }; remove it"),
        ("[1,,2]", "line 1 column 4: a comma too many; remove it"),
        ('{"a": 1 // x\n}', "line 1 column 9: JSON has no comments; remove it, "),
        ("/* x */ {}", "line 1 column 1: JSON has no comments"),
        ("{\n# x\n}", "line 2 column 1: JSON has no comments"),
        ("{'a': 1}", "line 1 column 2: ' as a quotation mark; JSON has double quotes"),
        ('{"a": \u201cx\u201d}', "line 1 column 7: \u201c as a quotation mark"),
        ('{"a": NaN}', "line 1 column 7: NaN is not a number of JSON; write a finite number or "),
        ('{"a": -Infinity}', "line 1 column 7: -Infinity is not a number of JSON"),
        ('{"a": True}', "line 1 column 7: True is not JSON; write true"),
        ('{"a": None}', "line 1 column 7: None is not JSON; write null"),
        ("{a: 1}", 'line 1 column 2: keys are in double quotes; write "a"'),
        ("{1: 1}", 'line 1 column 2: keys are in double quotes; write "1"'),
        ('{"a": hi}', 'line 1 column 7: texts are in double quotes; write "hi"'),
        ('{"a": 1}\n{"a": 2}', "line 2 column 1: a second value (JSON Lines?); "),
        ("{}}", "line 1 column 3: a } too many; remove it"),
        ('{"a"= 1}', "line 1 column 5: expected a colon after the key, found '='"),
        ('{"a": 1\n "b": 2}', "line 2 column 2: a comma is missing before this"),
        ('{"a": [1}', "line 1 column 9: expected ] to close the list that is opened in line 1 "),
        ('{"a": "x\ny"}', "line 1 column 9: the text does not end on its line; add the closing "),
        ('{"a": "x', "line 1 column 7: the text does not end; add the closing quote"),
        ('{"a": "\t"}', "line 1 column 8: a tab inside a text; write \\t"),
        ('{"a": "C:\\dir"}', "line 1 column 10: \\d is not an escape of JSON; write \\\\ for "),
        ('{"a": 01}', "line 1 column 7: 01 is not a number of JSON; write it as in 12"),
        ('{"a": .5}', "line 1 column 7: .5 is not a number of JSON"),
        ("openai:\n  - a: 1", "line 1 column 1: this looks like YAML; name the file *.yaml"),
        ("---\na: 1", "line 1 column 1: this looks like YAML"),
        ('{"a":\u00a01}', "line 1 column 6: expected a value, found U+00A0 (no-break space)"),
        ("{;}", "line 1 column 2: expected a key or }, found ';'"),
    ],
)
def test_a_syntax_error_has_its_position_and_remedy(text: str, expected: str) -> None:
    assert explained(text).startswith(expected)
    assert "\n" not in explained(text)
