"""The control API of a server whose state is shared with other processes: the tests of sessions,
mocks and resets, with such a state, and what happens while another process uses it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mockllm.app import App
from mockllm.endpoints.control.access import PREFIX
from mockllm.engine.decision import Question, Wait
from mockllm.exchange import Request
from mockllm.serve.shared_lock import SharedLock
from mockllm.serve.shared_store import SharedStore
from mockllm.state.operations import IsOpen
from mockllm.state.store import StateUnavailableError
from tests.endpoints.control import test_mocks, test_running, test_sessions
from tests.support.control import TOKEN, Controlled
from tests.support.goldens import delivered

BEARER = f"Bearer {TOKEN}".encode()

token = test_mocks.token


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SharedStore]:
    with closing(SharedStore(tmp_path, timeout=0.05)) as opened:
        yield opened


def sharing(controlled: Controlled, store: SharedStore) -> Controlled:
    """`controlled`, whose state is in `store`."""
    store._gone = controlled.app.forget_session
    controlled.app.share_state(store, held=store)
    return controlled


@pytest.fixture
def controlled(request: pytest.FixtureRequest, store: SharedStore) -> Controlled:
    """The server of the module that a test is from, with a state that is shared."""
    module = inspect.getmodule(request.function)
    assert module is not None
    return sharing(Controlled(getattr(module, "CONFIG", None)), store)


def _tests_of(module: ModuleType) -> dict[str, object]:
    return {
        name: test
        for name, test in vars(module).items()
        if name.startswith("test_") and "controlled" in inspect.signature(test).parameters
    }


globals().update(_tests_of(test_sessions) | _tests_of(test_running) | _tests_of(test_mocks))


async def until_over(wait: Wait) -> Any:
    return await wait.begin()


async def asked_for(store: SharedStore, operations: Sequence[Any]) -> list[Any]:
    return await store.perform_later(operations)


def test_what_another_process_uses_is_waited_for_or_refused(
    controlled: Controlled, store: SharedStore, tmp_path: Path
) -> None:
    assert controlled.ask("PUT", "sessions/a", {}).status == 201
    with closing(SharedLock(tmp_path / "lock")) as another:
        assert another.acquire()
        request = Request.of("GET", f"{PREFIX}sessions/a", ((b"authorization", BEARER),), b"")
        question = App.decide(controlled.app, request)
        assert isinstance(question, Question)
        (wait,) = question.operations
        assert isinstance(wait, Wait)
        is_held = asyncio.run(until_over(wait))
        question = question.resume([is_held])
        assert isinstance(question, Question)
        assert question.operations == (IsOpen("a"),)
        with pytest.raises(StateUnavailableError) as caught:
            asyncio.run(asked_for(store, question.operations))
        refused = controlled.app.refuse_without_state(request, caught.value)
        assert refused.reply.status == 503
        assert b'"state_busy"' in delivered(refused.reply)

    assert controlled.ask("GET", "sessions/a").status == 200
