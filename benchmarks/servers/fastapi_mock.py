"""A typical home-made mock: a FastAPI application under uvicorn (uvloop, httptools).

Usage: python -m benchmarks.servers.fastapi_mock PORT CONFIG
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel

from benchmarks.loads import CHAT
from benchmarks.servers.answers import Answers, frames

KEEP_ALIVE = 75  # seconds; uvicorn's default of five would close idle connections too early


class Message(BaseModel):
    role: str
    content: str


class ChatRequest(BaseModel):
    model: str
    messages: list[Message]
    stream: bool = False


def application(answers: Answers) -> FastAPI:
    """Return the mock server."""
    app = FastAPI()

    @app.post(CHAT)
    async def chat(request: ChatRequest) -> Response:
        completion = answers.find(request.messages[-1].content)
        if completion is None:
            raise HTTPException(404, "no such mock")
        if request.stream:
            return StreamingResponse(_events(completion), media_type="text/event-stream")
        return JSONResponse(completion)

    return app


async def _events(completion: dict[str, Any]) -> AsyncIterator[bytes]:
    for frame in frames(completion):
        yield frame


if __name__ == "__main__":
    uvicorn.run(
        application(Answers.from_file(Path(sys.argv[2]))),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE,
    )
