"""Shared data of tests with sockets: mocks in the file format, requests that match them, and
streams read as plain data."""

from __future__ import annotations

import asyncio
import gc
import inspect
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

Json = dict[str, Any]

MODEL = "mock-model"
API_KEY = "any"
CLIENTS = ("asyncio_", "uvloop_")  # names of threads in which a loop resolves a client's names
PATIENCE = 20.0  # seconds after which a test that should have ended fails instead of hanging
OPENAI_HEADERS = {"authorization": f"Bearer {API_KEY}"}
ANTHROPIC_HEADERS = {"x-api-key": API_KEY, "anthropic-version": "2023-06-01"}


# --- mocks, in the file format --------------------------------------------------------------------


def chat_mock(text: str, response: Json, **match: Any) -> Json:
    """A Chat Completions mock for a user who says `text`."""
    return _mock({"message": {"role": "user", "content": text}, **match}, text, response)


def responses_mock(text: str, response: Json, **match: Any) -> Json:
    """A Responses mock for the input `text`."""
    return _mock({"input": text, **match}, text, response)


def messages_mock(text: str, response: Json, **match: Any) -> Json:
    """A Messages mock for a user who says `text`."""
    return _mock({"message": {"role": "user", "content": text}, **match}, text, response)


def embeddings_mock(text: str, *vectors: list[float], **match: Any) -> Json:
    """An Embeddings mock for the input `text`."""
    return _mock({"input": text, **match}, text, {"data": [{"embedding": v} for v in vectors]})


def _mock(match: Json, name: str, response: Json) -> Json:
    return {"name": name, "match": match, "response": response}


def chat_saying(text: str) -> Json:
    """The smallest Chat Completions response that says `text`."""
    return {"choices": [{"message": {"content": text}}]}


def responses_saying(text: str) -> Json:
    """The smallest Responses response that says `text`."""
    content = [{"type": "output_text", "text": text}]
    return {"output": [{"type": "message", "role": "assistant", "content": content}]}


def messages_saying(text: str) -> Json:
    """The smallest Messages response that says `text`."""
    return {"content": [{"type": "text", "text": text}]}


# --- requests -------------------------------------------------------------------------------------


def chat_request(text: str, **members: Any) -> Json:
    """A Chat Completions request in which a user says `text`."""
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **members}


def responses_request(text: str, **members: Any) -> Json:
    """A Responses request with the input `text`."""
    return {"model": MODEL, "input": text, **members}


def messages_request(text: str, **members: Any) -> Json:
    """A Messages request in which a user says `text`."""
    return chat_request(text, **{"max_tokens": 1024, **members})


def embeddings_request(text: str, **members: Any) -> Json:
    """An Embeddings request with the input `text`."""
    return {"model": MODEL, "input": text, **members}


def http_request(
    path: str, body: Json, headers: Mapping[str, str] = OPENAI_HEADERS, *, method: str = "POST"
) -> bytes:
    """A request as it goes over the wire."""
    content = orjson.dumps(body)
    fields = {"host": "mockllm", **headers, "content-length": str(len(content))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


# --- answers --------------------------------------------------------------------------------------


def events(body: bytes) -> list[Json]:
    """The events of a stream as plain data, without the ``[DONE]`` of Chat Completions."""
    lines = [line for line in body.split(b"\n") if line.startswith(b"data: ")]
    assert lines, body
    return [orjson.loads(line[6:]) for line in lines if line != b"data: [DONE]"]


# --- addresses ------------------------------------------------------------------------------------


def port_of(base_url: str) -> int:
    return int(base_url.rpartition(":")[2])


@contextmanager
def occupied_port() -> Iterator[int]:
    """A loopback port that is in use."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


# --- leaks ----------------------------------------------------------------------------------------


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Check that the block leaves no thread, descriptor or warning behind."""
    threads, descriptors = _threads(), _descriptors()
    yield
    gc.collect()  # a socket that nobody closed warns now, and warnings are errors
    for each in _threads() - threads:
        each.join(PATIENCE)  # one may be about to end
    assert _threads() <= threads  # one of before may have ended since
    assert _descriptors() <= descriptors


def tasks() -> int:
    """The number of the loop's tasks, except those that close abandoned streams of clients."""
    return sum(inspect.iscoroutine(task.get_coro()) for task in asyncio.all_tasks())


def _threads() -> set[threading.Thread]:
    """The process's threads, except those that loops of clients start."""
    return {each for each in threading.enumerate() if not each.name.startswith(CLIENTS)}


def _descriptors() -> set[Path]:
    """The process's open files and sockets; empty where the system cannot list them."""
    try:
        return set(Path("/dev/fd").iterdir())
    except OSError:
        return set()
