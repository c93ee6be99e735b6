"""Functions that answer requests, for mocks that are written in Python, and what they are given.

    def answer(prompt: Prompt) -> str:
        return f"You said: {prompt.user}"

    Mock(reply=answer)

It knows how a function is recognised. It does not call any: that is `serve.functions`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from mockllm.exchange import Request
from mockllm.matching import readings
from mockllm.prompt import ConversationMessage, ToolResult
from mockllm.prompt import Prompt as DecodedPrompt
from mockllm.redaction import HIDDEN, is_secret

_M = TypeVar("_M", bound=ConversationMessage)


class Prompt:
    """A request as a function of a mock is given it: the values that conditions look at, the same
    in every API."""

    __slots__ = ("_prompt", "_request", "api", "attempt", "session")

    def __init__(
        self, api: str, prompt: DecodedPrompt, request: Request, session: str, attempt: int
    ) -> None:
        self._prompt = prompt
        self._request = request
        self.api = api
        """The API: ``chat``, ``responses`` or ``messages``."""
        self.session = session
        """The name of the session; empty for the common one."""
        self.attempt = attempt
        """The number of the attempt: 1, or more for a retry that the SDK has marked."""

    @property
    def model(self) -> str:
        """The model that is asked for."""
        return self._prompt.model

    @property
    def user(self) -> str:
        """The user's last words: the last text of the message, because agents put reminders before
        it. Empty if there is none."""
        words = self._prompt.once(readings.last_user)
        return words[-1] if words else ""

    @property
    def system(self) -> str:
        """All instructions, joined by a newline."""
        return "\n".join(self._prompt.system())

    @property
    def messages(self) -> tuple[ConversationMessage, ...]:
        """The conversation without instructions."""
        return tuple(map(_with_tuples, self._prompt.once(readings.spoken)))

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the tools that are offered."""
        return tuple(self._prompt.tools())

    @property
    def tool_results(self) -> tuple[ToolResult, ...]:
        """The results of tools in the last turn."""
        return tuple(map(_with_tuples, self._prompt.once(readings.results)))

    @property
    def turn(self) -> int:
        """The number of the requested answer in the conversation, from 1; a LookupError if the
        request continues a conversation that is not stored."""
        return _known("turn", self._prompt.once(readings.turn))

    @property
    def step(self) -> int:
        """The number of the requested answer since the user's last words, from 1; a LookupError
        like that of `turn`."""
        return _known("step", self._prompt.once(readings.step))

    @property
    def stream(self) -> bool:
        """True if a stream is asked for."""
        return self._prompt.options.stream

    @property
    def body(self) -> Mapping[str, Any]:
        """The decoded body of the request."""
        return self._prompt.body

    @property
    def headers(self) -> dict[str, str]:
        """The first value of each header, by its name in lower case. Those that may be credentials
        are ``***``."""
        lines = self._request.first_values.items()
        names = {name.decode("latin-1"): value for name, value in lines}
        return {name: HIDDEN if is_secret(name) else _decode(line) for name, line in names.items()}

    def __repr__(self) -> str:
        return f"<Prompt of {self.api}: {self.user!r:.100}>"


def _known(name: str, value: int | None) -> int:
    if value is None:
        raise LookupError(
            f"{name!r} is not known: the request continues a conversation that is not stored"
        )
    return value


def _with_tuples(message: _M) -> _M:
    """Return a message whose texts and calls are tuples."""
    if isinstance(message.texts, tuple) and isinstance(message.calls, tuple):
        return message
    return replace(message, texts=tuple(message.texts), calls=tuple(message.calls))


def _decode(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")  # RFC 9110, section 5.5


ReplyFunction = Callable[[Prompt], object | Awaitable[object]]
"""Returns what a `reply` may be, or an `Error`."""


def is_function(value: Any) -> bool:
    """True for anything that can be called with a prompt; a class is no function."""
    return callable(value) and not isinstance(value, type)
