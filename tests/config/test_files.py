"""Configuration files: read, not JSON, not readable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from mockllm import Config, ConfigError, load_config
from mockllm.config.files import files_of, read_files
from mockllm.config.latency import read_latency
from mockllm.engine.loading import load, review
from tests.support.loads import ANSWER, mock


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mocks.json"
    file.write_bytes(b'\xef\xbb\xbf{"listen_addr": ":0"}')

    assert Config.from_file(file).listen_addr == ":0"


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"{", "is not JSON: "), (b"", "is not JSON: "), (b'{"a": NaN}', "is not JSON: ")],
)
def test_a_file_that_is_not_json_is_named(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "mocks.json"
    file.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        Config.from_file(file)

    assert str(caught.value).startswith(f"{file}: {expected}")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json: cannot be read: No such file"):
        Config.from_file(tmp_path / "none.json")


def write(path: Path, **config: Any) -> Path:
    path.write_bytes(orjson.dumps(config))
    return path


def names(config: Config) -> list[str]:
    return [each.name for each in config.openai]


def test_a_directory_is_its_files_in_order(tmp_path: Path) -> None:
    write(tmp_path / "b.json", openai=[mock("b", "b")])
    write(tmp_path / "a.json", openai=[mock("a", "a1"), mock("c", "a2")])
    (tmp_path / "notes.txt").write_text("no configuration")

    config = load_config(tmp_path)

    assert names(config) == ["a1", "a2", "b"]
    assert config.openai[2].place == f"{tmp_path / 'b.json'}: openai[0] 'b'"


def test_a_directory_has_json_and_yaml_files_in_one_order(tmp_path: Path) -> None:
    write(tmp_path / "b.json", openai=[mock("b", "b")])
    write(tmp_path / "a.yml", openai=[mock("a", "a")])
    write(tmp_path / "c.YAML", openai=[mock("c", "c")])

    assert [file.name for file in files_of(tmp_path)] == ["a.yml", "b.json", "c.YAML"]
    assert names(load_config(tmp_path)) == ["a", "b", "c"]


def test_a_setting_that_two_files_have_differently_is_a_warning(tmp_path: Path) -> None:
    one = write(tmp_path / "1.json", listen_addr=":1", cors=False, stream={"chunk": "char"})
    two = write(tmp_path / "2.json", listen_addr=":2", cors=False, stream={"chunk": 3})

    warnings = {str(warning) for warning in load_config(one, two).warnings}

    remedy = "the last file counts, so keep one of them"
    assert warnings == {
        f'{two}: listen_addr: ":2" replaces ":1" of {one}; {remedy}',
        f'{two}: stream: {{"chunk": 3}} replaces {{"chunk": "char"}} of {one}; {remedy}',
    }


def test_the_file_of_a_doubtful_latency_is_named_and_counted_once(tmp_path: Path) -> None:
    for name, latency in (("a", {"ttft": 350}), ("b", {"ttft": 1}), ("c", {"itl": 20})):
        (tmp_path / f"{name}.json").write_bytes(orjson.dumps({"latency": latency}))
    (tmp_path / "d.json").write_bytes(orjson.dumps({"mocks": [{"reply": "x"}]}))

    found = review(tmp_path)

    assert str(found.problems[-1]).startswith(f"{tmp_path / 'c.json'}: latency.itl: 20 seconds")
    assert found.files == 4


def test_a_latency_from_elsewhere_is_of_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(orjson.dumps({"latency": {"ttft": 1}}))
    config, _ = read_files(tmp_path)

    other = config.model_copy(update={"latency": read_latency({"ttft": 350})})

    (problem,) = load(other).warnings
    assert str(problem).startswith("latency.ttft: 350 seconds")


def test_warnings_of_files_reach_the_engine_and_strict(tmp_path: Path) -> None:
    one = write(tmp_path / "1.json", listen_addr=":1")
    config = load_config(one, write(tmp_path / "2.json", listen_addr=":2"))

    assert load(config).warnings == config.warnings
    with pytest.raises(ConfigError):
        load(config, strict_config=True)


@pytest.mark.parametrize("key", ["_comment", "$schema", "_", "$defs"])
def test_keys_of_the_author_are_ignored_at_every_level_of_ours(tmp_path: Path, key: str) -> None:
    own: dict[str, Any] = {key: ["any", {"thing": 1}]}
    header = {"name": "a", "value": "b"} | own
    entry = mock("hi", headers=[header], **own) | {"stream": {"chunk": "char"} | own} | own
    file = write(tmp_path / "a.json", openai=[entry], stream={"chunk": "word"} | own, **own)

    config = load_config(file)

    assert config.warnings == ()
    assert config.openai[0].stream.chunk == "char"
    assert config.openai[0].match.headers[0].name == "a"


def test_a_response_has_the_keys_that_are_written(tmp_path: Path) -> None:
    entry = mock("hi") | {"response": ANSWER | {"_extra": 1}}
    config = load_config(write(tmp_path / "a.json", openai=[entry]))

    assert (config.openai[0].answer or {})["_extra"] == 1


def test_other_mistakes_of_a_file_with_duplicate_keys_are_reported_too(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"openai": [], "openai": [], "openia": []}')
    message = (
        "line 1 column 16: the key 'openai' occurs twice, first in line 1 column 2; remove one"
    )

    for read in (load_config, Config.from_file):
        with pytest.raises(ConfigError) as caught:
            read(file)
        found = caught.value.problems
        assert str(found[0]) == f"{file}: {message}"
        assert found[1].place == f"{file}: openia"


@pytest.mark.parametrize("value", [".nan", "-.inf", "2024-01-01", "!!int 3", "1e999"])
def test_a_value_that_json_does_not_have_is_told_once(tmp_path: Path, value: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"mocks:\n- reply: hi\n  latency: {{ttft: {value}, tfft: 1}}\n")

    for read in (load_config, Config.from_file):
        with pytest.raises(ConfigError) as caught:
            read(file)
        assert [str(each.place) for each in caught.value.problems] == [
            f"{file}: mocks[0]: latency.ttft",
            f"{file}: mocks[0]: latency.tfft",
        ]


def test_several_files_are_appended_and_the_last_setting_counts(tmp_path: Path) -> None:
    one = write(tmp_path / "1.json", openai=[mock("a", "a")], listen_addr=":1", require_auth=False)
    two = write(tmp_path / "2.json", openai=[mock("b", "b")], listen_addr=":2")

    config = load_config(two, one, two)

    assert names(config) == ["b", "a", "b"]
    assert (config.listen_addr, config.require_auth) == (":2", False)


def test_mocks_of_every_api_and_models_are_appended_too(tmp_path: Path) -> None:
    one = write(tmp_path / "1.json", mocks=[{"name": "a", "reply": "a"}], models=["x", "y"])
    two = write(tmp_path / "2.json", mocks=[{"name": "b", "reply": "b"}], models=["y"])

    config = load_config(one, two)

    assert [each.name for each in config.mocks] == ["a", "b"]
    assert config.mocks[1].place == f"{two}: mocks[0] 'b'"
    assert config.models == ["x", "y", "y"]
    assert config.warnings == ()


def test_a_model_is_no_mock(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", models=["x", 5], mocks=[{"reply": "a"}])

    found = review(file)

    assert [str(each) for each in found.problems] == [
        f'{file}: models[1]: expected a string, found 5; write "5"'
    ]
    assert found.mocks == 1


def test_an_empty_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"with \*\.json, \*\.yaml, \*\.yml files, found none"):
        load_config(tmp_path)


def test_the_errors_of_all_files_are_raised_at_once(tmp_path: Path) -> None:
    one = write(tmp_path / "1.json", openia=[])
    two = tmp_path / "2.json"
    two.write_text("{")

    with pytest.raises(ConfigError) as caught:
        load_config(one, two, tmp_path / "3.json")

    assert [problem.place for problem in caught.value.problems] == [
        f"{one}: openia",
        str(two),
        str(tmp_path / "3.json"),
    ]


def test_valid_mocks_of_an_invalid_file_are_reviewed_too(tmp_path: Path) -> None:
    robot = {"match": {"message": {"role": "robot", "content": "x"}}, "response": ANSWER}
    file = write(tmp_path / "1.json", openai=[{"nme": "x"}, robot, mock("hi")])

    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path)

    places = {problem.place.removeprefix(f"{file}: ") for problem in caught.value.problems}
    assert places == {
        "openai[0]: nme",
        "openai[0]",
        "openai[1]: match.message",
    }


def test_every_file_of_a_directory_is_read(tmp_path: Path) -> None:
    one, two = tmp_path / "1.json", tmp_path / "2.json"
    one.write_text("{")
    two.write_text("[")

    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path)

    assert [problem.place for problem in caught.value.problems] == [str(one), str(two)]


@pytest.mark.parametrize("path", ["", " "])
def test_an_empty_path_is_not_the_current_directory(path: str) -> None:
    _, (problem,) = read_files(path)
    assert str(problem) == f"expected the path of a file, found {path!r}"
