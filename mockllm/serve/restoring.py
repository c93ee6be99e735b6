"""Compiles the changes of other processes: large ones in a thread, so that the loop goes on.

A mock with a script of 50,000 entries takes seconds to compile, wherever it was added. It does not
know what becomes of a change.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from mockllm.app import App
from mockllm.endpoints.health import HEALTH, READY, ROOT
from mockllm.endpoints.metrics import METRICS
from mockllm.engine.changes import Change
from mockllm.engine.packed_changes import Packed, restore
from mockllm.limits import KIB
from mockllm.wire import jsontext

UNDECIDED = frozenset({HEALTH, READY, ROOT, METRICS})
"""Paths of which nothing can be changed: they are answered by what is known."""
MAX_AT_ONCE = 16 * KIB  # of a packed change that is compiled without a thread: up to 20 ms


def is_large(packed: Packed) -> bool:
    """Return True if a change is to be compiled in a thread."""
    return len(jsontext.dumps(packed)) > MAX_AT_ONCE


async def restore_aside(packed: Packed, app: App) -> Change:
    """Return a change, compiled in a thread for the engine of `app`.

    Raises:
        ConfigError: this engine cannot have it.
    """
    loop = asyncio.get_running_loop()
    while True:
        engine = app.engine
        thread = ThreadPoolExecutor(1, "mockllm-changes")
        try:
            change = await loop.run_in_executor(thread, restore, packed, engine)
        finally:
            thread.shutdown(wait=False)
        if app.engine is engine:
            return change  # else another configuration was loaded meanwhile
