"""What a connection writes, byte for byte, on a transport that only takes note."""

from __future__ import annotations

import asyncio
import gzip
import itertools
from typing import Any, cast

import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.config import Config
from mockllm.engine import Engine
from mockllm.exchange import Stamps
from mockllm.loading import Loaded, load
from mockllm.serve.protocol import HTTPProtocol, Phase, Service
from tests.serve.http_cases import (
    BODY,
    END,
    HELLO,
    asking,
    chunked,
    configuration,
    framed,
    get,
    post,
)

MESSAGES = [
    post(),
    post(body=asking("Hello", stream=True)),
    post("X-Id: 1", "Cookie: a=1", "Cookie: b=2"),
    post("X-Id: 2", "Cookie: c=3", "Cookie: d=4"),
    post("X-Id: caf\u00e9"),
    post("X-Tenant: a", body=asking("tenant")),
    post("X-Tenant: b", body=asking("tenant")),
    post("X-Tenant: b", "X-Tenant: a", body=asking("tenant")),
    post(body=asking("nothing like it")),
    post(body=b"{"),
    post(version="1.0"),
    post("Connection: keep-alive", version="1.0"),
    post("Connection: close"),
    post("Content-Encoding: gzip", body=gzip.compress(HELLO, mtime=0)),
    post("Expect: 100-continue"),
    framed("Content-Length: 5", "Transfer-Encoding: chunked"),
    framed("Content-Length: 999999999"),
    chunked(BODY, END),
    get(target="/ready"),
    get(target="/ready", method="HEAD"),
    get(target="/v1/unknown"),
    b"\r\n",
    b"nonsense\r\n\r\n",
]


class Written:
    """A transport whose peer takes everything at once."""

    def __init__(self) -> None:
        self.data = b""
        self.ends: list[str] = []

    def write(self, data: bytes) -> None:
        self.data += data

    def write_eof(self) -> None:
        self.ends.append("eof")

    def close(self) -> None:
        self.ends.append("close")

    def is_closing(self) -> bool:
        return "close" in self.ends

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class SameStamper:
    """Gives all answers the same stamps."""

    def next(self, took: float = 0.0) -> Stamps:
        return Stamps(b"0" * 20, b"1" * 10, b"2" * 29)


async def written(
    loaded: Loaded, connections: list[list[bytes]], *, reuse: bool
) -> list[tuple[bytes, list[str]]]:
    """What a service writes on each of `connections`, one after the other, and how they end."""
    service = Service(Engine(loaded, reuse=reuse))
    service.stamper = SameStamper()  # type: ignore[assignment]  # all that is called
    found = []
    for parts in connections:
        transport = Written()
        protocol = HTTPProtocol(service)
        protocol.connection_made(cast("Any", transport))
        for part in parts:
            protocol.data_received(part)
        while protocol.phase is Phase.ANSWERING:
            await checkpoint()
        protocol.connection_lost(None)
        found.append((transport.data, transport.ends))
    return found


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load(Config.from_dict(configuration()))


@st.composite
def conversations(draw: st.DrawFn) -> list[list[bytes]]:
    """Connections, each with pipelined messages that come in pieces."""
    found = []
    few = draw(st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=3))  # so that they repeat
    for messages in draw(st.lists(st.lists(st.sampled_from(few), max_size=4), max_size=4)):
        stream = b"".join(messages)
        starts = list(itertools.accumulate(map(len, messages), initial=0))
        bodies = [start + stream[start:].find(b"\r\n\r\n") + 4 for start in starts[:-1]]
        cuts = draw(st.sampled_from([starts, bodies, [], None]))
        if cuts is None:
            cuts = draw(st.lists(st.integers(0, len(stream))))
        places = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
        found.append([stream[a:b] for a, b in itertools.pairwise(places)])
    return found


@settings(max_examples=300)
@given(conversations())
def test_what_is_reused_changes_no_byte(loaded: Loaded, connections: list[list[bytes]]) -> None:
    async def both() -> tuple[object, object]:
        again = connections * 3  # a decision is kept the second time and used the third
        fresh = await written(loaded, again, reuse=False)
        return await written(loaded, again, reuse=True), fresh

    remembered, fresh = asyncio.run(both())

    assert remembered == fresh


@pytest.mark.parametrize("message", MESSAGES)
def test_what_is_reused_changes_no_byte_of_any_message(loaded: Loaded, message: bytes) -> None:
    connections = [[message]] * 4

    remembered = asyncio.run(written(loaded, connections, reuse=True))

    assert remembered == asyncio.run(written(loaded, connections, reuse=False))
