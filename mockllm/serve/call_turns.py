"""Finds the conversations that calls continue, which other processes may know."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from mockllm.endpoints.earlier import continued_id
from mockllm.limits import KIB, MIB
from mockllm.observers.entries import Kept

AT_ONCE = 20  # conversations that are asked for
BYTES_AT_ONCE = 4 * MIB  # of bodies that are searched without a pause: 1 to 3 ms
PER_CALL = 4 * KIB  # bytes that are searched in the time that it takes to look at a call

FindElsewhere = Callable[[str, str], Awaitable[object]]
"""Finds out the conversation that ends with a response of a session, and notes it here."""


async def find_turns(page: Iterable[Kept], find: FindElsewhere) -> None:
    """Find the conversations that the calls of a page continue, each once."""
    found: dict[tuple[str, str], None] = {}
    looked = 0
    for each in page:
        body = each.entry.request.body
        name = continued_id(body)
        if name is not None:
            found[name, each.entry.session] = None
        looked += PER_CALL + len(body)
        if looked > BYTES_AT_ONCE:
            looked = 0
            await asyncio.sleep(0)
    asked = [*found]
    for start in range(0, len(asked), AT_ONCE):
        some = asked[start : start + AT_ONCE]
        await asyncio.gather(*(find(*each) for each in some))
