"""Functions of mocks: where they run, how they end, and that nobody waits for one too long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from traceback import extract_tb
from typing import Any, cast

import pytest
from anyio import fail_after

from mockllm import Error, Reply, ToolCall
from mockllm.config.functions import Prompt
from mockllm.engine.decision import Called, CallFunction
from mockllm.serve import functions as functions_module
from mockllm.serve.functions import MAX_CHARACTERS, MAX_VALUES, Functions
from mockllm.serve.turns import Turns
from tests.support.served import PATIENCE

pytestmark = pytest.mark.anyio

PROMPT = cast("Prompt", object())


@pytest.fixture
def functions() -> Iterator[Functions]:
    functions = Functions()
    yield functions
    functions.close()
    for thread in threads():
        thread.join(PATIENCE)
    assert threads() == []


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "mockllm-function"]


async def call(functions: Functions, *called: Any) -> list[Called]:
    with fail_after(PATIENCE):
        return [*await functions.perform([CallFunction(each, PROMPT) for each in called])]


async def test_functions_are_given_the_prompt_and_their_results_are_in_order(
    functions: Functions,
) -> None:
    async def later(prompt: Prompt) -> Any:
        await asyncio.sleep(0)
        return ("later", prompt)

    class Answers:
        async def __call__(self, prompt: Prompt) -> Any:
            return ("called", prompt)

    results = await call(functions, later, lambda prompt: ("now", prompt), Answers())

    assert results == [Called((each, PROMPT)) for each in ("later", "now", "called")]


async def test_an_asynchronous_function_runs_in_the_loop_and_another_in_a_thread(
    functions: Functions,
) -> None:
    async def here(prompt: Prompt) -> Any:
        return threading.current_thread()

    def elsewhere(prompt: Prompt) -> Any:
        return threading.current_thread()

    [first, second] = await call(functions, here, elsewhere)

    assert first.value is threading.current_thread()
    assert second.value.name == "mockllm-function"


async def test_what_a_function_returns_is_awaited(functions: Functions) -> None:
    async def text() -> str:
        return "a"

    assert await call(functions, lambda prompt: text()) == [Called("a")]


class Ends(BaseException):
    """What a test framework raises to end a test."""


@pytest.mark.parametrize(
    "error", [ValueError("a"), Ends(), asyncio.CancelledError(), TimeoutError("own")]
)
async def test_what_a_function_raises_is_its_result(
    functions: Functions, error: BaseException
) -> None:
    def now(prompt: Prompt) -> Any:
        raise error

    async def later(prompt: Prompt) -> Any:
        raise error

    results = await call(functions, now) + await call(functions, later)

    assert [(each.value, type(each.error), each.is_late) for each in results] == [
        (None, type(error), False)
    ] * 2


@pytest.mark.parametrize("error", [StopIteration("a"), KeyboardInterrupt("a"), SystemExit("a")])
async def test_a_thread_ends_neither_the_loop_nor_the_program(
    functions: Functions, error: BaseException
) -> None:
    def now(prompt: Prompt) -> Any:
        raise error

    [result] = await call(functions, now)

    assert isinstance(result.error, RuntimeError)
    assert str(result.error) == f"{type(error).__name__}: a"


async def test_functions_run_at_the_same_time(functions: Functions) -> None:
    barrier = threading.Barrier(3, timeout=PATIENCE)

    results = await call(functions, *[lambda prompt: barrier.wait() >= 0] * 3)

    assert [each.value for each in results] == [True] * 3


async def test_a_thread_calls_one_function_after_another(functions: Functions) -> None:
    for _ in range(5):
        await call(functions, lambda prompt: None)

    assert len(threads()) == 1


async def test_a_function_that_takes_too_long_is_cancelled(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions_module, "MAX_SECONDS", 0.01)
    ended = []

    async def forever(prompt: Prompt) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    [result] = await call(functions, forever)

    assert result.is_late
    assert str(result.error) == "the function takes more than 0.01 seconds"
    assert ended == [True]


async def test_a_thread_that_takes_too_long_is_left_behind_and_replaced(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions_module, "MAX_THREADS", 1)
    go_on = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(functions_module, "MAX_SECONDS", 0.01)
        [late] = await call(functions, lambda prompt: go_on.wait(PATIENCE))

    [other] = await call(functions, lambda prompt: "other")
    go_on.set()

    assert late.is_late
    assert other.value == "other"


async def test_those_for_whom_there_is_no_thread_wait(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions_module, "MAX_THREADS", 2)
    running: list[None] = []

    def count(prompt: Prompt) -> int:
        running.append(None)
        most = len(running)
        running.pop()
        return most

    results = await call(functions, *[count] * 20)

    assert max(each.value for each in results) <= 2
    assert len(threads()) <= 2


async def test_a_function_that_waits_for_a_thread_gets_that_of_one_which_is_left_behind(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions_module, "MAX_THREADS", 1)
    begun, go_on = threading.Event(), threading.Event()

    def waits(prompt: Prompt) -> None:
        begun.set()
        go_on.wait(PATIENCE)

    leaving = asyncio.create_task(call(functions, waits))
    with fail_after(PATIENCE):
        await asyncio.to_thread(begun.wait)
        waiting = asyncio.create_task(call(functions, lambda prompt: "b"))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await waiting == [Called("b")]
    go_on.set()


async def test_a_client_that_leaves_cancels_an_asynchronous_function(functions: Functions) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def forever(prompt: Prompt) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    for count in (1, 2):
        begun.clear()
        ended.clear()
        task = asyncio.create_task(call(functions, *[forever] * count))
        with fail_after(PATIENCE):
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await ended.wait()


async def test_the_traceback_of_an_error_is_that_of_the_function(functions: Functions) -> None:
    async def fail_later(prompt: Prompt) -> Any:
        await asyncio.sleep(0)
        raise LookupError

    def fail_now(prompt: Prompt) -> Any:
        raise LookupError

    def cancelled(prompt: Prompt) -> Any:
        raise asyncio.CancelledError

    results = await call(functions, fail_later, fail_now, cancelled)

    errors = [each.error for each in results if each.error is not None]
    names = [[frame.name for frame in extract_tb(each.__traceback__)] for each in errors]
    assert names == [["fail_later"], ["fail_now"], ["cancelled"]]


# --- what is large --------------------------------------------------------------------------------


async def read(functions: Functions, value: Any, read: Any) -> Called:
    """What a function has returned, read by `read` if it is large."""
    with fail_after(PATIENCE):
        [called] = await functions.perform([CallFunction(lambda prompt: value, PROMPT, read)])
    return called


@pytest.mark.parametrize(
    "value",
    [
        "a" * (MAX_CHARACTERS + 1),
        {"json": [0] * MAX_VALUES},
        {"json": {"a": [["b"] * 9] * (MAX_VALUES // 9)}},
        Reply(tool_calls=[ToolCall(name="f", arguments={})] * MAX_VALUES),
        Reply(text={"template": "{{ user }}" * 200}),
        {"template": "{{ user }}" * 200},
        Error(status=500, body={"a": "b" * (MAX_CHARACTERS + 1)}),
    ],
)
async def test_a_large_answer_is_read_in_a_thread(functions: Functions, value: Any) -> None:
    threads = []

    def note(value: Any) -> str:
        threads.append(threading.current_thread())
        return "read"

    called = await read(functions, value, note)

    assert called.value is value
    assert called.reading is not None
    assert called.reading() == "read"
    assert threading.current_thread() not in threads
    assert len(threads) == 1


@pytest.mark.parametrize(
    "value", ["a" * MAX_CHARACTERS, {"text": "a"}, {"template": "{{ user }}"}, None, 7]
)
async def test_a_small_answer_is_left_to_who_has_asked(functions: Functions, value: Any) -> None:
    assert await read(functions, value, None) == Called(value)
    assert await read(functions, value, lambda value: "read") == Called(value)


async def test_what_is_wrong_with_a_large_answer_is_raised_where_it_is_read(
    functions: Functions,
) -> None:
    def fail(value: Any) -> Any:
        raise ValueError("it is wrong")

    called = await read(functions, "a" * (MAX_CHARACTERS + 1), fail)

    assert called.error is None
    assert called.reading is not None
    with pytest.raises(ValueError, match="it is wrong"):
        called.reading()


async def test_others_know_while_a_large_answer_is_read() -> None:
    seen = []
    turns = Turns()
    functions = Functions(turns.beside)
    try:
        await read(functions, "a" * 100_000, lambda value: seen.append(turns.has_large_body))
    finally:
        functions.close()

    assert seen == [True]
    assert not turns.has_large_body
