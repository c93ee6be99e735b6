"""Maps of several processes: what all maps do, and what a transaction leaves behind."""

from __future__ import annotations

import marshal
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from mockllm.pieces import finish
from mockllm.serve import change_log, shared_maps
from mockllm.serve.shared_maps import SharedMaps
from mockllm.state import attempts
from mockllm.state.attempts import Attempt, Attempts
from mockllm.state.maps import LocalGroups, LocalMap
from tests.state.maps_contract import MapsContract

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
SESSIONS = st.sampled_from(["", "s"])
ATTEMPTS = st.builds(Attempt, st.sampled_from([b"x" * 16, b"y" * 16, b"z" * 16]), st.integers(0, 2))
OF_ATTEMPTS = st.one_of(
    st.tuples(st.just("add"), SESSIONS, ATTEMPTS, st.none() | KEYS, st.integers(0, 2)),
    st.tuples(st.just("follow"), SESSIONS, ATTEMPTS),
    st.tuples(st.just("forget"), SESSIONS, st.none() | st.frozensets(KEYS)),
)


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
        maps.grouped("answered").put_last("group", "key", (1, 2))
        maps.facts["current"] = "s"
        maps.commit()

    with opened(tmp_path / "state") as maps:
        assert (maps.ordered("values").get("key"), maps.facts["current"]) == (b"value", "s")
        assert maps.grouped("answered").items("group") == (("key", (1, 2)),)
        assert len(maps.grouped("answered")) == len(maps.ordered("values")) == 1


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
            answered, groups = maps.ordered("values"), maps.grouped("answered")
            assert [*answered] == [str(each) for each in range(number)]
            assert groups.get("group", f"key {number}") is None
            answered.put_last(str(number), number)
            if number:
                groups.put_last("group", f"key {number}", number)
            maps.commit()

        one.begin()
        assert one.grouped("answered").size("group") == 4


def test_a_key_that_another_process_has_added_meanwhile_is_no_new_one(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as one, closing(SharedMaps(tmp_path / "state")) as other:
        assert one.grouped("answered").get("group", "key") is None
        one.commit()
        other.begin()
        other.grouped("answered").put("group", "key", 1)
        other.commit()
        one.begin()
        one.grouped("answered").put("group", "key", 2)

        assert one.grouped("answered").items("group") == (("key", 2),)


def test_the_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_maps, "MAX_BYTES", 32_000)
    with opened(tmp_path / "state") as maps:
        maps.ordered("values").put("before", 0)
        maps.commit()
        maps.begin()
        maps.ordered("values").put("key", b"v" * 100_000)
        with pytest.raises(OSError, match="No space left"):
            maps.commit()
        maps.roll_back()
        maps.begin()

        assert [*maps.ordered("values")] == ["before"]
        maps.ordered("values").put("key", 1)
        maps.commit()


def test_values_of_subclasses_are_bare_for_other_processes(tmp_path: Path) -> None:
    class Text(str):
        __slots__ = ()

    with opened(tmp_path / "state") as one, closing(SharedMaps(tmp_path / "state")) as other:
        one.ordered("values").put(Text("key"), (Text("ü\ud800"), b"b", 1, None))
        one.commit()
        other.begin()

        ((key, value),) = other.ordered("values").items()
        assert (key, value) == ("key", ("ü\ud800", b"b", 1, None))
        assert {type(key), type(value[0])} == {str}


# --- the log and its snapshots --------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every transaction replaces the log by a snapshot."""
    monkeypatch.setattr(shared_maps, "MIN_COMPACTED", 1)
    monkeypatch.setattr(change_log, "MIN_GROWTH", 0)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("missed", "read"), [(1, [0]), (2, [1])])
def test_a_process_reads_no_records_that_are_in_a_later_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missed: int, read: list[int]
) -> None:
    with opened(tmp_path / "state") as one, opened(tmp_path / "state") as other:
        for number in range(missed):
            one.begin()
            one.ordered("values").put("key", number)
            one.commit()
        applied: list[bytes] = []
        with monkeypatch.context() as patched:
            load = marshal.loads

            def note(data: bytes) -> object:
                applied.append(data)
                return load(data)

            patched.setattr(shared_maps, "_load", note)
            other.begin()

        first = [load(record)[0] for record in applied]
        assert [change[-1] for change in first if isinstance(change, tuple)] == read
        assert other.ordered("values").get("key") == missed - 1


