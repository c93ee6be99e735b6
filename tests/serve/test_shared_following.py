"""What a process does between its questions: it follows the others, and shortens the log."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from mockllm.serve import shared_following, shared_maps
from mockllm.serve.shared_lock import SharedLock
from mockllm.serve.shared_maps import SharedMaps
from mockllm.serve.shared_store import SharedStore
from mockllm.state.operations import Put
from tests.support.processes import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SharedStore]:
    with closing(SharedStore(tmp_path)) as opened:
        yield opened


def has(store: SharedStore, value: str) -> bool:
    """True if the copy in `store` has this value, without asking."""
    return store._maps is not None and store._maps.ordered("values").get("key") == value


async def test_changes_of_others_are_made_while_nothing_is_asked(tmp_path: Path) -> None:
    with closing(SharedStore(tmp_path)) as idle, closing(SharedMaps(tmp_path / "state")) as others:
        idle.follow()
        for value in ("before it is opened", "after"):
            others.begin()
            others.ordered("values").put("key", value)
            others.commit()
            await until(partial(has, idle, value))


async def test_a_long_log_is_replaced_in_turns_of_the_loop(
    store: SharedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_maps, "MIN_COMPACTED", 3_000)
    monkeypatch.setattr(shared_maps, "AT_ONCE", 1)
    monkeypatch.setattr(shared_following, "MAX_TURN", 0.0)
    store.post((), 0.0)
    store.follow()

    def asked() -> bool:
        assert store.perform_at_once([Put(str(next(keys)), b"v" * 100, 60.0)], 0.0) == [None]
        return (tmp_path / "changes.1").exists()

    keys = itertools.count()
    await until(asked)
    expected = [f"{number}" for number in range(next(keys))]
    with closing(SharedMaps(tmp_path / "state")) as others:
        others.begin()
        assert store._maps is not None
        assert [*others.ordered("values")] == [*store._maps.ordered("values")]
        assert {str(key) for key in others.ordered("values")} >= set(expected)


async def test_a_log_is_replaced_when_no_other_process_has_the_lock(
    store: SharedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_maps, "MIN_COMPACTED", 1_000)
    store.follow()
    store.post((), 0.0)
    await until(lambda: store._maps is not None and store._maps.compacts_later)
    store.post([Put("key", b"v" * 1_000, 60.0)], 0.0)
    with closing(SharedLock(tmp_path / "lock")) as other:
        assert other.acquire()
        assert store._maps is not None
        await until(lambda: store._maps is not None and not store._maps.needs_snapshot)
        assert not (tmp_path / "changes.1").exists()
    await until((tmp_path / "changes.1").exists)


async def test_a_log_that_cannot_be_read_is_read_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def fail(*_: object) -> None:
        tried.append(1)
        raise OSError("unreadable")

    with closing(SharedStore(tmp_path)) as idle, closing(SharedMaps(tmp_path / "state")) as others:
        with monkeypatch.context() as patched:
            patched.setattr(SharedMaps, "begin", fail)
            idle.follow()
            await until(lambda: len(tried) > 1)
        others.begin()
        others.ordered("values").put("key", "at last")
        others.commit()
        await until(partial(has, idle, "at last"))
