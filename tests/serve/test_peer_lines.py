"""A connection to another process: it is used again, and opened again after a failure."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mockllm.serve.peer_lines import NoAnswer, PeerLine, is_stopped
from mockllm.serve.peer_messages import read_message, write_message
from mockllm.serve.turns import Turns
from tests.support.processes import needs_proc, posix

pytestmark = [pytest.mark.anyio, posix]


class Peer:
    """Another process. It echoes what it is asked, unless that is ``wait`` or ``close``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Peer:
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        while not reader.at_eof():
            try:
                message: Any = await read_message(reader, Turns())
            except asyncio.IncompleteReadError:
                break
            if message == "close":
                writer.close()
            elif message != "wait":
                await write_message(writer, message, Turns())


async def test_messages_are_answered_one_after_the_other(tmp_path: Path) -> None:
    async with Peer(tmp_path / "s") as peer:
        line = PeerLine(peer.path, Turns())
        answers = await asyncio.gather(*(line.ask(number, 5) for number in range(5)))
        line.close()
        again = await line.ask("again", 5)
        line.close()

    assert (answers, again, peer.connections) == ([0, 1, 2, 3, 4], "again", 2)


async def test_a_late_answer_is_not_taken_for_another(tmp_path: Path) -> None:
    async with Peer(tmp_path / "s") as peer:
        line = PeerLine(peer.path, Turns())
        assert await line.ask("wait", 0.01) is NoAnswer.BUSY
        assert await line.ask("next", 5) == "next"
        line.close()

    assert peer.connections == 2


@needs_proc
def test_a_process_that_is_stopped_is_known() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert not is_stopped(process.pid)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert is_stopped(process.pid)
        process.send_signal(signal.SIGCONT)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_stopped(process.pid)
    assert is_stopped(process.pid)
    assert not is_stopped(os.getpid())


async def test_one_that_is_gone_is_told(tmp_path: Path) -> None:
    line = PeerLine(tmp_path / "s", Turns())
    assert await line.ask("nobody", 5) is NoAnswer.GONE
    async with Peer(tmp_path / "s"):
        assert await line.ask("close", 5) is NoAnswer.GONE
        assert await line.ask("back", 5) == "back"
        line.close()
