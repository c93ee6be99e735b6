"""Measures `AsyncServer.start` in a process that has imported the SDKs, such as a test suite.

Usage: python -m benchmarks.embedded CONFIG. Prints seconds.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from mockllm import AsyncServer


async def start(config: Path) -> float:
    """Return the seconds of the second start: the first one includes imports."""
    async with AsyncServer(config):
        pass
    server = AsyncServer(config)
    before = time.perf_counter()
    await server.start()
    taken = time.perf_counter() - before
    await server.stop()
    return taken


if __name__ == "__main__":
    sys.stdout.write(f"{asyncio.run(start(Path(sys.argv[1]))):.6f}\n")
