"""`latency`: what can be written, in files, in Python and on the command line."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from mockllm import AnthropicMock, Config, ConfigError, Latency, Mock
from mockllm.config.latency import PRESETS, parse_latency, read_latency, suspicious_times
from mockllm.config.models import MOCK_FIELDS
from tests.support.configs import mistakes
from tests.support.schemas import config_validator


def mistake_of(latency: Any) -> list[str]:
    """The mistakes in a `latency`, from its path in the mock on."""
    found = mistakes({"openai": [{"error": "overloaded", "latency": latency}]})
    return [each.removeprefix("a.json: openai[0]: ") for each in found]


@pytest.mark.parametrize("field", MOCK_FIELDS)
def test_every_mock_and_the_file_may_have_a_latency(field: str) -> None:
    written = {"latency": {"ttft": "350ms", "tps": 50}}
    config = Config.from_dict({field: [{"error": "overloaded", **written}], **written, "seed": 7})

    for pace in (config.pace, getattr(config, field)[0].pace):
        assert pace == Latency(ttft="350ms", tps=50)
    assert config.seed == 7


def test_a_file_and_python_have_the_same_latency() -> None:
    latency = Latency(ttft=0.35, itl="10ms", jitter=0.2, concurrency=5, queue=0, full="rate_limit")

    assert Mock(reply="a", latency=latency).pace == latency
    assert AnthropicMock(error="overloaded", latency="instant").pace == Latency(preset="instant")
    assert read_latency(latency.model_dump(exclude_unset=True)) == latency


def test_durations_are_seconds_or_have_a_unit() -> None:
    latency = Latency(ttft="350ms", itl=0.01, ttft_per_token="0.08ms")

    assert latency.seconds("ttft") == 0.35
    assert latency.between_tokens == 0.01
    assert latency.seconds("ttft_per_token") == pytest.approx(0.00008)


def test_tokens_per_second_are_a_time_between_tokens() -> None:
    assert Latency(tps=40).between_tokens == 0.025
    assert Latency(ttft=1).between_tokens == 0


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_a_latency(preset: str) -> None:
    latency = read_latency(preset)

    plain = Latency.model_validate(PRESETS[latency.preset or "instant"])
    for name in ("ttft", "ttft_per_token"):
        assert latency.seconds(name) == plain.seconds(name)
    for name in ("jitter", "concurrency", "queue", "slowdown", "pool"):
        assert latency.effective(name) == plain.effective(name)
    assert latency.between_tokens == plain.between_tokens


def test_members_replace_those_of_the_preset() -> None:
    latency = read_latency({"preset": "vllm-70b", "ttft": "5s", "tps": 10})

    assert latency.seconds("ttft") == 5
    assert latency.between_tokens == 0.1
    assert latency.effective("concurrency") == 86
    assert read_latency({"preset": "vllm-70b", "queue": 3}).effective("queue") == 3


@pytest.mark.parametrize(
    ("latency", "expected"),
    [
        ({"itl": "1ms", "tps": 2}, "latency: expected either 'itl' or 'tps', found both"),
        ({"queue": 2}, "latency: expected 'concurrency' beside 'queue', found nothing"),
        ({"slowdown": 2}, "latency: expected 'concurrency' beside 'slowdown', found nothing"),
        ({"shared": True}, "latency: expected 'concurrency' beside 'shared', found nothing"),
        ({"shared": 1}, "latency.shared: expected true or false, found 1"),
        (
            {"concurrency": 2, "full": "overloaded"},
            "latency: expected 'queue' beside 'full': without it, all requests wait",
        ),
        (
            {"ttft": 1, "cached": 0.5},
            "latency: expected 'ttft_per_token' beside 'cached', found nothing",
        ),
        (
            {"ttft_per_token": 1, "cached": 1.5},
            "latency.cached: expected at most 1, found 1.5; write 0.015 if 1.5 % are meant",
        ),
        (
            "200ms",
            'latency: expected a preset or an object, found \'200ms\'; write {"ttft": "200ms"}',
        ),
        ({"tps": 0}, "latency.tps: expected at least 1e-06, found 0"),
        ({"tps": "5"}, "latency.tps: expected a number, found '5'"),
        ({"tps": float("nan")}, "latency.tps: expected a number, found NaN"),
        ({"tps": 1e-320}, "latency.tps: expected at least 1e-06, found 1e-320"),
        (
            {"ttft": 1e308},
            (
                "latency.ttft: expected a number of seconds, or a text with a unit such as "
                "'350ms', '1.5s' or '2m', at most 1000000000 s, found 1e+308"
            ),
        ),
        (
            {"pool": "\ud800"},
            "latency.pool: expected a string of Unicode characters, found '\\ud800'",
        ),
        ({3: 4}, "latency[3]: expected a key that is a string, found 3"),
        ({"jitter": -1}, "latency.jitter: expected at least 0, found -1"),
        ({"slowdown": 5000}, "latency.slowdown: expected at most 1000, found 5000"),
        (
            5,
            'latency: expected a preset or an object, found 5: write {"ttft": "5s"}',
        ),
        (
            350,
            'latency: expected a preset or an object, found 350: write {"ttft": "350ms"}',
        ),
        (-1, "latency: expected a preset or an object, found -1"),
        (float("nan"), "latency: expected a preset or an object, found NaN"),
        (10**400, f"latency: expected a preset or an object, found {'1' + '0' * 58}…"),
        (["a"], "latency: expected a preset or an object, found a list"),
        (True, "latency: expected a preset or an object, found true"),
    ],
)
def test_a_mistake_names_its_place(latency: Any, expected: str) -> None:
    assert mistake_of(latency) == [expected]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ttft", -1),
        ("ttft", "soon"),
        ("ttft", float("inf")),
        ("itl", True),
        ("tps", -5),
        ("tps", float("nan")),
        ("jitter", 11),
        ("concurrency", 0),
        ("concurrency", 1.5),
        ("slowdown", 0.5),
        ("pool", ""),
        ("preset", "gpt-4o"),
        ("unknown", 1),
    ],
)
def test_a_value_out_of_range_is_a_mistake(name: str, value: Any) -> None:
    (found,) = mistake_of({name: value})

    assert found.startswith(f"latency.{name}: ")


def test_an_unknown_preset_is_reported_with_all_that_there_are() -> None:
    (found,) = mistake_of("vllm70b")

    assert all(repr(preset) in found for preset in PRESETS)


def test_the_schema_allows_presets_and_objects() -> None:
    everything = {"ttft": "1s", "full": "overloaded", "queue": 1, "concurrency": 2}
    allowed: list[Any] = ["vllm-8b", everything]
    refused: list[Any] = ["fast", {"ttft": -1}, {"concurrency": 0}, 5]
    for latency in allowed:
        config_validator().validate({"latency": latency})
    for latency in refused:
        with pytest.raises(jsonschema.ValidationError):
            config_validator().validate({"latency": latency})


def test_times_that_were_surely_meant_as_milliseconds_are_found() -> None:
    latency = Latency(ttft=350, itl=20, ttft_per_token=5)

    paths = [path for path, _ in suspicious_times(latency)]
    assert paths == [["ttft"], ["itl"], ["ttft_per_token"]]
    assert [*suspicious_times(Latency(ttft=350))] == [
        (["ttft"], '350 seconds: write "350ms" if milliseconds are meant, else "350s"')
    ]
    assert [*suspicious_times(Latency(ttft=99, itl=4))] == []
    assert [*suspicious_times(Latency(ttft="350s", itl="20s"))] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vllm-70b", {"preset": "vllm-70b"}),
        ("ttft=350ms,itl=10ms", {"ttft": "350ms", "itl": "10ms"}),
        ("vllm-70b, ttft = 5s", {"preset": "vllm-70b", "ttft": "5s"}),
        ("preset=vllm-8b,tps=12.5", {"preset": "vllm-8b", "tps": 12.5}),
        (
            "vllm-70b,shared=true",
            {"preset": "vllm-70b", "shared": True},
        ),
        ("concurrency=2,shared=false", {"concurrency": 2, "shared": False}),
        ("shared=false", {"shared": False}),
        (
            "concurrency=3,queue=1,full=rate_limit",
            {"concurrency": 3, "queue": 1, "full": "rate_limit"},
        ),
    ],
)
def test_the_command_line_has_presets_and_members(text: str, expected: dict[str, Any]) -> None:
    assert parse_latency(text) == read_latency(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fast", "preset: expected"),
        ("", "preset: expected"),
        ("350ms", "expected a preset or NAME=VALUE, found '350ms'; write ttft=350ms"),
        ("1s,itl=5ms", "expected a preset or NAME=VALUE, found '1s'; write ttft=1s"),
        ("vllm-8b,ttft", "expected NAME=VALUE, found 'ttft'"),
        ("ttft=1s,ttft=2s", "'ttft' is written twice"),
        ("ttftt=1s", "ttftt: unknown key"),
        ("ttft=soon", "ttft: expected a number of seconds"),
        ("itl=1ms,tps=1", "expected either 'itl' or 'tps'"),
    ],
)
def test_a_mistake_on_the_command_line_is_reported(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match="^" + expected.replace("(", r"\(")):
        parse_latency(text)


def test_a_latency_of_a_mock_is_checked_in_python_too() -> None:
    with pytest.raises(ConfigError, match="expected either 'itl' or 'tps', found both"):
        Mock(reply="a", latency={"itl": "1ms", "tps": 1})
