"""A request to a mocked API, as it is passed on while it is decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mockllm.engine.match_cache import Key
from mockllm.engine.mocks import Table
from mockllm.exchange import Request
from mockllm.prompt import Earlier
from mockllm.providers.routes import Values

FindEarlier = Callable[[str], Earlier | None]
"""Returns the conversation that ends with the response with this id; None if it is not known."""


def find_nothing(response_id: str) -> None:
    """Know no response."""


class Received(NamedTuple):
    """A request to the API of a `table`, with the values of its path, and its key in the caches;
    None if it is not kept."""

    table: Table
    request: Request
    values: Values
    find_earlier: FindEarlier
    session: str
    key: Key | None = None
