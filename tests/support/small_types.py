"""Small types, written so that each rule of validation is seen alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Required

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from mockllm.validation.findings import Finding, Kind, compile_request


class Source(TypedDict, total=False):
    url: Required[str]
    type: Required[Literal["url"]]


class Text(TypedDict, total=False):
    type: Required[Literal["text"]]
    text: Required[str]


class Image(TypedDict, total=False):
    type: Required[Literal["image"]]
    source: Required[Source]
    detail: Literal["low", "high"]


class Note(TypedDict, total=False):
    type: Required[Literal["note"]]
    notes: Iterable[Text | Image | Note]  # a type that contains itself


class User(TypedDict, total=False):
    role: Required[Literal["user"]]
    content: Required[str | Iterable[Text | Image | Note]]


class Assistant(TypedDict, total=False):
    role: Required[Literal["assistant"]]
    content: Required[str]
    call_id: Required[str]


class Tool(TypedDict, total=False):
    name: Required[str]
    schema: dict[str, object]
    type: Literal["custom"] | None  # optional: a tool without a type is this one


class Bash(TypedDict, total=False):
    type: Required[Literal["bash"]]


class Request(TypedDict, total=False):
    messages: Required[Iterable[User | Assistant]]
    temperature: float
    seed: int | None
    effort: Literal["low", "high"]
    stop: str | Iterable[str] | None
    choice: Literal["auto", "none"] | Bash
    tools: Iterable[Tool | Bash]
    metadata: dict[str, str]
    stream: bool


HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}]}
WRONG, MISSING, UNKNOWN, NEWER = Kind.WRONG, Kind.MISSING, Kind.UNKNOWN, Kind.NEWER


def lenient(**members: Any) -> Finding | None:
    return compile_request(Request, strict=False)({**HELLO, **members})


def strict(**members: Any) -> Finding | None:
    return compile_request(Request, strict=True)({**HELLO, **members})


def content(value: Any) -> Finding | None:
    return lenient(messages=[{"role": "user", "content": value}])


class Usage(BaseModel):
    model_config = ConfigDict(extra="allow")
    tokens: int


class Message(BaseModel):
    model_config = ConfigDict(extra="allow")
    type: Literal["message"]
    text: str | None = None


class Call(BaseModel):
    model_config = ConfigDict(extra="allow")
    type: Literal["call"]
    name: str


class Answer(BaseModel):
    model_config = ConfigDict(extra="allow", defer_build=True)  # as the SDKs' models
    id: str
    output: list[Message | Call]
    usage: Usage | None = None
