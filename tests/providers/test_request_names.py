"""The names in a request."""

from __future__ import annotations

import pytest

from mockllm.providers import request_names
from tests.providers.test_normalise import Json


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ({"name": "f", "type": "function"}, "f"),
        ({"type": "web_search"}, "web_search"),
        ({"name": "", "type": "web_search"}, "web_search"),
        ({"name": None, "type": "web_search"}, "web_search"),
        ({"name": ["f"], "type": "custom"}, "custom"),
        ({"name": "é"}, "é"),
        ({"type": 7}, ""),
        ({}, ""),
    ],
)
def test_a_tool_without_a_name_is_known_by_its_type(tool: Json, name: str) -> None:
    assert list(request_names.tool_names([tool, "g", {"name": "h"}])) == [name, "h"]
