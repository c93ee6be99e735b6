"""Tests of other modules, collected again to run against servers of several processes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

import pytest

from tests.support.deployments import MARKS

_GIVEN = ("server", "clients")
_IN_A_LOOP = pytest.mark.usefixtures("anyio_backend")
"""Of the async tests. anyio adds it to functions, but not to those that are methods: without it,
these would lose their parameters."""


def suites(
    module: ModuleType,
    config: Any,
    *,
    without: Mapping[str, str],
    lends: str = "",
) -> Iterator[tuple[str, type]]:
    """Yield the names of classes, and classes, with the tests of `module`: one for each kind of
    `deployments`. They have a `kind` and a `config`.

    Those with an argument `server` get the server of the class, those with `clients` clients of it,
    and, if it `lends` something under a name of the module, those that use that. Left out are the
    tests that say so themselves, and those `without` which it runs, for the reason given.
    """
    tests = dict(_tests_of(module, lends))
    assert tests.keys() >= without.keys(), "a test that is left out is not there"
    kept = {name: staticmethod(test) for name, test in tests.items() if name not in without}
    title = "".join(map(str.title, module.__name__.rpartition("test_")[2].split("_")))
    for kind, marks in MARKS.items():
        members = {
            "__doc__": module.__doc__,
            "pytestmark": [*marks, _IN_A_LOOP],
            "kind": kind,
            "config": config,
            "lends": lends,
            "module": module,
            **kept,
        }
        yield f"Test{title}On{kind.title().replace(' ', '')}", type(title, (), members)


def _tests_of(module: ModuleType, lends: str) -> Iterator[tuple[str, FunctionType]]:
    for name, test in vars(module).items():
        if not name.startswith("test_") or not inspect.isfunction(test):
            continue
        inner = getattr(getattr(test, "hypothesis", None), "inner_test", test)
        parameters = inspect.signature(inner).parameters
        if not parameters.keys().isdisjoint(_GIVEN) or (lends and f"{lends}(" in _source(inner)):
            yield name, test


def _source(test: object) -> str:
    return inspect.getsource(test)  # type: ignore[arg-type]  # it is a function
