"""The command line: what it prints, how it ends, what it says of mistakes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from anthropic import Anthropic
from openai import OpenAI

from mockllm.cli.main import main
from mockllm.config.models import Config
from tests.support import contract
from tests.support.contract import TEXT_ASKED
from tests.support.processes import Command, failing, running, write
from tests.support.served import (
    API_KEY,
    Json,
    chat_mock,
    chat_request,
    chat_saying,
    messages_mock,
    messages_request,
    occupied_port,
    responses_mock,
    responses_request,
)

CLEAN: Json = {
    "openai": [chat_mock("hi", contract.CHAT[TEXT_ASKED])],
    "openai_response": [responses_mock("hi", contract.RESPONSES[TEXT_ASKED])],
    "anthropic": [messages_mock("hi", contract.MESSAGES[TEXT_ASKED])],
}
"""Nothing is to be said about it."""

TERSE: Json = {"openai": [chat_mock("hi", chat_saying("yes"))]}
"""Its response lacks members, which are completed."""


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


def test_the_first_line_is_where_it_listens(demo: Command) -> None:
    assert demo.url == f"http://127.0.0.1:{demo.port}"
    assert demo.port != 0
    socket.create_connection(("127.0.0.1", demo.port)).close()


def test_hints_are_on_stderr(demo: Command) -> None:
    demo.told("ANTHROPIC_BASE_URL")
    hints = "\n".join(demo.lines)
    assert "2 openai, 2 openai_response, 2 anthropic" in hints
    assert "demo mocks; --config FILE" in hints
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


def test_anything_else_is_echoed(openai: OpenAI, anthropic: Anthropic) -> None:
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


# --- With a configuration -------------------------------------------------------------------------


def test_serves_files_and_directories_in_order_and_ends_by_ctrl_c(tmp_path: Path) -> None:
    directory = tmp_path / "mocks"
    directory.mkdir()
    file = write(tmp_path / "a.json", {"openai": [chat_mock("one", chat_saying("file"))]})
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


# --- Mistakes -------------------------------------------------------------------------------------

MISTAKES: list[tuple[Any, str]] = [
    ({"opnai": []}, "opnai: unknown key, * did you mean 'openai'?"),
    (
        {"openai": [{"name": "a", "match": {"match_typ": "exact", "message": {}}}]},
        "openai[0] 'a': match.match_typ: unknown key, * did you mean 'match_type'?",
    ),
    (
        {"openai": [chat_mock("a", {}, match_type="contain")]},
        "openai[0] 'a': match.match_type: expected 'exact' or 'contains', * mean 'contains'?",
    ),
    (
        {"anthropic": [{"match": {"message": {"role": "user", "content": "a"}}}]},
        "anthropic[0]: response: expected a value, found nothing",
    ),
    ({"openai_response": [{"match": {}, "response": {}}]}, "openai_response[0]: match.input: "),
    (
        {"openai": [chat_mock("a", {}, headers=[{"name": "X", "valu": "a"}])]},
        "openai[0] 'a': match.headers[0].valu: unknown key, * did you mean 'value'?",
    ),
    ({"openai": {}}, "openai: expected a list, found an object"),
    ({"openai": [chat_mock("a", 5)]}, "openai[0] 'a': response: expected an object, found 5"),  # type: ignore[arg-type]  # the mistake
    (
        {"openai": [{"match": {"message": {"content": "a"}}, "response": {}}]},
        "openai[0]: match.message: role",
    ),
    (
        {"openai": [{"match": {"message": {"role": "robot"}}, "response": {}}]},
        "openai[0]: match.message",
    ),
    ([], "expected an object, found a list"),
    ({"require_auth": "no"}, "require_auth: expected true or false, found 'no'"),
    ({"listen_addr": "127.0.0.1:http"}, "listen_addr: expected HOST:PORT, found '127.0.0.1:http'"),
]


@pytest.mark.parametrize(("config", "told"), MISTAKES)
def test_a_mistake_is_told_with_its_place(
    config: Any, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "mocks.json", config)
    assert main(["check", str(file)]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    found = [line for line in errors.splitlines() if line.startswith(f"error: {file}: ")]
    start, _, end = told.partition("*")
    assert any(start in line and line.endswith(end) for line in found), errors


def test_a_misspelt_key_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mock = {"name": "a", "mach": {"message": {}}, "response": {}}
    assert main(["check", str(write(tmp_path / "mocks.json", {"openai": [mock]}))]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "mach: unknown key" in line
    assert line.endswith("did you mean 'match'?")


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
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


def test_all_mistakes_of_one_file_are_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of our own part, and those of which only the SDK's types know."""
    file = write(
        tmp_path / "mocks.json",
        {
            "openai": [
                chat_mock("typo", {}, match_typ="exact"),
                {"name": "role", "match": {"message": {"role": "robot"}}, "response": {}},
            ],
            "anthropic": [
                {
                    "name": "content",
                    "match": {"message": {"role": "user", "content": 5}},
                    "response": {},
                }
            ],
        },
    )
    assert main(["check", str(file)]) == 2
    errors = capsys.readouterr().err
    assert f"error: {file}: openai[0] 'typo': match.match_typ: unknown key" in errors
    assert f"error: {file}: openai[1] 'role': match.message" in errors
    assert f"error: {file}: anthropic[0] 'content': match.message.content: expected" in errors


