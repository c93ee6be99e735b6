"""Sends requests with the official clients: the only file here that imports the SDKs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from types import TracebackType
from typing import Any, Self

from anthropic import APIStatusError as AnthropicStatusError
from anthropic import AsyncAnthropic
from openai import APIStatusError as OpenAIStatusError
from openai import AsyncOpenAI, ContentFilterFinishReasonError, LengthFinishReasonError
from pydantic import ValidationError

API_KEY = "any"
TIMEOUT = 30.0  # seconds
MAX_REPORTED = 3  # validation errors of an answer; further ones are mostly consequences
MAX_COMPLAINT = 300  # characters

_ARGUMENTS: Mapping[str, frozenset[str]] = {
    "openai": frozenset({"model", "messages", "max_tokens"}),
    "openai_response": frozenset({"model", "input"}),
    "anthropic": frozenset({"model", "messages", "max_tokens"}),
    "openai_embeddings": frozenset({"model", "input"}),
}
"""Members that are arguments of the methods of each API's client: those that some API requires."""
_ALL_ARGUMENTS = frozenset().union(*_ARGUMENTS.values())

Body = dict[str, Any]
Call = Callable[[AsyncOpenAI, AsyncAnthropic, Body], Awaitable[None]]


class Clients:
    """One strict client per vendor: it rejects anything that its types do not declare."""

    def __init__(self, url: str) -> None:
        self._openai = AsyncOpenAI(
            base_url=f"{url}/v1",
            api_key=API_KEY,
            max_retries=0,
            timeout=TIMEOUT,
            _strict_response_validation=True,
        )
        self._anthropic = AsyncAnthropic(
            base_url=url,
            api_key=API_KEY,
            max_retries=0,
            timeout=TIMEOUT,
            _strict_response_validation=True,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._openai.close()
        await self._anthropic.close()

    def calls(self, api: str, forms: Collection[bool]) -> list[str]:
        """Return the names of the calls of the client of `api`: whole, streamed, or rebuilding the
        response from its stream with the SDK's helper. `forms` has False for the first, True for
        the others."""
        return [how for how in _CALLS[api] if (how != "whole") in forms]

    def unknown(self, api: str, body: Body) -> list[str]:
        """Return the members of `body` that are arguments of other APIs' clients, not of that of
        `api`: none of its requests has them."""
        return sorted((_ALL_ARGUMENTS - _ARGUMENTS[api]) & body.keys())

    async def complaint(
        self, api: str, how: str, body: Body, headers: Mapping[str, str], *, status: int | None
    ) -> str | None:
        """Return the error that the client of `api` raises in one of its `calls`.
        With the `status` of an error, it must raise the exception for that status."""
        known = _ARGUMENTS[api] & body.keys()
        arguments = {name: body[name] for name in known}
        # Members that the SDK does not know, or not yet, are no arguments.
        arguments["extra_body"] = {name: body[name] for name in body.keys() - known}
        arguments["extra_headers"] = {_spelled(name): headers[name] for name in headers}
        try:
            await _CALLS[api][how](self._openai, self._anthropic, arguments)
        except (OpenAIStatusError, AnthropicStatusError) as exc:
            return None if exc.status_code == status else _describe_error(exc)
        except (LengthFinishReasonError, ContentFilterFinishReasonError):
            return None  # the helper reports a stopped model this way; the answer is fine
        except Exception as exc:
            return _describe_error(exc)
        if status is not None:
            return f"expected an exception for status {status}, none was raised"
        return None


async def _chat(openai: AsyncOpenAI, _: AsyncAnthropic, body: Body) -> None:
    await openai.chat.completions.create(**body)


async def _chat_streamed(openai: AsyncOpenAI, _: AsyncAnthropic, body: Body) -> None:
    await _read(await openai.chat.completions.create(**body, stream=True))


async def _chat_rebuilt(openai: AsyncOpenAI, _: AsyncAnthropic, body: Body) -> None:
    async with openai.chat.completions.stream(**body) as stream:
        await _read(stream)


async def _responses(openai: AsyncOpenAI, _: AsyncAnthropic, body: Body) -> None:
    await openai.responses.create(**body)


async def _responses_streamed(openai: AsyncOpenAI, _: AsyncAnthropic, body: Body) -> None:
    await _read(await openai.responses.create(**body, stream=True))


async def _responses_rebuilt(openai: AsyncOpenAI, _: AsyncAnthropic, body: Body) -> None:
    async with openai.responses.stream(**body) as stream:
        await _read(stream)


async def _messages(_: AsyncOpenAI, anthropic: AsyncAnthropic, body: Body) -> None:
    await anthropic.messages.create(**body)


async def _messages_streamed(_: AsyncOpenAI, anthropic: AsyncAnthropic, body: Body) -> None:
    await _read(await anthropic.messages.create(**body, stream=True))


async def _messages_rebuilt(_: AsyncOpenAI, anthropic: AsyncAnthropic, body: Body) -> None:
    async with anthropic.messages.stream(**body) as stream:
        await _read(stream)
        await stream.get_final_message()


async def _embeddings(openai: AsyncOpenAI, _: AsyncAnthropic, body: Body) -> None:
    """With floats: a strict client would validate base64 before decoding it."""
    await openai.embeddings.create(**body, encoding_format="float")


_CALLS: Mapping[str, Mapping[str, Call]] = {
    "openai": {"whole": _chat, "streamed": _chat_streamed, "rebuilt": _chat_rebuilt},
    "openai_response": {
        "whole": _responses,
        "streamed": _responses_streamed,
        "rebuilt": _responses_rebuilt,
    },
    "anthropic": {"whole": _messages, "streamed": _messages_streamed, "rebuilt": _messages_rebuilt},
    "openai_embeddings": {"whole": _embeddings},
}


def _spelled(name: str) -> str:
    """Spell a header as the SDKs do, which send two of it if the spelling differs."""
    return name if name.startswith("anthropic-") else name.title()


async def _read(stream: AsyncIterator[Any]) -> None:
    async for _ in stream:
        pass


def _describe_error(error: Exception) -> str:
    """Describe an exception in one line; a validation error by its findings."""
    name = type(error).__name__
    if not isinstance(error.__cause__, ValidationError):
        text = " ".join(str(error).split()) or "no message"
        return f"{name}: {text if len(text) <= MAX_COMPLAINT else text[:MAX_COMPLAINT] + '…'}"
    found = error.__cause__.errors(include_url=False, include_input=False)
    findings = [
        f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found[:MAX_REPORTED]
    ]
    more = f"; and {len(found) - MAX_REPORTED} more" if len(found) > MAX_REPORTED else ""
    return f"{name}: {'; '.join(findings)}{more}"
