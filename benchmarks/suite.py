"""Measures what a test suite pays for the pytest plugin, in a process that has imported the SDKs.

Usage: python -m benchmarks.suite. Prints the seconds of CPU that `TESTS` tests take longer if each
has a session and a mock of its own, and the seconds in which `ADDED` mocks are added one by one.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from benchmarks.footprint import ADDED, TESTS
from mockllm import Server

_ARGUMENTS = ("-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist")
_PLUGIN = "mockllm.pytest_plugin"
_TESTS = """
import anthropic, openai
import pytest

@pytest.mark.parametrize("number", range({}))
def test_it({}):
    {}
"""
_WITH = ("number, llm_server, llm_env", 'llm_server.add(user="Hello", reply="Hi")')
_WITHOUT = ("number", "pass")


def seconds_of_tests() -> float:
    """Return the seconds of CPU that the tests take longer with the plugin than without."""
    _run(1, *_WITH)  # which imports all that is needed
    plain = _run(TESTS, *_WITHOUT)
    return _run(TESTS, *_WITH) - plain


def seconds_of_adding() -> float:
    """Return the seconds that it takes to add many mocks."""
    with Server({}) as server:
        server.add(reply="Hi")
        before = time.perf_counter()
        for number in range(ADDED):
            server.add(user={"contains": f"word {number}"}, reply=f"{number}")
        return time.perf_counter() - before


def _run(count: int, arguments: str, body: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"test_{count}_{len(body)}.py")
        file.write_text(_TESTS.format(count, arguments, body))
        is_installed = any(each.value == _PLUGIN for each in entry_points(group="pytest11"))
        options = [*_ARGUMENTS, *(() if is_installed else ("-p", _PLUGIN))]
        before = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()) as output:
            status = pytest.main([*options, str(file)])
        taken = time.process_time() - before
    if status != pytest.ExitCode.OK:
        sys.exit(output.getvalue())
    return taken


if __name__ == "__main__":
    sys.stdout.write(f"{seconds_of_tests():.6f} {seconds_of_adding():.6f}\n")
