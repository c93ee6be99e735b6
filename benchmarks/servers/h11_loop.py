"""A straightforward server: h11 parses and writes HTTP, orjson parses the body, nothing is cached.

Usage: python -m benchmarks.servers.h11_loop PORT CONFIG
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, cast

import h11
import orjson
import uvloop

from benchmarks.loads import CHAT
from benchmarks.servers.answers import Answers, frames

MAX_HEAD = 64 * 1024  # bytes
JSON = (("content-type", "application/json"),)
EVENTS = (("content-type", "text/event-stream"), ("transfer-encoding", "chunked"))


class H11Loop(asyncio.Protocol):
    """One connection: events in, answers out."""

    def __init__(self, answers: Answers) -> None:
        # of the server
        self._answers = answers
        # of the connection
        self._transport: asyncio.Transport | None = None
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        # of the request
        self._request: h11.Request | None = None
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._request = event
                self._body.clear()
            elif isinstance(event, h11.Data):
                self._body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self._answer()
                self._http.start_next_cycle()
            else:  # NEED_DATA, PAUSED, ConnectionClosed
                return

    def _answer(self) -> None:
        assert self._request is not None
        if self._request.target.decode() != CHAT:
            self._send(404, {"error": {"message": "no such path"}})
            return
        body = orjson.loads(b"".join(self._body))
        completion = self._answers.find(body["messages"][-1]["content"])
        if completion is None:
            self._send(404, {"error": {"message": "no such mock"}})
        elif body.get("stream"):
            self._send_stream(completion)
        else:
            self._send(200, completion)

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        body = orjson.dumps(answer)
        headers = [*JSON, ("content-length", str(len(body)))]
        self._write(
            h11.Response(status_code=status, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )

    def _send_stream(self, completion: dict[str, Any]) -> None:
        self._write(
            h11.Response(status_code=200, headers=list(EVENTS)),
            *(h11.Data(data=frame) for frame in frames(completion)),
            h11.EndOfMessage(),
        )

    def _write(self, *events: h11.Event) -> None:
        assert self._transport is not None
        self._transport.write(b"".join(self._http.send(event) or b"" for event in events))


async def serve(port: int, config: Path) -> None:
    """Serve forever."""
    answers = Answers.from_file(config)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: H11Loop(answers), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
