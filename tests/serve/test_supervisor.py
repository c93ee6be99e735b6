"""Several processes on one address: one that dies or hangs is replaced, no client is refused."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from mockllm.serve.worker import MAX_DELAY, YOUNG, Slot
from tests.support.http.messages import get
from tests.support.processes import (
    Command,
    ask,
    config,
    connected,
    failing,
    load,
    needs_proc,
    nobody_listens,
    posix,
    running,
    until,
    write,
)
from tests.support.served import API_KEY, chat_request, http_request

pytestmark = [pytest.mark.anyio, posix, needs_proc]


@pytest.fixture
async def command(tmp_path: Path) -> AsyncIterator[Command]:
    """Two workers that are given up after 4 seconds."""
    file = write(tmp_path / "mocks.json", config())
    with running("--config", file, "--port=0", "--workers=2", "--worker-timeout=4") as command:
        yield command


def sockets(pid: int) -> int:
    """The number of sockets that a process has open."""
    links = [link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()]
    return sum(link.name.startswith("socket:") for link in links)


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def replaced(command: Command, *gone: int) -> list[int]:
    """The workers, once there are two and none of them is one of `gone`."""
    await until(lambda: len(command.workers()) == 2 and not set(command.workers()) & set(gone))
    return command.workers()


async def told(command: Command, text: str, times: int = 1) -> list[str]:
    """The lines with `text`, once there are so many, while the loop goes on."""
    return await asyncio.to_thread(command.told, text, times)


async def test_every_worker_answers_health(command: Command) -> None:
    before = {pid: sockets(pid) for pid in command.workers()}
    async with AsyncExitStack() as stack:
        for _ in range(64):  # the system spreads them
            connection = await stack.enter_async_context(connected(command.port))
            for path in ("/health", "/ready"):
                answer = await connection.ask(get(target=path))
                assert (answer.status, answer.closes) == (200, False)
        assert len(before) == 2
        assert all(sockets(pid) > count for pid, count in before.items())


async def test_a_killed_worker_is_replaced_and_no_request_is_refused(command: Command) -> None:
    clients = 8
    async with load(command.port, clients) as constant:
        workers = command.workers()
        for pid in workers:
            left = [other for other in command.workers() if other != pid]
            os.kill(pid, signal.SIGKILL)
            await replaced(command, pid)
            assert set(left) <= set(command.workers())
            await constant.more()

    # nothing but what the dead had begun to answer: of each client one request, of each death
    assert len(constant.failures) <= clients * len(workers)
    assert [each for each in constant.failures if not each.startswith("no answer")] == []
    assert set(constant.answers) == {"yes"}
    lines = command.told("exited with -9", len(workers))
    assert all("replacing it in 0.0 s" in line or "replacing it in 0.1 s" in line for line in lines)


async def test_a_worker_that_hangs_is_killed_and_replaced(command: Command) -> None:
    clients = 8
    async with load(command.port, clients) as constant:
        hung, well = command.workers()
        os.kill(hung, signal.SIGSTOP)
        (line,) = await told(command, "sent no heartbeat")
        assert f"worker process {hung} " in line
        assert well in await replaced(command, hung)
        await constant.more()

    assert len(constant.failures) <= clients
    assert [each for each in constant.failures if not each.startswith("no answer")] == []


async def received(port: int, path: str, body: dict[str, Any]) -> bytes:
    """All bytes of the answer to a client that asks once."""
    headers = {"authorization": f"Bearer {API_KEY}", "connection": "close"}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(http_request(path, body, headers))
        return await reader.read(-1)
    finally:
        writer.close()


async def test_no_worker_that_is_busy_is_killed() -> None:
    """Long answers that are made for the request: streams of many words, and many vectors."""
    words = " ".join(["word"] * 30_000)
    stream = ("/v1/chat/completions", chat_request(words, stream=True))
    vectors = ("/v1/embeddings", {"model": "m", "input": [str(each) for each in range(512)]})
    with running("--port=0", "--workers=2", "--worker-timeout=3") as command:
        workers = command.workers()
        asked = [stream, vectors] * 6
        answers = await asyncio.gather(*(received(command.port, *each) for each in asked))

        assert command.workers() == workers
        assert [line for line in command.lines if "worker" in line] == []
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"0\r\n\r\n")
    assert {answer.count(b"data: [DONE]") for answer in answers[::2]} == {1}
    assert {answer.count(b'"embedding":[') for answer in answers[1::2]} == {512}


async def test_a_suspended_supervisor_does_not_kill_its_workers(command: Command) -> None:
    """As after Ctrl-Z and ``fg``."""
    workers = command.workers()
    command.signal_group(signal.SIGSTOP)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(5)  # longer than the workers' time, of which nobody can tell
    command.signal(signal.SIGCONT)
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    for _ in range(20):
        assert (await ask(command.port)).text == "yes"

    assert command.workers() == workers
    assert command.told("mockllm:")
    assert [line for line in command.lines if "killed" in line] == []


async def test_a_worker_stopped_by_another_process_drains_and_is_replaced(command: Command) -> None:
    async with load(command.port) as constant:
        for pid in command.workers():
            os.kill(pid, signal.SIGTERM)
            await replaced(command, pid)
            await constant.more()

    assert constant.failures == []


async def test_workers_end_with_their_supervisor(command: Command) -> None:
    workers = command.workers()
    command.signal(signal.SIGKILL)
    await nobody_listens(command.port)
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


async def test_workers_remove_the_files_of_a_killed_supervisor(command: Command) -> None:
    assert len(files(command.temporary)) == 1
    command.signal(signal.SIGKILL)
    await until(lambda: not files(command.temporary))


async def test_a_port_in_use_is_an_error(command: Command) -> None:
    for count in (1, 2):
        status, out, err = failing("--port", str(command.port), "--workers", str(count))
        assert (status, out) == (1, "")
        assert err == (
            f"mockllm: cannot listen on 127.0.0.1:{command.port}: "
            "the address is in use; choose another one, or port 0 for a free one\n"
        )


async def test_workers_share_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "mockllm.sock"
    with running("--uds", path, "--workers=2") as command:
        for pid in command.workers():
            os.kill(pid, signal.SIGKILL)
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(get("Connection: close"))
            assert (await reader.read()).startswith(b"HTTP/1.1 200")
            writer.close()
            await writer.wait_closed()
        command.signal(signal.SIGTERM)
        assert command.ended() == 0
    assert not path.exists()


async def test_without_a_configuration_sighup_stops_all() -> None:
    with running("--port=0", "--workers=2") as command:
        command.signal(signal.SIGHUP)
        assert command.ended() == 0


def test_crash_loops_back_off() -> None:
    with socket.socket() as sock:
        slot = Slot(0, sock)
        young = [slot.wait_after(YOUNG / 2) for _ in range(9)]
        old = slot.wait_after(YOUNG)
        again = [slot.wait_after(YOUNG / 2) for _ in range(2)]

    assert young == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, MAX_DELAY, MAX_DELAY]
    assert (old, again) == (0.0, [0.0, 0.1])
