from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mockllm.matching.texts import common_prefix, longest_start_within, quote

TEXTS = st.text("ab", max_size=12)
NUMBERS = st.integers(0, 12)


def test_a_quote_is_cut_and_shows_it() -> None:
    assert (quote("short"), quote("x" * 100, 3)) == ("'short'", "'xxx'…")


@given(TEXTS, TEXTS, NUMBERS)
def test_the_common_prefix_is_found_if_it_is_long_enough(one: str, other: str, above: int) -> None:
    sizes = [size for size in range(len(one) + 1) if other.startswith(one[:size])]
    expected = sizes[-1] if sizes[-1] > above else 0

    assert common_prefix(one, other, above=above) == expected


@given(TEXTS, TEXTS, NUMBERS)
def test_the_longest_start_is_found_if_it_is_long_enough(
    needle: str, text: str, above: int
) -> None:
    sizes = [size for size in range(len(needle) + 1) if needle[:size] in text]
    expected = sizes[-1] if sizes[-1] > above else 0

    assert longest_start_within(needle, text, above=above) == expected
