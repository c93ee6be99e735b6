"""Calls between processes that share pools: what is called is heard by one, once."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from mockllm.serve.place_calls import PlaceCalls, call
from tests.support.processes import posix, until

pytestmark = [pytest.mark.anyio, posix]


def files(folder: Path) -> list[Path]:
    return [*folder.iterdir()]


async def test_a_process_hears_what_is_called_to_it(tmp_path: Path) -> None:
    heard: list[str] = []
    with closing(PlaceCalls(tmp_path, 1)) as calls:
        calls.listen(heard.append)
        for lease in "ab":
            call(tmp_path, 1, lease)
        call(tmp_path, 2, "c")

        await until(lambda: heard == ["a", "b"])


async def test_more_calls_than_a_socket_keeps_delay_nobody(tmp_path: Path) -> None:
    heard: list[str] = []
    with closing(PlaceCalls(tmp_path, 1)) as calls:
        for number in range(2_000):
            call(tmp_path, 1, str(number))
        calls.listen(heard.append)

        await until(lambda: bool(heard))
        assert heard == [*map(str, range(len(heard)))]


async def test_the_socket_of_a_process_that_was_killed_is_replaced(tmp_path: Path) -> None:
    heard: list[str] = []
    PlaceCalls(tmp_path, 1)._sock.close()
    with closing(PlaceCalls(tmp_path, 1)) as calls:
        calls.listen(heard.append)
        call(tmp_path, 1, "a")

        await until(lambda: heard == ["a"])
    assert files(tmp_path) == []
    call(tmp_path, 1, "b")
