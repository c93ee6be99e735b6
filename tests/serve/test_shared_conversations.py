"""The tests of sequences, sessions, rate limits and traffic, with the state of four processes: each
question is asked by another one than the question before.

They are those of one process, collected again. Left out are those that look into its memory, and
those that are drawn, whose histories `test_shared_store` holds against the same specification.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mockllm import app
from tests import test_app_sessions, test_app_traffic
from tests.engine import test_asking, test_limiting, test_sequences
from tests.support.shared_stores import SpreadStore

GIVEN = {"monkeypatch", "caplog", "recwarn"}  # fixtures of pytest


@pytest.fixture(autouse=True)
def _shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every app that a test makes asks a store that processes share."""
    made: list[SpreadStore] = []
    with tempfile.TemporaryDirectory() as folder:

        def make(gone: Callable[[str], None]) -> SpreadStore:
            own = Path(folder) / str(len(made))
            own.mkdir()
            made.append(SpreadStore(own, gone))
            return made[-1]

        monkeypatch.setattr(app, "LocalStore", make)
        yield
        for store in made:
            store.close()


def _tests_of(module: ModuleType) -> Iterator[tuple[str, object]]:
    for name, test in vars(module).items():
        if name.startswith("test_") and inspect.isfunction(test) and _is_possible(test):
            yield f"{name}_{module.__name__.rpartition('.')[2]}", test


def _is_possible(test: Any) -> bool:
    if hasattr(test, "hypothesis"):
        return False
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    names = {name.strip() for mark in marks for name in _names(mark.args[0])}
    source = inspect.getsource(test)
    looks_inside = any(word in source for word in (".store", "own_store", "LocalStore"))
    makes_an_app = "app" in source.lower()
    own = set(inspect.signature(test).parameters) - names
    return own <= GIVEN and makes_an_app and not looks_inside


def _names(written: str | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(written.split(",")) if isinstance(written, str) else tuple(written)


for _module in (test_sequences, test_app_sessions, test_asking, test_limiting, test_app_traffic):
    globals().update(_tests_of(_module))
