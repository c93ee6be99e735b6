"""Golden answers: `testdata/<vendor>/<api>/<case>/` holds a configured response and what goes over
the wire for it, whole and streamed, with fixed ids and times. They are read by eye once and
compared byte for byte ever after.

    response.json   the response as a user configures it, or
    reply.json      a neutral reply, and optionally
    request.json    the body of the request that it answers
    options.json    optional: members of `ResponseOptions`, and `chunk`
    whole.json      the body of the whole answer
    stream.txt      the body of the streamed answer

`python -m tests.support.goldens openai/chat` writes whole.json and stream.txt anew: read the diff.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from mockllm.config.reply import Reply
from mockllm.engine.reply import compile_reply
from mockllm.exchange import Reply as WireReply
from mockllm.prompt import ResponseOptions
from mockllm.wire import placeholders
from mockllm.wire.chunking import Chunk
from mockllm.wire.placeholders import FreshValues

TESTDATA = Path(__file__).parents[2] / "testdata"
RENDERERS = {  # a folder of testdata, and the module that renders what is in it
    "openai/chat": "mockllm.providers.openai.chat.render",
    "openai/responses": "mockllm.providers.openai.responses.render",
    "anthropic/messages": "mockllm.providers.anthropic.messages.render",
}
FRESH = FreshValues(
    unique_id=b"0123456789abcdef0123",
    seconds=b"1700000000",
    date=b"Tue, 14 Nov 2023 22:13:20 GMT",
)
MODEL = "mock-model"
INPUT_TOKENS = 7


def delivered(reply: WireReply) -> bytes:
    """The body of `reply` as a client gets it, with fixed ids, times and words of the request."""
    filled = placeholders.fill(reply, model=MODEL, input_tokens=INPUT_TOKENS)
    return placeholders.fill_fresh(filled.body, FRESH)


@dataclass(frozen=True)
class Case:
    """One folder of testdata."""

    folder: Path
    response: dict[str, Any]
    options: ResponseOptions
    chunk: Chunk

    def render(self, *, stream: bool) -> bytes:
        """The body of the answer, delivered."""
        renderer = import_module(RENDERERS[self.folder.parent.relative_to(TESTDATA).as_posix()])
        options = self.options._replace(stream=stream)
        return delivered(renderer.render(self.response, options, self.chunk))


def cases(api: str) -> list[Case]:
    """All cases of an API, one of `RENDERERS`, in order."""
    found = []
    for folder in sorted((TESTDATA / api).iterdir()):
        options = _read(folder / "options.json")
        chunk = options.pop("chunk", "word")
        neutral = (folder / "reply.json").exists()
        response = _reply(api, folder) if neutral else _read(folder / "response.json")
        found.append(Case(folder, response, ResponseOptions(**options), chunk))
    return found


def _reply(api: str, folder: Path) -> dict[str, Any]:
    """The response that says the reply of a case."""
    respond = import_module(RENDERERS[api].replace(".render", ".reply")).respond
    reply = compile_reply(Reply.model_validate(_read(folder / "reply.json")))
    response: dict[str, Any] = respond(reply, _read(folder / "request.json"))
    return response


def _read(file: Path) -> dict[str, Any]:
    value: dict[str, Any] = orjson.loads(file.read_bytes()) if file.exists() else {}
    return value


def write(api: str) -> None:
    """Write the golden files of an API anew."""
    for case in cases(api):
        (case.folder / "whole.json").write_bytes(case.render(stream=False))
        (case.folder / "stream.txt").write_bytes(case.render(stream=True))


if __name__ == "__main__":
    write(sys.argv[1])
