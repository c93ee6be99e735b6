"""Sends many requests, half of them faulty, and measures what they leave behind in the server.

    python -m tests.soak --requests 200000

starts the command, sends a tenth of the requests, measures the server's descriptors and memory,
sends the remaining ones, and measures again. `tests/serve/test_soak.py` is a short run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mockllm.serve.process import new_event_loop
from tests.support.http.messages import (
    CHAT,
    END,
    asking,
    chunked,
    chunks,
    configuration,
    framed,
    get,
)
from tests.support.http.messages import post as question
from tests.support.processes import Command, running, until, write
from tests.support.served import PATIENCE

CLIENTS = 16  # at once
WARM = 10  # a run's first 1/WARM fills caches and pools
WORDS = 400  # of the long answer; streamed, 80 kB
MIB = 1024 * 1024

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Figures:
    """Resources of a process: descriptors, and bytes of memory."""

    descriptors: int
    memory: int

    @classmethod
    def of(cls, pid: int) -> Figures:
        """The present figures of a process."""
        status = Path(f"/proc/{pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return cls(_descriptors(pid), int(line.split()[1]) * 1024)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run: the resources `before`, after its first part, and `after`, at its end.
    `sent` counts the actions of clients by name, `failures` describes unexpected answers."""

    before: Figures
    after: Figures
    sent: Counter[str]
    failures: list[str]
    seconds: float


# --- actions of clients ---------------------------------------------------------------------------


async def keep_alive(stream: Stream, chance: random.Random) -> None:
    """Send some requests, one after the other."""
    for _ in range(chance.randrange(1, 6)):
        await _send(stream, chance.choice([question(), get(), get(target="/v1/nothing")]))


async def pipeline(stream: Stream, chance: random.Random) -> None:
    """Send some requests at once."""
    reader, writer = stream
    count = chance.randrange(2, 20)
    writer.write(get() * count)
    for _ in range(count):
        await _answer(reader)


async def read_stream(stream: Stream, chance: random.Random) -> None:
    """Read a streamed answer to its end."""
    reader, writer = stream
    writer.write(question(body=asking("large", stream=True)))
    await reader.readuntil(b"data: [DONE]\n\n")


async def reset_after_stream(stream: Stream, chance: random.Random) -> None:
    """Reset the connection after a stream, like the synchronous OpenAI client."""
    await read_stream(stream, chance)
    _reset(stream)


async def reset_during_answer(stream: Stream, chance: random.Random) -> None:
    """Reset the connection during a long answer."""
    reader, writer = stream
    writer.write(question(body=asking("large", stream=True)))
    await reader.readexactly(chance.choice([1, 500, 20_000]))
    _reset(stream)


async def abort_a_body(stream: Stream, chance: random.Random) -> None:
    """Send part of a body, then reset or close the connection."""
    _, writer = stream
    part = b"[" * chance.randrange(1, 50_000)
    whole = [framed("Content-Length: 60000000", body=part), chunked(chunks(part, 1_000))]
    writer.write(chance.choice(whole))
    await asyncio.sleep(0)
    if chance.random() < 0.5:
        _reset(stream)


async def half_close(stream: Stream, chance: random.Random) -> None:
    """Send requests, half-close, and read all answers."""
    reader, writer = stream
    writer.write(question() * chance.randrange(1, 4) + question()[: chance.randrange(200)])
    writer.write_eof()
    assert (await reader.read()).startswith(b"HTTP/1.1 200")


async def send_garbage(stream: Stream, chance: random.Random) -> None:
    """Send bytes that are not a request."""
    reader, writer = stream
    writer.write(chance.randbytes(chance.randrange(1, 5_000)) + b"\r\n\r\n")
    await reader.read()


async def break_the_framing(stream: Stream, chance: random.Random) -> None:
    """Send a request whose end is ambiguous or invalid."""
    reader, writer = stream
    bad = [
        chunked(b"5;a=b\r\nhello\r\nnonsense\r\n", END),
        framed("Content-Length: 5", "Transfer-Encoding: chunked"),
        framed("Content-Length: 99999999999"),
        f"POST {CHAT} HTTP/1.1\r\n\r\n".encode(),
        get("X-A: " + "a" * 70_000),
    ]
    writer.write(chance.choice(bad))
    assert (await reader.read()).startswith(b"HTTP/1.1 4")


