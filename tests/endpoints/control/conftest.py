"""A control API in one process, and in several that share what is changed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.control import Begin, Controlled

WORKERS = [1, *([4] if os.name == "posix" else [])]


@pytest.fixture(params=WORKERS, ids="workers={}".format)
def begin(request: pytest.FixtureRequest) -> Iterator[Begin]:
    """Begins a control API: a function with the arguments of `Controlled`."""
    with (
        contextlib.ExitStack() as begun,
        tempfile.TemporaryDirectory(prefix="mockllm-test-", dir="/tmp") as folder,
    ):

        def begin(*arguments: object, **options: object) -> Controlled:
            own = Path(tempfile.mkdtemp(dir=folder))
            make: Begin = partial(Controlled, workers=request.param, folder=own)
            controlled = make(*arguments, **options)
            begun.callback(controlled.close)
            return controlled

        yield begin
