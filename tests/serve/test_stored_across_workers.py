"""Stored responses with several workers, through the official client."""

from __future__ import annotations

import signal
from pathlib import Path

import openai as openai_sdk
import pytest
from openai import OpenAI

from tests.support.http_library import httpx
from tests.support.processes import posix, running, until, write
from tests.support.served import API_KEY, responses_mock, responses_saying

pytestmark = pytest.mark.anyio

CONNECTIONS = 8  # with three workers it is most unlikely that all reach the same one


def config(answer: str) -> dict[str, object]:
    return {"openai_response": [responses_mock("hi", responses_saying(answer))]}


def retrieved(port: int, response_id: str) -> set[str]:
    """What is retrieved over connections of their own."""
    texts = set()
    for _ in range(CONNECTIONS):
        with client(port) as openai:
            texts.add(openai.responses.retrieve(response_id).output_text)
    return texts


def client(port: int) -> OpenAI:
    return OpenAI(
        base_url=f"http://127.0.0.1:{port}/v1",
        api_key=API_KEY,
        max_retries=0,
        http_client=httpx.Client(),
    )


@posix
@pytest.mark.parametrize("workers", [1, 3])
async def test_a_response_is_retrieved_from_any_worker_before_and_after_a_reload(
    tmp_path: Path, workers: int
) -> None:
    file = write(tmp_path / "mocks.json", config("old"))
    with running("--config", file, "--port=0", f"--workers={workers}") as command:
        given = []
        for _ in range(CONNECTIONS):
            with client(command.port) as openai:
                given.append(openai.responses.create(model="m", input="hi").id)
        before = [retrieved(command.port, each) for each in given]

        write(file, config("new"))
        old = set(command.workers())
        command.signal(signal.SIGHUP)
        command.told("mockllm: reloaded")
        if workers > 1:
            await until(lambda: not old & set(command.workers()))
        after = [retrieved(command.port, each) for each in given]

        with client(command.port) as openai:
            assert openai.responses.create(model="m", input="hi").output_text == "new"
            with pytest.raises(openai_sdk.NotFoundError):
                openai.responses.retrieve("resp_" + "0" * 48)

    assert before == after == [{"old"}] * CONNECTIONS


@posix
async def test_a_conversation_goes_on_in_any_worker(tmp_path: Path) -> None:
    turns = [{"match": {"turn": turn}, "reply": f"turn {turn}"} for turn in range(1, 9)]
    file = write(tmp_path / "mocks.json", {"mocks": turns})
    with running(file, "--port=0", "--workers=3") as command:
        more: dict[str, str] = {}
        for turn in range(1, 9):
            with client(command.port) as openai:
                answer = openai.responses.create(model="m", input="hi", extra_body=more)
            assert answer.output_text == f"turn {turn}"
            more = {"previous_response_id": answer.id}
