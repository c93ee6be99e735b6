"""A short soak: thousands of requests, half of them with a fault, leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak import CORRECT_ACTIONS, FAULTY_ACTIONS, MIB, WORDS, soak
from tests.support.http.messages import configuration
from tests.support.processes import needs_proc, running, write

REQUESTS = 3_000


@needs_proc
@pytest.mark.anyio
async def test_faults_leave_no_descriptor_and_no_memory(tmp_path: Path) -> None:
    file = write(tmp_path / "mocks.json", configuration(WORDS))
    with running("--config", file, "--port=0") as command:
        outcome = await soak(command, REQUESTS)
        told = [line for line in command.lines if " ERROR " in line or " WARNING " in line]

    assert outcome.failures == []
    assert told == []
    assert set(outcome.sent) == {act.__name__ for act in (*CORRECT_ACTIONS, *FAULTY_ACTIONS)}
    assert outcome.after.descriptors == outcome.before.descriptors
    assert outcome.after.memory - outcome.before.memory < 8 * MIB
