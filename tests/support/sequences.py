"""Engines whose mocks have state, from scripts and what each entry says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mockllm import Config
from mockllm.config.answers import ALWAYS
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.engine.selection import Echo
from mockllm.state.choosing import AtEnd, Script, ScriptEntry
from tests.support.served import (
    chat_mock,
    chat_saying,
    messages_mock,
    messages_saying,
    responses_mock,
    responses_saying,
)

Sequenced = dict[str, tuple[Script, Sequence[str]]]
"""The mocks with state, by the text of the message: the script, and what each entry says."""


def engine(
    texts: Sequence[str], sequenced: Sequenced, echo: Echo | None = None, *, reuse: bool = True
) -> Engine:
    """An engine whose mocks match one text each; those that are not `sequenced` repeat it."""
    mocks = [chat_mock(text, chat_saying(text)) for text in texts]
    for text, (script, said) in sequenced.items():
        index = texts.index(text)
        mocks[index] = _with_script(mocks[index], script, map(chat_saying, said))
    return Engine(load(Config.from_dict({"openai": mocks})), echo=echo, reuse=reuse)


SAYING: dict[str, tuple[Callable[..., dict[str, Any]], Callable[[str], Any]]] = {
    "openai": (chat_mock, chat_saying),
    "openai_response": (responses_mock, responses_saying),
    "anthropic": (messages_mock, messages_saying),
}


def engine_of_all_apis(script: Script, said: Sequence[str]) -> Engine:
    """An engine with one mock in each API, all with this script, for the text "hi"."""
    mocks = {
        name: [_with_script(mock("hi", {}), script, map(saying, said))]
        for name, (mock, saying) in SAYING.items()
    }
    return Engine(load(Config.from_dict(mocks)))


def _with_script(mock: dict[str, Any], script: Script, responses: Iterable[Any]) -> dict[str, Any]:
    """`mock` with the entries of a script in place of its response, as a configuration has them.
    There may be more responses than entries."""
    entries = [
        {
            "response": response,
            "times": ALWAYS if entry.times is None else entry.times,
            "retry": "next" if entry.advances_retry else "same",
        }
        for entry, response in zip(script.entries, responses, strict=False)
    ]
    others = {name: value for name, value in mock.items() if name != "response"}
    return others | {"sequence": entries, "at_end": script.at_end.value}


def sequence(*entries: ScriptEntry, at_end: AtEnd = AtEnd.FAIL) -> tuple[Script, Sequence[str]]:
    """A script whose entries say their number."""
    return Script(entries, at_end), [str(number) for number in range(len(entries))]
