"""The calls of a process that cannot ask others."""

from __future__ import annotations

from pathlib import Path

import pytest

from mockllm.observers.selection import CallSelection
from mockllm.serve.own_calls import OwnCalls
from mockllm.serve.peers import Switchboard, WorkerPlace
from mockllm.serve.process_journal import NO_SOCKETS, record
from mockllm.serve.turns import Turns
from tests.support.observed import PATHS, Observed, request
from tests.support.processes import posix
from tests.support.served import chat_request

pytestmark = pytest.mark.anyio


async def test_the_only_process_has_all_calls() -> None:
    observed = Observed()
    calls = OwnCalls(observed.journal)
    for text in ("a", "b"):
        observed.ask(request(PATHS["chat"], chat_request(text)))

    assert (calls.last_number, calls.read(None).missing) == (2, "")
    assert await calls.gather(None) == calls.read(None)
    assert await calls.wait(None, 2, 0)
    assert not await calls.wait(None, 3, 0.001)
    calls.forget("", 1)
    assert len(observed.journal) == 1
    await calls.clear(CallSelection(api="chat"))
    assert len(observed.journal) == 0


@posix
async def test_one_of_several_without_sockets_says_what_it_cannot_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    monkeypatch.setattr("mockllm.serve.peers.SHORT_TEMPORARY_DIRECTORY", str(tmp_path / "too"))
    app = Observed().app
    for place, missing in ((WorkerPlace(Switchboard(2), 0, False), NO_SOCKETS), (None, "")):
        _, _, calls = record(app, 5, place, turns=Turns())
        assert isinstance(calls, OwnCalls)
        assert calls.read(None).missing == missing
