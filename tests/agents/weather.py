"""The loop of docs/agents.md: its configuration, its question and a tool that counts its calls."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "agents.md"
QUESTION = "How is the weather in Paris and Oslo?"
ANSWER = "It is 15 degrees in Paris and 5 degrees in Oslo."

DEGREES = {"Paris": 15, "Oslo": 5}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def configuration() -> dict[str, Any]:
    """The first example of the page: what a reader copies."""
    example = re.search(r"^```json\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert example is not None
    loaded: dict[str, Any] = json.loads(example[1])
    return loaded


class Station:
    """A weather station that remembers which cities it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get_weather(self, city: str) -> str:
        """Return the weather of a city."""
        self.asked.append(city)
        return f"{DEGREES[city]} degrees in {city}"
