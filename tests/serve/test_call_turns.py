"""What the calls of a page continue is found once each, with pauses."""

from __future__ import annotations

import asyncio

import pytest

from mockllm.serve import call_turns
from mockllm.serve.call_turns import find_turns
from tests.support.observed import PATHS, Observed, request

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("at_once", "pauses"), [(1_000_000, 0), (1, 4)])
async def test_each_conversation_is_found_once(
    monkeypatch: pytest.MonkeyPatch, at_once: int, pauses: int
) -> None:
    monkeypatch.setattr(call_turns, "BYTES_AT_ONCE", at_once)
    observed = Observed()
    for name, session in (("a", ""), ("b", ""), ("a", ""), ("a", "/session/s")):
        body = {"model": "m", "input": "hi", "previous_response_id": name}
        observed.ask(request(session + PATHS["responses"], body))
    found: list[tuple[str, str]] = []
    iterations = 0

    async def find(response_id: str, session: str) -> None:
        found.append((response_id, session))

    async def count() -> None:
        nonlocal iterations
        while True:
            await asyncio.sleep(0)
            iterations += not found

    counting = asyncio.create_task(count())
    await asyncio.sleep(0)
    await find_turns(observed.journal.since(0, None), find)
    counting.cancel()

    assert found == [("a", ""), ("b", ""), ("a", "s")]
    assert iterations >= pauses
