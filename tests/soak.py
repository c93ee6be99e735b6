"""Many requests, half of them with a fault, and what they leave behind in the server.

    python -m tests.soak --requests 200000

starts the command, sends a tenth of the requests, looks at the server's descriptors and memory,
sends the others, and looks again. A short run of it is in `tests/serve/test_soak.py`.
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
WARM = 10  # the first of so many parts of a run fills caches and pools
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
    """What a run left: `before` after its first part, `after` at its end. `sent` counts what was
    done, `failures` tells answers that were not as they must be."""

    before: Figures
    after: Figures
    sent: Counter[str]
    failures: list[str]
    seconds: float


# --- what clients do ------------------------------------------------------------------------------


async def ask_and_stay(stream: Stream, chance: random.Random) -> None:
    """Some requests on one connection."""
    for _ in range(chance.randrange(1, 6)):
        await _ask(stream, chance.choice([question(), get(), get(target="/v1/nothing")]))


async def pipeline(stream: Stream, chance: random.Random) -> None:
    """Some requests at once."""
    reader, writer = stream
    count = chance.randrange(2, 20)
    writer.write(get() * count)
    for _ in range(count):
        await _answer(reader)


async def stream_to_the_end(stream: Stream, chance: random.Random) -> None:
    """A streamed answer, read to its end."""
    reader, writer = stream
    writer.write(question(body=asking("large", stream=True)))
    await reader.readuntil(b"data: [DONE]\n\n")


async def reset_at_done(stream: Stream, chance: random.Random) -> None:
    """Like the synchronous OpenAI client."""
    await stream_to_the_end(stream, chance)
    _reset(stream)


async def reset_in_an_answer(stream: Stream, chance: random.Random) -> None:
    """Away before a long answer is sent."""
    reader, writer = stream
    writer.write(question(body=asking("large", stream=True)))
    await reader.readexactly(chance.choice([1, 500, 20_000]))
    _reset(stream)


async def abort_a_body(stream: Stream, chance: random.Random) -> None:
    """A part of a body, and away."""
    _, writer = stream
    part = b"[" * chance.randrange(1, 50_000)
    whole = [framed("Content-Length: 60000000", body=part), chunked(chunks(part, 1_000))]
    writer.write(chance.choice(whole))
    await asyncio.sleep(0)
    if chance.random() < 0.5:
        _reset(stream)


async def half_close(stream: Stream, chance: random.Random) -> None:
    """Requests, no more to come, and answers to the end."""
    reader, writer = stream
    writer.write(question() * chance.randrange(1, 4) + question()[: chance.randrange(200)])
    writer.write_eof()
    assert (await reader.read()).startswith(b"HTTP/1.1 200")


async def speak_nonsense(stream: Stream, chance: random.Random) -> None:
    """Send bytes that are not a request."""
    reader, writer = stream
    writer.write(chance.randbytes(chance.randrange(1, 5_000)) + b"\r\n\r\n")
    await reader.read()


async def break_the_framing(stream: Stream, chance: random.Random) -> None:
    """A request whose end nobody knows."""
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


async def say_nothing(stream: Stream, chance: random.Random) -> None:
    """Connected, and away."""
    if chance.random() < 0.5:
        _reset(stream)


WELL: tuple[Callable[[Stream, random.Random], Awaitable[None]], ...] = (
    ask_and_stay,
    ask_and_stay,
    pipeline,
    stream_to_the_end,
    half_close,
)
FAULTS: tuple[Callable[[Stream, random.Random], Awaitable[None]], ...] = (
    reset_at_done,
    reset_in_an_answer,
    abort_a_body,
    speak_nonsense,
    break_the_framing,
    say_nothing,
)


# --- the run --------------------------------------------------------------------------------------


async def soak(command: Command, requests: int, seed: int = 0) -> Outcome:
    """Send about so many requests and faults to `command`."""
    started = time.perf_counter()
    sent: Counter[str] = Counter()
    failures: list[str] = []
    idle = _descriptors(command.pid)

    async def part(count: int, seed: int) -> Figures:
        left = iter(range(count))
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                chance = random.Random(seed + number)  # noqa: S311  # faults are no secrets
                group.create_task(_client(command.port, left, chance, sent, failures))
        async with _connected(command.port, random.Random(seed)) as stream:  # noqa: S311  # faults are no secrets
            await _ask(stream, get())
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
        act = chance.choice(WELL if chance.random() < 0.5 else FAULTS)
        sent[act.__name__] += 1
        try:
            async with asyncio.timeout(PATIENCE), _connected(port, chance) as stream:
                await act(stream, chance)
        except (OSError, EOFError, AssertionError, TimeoutError) as exc:
            failures.append(f"{act.__name__}: {exc!r}")


@asynccontextmanager
async def _connected(port: int, chance: random.Random) -> AsyncIterator[Stream]:
    source = f"127.0.0.{chance.randrange(2, 250)}"  # one address has not enough ports
    stream = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0), limit=2 * MIB)
    try:
        yield stream
    finally:
        stream[1].transport.abort()


async def _ask(stream: Stream, request: bytes) -> None:
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
    """Run, print the figures; 1 if anything was left or failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = write(Path(folder) / "mocks.json", configuration(WORDS))
        with running("--config", file, "--port=0") as command:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                outcome = runner.run(soak(command, options.requests, options.seed))
            told = [line for line in command.lines if " ERROR " in line or " WARNING " in line]
    grown = outcome.after.memory - outcome.before.memory
    figures = {
        "sent": outcome.sent.total(),
        "seconds": round(outcome.seconds, 1),
        "each": dict(outcome.sent),
        "failures": len(outcome.failures),
        "warnings": len(told),
        "descriptors": [outcome.before.descriptors, outcome.after.descriptors],
        "memory in MiB": [round(f.memory / MIB, 1) for f in (outcome.before, outcome.after)],
    }
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    sys.stdout.writelines(f"{line}\n" for line in [*outcome.failures[:10], *told[:10]])
    return int(bool(outcome.failures or told or grown > 8 * MIB))


if __name__ == "__main__":
    sys.exit(main())
