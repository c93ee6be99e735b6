"""One JSON file, and the problem reported if it cannot be used."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.config.json_file import FileData, read_file, read_json
from mockllm.config.json_scanner import scan
from mockllm.config.source_text import MAX_REMARKS
from mockllm.errors import ConfigError, Problem, Severity
from mockllm.wire.jsontext import MAX_VALUES


def problem_of(path: str | Path) -> Problem:
    """The only problem of a file that cannot be used."""
    with pytest.raises(ConfigError) as caught:
        read_file(path)
    [problem] = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b'{"a": [1, null]}', {"a": [1, None]}),
        (b" 3\n", 3),
        ('"é"'.encode(), "é"),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
    ],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_returns_the_value(tmp_path: Path, content: bytes, value: Any, kind: type) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(content)
    assert read_file(kind(file)) == FileData(value, ())


def test_a_file_may_have_more_values_than_a_request(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b"[" + b"1," * MAX_VALUES + b"1]")
    assert len(read_file(file).data) == MAX_VALUES + 1


def test_a_missing_file_is_a_problem_with_the_name_as_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reason = os.strerror(errno.ENOENT)
    assert problem_of("a.json") == Problem("a.json", f"cannot be read: {reason}", Severity.ERROR)


def test_a_misspelt_name_of_a_file_is_told_with_the_one_beside_it(tmp_path: Path) -> None:
    for name in ("mocks.json", "other.yaml"):
        (tmp_path / name).touch()

    problem = problem_of(str(tmp_path / "mock.json"))

    assert problem.message.endswith(f"; did you mean {str(tmp_path / 'mocks.json')!r}?")


def test_nothing_is_like_a_file_in_a_directory_that_is_not_there(tmp_path: Path) -> None:
    problem = problem_of(str(tmp_path / "none" / "a.json"))

    assert problem.message == f"cannot be read: {os.strerror(errno.ENOENT)}"


def test_a_name_with_nul_cannot_be_read() -> None:
    message = "cannot be read: a name has no NUL character"
    assert problem_of("a\0b") == Problem(r"'a\x00b'", message)


def test_a_yaml_file_is_read_by_its_suffix(tmp_path: Path) -> None:
    for name in ("a.yaml", "a.yml", "a.YAML"):
        file = tmp_path / name
        file.write_text("openai: []  # none yet")
        assert read_file(file) == FileData({"openai": []}, ())


def test_a_yaml_file_may_contain_json(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text('{"a": 1e3,\n\t"b": "\\ud83d\\ude00"}')
    assert read_file(file) == FileData({"a": 1000.0, "b": "\U0001f600"}, ())


def test_the_place_of_a_duplicate_key_names_the_mock(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"openai": [{"name": "greet", "match": {"a": 1,\n "a": 2}}]}')
    [problem] = read_file(file).problems
    assert problem == Problem(
        f"{file}: openai[0] 'greet': match",
        "line 2 column 2: the key 'a' occurs twice, first in line 1 column 41; remove one",
    )


def test_few_of_many_duplicate_keys_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("[" + ",".join(['{"a":1,"a":1}'] * 500) + "]")
    assert len(read_file(file).problems) == MAX_REMARKS


def test_duplicate_keys_are_found_at_any_depth_and_beside_any_number(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    start, end = '{"a":' * 900, "}" * 900
    file.write_text(f'{start}{{"b": 1e5, "c": {"9" * 300}, "b": 2}}{end}')
    [problem] = read_file(file).problems
    assert "the key 'b' occurs twice" in problem.message


LITERALS = st.lists(
    st.sampled_from([":", "a", r"\u003a", r"\u003A", r"\u0061", r"\\", r"\"", r"\ud83d", "é"]),
    max_size=3,
).map(lambda parts: '"' + "".join(parts) + '"')
TEXTS = st.recursive(
    LITERALS | st.just("1"),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda entries: f"[{','.join(entries)}]")
        | st.lists(st.tuples(LITERALS, inner), max_size=4).map(
            lambda members: "{" + ", ".join(map(": ".join, members)) + "}"
        )
    ),
    max_leaves=12,
)


@given(TEXTS)
def test_the_duplicate_keys_are_those_that_the_scanner_finds(text: str) -> None:
    """Also beside colons in strings, escaped or not."""
    assert len(read_json(text.encode()).problems) == len(list(scan(text)))


def test_a_directory_is_a_problem(tmp_path: Path) -> None:
    problem = problem_of(tmp_path)
    assert problem.place == str(tmp_path)
    assert problem.message == "cannot be read: expected a regular file, found a directory"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_pipe_is_a_problem_and_is_not_opened(tmp_path: Path) -> None:
    pipe = tmp_path / "a.json"
    os.mkfifo(pipe)
    assert problem_of(pipe).message.endswith("expected a regular file, found a named pipe")


def test_a_socket_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("a.json")
        assert problem_of("a.json").message.endswith("expected a regular file, found a socket")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_is_a_problem(device: str) -> None:
    assert problem_of(device).message.endswith("expected a regular file, found a device")


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").symlink_to("a.json")
    assert read_file(tmp_path / "b.json").data == {}


def test_an_error_without_a_text_is_named_by_its_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Path) -> bytes:
        raise InterruptedError

    monkeypatch.setattr(Path, "read_bytes", interrupted)
    (tmp_path / "a.json").touch()
    assert problem_of(tmp_path / "a.json").message == "cannot be read: InterruptedError"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"{} {}", b"NaN", b"{'a': 1}", b'"\xff"', b"[" * 5000, b"[1,]"]
)
def test_a_file_that_is_not_json_is_a_problem(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(content)
    problem = problem_of(file)
    assert problem.place == str(file)
    assert problem.message.startswith("is not JSON: ")


def test_the_place_of_a_mistake_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b'{\n  "a": oops\n}')
    assert "line 2 column 8" in problem_of(file).message


def test_a_text_in_no_file_is_read_with_its_remarks() -> None:
    assert read_json(b'{"a": [1]}') == FileData({"a": [1]}, ())
    data, problems, _ = read_json(b'{"a": 1, "a": 2}')
    assert (data, len(problems)) == ({"a": 2}, 1)
    assert "occurs twice" in problems[0].message


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"NaN", b"[" * 2_000])
def test_a_text_that_is_no_json_is_an_error(text: bytes) -> None:
    with pytest.raises(ConfigError):
        read_json(text)
