"""Connections to other worker processes."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from pathlib import Path
from typing import Any

from mockllm.serve.peer_messages import read_message, write_message
from mockllm.serve.turns import Turns


class NoAnswer(Enum):
    """The reason why a process did not answer."""

    BUSY = auto()
    GONE = auto()


def is_stopped(pid: int) -> bool:
    """Return True if a process is stopped (SIGSTOP), or has ended. Where the system does not say,
    it is neither."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return Path("/proc/self/stat").exists()
    state = status.rpartition(")")[2].split()[0]  # behind the name, which may have any character
    return state in "TtZX"


class PeerLine:
    """A connection to the process that listens at `path`, for messages one after the other. It is
    opened when it is first used, and again after a failure. Large messages are encoded and decoded
    in `turns`."""

    def __init__(self, path: Path, turns: Turns) -> None:
        self._path = path
        self._turns = turns
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, message: Any, seconds: float) -> Any:
        """Return the answer to `message`, or why there is none after `seconds`."""
        try:
            async with asyncio.timeout(seconds), self._lock:
                return await self._exchange(message)
        except TimeoutError:  # before OSError, of which it is a subclass
            return NoAnswer.BUSY
        except (OSError, asyncio.IncompleteReadError):
            return NoAnswer.GONE

    async def _exchange(self, message: Any) -> Any:
        is_answered = False
        try:
            if self._streams is None:
                self._streams = await asyncio.open_unix_connection(self._path)
            reader, writer = self._streams
            await write_message(writer, message, self._turns)
            answer = await read_message(reader, self._turns)
            is_answered = True
            return answer
        finally:
            if not is_answered:  # what comes later would be taken for another answer
                self.close()

    def close(self) -> None:
        """Close the connection, if it is open."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
