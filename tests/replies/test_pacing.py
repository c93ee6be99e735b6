"""The times of a delivery's tokens: exact without jitter, drawn by a key with it."""

from __future__ import annotations

from hashlib import blake2b
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import Pacing, PoolRule
from mockllm.replies.pacing import MAX_DRAWS, Tempo, lognormal_factors

POOL = PoolRule()


def test_without_jitter_every_token_takes_the_same_time() -> None:
    tempo = Tempo(Pacing(POOL, 0.5, 0.01))

    assert tempo.first() == 0.5
    assert tempo.further(3) == pytest.approx(0.03)
    assert tempo.further(0) == 0


def times(key: int, cv: float = 0.5) -> list[float]:
    tempo = Tempo(Pacing(POOL, 1.0, 0.01, cv, key))
    return [tempo.first(), *(tempo.further(1) for _ in range(200))]


def test_equal_keys_have_equal_times() -> None:
    assert times(7) == times(7)
    assert times(7) != times(8)


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 20), min_size=1, max_size=20))
def test_the_times_of_several_tokens_add_up(key: int, steps: list[int]) -> None:
    at_once, one_by_one = (Tempo(Pacing(POOL, 1.0, 0.01, 0.7, key)) for _ in range(2))

    assert at_once.first() == one_by_one.first()
    for tokens in steps:
        single = sum(one_by_one.further(1) for _ in range(tokens))
        assert at_once.further(tokens) == pytest.approx(single)


@pytest.mark.parametrize("cv", [0.1, 0.3, 0.7, 1.0])
def test_jitter_keeps_the_mean(cv: float) -> None:
    factors = lognormal_factors(cv)

    assert fmean(factors) == pytest.approx(1)
    assert pstdev(factors) == pytest.approx(cv, rel=0.05)
    assert min(factors) > 0


def keys(count: int) -> list[int]:
    hashes = (blake2b(b"%d" % number, digest_size=8) for number in range(count))
    return [int.from_bytes(hashed.digest()) for hashed in hashes]


def test_draws_have_the_mean_and_the_variation() -> None:
    drawn = [time / 0.01 for key in keys(200) for time in times(key)[1:]]

    assert fmean(drawn) == pytest.approx(1, rel=0.02)
    assert pstdev(drawn) == pytest.approx(0.5, rel=0.05)


def test_the_first_tokens_of_different_keys_vary() -> None:
    drawn = [times(key)[0] for key in keys(2000)]

    assert fmean(drawn) == pytest.approx(1, rel=0.05)
    assert pstdev(drawn) == pytest.approx(0.5, rel=0.1)


def test_very_many_tokens_take_their_mean() -> None:
    tempo = Tempo(Pacing(POOL, 0.0, 0.01, 0.5, 1))

    assert tempo.further(MAX_DRAWS + 1) == pytest.approx(0.01 * (MAX_DRAWS + 1))
