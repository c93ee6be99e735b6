"""What all vendors say of a limit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.providers import VENDORS
from mockllm.providers.rate_limits import WINDOWS, Quota, Refusal, tightest, whole_milliseconds
from mockllm.providers.vendor import Vendor


def test_a_quota_tells_what_is_left_in_whole_numbers() -> None:
    assert [Quota("rpm", 3, 60.0, used).remaining for used in (0, 0.5, 1, 2.9, 3, 4)] == [
        *(3, 2, 2, 0, 0, 0)
    ]
    assert Quota("rpm", 10, 60.0, 10 - 3 * (1 - 0.9)).remaining == 0
    assert Quota("rpm", 10, 60.0, 10 * (0.1 + 0.2)).remaining == 7  # 3.0000000000000004 are used


def test_the_tightest_quota_regains_the_least() -> None:
    minute, day = Quota("rpm", 500, 60.0, 1), Quota("rpd", 10_000, 86_400.0, 1)

    assert tightest([minute, day], ("rpm", "rpd")) is day
    assert tightest([minute, day], ("rpm",)) is minute
    assert tightest([minute, day], ("tpm", "tpd")) is None


@pytest.mark.parametrize(
    ("seconds", "down", "up"), [(0.0867, 86, 87), (0.864, 864, 864), (0, 0, 0)]
)
def test_milliseconds_are_whole(seconds: float, down: int, up: int) -> None:
    assert whole_milliseconds(seconds) == down
    assert whole_milliseconds(seconds, up=True) == up


def test_a_request_above_the_limit_is_too_large() -> None:
    assert Refusal(Quota("tpm", 10, 60.0, 0), 11, None).is_too_large
    assert not Refusal(Quota("tpm", 10, 60.0, 5), 10, 30.0).is_too_large


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_every_limit_of_a_vendor_has_a_window_and_headers_that_its_answers_have(
    vendor: Vendor,
) -> None:
    limits = vendor.limits
    written = limits.headers([Quota(word, 5, WINDOWS[word], 1) for word in limits.words], 0.0)

    assert sorted(name for name, _ in written) == sorted(name for name, _ in limits.unlimited)
    assert set(limits.unlimited) <= set(vendor.headers)
    assert set(limits.unlimited) <= set(vendor.stream_headers)


@given(st.data())
@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_compiled_headers_are_those_of_the_quotas(vendor: Vendor, data: Any) -> None:
    limits = vendor.limits
    words = data.draw(st.lists(st.sampled_from(limits.words), unique=True))
    amounts = st.sampled_from([1, 3, 999, 1000, 1600, 30_000, 10**12])
    limited = [Quota(word, data.draw(amounts), WINDOWS[word], 0.0) for word in words]
    compiled = limits.compile_headers(limited)
    assert set(compiled.lines) <= set(limits.unlimited)
    for _ in range(3):
        speed = data.draw(st.sampled_from([1.0, 10.0, 0.3]))
        now = data.draw(st.sampled_from([0.0, 1_740_429_471.9, 1e300]))
        shares = st.sampled_from([0.0, 1.0, 2.0]) | st.floats(0, 1.5)
        used = [data.draw(shares) * quota.amount for quota in limited]
        quotas = [
            quota._replace(window=quota.window / speed, used=level)
            for quota, level in zip(limited, used, strict=True)
        ]
        values = compiled.values(used, speed, now)

        names = [name for name, _ in compiled.lines]
        assert list(zip(names, values, strict=True)) == [*limits.headers(quotas, now)]
