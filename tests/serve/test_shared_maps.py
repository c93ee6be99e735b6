"""Maps in a database: what all maps do, and what a transaction leaves behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.serve import shared_maps
from mockllm.serve.shared_maps import SharedMaps
from mockllm.state.maps import LocalGroups, LocalMap
from tests.state.maps_contract import MapsContract


@contextmanager
def opened(path: Path) -> Iterator[SharedMaps]:
    with closing(SharedMaps(path)) as maps:
        maps.begin()
        yield maps


class TestSharedMaps(MapsContract):
    @contextmanager
    def open_maps(self, folder: Path) -> Iterator[SharedMaps]:
        with opened(folder / "state") as maps:
            yield maps


def test_what_was_committed_is_there_for_the_next_process(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as maps:
        maps.ordered("values").put_last("key", b"value")
        maps.grouped("attempts").put_last("group", "key", (1, 2))
        maps.facts["current"] = "s"
        maps.commit()

    with opened(tmp_path / "state") as maps:
        assert (maps.ordered("values").get("key"), maps.facts["current"]) == (b"value", "s")
        assert maps.grouped("attempts").items("group") == (("key", (1, 2)),)
        assert len(maps.grouped("attempts")) == len(maps.ordered("values")) == 1


def test_what_was_not_committed_has_not_happened(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as maps:
        values = maps.ordered("values")
        values.put_last("key", 1)
        maps.facts["current"] = "s"
        maps.roll_back()
        maps.roll_back()
        maps.begin()

        assert (values.get("key"), len(values), maps.facts.get("current")) == (None, 0, None)


def test_two_processes_see_what_the_other_has_committed(tmp_path: Path) -> None:
    with (
        closing(SharedMaps(tmp_path / "state")) as one,
        closing(SharedMaps(tmp_path / "state")) as other,
    ):
        for number, maps in enumerate((one, other, other, one, other)):
            maps.begin()
            answered, groups = maps.ordered("values"), maps.grouped("attempts")
            assert [*answered] == [str(each) for each in range(number)]
            assert groups.get("group", f"key {number}") is None
            answered.put_last(str(number), number)
            if number:
                groups.put_last("group", f"key {number}", number)
            maps.commit()

        one.begin()
        assert one.grouped("attempts").size("group") == 4


def test_a_key_that_another_process_has_added_meanwhile_is_no_new_one(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as one, closing(SharedMaps(tmp_path / "state")) as other:
        assert one.grouped("attempts").get("group", "key") is None
        one.commit()
        other.begin()
        other.grouped("attempts").put("group", "key", 1)
        other.commit()
        one.begin()
        one.grouped("attempts").put("group", "key", 2)

        assert one.grouped("attempts").items("group") == (("key", 2),)


def test_a_database_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_maps, "MAX_PAGES", 32)
    with opened(tmp_path / "state") as maps:
        with pytest.raises(sqlite3.OperationalError, match="full"):
            maps.ordered("values").put("key", b"v" * 100_000)
        maps.roll_back()
        maps.begin()

        maps.ordered("values").put("key", 1)
        maps.commit()


KEYS = st.sampled_from(["a", "b", "c"])
OF_MAPS = st.one_of(
    st.tuples(st.sampled_from(["get", "drop"]), KEYS),
    st.tuples(st.sampled_from(["put", "put_last"]), KEYS, st.sampled_from([None, 1])),
    st.tuples(st.sampled_from(["first", "clear"])),
)
GROUPS = st.sampled_from(["g", None])
OF_GROUPS = st.one_of(
    st.tuples(st.sampled_from(["get", "drop"]), GROUPS, KEYS),
    st.tuples(st.sampled_from(["put", "put_last"]), GROUPS, KEYS, st.sampled_from([1, 2])),
    st.tuples(st.sampled_from(["drop_group", "drop_first", "size", "items"]), GROUPS),
    st.tuples(st.sampled_from(["values_of"]), KEYS),
    st.tuples(st.sampled_from(["groups", "clear"])),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("maps") / "state"


@given(changes=st.lists(OF_MAPS, max_size=20))
def test_a_map_in_a_database_is_as_one_in_memory(
    path: Path, changes: list[tuple[str, ...]]
) -> None:
    with opened(path) as maps:
        shared, local = maps.ordered("values"), LocalMap[str, object]()
        for name, *arguments in changes:
            assert getattr(shared, name)(*arguments) == getattr(local, name)(*arguments)
            assert ([*shared], len(shared)) == ([*local], len(local))
        maps.roll_back()


@given(changes=st.lists(OF_GROUPS, max_size=20))
def test_groups_in_a_database_are_as_those_in_memory(
    path: Path, changes: list[tuple[str, ...]]
) -> None:
    with opened(path) as maps:
        shared, local = maps.grouped("attempts"), LocalGroups[str | None, str, int]()
        for name, *arguments in changes:
            if name == "drop_first" and not (
                local.size(arguments[0]) if arguments[0] else len(local)
            ):
                continue
            found = getattr(shared, name)(*arguments)
            expected = getattr(local, name)(*arguments)
            assert (sorted(found) if name == "values_of" else found) == (
                sorted(expected) if name == "values_of" else expected
            )
            assert (shared.groups(), len(shared)) == (local.groups(), len(local))
            for group in local.groups():
                assert shared.items(group) == local.items(group)
        maps.roll_back()


@pytest.mark.parametrize(("group", "key"), [("other", "a"), ("g", "b")])
def test_what_is_new_comes_behind_what_was_put_last(path: Path, group: str, key: str) -> None:
    with opened(path) as maps:
        shared, local = maps.grouped("attempts"), LocalGroups[str, str, int]()
        for each in (shared, local):
            each.put_last("g", "a", 1)
            each.put(group, key, 1)
            each.put_last("g", "a", 1)

        assert shared.groups() == local.groups()
        assert shared.items("g") == local.items("g")
        maps.roll_back()
