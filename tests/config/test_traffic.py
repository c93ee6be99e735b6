"""The entries of traffic in a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from mockllm import Config, ConfigError, Traffic, load_config


def mistakes(*entries: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Config.from_dict({"traffic": list(entries)}, file="a.json")
    return [str(problem) for problem in caught.value.problems]


def test_an_entry_has_words_for_what_when_and_how_often() -> None:
    written = {
        "name": "brown-out",
        "match": {"model": {"starts_with": "gpt-4o"}, "api": ["chat", "messages"]},
        "from": "2m",
        "to": "4m",
        "ramp": "30s",
        "chance": 0.3,
        "error": "overloaded",
        "fault": [{"end": "reset"}],
        "latency": "vllm-8b",
    }

    (entry,) = Config.from_dict({"traffic": [written]}, file="a.json").traffic

    assert (entry.begin, entry.end, entry.rise, entry.chance) == (120.0, 240.0, 30.0, 0.3)
    assert entry.kinds == ("error", "latency", "fault")
    assert entry.failure is not None
    assert entry.failure.word == "overloaded"
    assert [fault.end for fault in entry.faults] == ["reset"]
    assert entry.pace is not None
    assert entry.pace.preset == "vllm-8b"
    assert str(entry.place_in(0)) == "a.json: traffic[0] 'brown-out'"


def test_in_python_the_keyword_has_an_underscore() -> None:
    entry = Traffic(name="slow", from_="1s", to=2, latency="vllm-8b")

    assert (entry.begin, entry.end, entry.rise) == (1.0, 2.0, 0.0)
    assert str(entry.place_in(3)) == "traffic[3] 'slow'"
    assert Config(traffic=[entry]).traffic[0] is entry


def test_by_default_an_entry_holds_for_everything_and_for_ever() -> None:
    entry = Traffic(error={"status": 502})

    assert (entry.begin, entry.end, entry.rise, entry.chance) == (0.0, None, 0.0, 1.0)
    assert entry.match.model_fields_set == set()


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, "expected 'error', 'rate_limit', 'latency' or 'fault', found none of them"),
        ({"error": "overloaded", "to": 0}, "it ends at 0 s, not after the start of the server"),
        ({"error": "overloaded", "from": "2m", "to": 60}, "it ends at 60 s, not after 120 s"),
        (
            {"error": "overloaded", "from": 5, "to": 10, "ramp": "6s"},
            "the ramp of 6 s is longer than the 5 s from 'from' to 'to'",
        ),
        ({"error": "overloaded", "chance": 1.5}, "chance: expected at most 1, found 1.5"),
        ({"error": "overloaded", "from": "soon"}, "from: expected a number of seconds"),
        ({"error": "overload"}, "did you mean 'overloaded'?"),
        ({"error": "overloaded", "form": "1s"}, "did you mean 'from'?"),
        ({"error": "overloaded", "match": {"modell": "a"}}, "did you mean 'model'?"),
        (
            {"error": "overloaded", "match": {"message": {}}},
            "match.message: expected in the list of an API",
        ),
    ],
)
def test_mistakes_have_their_place_and_a_remedy(entry: Any, expected: str) -> None:
    (found,) = mistakes({"latency": "instant"}, entry | {"name": "x"})

    assert found.startswith("a.json: traffic[1] 'x'")
    assert expected in found


def test_a_name_can_be_shown() -> None:
    """Half of a surrogate pair broke the control API's lists."""
    (found,) = mistakes({"name": "\ud800", "error": "overloaded"})

    assert found == (
        "a.json: traffic[0] '\\ud800': name: expected a string of Unicode characters, found "
        "'\\ud800'"
    )
    found.encode()


def test_all_mistakes_are_found_at_once() -> None:
    assert len(mistakes({}, {"error": "no"}, {"fault": {"end": "maybe"}})) == 3


def test_the_entries_of_several_files_are_joined_in_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        entry = {"name": name, "error": "overloaded"}
        (tmp_path / f"{name}.json").write_bytes(orjson.dumps({"traffic": [entry, entry]}))

    entries = load_config(tmp_path).traffic

    assert [entry.name for entry in entries] == ["a", "a", "b", "b"]
    assert str(entries[3].place_in(0)) == f"{tmp_path / 'b.json'}: traffic[1] 'b'"