@pytest.mark.usefixtures("short")
def test_a_process_that_has_missed_snapshots_begins_with_the_last(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as one, opened(tmp_path / "state") as other:
        other.ordered("values").put("old", 1)
        other.commit()
        for number in range(10):
            one.begin()
            one.ordered("values").drop("old")
            one.ordered("values").put_last(str(number % 3), number)
            one.grouped("pools").put(None, "a", number)
            one.facts["number"] = number
            one.commit()
        other.begin()

        assert [*other.ordered("values").items()] == [("1", 7), ("2", 8), ("0", 9)]
        assert other.grouped("pools").items(None) == (("a", 9),)
        assert other.facts == {"number": 9}
    assert len([*tmp_path.glob("changes.[0-9]*")]) == change_log.KEPT_FILES


def test_maps_whose_log_cannot_be_read_begin_anew_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("unreadable")

    with opened(tmp_path / "state") as one, opened(tmp_path / "state") as other:
        for number in range(2):
            one.ordered("values").put(str(number), number)
            one.commit()
            one.begin()
        with monkeypatch.context() as patched:
            patched.setattr(shared_maps, "_load", fail)
            with pytest.raises(OSError, match="unreadable"):
                other.begin()
            other.roll_back()
            patched.setattr(shared_maps, "ChangeLog", fail)
            with pytest.raises(OSError, match="unreadable"):
                other.begin()
        other.begin()

        assert [*other.ordered("values")] == ["0", "1"]


def test_one_process_replaces_a_log_that_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_maps, "MIN_COMPACTED", 1_000)
    with opened(tmp_path / "state") as one, opened(tmp_path / "state") as other:
        one.compacts_later = other.compacts_later = True
        told = []
        for number in range(30):
            maps = (one, other)[number % 2]
            maps.begin()
            maps.ordered("values").put("key", bytes([number]) * 80)
            maps.commit()
            told.append((one.needs_snapshot, other.needs_snapshot))

        nobody, first, last = dict.fromkeys(told)
        assert (nobody, sum(first)) == ((False, False), 1)  # the one that has made it long
        assert last == (
            True,
            True,
        )  # and another when it is longer by as much: that one may be dead
        long, behind = (one, other) if first[0] else (other, one)
        snapshot = finish(long.take_snapshot())
        long.begin()
        long.compact(snapshot)
        behind.begin()
        assert (long.needs_snapshot, behind.needs_snapshot) == (False, False)


def test_a_snapshot_for_which_there_is_no_space_is_made_when_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def fail(*_: object) -> None:
        tried.append(1)
        raise OSError("full")

    monkeypatch.setattr(shared_maps, "MIN_COMPACTED", 1_000)
    with opened(tmp_path / "state") as maps:

        def put(times: int) -> None:
            for number in range(times):
                maps.begin()
                maps.ordered("values").put("key", bytes([number]) * 80)
                maps.commit()

        with monkeypatch.context() as patched:
            patched.setattr(change_log.ChangeLog, "compact", fail)
            put(15)
            assert len(tried) == 1  # not after each transaction
            put(10)
            assert len(tried) == 2
        assert not (tmp_path / "changes.1").exists()
        put(10)
        assert (tmp_path / "changes.1").exists()
        assert maps.ordered("values").get("key") == bytes([9]) * 80


