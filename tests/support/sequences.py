"""Engines whose mocks have state, made by hand: a script beside the answers of its entries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from mockllm import Config
from mockllm.engine.decision import Answer
from mockllm.engine.engine import Echo, Engine
from mockllm.engine.loading import load
from mockllm.engine.sources import FixedSource, ScriptedSource
from mockllm.matching.index import RuleIndex
from mockllm.state.choosing import AtEnd, Candidate, Entry, Script
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
    loaded = load(Config.from_dict({"openai": mocks}))
    chat, *others = loaded.tables
    rules, sources = list(chat.index.rules), [chat.sources[index] for index in range(len(texts))]
    for index, text in enumerate(texts):
        if text in sequenced:
            script, said = sequenced.pop(text)
            answers = _sources(map(chat_saying, said))
            rules[index] = replace(rules[index], stateful=True)
            sources[index] = ScriptedSource(Candidate(f"key {index}", script), answers)
    chat = replace(chat, index=RuleIndex(rules), sources=tuple(sources))
    return Engine(replace(loaded, tables=(chat, *others)), echo=echo, reuse=reuse)


def _sources(responses: Iterable[Any]) -> tuple[FixedSource, ...]:
    return tuple(FixedSource(Answer(each, number=place)) for place, each in enumerate(responses))


SAYING = {
    "openai": (chat_mock, chat_saying),
    "openai_response": (responses_mock, responses_saying),
    "anthropic": (messages_mock, messages_saying),
}


def engine_of_all_apis(script: Script, said: Sequence[str]) -> Engine:
    """An engine with one mock in each API, all with this script, for the text "hi"."""
    mocks = {name: [mock("hi", saying("hi"))] for name, (mock, saying) in SAYING.items()}
    loaded = load(Config.from_dict(mocks))
    tables = []
    for table in loaded.tables:
        if table.api.name in SAYING:
            _, saying = SAYING[table.api.name]
            answers = _sources(map(saying, said))
            source = ScriptedSource(Candidate(table.api.name, script), answers)
            rule = replace(table.index.rules[0], stateful=True)
            table = replace(table, index=RuleIndex([rule]), sources=(source,))
        tables.append(table)
    return Engine(replace(loaded, tables=tuple(tables)))


def sequence(*entries: Entry, at_end: AtEnd = AtEnd.FAIL) -> tuple[Script, Sequence[str]]:
    """A script whose entries say their number."""
    return Script(entries, at_end), [str(number) for number in range(len(entries))]
