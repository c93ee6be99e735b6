from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mockllm.state.keys import Identity, Reloaded, compare, state_keys


def unnamed(match: Any = None, entries: Any = None) -> Identity:
    return Identity("mocks", "", match, entries)


def named(name: str, list_name: str = "mocks", entries: Any = None) -> Identity:
    return Identity(list_name, name, None, entries)


def test_a_named_mock_keeps_its_key_when_its_entries_change() -> None:
    assert state_keys([named("ask", entries=["a"])]) == state_keys([named("ask", entries=["b"])])


def test_an_unnamed_mock_keeps_its_key_while_match_and_entries_are_the_same() -> None:
    (key,) = state_keys([unnamed({"user": "hi", "model": "m"}, ["a", "b"])])

    assert state_keys([unnamed({"model": "m", "user": "hi"}, ["a", "b"])]) == (key,)
    assert state_keys([unnamed({"model": "m", "user": "ho"}, ["a", "b"])]) != (key,)
    assert state_keys([unnamed({"model": "m", "user": "hi"}, ["b", "a"])]) != (key,)


def test_an_unnamed_mock_keeps_its_key_when_it_moves_in_its_list() -> None:
    one, other = unnamed({"user": "a"}), unnamed({"user": "b"})

    assert state_keys([one, other]) == state_keys([other, one])[::-1]


def test_mocks_of_different_lists_have_different_keys() -> None:
    assert len(set(state_keys([named("ask", "openai"), named("ask", "anthropic")]))) == 2


def test_equal_mocks_have_different_keys() -> None:
    assert state_keys([named("ask"), named("ask"), named("ask")]) == (
        "mocks 'ask'",
        "mocks 'ask' (2)",
        "mocks 'ask' (3)",
    )
    assert len(set(state_keys([unnamed(), unnamed()]))) == 2


@given(
    st.lists(
        st.builds(
            Identity,
            st.sampled_from(["mocks", "openai"]),
            st.sampled_from(["", "a", "a' (2)", "'a'", "a (2)"]) | st.text(max_size=3),
            st.sampled_from([None, {}, {"user": "a"}]),
            st.sampled_from([["a"], ["a", "b"]]),
        )
    )
)
def test_no_two_mocks_have_one_key(mocks: list[Identity]) -> None:
    assert len(set(state_keys(mocks))) == len(mocks)


def test_a_reload_tells_what_goes_on_what_begins_and_what_is_gone() -> None:
    assert compare(["a", "b", "c"], ["d", "c", "a"]) == Reloaded(("c", "a"), ("d",), ("b",))