class Copies(RuleBasedStateMachine):
    """Maps of three processes, one of which after the other makes a transaction, and may fail or
    be replaced; what is expected of them is in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(shared_maps, "MIN_COMPACTED", 300)
        self.patch.setattr(shared_maps, "AT_ONCE", 2)
        for name, bound in (("MAX_ATTEMPTS", 2), ("MAX_PER_SESSION", 2), ("MAX_KEPT", 4)):
            self.patch.setattr(attempts, name, bound)
        self.folder = tempfile.TemporaryDirectory()
        self.copies = [self.open() for _ in range(3)]
        self.snapshots: dict[int, tuple[SharedMaps, Any]] = {}
        self.ordered = LocalMap[str, object]()
        self.grouped = LocalGroups[str | None, str, int]()
        self.attempts = Attempts()

    def open(self) -> SharedMaps:
        return SharedMaps(Path(self.folder.name) / "state")

    @rule(
        which=st.integers(0, 2),
        of_maps=st.lists(OF_MAPS, max_size=5),
        of_groups=st.lists(OF_GROUPS, max_size=5),
        of_attempts=st.lists(OF_ATTEMPTS, max_size=5),
        fails=st.booleans(),
    )
    def transact(
        self,
        which: int,
        of_maps: list[tuple[Any, ...]],
        of_groups: list[tuple[Any, ...]],
        of_attempts: list[tuple[Any, ...]],
        fails: bool,
    ) -> None:
        maps = self.copies[which]
        maps.begin()
        values, answered = maps.ordered("values"), maps.grouped("answered")
        self.compare(maps)
        for name, *arguments in of_maps:
            getattr(values, name)(*arguments)
            if not fails:
                getattr(self.ordered, name)(*arguments)
        for name, *arguments in of_groups:
            if name == "drop_first" and not self.can_drop_first(answered, *arguments):
                continue
            getattr(answered, name)(*arguments)
            if not fails:
                getattr(self.grouped, name)(*arguments)
        for name, *arguments in of_attempts:
            found = getattr(maps.attempts(), name)(*arguments)
            if not fails:
                assert found == getattr(self.attempts, name)(*arguments)
        if fails:
            maps.roll_back()
        else:
            maps.commit()
            self.compare(maps)

    @staticmethod
    def can_drop_first(groups: LocalGroups[Any, Any, Any], group: str | None) -> bool:
        return bool(groups.size(group) if group else len(groups))

    @rule(which=st.integers(0, 2))
    def replace(self, which: int) -> None:
        self.copies[which].close()
        self.copies[which] = self.open()

    @rule(which=st.integers(0, 2), later=st.booleans())
    def compact_later(self, which: int, later: bool) -> None:
        self.copies[which].compacts_later = later

    @rule(which=st.integers(0, 2), pieces=st.integers(0, 3))
    def begin_snapshot(self, which: int, pieces: int) -> None:
        maps = self.copies[which]
        maps.begin()
        self.snapshots[which] = maps, maps.take_snapshot()
        for _ in range(pieces):
            with suppress(StopIteration):
                next(self.snapshots[which][1])

    @rule(which=st.integers(0, 2))
    def finish_snapshot(self, which: int) -> None:
        if which not in self.snapshots:
            return
        maps, pieces = self.snapshots.pop(which)
        if maps is not self.copies[which]:
            return  # of a process that was replaced
        snapshot = finish(pieces)
        if snapshot is not None:  # it was not finished before
            maps.begin()
            maps.compact(snapshot)

    def compare(self, maps: SharedMaps) -> None:
        ordered, grouped = maps.ordered("values"), maps.grouped("answered")
        assert [*ordered.items()] == [*self.ordered.items()]
        assert (grouped.groups(), len(grouped)) == (self.grouped.groups(), len(self.grouped))
        for group in grouped.groups():
            assert grouped.items(group) == self.grouped.items(group)
        assert maps.attempts().trails() == self.attempts.trails()
        assert len(maps.attempts()) == len(self.attempts)

    def teardown(self) -> None:
        for each in self.copies:
            each.close()
        self.folder.cleanup()
        self.patch.undo()


TestCopies = Copies.TestCase
TestCopies.settings = settings(max_examples=60)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("maps") / "state"


@given(changes=st.lists(OF_MAPS, max_size=20))
def test_a_shared_map_is_as_one_in_memory(path: Path, changes: list[tuple[str, ...]]) -> None:
    with opened(path) as maps:
        shared, local = maps.ordered("values"), LocalMap[str, object]()
        for name, *arguments in changes:
            assert getattr(shared, name)(*arguments) == getattr(local, name)(*arguments)
            assert ([*shared], len(shared)) == ([*local], len(local))
        maps.roll_back()


@given(changes=st.lists(OF_GROUPS, max_size=20))
def test_shared_groups_are_as_those_in_memory(path: Path, changes: list[tuple[str, ...]]) -> None:
    with opened(path) as maps:
        shared, local = maps.grouped("answered"), LocalGroups[str | None, str, int]()
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


def test_the_log_of_a_request_that_comes_again_stays_small(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as maps:
        sizes = []
        for number in range(100):
            before = maps._log.size
            maps.attempts().add("", Attempt(b"x" * 16), "key", 1_000 + number)
            maps.commit()
            sizes.append(maps._log.size - before)

    assert len(set(sizes)) == 1
    assert sizes[0] < 100


@pytest.mark.parametrize(("group", "key"), [("other", "a"), ("g", "b")])
def test_what_is_new_comes_behind_what_was_put_last(path: Path, group: str, key: str) -> None:
    with opened(path) as maps:
        shared, local = maps.grouped("answered"), LocalGroups[str, str, int]()
        for each in (shared, local):
            each.put_last("g", "a", 1)
            each.put(group, key, 1)
            each.put_last("g", "a", 1)

        assert shared.groups() == local.groups()
        assert shared.items("g") == local.items("g")
        maps.roll_back()
