"""A request to a mocked API, as it is passed on while it is decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from mockllm.engine.match_cache import Key
from mockllm.engine.mocks import Table
from mockllm.exchange import Request
from mockllm.pieces import Pieces
from mockllm.prompt import Earlier
from mockllm.providers.routes import Values
from mockllm.state.attempts import RETRY_COUNT, parse_retry_count

FindEarlier = Callable[[str, list[Any]], Pieces[Earlier | None]]
"""`find_earlier(response_id, leftovers)`: the conversation that ends with the response with this
id, found in pieces; None if it is not known. `leftovers` are those of `DividedWork`."""


def find_nothing(response_id: str, leftovers: list[Any]) -> Pieces[None]:
    """Know no response."""
    yield from ()


class Received(NamedTuple):
    """A request to the API of a `table`, with the values of its path, and its key in the caches;
    None if it is not kept."""

    table: Table
    request: Request
    values: Values
    find_earlier: FindEarlier
    session: str
    key: Key | None = None

    @property
    def keeps_what_it_took(self) -> bool:
        """True of a marked retry of a request with parts: if it is hit before anything is chosen,
        the retry after it repeats what the attempt before it took."""
        has_parts = isinstance(self, WithParts) or self.table.api.batch is not None
        return has_parts and parse_retry_count(self.request.first_values.get(RETRY_COUNT)) > 0


class WithParts(Received):
    """A request to an endpoint that has each part of it answered by a mock of another API."""

    __slots__ = ()
