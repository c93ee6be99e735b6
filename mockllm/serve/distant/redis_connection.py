"""A connection to a Redis over TLS, which sends a large command in pieces.

To encrypt 10 MB holds the loop for 25 ms. It is imported only where there is such a Redis, because
it needs redis-py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import chain

from redis.asyncio import SSLConnection
from redis.exceptions import ConnectionError as LostError

from mockllm.limits import KIB

MAX_WRITTEN = 512 * KIB  # bytes that are encrypted at once: 1 to 2 ms


class DividedConnection(SSLConnection):
    """A connection of redis-py that sends at most `MAX_WRITTEN` bytes at once."""

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        """Send a command, which is lost with the connection if not all of it can be sent."""
        whole = command.encode() if isinstance(command, str) else command
        parts = [whole] if isinstance(whole, bytes) else [*whole]
        if sum(map(len, parts)) <= MAX_WRITTEN:
            await super().send_packed_command(parts, check_health)
            return
        pieces = _pieces(parts)
        await super().send_packed_command(next(pieces), check_health)
        try:
            for piece in pieces:
                await asyncio.sleep(0)
                if not self.is_connected:  # else it would connect again, for the rest of a command
                    raise LostError("Connection closed while a command was sent")
                await super().send_packed_command(piece, check_health=False)
        except BaseException:
            await self.disconnect(nowait=True)
            raise


def _pieces(parts: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield `parts` divided into lists of at most `MAX_WRITTEN` bytes."""
    piece: list[bytes] = []
    size = 0
    for part in chain.from_iterable(map(_divided, parts)):
        if size + len(part) > MAX_WRITTEN:
            yield piece
            size, piece = 0, []
        size += len(part)
        piece.append(part)
    yield piece


def _divided(part: bytes) -> Iterator[bytes]:
    if len(part) <= MAX_WRITTEN:
        yield part
        return
    for start in range(0, len(part), MAX_WRITTEN):
        yield part[start : start + MAX_WRITTEN]
