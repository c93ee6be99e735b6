"""What calls continue, which other processes may know."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from mockllm.endpoints.earlier import continued_id
from mockllm.observers.entries import Kept

AT_ONCE = 20  # conversations that are asked for

FindElsewhere = Callable[[str, str], Awaitable[object]]
"""Finds out the conversation that ends with a response of a session, and notes it here."""


async def find_turns(page: Iterable[Kept], find: FindElsewhere) -> None:
    """Find the conversations that the calls of a page continue, each once."""
    found = ((continued_id(each.entry.request.body), each.entry.session) for each in page)
    asked = [*dict.fromkeys((name, session) for name, session in found if name is not None)]
    for start in range(0, len(asked), AT_ONCE):
        some = asked[start : start + AT_ONCE]
        await asyncio.gather(*(find(*each) for each in some))
