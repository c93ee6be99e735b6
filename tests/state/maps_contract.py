"""What maps do, wherever they are. A test module of maps does

class TestMyMaps(MapsContract):
    @contextmanager
    def open_maps(self, folder: Path) -> Iterator[Maps]: ...
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from mockllm.state.maps import GroupedMap, Maps, OrderedMap

VALUES = (
    None,
    0,
    -(2**40),
    0.1,
    float("inf"),
    "ü\ud800\0",
    b"\0\xff",
    ((0, "key", 1), (2, None, 3)),
)


class MapsContract:
    """The behaviour of what `open_maps` yields, which may be in a `folder`."""

    def open_maps(self, folder: Path) -> AbstractContextManager[Maps]:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _fresh_maps(self, tmp_path: Path) -> Iterator[None]:
        with self.open_maps(tmp_path) as maps:
            self.maps = maps
            self.one: OrderedMap[Any, Any] = maps.ordered("draws")
            self.other: OrderedMap[Any, Any] = maps.ordered("values")
            self.grouped: GroupedMap[Any, Any, Any] = maps.grouped("answered")
            yield

    @pytest.mark.parametrize("value", VALUES, ids=repr)
    def test_every_value_comes_back(self, value: Any) -> None:
        self.one.put("key", value)
        self.grouped.put("group", "key", value)

        assert (self.one.get("key"), "key" in self.one) == (value, True)
        assert self.grouped.get("group", "key") == value
        assert type(self.one.get("key")) is type(value)

    @pytest.mark.parametrize(
        "key", ["", "ü\ud800\0", b"", b"\0\xff", "key" * 1_000], ids=lambda key: repr(key[:9])
    )
    def test_every_key_is_found(self, key: Any) -> None:
        self.one.put(key, 1)
        self.one.put("other", 2)

        assert (self.one.get(key), [*self.one], self.one.first()) == (
            1,
            [key, "other"],
            (key, 1),
        )

    def test_keys_are_in_the_order_in_which_they_were_put_last(self) -> None:
        for key in "abc":
            self.one.put(key, key)
        self.one.put("a", "in place")
        self.one.put_last("b", "moved")
        self.one.put_last("d", "new")

        assert [*self.one] == ["a", "c", "b", "d"]
        assert [self.one.get(key) for key in "abcde"] == ["in place", "moved", "c", "new", None]
        assert len(self.one) == 4

    def test_a_key_that_is_dropped_is_new_when_it_comes_back(self) -> None:
        for key in "ab":
            self.one.put(key, 1)

        assert [self.one.drop(key) for key in "aax"] == [True, False, False]
        assert ([*self.one], len(self.one), "a" in self.one) == (["b"], 1, False)
        self.one.put("a", 1)
        assert [*self.one] == ["b", "a"]

    def test_maps_do_not_see_each_other(self) -> None:
        self.one.put("key", 1)
        self.other.put("key", 2)
        self.one.clear()

        assert (self.one.get("key"), self.one.first(), len(self.one)) == (None, None, 0)
        assert (self.other.get("key"), len(self.other)) == (2, 1)

    def test_groups_and_their_keys_are_in_the_order_in_which_they_were_put_last(self) -> None:
        for group in ("g", None, ""):
            for key in "ab":
                self.grouped.put(group, key, key)
        self.grouped.put("g", "a", "in place")
        self.grouped.put_last(None, "a", "moved")
        self.grouped.put("", "c", "new")

        assert self.grouped.groups() == ("g", "", None)
        assert self.grouped.items("g") == (("a", "in place"), ("b", "b"))
        assert self.grouped.items(None) == (("b", "b"), ("a", "moved"))
        assert self.grouped.items("") == (("a", "a"), ("b", "b"), ("c", "new"))
        assert self.grouped.items("unknown") == ()
        assert [self.grouped.size(each) for each in ("g", None, "", "unknown")] == [2, 2, 3, 0]
        assert len(self.grouped) == 7

    def test_the_first_key_of_a_group_is_dropped_and_an_empty_group(self) -> None:
        for group in "gh":
            for key in "ab":
                self.grouped.put_last(group, key, group + key)

        assert self.grouped.drop_first("h") == "ha"
        assert [self.grouped.drop_first() for _ in range(2)] == ["ga", "gb"]
        assert (self.grouped.groups(), len(self.grouped)) == (("h",), 1)
        assert self.grouped.drop_first() == "hb"
        assert (self.grouped.groups(), len(self.grouped)) == ((), 0)

    def test_a_key_is_dropped_from_its_group(self) -> None:
        for key in "ab":
            self.grouped.put("g", key, key)
        self.grouped.drop("g", "a")
        self.grouped.drop("g", "a")
        self.grouped.drop("unknown", "a")

        assert (self.grouped.items("g"), len(self.grouped)) == ((("b", "b"),), 1)
        self.grouped.drop("g", "b")
        assert (self.grouped.groups(), len(self.grouped)) == ((), 0)

    def test_a_group_is_dropped_with_its_values(self) -> None:
        for group, key in ("ga", "ha", "gb"):
            self.grouped.put(group, key, group + key)

        assert [self.grouped.drop_group(each) for each in ("g", "g", "h")] == [
            ["ga", "gb"],
            [],
            ["ha"],
        ]
        assert len(self.grouped) == 0

    def test_a_group_that_comes_back_is_the_last(self) -> None:
        for group in "ghg":
            self.grouped.put(group, "a", 1)
            if group == "h":
                self.grouped.drop_group("g")

        assert self.grouped.groups() == ("h", "g")

    def test_a_key_has_a_value_in_each_group(self) -> None:
        for number, group in enumerate(("g", None, "h")):
            self.grouped.put(group, "a", number)
        self.grouped.put("g", "b", 9)

        assert sorted(self.grouped.values_of("a")) == [0, 1, 2]
        assert self.grouped.values_of("unknown") == []
        self.grouped.clear()
        assert (self.grouped.values_of("a"), self.grouped.groups(), len(self.grouped)) == (
            [],
            (),
            0,
        )

    def test_facts_are_remembered(self) -> None:
        assert self.maps.facts.get("current") is None
        self.maps.facts["current"] = "s"

        assert self.maps.facts["current"] == "s"