async def send_nothing(stream: Stream, chance: random.Random) -> None:
    """Reset or close the connection at once."""
    if chance.random() < 0.5:
        _reset(stream)


CORRECT_ACTIONS: tuple[Callable[[Stream, random.Random], Awaitable[None]], ...] = (
    keep_alive,
    keep_alive,
    pipeline,
    read_stream,
    half_close,
)
FAULTY_ACTIONS: tuple[Callable[[Stream, random.Random], Awaitable[None]], ...] = (
    reset_after_stream,
    reset_during_answer,
    abort_a_body,
    send_garbage,
    break_the_framing,
    send_nothing,
)


# --- the run --------------------------------------------------------------------------------------


async def soak(command: Command, requests: int, seed: int = 0) -> Outcome:
    """Send about `requests` requests and faults to `command`; returns the outcome."""
    started = time.perf_counter()
    sent: Counter[str] = Counter()
    failures: list[str] = []
    idle = _descriptors(command.pid)

    async def part(count: int, seed: int) -> Figures:
        left = iter(range(count))
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                chance = random.Random(seed + number)  # noqa: S311  # not a secret
                group.create_task(_client(command.port, left, chance, sent, failures))
        async with _connected(command.port, random.Random(seed)) as stream:  # noqa: S311  # not a secret
            await _send(stream, get())
        await until(lambda: _descriptors(command.pid) <= idle)
        return Figures.of(command.pid)

    before = await part(requests // WARM, seed)
    after = await part(requests - requests // WARM, seed + CLIENTS)
    return Outcome(before, after, sent, failures, time.perf_counter() - started)


async def _client(
    port: int,
    left: Iterator[int],
    chance: random.Random,
    sent: Counter[str],
    failures: list[str],
) -> None:
    for _ in left:  # shared by all clients
        act = chance.choice(CORRECT_ACTIONS if chance.random() < 0.5 else FAULTY_ACTIONS)
        sent[act.__name__] += 1
        try:
            async with asyncio.timeout(PATIENCE), _connected(port, chance) as stream:
                await act(stream, chance)
        except (OSError, EOFError, AssertionError, TimeoutError) as exc:
            failures.append(f"{act.__name__}: {exc!r}")


@asynccontextmanager
async def _connected(port: int, chance: random.Random) -> AsyncIterator[Stream]:
    source = f"127.0.0.{chance.randrange(2, 250)}"  # one address does not have enough ports
    stream = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0), limit=2 * MIB)
    try:
        yield stream
    finally:
        stream[1].transport.abort()


async def _send(stream: Stream, request: bytes) -> None:
    reader, writer = stream
    writer.write(request)
    await _answer(reader)


async def _answer(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, _, length = head.partition(b"content-length: ")
    await reader.readexactly(int(length.split(b"\r\n")[0]))


def _reset(stream: Stream) -> None:
    raw = stream[1].get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream[1].transport.abort()


def _descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def main() -> int:
    """Run and print the figures. Returns 1 if anything was left behind or failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = write(Path(folder) / "mocks.json", configuration(WORDS))
        with running("--config", file, "--port=0") as command:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                outcome = runner.run(soak(command, options.requests, options.seed))
            logged = [line for line in command.lines if " ERROR " in line or " WARNING " in line]
    grown = outcome.after.memory - outcome.before.memory
    figures = {
        "sent": outcome.sent.total(),
        "seconds": round(outcome.seconds, 1),
        "each": dict(outcome.sent),
        "failures": len(outcome.failures),
        "warnings": len(logged),
        "descriptors": [outcome.before.descriptors, outcome.after.descriptors],
        "memory in MiB": [round(f.memory / MIB, 1) for f in (outcome.before, outcome.after)],
    }
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    sys.stdout.writelines(f"{line}\n" for line in [*outcome.failures[:10], *logged[:10]])
    return int(bool(outcome.failures or logged or grown > 8 * MIB))


if __name__ == "__main__":
    sys.exit(main())