def test_a_directory_without_files_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_strict_does_not_start_on_warnings(tmp_path: Path) -> None:
    file = write(tmp_path / "terse.json", TERSE)
    status, output, errors = failing("--config", file, "--port", "0", "--strict")
    assert (status, output) == (2, "")
    assert f"{file}: openai[0] 'hi': response: " in errors


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--port", "http"], "--port"),
        (["--port", "65536"], "--port: expected 0 to 65535, found '65536'"),
        (["--listen-addr", "127.0.0.1:http"], "expected HOST:PORT, found '127.0.0.1:http'"),
        (["--listen-addr", "127.0.0.1:65536"], "expected HOST:PORT, found '127.0.0.1:65536'"),
        (["--listen-addr", "127.0.0.1:"], "expected HOST:PORT, found '127.0.0.1:'"),
        (["--workers", "0"], "--workers: expected 1 to 1024, found '0'"),
        (["--drain-timeout", "-1"], "--drain-timeout"),
        (["--drain-timeout", "nan"], "--drain-timeout"),
        (["--log-level", "loud"], "--log-level"),
        (["--confg", "a.json"], "--confg"),
        (["serve"], "serve"),
        (["check"], "FILE"),
    ],
)
def test_a_mistake_on_the_command_line_is_told(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as info:
        main(words)
    output, errors = capsys.readouterr()
    assert info.value.code == 2
    assert output == ""
    assert told in errors


# --- check and schema -----------------------------------------------------------------------------


def test_check_of_a_clean_file_is_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(write(tmp_path / "clean.json", CLEAN))]) == 0
    assert capsys.readouterr() == ("3 mocks, no warnings\n", "")


def test_check_of_a_terse_file_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "terse.json", TERSE)
    assert main(["check", str(file)]) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    (line,) = errors.splitlines()
    assert line.startswith(f"warning: {file}: openai[0] 'hi': response: missing")


def test_check_tells_names_used_twice_and_mocks_never_reached(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mock = chat_mock("hi", contract.CHAT[TEXT_ASKED])
    file = write(tmp_path / "twice.json", {"openai": [mock, mock]})
    assert main(["check", str(file)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"warning: {file}: openai[1] 'hi': ") for line in lines)
    assert any("used twice" in line for line in lines)
    assert any("unreachable: " in line for line in lines)


def test_check_as_a_process(tmp_path: Path) -> None:
    ended = failing("check", write(tmp_path / "clean.json", CLEAN))
    assert ended == (0, "3 mocks, no warnings\n", "")


def test_schema_describes_the_files_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["type"] == "object"
    assert set(schema["properties"]) == set(Config.model_fields)
    assert schema["additionalProperties"] is False
    definitions = schema["$defs"]
    assert definitions["OpenAIMock"]["required"] == ["response", "match"]
    assert set(definitions["MatchType"]["enum"]) == {"exact", "contains"}
    for name, definition in definitions.items():
        if definition.get("type") == "object":
            assert definition["additionalProperties"] is False, name
            assert definition.get("description"), name


def test_who_stops_reading_the_schema_is_no_error() -> None:
    """As in ``mockllm schema | head -1``."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "mockllm", "schema"], stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"mockllm {metadata.version('mockllm-server')}\n"


def test_schema_accepts_what_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    main(["schema"])
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert [list(validator.iter_errors(each)) for each in (CLEAN, TERSE)] == [[], []]
    assert list(validator.iter_errors({"opnai": []}))


def test_help_names_every_word(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as info:
        main(["--help"])
    assert info.value.code == 0
    help_text = capsys.readouterr().out
    words = ("--config", "--listen-addr", "--host", "--port", "--workers", "--strict", "check")
    assert [word for word in words if word not in help_text] == []
