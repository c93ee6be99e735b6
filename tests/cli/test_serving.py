"""The command as a server: its output, the mocks it serves, its exit."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from anthropic import Anthropic
from openai import APIStatusError, OpenAI

from mockllm.cli.serving import _summarise, _warn_of_workers
from mockllm.engine.building import build_engine
from mockllm.observers.lateness import Lateness
from tests.support.processes import Command, ask, failing, posix, running, write
from tests.support.served import (
    API_KEY,
    chat_mock,
    chat_request,
    chat_saying,
    messages_request,
    occupied_port,
    responses_request,
)

# --- Without a configuration ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo() -> Iterator[Command]:
    with running("--port", "0") as server:
        yield server


@pytest.fixture(scope="module")
def openai(demo: Command) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{demo.url}/v1", api_key=API_KEY, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def anthropic(demo: Command) -> Iterator[Anthropic]:
    with Anthropic(base_url=demo.url, api_key=API_KEY, max_retries=0) as client:
        yield client


def test_the_first_line_is_the_url(demo: Command) -> None:
    assert demo.url == f"http://127.0.0.1:{demo.port}"
    assert demo.port != 0
    socket.create_connection(("127.0.0.1", demo.port)).close()


def test_hints_are_on_stderr(demo: Command) -> None:
    demo.told("ANTHROPIC_BASE_URL")
    hints = "\n".join(demo.lines)
    assert "openai: 2, openai_response: 2, anthropic: 2" in hints
    assert "demo mocks; 'mockllm FILE' serves" in hints
    assert f"OPENAI_BASE_URL={demo.url}/v1" in hints
    assert f"ANTHROPIC_BASE_URL={demo.url} " in hints


def test_demo_mocks_answer_with_text_and_tool_calls(openai: OpenAI, anthropic: Anthropic) -> None:
    greetings = [
        openai.chat.completions.create(**chat_request("Hello")).choices[0].message.content,
        openai.responses.create(**responses_request("Hello")).output_text,
        anthropic.messages.create(**messages_request("Hello")).to_dict()["content"][0]["text"],  # type: ignore[index]  # of a dict of objects
    ]
    assert all(text and "mockllm" in text for text in greetings)
    asked = "What is the weather in Paris?"
    choice = openai.chat.completions.create(**chat_request(asked)).choices[0]
    response = openai.responses.create(**responses_request(asked))
    message = anthropic.messages.create(**messages_request(asked))
    assert choice.finish_reason == "tool_calls"
    assert [item.type for item in response.output] == ["function_call"]
    assert [block.type for block in message.content] == ["tool_use"]


def test_the_demo_lists_models(openai: OpenAI, anthropic: Anthropic) -> None:
    names = [model.id for model in openai.models.list()]
    assert names == [model.id for model in anthropic.models.list()] != []
    assert [openai.models.retrieve(name).id for name in names] == names
    assert [anthropic.models.retrieve(name).id for name in names] == names


def test_an_unmatched_request_is_echoed(openai: OpenAI, anthropic: Anthropic) -> None:
    asked = "Überraschung 🎉"
    with openai.chat.completions.stream(**chat_request(asked)) as chat:
        completion = chat.get_final_completion()
    with openai.responses.stream(**responses_request(asked)) as responses:
        response = responses.get_final_response()
    with anthropic.messages.stream(**messages_request(asked)) as messages:
        text = messages.get_final_text()
    assert completion.choices[0].message.content == f"You said: {asked}"
    assert response.output_text == text == f"You said: {asked}"


def test_an_embedding_is_echoed(openai: OpenAI) -> None:
    one, same, other = [
        openai.embeddings.create(model="m", input=text).data[0].embedding
        for text in ("one", "one", "other")
    ]
    assert one == same != other


WISHES = {
    "x-mockllm-error": "permission",
    "x-mockllm-latency": '{"ttft": "1ms"}',
    "x-mockllm-fault": '{"pause": "1ms"}',
}


def _status(openai: OpenAI, **wishes: str) -> int:
    raw = openai.chat.completions.with_raw_response
    try:
        return raw.create(**chat_request("one"), extra_headers=wishes).status_code
    except APIStatusError as exc:
        return exc.status_code


def test_a_client_of_the_demo_gets_what_it_asks_for(openai: OpenAI) -> None:
    assert _status(openai) == 200
    assert _status(openai, **WISHES) == 403


# --- With a configuration -------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--client-faults",)], ids=["off", "on"])
def test_a_client_gets_what_it_asks_for_if_the_command_allows_it(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    file = write(tmp_path / "a.json", {"openai": [chat_mock("one", chat_saying("file"))]})
    with (
        running(file, "--port", "0", *options) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key=API_KEY, max_retries=0) as client,
    ):
        assert _status(client, **WISHES) == (403 if options else 200)
        assert _status(client, **{"x-mockllm-fault": "nonsense"}) == (400 if options else 200)


def test_serves_files_and_directories_in_order_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    directory = tmp_path / "mocks"
    directory.mkdir()
    odd = chat_saying("file") | {"creatd": 1}
    file = write(tmp_path / "a.json", {"openai": [chat_mock("one", odd)]})
    for name in ("b", "a"):
        mocks = [chat_mock(text, chat_saying(name)) for text in ("one", "two")]
        write(directory / f"{name}.json", {"openai": mocks})
    with running("--config", file, "--config", directory, "--listen-addr", "127.0.0.1:0") as server:
        with OpenAI(base_url=f"{server.url}/v1", api_key=API_KEY) as client:
            answers = [
                client.chat.completions.create(**chat_request(text)).choices[0].message.content
                for text in ("one", "two")
            ]
        server.signal_group(signal.SIGINT)
        assert server.ended() == 0
        assert answers == ["file", "a"]
        warnings = [line for line in server.lines if line.startswith("warning: ")]
        assert any(line.startswith(f"warning: {file}: openai[0] 'one': ") for line in warnings)
        assert any("unreachable: " in line for line in warnings)
        assert not any("Traceback" in line for line in server.lines)


def test_a_port_in_use_is_one_line() -> None:
    with occupied_port() as port:
        status, output, errors = failing("--port", str(port))
    assert (status, output) == (1, "")
    (line,) = errors.splitlines()
    assert line.startswith(f"mockllm: cannot listen on 127.0.0.1:{port}: the address is in use")


# --- Errors ---------------------------------------------------------------------------------------


def test_all_errors_of_all_files_are_reported_at_once(tmp_path: Path) -> None:
    typo = write(tmp_path / "a.json", {"opnai": [], "anthropc": []})
    broken = tmp_path / "b.json"
    broken.write_text('{"openai": [')
    absent = tmp_path / "c.json"
    role = write(
        tmp_path / "d.json",
        {"openai": [{"name": "r", "match": {"message": {"role": "robot"}}, "response": {}}]},
    )
    files = (typo, broken, absent, role)
    words = [word for file in files for word in ("--config", file)]
    status, output, errors = failing(*words, "--port", "0")
    assert (status, output) == (2, "")
    lines = errors.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    assert [sum(str(file) in line for line in lines) for file in files] == [2, 1, 1, 1]
    assert f"error: {broken}: is not JSON: " in errors
    assert f"error: {absent}: cannot be read: No such file" in errors
    assert f"error: {role}: openai[0] 'r': match.message" in errors


@pytest.mark.parametrize("option", ["--strict", "--strict-config"])
def test_strict_does_not_start_on_warnings(option: str, tmp_path: Path) -> None:
    odd = {"openai": [chat_mock("hi", chat_saying("yes") | {"creatd": 1})]}
    file = write(tmp_path / "odd.json", odd)
    status, output, errors = failing("--config", file, "--port", "0", option)
    assert (status, output) == (2, "")
    assert f"{file}: openai[0] 'hi': response.creatd: " in errors


def told(*arguments: str | Path) -> tuple[int, str]:
    """Exit status and the one line of a command that does not start."""
    status, out, err = failing("--port=0", *arguments)
    assert out == ""
    assert err.count("\n") == 1, err
    return status, err.rstrip("\n")


def test_a_missing_certificate_is_one_line() -> None:
    line = "mockllm: cannot serve TLS: no/cert.pem: No such file or directory"
    assert told("--ssl-certfile", "no/cert.pem") == (1, line)


def test_a_missing_configuration_is_one_line(tmp_path: Path) -> None:
    line = "error: no/mocks.json: cannot be read: No such file or directory"
    assert told("--config", "no/mocks.json") == (2, line)
    status, line = told("--config", tmp_path)
    assert status == 2
    assert line.startswith(f"error: {tmp_path}: expected a directory with *.json, *.yaml, *.yml")


def test_an_impossible_unix_socket_is_one_line() -> None:
    status, out, err = failing("--uds", "no/mockllm.sock")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("mockllm: cannot listen on ")


@pytest.mark.parametrize("command", [[], ["serve"]])
def test_files_and_directories_are_arguments_too(command: list[str], tmp_path: Path) -> None:
    """Those of --config are tried first, then the others in their order."""
    one, other = [
        write(tmp_path / name, {"openai": [chat_mock(name, chat_saying(name))]})
        for name in ("check", "b.json")
    ]
    directory = tmp_path / "mocks"
    directory.mkdir()
    for name in ("check", "a", "b.json"):
        write(directory / f"{name}.json", {"openai": [chat_mock(name, chat_saying("directory"))]})
    words: list[str | Path] = [*command, one, directory, "--port=0", "--config", other]
    with (
        running(*words) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key=API_KEY, max_retries=0) as client,
    ):
        answers = [
            client.chat.completions.create(**chat_request(text)).choices[0].message.content
            for text in ("check", "a", "b.json")
        ]
        assert answers == ["check", "directory", "b.json"]
        assert not any("demo" in line for line in server.lines)


def test_reload_takes_files_that_are_arguments(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", {"openai": [chat_mock("a", chat_saying("before"))]})
    with running(file, "--reload", "--port=0") as server:
        write(file, {"openai": []})
        server.told("mockllm: reloaded: openai: 0")


@posix
def test_workers_have_one_limit(tmp_path: Path) -> None:
    config = {"mocks": [{"reply": "a"}], "traffic": [{"rate_limit": {"rpd": 6}}]}
    file = write(tmp_path / "a.json", config)

    async def statuses(port: int) -> list[int]:
        return [(await ask(port)).status for _ in range(60)]  # each on a connection of its own

    with running(file, "--workers=2", "--port=0") as server:
        found = asyncio.run(statuses(server.port))

    assert found.count(200) == 6
    assert found.count(429) == 54


# --- Latency --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workers", "warned"), [(1, []), (3, []), (4, ["gpu"]), (8, ["gpu", "latency"])]
)
def test_a_pool_with_fewer_places_than_workers_is_a_warning(
    workers: int, warned: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    mocks = [
        {"reply": "a", "latency": {"ttft": 1, "pool": "gpu", "concurrency": 3}},
        {"sequence": [{"reply": "b", "latency": {"ttft": 2, "pool": "gpu", "concurrency": 3}}]},
        {"reply": "c", "latency": {"ttft": 1}},
    ]
    config = {"mocks": mocks, "latency": {"ttft": 1, "concurrency": 5}}

    _warn_of_workers(workers, build_engine(config))

    pools = [record.message for record in caplog.records if "the pool" in record.message]
    found = sorted(message.split("'")[1] for message in pools)
    assert found == warned
    assert all("use --workers" in message for message in pools)


def latent(tmp_path: Path, *options: str) -> Command:
    """A server that has answered two requests, which took time, and has ended."""
    file = write(tmp_path / "mocks.json", {"mocks": [{"reply": "one two"}]})
    options = ("--latency", "ttft=1s,itl=100ms", "--speed", "100", *options)
    with running(file, "--port", "0", *options) as server:
        with OpenAI(base_url=f"{server.url}/v1", api_key=API_KEY, max_retries=0) as client:
            for _ in range(2):
                client.chat.completions.create(**chat_request("hi"))
        server.signal(signal.SIGTERM)
        assert server.ended() == 0
    return server


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_end_says_how_late_paced_answers_were(tmp_path: Path, workers: str) -> None:
    server = latent(tmp_path, "--workers", workers)

    (line,) = server.told("paced answers: 2 ")
    assert line.startswith("mockllm: paced answers: 2 (0 streams), ")
    assert "; steps: 2 with " in line
    assert "; verdict: " in line


def test_the_summary_may_be_turned_off(tmp_path: Path) -> None:
    server = latent(tmp_path, "--no-summary")

    assert not any("paced" in line for line in server.lines)


def test_milliseconds_without_a_unit_are_a_warning_without_a_file_too() -> None:
    with running("--latency", "ttft=350", "--port", "0") as server:
        (line,) = server.told("350 seconds")

    assert line == (
        'warning: latency.ttft: 350 seconds: write "350ms" if milliseconds are meant, else "350s"'
    )


class Said:
    """A console that keeps what is said."""

    def __init__(self, *, is_terminal: bool) -> None:
        self.is_terminal = is_terminal
        self.lines: list[str] = []

    def say(self, message: str, level: int = 0, *, text: str | None = None) -> None:
        self.lines.append(message if text is None else text)


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_summary_is_a_table_on_a_terminal(is_terminal: bool) -> None:
    lateness = Lateness()
    lateness.begin(1)
    lateness.add_all([0.0005], 1)
    said = Said(is_terminal=is_terminal)

    _summarise(lateness, cast("Any", said))

    assert len(said.lines) == (5 if is_terminal else 1)
    assert "held the schedule" in said.lines[-1]


def test_nothing_is_said_where_nothing_was_paced() -> None:
    said = Said(is_terminal=True)

    _summarise(Lateness(), cast("Any", said))

    assert said.lines == []
