"""The `rate_limit` of an entry of traffic."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm import Config, ConfigError, RateLimit, Traffic


def mistake(written: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        Config.from_dict({"traffic": [{"rate_limit": written}]}, file="a.json")
    (problem,) = caught.value.problems
    return str(problem)


def test_limits_have_amounts_and_bearers() -> None:
    written = {"rpm": 50, "itpm": 30_000, "otpm": 8000, "concurrent": 4, "per": ["session"]}
    (entry,) = Config.from_dict({"traffic": [{"rate_limit": written}]}).traffic

    limit = entry.rate_limit
    assert limit is not None
    assert limit.amounts == {"rpm": 50, "itpm": 30_000, "otpm": 8000}
    assert (limit.concurrent, limit.per) == (4, ["session"])
    assert entry.kinds == ("rate_limit",)


def test_by_default_each_key_and_model_has_a_limit_of_its_own() -> None:
    assert RateLimit(rpd=1).per == ["key", "model"]
    assert Traffic(rate_limit=RateLimit(rpm=1, per=[])).rate_limit == RateLimit(rpm=1, per=[])


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            {},
            (
                "rate_limit: expected 'rpm', 'rpd', 'tpm', 'tpd', 'itpm', 'otpm' or 'concurrent', "
                "found none of them"
            ),
        ),
        ({"per": ["key"]}, "found none of them"),
        ({"rpm": 0}, "rate_limit.rpm: expected at least 1, found 0"),
        ({"rpm": 1.5}, "rate_limit.rpm: expected a whole number, found 1.5"),
        ({"tpm": "30k"}, "rate_limit.tpm: expected a whole number, found '30k'"),
        ({"tpm": 10**13}, "rate_limit.tpm: expected at most 1000000000000"),
        ({"rmp": 5}, "did you mean 'rpm'?"),
        ({"rpm": 5, "per": ["key", "key"]}, "rate_limit.per: expected each of"),
        ({"rpm": 5, "per": ["modell"]}, "rate_limit.per[0]: expected 'key', 'model' or 'session'"),
        ({"rpm": 5, "per": "key"}, "rate_limit.per: expected a list, found 'key'"),
        ("rpm", "rate_limit: expected an object such as {\"rpm\": 50}, found 'rpm'"),
    ],
)
def test_mistakes_have_their_place_and_a_remedy(written: Any, expected: str) -> None:
    found = mistake(written)

    assert found.startswith("a.json: traffic[0]: ")
    assert expected in found
